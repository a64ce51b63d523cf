"""Suite 70-windows: programs under Wine against the bridge, the real driver in nthost (verify mode) behind it."""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wine import PROGRAMS, ROOT, Wine  # noqa: E402  (also makes tests/lib known)
from hosts import Hosts  # noqa: E402
from netlab import NTHOST, DRIVER, SOCKETS, Lab, LabError, require  # noqa: E402
from nthost_control import Control  # noqa: E402


class Results:
    """Counts; a program's own lines and ours."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, good, text):
        self.passed, self.failed = self.passed + bool(good), self.failed + (not good)
        print(("ok " if good else "FAILED ") + text, flush=True)
        return good

    def program(self, name, output, status):
        """Adds up the counts that a program printed last; without them it has failed."""
        lines = output.split("\n")
        counts = [line.split() for line in lines if line.startswith("counts ")]
        for line in lines:
            if line.startswith("FAILED ") or (line and not counts):
                print(f"{name}: {line}")
        if not counts:
            return self.check(False, f"{name}: no result (status {status})")
        self.passed, self.failed = self.passed + int(counts[-1][1]), self.failed + int(counts[-1][2])
        print(f"{name}: {counts[-1][1]} passed, {counts[-1][2]} failed")
        return status == 0


class Host:
    """One adapter in nthost, verify mode."""

    def __init__(self, lab, namespace, label):
        self.lab, self.namespace = lab, namespace
        self.name = f"w{lab.id}{label}"
        self.socket = os.path.join(SOCKETS, f"{self.name}.ctl")
        self.process = lab.start([NTHOST, "run", DRIVER, "--verify", "--down", "--name", self.name], namespace, f"{self.name}.log")
        lab.wait_for(lambda: os.path.exists(self.socket), f"nthost {self.name}", 30, self.process)

    def stop(self, results):
        """Verify mode counts leaks and open requests when it ends."""
        status = self.lab.stop(self.process, timeout=30)
        results.check(status == 0, f"nthost finds nothing left behind (status {status})")
        if status != 0:
            print(self.lab.output_of(self.process))


def control_codes(lab, wine, results):
    """Control codes through CreateFile and DeviceIoControl."""
    host = Host(lab, lab.namespace("ioctl"), "i")
    output, status = wine.run(os.path.join(PROGRAMS, "bridge_ioctl.exe"), host.socket)
    results.program("control codes", output, status)
    with Control(host.name) as control:
        counters = control.counters()
        results.check(counters["pending IRPs"][1] == 0, "the killed process has left no request pending")
    host.stop(results)


def software_devices(lab, wine, results):
    """The stand-in of cfgmgr32.dll itself: devices as documented, faults, death of a program."""
    hosts = Hosts(lab, lab.namespace("device"), os.path.join(lab.directory, "devices.sock"))
    output, status = wine.run(os.path.join(PROGRAMS, "bridge_device.exe"), bridge=hosts)
    results.program("software devices", output, status)
    lab.wait_for(lambda: not hosts.devices, "the killed program's adapter to end", 30)
    results.check(len(hosts.orphaned) == 1, "the killed program's adapter was ended")
    results.check(hosts.statuses and not any(hosts.statuses), f"every nthost ({len(hosts.statuses)}) finds nothing left")
    print("".join(hosts.failures), end="")
    hosts.close()


def main():
    results, lab, started = Results(), None, time.monotonic()
    try:
        require(NTHOST, DRIVER, os.path.join(PROGRAMS, "bridge_proxy.sys"))
        lab = Lab()
        with Wine(lab.directory) as wine:
            print(f"prefix after {time.monotonic() - started:.1f} s")
            for part in (control_codes, software_devices):
                part(lab, wine, results)
                print(f"{part.__name__} after {time.monotonic() - started:.1f} s", flush=True)
    except LabError as error:
        results.check(False, str(error))
    finally:
        if lab:
            lab.close()
    print(f"{results.passed} passed, {results.failed} failed, 0 skipped")
    return results.failed != 0


sys.exit(main())
