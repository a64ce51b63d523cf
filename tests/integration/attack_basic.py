#!/usr/bin/python3
"""Attacks by those who see, repeat, delay, forge and flood, against the driver in verify mode: replayed and reordered
messages, old timestamps, floods of handshakes with cookies, off-path copies, spoofed and moved prefixes."""

import ipaddress
import os
import random
import signal
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import wgpeer  # noqa: E402
from scenarios import run_scenarios  # noqa: E402
from scripted_tunnel import DRIVER, INNER_HERE, INNER_THERE, NTHOST, OUTER_THERE, PORT, ScriptedTunnel  # noqa: E402

OFF_PATH = "192.0.2.77"
INITIATION_INTERVAL = 0.020
PAUSE = 0.03  # longer than that
HANDSHAKE_QUEUE = 4096
RATE_PER_SECOND, RATE_BURST = 20, 5
SECONDS_1601_TO_1970 = 11644473600


def refused(tunnel, tests, datagram, what, via=None):
    """The datagram is an error and is not answered."""
    tunnel.drain(via)
    before = tunnel.statistics()
    tunnel.send(datagram, via)
    seen = tunnel.await_statistics(before, lambda now: now.in_errors)
    tests.equal((seen.in_errors, seen.in_discards), (1, 0), f"{what}: one error")
    answers = [wgpeer.message_type(message) for message in tunnel.receive_all(timeout=0.03, via=via)]
    tests.equal([kind for kind in answers if kind != wgpeer.INITIATION], [], f"{what}: no answer")


# ---- A4: replays and timestamps ----
def replays(tests):
    tunnel = ScriptedTunnel()
    peer = tunnel.peer
    base = time.time()
    tunnel.send(first := peer.create_initiation(wgpeer.tai64n(base)))
    tunnel.session = peer.consume_response(answer := tunnel.receive(wgpeer.RESPONSE, 5))
    tunnel.send(tunnel.session.seal())
    tests.check(tunnel.echo(), "a session")
    for what, message in (("the same initiation", first),
                          ("an equal timestamp", peer.create_initiation(wgpeer.tai64n(base))),
                          ("a timestamp 1 ns older", peer.create_initiation(one_ns(wgpeer.tai64n(base), -1))),
                          ("a timestamp 1 s older", peer.create_initiation(wgpeer.tai64n(base - 1))),
                          ("a timestamp of 1970", peer.create_initiation(wgpeer.tai64n(0))),
                          ("a timestamp of zeros", peer.create_initiation(bytes(12))),
                          ("a response to nothing that the driver asked", answer)):
        time.sleep(PAUSE)  # so that it is not the limit of 20 ms that refuses it
        refused(tunnel, tests, message, what)
        tests.check(tunnel.echo(), f"{what}: the session goes on")
    time.sleep(PAUSE)
    tunnel.send(peer.create_initiation(one_ns(wgpeer.tai64n(base), 1)))
    answer = tunnel.receive(wgpeer.RESPONSE, 2)
    tests.check(answer is not None, "a timestamp 1 ns newer is taken")
    if answer:
        tunnel.session = peer.consume_response(answer)
        tests.check(tunnel.echo(), "a session on it")
    # The oldest one again, now that there is another.
    time.sleep(PAUSE)
    refused(tunnel, tests, first, "the first initiation after the second")
    # The driver's own messages sent back to it.
    reflected = [message for message in (answer, tunnel.session and tunnel_data(tunnel)) if message]
    for message in reflected:
        refused(tunnel, tests, message, f"the driver's own type {message[0]} reflected")
    tests.check(tunnel.echo(), "the session goes on")
    tunnel.finish(tests, "replays")


