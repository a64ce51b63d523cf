"""The self-test's scenarios about who gets a packet and on which way: roaming, the most specific peer, spoofed sources, new
keys, a tunnel inside a tunnel, loops, NAT, default routes with policy routing."""

import re
import time

from netlab import genkey, ping
from self_test_lab import INNER4, INNER6, OUTER4, OUTER6, PORTS, Pair, World, at

LOOP_LIMIT_BYTES = 70000


def endpoint_of(peer, public):
    return peer.dump()[public]["endpoint"]


def roaming(options, tests):
    """The address and the port of one end change, again and again; the other follows after one packet."""
    for outer, moves, name in ((OUTER4, ("192.0.2.22", "198.51.100.2", "192.0.2.2"), "IPv4"),
                               (OUTER6, ("2001:db8::22", "2001:db8:1::2", "2001:db8::2"), "IPv6")):
        with Pair(options, tests, f"roaming over {name}", outer) as pair:
            length, family, extra = (64, "-6", " nodad") if ":" in outer[0] else (24, "-4", "")
            # A second network on the same link, so that a move may cross prefixes.
            first_of_second = "2001:db8:1::1" if length == 64 else "198.51.100.1"
            pair.run(pair.one, f"ip address add {first_of_second}/{length} dev {pair.link[0]}{extra}")
            pair.run(pair.two, f"ip {family} route add default dev {pair.link[1]}")
            pair.reaches(pair.one, INNER4[1], "before", 2)
            old = outer[1]
            for number, new in enumerate(moves):
                port = PORTS[1] + number
                pair.run(pair.two, f"ip address add {new}/{length} dev {pair.link[1]}{extra}")
                pair.run(pair.two, f"ip address del {old}/{length} dev {pair.link[1]}")
                pair.b.wg("set", "listen-port", str(port))
                time.sleep(0.2)  # the notification of the address that went
                # (The first packet is what tells the driver that its source is gone, and may be lost by it.)
                ping(pair.lab, pair.two, INNER4[0], 1, 0.2)
                pair.reaches(pair.two, INNER4[0], f"from {new}", 3)
                tests.equal(endpoint_of(pair.a, pair.b.public), at(new, port), f"{pair.what}: the end that stays learns")
                pair.reaches(pair.one, INNER6[1], f"to {new}", 3)
                old = new


class Three(World):
    """The adapter `a` in one; `b` and `c` in namespaces of their own, each behind a link."""

    def __init__(self, options, tests, what):
        super().__init__(options, tests, what)
        self.one, self.two, self.three = (self.namespace(name) for name in "123")
        self.links = [self.lab.link(self.one, space, [f"192.0.{net}.1/24"], [f"192.0.{net}.2/24"], label=f"l{net}")
                      for net, space in ((2, self.two), (3, self.three))]
        self.a = self.peer(self.one, "a", ["10.66.0.1/16"], PORTS[0])
        self.b = self.peer(self.two, "b", ["10.66.0.2/32", "10.66.1.9/32"], PORTS[1])
        self.c = self.peer(self.three, "c", ["10.66.1.1/32", "10.66.1.9/32"], PORTS[1])


def most_specific(options, tests):
    """The longest prefix gets the packet; a source that is another peer's is dropped, but it was an authenticated packet."""
    with Three(options, tests, "most specific") as world:
        to_a = {"public": world.a.public, "allowed": ["10.66.0.1/32"], "endpoint": "192.0.2.1:10001"}
        world.b.setconf([to_a])
        world.c.setconf([dict(to_a, endpoint="192.0.3.1:10001")])
        world.a.setconf([{"public": world.b.public, "allowed": ["10.66.0.0/16"], "endpoint": "192.0.2.2:20002"},
                         {"public": world.c.public, "allowed": ["10.66.1.0/24"], "endpoint": "192.0.3.2:20002"}])
        world.reaches(world.one, "10.66.0.2", "the wide prefix", 3)
        # Both have 10.66.1.9: who is asked shows who was chosen.
        before = {peer: world.a.dump()[peer.public]["tx"] for peer in (world.b, world.c)}
        world.reaches(world.one, "10.66.1.9", "the narrow prefix", 3)
        after = {peer: world.a.dump()[peer.public]["tx"] for peer in (world.b, world.c)}
        tests.check(after[world.c] > before[world.c], "most specific: the narrow one was asked")
        tests.equal(after[world.b], before[world.b], "most specific: the wide one was not")

        # A source that belongs to the other: dropped.  Its datagram was authentic: the endpoint follows.
        world.b.wg("set", "listen-port", "20999")
        link_before = world.link_bytes(world.one, world.a.name)[0]
        received_before = world.a.dump()[world.b.public]["rx"]
        done = world.lab.command(["ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", "-I", "10.66.1.9", "10.66.0.1"], world.two,
                                 check=False)
        tests.check(" 0 received" in done.stdout, f"most specific: a spoofed source gets no answer: {done.stdout[-200:]}")
        tests.equal(world.link_bytes(world.one, world.a.name)[0], link_before, "most specific: nothing spoofed came out")
        shown = world.a.dump()[world.b.public]
        tests.check(shown["rx"] > received_before, "most specific: the datagrams themselves were authentic and counted")
        tests.equal(shown["endpoint"], "192.0.2.2:20999", "most specific: and the endpoint followed them")
        world.reaches(world.two, "10.66.0.1", "its own source", 3, source="10.66.0.2")

        # Without the narrow one the wide prefix takes over.
        world.a.wg("set", "peer", world.c.public, "remove")
        world.run(world.one, f"ip route replace 10.66.1.9/32 dev {world.a.name}")
        before = world.a.dump()[world.b.public]["tx"]
        world.reaches(world.one, "10.66.1.9", "the narrow one is gone", 3)
        tests.check(world.a.dump()[world.b.public]["tx"] > before, "most specific: then the wide one is asked")


