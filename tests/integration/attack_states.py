#!/usr/bin/python3
"""Attacks by circumstances, in verify mode: states that change under load, unloading again and again, sockets and routes that
fail, MTUs, families, processors, what replies give away, and who may ask."""

import os
import random
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import wgpeer  # noqa: E402
from netlab import Lab  # noqa: E402
from netlab import Peer as LabPeer  # noqa: E402
from nthost_control import (IOCTL_GET, IOCTL_LOG, IOCTL_SET, IOCTL_STATE, NDIS_STATUS_ADAPTER_REMOVED,  # noqa: E402
                            PNP_CANCEL_REMOVE, PNP_QUERY_REMOVE, PNP_SURPRISE_REMOVAL, STATE_DOWN, STATE_QUERY, STATE_UP,
                            STATUS_ACCESS_DENIED, STATUS_ADDRESS_ALREADY_EXISTS, Control, Interface, Peer)
from scenarios import run_scenarios  # noqa: E402
from scripted_tunnel import (DRIVER, INNER6_HERE, INNER6_THERE, INNER_HERE, INNER_THERE, NTHOST, OUTER_HERE,  # noqa: E402
                             OUTER_THERE, PORT, LabError, ScriptedTunnel, address_bytes, inside)

OID_PNP_SET_POWER = 0xFD010101
POWER_D0, POWER_D3 = 1, 4
STATE_CHANGES = 40
UNLOADS = 30
FILL = 0xA5


class Traffic:
    """Both directions through the tunnel, paced, until stopped; losses are of no interest."""

    def __init__(self, tunnel):
        self.tunnel = tunnel
        self.stopping = threading.Event()
        with inside(tunnel.here):
            self.out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sent = 0
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.stopping.is_set():
            session = self.tunnel.session
            for _ in range(8):
                self.tunnel.send(session.seal(self.tunnel.sink_packet(bytes(600))))
                try:
                    self.out.sendto(bytes(600), (INNER_THERE, 9))
                except OSError:
                    pass  # the interface is down just now
                self.sent += 2
            time.sleep(0.003)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()
        self.out.close()


def comes_back(tunnel, again=True):
    """An echo goes through, on the session that there is, or on a new one if it is gone and may be."""
    for attempt in range(6):
        tunnel.drain()
        if tunnel.echo(timeout=0.5):
            return True
        if again and attempt % 2:
            try:
                tunnel.initiate(timeout=1)
            except LabError:
                pass
    return False


# ---- A16 ----
def states(tests, options):
    """Pause, restart, power, removal that is cancelled, down and up, under load; at last surprise removal."""
    choose = random.Random(options.seed)
    tunnel = ScriptedTunnel()
    control = tunnel.control
    tunnel.initiate()
    counts = {}

    def pause():
        tests.equal(control.pause(), 0, "pause")
        time.sleep(choose.random() * 0.03)
        tests.equal(control.restart(), 0, "restart")

    def power():
        for state in (POWER_D3, POWER_D0):
            status, _, _ = control.oid(OID_PNP_SET_POWER, data=struct.pack("<I", state))
            tests.equal(status, 0, f"set power D{state - 1}")

    def paused_power():
        tests.equal(control.pause(), 0, "pause before suspend")
        power()
        tests.equal(control.restart(), 0, "restart after resume")

    def cancelled_removal():
        tests.equal(control.pnp(PNP_QUERY_REMOVE), 0, "query remove")
        tests.equal(control.pnp(PNP_CANCEL_REMOVE), 0, "cancel remove")

    def down_up():
        with control.open() as file:
            tests.equal(file.state(STATE_DOWN), 0, "down")
            time.sleep(choose.random() * 0.03)
            tests.equal(file.state(STATE_UP), 0, "up")

    actions = (pause, power, paused_power, cancelled_removal, down_up)
    lost = []
    with Traffic(tunnel) as traffic:
        for number in range(STATE_CHANGES):
            action = actions[number] if number < len(actions) else choose.choice(actions)
            counts[action.__name__] = counts.get(action.__name__, 0) + 1
            action()
            # Down and suspend erase the keys; everything else keeps the session.
            if not comes_back(tunnel, again=action in (down_up, power, paused_power)):
                lost.append((number, action.__name__))
                tunnel.initiate()
        sent = traffic.sent
    tests.equal(lost, [], f"the tunnel goes on after each of {STATE_CHANGES} changes under load (seed {options.seed})")
    tests.check(sent > 500, f"there was load: {sent} packets")
    with Traffic(tunnel):
        file = control.open()
        reader = file.log_async()
        while reader.done(0.05):
            reader = file.log_async()
        tests.equal(control.pnp(PNP_SURPRISE_REMOVAL), 0, "surprise removal under load")
        tests.check(reader.done(5), "the log reader goes home")
        tests.equal(hex(file.ioctl(IOCTL_GET, None, bytes(4096)).status), hex(NDIS_STATUS_ADAPTER_REMOVED), "control is refused")
        # (the handle stays open: halt and unload have to live with it: trap 4d5d323)
    print(f"   {counts}, {sent} packets")
    tunnel.finish(tests, "A16 states")