def one_ns(timestamp, step):
    seconds, nanoseconds = struct.unpack(">QI", timestamp)
    total = seconds * 10**9 + nanoseconds + step
    return struct.pack(">QI", total // 10**9, total % 10**9)


def tunnel_data(tunnel):
    """A data message of the driver."""
    tunnel.drain()
    tunnel.provoke()
    return tunnel.receive(wgpeer.DATA, 2)


def driver_as_initiator(tests):
    tunnel = ScriptedTunnel()
    peer = tunnel.peer
    tunnel.provoke()
    sent, state = tunnel.await_initiation()
    seconds, nanoseconds = struct.unpack(">QI", state.timestamp)
    unix = seconds - (1 << 62) - 10
    ticks = (unix + SECONDS_1601_TO_1970) * 10**7 + nanoseconds // 100
    tests.check(abs(unix - time.time()) < 5, "the timestamp is the time of day")
    tests.equal((ticks % 2**17, nanoseconds % 100), (0, 0), "and is rounded, so that it tells no exact clock")
    refused(tunnel, tests, sent, "the driver's own initiation reflected")
    answer, tunnel.session = peer.create_response(state)
    tunnel.send(answer)
    # (other packets of the namespace may have waited too)
    packets = tunnel.received_packets()
    tests.check(any(b"provoked" in packet for packet in packets), "what waited for the session comes")
    tests.check(tunnel.echo(), "a session")
    for _ in range(3):
        refused(tunnel, tests, answer, "the same response again")
    other = wgpeer.Peer(peer.private, tunnel.public)
    refused(tunnel, tests, other.create_response(other.consume_initiation(sent))[0], "another response to the same initiation")
    # A late cookie reply may be kept for the next initiation, once.
    tunnel.send(reply := wgpeer.create_cookie_reply(sent, peer.public, bytes(16)))
    time.sleep(PAUSE)
    refused(tunnel, tests, reply, "a cookie reply twice")
    tests.check(tunnel.echo(), "the session goes on")
    tunnel.finish(tests, "driver as initiator")


# ---- A5: reordering over sessions ----
def sessions(tests):
    tunnel = ScriptedTunnel()

    def taken(session, counter, text):
        tunnel.send(session.seal(tunnel.sink_packet(text), counter=counter))
        return tunnel.sink_payloads(0.1) == [text]

    # Without an earlier session the responder sends nothing before it has heard us on the new one.
    first = tunnel.initiate(confirm=False)
    tunnel.provoke()
    tests.equal(tunnel.received_packets(first, 0.3), [], "nothing is sent on an unconfirmed session")
    tunnel.send(first.seal(counter=0))
    packets = tunnel.received_packets(first, 0.5)
    tests.check(any(b"provoked" in packet for packet in packets), "what waited comes after the confirmation")

    tests.check(taken(first, 5, b"first 5"), "data on the first session")
    second = tunnel.initiate(confirm=False)
    tunnel.drain()
    tunnel.provoke()
    message = tunnel.receive(wgpeer.DATA, 2)
    tests.check(message and message[4:8] == struct.pack("<I", first.local_index), "the first session is used until then")
    tests.check(taken(second, 5, b"second 5"), "the same counter on the second session")
    message = tunnel_data(tunnel)
    tests.check(message and message[4:8] == struct.pack("<I", second.local_index), "the second session is used from then on")
    tests.check(taken(first, 4, b"first 4"), "an earlier packet of the first session comes late")
    tests.check(taken(first, 6, b"first 6"), "a later one too")
    for session, counter in ((first, 4), (first, 5), (first, 6), (second, 5)):
        refused(tunnel, tests, session.seal(tunnel.sink_packet(b"again"), counter=counter), f"counter {counter} again")
    tests.equal(tunnel.sink_payloads(0.05), [], "nothing twice")
    message = tunnel_data(tunnel)
    tests.check(message and message[4:8] == struct.pack("<I", second.local_index), "late packets do not bring the first back")

    third = tunnel.initiate()
    tests.check(taken(third, 1, b"third 1"), "a third session")
    tests.check(taken(second, 6, b"second 6"), "the second is the previous one now")
    refused(tunnel, tests, first.seal(tunnel.sink_packet(b"old"), counter=7), "the first is gone")
    # A session that is never confirmed does not push out the two in use.
    for _ in range(3):
        tunnel.initiate(confirm=False)
    tests.check(taken(third, 2, b"third 2"), "unconfirmed sessions do not end the current one")
    tunnel.session, third.counter = third, 3
    tests.check(tunnel.echo(third), "which is still the one that is sent on")
    tunnel.finish(tests, "sessions")


# ---- one initiation per peer in 20 ms ----
def initiation_interval(tests):
    tunnel = ScriptedTunnel()
    other, via = tunnel.new_peer(), tunnel.open_socket(OUTER_THERE, 51900)
    tunnel.wyrm.setconf([tunnel.entry(other, ["10.66.0.3/32"])], "addconf")
    tunnel.initiate()
    for burst in range(3):
        time.sleep(PAUSE)
        messages = [tunnel.peer.create_initiation(tunnel.timestamp()) for _ in range(40)]
        tunnel.drain()
        before = tunnel.statistics()
        began = time.monotonic()
        for message in messages:
            tunnel.send(message)
        tunnel.send(other.create_initiation(tunnel.timestamp()), via)
        answers = []

        def finished(now, answers=answers):
            answers += tunnel.receive_all(wgpeer.RESPONSE, 0)
            return now.in_errors + len(answers) >= len(messages)

        seen = tunnel.await_statistics(before, finished)
        elapsed = time.monotonic() - began
        answers += tunnel.receive_all(wgpeer.RESPONSE, 0.05)
        limit = 1 + int(elapsed / INITIATION_INTERVAL)
        tests.check(1 <= len(answers) <= limit, f"burst {burst}: {len(answers)} answers in {elapsed * 1000:.0f} ms (at most {limit})")
        tests.check(limit < len(messages), f"burst {burst}: the limit could be seen ({limit})")
        tests.equal((seen.in_errors, seen.in_discards), (len(messages) - len(answers), 0), f"burst {burst}: the others are errors")
        tests.check(tunnel.receive(wgpeer.RESPONSE, 2, via) is not None, f"burst {burst}: another peer is answered meanwhile")
    tunnel.initiate()
    tests.check(tunnel.echo(), "an initiation after the bursts")
    tunnel.finish(tests, "initiation interval")


# ---- A9: endpoints ----
def endpoints(tests):
    tunnel = ScriptedTunnel()
    tunnel.add_address(OFF_PATH)
    attacker = tunnel.open_socket(OFF_PATH, 7777)
    home = f"{OUTER_THERE}:{PORT}"
    away = f"{OFF_PATH}:7777"

    def expect(endpoint, what):
        tests.equal(tunnel.state()["endpoint"], endpoint, f"{what}: endpoint")

    time.sleep(PAUSE)
    tunnel.send(initiation := tunnel.peer.create_initiation(tunnel.timestamp()))
    session = tunnel.session = tunnel.peer.consume_response(tunnel.receive(wgpeer.RESPONSE, 5))
    tunnel.send(keepalive := session.seal())
    tunnel.send(data := session.seal(tunnel.sink_packet(b"data")))
    tests.equal(tunnel.sink_payloads(0.2), [b"data"], "a session")
    expect(home, "at home")

    damaged = session.seal(bytes(64))
    damaged = damaged[:-1] + bytes([damaged[-1] ^ 1])
    copies = (("initiation", initiation), ("keepalive", keepalive), ("data", data), ("data with a wrong tag", damaged),
              ("data behind the window", None), ("an old timestamp", tunnel.peer.create_initiation(wgpeer.tai64n(1000))),
              ("a message of nobody", wgpeer.Peer(wgpeer.generate_private(), tunnel.public).create_initiation()))
    for what, message in copies:
        if message is None:
            session.counter = 9000
            tests.check(tunnel.echo(), "the window moves")
            message = session.seal(tunnel.sink_packet(b"old"), counter=9000 - 8129)
        time.sleep(PAUSE)
        refused(tunnel, tests, message, f"{what} from off path", attacker)
        expect(home, f"{what} from off path")
    tests.check(tunnel.echo(), "the driver still sends home")

    # Authentic and fresh: the endpoint moves, whatever the kind of message.
    other = tunnel.open_socket(OFF_PATH, 7778)
    tunnel.send(session.seal(), attacker)
    tests.check(tunnel.echo(via=attacker), "answers go to where a fresh keepalive came from")
    expect(away, "keepalive from elsewhere")
    tunnel.send(session.seal(tunnel.sink_packet(b"from another port")), other)
    tests.equal(tunnel.sink_payloads(0.2), [b"from another port"], "data from another port")
    expect(f"{OFF_PATH}:7778", "another port")
    # A copy that overtakes the original moves it; the original is then a replay and does not move it back; the next does.
    message = session.seal(tunnel.sink_packet(b"overtaken"))
    tunnel.send(message, attacker)
    tests.equal(tunnel.sink_payloads(0.2), [b"overtaken"], "a copy that overtakes is taken")
    refused(tunnel, tests, message, "the original behind it")
    expect(away, "after the copy")
    tests.check(tunnel.echo(), "the next packet from home")
    expect(home, "and it is at home again")
    time.sleep(PAUSE)
    tunnel.initiate(via=attacker, confirm=False)
    expect(away, "an initiation from elsewhere")
    tunnel.initiate()
    expect(home, "an initiation from home")
    tests.check(tunnel.echo(), "the tunnel")

    # Our own side's choice is kept when nothing authentic came: wg sets an endpoint, an attacker changes nothing.
    tunnel.wyrm.wg("set", "peer", wgpeer.base64_of(tunnel.peer.public), "endpoint", "192.0.2.50:5000")
    refused(tunnel, tests, data, "an old copy after wg set", attacker)
    expect("192.0.2.50:5000", "after wg set")
    tunnel.finish(tests, "endpoints")


# ---- A11: allowed IPs ----
def allowed_ips(tests, seed):
    choose = random.Random(seed)
    tunnel = ScriptedTunnel()
    peers = [tunnel.peer, tunnel.new_peer(), tunnel.new_peer()]
    vias = [tunnel.socket] + [tunnel.open_socket(OUTER_THERE, 51900 + number) for number in (1, 2)]
    table = {}
    while len(table) < 120:
        length = choose.choice((9, 12, 16, 20, 24, 28, 31, 32))
        table[ipaddress.ip_network((f"10.{128 + choose.randrange(4)}.{choose.randrange(4)}.{choose.randrange(256)}", length),
                                   strict=False)] = choose.randrange(3)
    entries = [[INNER_THERE + "/32"], ["10.66.0.3/32"], ["10.66.0.4/32"]]
    for prefix, owner in table.items():
        entries[owner].append(str(prefix))
    tunnel.configure([tunnel.entry(peer, allowed, f"{OUTER_THERE}:{via.getsockname()[1]}")
                      for peer, allowed, via in zip(peers, entries, vias)])
    sessions_of = [tunnel.initiate(peer, via) for peer, via in zip(peers, vias)]

    def owner_of(address):
        matching = [prefix for prefix in table if ipaddress.ip_address(address) in prefix]
        return table[max(matching, key=lambda prefix: prefix.prefixlen)] if matching else None

    # Each source from each peer: indicated only from the one whose prefix is the longest match.
    sources = {str(prefix[choose.randrange(prefix.num_addresses)]) for prefix in choose.sample(sorted(table), 60)}
    sources |= {str(prefix.network_address - 1) for prefix in choose.sample(sorted(table), 20)}
    wrong = []
    tunnel.sniffer.packets()
    for source in sorted(sources):
        for number in range(3):
            packet = wgpeer.udp4(source, INNER_HERE, bytes([number]) * 4, 9, 4242)
            tunnel.send(sessions_of[number].seal(packet), vias[number])
        wanted = owner_of(source)
        got = tunnel.sniffer.packets(0.01)
        deadline = time.monotonic() + 1
        while wanted is not None and not got and time.monotonic() < deadline:
            got = tunnel.sniffer.packets(0.01)
        if [packet[-1] for packet in got] != ([] if wanted is None else [wanted]):
            wrong.append((source, wanted, [packet[-1] for packet in got]))
    tests.equal(wrong, [], f"{len(sources)} sources from three peers against a slow longest match")

    # Destinations: to the peer of the longest match, and only there.
    wrong = []
    for destination in sorted(sources)[:40]:
        wanted = owner_of(destination)
        if wanted is None:
            continue
        for via in vias:
            tunnel.drain(via)
        tunnel.provoke(destination)
        message = tunnel.receive(wgpeer.DATA, 2, vias[wanted])
        others = [number for number in range(3) if number != wanted and tunnel.receive(wgpeer.DATA, 0, vias[number])]
        if message is None or others or b"provoked" not in sessions_of[wanted].open(message)[1]:
            wrong.append((destination, wanted, message is not None, others))
    tests.equal(wrong, [], "destinations against the same model")

    # A prefix moves to another peer while packets flow: none of the old owner's is indicated after the change.
    packets = [tunnel.sink_packet(struct.pack(">I", number)) for number in range(400)]
    tunnel.sink_payloads()
    changed_at = None
    for number, packet in enumerate(packets):
        if number == 200:
            tunnel.wyrm.wg("set", "peer", wgpeer.base64_of(peers[1].public), "allowed-ips",
                           ",".join(entries[1] + [INNER_THERE + "/32"]))
            changed_at = number
        tunnel.send(sessions_of[0].seal(packet))
        if number % 20 == 19:
            time.sleep(0.002)
    got = [struct.unpack(">I", payload)[0] for payload in tunnel.sink_payloads(0.3)]
    tests.check(got and got == list(range(len(got))) and len(got) <= changed_at,
                f"a prefix that moved at packet {changed_at}: {len(got)} came")
    tunnel.send(sessions_of[1].seal(tunnel.sink_packet(b"new owner")), vias[1])
    tests.equal(tunnel.sink_payloads(0.2), [b"new owner"], "the new owner may use it")
    for via in vias:
        tunnel.drain(via)
    tunnel.provoke()
    tests.check(tunnel.receive(wgpeer.DATA, 2, vias[1]) is not None and tunnel.receive(wgpeer.DATA, 0, vias[0]) is None,
                "and gets what is sent there")
    tunnel.finish(tests, "allowed IPs")


# ---- A1, A3: floods ----
class Flood:
    """Initiations of unknown peers, each valid in itself, from several addresses, until stopped.  `at_once`: so many arrive while
    the driver's process stands still, so that it is under load however fast it is."""

    def __init__(self, tunnel, sources, limit=float("inf"), pause=0.002, at_once=None):
        self.tunnel, self.sources, self.limit, self.pause, self.at_once = tunnel, sources, limit, pause, at_once
        self.messages = []
        for _ in range(16):
            body = wgpeer.Peer(wgpeer.generate_private(), tunnel.public).create_initiation()[:-32]
            # The sender index is under mac1 only: one asymmetric computation of ours gives many valid messages.
            self.messages += [wgpeer.add_macs(body[:4] + os.urandom(4) + body[8:], tunnel.public) for _ in range(360)]
        self.stopping = threading.Event()
        self.sent = 0
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.stopping.is_set():
            if self.at_once:
                self.tunnel.wyrm.process.send_signal(signal.SIGSTOP)
            try:
                until = self.sent + (self.at_once or 1)
                while self.sent < until:
                    for via in self.sources:
                        if self.sent >= self.limit:
                            return
                        position = self.sent % len(self.messages)
                        part = self.messages[position:position + 60]
                        self.tunnel.send_segments(part, via)
                        self.sent += len(part)
            finally:
                if self.at_once:
                    self.tunnel.wyrm.process.send_signal(signal.SIGCONT)
            time.sleep(self.pause)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()


def answer_to(tunnel, message, via=None, timeout=3.0):
    """The driver's answer to an initiation: a response or a cookie reply.  Sent again now and then, as a flood fills queues."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        tunnel.send(message, via)
        found = tunnel.receive(timeout=0.2, via=via)
        while found is not None and wgpeer.message_type(found) not in (wgpeer.RESPONSE, wgpeer.COOKIE_REPLY):
            found = tunnel.receive(timeout=0.05, via=via)
        if found is not None:
            return found
    return None


def attackers(tunnel, count):
    addresses = [f"192.0.2.{100 + number}" for number in range(count)]
    for address in addresses:
        tunnel.add_address(address)
    return [tunnel.open_socket(address, 1000) for address in addresses]


def insistent_echo(tunnel, *arguments):
    """An echo through a socket buffer that a flood fills: some of the requests are lost on their way to the driver."""
    return any(tunnel.echo(*arguments, timeout=0.5) for _ in range(10))


def flood(tests):
    # In fast mode: the checks of verify mode on each datagram are slower than the handshakes, so that no queue forms.
    tunnel = ScriptedTunnel(options=())
    peer = tunnel.peer
    session = tunnel.initiate()
    tests.check(tunnel.echo(), "before the flood")
    newcomer, via = tunnel.new_peer(), tunnel.open_socket(OUTER_THERE, 51901)
    tunnel.wyrm.setconf([tunnel.entry(newcomer, ["10.66.0.3/32"])], "addconf")
    sources = attackers(tunnel, 6)
    memory, before = tunnel.pool_now(), tunnel.statistics()

    with Flood(tunnel, sources, pause=0.2, at_once=2400) as running:
        cookies, kinds_seen = 0, set()
        deadline = time.monotonic() + 10
        while cookies < 1000 and time.monotonic() < deadline:
            for source in sources:
                kinds = [wgpeer.message_type(message) for message in tunnel.receive_all(timeout=0.0, via=source)]
                cookies += kinds.count(wgpeer.COOKIE_REPLY)
                kinds_seen |= set(kinds)
            time.sleep(0.05)
        tests.equal(kinds_seen, {wgpeer.COOKIE_REPLY}, "unknown peers get cookies and nothing else")
        tests.check(cookies >= 1000, f"cookie replies under load: {cookies} for {running.sent} initiations")
        tests.check(insistent_echo(tunnel, session), "a session goes on during the flood")

        # A peer of ours without a cookie is asked for one; with it, it gets through.
        answer = answer_to(tunnel, sent := newcomer.create_initiation(tunnel.timestamp()), via)
        if tests.check(answer and wgpeer.message_type(answer) == wgpeer.COOKIE_REPLY, "under load: a cookie before anything else"):
            newcomer.cookie = wgpeer.open_cookie_reply(answer, sent, tunnel.public)
            # Wrong in every respect but its mac1: a wrong cookie, and the right one from another port.
            wrong = sent[:-16] + os.urandom(16)
            answer = answer_to(tunnel, wrong, via)
            tests.check(answer and wgpeer.message_type(answer) == wgpeer.COOKIE_REPLY, "a wrong mac2 is as good as none")
            elsewhere = tunnel.open_socket(OUTER_THERE, 51902)
            message = newcomer.create_initiation(tunnel.timestamp())
            answer = answer_to(tunnel, message, elsewhere)
            tests.check(answer and wgpeer.message_type(answer) == wgpeer.COOKIE_REPLY, "a cookie is good for one port")
            began = time.monotonic()
            tunnel.drain(via)
            answer, deadline = None, time.monotonic() + 5
            while (answer is None or wgpeer.message_type(answer) != wgpeer.RESPONSE) and time.monotonic() < deadline:
                answer = answer_to(tunnel, newcomer.create_initiation(tunnel.timestamp()), via, 1.0)
            taken = time.monotonic() - began
            if tests.check(answer and wgpeer.message_type(answer) == wgpeer.RESPONSE, f"with its cookie it gets through: {taken:.1f} s"):
                fresh = newcomer.consume_response(answer)
                tests.check(insistent_echo(tunnel, fresh, "10.66.0.3", via), "and has a session during the flood")

        # Valid cookies do not lift the limit per address: 20 handshakes a second and a burst of 5.
        stranger = wgpeer.Peer(wgpeer.generate_private(), tunnel.public)
        source = tunnel.open_socket("192.0.2.100", 1001)
        answer = answer_to(tunnel, sent := stranger.create_initiation(), source)
        if tests.check(answer and wgpeer.message_type(answer) == wgpeer.COOKIE_REPLY, "a stranger gets a cookie too"):
            stranger.cookie = wgpeer.open_cookie_reply(answer, sent, tunnel.public)
            body = stranger.create_initiation()
            messages = [wgpeer.add_macs(body[:4] + os.urandom(4) + body[8:-32], tunnel.public, stranger.cookie)
                        for _ in range(300)]
            start, began = tunnel.statistics(), time.monotonic()
            for message in messages:
                tunnel.send(message, source)
                time.sleep(0.002)
            time.sleep(0.2)
            seen, elapsed = tunnel.statistics() - start, time.monotonic() - began
            limit = RATE_BURST + RATE_PER_SECOND * elapsed + 1
            tests.check(1 <= seen.in_errors <= limit,
                        f"{seen.in_errors} of 300 initiations with a cookie were opened in {elapsed:.1f} s (at most {limit:.0f})")
    stopped = time.monotonic()

    # Recovery: nobody is asked for a cookie any more.
    answer = None
    newcomer.cookie = None
    while (answer is None or wgpeer.message_type(answer) != wgpeer.RESPONSE) and time.monotonic() < stopped + 5:
        time.sleep(PAUSE)
        answer = answer_to(tunnel, newcomer.create_initiation(tunnel.timestamp()), via, 1.0)
    recovery = time.monotonic() - stopped
    tests.check(answer and wgpeer.message_type(answer) == wgpeer.RESPONSE and recovery < 2.5,
                f"an initiation without a cookie is answered {recovery:.1f} s after the flood")
    seen = tunnel.statistics() - before
    tests.check(seen.in_discards > 1000, f"statistics: {seen}")
    _, _, peak = tunnel.control.counters()["pool allocations"]
    tests.check(peak < HANDSHAKE_QUEUE + 200, f"outstanding allocations were bounded: {peak}")
    now = tunnel.pool_now()
    tests.check(now["pool allocations"] <= memory["pool allocations"] + 24, f"memory is given back: {memory} -> {now}")
    time.sleep(PAUSE)
    tunnel.initiate(peer)
    tests.check(tunnel.echo(), "the tunnel after the flood")
    print(f"   {running.sent} initiations, {cookies} cookies seen, recovery {recovery:.2f} s, peak {peak} allocations")
    tunnel.finish(tests, "flood")


def flood_strict(tests):
    """The same messages under the eyes of verify mode, and an unload in the middle of them."""
    tunnel = ScriptedTunnel()
    tunnel.initiate()
    sources = attackers(tunnel, 4)
    before = tunnel.statistics()
    with Flood(tunnel, sources, 1200, 0.02) as running:
        pass
    seen = tunnel.await_statistics(before, lambda now: now.in_errors + now.in_discards >= running.sent, 20)
    kinds = {wgpeer.message_type(message) for source in sources for message in tunnel.receive_all(timeout=0.0, via=source)}
    tests.check(kinds <= {wgpeer.COOKIE_REPLY}, f"unknown peers get nothing but cookies: {kinds}")
    tests.equal(seen.in_errors + seen.in_discards, running.sent, "each message is an error, or a discard that a cookie answers")
    tests.check(tunnel.echo(), "a session goes on")
    with Flood(tunnel, sources, 20000, 0.01) as running:
        time.sleep(0.3)
        tests.check(running.sent > 1000, f"{running.sent} initiations before the unload")
        tunnel.control.disconnect()
        status = tunnel.wyrm.stop()
    tests.equal(status, 0, f"unload during the flood: {tunnel.log_tail() if status else ''}")
    tunnel.finish(tests, "flood in verify mode")


def garbage_flood(tests):
    """mac1 keeps out what was not made for us: no answer, nothing asymmetric, the tunnel goes on."""
    tunnel = ScriptedTunnel()
    tunnel.initiate()
    source, = attackers(tunnel, 1)
    messages = [struct.pack("<I", 1) + os.urandom(144) for _ in range(6000)]
    before, echoes = tunnel.statistics(), 0
    for start in range(0, len(messages), 240):
        tunnel.send_segments(messages[start:start + 240], source)
        echoes += tunnel.echo()
    seen = tunnel.await_statistics(before, lambda now: now.in_errors + now.in_discards >= len(messages))
    tests.equal((seen.in_errors, seen.in_discards), (len(messages), 0), "6,000 initiations with a random mac1 are errors")
    tests.equal(tunnel.receive_all(via=source), [], "none is answered, not even with a cookie")
    tests.equal(echoes, len(messages) // 240, "echoes between them")
    tunnel.finish(tests, "garbage flood")


SCENARIOS = {"replays": replays, "driver-as-initiator": driver_as_initiator, "sessions": sessions,
             "initiation-interval": initiation_interval, "endpoints": endpoints, "allowed-ips": allowed_ips, "flood": flood,
             "flood-strict": flood_strict, "garbage-flood": garbage_flood}


def arguments(parser):
    parser.add_argument("--seed", type=int, default=20260401)


def call(scenario, tests, options):
    scenario(*((tests, options.seed) if scenario is allowed_ips else (tests,)))


def main():
    return run_scenarios(__doc__, SCENARIOS, (NTHOST, DRIVER), call, arguments)


if __name__ == "__main__":
    sys.exit(main())
