"""The self-test's scenarios about the address that answers come from: the local address of an endpoint is kept while it is good,
and no longer."""

import time

from netlab import ping
from self_test_lab import INNER4, OUTER4, OUTER6, PORTS, Pair, World, at

SETTLE_SECONDS = 0.3  # notifications of the system's tables


def seen_from(pair):
    """Where the end `b` sees the end `a`."""
    return pair.b.dump()[pair.a.public]["endpoint"]


def removed(options, tests):
    """The address that was used is taken away: another one of the interface takes its place."""
    for outer, spare, name in ((OUTER4, "192.0.2.51", "IPv4"), (OUTER6, "2001:db8::51", "IPv6")):
        with Pair(options, tests, f"source removed, {name}", outer) as pair:
            length, extra = (64, " nodad") if ":" in outer[0] else (24, "")
            pair.reaches(pair.one, INNER4[1], "before", 2)
            tests.equal(seen_from(pair), at(outer[0], PORTS[0]), f"{pair.what}: before")
            pair.run(pair.one, f"ip address add {spare}/{length} dev {pair.link[0]}{extra}")
            time.sleep(SETTLE_SECONDS)
            pair.reaches(pair.one, INNER4[1], "with a second address", 2)
            tests.equal(seen_from(pair), at(outer[0], PORTS[0]), f"{pair.what}: a second address changes nothing")
            pair.run(pair.one, f"ip address del {outer[0]}/{length} dev {pair.link[0]}")
            time.sleep(SETTLE_SECONDS)
            ping(pair.lab, pair.one, INNER4[1], 1, 0.2)  # may be lost: it shows that the source is gone
            pair.reaches(pair.one, INNER4[1], "the first address is gone", 3)
            tests.equal(seen_from(pair), at(spare, PORTS[0]), f"{pair.what}: the second is used")


def asked(options, tests):
    """Whichever of four addresses is asked, the answer comes from that one."""
    for outer, addresses, name in ((OUTER4, [f"192.0.2.{n}" for n in (2, 61, 62, 63)], "IPv4"),
                                   (OUTER6, [f"2001:db8::{n}" for n in (2, 61, 62, 63)], "IPv6")):
        with Pair(options, tests, f"source asked, {name}", outer) as pair:
            length, extra = (64, " nodad") if ":" in outer[0] else (24, "")
            for address in addresses[1:]:
                pair.run(pair.two, f"ip address add {address}/{length} dev {pair.link[1]}{extra}")
            for address in addresses + addresses[::-1]:
                endpoint = at(address, PORTS[1])
                pair.a.wg("set", "peer", pair.b.public, "endpoint", endpoint)
                pair.reaches(pair.one, INNER4[1], f"asked at {address}", 2)
                tests.equal(pair.a.dump()[pair.b.public]["endpoint"], endpoint, f"{pair.what}: answered from {address}")


def other_interface(options, tests):
    """The address that is asked belongs to another interface than the one on which the question arrives."""
    for outer, elsewhere, name in ((OUTER4, "203.0.113.5", "IPv4"), (OUTER6, "2001:db8:5::5", "IPv6")):
        with Pair(options, tests, f"source of another interface, {name}", outer) as pair:
            length, family, extra = (128, "-6", " nodad") if ":" in outer[0] else (32, "-4", "")
            pair.lab.link(pair.two, pair.one, [], [], label="o")
            pair.run(pair.two, f"ip address add {elsewhere}/{length} dev o{pair.lab.id}a{extra}")
            pair.run(pair.one, f"ip {family} route add {elsewhere}/{length} via {outer[1]} dev {pair.link[0]}")
            endpoint = at(elsewhere, PORTS[1])
            pair.a.wg("set", "peer", pair.b.public, "endpoint", endpoint)
            pair.reaches(pair.one, INNER4[1], "asked at it", 3)
            tests.equal(pair.a.dump()[pair.b.public]["endpoint"], endpoint, f"{pair.what}: answered from it")
            pair.reaches(pair.two, INNER4[0], "and when it begins", 3)
            tests.equal(pair.a.dump()[pair.b.public]["endpoint"], endpoint, f"{pair.what}: it stays")


def better_route(options, tests):
    """A better route to the endpoint appears, over another interface: it is taken, with that interface's address; and when it
    goes again, the first one."""
    for name, far, nets, length in (("IPv4", "203.0.113.5", ("192.0.2", "192.0.3"), 24),
                                    ("IPv6", "2001:db8:5::5", ("2001:db8:2:", "2001:db8:3:"), 64)):
        with World(options, tests, f"better route, {name}") as world:
            family, extra, dot, host = ("-6", " nodad", ":", 128) if length == 64 else ("-4", "", ".", 32)
            one, two = world.namespace("1"), world.namespace("2")
            ours, theirs = [f"{net}{dot}1" for net in nets], [f"{net}{dot}2" for net in nets]
            links = [world.lab.link(one, two, [f"{ours[n]}/{length}"], [f"{theirs[n]}/{length}"], label=f"l{n}") for n in (0, 1)]
            for space, pair in ((one, 0), (two, 1)):
                for link in links:
                    world.run(space, f"sysctl -q -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.{link[pair]}.rp_filter=0")
            world.run(two, f"ip address add {far}/{host} dev lo{extra}")
            world.run(one, f"ip {family} route add default via {theirs[0]} dev {links[0][0]}")
            world.b = world.peer(two, "b", [INNER4[1] + "/24"], PORTS[1])
            world.a = world.peer(one, "a", [INNER4[0] + "/24"], PORTS[0])
            world.b.setconf([{"public": world.a.public, "allowed": [INNER4[0] + "/32"]}])
            world.a.setconf([{"public": world.b.public, "allowed": [INNER4[1] + "/32"], "endpoint": at(far, PORTS[1])}])
            world.reaches(one, INNER4[1], "over the default route", 3)
            tests.equal(seen_from(world), at(ours[0], PORTS[0]), f"{world.what}: the first interface's address")
            world.count_packets(two, {f"link{n}": ("input", f'iifname "{links[n][1]}" udp dport {PORTS[1]}') for n in (0, 1)})

            world.run(one, f"ip {family} route add {far}/{host} via {theirs[1]} dev {links[1][0]}")
            # (The change is told some time later; every packet then is an occasion to look.)
            world.eventually(lambda: world.reaches(one, INNER4[1], "while the route changes", 1)
                             and seen_from(world) == at(ours[1], PORTS[0]), "the second interface's address is used")
            before = world.counted(two, "link1")[0]
            world.reaches(one, INNER4[1], "over the better route", 3)
            tests.check(world.counted(two, "link1")[0] >= before + 3, f"{world.what}: it is taken")
            tests.equal(seen_from(world), at(ours[1], PORTS[0]), f"{world.what}: with the second interface's address")

            world.run(one, f"ip {family} route del {far}/{host}")
            world.run(one, f"ip link set {links[1][0]} down")
            world.eventually(lambda: ping(world.lab, one, INNER4[1], 1, 0.2)["received"] == 1
                             and seen_from(world) == at(ours[0], PORTS[0]), "the first interface's address is used again")
            before = world.counted(two, "link0")[0]
            world.reaches(one, INNER4[1], "over the first one again", 3)
            tests.check(world.counted(two, "link0")[0] >= before + 3, f"{world.what}: it is taken again")
            tests.equal(seen_from(world), at(ours[0], PORTS[0]), f"{world.what}: with the first interface's address")


SCENARIOS = {
    "sources-removed": removed,
    "sources-asked": asked,
    "sources-other-interface": other_interface,
    "sources-better-route": better_route,
}