def new_private_key(options, tests):
    """A new private key is used at once: the next packet brings a handshake with it, not five seconds later."""
    with Pair(options, tests, "new private key") as pair:
        pair.reaches(pair.one, INNER4[1], "with the old key", 2)
        for number in range(3):
            old = pair.a.public
            pair.a.private, pair.a.public = genkey()
            pair.b.wg("set", "peer", old, "remove", "peer", pair.a.public, "allowed-ips", f"{INNER4[0]}/32")
            before = pair.a.dump()[pair.b.public]["handshake"]
            pair.a.wg("set", "private-key", "/dev/stdin", input_text=pair.a.private)
            began = time.monotonic()
            pair.reaches(pair.one, INNER4[1], f"new key {number + 1}", 1)
            took = time.monotonic() - began
            tests.check(took < 4, f"new private key: at once, not at the next try: {took:.1f} s")
            tests.check(pair.b.dump()[pair.a.public]["handshake"] >= before, "new private key: there was a handshake")
            tests.check(old not in pair.b.dump(), "new private key: the old one is gone")


def nested(options, tests):
    """A tunnel whose other end is reached through a tunnel."""
    with Pair(options, tests, "tunnel in a tunnel") as pair:
        inside = [pair.peer(space, label, [f"10.77.0.{number}/24", f"fd77::{number}/64"], 30000 + number, mtu=1340)
                  for space, label, number in ((pair.one, "x", 1), (pair.two, "y", 2))]
        inside[1].setconf([{"public": inside[0].public, "allowed": ["10.77.0.1/32", "fd77::1/128"]}])
        inside[0].setconf([{"public": inside[1].public, "allowed": ["10.77.0.2/32", "fd77::2/128"],
                            "endpoint": at(INNER4[1], 30002)}])
        pair.flood(pair.one, "10.77.0.2", "ping flood through both", 300)
        pair.flood(pair.two, "fd77::1", "ping flood IPv6 through both", 300)
        pair.load(pair.two, pair.one, "10.77.0.2", "TCP through both", "tcp", 4 << 20)
        pair.load(pair.one, pair.two, "fd77::1", "TCP back through both", "tcp", 4 << 20)
        outer_sent = pair.a.dump()[pair.b.public]["tx"]
        inner_sent = inside[0].dump()[inside[1].public]["tx"]
        tests.check(outer_sent > inner_sent > 4 << 20, f"tunnel in a tunnel: {inner_sent} bytes inside {outer_sent}")
        # The inner endpoint over IPv6.
        inside[0].wg("set", "peer", inside[1].public, "endpoint", at(INNER6[1], 30002))
        pair.flood(pair.one, "10.77.0.2", "ping flood, the outer tunnel over IPv6", 300)
        tests.equal(endpoint_of(inside[1], inside[0].public), at(INNER6[0], 30001), "tunnel in a tunnel: over IPv6")


def sent_total(peer):
    return sum(shown["tx"] for shown in peer.dump().values())


