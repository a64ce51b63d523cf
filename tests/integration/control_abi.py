#!/usr/bin/python3
"""GET, SET, STATE and LOG of the driver, and its extensions, byte for byte: every rule of the control interface (include/wyrm/control.h) is a row
of a table with the request, the NTSTATUS, the Information and the state afterwards."""

import os
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import base64  # noqa: E402

from netlab import DRIVER, NTHOST, Lab, LabError, Tests, genkey, require  # noqa: E402
from netlab import Peer as LabPeer  # noqa: E402
from nthost_control import *  # noqa: E402,F403

import control_extensions  # noqa: E402

FILL = 0xA5
CLAMP_FIRST, CLAMP_LAST_CLEAR, CLAMP_LAST_SET = 0xF8, 0x7F, 0x40


def key_pair():
    private, public = genkey()
    return base64.b64decode(private), base64.b64decode(public)


def unclamped(private):
    """The same key with bits that clamping takes away."""
    return bytes([private[0] | 7]) + private[1:31] + bytes([(private[31] & 0x3F) | 0x80])


class Driver:
    """A freshly started driver, its control connection and an open handle."""

    def __init__(self):
        self.lab = Lab()
        self.space = self.lab.namespace("abi")
        self.host = LabPeer(self.lab, self.space, "wyrm", "a", [], options=["--verify"])
        self.control = Control(self.host.name)
        self.file = self.control.open()

    def config(self):
        return Interface.unpack(self.file.get())

    def finish(self, tests):
        try:
            self.file.close()
            self.control.disconnect()
        except (OSError, StatusError) as error:
            tests.check(False, f"closing: {error!r}")
        status = self.host.stop()
        tests.check(status == 0, f"unload: status {status}\n{self.lab.output_of(self.host.process)[-3000:]}")
        self.lab.close()


