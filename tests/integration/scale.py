#!/usr/bin/python3
"""A21: 10,000 peers on one adapter: setting and getting them, memory, and what they cost the one that is busy.

Figures are printed; the limits that are asserted leave room for a busy machine (best of several, see the constants)."""

import os
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import base64  # noqa: E402

from netlab import DRIVER, NTHOST, IperfServer, Lab, ping  # noqa: E402
from netlab import Peer as LabPeer  # noqa: E402
from nthost_control import IOCTL_GET, ALLOWED_IP_FORMAT, INTERFACE_FORMAT, PEER_FORMAT, Control, Interface, Peer  # noqa: E402
from scenarios import run_scenarios  # noqa: E402

PEERS, FEW = 10000, 10
SET_SECONDS, GET_SECONDS = 1.0, 0.5  # what the issue asks for
BUSY = 3                             # times as long is tolerated where other work has the machine
PEER_BYTES = 4096
COST_RATIO, COST_RATIO_ASSERTED = 1.3, 1.8
TRIES = 3
HERE, THERE = "10.66.0.1", "10.66.0.2"


def crowd(count):
    """Peers with random keys and a prefix each, none of which the tunnel uses."""
    return [Peer(public_key=os.urandom(32), allowed_ips=[f"10.{77 + number // 65536}.{number // 256 % 256}.{number % 256}/32"])
            for number in range(count)]


class Tunnel:
    def __init__(self):
        self.lab = Lab()
        self.here, self.there = self.lab.namespace("here"), self.lab.namespace("there")
        self.lab.link(self.here, self.there, ["192.0.2.1/24"], ["192.0.2.2/24"])
        self.near = LabPeer(self.lab, self.here, "wyrm", "a", [HERE + "/24"])
        self.far = LabPeer(self.lab, self.there, "wyrm", "b", [THERE + "/24"])
        self.far.setconf([{"public": self.near.public, "allowed": [HERE + "/32"]}])
        self.near.setconf([{"public": self.far.public, "allowed": [THERE + "/32"], "endpoint": "192.0.2.2:51820"}])
        self.control = Control(self.near.name)
        self.file = self.control.open()
        self.busy = Peer(public_key=base64.b64decode(self.far.public), endpoint=("192.0.2.2", 51820),
                         allowed_ips=[THERE + "/32"])

    def set_peers(self, peers):
        """Replaces all peers in one SET; seconds."""
        buffer = Interface(replace_peers=True, peers=[self.busy] + peers).pack()
        began = time.monotonic()
        self.file.set(buffer).check()
        return time.monotonic() - began

    def connect(self):
        self.lab.wait_for(lambda: ping(self.lab, self.here, THERE, 1, 0.2)["received"] == 1, "the tunnel", 15)

    def finish(self, tests):
        self.file.close()
        self.control.disconnect()
        for peer in (self.near, self.far):
            began = time.monotonic()
            status = peer.stop()
            tests.equal(status, 0, f"unload ({self.lab.output_of(peer.process)[-2000:] if status else ''})")
            print(f"   halt and unload in {time.monotonic() - began:.2f} s")
        self.lab.close()


def configure(tests):
    """SET, GET and memory of 10,000 peers; removal gives all of it back."""
    tunnel = Tunnel()
    tunnel.set_peers([])
    before = tunnel.near.rss_mb()
    peers = crowd(PEERS)
    set_seconds = tunnel.set_peers(peers)
    each = (tunnel.near.rss_mb() - before) * 2**20 / PEERS
    _, allocations, _ = tunnel.control.counters()["pool allocations"]
    again, removed, gets = [], [], []
    for _ in range(TRIES - 1):
        removed.append(tunnel.set_peers([]))
        again.append(tunnel.set_peers(peers))
    for _ in range(TRIES):
        size = INTERFACE_FORMAT.size + (PEERS + 1) * (PEER_FORMAT.size + ALLOWED_IP_FORMAT.size)
        began = time.monotonic()
        result = tunnel.file.ioctl(IOCTL_GET, None, bytes(size))
        gets.append(time.monotonic() - began)
        tests.equal((result.status, result.information), (0, size), f"GET of {PEERS} peers")
    shown = Interface.unpack(result.out)
    tests.equal(sorted(peer.public_key for peer in shown.peers[1:]) if shown.peers[0].public_key == tunnel.busy.public_key
                else sorted(peer.public_key for peer in shown.peers if peer.public_key != tunnel.busy.public_key),
                sorted(peer.public_key for peer in peers), "GET shows the peers that were set")
    wanted = {peer.public_key: str(peer.allowed_ips[0]) for peer in peers}
    tests.check(all(wanted.get(peer.public_key, THERE + "/32") == str(peer.allowed_ips[0]) for peer in shown.peers),
                "each with its prefix")
    dump_began = time.monotonic()
    tests.equal(len(tunnel.near.dump()), PEERS + 1, "wg show dump")
    dump_seconds = time.monotonic() - dump_began
    tests.check(min([set_seconds] + again) < SET_SECONDS * BUSY, f"SET of {PEERS} peers: {set_seconds:.3f} s, again {again}")
    tests.check(min(gets) < GET_SECONDS * BUSY, f"GET: {gets}")
    tests.check(each < PEER_BYTES * 1.25, f"memory of an idle peer: {each:.0f} bytes")

    # Idle peers cost nothing while nothing happens.
    cpu = tunnel.near.cpu_seconds()
    time.sleep(2)
    idle = (tunnel.near.cpu_seconds() - cpu) / 2
    tests.check(idle < 0.1, f"{idle * 100:.1f} % of a CPU with nothing to do")
    last = tunnel.set_peers([])
    _, now, _ = tunnel.control.counters()["pool allocations"]
    tests.check(now < allocations - PEERS, f"removal gives memory back: {allocations} -> {now} allocations")
    print(f"   SET {set_seconds:.3f} s (goal {SET_SECONDS}), again {', '.join(f'{one:.3f}' for one in again)}; removal of all "
          f"{', '.join(f'{one:.3f}' for one in removed + [last])}; GET {min(gets):.3f} s (goal {GET_SECONDS}); wg show {dump_seconds:.2f} s\n"
          f"   {each:.0f} bytes of resident memory a peer (goal {PEER_BYTES}), {allocations / PEERS:.2f} allocations; "
          f"idle {idle * 100:.1f} % CPU")
    tunnel.finish(tests)


