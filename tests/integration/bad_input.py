#!/usr/bin/python3
"""Bad datagrams, bad inner packets and bad control buffers against the driver in verify mode: dropped in silence and counted,
refused with the right status, the state as before, nothing kept, and the tunnel works afterwards.  Random choices come from a
seed that is printed (--seed)."""

import argparse
import os
import random
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import wgpeer  # noqa: E402
from control_model import ControlModel, describe, random_buffer  # noqa: E402
from netlab import Tests  # noqa: E402
from nthost_control import STATE_DOWN, STATE_UP, Refused, StatusError  # noqa: E402
from scripted_tunnel import (DRIVER, INNER6_HERE, INNER6_THERE, INNER_HERE, INNER_THERE, NTHOST, OUTER_THERE,  # noqa: E402
                             SINK_PORT, LabError, ScriptedTunnel, address_bytes, require)

# Datagrams in flight at once: far below what the driver calls load, and what the socket's buffer holds.
CHUNK = 64
LARGEST_DATAGRAM = 65507
REPLAY_WINDOW = 8128
KEPT_BATCHES = 8
CONTROL_CASES, CONTROL_CASES_UP = 2000, 300


def flipped(message, offset, bit):
    changed = bytearray(message)
    changed[offset] ^= 1 << bit
    return bytes(changed)


def with_macs(message, receiver_public):
    """The message with MACs that fit its content."""
    return wgpeer.add_macs(message[:-wgpeer.MACS_BYTES], receiver_public)


def with_reserved(message):
    """The message with reserved bytes that are not zero."""
    return [message[:1] + reserved + message[4:] for reserved in
            (b"\1\0\0", b"\0\1\0", b"\0\0\1", b"\xff\xff\xff", b"\x80\0\0", b"\0\0\x80")]