def set_rows():
    """(what, bytes or None, status, consumed): applied in turn to one driver, each from what the one before left."""
    private, public = key_pair()
    _, peer_a = key_pair()
    _, peer_b = key_pair()
    _, peer_c = key_pair()
    endpoint4, endpoint6 = ("192.0.2.7", 4242), ("2001:db8::7", 4242)

    def peer(**arguments):
        return Interface(peers=[Peer(**arguments)]).pack()

    bad_family, bad_cidr4, bad_cidr6 = AllowedIp("10.0.0.0/8"), AllowedIp("10.0.0.0/8"), AllowedIp("fd00::/8")
    bad_family.family, bad_cidr4.cidr, bad_cidr6.cidr = 3, 33, 129
    one_more = Peer(public_key=peer_a)
    one_more.count = 1
    overflow = Peer(public_key=peer_a)
    overflow.count = 0xFFFFFFFF
    strange_endpoint = struct.pack("<H", 99) + bytes(26)
    two = Interface(peers=[Peer(public_key=peer_a)])
    two.count = 2
    ok, invalid = STATUS_SUCCESS, STATUS_INVALID_PARAMETER
    return [
        ("no buffer", None, invalid, 0),
        ("empty buffer", b"", invalid, 0),
        ("79 bytes", bytes(79), invalid, 0),
        ("80 zero bytes change nothing", bytes(80), ok, 80),
        ("private key", Interface(private_key=private).pack(), ok, 80),
        ("the same private key", Interface(private_key=private).pack(), ok, 80),
        ("the same key unclamped", Interface(private_key=unclamped(private)).pack(), ok, 80),
        ("listen port", Interface(listen_port=0).pack(), ok, 80),
        ("peer", peer(public_key=peer_a, allowed_ips=["10.1.0.0/16", "fd01::/16"]), ok, 80 + 136 + 48),
        ("peer with all", peer(public_key=peer_b, preshared_key=b"\x11" * 32, keepalive=25, endpoint=endpoint4,
                               allowed_ips=["10.2.0.0/16"]), ok, 80 + 136 + 24),
        ("IPv6 endpoint", peer(public_key=peer_b, endpoint=endpoint6), ok, 80 + 136),
        ("endpoint of an unknown family is ignored", peer(public_key=peer_b, endpoint=strange_endpoint), ok, 216),
        ("peer without a public key", Interface(peers=[Peer(flags=0)]).pack(), invalid, 80),
        ("protocol version 1", peer(public_key=peer_b, protocol_version=1), ok, 216),
        ("protocol version 2", peer(public_key=peer_b, protocol_version=2), STATUS_NOT_IMPLEMENTED, 80),
        ("truncated peer", Interface(peers=[Peer(public_key=peer_a)]).pack()[:-1], invalid, 80),
        ("second peer missing", two.pack(), invalid, 216),
        ("allowed IP missing", Interface(peers=[one_more]).pack(), invalid, 80),
        ("allowed IP count overflows", Interface(peers=[overflow]).pack(), invalid, 80),
        ("allowed IP of a bad family", peer(public_key=peer_a, allowed_ips=["10.9.0.0/16", bad_family]), invalid,
         80 + 136 + 24),
        ("IPv4 prefix longer than 32", peer(public_key=peer_a, allowed_ips=[bad_cidr4]), invalid, 216),
        ("IPv6 prefix longer than 128", peer(public_key=peer_a, allowed_ips=[bad_cidr6]), invalid, 216),
        ("remove a missing peer", peer(public_key=peer_c, remove=True, allowed_ips=["10.8.0.0/16"]), ok, 240),
        ("update only, missing peer", peer(public_key=peer_c, update_only=True, allowed_ips=["10.8.0.0/16"]), ok, 240),
        ("own key as a peer", peer(public_key=public, allowed_ips=["10.8.0.0/16"]), ok, 240),
        ("prefix moves to another peer", peer(public_key=peer_b, allowed_ips=["10.1.0.0/16"]), ok, 240),
        ("remove a prefix of another peer", peer(public_key=peer_a, allowed_ips=[AllowedIp("10.1.0.0/16",
                                                                                         ALLOWED_IP_REMOVE)]), ok, 240),
        ("remove one's own prefix", peer(public_key=peer_a, allowed_ips=[AllowedIp("10.9.0.0/16", ALLOWED_IP_REMOVE)]),
         ok, 240),
        ("addresses are masked", peer(public_key=peer_a, allowed_ips=["10.3.4.5/16"]), ok, 240),
        ("replace allowed IPs", peer(public_key=peer_b, replace_allowed_ips=True, allowed_ips=["10.5.0.0/16"]), ok, 240),
        ("zero PSK clears", peer(public_key=peer_b, preshared_key=bytes(32)), ok, 216),
        ("keepalive off", peer(public_key=peer_b, keepalive=0), ok, 216),
        ("bytes behind the last peer are ignored", peer(public_key=peer_a) + b"\xff" * 50, ok, 216),
        ("remove a peer", peer(public_key=peer_a, remove=True), ok, 216),
        ("replace peers", Interface(replace_peers=True, peers=[Peer(public_key=peer_c)]).pack(), ok, 216),
        ("all-zero private key clears the identity", Interface(private_key=bytes(32)).pack(), ok, 80),
    ], {"private": private, "public": public, "a": peer_a, "b": peer_b, "c": peer_c}


