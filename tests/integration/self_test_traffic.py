"""The self-test's scenarios of plain traffic: floods, streams and datagrams over both families inside and outside, with normal
and huge MTU; exact counters; padding."""

import os
import struct
import time

from self_test_lab import INNER4, INNER6, OUTER4, OUTER6, PORTS, Capture, Pair, at, udp_ports

HUGE_MTU = 65535 - 80
HANDSHAKE_BYTES = {"initiation": 148, "response": 92}
DATA_OVERHEAD_BYTES = 32
PINGS = 10
PING_BYTES = 84  # IPv4, ICMP, 56 bytes of data


def traffic(pair, huge):
    """Everything the tunnel carries, both ways, both families inside."""
    one, two = pair.one, pair.two
    large = HUGE_MTU if huge else 1420
    pair.flood(one, INNER4[1], "ping flood IPv4")
    pair.flood(two, INNER6[0], "ping flood IPv6")
    pair.flood(one, INNER4[1], "ping flood of large packets", 100, large - 28)
    size = 12 << 20
    pair.load(one, two, INNER4[0], "TCP IPv4", "tcp", size)
    pair.load(two, one, INNER6[1], "TCP IPv6", "tcp", size)
    # Smaller than the MTU, the MTU, beyond it (fragments), and the largest there is.
    sizes = (1, 17, 100, 1000, large - 28, min(large + 500, 65000), 65000 if huge else 9000)
    pair.load(two, one, INNER4[1], "UDP IPv4", "udp", 500, 16, *sizes)
    pair.load(one, two, INNER6[0], "UDP IPv6", "udp", 500, 16, *sizes)
    cpus = os.cpu_count() or 1
    pair.load(two, one, INNER4[1], f"TCP, {2 * cpus} streams on {cpus} processors", "tcp", 3 << 20, 2 * cpus)
    shown = pair.a.dump()[pair.b.public]
    pair.tests.check(min(shown["rx"], shown["tx"]) > size, f"{pair.what}: transfer is counted: {shown}")


def one_combination(outer, huge, kinds=("wyrm", "wyrm")):
    def scenario(options, tests):
        what = f"outer {'IPv6' if ':' in outer[0] else 'IPv4'}, {'huge' if huge else 'normal'} MTU, {kinds[0]} and {kinds[1]}"
        with Pair(options, tests, what, outer, kinds, HUGE_MTU if huge else None) as pair:
            traffic(pair, huge)
    return scenario


def counters(options, tests):
    """Ten pings: every byte is where it belongs, on the link and in the transfer statistics."""
    with Pair(options, tests, "counters", no_ipv6=True, configure=False) as pair:
        # Without IPv6 nothing but the pings enters the tunnel.
        pair.b.setconf([dict(pair.to_a, allowed=[INNER4[0] + "/32"])])
        pair.a.setconf([dict(pair.to_b, allowed=[INNER4[1] + "/32"])])
        began = time.monotonic()
        pair.reaches(pair.one, INNER4[1], "the pings", PINGS)
        shown_a, shown_b = pair.a.dump()[pair.b.public], pair.b.dump()[pair.a.public]
        link_a, link_b = pair.link_bytes(pair.one, pair.a.name), pair.link_bytes(pair.two, pair.b.name)
        if not tests.check(time.monotonic() - began < 9, "counters: done before a keepalive is due (10 s); else repeat"):
            return
        # The interface carries what is inside; the transfer statistics count messages: padding to 16, header and tag.
        tests.equal((link_a, link_b), ((PINGS * PING_BYTES,) * 2,) * 2, "counters: link, received and sent, both ends")
        data = PINGS * ((PING_BYTES + 15) // 16 * 16 + DATA_OVERHEAD_BYTES)
        sent, received = HANDSHAKE_BYTES["initiation"] + data, HANDSHAKE_BYTES["response"] + data
        tests.equal((shown_a["tx"], shown_a["rx"]), (sent, received), "counters: transfer of the end that began")
        tests.equal((shown_b["tx"], shown_b["rx"]), (received, sent), "counters: transfer of the other end")


def padding(options, tests):
    """With an MTU of 1299 no outer packet is longer than 1360, for IPv4: 1299 and 60 bytes around it."""
    mtu = 1299
    # A miniport under NT learns the MTU of its interface, not those of routes; both are set.
    for outer, around, name in ((OUTER4, 60, "outer IPv4"), (OUTER6, 80, "outer IPv6")):
        with Pair(options, tests, f"padding, {name}", outer) as pair:
            # No super-packets, so that lengths are those of the wire.
            pair.run(pair.one, f"ip link set {pair.link[0]} gso_max_segs 1")
            pair.run(pair.one, f"ip link set {pair.a.name} mtu {mtu}")
            pair.run(pair.one, f"ip route replace {INNER4[1]} dev {pair.a.name} mtu {mtu}")
            pair.reaches(pair.one, INNER4[1], "session", 1)
            capture = Capture(pair.two, pair.link[1])
            for size in (mtu - 28, mtu - 29, mtu - 40, 3000):  # the last in fragments
                pair.reaches(pair.one, INNER4[1], f"{size} bytes", 2, size)
            pair.load(pair.two, pair.one, INNER4[1], "TCP", "tcp", 1 << 20)
            pair.load(pair.two, pair.one, INNER6[1], "TCP over IPv6", "tcp", 1 << 20)
            lengths = [len(packet) for packet in capture.read() if udp_ports(packet) == PORTS]
            capture.close()
            tests.check(len(lengths) > 100, f"{pair.what}: {len(lengths)} packets seen")
            tests.equal(max(lengths, default=0), mtu + around, f"{pair.what}: the longest outer packet")
            tests.check(max(lengths, default=9999) <= 1360 or around > 60, f"{pair.what}: above 1360: {max(lengths)}")


SCENARIOS = {
    "traffic-outer4": one_combination(OUTER4, False),
    "traffic-outer6": one_combination(OUTER6, False),
    "traffic-outer4-huge": one_combination(OUTER4, True),
    "traffic-outer6-huge": one_combination(OUTER6, True),
    "traffic-other-outer4": one_combination(OUTER4, False, ("wyrm", "wireguard-go")),
    "traffic-other-outer6": one_combination(OUTER6, False, ("wireguard-go", "wyrm")),
    "counters": counters,
    "padding": padding,
}
