"""The self-test's scenarios about configuration: keepalives that start by themselves, very many allowed IPs, keys set, cleared,
clamped, our own or of low order; and that nothing is left at the end."""

import base64
import ipaddress
import os
import random
import re
import time

from netlab import genkey, genpsk
from nthost_control import STATE_DOWN, STATE_UP, Control
from self_test_lab import INNER4, OUTER4, PORTS, Pair, World, at

# Points of small order of Curve25519 and their unreduced forms: (u) as little-endian numbers; RFC 7748, section 6.1, tells to
# refuse the all-zero result that each of them gives.
PRIME = 2**255 - 19
LOW_ORDER = [0, 1, 325606250916557431795983626356110631294008115727848805560023387167927233504,
             39382357235489614581723060781553021112529911719440698176882885853963445705823, PRIME - 1, PRIME, PRIME + 1]


def keepalive_on_up(options, tests):
    """A persistent keepalive is sent when the adapter comes up, and when a private key comes later."""
    with Pair(options, tests, "keepalive on up", configure=False) as pair:
        pair.b.setconf([pair.to_a])
        with Control(pair.a.name) as control, control.open() as file:
            tests.equal(file.state(STATE_DOWN), 0, "keepalive on up: down")
            pair.a.setconf([dict(pair.to_b, keepalive=60)])
            time.sleep(1)
            tests.equal(pair.b.dump()[pair.a.public]["handshake"], 0, "keepalive on up: nothing while down")
            tests.equal(file.state(STATE_UP), 0, "keepalive on up: up")
        pair.eventually(lambda: pair.b.dump()[pair.a.public]["rx"] > 148, "up: a handshake and the keepalive", 4)
        shown = pair.a.dump()[pair.b.public]
        tests.equal((shown["tx"], shown["rx"]), (148 + 32, 92), "keepalive on up: initiation, keepalive; response")

    with Pair(options, tests, "keepalive on key", configure=False) as pair:
        pair.b.setconf([pair.to_a])
        pair.a.wg("set", "listen-port", str(PORTS[0]), "peer", pair.b.public, "allowed-ips", f"{INNER4[1]}/32", "endpoint",
                  at(OUTER4[1], PORTS[1]), "persistent-keepalive", "60")
        time.sleep(1)
        tests.equal(pair.a.dump()[pair.b.public]["tx"], 0, "keepalive on key: nothing without a key")
        pair.a.wg("set", "private-key", "/dev/stdin", input_text=pair.a.private)
        pair.eventually(lambda: pair.b.dump()[pair.a.public]["rx"] > 148, "a key: a handshake and the keepalive", 4)


def shown_allowed(peer):
    """{public key: set of prefixes}"""
    allowed = {}
    for line in peer.wg("show", "allowed-ips").stdout.splitlines():
        public, prefixes = line.split("\t")
        allowed[public] = [] if prefixes == "(none)" else prefixes.split()
    return allowed


def compare_allowed(world, peer, wanted, what):
    shown = shown_allowed(peer)
    world.tests.equal(sorted(shown), sorted(wanted), f"{world.what}: {what}: the peers")
    for public, prefixes in wanted.items():
        got = shown.get(public, [])
        world.tests.check(len(got) == len(set(got)), f"{world.what}: {what}: none is shown twice")
        missing, more = set(prefixes) - set(got), set(got) - set(prefixes)
        world.tests.check(not missing and not more, f"{world.what}: {what}: {len(missing)} of {len(prefixes)} missing "
                          f"{sorted(missing)[:3]}, {len(more)} too many {sorted(more)[:3]}")


def configure(peer, peers):
    """Without routes: only what `wg` does."""
    text = f"[Interface]\nPrivateKey = {peer.private}\n"
    for public, prefixes in peers.items():
        text += f"[Peer]\nPublicKey = {public}\n"
        text += "".join(f"AllowedIPs = {', '.join(prefixes[at:at + 500])}\n" for at in range(0, len(prefixes), 500))
    peer.wg("setconf", "/dev/stdin", input_text=text)


def one_adapter(options, tests, what):
    world = World(options, tests, what)
    world.space = world.namespace("1")
    world.a = world.peer(world.space, "a", [], PORTS[0])
    return world


def many_allowed(options, tests):
    """130,561 prefixes on one peer are all there when they are read, and all gone when they are replaced."""
    with one_adapter(options, tests, "130,561 allowed IPs") as world:
        public = genkey()[1]
        prefixes = [f"{a}.{b}.0.0/16" for a in range(1, 256) for b in range(256)]
        prefixes += [f"fd00:{a:x}:{b:x}::/48" for a in range(1, 256) for b in range(1, 257)]
        prefixes += ["10.128.128.0/24"]
        tests.equal(len(prefixes), 130561, "that many")
        began = time.monotonic()
        configure(world.a, {public: prefixes})
        compare_allowed(world, world.a, {public: prefixes}, "read back")
        print(f"   set and read in {time.monotonic() - began:.1f} s", flush=True)
        world.a.wg("set", "peer", public, "allowed-ips", "10.0.0.0/8")
        compare_allowed(world, world.a, {public: ["10.0.0.0/8"]}, "replaced")