def cost(tests):
    """The busy peer's packets with 10 and with 10,000 others: CPU per packet in both directions, and throughput."""
    tunnel = Tunnel()
    server = IperfServer(tunnel.lab, tunnel.there, THERE)
    measures = {"CPU per small packet out": [], "CPU per small packet in": [], "TCP, time per byte": []}
    figures = {name: {FEW: [], PEERS: []} for name in measures}
    crowds = {FEW: crowd(FEW), PEERS: crowd(PEERS)}

    def udp(reverse):
        cpu = tunnel.near.cpu_seconds()
        result = server.run(tunnel.here, 1, reverse=reverse, extra=("-u", "-b", "30M", "-l", "64"))
        return (tunnel.near.cpu_seconds() - cpu) / result["end"]["sum"]["packets"] * 1e6

    for number in range(TRIES):
        for count in (FEW, PEERS) if number % 2 == 0 else (PEERS, FEW):
            tunnel.set_peers(crowds[count])
            tunnel.connect()
            figures["CPU per small packet out"][count].append(udp(False))
            figures["CPU per small packet in"][count].append(udp(True))
            figures["TCP, time per byte"][count].append(1000 / server.mbps(server.run(tunnel.here, 2)))
    for name, values in figures.items():
        ratio = min(values[PEERS]) / min(values[FEW])
        tests.check(ratio < COST_RATIO_ASSERTED, f"{name}: {ratio:.2f} times as much with {PEERS} peers: {values}")
        print(f"   {name}: with {PEERS} peers {ratio:.2f} of that with {FEW} (goal {COST_RATIO}): "
              f"{min(values[PEERS]):.3f}, {min(values[FEW]):.3f}")
    tunnel.finish(tests)


def churn(tests):
    """SETs that take away and bring back a part of 10,000 while the busy peer's data goes on: none of it is lost for ever."""
    tunnel = Tunnel()
    peers = crowd(PEERS)
    tunnel.set_peers(peers)
    tunnel.connect()
    server = IperfServer(tunnel.lab, tunnel.there, THERE)
    client = tunnel.lab.start(["iperf3", "-c", THERE, "-t", "4"], tunnel.here, "churn.log")
    worst = 0.0
    for start in range(0, PEERS, PEERS // 8):
        part = peers[start:start + PEERS // 8]
        for peer in part:
            peer.remove = True
        began = time.monotonic()
        tunnel.file.set(Interface(peers=part).pack()).check()
        for peer in part:
            peer.remove = False
        tunnel.file.set(Interface(peers=part).pack()).check()
        worst = max(worst, time.monotonic() - began)
        time.sleep(0.2)
    status = client.wait(40)
    tests.equal(status, 0, f"TCP through the changes: {tunnel.lab.output_of(client)[-500:]}")
    tests.equal(struct.unpack_from("<I", tunnel.file.get(), 72)[0], PEERS + 1, "all peers are there again")
    tunnel.lab.stop(server.process)
    print(f"   {PEERS // 8} peers removed and added again in at most {worst:.2f} s, under load")
    tunnel.finish(tests)


SCENARIOS = {"configure": configure, "cost": cost, "churn": churn}


def main():
    return run_scenarios(__doc__, SCENARIOS, (NTHOST, DRIVER, "iperf3"))


if __name__ == "__main__":
    sys.exit(main())
