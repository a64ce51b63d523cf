"""What is measured: Wyrm's driver and its user-space engine, wireguard-go, our two floors, and any implementation given by a command line."""

import os
import shlex
import shutil

from netlab import DRIVER, ENGINE, NTHOST, LabError, Peer

from . import BUILT

FLOORS = ("floor-io", "floor-aead")
WIREGUARD = ("wyrm", "wyrm-engine", "wireguard-go")
BUILT_IN = WIREGUARD + FLOORS


class Subject:
    """`command`: of another implementation, words in which {} stands for the interface's name (the last word if none does)."""

    def __init__(self, name, command=None):
        self.name, self.words = name, command

    @property
    def is_floor(self):
        return self.name in FLOORS

    def command(self, interface):
        if any("{}" in word for word in self.words):
            return [word.replace("{}", interface) for word in self.words]
        return self.words + [interface]

    def program(self):
        """What has to be there for it, a path or a name on the search path."""
        if self.is_floor:
            return os.path.join(BUILT, "floor", self.name)
        if self.words:
            return self.words[0]
        return {"wireguard-go": "wireguard-go", "wyrm-engine": ENGINE}.get(self.name, NTHOST)

    def check(self):
        for program in [self.program()] + ([DRIVER] if self.name == "wyrm" else []):
            if not (os.path.exists(program) if "/" in program else shutil.which(program)):
                raise LabError(f"subject {self.name}: {program} is missing" +
                               ("" if self.words else ": run ./setup and ./build.sh"))

    def peer(self, lab, namespace, label, addresses, port):
        return Peer(lab, namespace, self.name, label, addresses, port, command=self.command if self.words else None)


def parse(text):
    """A built-in name or NAME=COMMAND; ValueError says what is wrong."""
    name, equals, command = text.partition("=")
    if not equals:
        if name not in BUILT_IN:
            raise ValueError(f"unknown subject '{name}' ({', '.join(BUILT_IN)}, or NAME=COMMAND)")
        return Subject(name)
    words = shlex.split(command)
    if not name or name in BUILT_IN or not words or not all(c.isalnum() or c in "-_." for c in name):
        raise ValueError(f"'{text}': NAME=COMMAND needs a new name of letters, digits and -_. and a command")
    return Subject(name, words)


class FloorPeer:
    """One end of a floor: no protocol, so it is told where the other end is."""

    def __init__(self, lab, namespace, subject, label, address, port, other):
        self.lab, self.namespace, self.kind = lab, namespace, subject.name
        self.name = f"w{lab.id}{label}"
        self.process = lab.start([subject.program(), self.name, str(port), f"{other}:{port}"], namespace, f"{self.name}.log")
        lab.wait_for(lambda: lab.command(["ip", "link", "show", self.name], namespace, check=False).returncode == 0,
                     f"{subject.name} {self.name}", 10, self.process)
        lab.command(["ip", "address", "add", address, "dev", self.name], namespace)
        lab.command(["ip", "link", "set", self.name, "mtu", "1420", "up"], namespace)

    pid = Peer.pid
    cpu_seconds = Peer.cpu_seconds
    rss_mb = Peer.rss_mb
    stop = Peer.stop
