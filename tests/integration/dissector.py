#!/usr/bin/python3
"""An independent dissector reads what the driver sends: tshark, given the keys of a scripted peer, decrypts handshakes of both
roles, with and without a preshared key, and the data behind them; mac1 is valid; padding and its clamp to the MTU show in the
lengths.  Each finding has a counter-check in which it must be missing."""

import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import wgpeer  # noqa: E402
from netlab import Tests  # noqa: E402
from scripted_tunnel import (DRIVER, INNER_HERE, NTHOST, OUTER_HERE, OUTER_THERE, LabError, ScriptedTunnel,  # noqa: E402
                             inside, require)

MTU = 1420
MTU_LATER = 1300  # no multiple of 16 either
# Inner lengths: below, at and above multiples of 16; where the clamp begins; the whole MTU.
SIZES = (29, 31, 32, 33, 47, 48, 49, 100, 575, 576, 1024, 1279, 1280, 1281, 1407, 1408, 1409, 1416, 1419, 1420)
SIZES_LATER = (1200, 1295, 1296, 1297, 1300)
PCAP_HEADER_BYTES, PCAP_RECORD_BYTES = 24, 16


class Role:
    """One scripted peer: who begins, and whether there is a preshared key."""

    def __init__(self, tunnel, number, driver_initiates, psk):
        self.driver_initiates, self.number = driver_initiates, number
        self.inner, self.port = f"10.66.0.{10 + number}", 52000 + number
        self.peer = tunnel.new_peer(os.urandom(32) if psk else bytes(32))
        self.socket = tunnel.open_socket(OUTER_THERE, self.port)
        self.entry = tunnel.entry(self.peer, [self.inner + "/32"],
                                  f"{OUTER_THERE}:{self.port}" if driver_initiates else None)
        self.session = None
        self.what = f"driver {'initiates' if driver_initiates else 'responds'}, {'PSK' if psk else 'no PSK'}"

    def run(self, tunnel, tests):
        if self.driver_initiates:
            self.session = tunnel.respond(self.peer, self.socket, destination=self.inner)
            # White paper 5.4.6: the responder sends nothing before the initiator's first data confirms the keys.
            tests.check(tunnel.receive(wgpeer.DATA, 5.0, self.socket), f"{self.what}: the session is confirmed")
        else:
            self.session = tunnel.initiate(self.peer, self.socket)
        tests.check(tunnel.echo(self.session, self.inner, self.socket), f"{self.what}: echo")


class Capture:
    """tcpdump on our end of the link."""

    def __init__(self, tunnel):
        self.lab = tunnel.lab
        self.path = os.path.join(self.lab.directory, "link.pcap")
        self.process = self.lab.start(["tcpdump", "-Z", "root", "-i", tunnel.veth[1], "-U", "--immediate-mode", "-s", "0", "-w",
                                       self.path, "udp"], tunnel.there, "tcpdump.log")
        self.lab.wait_for(lambda: "listening" in self.lab.output_of(self.process), "tcpdump", 10, self.process)

    def stop(self):
        time.sleep(0.3)
        self.lab.stop(self.process, 2)


def dissect(capture, keys, fields, display=None):
    """One dictionary per packet; the key log stands in memory only, readable for us only, and is gone afterwards."""
    directory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    log, path = tempfile.mkstemp(prefix="wyrm-keys-", dir=directory)  # mode 0600
    try:
        with os.fdopen(log, "w", encoding="ascii") as file:
            file.write(keys)
        command = ["tshark", "-n", "-r", capture, "-o", f"wg.keylog_file:{path}", "-o", "wg.dissect_packet:TRUE",
                   "-T", "fields", "-E", "separator=|", "-E", "occurrence=a", "-E", "aggregator=,"]
        for field in fields:
            command += ["-e", field]
        done = subprocess.run(command + (["-Y", display] if display else []), capture_output=True, text=True, timeout=60,
                              check=False, stdin=subprocess.DEVNULL)
    finally:
        os.unlink(path)
    if done.returncode != 0:
        raise LabError(f"tshark: status {done.returncode}: {done.stderr.strip()[-500:]}")
    return [dict(zip(fields, line.split("|"))) for line in done.stdout.splitlines()]


