"""What the suites with a Linux guest stand on: the guest behind a tap device, a namespace that floods, and tunnels between the
guest's WireGuard and Wyrm in verify mode."""

import time

from cookie_exchange import Capture
from kernelpeer import Guest, KernelPeer
from netlab import Lab, Peer, ping

OUTER4, OUTER6 = ("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")
ATTACK4 = ("203.0.113.1", "203.0.113.2")  # `here` and `attack`
FIRST_PORT = 51820


class World:
    """The guest behind a tap device of namespace `here`, where every Wyrm lives; `attack` floods through `here`."""

    def __init__(self):
        self.lab = Lab()
        self.here, self.attack = self.lab.namespace("here"), self.lab.namespace("attack")
        self.lab.command(["sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0",
                          "net.ipv4.conf.default.rp_filter=0"], self.here)
        self.lab.link(self.here, self.attack, [ATTACK4[0] + "/24"], [ATTACK4[1] + "/24"])
        self.lab.command(["ip", "route", "add", "default", "via", ATTACK4[0]], self.attack)
        self.guest = Guest(self.lab, self.here, [OUTER4[0] + "/24", OUTER6[0] + "/64"], [OUTER4[1] + "/24", OUTER6[1] + "/64"])
        self.guest.check(f"ip route add default via {OUTER4[0]}")
        self.tunnels = 0

    def clocks_differ(self):
        """Seconds by which the guest's clock is ahead."""
        return int(self.guest.check("date +%s")) - int(time.time())

    def answer_echoes(self, yes):
        """Whether pings are answered: without answers data goes one way only."""
        setting = f"net.ipv4.icmp_echo_ignore_all={0 if yes else 1}"
        self.lab.command(["sysctl", "-q", "-w", setting], self.here)
        self.guest.check(f"sysctl -w {setting}")

    def capture(self, expression):
        """tcpdump on the guest's link."""
        return Capture(self.lab, self.here, self.guest.tap, expression)


class Tunnel:
    """One Wyrm and one WireGuard interface of the guest, with inner networks and ports of their own."""

    def __init__(self, world, outer=OUTER4, psk=None, wyrm_initiates=True, keepalives=(None, None), verify=True):
        self.world, self.lab, self.guest, self.here, self.outer = world, world.lab, world.guest, world.here, outer
        number = world.tunnels
        world.tunnels += 1
        self.port = FIRST_PORT + number
        self.inner4 = (f"10.66.{number}.1", f"10.66.{number}.2")
        self.inner6 = (f"fd66:{number:x}::1", f"fd66:{number:x}::2")
        lengths = ("/24", "/64")
        self.wyrm = Peer(self.lab, self.here, "wyrm", f"k{number}",
                         [address[0] + length for address, length in zip((self.inner4, self.inner6), lengths)], self.port,
                         ["--verify"] if verify else [])
        self.kernel = KernelPeer(self.guest, f"wg{number}",
                                 [address[1] + length for address, length in zip((self.inner4, self.inner6), lengths)],
                                 self.port)
        self.to_kernel = {"public": self.kernel.public, "allowed": [self.inner4[1] + "/32", self.inner6[1] + "/128"],
                          "psk": psk, "keepalive": keepalives[0]}
        self.to_wyrm = {"public": self.wyrm.public, "allowed": [self.inner4[0] + "/32", self.inner6[0] + "/128"],
                        "psk": psk, "keepalive": keepalives[1]}
        if wyrm_initiates:
            self.to_kernel["endpoint"] = self.endpoint(1)
        else:
            self.to_wyrm["endpoint"] = self.endpoint(0)
        self.kernel.setconf([self.to_wyrm])
        self.wyrm.setconf([self.to_kernel])

    def endpoint(self, side, address=None, port=None):
        address, port = address or self.outer[side], port or self.port
        return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

    def from_here(self, target=None, count=5, interval=0.3, size=56):
        return ping(self.lab, self.here, target or self.inner4[1], count, interval, size)["received"]

    def from_guest(self, target=None, count=5, interval=0.3, size=56):
        return self.guest.ping(target or self.inner4[0], count, interval, size)

    def renew_here(self):
        """Wyrm forgets the kernel's key with its sessions, and has it again: its next packet needs a handshake."""
        self.wyrm.wg("set", "peer", self.kernel.public, "remove")
        # (setconf of netlab.Peer names key and port again, which are the same.)
        self.wyrm.setconf([self.to_kernel], "addconf")

    def wyrm_state(self):
        return self.wyrm.dump()[self.kernel.public]

    def kernel_state(self):
        return self.kernel.dump()[self.wyrm.public]

    def await_(self, condition, seconds):
        """Is it so within this time?"""
        deadline = time.monotonic() + seconds
        while not (result := condition()) and time.monotonic() < deadline:
            time.sleep(0.3)
        return result

    def finish(self, tests, what):
        status = self.wyrm.stop()
        tests.check(status == 0, f"{what}: nthost ended with {status}:\n{self.lab.output_of(self.wyrm.process)[-3000:]}")
        self.kernel.remove()