def unload(tests, options):
    """Load, configure, carry a packet, unload; nothing is left, each time."""
    lab = Lab()
    here = lab.namespace("here")
    failures, began, best = [], time.monotonic(), None
    for number in range(options.unloads):
        started = time.monotonic()
        host = LabPeer(lab, here, "wyrm", "a", [INNER_HERE + "/24"], options=["--verify"])
        with Control(host.name) as control, control.open() as file:
            peers = [Peer(public_key=os.urandom(32), endpoint=("127.0.0.1", 9), keepalive=1, allowed_ips=[INNER_THERE + "/32"])]
            file.set(Interface(private_key=os.urandom(32), peers=peers).pack()).check()
            file.state(STATE_UP)
            with inside(here), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
                out.sendto(b"staged", (INNER_THERE, 9))
        status = host.stop()
        took = time.monotonic() - started
        best = took if best is None else min(best, took)
        if status:
            failures.append((number, status, lab.output_of(host.process)[-1000:]))
            break
        lab.processes.remove(host.process)
        os.unlink(host.process.log_path)
    tests.equal(failures, [], f"{options.unloads} times loaded, used and unloaded, nothing left")
    print(f"   {options.unloads} times in {time.monotonic() - began:.1f} s, best {best:.3f} s")
    lab.close()


