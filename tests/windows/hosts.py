"""The suite's end of the bridge: starts an nthost (verify mode) for each software device that a program under Wine makes, and
ends it when the program closes the device or dies.

One line a request on an AF_UNIX stream, one line back (REPLY_BYTES of tests/windows/cfgmgr32/stand_in.h at most):
  query INSTANCE          gone | started SOCKET INDEX | problem CODE
  create INSTANCE         started SOCKET INDEX | exists | failed; the device lives as long as this connection
  problem CODE INSTANCE   problem; a device that does not start
  close                   closed, when the adapter has ended
"""

import os
import queue
import socket
import threading

from netlab import DRIVER, NTHOST, SOCKETS


class Host:
    """One adapter in nthost."""

    def __init__(self, lab, namespace, index):
        self.lab, self.index, self.name = lab, index, f"w{lab.id}{index}"
        self.socket = os.path.join(SOCKETS, f"{self.name}.ctl")
        reader, writer = os.pipe()
        self.process = lab.start([NTHOST, "run", DRIVER, "--verify", "--down", "--name", self.name, "--ready-fd", str(writer)],
                                 namespace, f"{self.name}.log", pass_fds=(writer,))
        os.close(writer)
        self.ready = bool(os.read(reader, 16))
        os.close(reader)

    def stop(self):
        """Its status, and what it said when that is not 0 (verify mode counts leaks when it ends)."""
        status = self.lab.stop(self.process, timeout=30)
        self.lab.processes.remove(self.process)
        said = self.lab.output_of(self.process) if status else ""
        os.unlink(self.process.log_path)
        return status, said


class Device:
    def __init__(self, instance):
        self.instance, self.host, self.problem = instance, None, None

    def describe(self):
        if self.problem:
            return f"problem {self.problem}"
        return f"started {self.host.socket} {self.host.index}" if self.host else "starting"


class Hosts:
    """Serves from the start to close().  One host is always started in advance: a thousand adapters are made in half the
    time.  `statuses`: how the adapters' hosts ended; `orphaned`: instances whose program ended without closing them."""

    def __init__(self, lab, namespace, path):
        self.lab, self.namespace, self.path = lab, namespace, path
        self.lock, self.devices = threading.Lock(), {}
        self.statuses, self.orphaned, self.failures = [], [], []
        self.closing, self.spares = False, queue.Queue(1)
        self.spare_thread = threading.Thread(target=self.keep_spares, daemon=True)
        self.spare_thread.start()
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(path)
        self.server.listen(16)
        threading.Thread(target=self.accept, daemon=True).start()

    def keep_spares(self):
        index = 0
        while not self.closing:
            index += 1
            self.spares.put(Host(self.lab, self.namespace, index))

    def stop_host(self, host):
        status, said = host.stop()
        self.statuses.append(status)
        if said:
            self.failures.append(said)

    def accept(self):
        while True:
            try:
                connection = self.server.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        owned = None
        with connection, connection.makefile("rw", encoding="utf-8", newline="\n") as stream:
            try:
                for line in stream:
                    words = line.split()
                    if words[:1] == ["close"]:
                        self.end(owned)
                        owned, answer = None, "closed"
                    elif len(words) >= 2 and words[0] in ("create", "problem") and not owned:
                        owned, answer = self.create(words[-1], words[1] if words[0] == "problem" else None)
                    elif len(words) == 2 and words[0] == "query":
                        with self.lock:
                            device = self.devices.get(words[1].lower())
                            answer = device.describe() if device else "gone"
                    else:
                        answer = "what?"
                    stream.write(answer + "\n")
                    stream.flush()
            except OSError:
                pass  # the program died while it was being answered
        if owned:
            self.end(owned, orphaned=True)

    def create(self, instance, problem):
        with self.lock:
            if instance.lower() in self.devices:
                return None, "exists"
            device = self.devices[instance.lower()] = Device(instance)
        device.problem = problem
        if not problem:
            device.host = self.spares.get(timeout=30)
            if not device.host.ready:
                self.end(device)
                return None, "failed"
        return device, device.describe()

    def end(self, device, orphaned=False):
        if device is None:
            return
        if device.host:
            self.stop_host(device.host)
        if orphaned:
            self.orphaned.append(device.instance)
        with self.lock:
            self.devices.pop(device.instance.lower(), None)

    def adapter(self, part):
        """The host of the device whose instance has this part, or None."""
        with self.lock:
            return next((device.host for key, device in self.devices.items() if part.lower() in key), None)

    def close(self):
        self.server.close()
        self.closing = True
        while self.spare_thread.is_alive() or not self.spares.empty():
            try:
                self.stop_host(self.spares.get(timeout=0.1))
            except queue.Empty:
                pass


def check(hosts, lab, results, orphans=0):
    """At the end: all devices have ended, no host found anything left behind, `orphans` programs died."""
    lab.wait_for(lambda: not hosts.devices, "the adapters to end", 30)
    hosts.close()
    results.check(hosts.statuses and not any(hosts.statuses), f"every nthost ({len(hosts.statuses)}) finds nothing left")
    results.check(len(hosts.orphaned) == orphans, f"{orphans} adapters whose program was killed were ended")
    print("".join(hosts.failures), end="")