# What GET must show after a row: checked right after the row of that name.
def expectations(keys):
    def prefixes(config, key):
        found = [peer for peer in config.peers if peer.public_key == keys[key]]
        return sorted(str(ip) for ip in found[0].allowed_ips) if found else None

    def names(config):
        return {name for name in "abc" for peer in config.peers if peer.public_key == keys[name]}

    def peer_b(config):
        return next(peer for peer in config.peers if peer.public_key == keys["b"])

    return {
        "private key": lambda c: c.private_key == keys["private"] and c.public_key == keys["public"] and c.flags & 3 == 3,
        "the same key unclamped": lambda c: c.private_key == keys["private"],
        "peer": lambda c: prefixes(c, "a") == ["10.1.0.0/16", "fd01::/16"],
        "peer with all": lambda c: peer_b(c).preshared_key == b"\x11" * 32 and peer_b(c).keepalive == 25
        and unpack_endpoint(peer_b(c).endpoint) == ("192.0.2.7", 4242)
        and peer_b(c).flags & 0xF == 0xF and peer_b(c).protocol_version == 1,
        "IPv6 endpoint": lambda c: unpack_endpoint(peer_b(c).endpoint)[:2] == ("2001:db8::7", 4242),
        "endpoint of an unknown family is ignored":
            lambda c: unpack_endpoint(peer_b(c).endpoint)[:2] == ("2001:db8::7", 4242),
        "allowed IP of a bad family": lambda c: "10.9.0.0/16" in prefixes(c, "a"),
        "remove a missing peer": lambda c: names(c) == {"a", "b"},
        "update only, missing peer": lambda c: names(c) == {"a", "b"},
        "own key as a peer": lambda c: len(c.peers) == 2,
        "prefix moves to another peer": lambda c: "10.1.0.0/16" in prefixes(c, "b")
        and "10.1.0.0/16" not in prefixes(c, "a"),
        "remove a prefix of another peer": lambda c: "10.1.0.0/16" in prefixes(c, "b"),
        "remove one's own prefix": lambda c: "10.9.0.0/16" not in prefixes(c, "a"),
        "addresses are masked": lambda c: "10.3.0.0/16" in prefixes(c, "a"),
        "replace allowed IPs": lambda c: prefixes(c, "b") == ["10.5.0.0/16"],
        "zero PSK clears": lambda c: not peer_b(c).flags & PEER_HAS_PRESHARED_KEY,
        "keepalive off": lambda c: peer_b(c).keepalive == 0 and peer_b(c).flags & PEER_HAS_PERSISTENT_KEEPALIVE,
        "remove a peer": lambda c: names(c) == {"b"},
        "replace peers": lambda c: names(c) == {"c"},
        "all-zero private key clears the identity": lambda c: c.flags & 3 == 0,
    }


def test_set(driver, tests):
    rows, keys = set_rows()
    expected = expectations(keys)
    for what, data, status, consumed in rows:
        before = driver.file.get()
        result = driver.file.set(data)
        tests.equal((hex(result.status), result.information), (hex(status), consumed), f"SET {what}")
        config = driver.config()
        if what in expected:
            tests.check(expected[what](config), f"SET {what}: the state afterwards is wrong")
            expected.pop(what)
        elif status != STATUS_SUCCESS:
            tests.check(driver.file.get() == before, f"SET {what}: a refused request changed something")
    tests.equal(sorted(expected), [], "every expectation was looked at")

    # A private key whose public key is a peer's: that peer goes.
    private, public = key_pair()
    driver.file.set(Interface(peers=[Peer(public_key=public)]).pack()).check()
    driver.file.set(Interface(private_key=private).pack()).check()
    tests.check(all(peer.public_key != public for peer in driver.config().peers), "a peer equal to the own key is removed")