def loop_through_router(options, tests):
    """Our own ciphertext comes back to us and is routed into the tunnel: it is not encrypted again."""
    with Pair(options, tests, "loop through a router") as pair:
        pair.reaches(pair.one, INNER4[1], "before", 2)
        for space in (pair.one, pair.two):
            pair.run(space, "sysctl -q -w net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 "
                            f"net.ipv4.conf.{pair.link[0 if space == pair.one else 1]}.rp_filter=0 "
                            f"net.ipv4.conf.all.accept_local=1 net.ipv4.conf.all.send_redirects=0")
            pair.run(space, f"sysctl -q -w net.ipv4.conf.{pair.link[0 if space == pair.one else 1]}.accept_local=1")
        # The endpoint is an address that two sends back to one, and one (for what it forwards) sends into the tunnel.
        pair.a.wg("set", "peer", pair.b.public, "allowed-ips", f"{INNER4[1]}/32,203.0.113.0/24", "endpoint",
                  "203.0.113.7:20002")
        pair.run(pair.one, f"ip route add 203.0.113.0/24 via {OUTER4[1]} dev {pair.link[0]}")
        pair.run(pair.one, f"ip route add 203.0.113.0/24 dev {pair.a.name} table 77")
        pair.run(pair.one, f"ip rule add iif {pair.link[0]} to 203.0.113.0/24 table 77")
        pair.run(pair.two, f"ip route add 203.0.113.0/24 via {OUTER4[0]} dev {pair.link[1]}")
        pair.count_packets(pair.one, {"out": ("output", f"ip daddr 203.0.113.7 udp dport {PORTS[1]}"),
                                      "again": ("forward", f'oifname "{pair.a.name}" ip daddr 203.0.113.7')})
        before = sent_total(pair.a)
        ping(pair.lab, pair.one, INNER4[1], 3, 0.2)
        time.sleep(2)
        again = pair.counted(pair.one, "again")[0]
        tests.check(again >= 3, f"{pair.what}: ciphertext did come back into the tunnel: {again}")
        sent = sent_total(pair.a) - before
        tests.check(0 < sent < LOOP_LIMIT_BYTES, f"{pair.what}: sent {sent} bytes, at most {LOOP_LIMIT_BYTES}")
        at_rest(pair, [pair.a])
        # A tunnel that is put right works.
        pair.a.wg("set", "peer", pair.b.public, "endpoint", at(OUTER4[1], PORTS[1]))
        pair.reaches(pair.one, INNER4[1], "afterwards", 5)


def at_rest(world, peers, seconds=2):
    """What was sent after a while is what was sent before, but for handshakes."""
    before = sum(sent_total(peer) for peer in peers)
    time.sleep(seconds)
    more = sum(sent_total(peer) for peer in peers) - before
    world.tests.check(more < 4000, f"{world.what}: still {more} bytes in {seconds} s")


def loop_between_adapters(options, tests):
    """Each adapter's endpoint is reached through the other: what goes in must not go round for ever."""
    with Pair(options, tests, "loop between two adapters", also="x") as pair:
        # One driver with two adapters, as on Windows.
        second = [pair.peer(pair.one, "x", ["10.77.0.1/24"], 30001, shared=pair.a),
                  pair.peer(pair.two, "y", ["10.77.0.2/24"], 30002)]
        second[1].setconf([{"public": second[0].public, "allowed": ["10.77.0.1/32"]}])
        second[0].setconf([{"public": second[1].public, "allowed": ["10.77.0.2/32"], "endpoint": at(OUTER4[1], 30002)}])
        # Sessions first, so that it is data that goes round and not handshakes that never come to an end.
        pair.reaches(pair.one, INNER4[1], "first adapter before", 2)
        pair.reaches(pair.one, "10.77.0.2", "second adapter before", 2)
        peers = (pair.a, second[0])
        pair.count_packets(pair.one, {name: ("output", f'oifname "{peer.name}" meta l4proto udp')
                                      for name, peer in (("first", pair.a), ("second", second[0]))})
        before = sum(map(sent_total, peers))
        pair.a.wg("set", "peer", pair.b.public, "endpoint", at("10.77.0.2", PORTS[1]))
        second[0].wg("set", "peer", second[1].public, "endpoint", at(INNER4[1], 30002))
        ping(pair.lab, pair.one, INNER4[1], 1, 0.2)
        time.sleep(3)
        turns = [pair.counted(pair.one, name)[0] for name in ("first", "second")]
        tests.check(min(turns) >= 1, f"{pair.what}: a loop was formed: {turns}")
        sent = sum(map(sent_total, peers)) - before
        tests.check(0 < sent < LOOP_LIMIT_BYTES, f"{pair.what}: sent {sent} bytes in {turns} packets, at most {LOOP_LIMIT_BYTES}")
        at_rest(pair, peers)
        pair.a.wg("set", "peer", pair.b.public, "endpoint", at(OUTER4[1], PORTS[1]))
        pair.reaches(pair.one, INNER4[1], "afterwards", 5)


