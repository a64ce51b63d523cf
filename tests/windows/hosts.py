"""The suite's end of the bridge: starts an nthost (verify mode) for each software device that a program under Wine makes, and
ends it when the program closes the device or dies.

One line a request on an AF_UNIX stream, one line back (REPLY_BYTES of tests/windows/cfgmgr32/stand_in.h at most):
  query INSTANCE          gone | started SOCKET INDEX | problem CODE
  create INSTANCE         started SOCKET INDEX | exists | failed; the device lives as long as this connection
  problem CODE INSTANCE   problem; a device that does not start
  close                   closed, when the adapter has ended
"""

import os
import socket
import threading

from netlab import DRIVER, NTHOST, SOCKETS


class Device:
    def __init__(self, instance, index):
        self.instance, self.index = instance, index
        self.name = self.socket = self.process = self.problem = None

    def describe(self):
        return f"problem {self.problem}" if self.problem else f"started {self.socket} {self.index}"


class Hosts:
    """Serves from the start to close().  `statuses`: how the adapters' hosts ended; `orphaned`: instances whose program
    ended without closing them."""

    def __init__(self, lab, namespace, path):
        self.lab, self.namespace, self.path = lab, namespace, path
        self.lock, self.devices, self.made = threading.Lock(), {}, 0
        self.statuses, self.orphaned, self.failures = [], [], []
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(path)
        self.server.listen(16)
        threading.Thread(target=self.accept, daemon=True).start()

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
            self.made += 1
            device = self.devices[instance.lower()] = Device(instance, self.made)
        device.problem = problem
        if not problem and not self.start(device):
            self.end(device)
            return None, "failed"
        return device, device.describe()

    def start(self, device):
        device.name = f"w{self.lab.id}{device.index}"
        device.socket = os.path.join(SOCKETS, f"{device.name}.ctl")
        reader, writer = os.pipe()
        command = self.lab._in(self.namespace, [NTHOST, "run", DRIVER, "--verify", "--down", "--name", device.name,
                                                "--ready-fd", str(writer)])
        device.process = self.lab.start(command, log=f"{device.name}.log", pass_fds=(writer,))
        os.close(writer)
        ready = os.read(reader, 16)
        os.close(reader)
        if not ready:
            self.failures.append(self.lab.output_of(device.process))
        return bool(ready)

    def end(self, device, orphaned=False):
        if device is None:
            return
        if device.process:
            status = self.lab.stop(device.process, timeout=30)
            self.lab.processes.remove(device.process)
            self.statuses.append(status)
            if status:
                self.failures.append(self.lab.output_of(device.process))
            os.unlink(device.process.log_path)
        if orphaned:
            self.orphaned.append(device.instance)
        with self.lock:
            self.devices.pop(device.instance.lower(), None)

    def adapter(self, part):
        """The device whose instance has this part, or None."""
        with self.lock:
            return next((device for key, device in self.devices.items() if part.lower() in key), None)

    def close(self):
        self.server.close()