def test_get(driver, tests):
    _, key = key_pair()
    driver.file.set(Interface(replace_peers=True, peers=[
        Peer(public_key=key, allowed_ips=["10.1.0.0/16", "10.2.0.0/16"])]).pack()).check()
    whole = driver.file.get()
    size = 80 + 136 + 48
    tests.equal(len(whole), size, "GET: size of an interface, a peer and two prefixes")

    result = driver.file.ioctl(IOCTL_GET, None, None)
    tests.equal((hex(result.status), result.information), (hex(STATUS_BUFFER_OVERFLOW), size), "GET without a buffer")
    # As far as whole structures fit, and not one byte further.
    for length, filled in ((0, 0), (79, 0), (80, 80), (215, 80), (216, 216), (239, 216), (240, 240), (263, 240)):
        result = driver.file.ioctl(IOCTL_GET, None, bytes([FILL]) * length)
        tests.equal((hex(result.status), result.information), (hex(STATUS_BUFFER_OVERFLOW), size), f"GET {length} bytes")
        tests.check(result.out[filled:] == bytes([FILL]) * (len(result.out) - filled),
                    f"GET {length} bytes: nothing is written behind {filled}")
        tests.equal(struct.unpack_from("<I", result.out, 72)[0] if filled >= 80 else 1, 1, f"GET {length}: peers count")
    result = driver.file.ioctl(IOCTL_GET, None, bytes([FILL]) * (size + 10))
    tests.equal((hex(result.status), result.information), (hex(STATUS_SUCCESS), size), "GET with room to spare")
    tests.equal(result.out[size:], bytes([FILL]) * 10, "GET leaves the rest of the buffer alone")
    # Endpoint and preshared key without their flag stay as the caller had them.
    tests.equal(result.out[80 + 40:80 + 72], bytes([FILL]) * 32, "GET leaves the PSK of a peer without one alone")
    tests.equal(result.out[80 + 76:80 + 104], bytes([FILL]) * 28, "GET leaves the endpoint of a peer without one alone")
    tests.equal(struct.unpack_from("<I", result.out, 80)[0] & 0xF, PEER_HAS_PUBLIC_KEY | PEER_HAS_PERSISTENT_KEEPALIVE,
                "GET flags of a bare peer")
    prefix = ALLOWED_IP_FORMAT.unpack_from(result.out, 216)
    tests.equal(prefix, (b"\x0a\x01".ljust(16, b"\0"), FAMILY_IPV4, 16, 0), "GET allowed IP")


def test_state(driver, tests):
    up = struct.pack("<I", STATE_UP)
    rows = [
        ("no input", b"", b"", STATUS_INVALID_PARAMETER),
        ("3 bytes", up[:3], b"", STATUS_INVALID_PARAMETER),
        ("5 bytes", up + b"\0", b"", STATUS_INVALID_PARAMETER),
        ("unknown verb", struct.pack("<I", 3), b"", STATUS_INVALID_PARAMETER),
        ("unknown verb -1", struct.pack("<I", 0xFFFFFFFF), b"", STATUS_INVALID_PARAMETER),
        ("query without output", struct.pack("<I", STATE_QUERY), b"", STATUS_INVALID_PARAMETER),
        ("query with 3 bytes", struct.pack("<I", STATE_QUERY), bytes(3), STATUS_INVALID_PARAMETER),
        ("query with 5 bytes", struct.pack("<I", STATE_QUERY), bytes(5), STATUS_INVALID_PARAMETER),
    ]
    for what, data, out, status in rows:
        tests.equal(hex(driver.file.ioctl(IOCTL_STATE, data, out).status), hex(status), f"STATE {what}")
    driver.file.state(STATE_DOWN)
    for verb, status, after in ((STATE_DOWN, STATUS_ALREADY_COMPLETE, STATE_DOWN), (STATE_UP, STATUS_SUCCESS, STATE_UP),
                                (STATE_UP, STATUS_ALREADY_COMPLETE, STATE_UP), (STATE_DOWN, STATUS_SUCCESS, STATE_DOWN)):
        tests.equal(hex(driver.file.state(verb)), hex(status), f"STATE {verb}")
        tests.equal(driver.file.state(STATE_QUERY), after, f"STATE query after {verb}")
        tests.equal(driver.control.link_up(), after == STATE_UP, "the link follows")
    # A port of one's choice is kept over down and up; port 0 chooses another.
    driver.file.state(STATE_UP)
    port = driver.config().listen_port
    tests.check(port != 0, "an unconfigured port is chosen by Up and reported")
    driver.file.state(STATE_DOWN)
    driver.file.state(STATE_UP)
    tests.equal(driver.config().listen_port, port, "the chosen port is kept over down and up")
    driver.file.set(Interface(listen_port=0).pack()).check()
    tests.check(driver.config().listen_port not in (0, port), "SET port 0 while up chooses another")
    driver.file.state(STATE_DOWN)


