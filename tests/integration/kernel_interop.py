#!/usr/bin/python3
"""The driver, in verify mode, against Linux's own WireGuard in an emulated machine: one guest for all scenarios.

Emulation is slow and the machine may be busy: amounts are small, waits long, and no time is asserted closely.  What takes
minutes by the protocol (rekey after 120 s, the end of a session after 180 s) runs beside the other scenarios."""

import argparse
import hashlib
import os
import re
import shutil
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from handshake_load import PROGRAM, HandshakeLoad  # noqa: E402
from kernelpeer import QEMU, Guest, KernelPeer  # noqa: E402
from netlab import DRIVER, NTHOST, Lab, LabError, Peer, Tests, genkey, genpsk, ping, require  # noqa: E402
from scripted_tunnel import inside  # noqa: E402

OUTER4, OUTER6 = ("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")
ATTACK4 = ("203.0.113.1", "203.0.113.2")  # `here` and `attack`
FIRST_PORT = 51820
REKEY_AFTER, REJECT_AFTER = 120, 180
TRANSFER_BYTES = 400000
FLOOD_ON_GUEST, FLOOD_ON_WYRM = 2500, 12000  # initiations per second; more than either opens in a second
INITIATION, RESPONSE, COOKIE_REPLY = 1, 2, 3


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

    def capture(self, expression):
        """tcpdump on the guest's link; the process."""
        path = os.path.join(self.lab.directory, f"capture-{len(self.lab.processes)}.pcap")
        process = self.lab.start(["tcpdump", "-n", "-U", "-i", self.guest.tap, "-w", path, expression], self.here)
        process.pcap = path
        self.lab.wait_for(lambda: "listening" in self.lab.output_of(process), "tcpdump", 20, process)
        return process

    def captured(self, process):
        """(source address, WireGuard message) of IPv4 datagrams, in order."""
        time.sleep(0.5)
        self.lab.stop(process)
        with open(process.pcap, "rb") as file:
            data = file.read()
        found, at = [], 24
        while at + 16 <= len(data):
            length, = struct.unpack_from("<I", data, at + 8)
            packet = data[at + 16 + 14:at + 16 + length]
            at += 16 + length
            if len(packet) > 28 and packet[0] == 0x45 and packet[9] == 17:
                found.append((socket.inet_ntoa(packet[12:16]), packet[28:]))
        return found


class Tunnel:
    """One Wyrm and one WireGuard interface of the guest, with inner networks and ports of their own."""

    def __init__(self, world, outer=OUTER4, psk=None, wyrm_initiates=True, keepalives=(None, None)):
        self.world, self.lab, self.guest, self.here, self.outer = world, world.lab, world.guest, world.here, outer
        number = world.tunnels
        world.tunnels += 1
        self.port = FIRST_PORT + number
        self.inner4 = (f"10.66.{number}.1", f"10.66.{number}.2")
        self.inner6 = (f"fd66:{number:x}::1", f"fd66:{number:x}::2")
        lengths = ("/24", "/64")
        self.wyrm = Peer(self.lab, self.here, "wyrm", f"k{number}",
                         [address[0] + length for address, length in zip((self.inner4, self.inner6), lengths)], self.port,
                         ["--verify"])
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

    def from_here(self, target=None, count=5, interval=0.4, size=56):
        return ping(self.lab, self.here, target or self.inner4[1], count, interval, size)["received"]

    def from_guest(self, target=None, count=5, interval=0.4, size=56):
        return self.guest.ping(target or self.inner4[0], count, interval, size)

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


# ---- handshakes ----
def agree(tests, tunnel, what):
    """Both sides show the same handshake and the same bytes."""
    def transfers():
        wyrm, kernel = tunnel.wyrm_state(), tunnel.kernel_state()
        return (wyrm["tx"], wyrm["rx"]) == (kernel["rx"], kernel["tx"]) and wyrm["tx"] > 0 and wyrm["rx"] > 0

    same = tunnel.await_(transfers, 10)
    wyrm, kernel = tunnel.wyrm_state(), tunnel.kernel_state()
    tests.check(same, f"{what}: both count the same bytes: wyrm {wyrm}, kernel {kernel}")
    apart = kernel["handshake"] - wyrm["handshake"] - tunnel.world.clocks_differ()
    tests.check(wyrm["handshake"] > 0 and abs(apart) <= 5, f"{what}: latest handshakes are {apart} s apart")


