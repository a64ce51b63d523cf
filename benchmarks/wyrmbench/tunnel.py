"""One subject at both ends of a veth pair between two namespaces, and the ways to load it."""

import base64
import contextlib
import json
import os
import re
import time

from handshake_load import HandshakeLoad
from netlab import IperfServer, LabError, ping

from . import BUILT
from .subjects import FloorPeer

UDP_LOAD = os.path.join(BUILT, "udp", "udp_load")
OUTER = ("192.0.2.1", "192.0.2.2")
INNER = ("10.66.0.1", "10.66.0.2")
PORT, UDP_PORT, GRO_PORT = 51820, 5301, 5302
MTU = 1420
# The features of a veth interface that carry a segmented run in one piece.
WIRE_OFFLOADS = ("tx-udp-segmentation", "generic-segmentation-offload", "generic-receive-offload")
FLOOD = {"count": 10**9, "rate": 20000, "sources": 250, "ports": 16}  # initiations of 64 strangers, again and again


def strangers(count):
    """Peers that never speak: random public keys, an address each."""
    return [{"public": base64.b64encode(os.urandom(32)).decode(), "allowed": [f"10.{80 + n // 65536}.{n // 256 % 256}.{n % 256}/32"]}
            for n in range(count)]


class Tunnel:
    """`peers`: how many each end has; all but one never speak."""

    def __init__(self, lab, subject, label, peers=1):
        self.lab, self.subject = lab, subject
        self.here, self.there = lab.namespace(f"{label}a"), lab.namespace(f"{label}b")
        self.wires = lab.link(self.here, self.there, [OUTER[0] + "/24"], [OUTER[1] + "/24"], label=label)
        if subject.is_floor:
            self.near = FloorPeer(lab, self.here, subject, f"{label}a", INNER[0] + "/24", PORT, OUTER[1])
            self.far = FloorPeer(lab, self.there, subject, f"{label}b", INNER[1] + "/24", PORT, OUTER[0])
        else:
            self.near = subject.peer(lab, self.here, f"{label}a", [INNER[0] + "/24"], PORT)
            self.far = subject.peer(lab, self.there, f"{label}b", [INNER[1] + "/24"], PORT)
            others = strangers(peers - 1)
            self.far.setconf(others + [{"public": self.near.public, "allowed": [INNER[0] + "/32"]}], routes=False)
            self.near.setconf(others + [{"public": self.far.public, "allowed": [INNER[1] + "/32"],
                                         "endpoint": f"{OUTER[1]}:{PORT}"}], routes=False)
        lab.wait_for(lambda: ping(lab, self.here, INNER[1], 1)["received"] == 1, f"{subject.name}: the tunnel", 20)
        for peer in (self.near, self.far):
            mtu = json.loads(lab.command(["ip", "-j", "link", "show", peer.name], peer.namespace).stdout)[0]["mtu"]
            if mtu != MTU:
                raise LabError(f"{subject.name}: the MTU of {peer.name} is {mtu}, not {MTU}: the subjects would not be comparable")
        self.server = IperfServer(lab, self.there, INNER[1])
        self.receivers = False
        self.load = None

    # ---- loads ----
    def iperf(self, seconds, **arguments):
        """One run; the server is sometimes not ready again at once after the run before."""
        for attempt in range(3):
            try:
                return self.server.run(self.here, seconds, **arguments)
            except LabError:
                if attempt == 2:
                    raise
                time.sleep(1)
        return None

    def tcp(self, seconds, **arguments):
        """{"mbps", "bytes"} that the far end (with reverse: the near one) received."""
        got = self.iperf(seconds, **arguments)["end"]["sum_received"]
        return {"mbps": got["bits_per_second"] / 1e6, "bytes": got["bytes"]}

    @contextlib.contextmanager
    def tcp_beside(self):
        """A TCP stream from near to far while the block runs."""
        process = self.lab.start(["iperf3", "-c", INNER[1], "-t", "600"], self.here)
        try:
            time.sleep(0.5)
            yield
            if process.poll() is not None:
                raise LabError(f"{self.subject.name}: the stream beside ended: {self.lab.output_of(process)[-400:]}")
        finally:
            self.lab.stop(process, timeout=5)
            self.lab.processes.remove(process)
            time.sleep(0.3)  # the server takes notice

    def udp(self, size, seconds, rate=0, gso=False):
        """{"sent", "received", "seconds"} of packets with `size` bytes of payload, from near to far."""
        if not self.receivers:
            for port, extra in ((UDP_PORT, []), (GRO_PORT, ["gro"])):
                process = self.lab.start([UDP_LOAD, "receive", INNER[1], str(port)] + extra, self.there)
                self.lab.wait_for(lambda p=process: "ready" in self.lab.output_of(p), "udp_load", 5, process)
            self.receivers = True
        command = [UDP_LOAD, "send", INNER[1], str(GRO_PORT if gso else UDP_PORT), str(size), str(seconds), str(rate)]
        done = self.lab.command(command + (["gso"] if gso else []), self.here, timeout=seconds + 40)
        sent, received = (json.loads(line) for line in done.stdout.splitlines())
        return {"sent": sent["packets"], "received": received["packets"], "seconds": max(sent["seconds"], received["seconds"])}

    def ping(self, count, interval=0.01):
        result = ping(self.lab, self.here, INNER[1], count, interval)
        if not result["times_us"]:
            raise LabError(f"{self.subject.name}: no echo reply at all")
        return result["times_us"]

    @contextlib.contextmanager
    def wire_offload_off(self):
        """Neither end of the veth pair takes or gives segmented runs while the block runs."""
        def turn(state):
            for wire, space in zip(self.wires, (self.here, self.there)):
                self.lab.command(["ethtool", "-K", wire] + [word for name in WIRE_OFFLOADS for word in (name, state)], space)
        turn("off")
        try:
            yield
        finally:
            turn("on")

    def flood(self):
        """20,000 replayed initiations a second to the near end, until the block is left."""
        if not self.load:
            self.load = HandshakeLoad(self.lab, self.here, self.there, OUTER[1], f"{OUTER[0]}:{PORT}", self.near.public)
        return self.load.flood(**FLOOD)

    # ---- costs ----
    def cpu(self):
        """CPU seconds so far of the sender (near) and the receiver (far)."""
        return self.near.cpu_seconds(), self.far.cpu_seconds()

    def peak_mb(self):
        peaks = []
        for peer in (self.near, self.far):
            with open(f"/proc/{peer.pid()}/status", encoding="ascii") as file:
                peaks.append(int(re.search(r"VmHWM:\s+(\d+)", file.read()).group(1)) / 1024)
        return max(peaks)