# ---- A17 ----
def network(tests, _):
    """Ports that are taken, sends that fail, routes and links that come and go."""
    tunnel = ScriptedTunnel()
    lab, control = tunnel.lab, tunnel.control
    tunnel.initiate()
    tests.check(tunnel.echo(), "a session")
    with inside(tunnel.here):
        blockers = [socket.socket(family, socket.SOCK_DGRAM) for family in (socket.AF_INET, socket.AF_INET6)]
        blockers[1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        blockers[0].bind(("", 51901))
        blockers[1].bind(("::", 51902))
    with control.open() as file:
        for port, what in ((51901, "IPv4"), (51902, "IPv6")):
            for _ in range(20):
                status = file.set(Interface(listen_port=port).pack()).status
            tests.equal(hex(status), hex(STATUS_ADDRESS_ALREADY_EXISTS), f"a port taken for {what} is refused")
            tests.equal(Interface.unpack(file.get()).listen_port, PORT, "the port stays")
            tests.check(tunnel.echo(), "and so does the session")
        # Trap 51ccb2d: what Up took is given back each time it fails (the halt at the end tells).
        file.state(STATE_DOWN)
        file.set(Interface(listen_port=51902).pack()).check()
        for _ in range(50):
            status = file.state(STATE_UP)
        tests.equal(hex(status), hex(STATUS_ADDRESS_ALREADY_EXISTS), "Up on a port that is taken fails, 50 times")
        tests.equal(file.state(STATE_QUERY), STATE_DOWN, "it stays down")
        tests.check(not control.link_up(), "without a link")
        for blocker in blockers:
            blocker.close()
        tests.equal(file.state(STATE_UP), 0, "Up once the port is free")
        file.set(Interface(listen_port=PORT).pack()).check()
    tunnel.initiate()
    tests.check(tunnel.echo(), "a session again")

    # Sends fail with an error of the network; what comes in is not disturbed, and afterwards all is as before.
    for kind in ("prohibit", "unreachable", "blackhole"):
        before = tunnel.statistics()
        lab.command(["ip", "route", "add", kind, OUTER_THERE + "/32"], tunnel.here)
        for _ in range(20):
            tunnel.provoke()
        tunnel.send(tunnel.session.seal(tunnel.sink_packet(b"in " + kind.encode())))
        tests.equal(tunnel.sink_payloads(0.3), [b"in " + kind.encode()], f"{kind}: what comes in is delivered")
        lab.command(["ip", "route", "del", kind, OUTER_THERE + "/32"], tunnel.here)
        tests.check(comes_back(tunnel, again=False), f"{kind}: the session goes on afterwards ({tunnel.statistics() - before})")

    # A route that flaps while data flows both ways.
    with Traffic(tunnel):
        for number in range(60):
            verb = "add" if number % 2 == 0 else "del"
            lab.command(["ip", "route", verb, "198.51.100.0/24", "via", OUTER_THERE], tunnel.here)
            lab.command(["ip", "address", verb, "192.0.2.99/24", "dev", tunnel.veth[0]], tunnel.here)
    tests.check(comes_back(tunnel, again=False), "the session goes on after 60 changes of routes and addresses")
    with Traffic(tunnel):
        for _ in range(8):
            lab.command(["ip", "link", "set", tunnel.veth[0], "down"], tunnel.here)
            time.sleep(0.02)
            lab.command(["ip", "link", "set", tunnel.veth[0], "up"], tunnel.here)
            time.sleep(0.02)
    tests.check(comes_back(tunnel, again=False), "and after the link was down 8 times")
    tunnel.finish(tests, "A17 network")


# ---- A19 ----
def padded(length, mtu):
    """What the white paper (5.4.6) and the MTU make of an inner packet's length."""
    if mtu == 0:
        return length + -length % 16
    return length + min(-length % 16, -length % mtu if length > mtu else mtu - length)


def mtus(tests, _):
    """The MTU changes while the session is used, per family: padding follows the inner packet's (traps 2dfeee4 to 5705540)."""
    tunnel = ScriptedTunnel()
    tunnel.initiate()
    name, lab = tunnel.wyrm.name, tunnel.lab
    with inside(tunnel.here):
        out4 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        out6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)

    def outer_length(payload, six):
        """The plaintext's length, padding included, of a UDP packet with this payload; and whether the padding is zero."""
        tunnel.drain()
        if six:
            out6.sendto(bytes([1]) * payload, (INNER6_THERE, 9))
        else:
            out4.sendto(bytes([1]) * payload, (INNER_THERE, 9))
        inner = payload + (48 if six else 28)
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            message = tunnel.receive(wgpeer.DATA, 1)
            if message is None:
                break
            plain = tunnel.session.open(message)[1]
            if len(plain) >= inner and plain[0] >> 4 == (6 if six else 4) and plain[inner - 1] == 1:
                return len(plain), not any(plain[inner:])
        return None, None

    for mtu4, mtu6 in ((1420, 1420), (1280, 1280), (576, None), (1420, 1280), (1423, 1300), (9000, 1281), (65535, 65535), (1420, 1420)):
        lab.command(["ip", "link", "set", name, "mtu", str(mtu4)], tunnel.here)
        if mtu6:  # Linux takes IPv6 away below 1280, and gives it the link's MTU otherwise
            lab.command(["ip", "address", "replace", INNER6_HERE + "/64", "dev", name, "nodad"], tunnel.here)
        if mtu6 and mtu6 != mtu4:
            lab.command(["sysctl", "-q", "-w", f"net.ipv6.conf.{name}.mtu={mtu6}"], tunnel.here)
            # This alone tells nobody, as on Windows; any other change of the interface does.
            lab.command(["ip", "link", "set", name, "alias", f"mtu{mtu6}"], tunnel.here)
        wrong = []
        for six, mtu in ((False, mtu4), (True, mtu6)):
            if mtu is None:
                continue
            overhead = 48 if six else 28
            for length in (60, 64, 65, 100, 570, min(mtu, 1500) - 17, min(mtu, 1500) - 1, min(mtu, 1500)):
                if length < overhead or length > mtu or length > 1440:
                    continue
                # The notification takes its time: the last word counts.
                for _ in range(10):
                    got = outer_length(length - overhead, six)
                    if got == (padded(length, mtu), True):
                        break
                    time.sleep(0.1)
                else:
                    wrong.append((six, length, got, padded(length, mtu)))
        tests.equal(wrong, [], f"padding at MTU {mtu4} and, for IPv6, {mtu6}")
    # Without IPv6 its MTU is not known; IPv4 is as before.
    lab.command(["sysctl", "-q", "-w", f"net.ipv6.conf.{name}.disable_ipv6=1"], tunnel.here)
    time.sleep(0.2)
    tests.equal(outer_length(70, False), (padded(98, 1420), True), "IPv4 without IPv6 on the interface")
    tests.check(tunnel.echo(), "the session")
    out4.close()
    out6.close()
    tunnel.finish(tests, "A19 MTU")


