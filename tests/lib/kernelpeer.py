"""Linux's own WireGuard as a peer: a Debian kernel in an emulated machine (no virtualisation needed), connected to a
namespace of the laboratory by a tap device.

    guest = Guest(lab, namespace, ["192.0.2.1/24"], ["192.0.2.2/24"])
    status, output = guest.run("wg show")
    peer = KernelPeer(guest, "wg0", ["10.66.0.2/24"])

Commands go over a virtio port, one at a time (a serial port loses bytes when the machine is busy); the serial port is the
console, which failures quote."""

import base64
import os
import re
import select
import shlex
import socket
import time

from kernelpeer_image import guest_image
from netlab import LabError, genkey

QEMU = "qemu-system-x86_64"
MEMORY_MB = 256
BOOT_SECONDS = 240
COMMAND_SECONDS = 40
GRACE_SECONDS = 30  # for the emulated machine to answer at all
CONSOLE_TAIL = 3000


class Guest:
    """One emulated machine; ended with the laboratory, or with this process if that is killed."""

    def __init__(self, lab, namespace, addresses_here, addresses_there):
        self.lab, self.namespace = lab, namespace
        self.kernel, self.initramfs, self.version = guest_image()
        self.tap = f"t{lab.id}k"
        self.console = os.path.join(lab.directory, "console.log")
        self.control_path = os.path.join(lab.directory, "control.sock")
        self.numbers, self.buffer = 0, b""
        lab.command(["ip", "tuntap", "add", "dev", self.tap, "mode", "tap"], namespace)
        for address in addresses_here:
            self.address_here("add", address)
        lab.command(["ip", "link", "set", self.tap, "up"], namespace)
        self.boot()
        for address in addresses_there:
            self.check(f"ip address add {address} dev eth0")

    def address_here(self, verb, address):
        extra = ["nodad"] if ":" in address and verb == "add" else []
        self.lab.command(["ip", "address", verb, address, "dev", self.tap] + extra, self.namespace)

    # ---- life ----
    def boot(self):
        command = ["setpriv", "--pdeathsig", "KILL", QEMU, "-M", "q35", "-cpu", "max", "-accel", "tcg", "-smp", "1", "-m",
                   str(MEMORY_MB), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                   "-kernel", self.kernel, "-initrd", self.initramfs,
                   "-append", "console=ttyS0 quiet mitigations=off no_timer_check random.trust_cpu=on panic=-1 rdinit=/init",
                   "-netdev", f"tap,id=net0,ifname={self.tap},script=no,downscript=no",
                   "-device", "virtio-net-pci,netdev=net0,romfile=", "-serial", f"file:{self.console}",
                   "-chardev", f"socket,id=control,path={self.control_path},server=on,wait=off",
                   "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=control,name=control"]
        self.process = self.lab.start(command, self.namespace, "qemu.log")
        began = time.monotonic()
        self.control = socket.socket(socket.AF_UNIX)
        self.lab.wait_for(lambda: self.control.connect_ex(self.control_path) == 0, "qemu", 60, self.process)
        self.control.setblocking(False)
        # What is sent before the guest has opened its end may be lost.
        while not self.answers(5):
            if time.monotonic() - began > BOOT_SECONDS or not self.alive():
                raise LabError(f"guest: did not boot within {BOOT_SECONDS} s\n{self.tail()}")
        self.boot_seconds = time.monotonic() - began

    def stop(self):
        self.control.close()
        return self.lab.stop(self.process)

    def alive(self):
        return self.process.poll() is None

    def tail(self):
        """The end of the console, and what qemu said."""
        try:
            with open(self.console, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except FileNotFoundError:
            text = ""
        return f"console: ...{text[-CONSOLE_TAIL:]}\nqemu: {self.lab.output_of(self.process)[-1000:]}"

    # ---- commands ----
    def answers(self, timeout):
        """Does it take a command?  (None of its last ones may be unanswered.)"""
        try:
            return self.run("true", timeout, grace=0)[0] == 0
        except LabError:
            return False

    def line(self, timeout, what):
        deadline = time.monotonic() + timeout
        while b"\n" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not self.alive():
                raise LabError(f"guest: {what}: " + ("no answer in time" if self.alive() else "the machine ended")
                               + "\n" + self.tail())
            if select.select([self.control], [], [], min(left, 1))[0]:
                data = self.control.recv(65536)
                if not data:
                    raise LabError(f"guest: {what}: the control port was closed\n{self.tail()}")
                self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode(errors="replace").rstrip("\r")

    def run(self, script, timeout=COMMAND_SECONDS, grace=GRACE_SECONDS):
        """(exit status, output) of a shell script in the guest; status 137 when it had to be ended."""
        self.numbers += 1
        message = f"{self.numbers} {timeout} {base64.b64encode(script.encode()).decode()}\n".encode()
        while message:
            if not select.select([], [self.control], [], GRACE_SECONDS)[1]:
                raise LabError(f"guest: does not read commands\n{self.tail()}")
            message = message[self.control.send(message):]
        while True:
            answer = self.line(timeout + grace, script.split("\n")[0][:80]).split(" ")
            if answer[:2] == ["result", str(self.numbers)]:
                return int(answer[2]), base64.b64decode(answer[3] if len(answer) > 3 else "").decode(errors="replace")

    def check(self, script, timeout=COMMAND_SECONDS):
        """Output of a script that has to succeed."""
        status, output = self.run(script, timeout)
        if status:
            raise LabError(f"guest: {script.splitlines()[0][:80]}: status {status}: {output[-500:]}")
        return output

    def ping(self, target, count=5, interval=0.2, size=56, wait=3):
        """How many of `count` echo requests were answered."""
        end = int(count * interval + wait + 10)
        _, output = self.run(f"ping -c {count} -i {interval} -s {size} -W {wait} {target}", end)
        match = re.search(r"(\d+) packets received", output)
        return int(match.group(1)) if match else 0


class KernelPeer:
    """One WireGuard interface of the guest, with the verbs of netlab.Peer that the suite needs."""

    def __init__(self, guest, name, addresses, port, mtu=1420):
        self.guest, self.name, self.port = guest, name, port
        self.private, self.public = genkey()
        lines = [f"ip link add {name} type wireguard", f"ip link set {name} mtu {mtu}"]
        lines += [f"ip address add {address} dev {name}" for address in addresses]
        guest.check("set -e\n" + "\n".join(lines) + f"\nip link set {name} up")

    def setconf(self, peers):
        """As netlab.Peer.setconf; the keys go over the control port, in no argument."""
        lines = ["[Interface]", f"PrivateKey = {self.private}", f"ListenPort = {self.port}"]
        for peer in peers:
            lines += self.section(peer)
        self.configure("setconf", lines)

    @staticmethod
    def section(peer):
        lines = ["[Peer]", f"PublicKey = {peer['public']}", f"AllowedIPs = {', '.join(peer['allowed'])}"]
        for key, name in (("endpoint", "Endpoint"), ("psk", "PresharedKey"), ("keepalive", "PersistentKeepalive")):
            if peer.get(key):
                lines.append(f"{name} = {peer[key]}")
        return lines

    def configure(self, verb, lines):
        text = "\n".join(lines)
        self.guest.check(f"wg {verb} {self.name} /dev/stdin <<'END'\n{text}\nEND")

    def renew(self, peer):
        """Forgets the peer with its sessions, and has it again: the next packet needs a handshake."""
        self.wg("set", "peer", peer["public"], "remove")
        self.configure("addconf", self.section(peer))

    def wg(self, *arguments):
        return self.guest.check(shlex.join(["wg", arguments[0], self.name] + list(arguments[1:])))

    def dump(self):
        peers = {}
        for line in self.wg("show", "dump").splitlines()[1:]:
            fields = line.split("\t")
            peers[fields[0]] = {"endpoint": fields[2], "allowed": fields[3], "handshake": int(fields[4]),
                                "rx": int(fields[5]), "tx": int(fields[6]), "keepalive": fields[7]}
        return peers

    def remove(self):
        self.guest.check(f"ip link del {self.name}")
