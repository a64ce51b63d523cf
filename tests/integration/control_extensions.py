"""The control interface beyond the reference's (include/wyrm/control_extensions.h), for control_abi.py: drop counters, events,
and SET of all or nothing."""

import os
import re
import struct
import sys
import time

from nthost_control import *  # noqa: F403

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
ANSWER_OF_ONE = EVENTS_FORMAT.size + EVENT_FORMAT.size


def reasons():
    """{name: number} of the header's drop reasons."""
    with open(os.path.join(ROOT, "include/wyrm/control_extensions.h"), encoding="utf-8") as header:
        return {name: int(number) for number, name in re.findall(r'X\((\d+), \w+, "([a-z0-9-]+)"', header.read())}


def test_drops(driver, tests):
    numbers = reasons()
    count = len(numbers)
    size = 8 + 8 * count
    tests.equal(sorted(numbers.values()), list(range(count)), "the header numbers its reasons without gaps")
    for length in (0, 7):
        result = driver.file.ioctl(IOCTL_DROPS, None, bytes(length))
        tests.equal((hex(result.status), result.information), (hex(STATUS_BUFFER_TOO_SMALL), 0), f"DROPS {length} bytes")
    for length, written in ((8, 8), (15, 8), (16, 16), (size - 1, size - 8), (size, size), (size + 100, size)):
        result = driver.file.ioctl(IOCTL_DROPS, None, b"\xa5" * length)
        tests.equal((hex(result.status), result.information), (hex(STATUS_SUCCESS), written), f"DROPS {length} bytes")
        tests.equal(struct.unpack_from("<II", result.out), (1, count), f"DROPS {length} bytes: version and count")
        tests.equal(result.out[written:], b"\xa5" * (length - written), f"DROPS {length} bytes: the rest is left alone")
    # Each datagram that is none of the protocol's counts, one by one.
    driver.file.state(STATE_UP)
    before, port = driver.file.drops(), driver.config().listen_port
    send = ("import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            f"for i in range(7): s.sendto(bytes([9]) * 20, ('127.0.0.1', {port}))")
    driver.lab.command(["/usr/bin/python3", "-c", send], driver.space)
    deadline = time.monotonic() + 10
    malformed = numbers["rx-malformed"]
    while time.monotonic() < deadline and driver.file.drops()[malformed] < before[malformed] + 7:
        time.sleep(0.05)
    after = driver.file.drops()
    tests.equal(after[malformed] - before[malformed], 7, "DROPS: seven datagrams that are no messages")
    # The stack may send packets of its own into a fresh interface: transmit reasons are not looked at.
    others = [name for name, number in numbers.items()
              if not name.startswith("tx-") and number != malformed and after[number] != before[number]]
    tests.equal(others, [], "DROPS: nothing else is counted")


def _wrong_requests(driver, tests):
    room = bytes(ANSWER_OF_ONE)
    for what, data, out, status in (
            ("without input", b"", room, STATUS_INVALID_PARAMETER),
            ("with 7 bytes", bytes(7), room, STATUS_INVALID_PARAMETER),
            ("with 9 bytes", bytes(9), room, STATUS_INVALID_PARAMETER),
            ("without output", bytes(8), b"", STATUS_BUFFER_TOO_SMALL),
            ("with room for no event", bytes(8), room[1:], STATUS_BUFFER_TOO_SMALL),
            ("of the future", struct.pack("<Q", 1 << 40), room, STATUS_INVALID_PARAMETER),
            ("nearly from now", struct.pack("<Q", EVENTS_FROM_NOW - 1), room, STATUS_INVALID_PARAMETER)):
        result = driver.file.ioctl(IOCTL_EVENTS, data, out)
        tests.equal((hex(result.status), result.information), (hex(status), 0), f"EVENTS {what}")


def test_events(driver, tests):
    _wrong_requests(driver, tests)
    driver.file.state(STATE_DOWN)
    driver.file.state(STATE_UP)
    past = driver.file.events(0, 100)
    tests.check((EVENT_ADAPTER_STATE, STATE_UP) in past.kinds() and past.lost == 0, f"EVENTS from the beginning: {past.kinds()}")
    tests.equal([event[0] for event in past.events], list(range(1, past.last + 1)), "EVENTS: numbers from 1 without gaps")
    now = (time.time() + 11644473600) * 1e7
    tests.check(all(abs(event[1] - now) < 600e7 for event in past.events), "EVENTS: times")

    # Nothing new: waits.  One request a handle; each handle gets what happens.
    waiting = driver.file.events_async(EVENTS_FROM_NOW)
    tests.check(not waiting.done(0.2), "EVENTS waits for the next")
    second = driver.file.events_async(past.last)
    tests.equal(hex(second.wait().status), hex(STATUS_REQUEST_NOT_ACCEPTED), "EVENTS: another request of the same handle")
    with driver.control.open() as other:
        also = other.events_async(past.last, room=1)
        driver.file.state(STATE_DOWN)
        for name, pending in (("first", waiting), ("other", also)):
            result = pending.wait().check()
            answer = Events(result.out[:result.information])
            tests.equal(result.information, ANSWER_OF_ONE, f"EVENTS {name} handle: length")
            tests.equal((answer.lost, answer.last, answer.kinds()), (0, past.last + 1, [(EVENT_ADAPTER_STATE, STATE_DOWN)]),
                        f"EVENTS {name} handle: the adapter went down")
            tests.equal(answer.events[0][4:], (bytes(32), bytes(28)), "EVENTS: no peer, no key")
        last = past.last + 1
        waiting = other.events_async(last)
        tests.check(not waiting.done(0.1), "EVENTS waits again")
        other.close()
        tests.equal(hex(waiting.wait().status), hex(STATUS_CANCELLED), "EVENTS ends with its handle")
    for turn in range(2):  # a cancelled request leaves room for another
        waiting = driver.file.events_async(last)
        tests.check(not waiting.done(0.1), f"EVENTS waits ({turn})")
        waiting.cancel()
        tests.equal(hex(waiting.wait().status), hex(STATUS_CANCELLED), "EVENTS cancelled")

    # One by one, whole and in order.
    driver.file.state(STATE_UP)
    driver.file.state(STATE_DOWN)
    got = []
    while last < past.last + 3:
        answer = driver.file.events(last, room=1)
        tests.equal((len(answer.events), answer.last), (1, last + 1), "EVENTS with room for one")
        got += answer.kinds()
        last = answer.last
    tests.equal(got, [(EVENT_ADAPTER_STATE, STATE_UP), (EVENT_ADAPTER_STATE, STATE_DOWN)], "EVENTS one by one")

    # More than the ring holds: the newest are kept, and the count of the others is told; the log, which nobody reads, too.
    for _ in range(100):
        driver.file.state(STATE_UP)
        driver.file.state(STATE_DOWN)
    answer = driver.file.events(last, room=400)
    tests.check(answer.lost > 0 and len(answer.events) == 128, f"EVENTS: {answer.lost} lost, {len(answer.events)} kept")
    tests.equal(last + answer.lost + len(answer.events), answer.last, "EVENTS: every one is either here or counted")
    tests.equal(answer.events[0][0], last + answer.lost + 1, "EVENTS: the oldest that is kept comes first")
    tests.equal(answer.last >= last + 200, True, "EVENTS: two of each turn")
    everything = driver.file.events(0, room=400)
    tests.equal((everything.lost, everything.events == answer.events), (answer.last - 128, True), "EVENTS: for all who ask")
    with driver.control.open() as reader:
        while True:
            pending = reader.log_async()
            if not pending.done(0.3):
                break
            pending.wait()
        start = driver.file.events(0, room=400).last
        for _ in range(40):  # the reader takes one line only
            driver.file.state(STATE_UP)
            driver.file.state(STATE_DOWN)
    kinds = driver.file.events(start, room=400).kinds()
    tests.equal(kinds.count((EVENT_LOG_LOST, 1)), 1, "EVENTS: the log's loss is told once a gap")


def test_events_and_removal(driver, tests):
    waiting = driver.file.events_async(EVENTS_FROM_NOW)
    tests.check(not waiting.done(0.1), "EVENTS waits")
    driver.control.pnp(PNP_QUERY_REMOVE)
    tests.equal(hex(waiting.wait().status), hex(STATUS_CANCELLED), "removal wakes the reader of events")
    for name, code, data, out in (("DROPS", IOCTL_DROPS, None, bytes(8)), ("SET_ATOMIC", IOCTL_SET_ATOMIC, None, bytes(80)),
                                  ("EVENTS", IOCTL_EVENTS, bytes(8), bytes(ANSWER_OF_ONE))):
        tests.equal(hex(driver.file.ioctl(code, data, out).status), hex(NDIS_STATUS_ADAPTER_REMOVED), f"{name} while removing")
    driver.control.pnp(PNP_CANCEL_REMOVE)
    tests.equal(len(driver.file.drops()), len(reasons()), "DROPS is back")
    waiting = driver.file.events_async(EVENTS_FROM_NOW)
    driver.file.state(STATE_DOWN if driver.file.state(STATE_QUERY) == STATE_UP else STATE_UP)
    tests.equal(hex(waiting.wait().status), hex(STATUS_SUCCESS), "EVENTS is back")
    # The host ends with a request waiting.
    driver.file.events_async(EVENTS_FROM_NOW)


def test_extension_security(driver, tests):
    for who, token, allowed in (
            ("SYSTEM", {"system": True, "administrator": True, "integrity": 0x4000}, True),
            ("administrator, high", {"system": False, "administrator": True, "integrity": 0x3000}, True),
            ("administrator, medium", {"system": False, "administrator": True, "integrity": 0x2000}, False),
            ("user, high", {"system": False, "administrator": False, "integrity": 0x3000}, False)):
        with driver.control.open() as file:
            file.pass_to(**token)
            for name, code, data, out in (("DROPS", IOCTL_DROPS, None, bytes(8)), ("SET_ATOMIC", IOCTL_SET_ATOMIC, None, bytes(80))):
                status = file.ioctl(code, data, out).status
                tests.equal(hex(status), hex(STATUS_SUCCESS if allowed else STATUS_ACCESS_DENIED), f"{who}: {name}")
            waiting = file.events_async(EVENTS_FROM_NOW)
            if allowed:
                waiting.cancel()
            tests.equal(hex(waiting.wait().status), hex(STATUS_CANCELLED if allowed else STATUS_ACCESS_DENIED), f"{who}: EVENTS")


def test_set_atomic(driver, tests, rows, expected):
    """The rows of SET; where SET stops half-way, nothing is changed."""
    partial = "allowed IP of a bad family"
    expected.pop(partial)
    for what, data, status, consumed in rows:
        before = driver.file.get()
        result = driver.file.set_atomic(data)
        failed = status != STATUS_SUCCESS
        tests.equal((hex(result.status), result.information), (hex(status), 0 if failed else consumed), f"SET_ATOMIC {what}")
        if failed:
            tests.check(driver.file.get() == before, f"SET_ATOMIC {what}: a refused request changed something")
        if what in expected:
            tests.check(expected.pop(what)(driver.config()), f"SET_ATOMIC {what}: the state afterwards is wrong")
    tests.equal(sorted(expected), [], "every expectation was looked at")

    keys = [bytes([n]) * 32 for n in range(1, 9)]
    start = Interface(replace_peers=True, peers=[Peer(public_key=key, allowed_ips=["10.1.0.0/16"]) for key in keys[:4]])
    driver.file.set_atomic(start.pack()).check()
    before = driver.file.get()

    def refused(what, config, status):
        result = driver.file.set_atomic(config)
        tests.equal((hex(result.status), result.information), (hex(status), 0), f"SET_ATOMIC {what}")
        tests.check(driver.file.get() == before, f"SET_ATOMIC {what}: the old configuration is not whole")

    new_private = b"\x40" * 32
    bad = AllowedIp("10.0.0.0/8")
    bad.cidr = 33
    last = {"no public key": Peer(flags=0), "a prefix too long": Peer(public_key=keys[7], allowed_ips=[bad]),
            "a prefix too long of a peer to be removed": Peer(public_key=keys[7], remove=True, allowed_ips=[bad])}
    for what, peer in last.items():
        refused(f"of all new, {what} at the end",
                Interface(private_key=new_private, listen_port=1234, replace_peers=True,
                          peers=[Peer(public_key=key) for key in keys[4:7]] + [peer]).pack(), STATUS_INVALID_PARAMETER)
    refused("of all new, a protocol of the future at the end",
            Interface(private_key=new_private, replace_peers=True,
                      peers=[Peer(public_key=keys[4]), Peer(public_key=keys[5], protocol_version=2)]).pack(), STATUS_NOT_IMPLEMENTED)
    refused("cut off", start.pack()[:-1], STATUS_INVALID_PARAMETER)

    # While up: a port that is taken is found out before anything else is changed.
    driver.file.state(STATE_UP)
    before = driver.file.get()
    hold = ("import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', 23456))\n"
            "print('bound', flush=True); time.sleep(60)")
    holder = driver.lab.start(["/usr/bin/python3", "-c", hold], driver.space)
    taken = Interface(listen_port=23456, private_key=new_private, replace_peers=True).pack()
    driver.lab.wait_for(lambda: "bound" in driver.lab.output_of(holder), "the port to be taken")
    refused("of a port that is taken", taken, STATUS_ADDRESS_ALREADY_EXISTS)
    driver.lab.stop(holder)
    driver.file.set_atomic(taken).check()
    config = driver.config()
    tests.equal((config.listen_port, config.peers), (23456, []), "SET_ATOMIC of the same port when it is free")

    # A table of some size at once, then again with other prefixes: what was reserved suffices and is given back.
    many = [Peer(public_key=struct.pack("<I", n) + b"\x05" * 28, replace_allowed_ips=True,
                 allowed_ips=[f"10.{n >> 8}.{n & 255}.{k}/32" for k in range(4)] + [f"fd00:{n:x}::/32"]) for n in range(1, 1001)]
    for turn in range(2):
        driver.file.set_atomic(Interface(peers=many).pack()).check()
        config = driver.config()
        tests.equal((len(config.peers), sum(len(peer.allowed_ips) for peer in config.peers)), (1000, 5000), f"1,000 peers ({turn})")


if __name__ == "__main__":
    sys.exit("control_abi.py runs these tests")