# ---- A20 ----
def families(tests, _):
    """One family only, outside or inside; both at once; endpoints of a family that cannot be reached."""
    tunnel = ScriptedTunnel()
    lab = tunnel.lab
    tunnel.initiate()
    # An endpoint of the other family: in, and back by what comes.
    with inside(tunnel.there):
        six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        six.bind(("2001:db8::2", PORT))
        six.setblocking(False)
    tunnel.sockets.append(six)
    four = tunnel.destination
    tunnel.destination = ("2001:db8::1", PORT)
    tests.check(tunnel.echo(via=six), "the same session over IPv6")
    tests.equal(tunnel.state()["endpoint"], f"[2001:db8::2]:{PORT}", "roamed to IPv6")
    tunnel.destination = four
    tests.check(tunnel.echo(), "and back over IPv4")
    # IPv6 goes away on the outside while it is the endpoint's family.
    tunnel.destination = ("2001:db8::1", PORT)
    tests.check(tunnel.echo(via=six), "over IPv6 again")
    lab.command(["sysctl", "-q", "-w", f"net.ipv6.conf.{tunnel.veth[0]}.disable_ipv6=1"], tunnel.here)
    for _ in range(20):
        tunnel.provoke()
    tunnel.destination = four
    tests.check(comes_back(tunnel, again=False), "IPv6 went away: IPv4 carries on")
    # Inner IPv6 over outer IPv4 is not touched by that.
    before = tunnel.statistics()
    tunnel.send(tunnel.session.seal(wgpeer.ipv6(address_bytes(INNER6_THERE), address_bytes(INNER6_HERE), 59, b"")))
    seen = tunnel.await_statistics(before, lambda now: now.in_unicast)
    tests.equal((seen.in_unicast, seen.in_errors), (1, 0), "inner IPv6 over outer IPv4")
    tunnel.finish(tests, "A20 families")

    # A machine without IPv6: the driver comes up and works.
    lab = Lab()
    here, there = lab.namespace("here"), lab.namespace("there")
    for name in (here, there):
        lab.command(["sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"], name)
    lab.link(here, there, [OUTER_HERE + "/24"], [OUTER_THERE + "/24"])
    near = LabPeer(lab, here, "wyrm", "a", [INNER_HERE + "/24"], options=["--verify"])
    far = LabPeer(lab, there, "wyrm", "b", [INNER_THERE + "/24"], options=["--verify"])
    far.setconf([{"public": near.public, "allowed": [INNER_HERE + "/32"]}])
    near.setconf([{"public": far.public, "allowed": [INNER_THERE + "/32"], "endpoint": f"{OUTER_THERE}:{PORT}"}])
    done = lab.command(["ping", "-n", "-c", "5", "-i", "0.2", "-W", "2", INNER_THERE], here, check=False)
    tests.equal(done.returncode, 0, "IPv6 disabled: ping through the tunnel")
    near.wg("set", "peer", far.public, "endpoint", "[2001:db8::2]:5", check=False)
    lab.command(["ping", "-n", "-c", "1", "-W", "1", INNER_THERE], here, check=False)
    near.wg("set", "peer", far.public, "endpoint", f"{OUTER_THERE}:{PORT}")
    done = lab.command(["ping", "-n", "-c", "5", "-i", "0.2", "-W", "2", INNER_THERE], here, check=False)
    tests.equal(done.returncode, 0, "after an endpoint that cannot be reached")
    for peer in (near, far):
        status = peer.stop()
        tests.equal(status, 0, f"unload {lab.output_of(peer.process)[-1500:] if status else ''}")
    lab.close()