class BadInput:
    def __init__(self, tests, seed):
        self.tests, self.random = tests, random.Random(seed)
        self.tunnel = ScriptedTunnel()
        self.tunnel.initiate()
        tests.check(self.tunnel.echo(), "the tunnel works at first")

    # ---- what has to hold ----
    def expect_errors(self, datagrams, what, via=None, accepted=0):
        """Each datagram is counted once as a receive error and has no other effect; `accepted`: so many of them authenticate
        (and count as received packets too)."""
        tunnel, tests = self.tunnel, self.tests
        tunnel.drain(via)
        tunnel.sniffer.packets()
        before, view = tunnel.statistics(), tunnel.state()
        for start in range(0, len(datagrams), CHUNK):
            part = datagrams[start:start + CHUNK]
            for datagram in part:
                tunnel.send(datagram, via)
            wanted = start + len(part)
            seen = tunnel.await_statistics(before, lambda now, wanted=wanted: now.in_errors + now.in_discards >= wanted)
            if seen.in_errors + seen.in_discards < wanted:
                break
        time.sleep(0.02)
        seen = tunnel.statistics() - before
        tests.equal((seen.in_errors, seen.in_discards), (len(datagrams), 0), f"{what}: errors and discards counted")
        tests.equal(seen.in_unicast, accepted, f"{what}: packets taken for received")
        answers = [wgpeer.message_type(message) for message in tunnel.receive_all(timeout=0.02, via=via)]
        tests.equal([kind for kind in answers if kind != wgpeer.INITIATION], [], f"{what}: no answer")
        tests.equal(tunnel.sniffer.packets(), [], f"{what}: nothing is indicated")
        after = tunnel.state()
        tests.equal((after["endpoint"], after["handshake"]), (view["endpoint"], view["handshake"]), f"{what}: state of the peer")
        if not tests.check(tunnel.alive(), f"{what}: the driver is alive"):
            raise LabError(f"{what}: nthost ended:\n{tunnel.log_tail()}")

    def expect_flat(self, before, what):
        """Memory is as before once what is in flight has ended, but for the few batches that the driver keeps for use again
        (how many of them depends on the processors that were used).  What is not given back at all shows at unload."""
        deadline = time.monotonic() + 2
        while (now := self.tunnel.pool_now()) != before and time.monotonic() < deadline:
            time.sleep(0.02)
            if all(now[name] <= before[name] + KEPT_BATCHES for name in now):
                break
        self.tests.check(all(now[name] <= before[name] + KEPT_BATCHES for name in now),
                         f"{what}: outstanding memory: before {before}, now {now}")

    def expect_works(self, what):
        self.tests.check(self.tunnel.echo(), f"{what}: the tunnel works afterwards")

    def section(self, name, function):
        print(f"-- {name}", flush=True)
        before = self.tunnel.pool_now()
        function()
        self.expect_works(name)
        self.expect_flat(before, name)

    # ---- lengths and types ----
    def truncated(self):
        tunnel = self.tunnel
        initiation = tunnel.peer.create_initiation(tunnel.timestamp())
        data = tunnel.session.seal(wgpeer.echo4(INNER_THERE, INNER_HERE, 1, 1, bytes(36)), counter=500)
        for name, message in (("initiation", initiation), ("data", data)):
            lengths = [length for length in range(len(message) + 9) if length != len(message)]
            self.expect_errors([(message + bytes(8))[:length] for length in lengths], f"{name} of each wrong length")
        for kind, full in ((wgpeer.RESPONSE, 92), (wgpeer.COOKIE_REPLY, 64)):
            message = struct.pack("<I", kind) + self.random.randbytes(full + 8)
            lengths = [length for length in range(full + 9) if length != full]
            self.expect_errors([message[:length] for length in lengths], f"type {kind} of each wrong length")

    def types(self):
        lengths = (4, 32, 64, 92, 148)
        self.expect_errors([struct.pack("<I", kind) + bytes(length - 4) for kind in [0] + list(range(5, 256))
                            for length in lengths], "unknown types")
        # Nothing but the reserved bytes is wrong with these (they are no part of what is authenticated).
        initiation = self.tunnel.peer.create_initiation(self.tunnel.timestamp())
        data = self.tunnel.session.seal(self.tunnel.sink_packet(b"reserved"), counter=502)
        self.expect_errors([with_macs(message, self.tunnel.public) for message in with_reserved(initiation)],
                           "initiation with reserved bytes")
        self.expect_errors(with_reserved(data), "data with reserved bytes")
        # A valid message with the type of another, in place of its own.
        data = self.tunnel.session.seal(bytes(100), counter=501)
        self.expect_errors([bytes([kind]) + data[1:] for kind in (1, 2, 3)], "data that says it is something else")

    def sizes(self):
        tunnel = self.tunnel
        self.expect_errors([b""] * 20, "empty datagrams")
        session = tunnel.session
        large = [bytes([kind, 0, 0, 0]) + bytes(LARGEST_DATAGRAM - 4) for kind in (0, 1, 2, 3, 4, 5)]
        large.append(struct.pack("<IIQ", 4, session.remote_index, 503) + self.random.randbytes(LARGEST_DATAGRAM - 16))
        self.expect_errors(large, "datagrams of 65,507 bytes")
        # The same size with a packet inside is no error.
        payload = self.random.randbytes(LARGEST_DATAGRAM - 32 - 28)
        tunnel.sink_payloads()
        before = tunnel.statistics()
        tunnel.send(session.seal(tunnel.sink_packet(payload), pad=False))
        seen = tunnel.await_statistics(before, lambda now: now.in_unicast)
        self.tests.equal((seen.in_unicast, seen.in_errors, seen.in_discards), (1, 0, 0), "largest data message: statistics")
        self.tests.check(tunnel.sink_payloads(0.1) == [payload], "largest data message: delivered as it was")

    def garbage(self):
        choose = self.random
        datagrams = []
        for _ in range(600):
            length = choose.choice((choose.randrange(0, 200), choose.randrange(0, 1500), 148, 92, 64, 32))
            data = choose.randbytes(length)
            if length >= 4 and choose.random() < 0.7:
                data = struct.pack("<I", choose.randrange(1, 5)) + data[4:]
            datagrams.append(data)
        self.expect_errors(datagrams, "random bytes")

    # ---- damaged messages ----
    def flipped_initiation(self):
        tunnel, bit = self.tunnel, self.random.randrange
        message = tunnel.peer.create_initiation(tunnel.timestamp())
        self.expect_errors([flipped(message, offset, bit(8)) for offset in range(148 - 16)], "initiation, a bit of each byte")
        self.expect_errors([with_macs(flipped(message, offset, bit(8)), tunnel.public) for offset in range(8, 116)],
                           "initiation, a bit of each byte and mac1 to fit")
        self.expect_errors([wgpeer.add_macs(message[:-32], bytes(32)), message[:-32] + bytes(32)], "initiation, another mac1")
        # mac2 is not looked at without load; and so the message was good all the time.
        tunnel.send(flipped(message, 147, 0))
        answer = tunnel.receive(wgpeer.RESPONSE)
        if self.tests.check(answer is not None, "the undamaged initiation is answered"):
            tunnel.session = tunnel.peer.consume_response(answer)

    def flipped_data(self):
        tunnel, bit = self.tunnel, self.random.randrange
        tunnel.sink_payloads()
        message = tunnel.session.seal(tunnel.sink_packet(b"whole"), counter=600)
        self.expect_errors([flipped(message, offset, bit(8)) for offset in range(len(message))], "data, a bit of each byte")
        indexes = [0, 0xFFFFFFFF, tunnel.session.remote_index ^ 0x80000000, tunnel.session.local_index]
        self.expect_errors([tunnel.session.seal(bytes(32), counter=601, index=index) for index in indexes],
                           "data for other receiver indexes")
        tunnel.send(message)
        self.tests.equal(tunnel.sink_payloads(0.2), [b"whole"], "the undamaged data is taken, its counter was not used up")

    def driver_initiates(self):
        """Responses and cookie replies, while the driver waits for them."""
        tunnel, tests, bit = self.tunnel, self.tests, self.random.randrange
        other = tunnel.new_peer()
        inner, port = "10.66.0.3", 51821
        via = tunnel.open_socket(OUTER_THERE, port)
        tunnel.wyrm.setconf([tunnel.entry(other, [inner + "/32"], f"{OUTER_THERE}:{port}")], "addconf")
        tunnel.provoke(inner)
        sent, state = tunnel.await_initiation(other, via)

        # A cookie reply in every damaged form, then a good one.
        cookie = self.random.randbytes(16)
        reply = wgpeer.create_cookie_reply(sent, other.public, cookie)
        self.expect_errors([reply[:length] for length in range(64)] + [reply + bytes(extra) for extra in range(1, 9)],
                           "cookie reply of each wrong length", via)
        self.expect_errors(with_reserved(reply), "cookie reply with reserved bytes", via)
        self.expect_errors([flipped(reply, offset, bit(8)) for offset in range(64)], "cookie reply, a bit of each byte", via)
        self.expect_errors([wgpeer.create_cookie_reply(sent, other.remote_public, cookie),
                            wgpeer.create_cookie_reply(sent[:-32] + bytes(32), other.public, cookie)],
                           "cookie replies made with another key, for another mac1", via)
        tunnel.send(reply, via)
        sent, state = tunnel.await_initiation(other, via)
        tests.check(wgpeer.mac2_is_valid(sent, cookie), "the good cookie reply was taken: mac2 of the next initiation")

        # The same with the response to that next initiation.
        answer, session = other.create_response(state)
        self.expect_errors([answer[:length] for length in range(92)] + [answer + bytes(extra) for extra in range(1, 9)],
                           "response of each wrong length", via)
        self.expect_errors([with_macs(message, tunnel.public) for message in with_reserved(answer)],
                           "response with reserved bytes", via)
        self.expect_errors([flipped(answer, offset, bit(8)) for offset in range(92 - 16)], "response, a bit of each byte", via)
        self.expect_errors([with_macs(flipped(answer, offset, bit(8)), tunnel.public) for offset in range(8, 60)],
                           "response, a bit of each byte and mac1 to fit", via)
        tunnel.send(answer, via)
        packets = tunnel.received_packets(session, 0.5, via)
        tests.check(any(b"provoked" in packet for packet in packets), "the good response was taken: what waited comes")
        tests.check(tunnel.echo(session, inner, via), "a session with the second peer")
        self.expect_errors([answer, reply], "response and cookie reply once more", via)
        tunnel.wyrm.wg("set", "peer", wgpeer.base64_of(other.public), "remove")

    # ---- counters ----
    def deliver(self, counters, session):
        """Sends data with these counters; the counters that came out at the other end, in order."""
        tunnel = self.tunnel
        tunnel.sink_payloads()
        before = tunnel.statistics()
        got = []
        for start in range(0, len(counters), CHUNK):
            part = counters[start:start + CHUNK]
            for counter in part:
                tunnel.send(session.seal(tunnel.sink_packet(struct.pack(">Q", counter)), counter=counter))
            wanted = start + len(part)
            tunnel.await_statistics(before, lambda now, wanted=wanted: now.in_unicast + now.in_errors >= wanted)
            got += tunnel.sink_payloads(0.01)
        got += tunnel.sink_payloads(0.05)
        seen = tunnel.statistics() - before
        self.tests.equal((seen.in_unicast, seen.in_errors, seen.in_discards), (len(got), len(counters) - len(got), 0),
                         "a replayed counter is an error")
        return [struct.unpack(">Q", payload)[0] for payload in got]

    def counters(self):
        tests = self.tests
        before = self.tunnel.statistics()
        session = self.tunnel.initiate()
        # The keepalive that confirmed the session has counter 0; it is counted before anything else is.
        self.tunnel.await_statistics(before, lambda now: now.in_unicast >= 1)
        tests.equal(self.deliver([0, 0], session), [], "counter 0 again")
        tests.equal(self.deliver(list(range(1, 11)), session), list(range(1, 11)), "counters in order")
        tests.equal(self.deliver(list(range(11)), session), [], "each of them again")
        tests.equal(self.deliver([12, 11, 12, 11, 13], session), [12, 11, 13], "out of order, and again")
        shuffled = list(range(100, 400))
        self.random.shuffle(shuffled)
        tests.equal(self.deliver(shuffled, session), shuffled, "300 in any order")
        self.random.shuffle(shuffled)
        tests.equal(self.deliver(shuffled, session), [], "all of them again, in another order")

        top = 100000
        tests.equal(self.deliver([top], session), [top], "a jump forward")
        oldest = top - REPLAY_WINDOW
        tests.equal(self.deliver([oldest - 1, 401, 14, oldest - 64], session), [], "behind the window")
        inside = [oldest, oldest + 1, oldest + 63, oldest + 64, oldest + 65, top - 4096, top - 64, top - 63, top - 1]
        tests.equal(self.deliver(inside, session), inside, "the far end of the window and inside it")
        tests.equal(self.deliver(inside + [top], session), [], "and again")
        tests.equal(self.deliver([top + 1, oldest, oldest + 2], session), [top + 1, oldest + 2], "the window moves by one")
        # A sweep: every counter of a window of the model below, in a random order.
        naive_seen, naive_top, expected, sent = set(), top + 1, [], []
        base = top + 20000
        for _ in range(400):
            counter = base + self.random.choice((self.random.randrange(0, 9000), self.random.randrange(8000, 8400)))
            sent.append(counter)
            fresh = counter not in naive_seen and counter + REPLAY_WINDOW >= naive_top
            if fresh:
                expected.append(counter)
                naive_seen.add(counter)
            naive_top = max(naive_top, counter)
        tests.equal(self.deliver(sent, session), expected, "400 counters around a window, against a naive model")

        # Counters that no sender may use (they must not move the window either).
        limit = wgpeer.REJECT_AFTER_MESSAGES
        tests.equal(self.deliver([2**64 - 1, limit, limit + 1], session), [], "counters at and above the limit")
        tests.equal(self.deliver([naive_top + 1], session), [naive_top + 1], "they did not move the window")
        tests.equal(self.deliver([limit - 1, naive_top + 2], session), [limit - 1], "the last counter below the limit")
        self.tunnel.initiate()

    # ---- inner packets ----
    def inner_malformed(self):
        tunnel, session, here, there = self.tunnel, self.tunnel.session, INNER_HERE, INNER_THERE
        body = bytes(44)
        here6, there6 = address_bytes(INNER6_HERE), address_bytes(INNER6_THERE)
        bad = [wgpeer.ipv4(there, here, 17, body, version=version) for version in (0, 1, 2, 3, 5, 7, 8, 15)]
        bad += [wgpeer.ipv6(there6, here6, 17, body, version=version) for version in (0, 5, 7, 15)]
        bad += [wgpeer.ipv4(there, here, 17, body, total_length=length) for length in (0, 1, 19, 65, 80, 0xFFFF)]
        bad += [wgpeer.ipv6(there6, here6, 17, body, payload_length=length) for length in (45, 48, 0xFFFF)]
        whole4, whole6 = wgpeer.ipv4(there, here, 17, body), wgpeer.ipv6(there6, here6, 17, body)
        bad += [whole4[:length] for length in range(1, len(whole4))]
        bad += [whole6[:length] for length in range(1, len(whole6))]
        bad += [b"\0", bytes(16), bytes(1400), b"\xff" * 64]
        self.expect_errors([session.seal(packet, pad=False) for packet in bad], "malformed inner packets", accepted=len(bad))

    def inner_spoofed(self):
        session, here = self.tunnel.session, INNER_HERE
        here6 = address_bytes(INNER6_HERE)
        sources = ("10.66.0.1", "10.66.0.3", "10.66.0.0", "10.67.0.2", "0.0.0.0", "127.0.0.1", "255.255.255.255", "224.0.0.1")
        bad = [wgpeer.udp4(source, here, b"spoofed", 9, SINK_PORT) for source in sources]
        bad += [wgpeer.ipv6(address_bytes(source), here6, 59, b"") for source in
                ("fd66::1", "fd66::3", "::", "::1", "fe80::1", "::ffff:10.66.0.2")]
        self.expect_errors([session.seal(packet) for packet in bad], "spoofed inner sources", accepted=len(bad))

    def inner_good(self):
        """The neighbours of the malformed ones are taken: trimmed to their length, keepalives are delivered to nobody."""
        tunnel, tests, session = self.tunnel, self.tests, self.tunnel.session
        packets = [tunnel.sink_packet(bytes([size]) * size) for size in (0, 1, 3, 4, 5, 15, 16, 17, 100, 255)]
        packets.append(wgpeer.ipv4(INNER_THERE, INNER_HERE, 59, b""))  # the smallest: 20 bytes, no next header
        packets.append(wgpeer.ipv6(address_bytes(INNER6_THERE), address_bytes(INNER6_HERE), 59, b""))
        tunnel.sniffer.packets()
        before = tunnel.statistics()
        for padding in (0, 1, 16, 300):
            for packet in packets:
                tunnel.send(session.seal(packet + bytes(padding), pad=False))
            seen = tunnel.await_statistics(before, lambda now: now.in_unicast >= len(packets))
            tests.equal((seen.in_unicast, seen.in_errors), (len(packets), 0), f"good packets with {padding} bytes behind")
            tests.equal(tunnel.sniffer.packets(0.05), packets, f"{padding} bytes behind a packet are cut off")
            before = tunnel.statistics()
        for _ in range(20):
            tunnel.send(session.seal())
        seen = tunnel.await_statistics(before, lambda now: now.in_unicast >= 20)
        tests.equal((seen.in_unicast, seen.in_errors, seen.in_discards), (20, 0, 0), "keepalives are received packets")
        tests.equal(tunnel.sniffer.packets(0.05), [], "and are delivered to nobody")

    # ---- control buffers ----
    def control_buffers(self):
        """Mutations of valid SET buffers: status, Information and the state afterwards as the model of the ABI says."""
        tunnel, tests = self.tunnel, self.tests
        with tunnel.control.open() as file:
            whole = file.get()
            file.state(STATE_DOWN)
            model = ControlModel.of(whole)
            wrong = refused = 0
            for number in range(CONTROL_CASES):
                buffer = random_buffer(self.random, model)
                status, information = model.apply(buffer)
                result = file.set(buffer)
                refused += status != 0
                got = ControlModel.of(file.get())
                if (result.status, result.information) != (status, information) or got != model:
                    wrong += 1
                    if wrong <= 5:
                        tests.check(False, f"case {number}: expected {status:#x}, {information}, got {result.status:#x}, "
                                    f"{result.information}; state {describe(model, got)}; buffer {buffer.hex()}")
                    model = got
            tests.equal(wrong, 0, f"{CONTROL_CASES} mutated SET buffers against the model")
            tests.check(CONTROL_CASES // 10 < refused < CONTROL_CASES * 9 // 10, f"{refused} of them were refused")

            # The same up and under way: endpoints and keepalives make it send, ports make it bind.
            file.state(STATE_UP)
            for _ in range(CONTROL_CASES_UP):
                file.set(random_buffer(self.random, ControlModel.of(file.get())))
            tests.check(tunnel.alive(), "alive after mutated SET buffers while up")
            file.set(struct.pack("<IH", 0xC, 51820) + bytes(74)).check()  # replace peers, listen port
        tunnel.configure([tunnel.entry(tunnel.peer, [INNER_THERE + "/32", INNER6_THERE + "/128"], f"{OUTER_THERE}:51820")])
        tunnel.initiate()

    def other_requests(self):
        """Any code, any lengths, any bytes: an error or an answer, and the configuration as before."""
        tunnel, choose = self.tunnel, self.random
        with tunnel.control.open() as file:
            before = ControlModel.of(file.get())
            codes = [0xB098C506, 0xB098C50C, 0xB098C510]
            for _ in range(400):
                code = choose.choice(codes + [choose.getrandbits(32), 0xB098C500 | choose.getrandbits(8)])
                if code == 0xB098C509 or code & 0xFFFF0003 == 0xB0980001:
                    continue  # SET has its own test
                data = choose.randbytes(choose.choice((0, 1, 3, 4, 4, 5, 8, 80, 300)))
                if code == 0xB098C50C and data[:4] in (bytes(4), b"\1\0\0\0"):
                    continue  # a valid request
                request = file.ioctl_async(code, data, bytes(choose.choice((0, 1, 4, 79, 80, 127, 200, 1000))))
                if not request.done(0.3):
                    self.tests.equal(code, 0xB098C510, "only LOG waits")
                    request.cancel()
                request.wait()
            self.tests.check(ControlModel.of(file.get()) == before, "no other request changes the configuration")


SECTIONS = ("truncated", "types", "sizes", "garbage", "flipped_data", "inner_malformed", "inner_spoofed", "inner_good",
            "flipped_initiation", "counters", "driver_initiates", "control_buffers", "other_requests")
# These end with other sessions or peers than they begin with, so their memory is compared around the whole run.
CHANGING = {"flipped_initiation", "counters", "driver_initiates", "control_buffers"}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=20260401)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    options = parser.parse_args()
    unknown = [name for name in options.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"unknown section {unknown[0]} (there are {', '.join(SECTIONS)})")
    tests = Tests()
    print(f"seed {options.seed}")
    try:
        require(NTHOST, DRIVER)
        bad = BadInput(tests, options.seed)
        try:
            for name in options.sections or SECTIONS:
                began = time.monotonic()
                if name in CHANGING:
                    print(f"-- {name}", flush=True)
                    getattr(bad, name)()
                    bad.expect_works(name)
                else:
                    bad.section(name, getattr(bad, name))
                print(f"   {time.monotonic() - began:.1f} s", flush=True)
        except (StatusError, Refused, ConnectionError, TimeoutError, wgpeer.ProtocolError) as error:
            tests.check(False, f"{error!r}\n{bad.tunnel.log_tail()}")
        bad.tunnel.finish(tests, "bad input")
    except LabError as error:
        tests.check(False, str(error))
    return tests.finish()


if __name__ == "__main__":
    sys.exit(main())
