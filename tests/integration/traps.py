#!/usr/bin/python3
"""Traps of the reference's bug-fix history that need the whole driver, in verify mode unless a scenario says otherwise; each
test names the trap by its hash.  docs/attack-matrix.md lists all of them with their tests."""

import os
import re
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import wgpeer  # noqa: E402
from handshake_load import PROGRAM, HandshakeLoad  # noqa: E402
from nthost_control import (FAMILY_IPV4, IOCTL_GET, PEER_HAS_ENDPOINT, STATE_DOWN, STATE_UP, Control, Interface,  # noqa: E402
                            Peer, pack_endpoint)
from scenarios import run_scenarios  # noqa: E402
from scripted_tunnel import DRIVER, INNER_THERE, NTHOST, OUTER_HERE, OUTER_THERE, PORT, ScriptedTunnel  # noqa: E402

SECOND_ADDRESS = "192.0.2.11"
FAR_ENDPOINT = "198.51.100.9"
ALLOCATIONS_PER_PACKET = 0.25
LOG_LINES = 200
LOG_TEXT = re.compile(rb"[123](Interface up on port \d+|Interface down|\d+ log lines were overwritten before they were read|No socket on port \d+ \(status [0-9a-f]+\))\0*$")


def first_key_later(tests):
    """e4f163a: packets that wait are sent when the first private key arrives, also when that is after everything else."""
    tunnel = ScriptedTunnel(configure=False)
    with tunnel.control.open() as file:
        entry = Peer(public_key=tunnel.peer.public, endpoint=(OUTER_THERE, PORT), allowed_ips=[INNER_THERE + "/32"])
        file.set(Interface(listen_port=PORT, peers=[entry]).pack()).check()
        tunnel.lab.command(["ip", "route", "replace", INNER_THERE + "/32", "dev", tunnel.wyrm.name], tunnel.here)
        tunnel.provoke()
        tests.equal(tunnel.receive(timeout=0.5), None, "e4f163a: nothing is sent without a key")
        file.set(Interface(private_key=wgpeer.base64.b64decode(tunnel.wyrm.private)).pack()).check()
        _, state = tunnel.await_initiation(timeout=8)
        answer, tunnel.session = tunnel.peer.create_response(state)
        tunnel.send(answer)
        packets = tunnel.received_packets()
        tests.check(any(b"provoked" in packet for packet in packets), "e4f163a: what waited is sent")

        # 53b81d4: the endpoint's flag with an endpoint of no family is as if it was not there.
        key = os.urandom(32)
        for endpoint in (bytes(28), struct.pack("<H", 0) + bytes(26), b"\xff" * 28):
            file.set(Interface(peers=[Peer(public_key=key, endpoint=endpoint)]).pack()).check()
            entry = next(peer for peer in Interface.unpack(file.get()).peers if peer.public_key == key)
            tests.equal(entry.flags & PEER_HAS_ENDPOINT, 0, "53b81d4: an endpoint flag without an endpoint sets none")
        good = pack_endpoint("192.0.2.50", 5)
        file.set(Interface(peers=[Peer(public_key=key, endpoint=good)]).pack()).check()
        file.set(Interface(peers=[Peer(public_key=key, endpoint=bytes(28))]).pack()).check()
        entry = next(peer for peer in Interface.unpack(file.get()).peers if peer.public_key == key)
        tests.equal(entry.endpoint, good, "53b81d4: nor does it take one away")
        tests.equal(struct.unpack_from("<H", entry.endpoint)[0], FAMILY_IPV4, "53b81d4: its family")
    tunnel.finish(tests, "first key")


def nowhere(tests):
    """e59734b: no ICMP is made up for packets that go nowhere.  4c95143: each is counted once."""
    tunnel = ScriptedTunnel()
    tunnel.initiate()
    tunnel.lab.command(["ip", "route", "add", "10.99.0.0/24", "dev", tunnel.wyrm.name], tunnel.here)
    time.sleep(0.1)
    tunnel.sniffer.packets()
    before = tunnel.statistics()
    for _ in range(20):
        tunnel.provoke("10.99.0.5")
    seen = tunnel.await_statistics(before, lambda now: now.out_errors + now.out_discards >= 20)
    time.sleep(0.1)
    seen = tunnel.statistics() - before
    tests.equal((seen.out_errors, seen.out_discards), (20, 0), "4c95143: 20 packets without a peer are 20 errors")
    tests.equal(tunnel.sniffer.packets(0.1), [], "e59734b: nothing is indicated in answer")
    # A peer without an endpoint.
    stranger = tunnel.new_peer()
    tunnel.wyrm.setconf([tunnel.entry(stranger, ["10.99.0.5/32"])], "addconf")
    before = tunnel.statistics()
    for _ in range(20):
        tunnel.provoke("10.99.0.5")
    seen = tunnel.await_statistics(before, lambda now: now.out_errors + now.out_discards >= 20)
    tests.equal(seen.out_errors + seen.out_discards, 20, "4c95143: 20 packets for a peer without an endpoint are counted once each")
    tests.equal(tunnel.sniffer.packets(0.1), [], "e59734b: nor here")
    # 20 datagrams that are refused, of several kinds: once each.
    bad = [os.urandom(length) for length in (1, 31, 64, 92, 148)] * 4
    before = tunnel.statistics()
    for message in bad:
        tunnel.send(message)
    seen = tunnel.await_statistics(before, lambda now: now.in_errors + now.in_discards >= len(bad))
    time.sleep(0.1)
    seen = tunnel.statistics() - before
    tests.equal((seen.in_errors, seen.in_discards), (len(bad), 0), "4c95143: received ones as well")
    tests.check(tunnel.echo(), "the session")
    tunnel.finish(tests, "nowhere")