# ---- A22 ----
def processors(tests, _):
    """1, 2 and 64 virtual processors: a session, order, unload."""
    for cpus in (1, 2, 64):
        tunnel = ScriptedTunnel(options=("--verify", "--cpus", str(cpus)))
        tests.equal(tunnel.control.cpus, cpus, "the host has so many")
        tunnel.initiate()
        tests.check(tunnel.echo(), f"{cpus} processors: a session")
        numbers = []
        for start in range(0, 400, 40):
            for number in range(start, start + 40):
                tunnel.send(tunnel.session.seal(tunnel.sink_packet(struct.pack(">I", number))))
            deadline = time.monotonic() + 2
            while len(numbers) < start + 40 and time.monotonic() < deadline:
                numbers += [struct.unpack(">I", payload)[0] for payload in tunnel.sink_payloads(0.005)]
        tests.equal(numbers, list(range(400)), f"{cpus} processors: 400 packets in order")
        tunnel.finish(tests, f"{cpus} processors")


# ---- A23 ----
def leaks(tests, _):
    """Nothing leaves that was not meant to: sizes, padding, reserved bytes, replies to control requests."""
    tunnel = ScriptedTunnel()
    tunnel.initiate()
    # Every datagram of a while: lengths are those of the white paper, reserved bytes and padding are zero.
    captured = []
    with inside(tunnel.here):
        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for size in list(range(0, 70)) + [500, 1000, 1391, 1392]:
        out.sendto(bytes([0xFF]) * size, (INNER_THERE, 9))
        captured += [(size, message) for message in tunnel.receive_all(timeout=0.005)]
    captured += [(None, message) for message in tunnel.receive_all(timeout=0.2)]
    out.close()
    bad = []
    inner_lengths = set()
    for _, message in captured:
        if message[1:4] != bytes(3) or wgpeer.message_type(message) != wgpeer.DATA:
            bad.append(("header", message[:16].hex()))
            continue
        plain = tunnel.session.open(message)[1]
        if not plain:
            continue
        length = struct.unpack(">H", plain[2:4])[0] if plain[0] >> 4 == 4 else 40 + struct.unpack(">H", plain[4:6])[0]
        inner_lengths.add(length)
        if any(plain[length:]) or len(plain) != padded(length, 1420):
            bad.append((length, len(plain), plain[length:].hex()))
    tests.equal(bad, [], f"{len(captured)} data messages: header, length and zero padding")
    tests.check(len(inner_lengths) > 60, f"of {len(inner_lengths)} inner lengths")
    # Answers to strangers, to the deaf and to garbage: none at all (a host that is not a peer cannot tell that we are here).
    for what, message in (("garbage", os.urandom(148)), ("an initiation for another", wgpeer.Peer(
            wgpeer.generate_private(), wgpeer.public_of(wgpeer.generate_private())).create_initiation()),
                          ("a stranger", wgpeer.Peer(wgpeer.generate_private(), tunnel.public).create_initiation()),
                          ("data for no session", struct.pack("<IIQ", 4, 0x12345678, 0) + os.urandom(16)),
                          ("a response to nothing", struct.pack("<III", 2, 1, 1) + os.urandom(80))):
        tunnel.drain()
        tunnel.send(message)
        tests.equal(tunnel.receive_all(timeout=0.1), [], f"no answer to {what}")

    with tunnel.control.open() as file:
        # Output buffers: what the driver does not say it wrote is as it was.
        size = len(file.get())
        for length in (0, 1, 79, 80, 100, size - 1, size, size + 1, size + 100):
            result = file.ioctl(IOCTL_GET, None, bytes([FILL]) * length)
            behind = result.information if result.status == 0 else 80 if length >= 80 else 0
            if result.status == 0 or length < 80 + 136:
                tests.equal(result.out[behind:], bytes([FILL]) * (length - behind), f"GET into {length} bytes: the rest is untouched")
        result = file.ioctl(IOCTL_GET, None, bytes([FILL]) * size)
        tests.equal(result.out[70:72] + result.out[76:80], bytes([FILL]) * 6 if result.out[70] == FILL else bytes(6),
                    "GET: padding of the interface is the caller's or zero")
        result = file.ioctl(IOCTL_STATE, struct.pack("<I", STATE_QUERY), bytes([FILL]) * 4)
        tests.equal((result.information, result.out), (4, struct.pack("<I", STATE_UP)), "STATE answers four bytes")
        result = file.ioctl(IOCTL_LOG, None, bytes([FILL]) * 200)
        text = result.out[8:128]
        end = text.index(b"\0")
        tests.check(set(text[end:]) <= {0}, f"LOG: nothing of older lines behind the text: {text[end:].hex()}")
        tests.equal((result.information, result.out[128:]), (128, bytes([FILL]) * 72) if result.out[128] == FILL else (128, bytes(72)),
                    "LOG: 128 bytes and no more")
        lines = text[:end]
        while True:
            pending = file.log_async()
            if not pending.done(0.2):
                pending.cancel()
                break
            lines += pending.wait().out
        secrets = [wgpeer.base64.b64decode(tunnel.wyrm.private), tunnel.peer.private, tunnel.session.send_key,
                   tunnel.session.receive_key]
        leaked = [secret for secret in secrets if secret in lines or wgpeer.base64_of(secret).encode() in lines
                  or secret.hex().encode() in lines]
        tests.equal(leaked, [], "no key in the log")
        # A refused caller learns nothing.
        file.pass_to(system=False, administrator=False, integrity=0x2000)
        for name, code, data in (("GET", IOCTL_GET, None), ("STATE", IOCTL_STATE, struct.pack("<I", STATE_QUERY)), ("LOG", IOCTL_LOG, None)):
            result = file.ioctl(code, data, bytes([FILL]) * 256)
            tests.equal((hex(result.status), result.information, set(result.out) <= {FILL, 0}), (hex(STATUS_ACCESS_DENIED), 0, True),
                        f"{name} denied: nothing is written")
    tests.equal(b"private" in tunnel.log_tail().encode().lower(), False, "nor in the host's output")
    tunnel.finish(tests, "A23 leaks")


