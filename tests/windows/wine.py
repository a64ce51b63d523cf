"""Wine without a display for one run: a prefix of its own, made from a template in build/ by hard links, ended by its own
wineserver.  Debian's package wine64; nothing of the user's own Wine is touched."""

import fcntl
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
from netlab import LabError  # noqa: E402

WINE = "/usr/lib/wine/wine64"
WINESERVER = "/usr/lib/wine/wineserver64"
TEMPLATE = os.path.join(ROOT, "build", "wine-template")
PROGRAMS = os.path.join(ROOT, "build", "windows")
BIN = os.path.join(ROOT, "build", "bin")


def environment(prefix):
    """No variable of the caller's own Wine, no display, no shortcuts, no .NET, no browser."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WINE") and key != "DISPLAY"}
    return dict(kept, HOME=prefix, WINEPREFIX=prefix, WINEDEBUG=os.environ.get("WYRM_WINEDEBUG", "-all"),
                WINEDLLOVERRIDES="winemenubuilder.exe=d;mscoree=;mshtml=")


def windows_path(path):
    """Wine shows the root directory as drive Z."""
    return "Z:" + path.replace("/", "\\")


def make_template():
    """Once per build directory (15 s, 700 MB, nearly all of it shared with every prefix made from it)."""
    os.makedirs(os.path.dirname(TEMPLATE), exist_ok=True)
    with open(TEMPLATE + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(TEMPLATE):
            return
        new = TEMPLATE + ".new"
        shutil.rmtree(new, ignore_errors=True)
        os.makedirs(new)
        done = subprocess.run([WINE, "winecfg", "-v", "win10"], env=environment(new), capture_output=True, text=True,
                              timeout=180, check=False)
        subprocess.run([WINESERVER, "-w"], env=environment(new), timeout=60, check=False)
        if done.returncode != 0 or not os.path.exists(os.path.join(new, "system.reg")):
            raise LabError(f"Wine could not make a prefix: {done.stderr.strip()}")
        os.rename(new, TEMPLATE)


class Wine:
    """A prefix and what runs in it; close() (or the end of a `with`) ends and deletes it."""

    def __init__(self, directory, services=None):
        """`services`: variables of the services' environment, which Wine makes of the registry; those that begin with WINE
        come from the first program's."""
        if not os.path.exists(WINE):
            raise LabError(f"{WINE} is missing: run ./setup")
        make_template()
        self.directory, self.prefix, self.programs = directory, os.path.join(directory, "wine"), 0
        self.environment = dict(environment(self.prefix), **(services or {}))

        def link_or_copy(source, target):
            # Registry files are written in place; everything else is only ever replaced.
            if source.endswith(".reg"):
                shutil.copy2(source, target)
            else:
                os.link(source, target)

        shutil.copytree(TEMPLATE, self.prefix, symlinks=True, copy_function=link_or_copy)
        self.windows = os.path.join(self.prefix, "drive_c", "windows")
        for driver in ("wyrm.sys", "wireguard.sys"):  # ours, and that of the vendor whose name programs know
            self.replace(os.path.join(PROGRAMS, "bridge_proxy.sys"), os.path.join(self.windows, "system32", "drivers", driver))
        # Chosen by the programs that ask for it (start); Wine takes its own for all others.
        self.replace(os.path.join(PROGRAMS, "cfgmgr32.dll"), os.path.join(self.windows, "system32", "cfgmgr32.dll"))
        if services:  # before the server reads it
            with open(os.path.join(self.prefix, "system.reg"), "a", encoding="utf-8") as file:
                file.write("\n[System\\\\CurrentControlSet\\\\Control\\\\Session Manager\\\\Environment] 1\n")
                for name, value in services.items():
                    escaped = value.replace("\\", "\\\\")
                    file.write(f'"{name}"="{escaped}"\n')
        subprocess.run([WINESERVER, "-p"], env=self.environment, check=True, timeout=30)

    def install_dll(self, date="2026-01-02", vendor=None):
        """wyrm.dll with the driver's package of that date beside it, in C:\\wyrm; or the set of a vendor in C:\\vendor.  The
        package's driver is the proxy."""
        name = vendor.lower() if vendor else "wyrm"
        folder = self.folder("vendor" if vendor else "wyrm")
        self.replace(os.path.join(PROGRAMS if vendor else BIN, f"{name}.dll"), os.path.join(folder, f"{name}.dll"))
        self.replace(os.path.join(PROGRAMS, "bridge_proxy.sys"), os.path.join(folder, f"{name}.sys"))
        make = [sys.executable, os.path.join(ROOT, "packaging", "make_inf.py"), "x64", "0.1.0", date, *filter(None, [vendor])]
        inf = subprocess.run(make, check=True, capture_output=True, text=True, timeout=30).stdout
        # Wine does not know models for certain versions of Windows.
        inf = re.sub(r"NTamd64\.10\.0, NTamd64\.10\.0\.\.\.16299", "NTamd64", inf)
        inf = inf.replace("[Models.NTamd64.10.0...16299]", "[Models.NTamd64]")
        for file_name, content in ((f"{name}.inf", inf), (f"{name}.cat", "")):  # Wine looks at no signature
            with open(os.path.join(folder, file_name), "w", encoding="ascii", newline="\r\n") as file:
                file.write(content)
        # Wine installs a package under its own name when that is free, and does not uninstall it then; so it is not free.
        with open(os.path.join(self.windows, "inf", f"{name}.inf"), "w", encoding="ascii") as file:
            file.write('[Version]\r\nSignature="$Windows NT$"\r\n')

    def folder(self, name):
        """A folder on drive C."""
        return os.path.join(self.prefix, "drive_c", name)

    @staticmethod
    def replace(source, target):
        """Never through a hard link."""
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.lexists(target):
            os.unlink(target)
        shutil.copy2(source, target)

    def install_program(self):
        """wyrm.exe beside the DLL, and the stand-in of iphlpapi.dll that records (start)."""
        self.replace(os.path.join(BIN, "wyrm.exe"), os.path.join(self.prefix, "drive_c", "wyrm", "wyrm.exe"))
        self.replace(os.path.join(PROGRAMS, "iphlpapi.dll"), os.path.join(self.windows, "system32", "iphlpapi.dll"))

    def start(self, program, *arguments, bridge=None, variables=None, record=None, stdin=subprocess.DEVNULL):
        """Starts a program; its output goes to a file (a pipe would stay open in Wine's own services).  `bridge`: the
        Hosts (tests/windows/hosts.py) that its software devices lead to, by way of the native cfgmgr32.dll.  `record`: a
        file that gets a line for each call that configures IP, by way of a native iphlpapi.dll."""
        self.programs += 1
        variables = dict(variables or {})
        if bridge:
            variables["WYRM_BRIDGE_SOCKET"] = bridge.path
            variables["WINEDLLOVERRIDES"] = self.environment["WINEDLLOVERRIDES"] + ";cfgmgr32=n"
        if record:
            variables["WYRM_RECORD"] = windows_path(record)
            variables["WINEDLLOVERRIDES"] = variables.get("WINEDLLOVERRIDES", self.environment["WINEDLLOVERRIDES"]) + ";iphlpapi=n"
        path = os.path.join(self.directory, f"program-{self.programs}.log")
        with open(path, "wb") as output:
            process = subprocess.Popen([WINE, program, *arguments], env=dict(self.environment, **variables),
                                       stdin=stdin, stdout=output, stderr=subprocess.STDOUT)
        process.log_path = path
        return process

    @staticmethod
    def finish(process, timeout=60):
        """Its output as text and its status; 124: too slow, and ended."""
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            status = 124
        with open(process.log_path, encoding="utf-8", errors="replace", newline="") as file:
            return file.read().replace("\r", ""), status

    def run(self, program, *arguments, timeout=60, **options):
        """Options are those of start()."""
        return self.finish(self.start(program, *arguments, **options), timeout)

    def sockets_of(self, program):
        """Open sockets of all processes of this prefix that run the program."""
        count, mark = 0, f"WINEPREFIX={self.prefix}\0".encode()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file, open(f"/proc/{pid}/cmdline", "rb") as command:
                    if mark not in file.read() or program.encode() not in command.read():
                        continue
                for name in os.listdir(f"/proc/{pid}/fd"):
                    count += os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:")
            except OSError:
                continue  # it has ended
        return count

    def close(self):
        subprocess.run([WINESERVER, "-k"], env=self.environment, check=False, timeout=30)
        subprocess.run([WINESERVER, "-w"], env=self.environment, check=False, timeout=30)
        shutil.rmtree(self.prefix, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()