def test_log(driver, tests):
    for length in (0, 127):
        tests.equal(hex(driver.file.ioctl(IOCTL_LOG, None, bytes(length)).status), hex(STATUS_BUFFER_TOO_SMALL),
                    f"LOG with {length} bytes")
    lines = []
    while True:
        pending = driver.file.log_async()
        if not pending.done(0.3):
            break
        result = pending.wait()
        tests.equal((result.status, result.information), (STATUS_SUCCESS, 128), "LOG line")
        lines.append(result.out)
    tests.check(lines, "LOG: there were lines")
    now = (time.time() + 11644473600) * 1e7
    for line in lines:
        stamp, text = LOG_ENTRY_FORMAT.unpack(line)
        tests.check(abs(stamp - now) < 600e7, f"LOG timestamp {stamp}")
        tests.check(text[:1] in b"123" and b"\0" in text, f"LOG text {text!r}")
    # `pending` waits now: cancelled, closed or served.
    pending.cancel()
    tests.equal(hex(pending.wait().status), hex(STATUS_CANCELLED), "LOG cancelled")
    with driver.control.open() as second:
        waiting = second.log_async()
        tests.check(not waiting.done(0.1), "LOG waits")
        second.close()
        tests.equal(hex(waiting.wait().status), hex(STATUS_CANCELLED), "LOG ends with its handle")
    first, second = driver.file.log_async(), driver.file.log_async()
    driver.file.state(STATE_DOWN)
    tests.check(first.done(2), "LOG: a line wakes the first reader")
    driver.file.state(STATE_UP)
    tests.check(second.done(2), "LOG: the next line goes to the second reader")
    # More lines than the ring holds: the oldest go, and the gap is told.
    for _ in range(50):
        driver.file.state(STATE_UP)
        driver.file.state(STATE_DOWN)
    result = driver.file.log_async().wait()
    text = LOG_ENTRY_FORMAT.unpack(result.out)[1]
    tests.check(text[:1] == b"2" and b"overwritten" in text, f"LOG: a gap is reported first: {text!r}")
    count = 0
    while True:
        pending = driver.file.log_async()
        if not pending.done(0.3):
            pending.cancel()
            break
        count += 1
    tests.equal(count, 64, "LOG: then the 64 lines that the ring holds")


def test_security(driver, tests):
    rows = [
        ("SYSTEM", {"system": True, "administrator": True, "integrity": 0x4000}, True),
        ("administrator, high", {"system": False, "administrator": True, "integrity": 0x3000}, True),
        ("administrator, medium", {"system": False, "administrator": True, "integrity": 0x2000}, False),
        ("user, high", {"system": False, "administrator": False, "integrity": 0x3000}, False),
        ("user, medium", {"system": False, "administrator": False, "integrity": 0x2000}, False),
    ]
    for who, token, allowed in rows:
        try:
            file = driver.control.open(**token)
        except StatusError as error:
            tests.check(not allowed and error.status == STATUS_ACCESS_DENIED, f"{who}: open {error}")
            continue
        with file:
            for name, code, data, out in (("GET", IOCTL_GET, None, bytes(4096)), ("SET", IOCTL_SET, None, bytes(80)),
                                          ("STATE", IOCTL_STATE, struct.pack("<I", STATE_QUERY), bytes(4))):
                status = file.ioctl(code, data, out).status
                tests.equal(hex(status), hex(STATUS_SUCCESS if allowed else STATUS_ACCESS_DENIED), f"{who}: {name}")
            log = file.ioctl_async(IOCTL_LOG, None, bytes(128))
            if allowed:
                log.cancel()
                log.wait()
            else:
                tests.equal(hex(log.wait().status), hex(STATUS_ACCESS_DENIED), f"{who}: LOG")


def test_codes(driver, tests):
    """Codes that are not ours, and ours with a wrong transfer method, go to NDIS and are refused there."""
    for code in (0xB098C507, 0xB098C504, 0xB098C508, 0xB098C50D, 0xB098C511, 0xB098C514, 0xB0988506, 0, 0xFFFFFFFF):
        status = driver.file.ioctl(code, bytes(8), bytes(128)).status
        tests.check(status & 0xC0000000 == 0xC0000000, f"code {code:#x} is refused ({status:#x})")
    tests.equal(hex(driver.file.ioctl(IOCTL_GET, None, bytes(4096)).status), hex(0), "and GET still works")