def outer(row, field):
    """A field that the inner packet may have too: the outer one."""
    return row[field].split(",")[0]


def sent_to(rows, role, kind):
    """What the driver sent to this peer, of this type."""
    return [row for row in rows if outer(row, "ip.src") == OUTER_HERE and outer(row, "udp.dstport") == str(role.port)
            and row["wg.type"] == str(kind)]


def payload_bytes(row):
    """Of the outer UDP datagram."""
    return int(outer(row, "udp.length")) - 8


def is_true(value):
    return value in ("1", "True")


FIELDS = ["frame.number", "ip.src", "ip.dst", "udp.srcport", "udp.dstport", "udp.length", "wg.type", "wg.sender", "wg.receiver",
          "wg.handshake_ok", "wg.static", "wg.receiver_pubkey", "wg.counter", "wg.reserved", "icmp.type", "ip.len",
          "wg.decryption_error", "wg.timestamp.nanoseconds", "wg.mac2"]


def check_handshakes(tests, rows, roles, driver_public):
    """The driver's handshake messages, by peer."""
    for role in roles:
        kind = wgpeer.INITIATION if role.driver_initiates else wgpeer.RESPONSE
        sent = sent_to(rows, role, kind)
        if not tests.equal(len(sent), 1, f"{role.what}: one handshake message of the driver"):
            continue
        row = sent[0]
        length = {wgpeer.INITIATION: 148, wgpeer.RESPONSE: 92}[kind]
        tests.equal(payload_bytes(row), length, f"{role.what}: length")
        tests.equal(row["wg.reserved"].replace(":", ""), "000000", f"{role.what}: reserved bytes")
        # The dissector names the receiver only if mac1 is that receiver's.
        tests.equal(row["wg.receiver_pubkey"], wgpeer.base64_of(role.peer.public), f"{role.what}: mac1 is valid")
        tests.equal(row["wg.mac2"].replace(":", ""), "00" * 16, f"{role.what}: mac2 is zero without a cookie")
        if role.driver_initiates:
            tests.equal(row["wg.static"], wgpeer.base64_of(driver_public), f"{role.what}: the static key decrypts")
            tests.check(row["wg.timestamp.nanoseconds"] != "", f"{role.what}: the timestamp decrypts")
        # (For an initiation the dissector tells success by the fields that it shows; for a response by this one.)
        answers = [row for row in rows if row["wg.type"] == str(wgpeer.RESPONSE)
                   and str(role.port) in (row["udp.dstport"], row["udp.srcport"])]
        tests.check(len(answers) == 1 and is_true(answers[0]["wg.handshake_ok"]), f"{role.what}: the response decrypts")


def check_data(tests, rows, roles):
    for role in roles:
        sent = sent_to(rows, role, wgpeer.DATA)
        tests.check(sent, f"{role.what}: the driver sent data")
        tests.check(all(row["wg.decryption_error"] == "" for row in sent), f"{role.what}: all data decrypts")
        replies = [row for row in sent if row["icmp.type"] == "0" and row["ip.src"] == f"{OUTER_HERE},{INNER_HERE}"
                   and row["ip.dst"] == f"{OUTER_THERE},{role.inner}"]
        tests.check(replies, f"{role.what}: the echo reply shows inside")
        counters = [int(row["wg.counter"]) for row in sent]
        tests.equal(counters, list(range(len(counters))), f"{role.what}: counters from 0 without a gap")
        tests.equal({row["wg.receiver"] for row in sent}, {hex_index(role.session.local_index)}, f"{role.what}: receiver index")


def hex_index(index):
    return f"0x{index:08x}"