def source_address(tests):
    """a81c92d, a58f766, 4e47e4a: the source address goes along with every copy of an endpoint: each kind of message answers
    from the address that was asked.  (That a lone PKTINFO is refused as Windows does it is a rule of verify mode.)"""
    tunnel = ScriptedTunnel()
    tunnel.lab.command(["ip", "address", "add", SECOND_ADDRESS + "/24", "dev", tunnel.veth[0]], tunnel.here)
    kinds = {}

    def collect(timeout=0.3):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                data, origin = tunnel.socket.recvfrom(1 << 16)
            except BlockingIOError:
                time.sleep(0.005)
                continue
            kinds.setdefault(wgpeer.message_type(data), set()).add(origin[0])
            if wgpeer.message_type(data) == wgpeer.RESPONSE:
                return data
        return None

    for address in (SECOND_ADDRESS, OUTER_HERE, SECOND_ADDRESS):
        kinds.clear()
        tunnel.destination = (address, PORT)
        time.sleep(0.03)
        tunnel.send(tunnel.peer.create_initiation(tunnel.timestamp()))
        answer = collect(3)
        if not tests.check(answer is not None, f"an answer from {address}"):
            continue
        tunnel.session = tunnel.peer.consume_response(answer)
        tunnel.send(tunnel.session.seal())
        time.sleep(0.05)
        tunnel.provoke()
        collect()
        tests.equal({kind: kinds.get(kind) for kind in (wgpeer.RESPONSE, wgpeer.DATA)},
                    {wgpeer.RESPONSE: {address}, wgpeer.DATA: {address}}, f"a81c92d: response and data come from {address}")
    # The address that is in use goes away: another one takes over without a handshake.
    tunnel.lab.command(["ip", "address", "del", SECOND_ADDRESS + "/24", "dev", tunnel.veth[0]], tunnel.here)
    time.sleep(0.3)
    kinds.clear()
    for _ in range(3):
        tunnel.provoke()
    collect(0.5)
    tests.equal(kinds.get(wgpeer.DATA), {OUTER_HERE}, "data comes from the address that is left")
    tunnel.destination = (OUTER_HERE, PORT)
    tunnel.finish(tests, "source address")


def own_default_route(tests):
    """d42fbe8, d064220: a default route into the tunnel, better than the one that the endpoint needs."""
    tunnel = ScriptedTunnel(configure=False)
    lab = tunnel.lab
    lab.command(["ip", "address", "add", FAR_ENDPOINT + "/32", "dev", "lo"], tunnel.there)
    lab.command(["ip", "route", "add", "default", "via", OUTER_THERE, "dev", tunnel.veth[0], "metric", "500"], tunnel.here)
    via = tunnel.open_socket(FAR_ENDPOINT, PORT)
    tunnel.configure([tunnel.entry(tunnel.peer, ["0.0.0.0/0"], f"{FAR_ENDPOINT}:{PORT}")])
    lab.command(["ip", "route", "add", "default", "dev", tunnel.wyrm.name, "metric", "1"], tunnel.here, check=False)
    time.sleep(0.2)
    tunnel.provoke("203.0.113.9")
    _, state = tunnel.await_initiation(via=via)
    answer, session = tunnel.peer.create_response(state)
    tunnel.send(answer, via)
    packets = tunnel.received_packets(session, 0.5, via)
    tests.check(any(b"provoked" in packet for packet in packets), "d42fbe8: the endpoint is reached beside the tunnel")
    before = tunnel.statistics()
    for _ in range(50):
        tunnel.provoke("203.0.113.9")
    messages = tunnel.receive_all(wgpeer.DATA, 0.3, via)
    seen = tunnel.statistics() - before
    tests.check(50 <= len(messages) < 80 and seen.out_unicast < 80, f"d064220: and nothing goes round: {len(messages)} messages, {seen}")
    tunnel.finish(tests, "own default route")