def test_double_fetch(driver, tests):
    """Two writers of the same configuration from two handles: each SET is atomic against GET's view of a peer."""
    _, key = key_pair()
    stop = threading.Event()
    errors = []

    def writer(prefix):
        try:
            with Control(driver.host.name) as control, control.open() as file:
                while not stop.is_set():
                    result = file.set(Interface(peers=[Peer(public_key=key, replace_allowed_ips=True,
                                                            allowed_ips=[prefix] * 3)]).pack())
                    if result.status:
                        errors.append(hex(result.status))
        except Exception as error:  # noqa: BLE001 - any failure of the thread is a failure of the test
            errors.append(repr(error))

    threads = [threading.Thread(target=writer, args=(prefix,)) for prefix in ("10.1.0.0/16", "10.2.0.0/16")]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 2
    reads = 0
    while time.monotonic() < deadline:
        for peer in driver.config().peers:
            if peer.public_key == key and len(peer.allowed_ips) > 1:
                errors.append("torn view")
        reads += 1
    stop.set()
    for thread in threads:
        thread.join()
    tests.equal(errors[:3], [], f"concurrent SET and GET ({reads} reads)")


def test_removal(driver, tests):
    """QUERY_REMOVE wakes log readers and refuses control; CANCEL_REMOVE restores it."""
    waiting = driver.file.log_async()
    while waiting.done(0.2):
        waiting = driver.file.log_async()
    driver.control.pnp(PNP_QUERY_REMOVE)
    tests.equal(hex(waiting.wait().status), hex(STATUS_CANCELLED), "removal wakes the log reader")
    for name, code, data, out in (("GET", IOCTL_GET, None, bytes(4096)), ("SET", IOCTL_SET, None, bytes(80)),
                                  ("STATE", IOCTL_STATE, struct.pack("<I", STATE_QUERY), bytes(4)),
                                  ("LOG", IOCTL_LOG, None, bytes(128))):
        tests.equal(hex(driver.file.ioctl(code, data, out).status), hex(NDIS_STATUS_ADAPTER_REMOVED), f"{name} while removing")
    tests.equal(hex(driver.file.ioctl(IOCTL_SET, None, None).status), hex(STATUS_INVALID_PARAMETER),
                "SET without a buffer is told before the removal")
    try:
        driver.control.open().close()
        tests.check(False, "open while removing is refused")
    except StatusError as error:
        tests.equal(hex(error.status), hex(NDIS_STATUS_ADAPTER_REMOVED), "open while removing")
    driver.control.pnp(PNP_CANCEL_REMOVE)
    tests.equal(hex(driver.file.ioctl(IOCTL_GET, None, bytes(4096)).status), hex(STATUS_SUCCESS), "control is back")


def test_set_atomic(driver, tests):
    rows, keys = set_rows()
    control_extensions.test_set_atomic(driver, tests, rows, expectations(keys))


def main():
    tests = Tests()
    try:
        require(NTHOST, DRIVER)
        for test in (test_set, test_get, test_state, test_log, test_security, test_codes, test_double_fetch, test_removal,
                     control_extensions.test_drops, control_extensions.test_events, control_extensions.test_events_and_removal,
                     control_extensions.test_extension_security, test_set_atomic):
            print(f"-- {test.__name__}", flush=True)
            driver = Driver()
            try:
                test(driver, tests)
            except (StatusError, Refused, ConnectionError, TimeoutError, KeyError, struct.error) as error:
                tests.check(False, f"{test.__name__}: {error!r}\n{driver.lab.output_of(driver.host.process)[-2000:]}")
            driver.finish(tests)
    except LabError as error:
        tests.check(False, str(error))
    return tests.finish()


if __name__ == "__main__":
    sys.exit(main())