def many_peers(options, tests):
    """40 peers with 52 prefixes each, in both orders of configuration; then 197 of IPv6 on one."""
    with one_adapter(options, tests, "40 peers of 52 allowed IPs") as world:
        wanted = {genkey()[1]: [f"10.{n}.{k}.0/24" for k in range(26)] + [f"fd00:{n:x}:{k:x}::/64" for k in range(1, 27)]
                  for n in range(40)}
        configure(world.a, wanted)
        compare_allowed(world, world.a, wanted, "in one go")
        configure(world.a, {})
        tests.equal(world.a.dump(), {}, "40 peers of 52 allowed IPs: all gone")
        for public, prefixes in wanted.items():
            world.a.wg("set", "peer", public, "allowed-ips", ",".join(prefixes))
        compare_allowed(world, world.a, wanted, "one by one")
        configure(world.a, {})
    with one_adapter(options, tests, "197 allowed IPs of IPv6") as world:
        public, generator = genkey()[1], random.Random(197)
        lengths = [generator.randrange(1, 129) for _ in range(196)] + [0]
        prefixes = set()
        for number, length in enumerate(lengths):
            value = (number + 1) << 120 | generator.getrandbits(120)
            value = value >> (128 - length) << (128 - length) if length else 0
            prefixes.add(canonical(value, length))
        while len(prefixes) < 197:
            prefixes.add(canonical(generator.getrandbits(128), 128))
        configure(world.a, {public: sorted(prefixes)})
        compare_allowed(world, world.a, {public: sorted(prefixes)}, "read back")


def canonical(value, length):
    return f"{ipaddress.IPv6Address(value)}/{length}"


def keys(options, tests):
    """Keys and preshared keys are set, shown and cleared; a private key is shown as it counts: clamped."""
    with one_adapter(options, tests, "keys") as world:
        a, (private, public), (_, other) = world.a, genkey(), genkey()
        psk = genpsk()

        def show(what):
            return a.wg("show", what).stdout.strip()

        tests.equal((show("private-key"), show("public-key")), ("(none)", "(none)"), "keys: none at first")
        a.wg("set", "private-key", "/dev/stdin", "peer", other, input_text=private)
        tests.equal((show("private-key"), show("public-key")), (private, public), "keys: set")
        a.wg("set", "peer", other, "preshared-key", "/dev/stdin", input_text=psk)
        tests.equal(show("preshared-keys"), f"{other}\t{psk}", "keys: preshared, set")
        a.wg("set", "peer", other, "preshared-key", "/dev/null")
        tests.equal(show("preshared-keys"), f"{other}\t(none)", "keys: preshared, cleared")
        a.wg("set", "private-key", "/dev/null")
        tests.equal((show("private-key"), show("public-key")), ("(none)", "(none)"), "keys: cleared")
        tests.check(other in a.dump(), "keys: the peer stays")

        raw = bytearray(os.urandom(32))
        raw[0], raw[31] = raw[0] | 7, raw[31] & 0x3f | 0x80  # each of the five bits that clamping changes is wrong
        unclamped = base64.b64encode(raw).decode()
        raw[0], raw[31] = raw[0] & 0xf8, raw[31] & 0x7f | 0x40
        clamped = base64.b64encode(raw).decode()
        pubkey = world.lab.command(["wg", "pubkey"], None, clamped).stdout.strip()
        a.wg("set", "private-key", "/dev/stdin", input_text=unclamped)
        tests.equal(show("private-key"), clamped, "keys: shown clamped")
        tests.equal(show("public-key"), pubkey, "keys: the public key is that of the clamped one")
        # A peer that is ourselves, by the unclamped key too, is not added, and vanishes.
        a.wg("set", "peer", pubkey, "allowed-ips", "10.0.0.1/32")
        tests.equal(sorted(a.dump()), [other], "keys: our own key is not added as a peer")
        a.wg("set", "peer", public, "allowed-ips", "10.0.0.1/32")
        tests.equal(sorted(a.dump()), sorted([other, public]), "keys: another is")
        a.wg("set", "private-key", "/dev/stdin", input_text=private)
        tests.equal(sorted(a.dump()), [other], "keys: a peer that becomes ourselves vanishes")
        a.wg("set", "peer", pubkey)
        a.wg("set", "private-key", "/dev/stdin", input_text=unclamped)
        tests.equal(sorted(a.dump()), [other], "keys: and also when the key comes unclamped")


