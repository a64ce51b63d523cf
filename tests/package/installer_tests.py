"""The installer's own actions: where they stand in its sequence, and what they run under Wine, whose installer neither rolls
back nor tells the older version that it is replaced (UPGRADINGPRODUCTCODE)."""
import os
import shutil
import subprocess
import sys
import tempfile

from results import ROOT, check

import installer

sys.path.insert(0, os.path.join(ROOT, "tests", "windows"))
import wine  # noqa: E402

FILES = [("wyrm.exe", "wyrm.exe"), ("wyrm-service.exe", "wyrm-service.exe"), ("README.txt", "README.txt")]
SECONDS = 1790000000


def make(folder, version):
    """An installer of a program that writes down how it was called (tests/windows/msi_program.c)."""
    stage = os.path.join(folder, "stage")
    os.makedirs(stage, exist_ok=True)
    for program in ("wyrm.exe", "wyrm-service.exe"):
        shutil.copy(os.path.join(ROOT, "build", "windows", "msi_program.exe"), os.path.join(stage, program))
    with open(os.path.join(stage, "README.txt"), "w", encoding="ascii") as file:
        file.write(version)
    path = os.path.join(folder, f"{version}.msi")
    installer.make_installer(stage, path, "Wyrm", "wyrm", version, "x64", FILES, SECONDS)
    return path


def test_sequence(path):
    run = subprocess.run(["msiinfo", "export", path, "InstallExecuteSequence"], capture_output=True, text=True, timeout=60)
    rows = [line.split("\t") for line in run.stdout.splitlines()[3:]]
    place = {row[0]: int(row[2]) for row in rows if len(row) == 3}
    check(place.get("InstallFiles", 9999) < place.get("AddDriver", 0) < place.get("InstallFinalize", 0),
          "the driver is added after its files, within the transaction", str(place))
    check(place.get("InstallInitialize", 9999) < min(place.get(name, 0) for name in ("StopTunnels", "RemoveTunnels")) and
          max(place.get(name, 9999) for name in ("StopTunnels", "RemoveTunnels")) < place.get("RemoveDriver", 0),
          "tunnels are stopped, or removed, before the driver", str(place))
    check(place.get("AddDriver", 9999) < place.get("StartTunnels", 0) < place.get("InstallFinalize", 0), "and started behind it", str(place))
    check(place.get("InstallInitialize", 9999) < place.get("RemoveDriver", 0) < place.get("RemoveFiles", 0),
          "the driver is removed before its files, within the transaction", str(place))


class Machine:
    def __init__(self, lab):
        self.lab, self.drive = lab, os.path.join(lab.prefix, "drive_c")
        self.folder = os.path.join(self.drive, "Program Files", "Wyrm")

    def run(self, option, path):
        """(status, the lines that the program wrote, the installed files)"""
        said = os.path.join(self.drive, "actions.txt")
        _, status = self.lab.run("msiexec.exe", "/qn", option, wine.windows_path(path), timeout=120)
        lines = []
        if os.path.exists(said):
            with open(said, encoding="ascii") as file:
                lines = file.read().splitlines()
            os.unlink(said)
        return status, lines, sorted(os.listdir(self.folder)) if os.path.exists(self.folder) else []


def run():
    with tempfile.TemporaryDirectory(prefix="wyrm-msi-") as folder:
        path, installed = make(folder, "0.1.0"), sorted(name for name, _ in FILES)
        test_sequence(path)
        with wine.Wine(folder) as lab:
            machine = Machine(lab)
            found = machine.run("/i", path)
            check(found == (0, ["0.1.0 wyrm install"], installed), "an installation adds the driver", str(found))
            found = machine.run("/i", path)
            check(found == (0, ["0.1.0 wyrm install"], installed), "so does a repetition", str(found))
            found = machine.run("/x", path)
            check(found == (0, ["0.1.0 wyrm-service remove --all", "0.1.0 wyrm uninstall"], []), "removal removes tunnels and the driver, then the files", str(found))
            with open(os.path.join(machine.drive, "fail.txt"), "w", encoding="ascii"):
                pass
            status, lines, _ = machine.run("/i", path)
            check(status and lines == ["0.1.0 wyrm install"], "a driver that cannot be added fails the installation", f"{status} {lines}")