def nat(options, tests):
    """Persistent keepalives hold a NAT's entry of two seconds open, so that the end outside can begin."""
    with World(options, tests, "NAT") as world:
        inside, router, outside = world.namespace("in"), world.namespace("nat"), world.namespace("out")
        world.lab.link(inside, router, ["192.168.9.2/24"], ["192.168.9.1/24"], label="i")
        out = world.lab.link(router, outside, ["192.0.2.1/24"], ["192.0.2.2/24"], label="o")
        world.run(inside, "ip route add default via 192.168.9.1")
        world.run(router, "sysctl -q -w net.ipv4.ip_forward=1")
        world.lab.command(["nft", "-f", "-"], router, "table ip nat {\nchain post {\ntype nat hook postrouting priority 100\n"
                          f'oifname "{out[0]}" masquerade random\n}}\n}}\n')
        world.run(router, "sysctl -q -w net.netfilter.nf_conntrack_udp_timeout=2 net.netfilter.nf_conntrack_udp_timeout_stream=2")
        a = world.peer(inside, "a", [INNER4[0] + "/24"], PORTS[0])
        b = world.peer(outside, "b", [INNER4[1] + "/24"], PORTS[1])
        to_b = {"public": b.public, "allowed": [INNER4[1] + "/32"], "endpoint": at("192.0.2.2", PORTS[1]), "keepalive": 1}
        b.setconf([{"public": a.public, "allowed": [INNER4[0] + "/32"]}])
        a.setconf([to_b])
        world.eventually(lambda: b.dump()[a.public]["handshake"] > 0, "the keepalive brings the first handshake")
        tests.check(endpoint_of(b, a.public).startswith("192.0.2.1:"), f"NAT: seen as {endpoint_of(b, a.public)}")
        # Two seconds without a packet would end the entry; the keepalives are the only packets meanwhile.
        time.sleep(5)
        world.reaches(outside, INNER4[0], "from outside, held open by keepalives", 3)
        # What a NAT does without them: the check above can fail.
        a.wg("set", "peer", b.public, "persistent-keepalive", "0")
        world.reaches(outside, INNER4[0], "the entry is fresh", 1)
        time.sleep(4)
        world.silent(outside, INNER4[0], "without keepalives the entry is gone")
        a.wg("set", "peer", b.public, "persistent-keepalive", "1")
        world.eventually(lambda: ping(world.lab, outside, INNER4[0], 1, 0.2)["received"] == 1, "with keepalives again")


def default_route(options, tests):
    """All traffic goes through the tunnel, but for its own, told apart by a mark and policy rules."""
    for outer, name in ((OUTER4, "IPv4"), (OUTER6, "IPv6")):
        with Pair(options, tests, f"default route over {name}", outer, configure=False) as pair:
            far4, far6 = "203.0.113.9", "2001:db8:99::9"
            pair.run(pair.two, f"ip address add {far4}/32 dev lo")
            pair.run(pair.two, f"ip address add {far6}/128 dev lo nodad")
            # (setconf must not put default routes into the main table: the prefixes come after it.)
            pair.b.setconf([pair.to_a])
            pair.a.setconf([pair.to_b])
            pair.a.wg("set", "peer", pair.b.public, "allowed-ips", "0.0.0.0/0,::/0")
            pair.a.wg("set", "fwmark", "51820")
            for family in ("-4", "-6"):
                pair.run(pair.one, f"ip {family} route add default dev {pair.a.name} table 51820")
                pair.run(pair.one, f"ip {family} rule add not fwmark 51820 table 51820")
                pair.run(pair.one, f"ip {family} rule add table main suppress_prefixlength 0")
            pair.reaches(pair.one, INNER4[1], "the other end", 3)
            pair.reaches(pair.one, far4, "the world beyond, IPv4", 3)
            pair.reaches(pair.one, far6, "the world beyond, IPv6", 3)
            pair.load(pair.two, pair.one, far4, "TCP", "tcp", 4 << 20)
            sent = sent_total(pair.a)
            tests.check(4 << 20 < sent < 6 << 20, f"{pair.what}: sent once, not in circles: {sent} bytes")
            # A new endpoint is resolved past the default route of the tunnel too.
            pair.b.wg("set", "listen-port", "20999")
            pair.a.wg("set", "peer", pair.b.public, "endpoint", at(outer[1], 20999))
            pair.reaches(pair.one, far4, "after a new endpoint", 3)
            shown = pair.run(pair.one, f"ip route get {far4}").stdout
            tests.check(re.search(rf"dev {pair.a.name}\b", shown), f"{pair.what}: the route is the tunnel's: {shown}")
            # Without the mark the tunnel's own packets go into the tunnel and nothing passes (the rule does something).
            tests.equal(pair.a.wg("show", "fwmark").stdout.strip(), "0xca6c", f"{pair.what}: the mark is shown")


SCENARIOS = {
    "roaming": roaming,
    "most-specific": most_specific,
    "new-private-key": new_private_key,
    "nested": nested,
    "loop-router": loop_through_router,
    "loop-adapters": loop_between_adapters,
    "nat": nat,
    "default-route": default_route,
}