def handshakes(world, tests):
    for outer, name in ((OUTER4, "outer IPv4"), (OUTER6, "outer IPv6")):
        for psk in (None, genpsk()):
            for wyrm_initiates in (True, False):
                what = f"{name}, {'PSK' if psk else 'no PSK'}, {'we' if wyrm_initiates else 'they'} initiate"
                tunnel = Tunnel(world, outer, psk, wyrm_initiates)
                first, second = (tunnel.from_here, tunnel.from_guest) if wyrm_initiates else (
                    tunnel.from_guest, tunnel.from_here)
                far = 1 if wyrm_initiates else 0
                tests.equal(first(tunnel.inner4[far]), 5, f"{what}: ping")
                tests.equal(first(tunnel.inner6[far], 3), 3, f"{what}: ping inner IPv6")
                tests.equal(second(tunnel.inner4[1 - far], 3), 3, f"{what}: ping back")
                agree(tests, tunnel, what)
                # The learned endpoint allows the other role as well: both roles in one tunnel.
                before = tunnel.wyrm_state()["handshake"]
                time.sleep(1.1)
                if wyrm_initiates:
                    tunnel.to_wyrm["endpoint"] = tunnel.endpoint(0)
                    tunnel.kernel.renew(tunnel.to_wyrm)
                    tests.equal(tunnel.from_guest(count=3), 3, f"{what}: ping after their new handshake")
                else:
                    tunnel.to_kernel["endpoint"] = tunnel.endpoint(1)
                    tunnel.wyrm.wg("set", "peer", tunnel.kernel.public, "remove")
                    tunnel.wyrm.setconf([tunnel.to_kernel], "addconf")
                    tests.equal(tunnel.from_here(count=3), 3, f"{what}: ping after our new handshake")
                tests.check(tunnel.wyrm_state()["handshake"] > before, f"{what}: there was a new handshake")
                tunnel.finish(tests, what)


def wrong_psk(world, tests):
    tunnel = Tunnel(world, psk=genpsk())
    tunnel.to_wyrm["psk"] = genpsk()
    tunnel.kernel.setconf([tunnel.to_wyrm])
    tests.equal(tunnel.from_here(count=2), 0, "a different PSK on the other side lets nothing through")
    tests.equal(tunnel.wyrm_state()["handshake"], 0, "and completes no handshake")
    tests.check(tunnel.kernel_state()["rx"] > 0, "though the initiation arrived")
    tunnel.finish(tests, "wrong PSK")


SCENARIOS = {"handshakes": handshakes, "wrong-psk": wrong_psk}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    options = parser.parse_args()
    unknown = [name for name in options.scenarios if name not in SCENARIOS]
    if unknown:
        parser.error(f"unknown scenario {unknown[0]} (there are {', '.join(SCENARIOS)})")
    tests = Tests()
    try:
        require(NTHOST, DRIVER, PROGRAM, QEMU, "busybox", "tcpdump", "setpriv", "apt-get")
        world = World()
        print(f"   Linux {world.guest.version} booted in {world.guest.boot_seconds:.0f} s", flush=True)
        for name in options.scenarios or SCENARIOS:
            print(f"-- {name}", flush=True)
            began = time.monotonic()
            try:
                SCENARIOS[name](world, tests)
            except LabError as error:
                tests.check(False, f"{name}: {error}")
                if not world.guest.alive():
                    raise
            print(f"   {time.monotonic() - began:.1f} s", flush=True)
        tests.check(world.guest.alive(), "the guest is there at the end")
        world.guest.stop()
    except LabError as error:
        tests.check(False, str(error))
    return tests.finish()


if __name__ == "__main__":
    sys.exit(main())