def allocations(tests):
    """e5349a6, 268e893, f0a8514, db36a72: memory is not allocated packet by packet (fast mode, where it counts)."""
    tunnel = ScriptedTunnel(options=())
    tunnel.initiate()
    tests.check(tunnel.echo(), "a session")
    count = 3000
    packets = [tunnel.session.seal(tunnel.sink_packet(bytes(1000))) for _ in range(2 * count)]

    def ever():
        return sum(total for name, (total, _, _) in tunnel.control.counters().items() if "pool" in name or "irp" in name.lower())

    def inward(part):
        before = tunnel.statistics()
        for start in range(0, len(part), 50):
            tunnel.send_segments(part[start:start + 50])
            wanted = start + 50
            tunnel.await_statistics(before, lambda now, wanted=wanted: now.in_unicast + now.in_errors >= wanted, 2)

    inward(packets[:count])  # caches fill
    start = ever()
    inward(packets[count:])
    received = (ever() - start) / count
    tests.check(received < ALLOCATIONS_PER_PACKET, f"e5349a6: {received:.3f} allocations for a received packet")
    for _ in range(500):
        tunnel.provoke()
    start = ever()
    for _ in range(count):
        tunnel.provoke()
    time.sleep(0.2)
    sent = (ever() - start) / count
    tests.check(sent < ALLOCATIONS_PER_PACKET, f"e5349a6: {sent:.3f} allocations for a sent packet")
    print(f"   {received:.3f} allocations for a received packet, {sent:.3f} for a sent one")
    tunnel.finish(tests, "allocations")


def quiet_is_not_load(tests):
    """The suspected underflow of the queue's count (facts 4.4 no. 18): a trickle of handshakes never makes load (fast mode)."""
    tunnel = ScriptedTunnel(options=())
    load = HandshakeLoad(tunnel.lab, tunnel.here, tunnel.there, OUTER_THERE, f"{OUTER_HERE}:{PORT}", tunnel.wyrm.public)
    result = load.flood(count=1600, rate=400, sources=500).result()
    tests.equal((result["cookies"], result["responses"]), (0, 0), "nobody is asked for a cookie while there is no queue")
    tunnel.initiate()
    tests.check(tunnel.echo(), "and a peer is answered at once")
    tunnel.finish(tests, "no load")


def log_lines(tests):
    """Torn log lines, and lines lost without a word (1.10): writers from several handles, one reader that keeps up or does not."""
    tunnel = ScriptedTunnel()
    stop = threading.Event()
    errors, made = [], [0]

    def writer():
        try:
            with Control(tunnel.wyrm.name) as control, control.open() as file:
                while not stop.is_set():
                    file.state(STATE_DOWN)
                    file.state(STATE_UP)
                    made[0] += 2
        except Exception as error:  # noqa: BLE001 - any failure of the thread is a failure of the test
            errors.append(repr(error))

    threads = [threading.Thread(target=writer) for _ in range(3)]
    with tunnel.control.open() as file:
        while True:  # what there was before
            pending = file.log_async()
            if not pending.done(0.2):
                pending.cancel()
                break
            pending.wait()
        for thread in threads:
            thread.start()
        lines = []
        deadline = time.monotonic() + 20
        while len(lines) < LOG_LINES and time.monotonic() < deadline:
            result = file.log_async().wait()
            lines.append(result.out[8:])
        stop.set()
        for thread in threads:
            thread.join()
    tests.equal(errors, [], "the writers")
    tests.check(len(lines) >= LOG_LINES, f"{len(lines)} lines")
    torn = [line for line in lines if not LOG_TEXT.match(line)]
    tests.equal(torn[:3], [], f"torn log lines, of {len(lines)}")
    tunnel.finish(tests, "log lines")


def get_flags(tests):
    """828af14, f970d33: flags of GET are exactly what is there, whatever the caller's buffer held before."""
    tunnel = ScriptedTunnel()
    with tunnel.control.open() as file:
        key = os.urandom(32)
        file.set(Interface(peers=[Peer(public_key=key, preshared_key=bytes(32))]).pack()).check()
        size = len(file.get())
        seen = set()
        for fill in (0, 0xFF, 0xA5, 0x5A):
            data = file.ioctl(IOCTL_GET, None, bytes([fill]) * size).check().out
            config = Interface.unpack(data)
            seen.add((config.flags, tuple(sorted((peer.public_key, peer.flags, len(peer.allowed_ips)) for peer in config.peers))))
        tests.equal(len(seen), 1, f"828af14: the same flags whatever the buffer held: {seen}")
        flags = dict((entry[0], entry[1]) for entry in seen.pop()[1])
        tests.equal(flags[key] & 0x2, 0, "f970d33: a preshared key of zeros is none")
    tunnel.finish(tests, "GET flags")


SCENARIOS = {"first-key-later": first_key_later, "nowhere": nowhere, "source-address": source_address,
             "own-default-route": own_default_route, "allocations": allocations, "quiet-is-not-load": quiet_is_not_load,
             "log-lines": log_lines, "get-flags": get_flags}


def main():
    return run_scenarios(__doc__, SCENARIOS, (NTHOST, DRIVER, PROGRAM))


if __name__ == "__main__":
    sys.exit(main())