def overlapping(options, tests):
    """A prefix belongs to one peer; host bits do not count; longer and shorter ones live side by side."""
    with one_adapter(options, tests, "overlapping prefixes") as world:
        first, second = genkey()[1], genkey()[1]
        configure(world.a, {first: ["10.0.0.0/8", "10.1.0.0/16", "fd00::/8"], second: ["10.1.2.0/24", "10.1.2.3/32", "::/0"]})
        compare_allowed(world, world.a, {first: ["10.0.0.0/8", "10.1.0.0/16", "fd00::/8"],
                                         second: ["10.1.2.0/24", "10.1.2.3/32", "::/0"]}, "side by side")
        configure(world.a, {first: ["10.0.0.0/8", "10.1.2.3/24", "fd00::1/8"], second: ["10.1.2.0/24", "fd00::2/8"]})
        compare_allowed(world, world.a, {first: ["10.0.0.0/8"], second: ["10.1.2.0/24", "fd00::/8"]},
                        "the same prefix goes to the last, host bits cleared")
        world.a.wg("set", "peer", first, "allowed-ips", "10.0.0.0/8,10.1.2.9/24")
        compare_allowed(world, world.a, {first: ["10.0.0.0/8", "10.1.2.0/24"], second: ["fd00::/8"]}, "and back")
        world.a.wg("set", "peer", first, "remove")
        compare_allowed(world, world.a, {second: ["fd00::/8"]}, "with the peer go its prefixes only")
        world.a.wg("set", "peer", second, "allowed-ips", "")
        compare_allowed(world, world.a, {second: []}, "none")


def low_order(options, tests):
    """Public keys of low order can be configured, but nothing is ever sent to them; nor do they harm a good peer."""
    with Pair(options, tests, "low-order keys") as pair:
        pair.reaches(pair.one, INNER4[1], "before", 2)
        bad = [base64.b64encode(value.to_bytes(32, "little")).decode() for value in LOW_ORDER]
        pair.count_packets(pair.two, {"bad": ("input", "udp dport 40000-40099"), "good": ("input", f"udp dport {PORTS[1]}")})
        for number, public in enumerate(bad):
            pair.a.wg("set", "peer", public, "allowed-ips", f"10.99.{number}.0/24", "endpoint",
                      at(OUTER4[1], 40000 + number), "persistent-keepalive", "1")
            pair.run(pair.one, f"ip route add 10.99.{number}.0/24 dev {pair.a.name}")
        tests.equal(sorted(pair.a.dump()), sorted(bad + [pair.b.public]), "low-order keys: all are configured")
        for number in range(len(bad)):
            pair.run(pair.one, f"ping -n -c 1 -W 1 -i 0.2 10.99.{number}.1", check=False)
        time.sleep(1.5)
        pair.reaches(pair.one, INNER4[1], "a good peer beside them", 3)
        tests.equal(pair.counted(pair.two, "bad")[0], 0, "low-order keys: nothing was sent to them")
        tests.check(pair.counted(pair.two, "good")[0] >= 3, "low-order keys: (what is sent to others is seen)")
        shown = pair.a.dump()
        tests.equal({(shown[public]["handshake"], shown[public]["tx"]) for public in bad}, {(0, 0)}, "low-order keys: counters")


def destroyed(options, tests):
    """Everything that was made is destroyed: the driver's objects by kind, counted by the host, and what Linux shows of them."""
    with World(options, tests, "destroyed") as world:
        space = world.namespace("1")
        report = os.path.join(world.lab.directory, "report")
        peer = world.peer(space, "a", [INNER4[0] + "/24"], PORTS[0], report=report)
        configure(peer, {genkey()[1]: [f"10.{n}.0.0/16"] for n in range(50)})
        for number in range(3):
            configure(peer, {genkey()[1]: [f"10.{n}.0.0/16"] for n in range(20)})
        names = [os.path.join(os.path.dirname(peer.socket), peer.name + ending) for ending in (".sock", ".ctl")]
        tests.check(all(map(os.path.exists, names)), "destroyed: (the sockets are there before)")
        world.end(peer)
        world.peers.remove(peer)
        tests.equal([name for name in names if os.path.exists(name)], [], "destroyed: the control sockets")
        tests.check(peer.name not in world.run(space, "ip -o link show").stdout, "destroyed: the interface")
        with open(report, encoding="utf-8") as file:
            text = file.read()
        kinds = re.findall(r"^(\S.*?)\s+(\d+) (-?\d+) (-?\d+)$", text, re.MULTILINE)
        tests.check(len(kinds) >= 15 and sum(int(kind[1]) for kind in kinds) > 100, f"destroyed: objects were made: {text[-800:]}")
        tests.equal([kind for kind in kinds if kind[2] != "0"], [], "destroyed: every object")


SCENARIOS = {
    "keepalive": keepalive_on_up,
    "many-allowed-ips": many_allowed,
    "many-peers": many_peers,
    "keys": keys,
    "overlapping": overlapping,
    "low-order": low_order,
    "destroyed": destroyed,
}