def padded(inner, mtu):
    return min((inner + 15) // 16 * 16, max(inner, mtu))


def check_padding(tests, rows, sizes, mtu):
    """Inner length -> payload of the data message."""
    seen = {int(row["ip.len"].split(",")[1]): payload_bytes(row) - 32 for row in rows}
    for size in sizes:
        tests.equal(seen.get(size), padded(size, mtu), f"padding of {size} bytes at MTU {mtu}")


def flip_in_capture(path, out, frame, offset):
    """A copy with one bit of the UDP payload of frame number `frame` (from 1) changed."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    at, number = PCAP_HEADER_BYTES, 1
    while number < frame:
        at += PCAP_RECORD_BYTES + struct.unpack_from("<I", data, at + 8)[0]
        number += 1
    data[at + PCAP_RECORD_BYTES + 14 + 20 + 8 + offset] ^= 0x10
    with open(out, "wb") as file:
        file.write(data)


def counter_checks(tests, capture, keys, rows, roles):
    """What was found must not be found in damaged captures or with other keys."""
    damaged = capture + ".damaged"
    first = roles[0]
    initiation = next(row for row in rows if row["wg.type"] == "1" and outer(row, "udp.dstport") == str(first.port))
    flip_in_capture(capture, damaged, int(initiation["frame.number"]), 148 - 32)
    row = next(row for row in dissect(damaged, keys, FIELDS) if row["frame.number"] == initiation["frame.number"])
    tests.equal(row["wg.receiver_pubkey"], "", "a changed mac1 is not taken for valid")

    data = next(row for row in sent_to(rows, first, wgpeer.DATA) if row["icmp.type"] != "")
    flip_in_capture(capture, damaged, int(data["frame.number"]), 40)
    row = next(row for row in dissect(damaged, keys, FIELDS) if row["frame.number"] == data["frame.number"])
    tests.check(row["icmp.type"] == "" and row["wg.decryption_error"] != "", "changed data does not decrypt")

    # Another preshared key in the log: the response of that peer does not decrypt.
    with_psk = next(role for role in roles if role.peer.psk != bytes(32))
    other = keys.replace(wgpeer.base64_of(with_psk.peer.psk), wgpeer.base64_of(bytes([1]) * 32))
    answer = [row for row in dissect(capture, other, FIELDS) if row["wg.type"] == "2"
              and str(with_psk.port) in (row["udp.dstport"], row["udp.srcport"])]
    tests.check(len(answer) == 1 and not is_true(answer[0]["wg.handshake_ok"]), "another preshared key decrypts nothing")
    # No keys: nothing inside shows.
    bare = dissect(capture, "", FIELDS)
    tests.check(all(row["icmp.type"] == "" and row["wg.static"] == "" for row in bare if row["wg.type"]), "no keys, nothing shown")


def main():
    tests = Tests()
    try:
        require("tcpdump", "tshark", NTHOST, DRIVER)
        tunnel = ScriptedTunnel(configure=False)
        roles = [Role(tunnel, number, driver_initiates, psk) for number, (driver_initiates, psk) in enumerate(
            ((True, False), (True, True), (False, False), (False, True)))]
        tunnel.configure([role.entry for role in roles])
        capture = Capture(tunnel)
        for role in roles:
            role.run(tunnel, tests)

        role = roles[0]
        with inside(tunnel.here):
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            tunnel.sockets.append(raw)
        for mtu, sizes in ((MTU, SIZES), (MTU_LATER, SIZES_LATER)):
            tunnel.lab.command(["ip", "link", "set", tunnel.wyrm.name, "mtu", str(mtu)], tunnel.here)
            time.sleep(0.5)
            for size in sizes:
                raw.sendto(wgpeer.echo4(INNER_HERE, role.inner, 0x5758, size, bytes(size - 28)), (role.inner, 0))
                time.sleep(0.02)
        capture.stop()

        keys = "".join(wgpeer.key_log(role.peer) for role in roles)
        rows = dissect(capture.path, keys, FIELDS)
        tests.check(len(rows) > len(SIZES), f"{len(rows)} packets captured")
        check_handshakes(tests, rows, roles, tunnel.public)
        check_data(tests, rows, roles)
        # Some sizes were sent at both MTUs; the capture has them in order.
        pings = [row for row in sent_to(rows, role, wgpeer.DATA) if row["icmp.type"] == "8"]
        check_padding(tests, pings[:len(SIZES)], SIZES, MTU)
        check_padding(tests, pings[len(SIZES):], SIZES_LATER, MTU_LATER)
        counter_checks(tests, capture.path, keys, rows, roles)
        tunnel.finish(tests, "dissector")
    except (LabError, wgpeer.ProtocolError) as error:
        tests.check(False, f"{type(error).__name__}: {error}")
    return tests.finish()


if __name__ == "__main__":
    sys.exit(main())