# ---- A24 ----
def privilege(tests, _):
    """Who asks is what counts for every single request, not who opened the handle."""
    tunnel = ScriptedTunnel()
    control = tunnel.control
    strong = ({"system": True, "administrator": True, "integrity": 0x4000},
              {"system": False, "administrator": True, "integrity": 0x3000})
    weak = ({"system": False, "administrator": True, "integrity": 0x2000},
            {"system": False, "administrator": False, "integrity": 0x3000},
            {"system": False, "administrator": False, "integrity": 0x1000})
    requests = (("GET", IOCTL_GET, None, bytes(4096)), ("SET", IOCTL_SET, None, bytes(80)),
                ("SET that would change", IOCTL_SET, None, Interface(listen_port=1).pack()),
                ("STATE query", IOCTL_STATE, struct.pack("<I", STATE_QUERY), bytes(4)),
                ("STATE down", IOCTL_STATE, struct.pack("<I", STATE_DOWN), b""))
    before = tunnel.wyrm.show()
    for opener in strong:
        with control.open(**opener) as file:
            tests.equal(hex(file.ioctl(IOCTL_GET, None, bytes(4096)).status), hex(0), "the one who opened it may")
            for user in weak:
                tests.equal(file.pass_to(**user), 0, "the handle is passed on")
                for name, code, data, output in requests:
                    tests.equal(hex(file.ioctl(code, data, output).status), hex(STATUS_ACCESS_DENIED), f"{name} by {user}")
                waiting = file.log_async()
                tests.check(waiting.done(2) and waiting.wait().status == STATUS_ACCESS_DENIED, f"LOG by {user}")
            for user in strong:
                file.pass_to(**user)
                tests.equal(hex(file.ioctl(IOCTL_GET, None, bytes(4096)).status), hex(0), f"GET by {user} again")
    tests.equal(tunnel.wyrm.show(), before, "nothing changed")
    # A SET is checked before its buffer is looked at: a weak caller cannot tell good ones from bad ones.
    with control.open() as file:
        file.pass_to(**weak[0])
        statuses = {file.ioctl(IOCTL_SET, None, buffer).status for buffer in (None, b"", bytes(79), bytes(80), bytes(500))}
        tests.equal(statuses, {STATUS_ACCESS_DENIED}, "SET of anything")
    tunnel.finish(tests, "A24 privilege")


SCENARIOS = {"states": states, "unload": unload, "network": network, "mtus": mtus, "families": families,
             "processors": processors, "leaks": leaks, "privilege": privilege}


def arguments(parser):
    parser.add_argument("--seed", type=int, default=20260401)
    parser.add_argument("--unloads", type=int, default=UNLOADS, help=f"how often `unload` does it (default {UNLOADS}; A16 asks for 1000)")


def main():
    return run_scenarios(__doc__, SCENARIOS, (NTHOST, DRIVER), lambda scenario, tests, options: scenario(tests, options), arguments)


if __name__ == "__main__":
    sys.exit(main())
