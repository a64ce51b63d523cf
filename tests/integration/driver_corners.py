#!/usr/bin/python3
"""Corners of the driver that no traffic reaches: every OID with every kind of buffer, and a life from load to unload in
which calls fail for lack of resources, by many seeds."""

import argparse
import os
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from netlab import DRIVER, NTHOST, SOCKETS, Lab, LabError, Tests, genkey, require  # noqa: E402
from netlab import Peer as LabPeer  # noqa: E402
from nthost_control import STATE_DOWN, STATE_UP, Control, StatusError  # noqa: E402

# NDIS_STATUS_*
SUCCESS, NOT_SUPPORTED = 0x00000000, 0xC00000BB
INVALID_LENGTH, BUFFER_TOO_SHORT, INVALID_DATA = 0xC0010014, 0xC0010016, 0xC0010015

# name: (OID, bytes of its value, what it is; None: anything)
QUERIES = {
    "OID_GEN_MAXIMUM_TOTAL_SIZE": (0x00010111, 4, 0x7FFFFFA0),
    "OID_GEN_TRANSMIT_BLOCK_SIZE": (0x0001010A, 4, 0x7FFFFFA0),
    "OID_GEN_RECEIVE_BLOCK_SIZE": (0x0001010B, 4, 0x7FFFFFA0),
    "OID_GEN_TRANSMIT_BUFFER_SPACE": (0x00010108, 4, None),
    "OID_GEN_RECEIVE_BUFFER_SPACE": (0x00010109, 4, None),
    "OID_GEN_VENDOR_ID": (0x0001010C, 4, 0x00FFFFFF),
    "OID_GEN_VENDOR_DESCRIPTION": (0x0001010D, 12, b"Wyrm Tunnel\0"),
    "OID_GEN_VENDOR_DRIVER_VERSION": (0x00010116, 4, None),
    "OID_GEN_STATISTICS": (0x00020106, 152, None),
    "OID_GEN_INTERRUPT_MODERATION": (0x00010209, 12, None),
}
COUNTERS = {"OID_GEN_XMIT_OK": 0x00020101, "OID_GEN_RCV_OK": 0x00020102}
PACKET_FILTER, LOOKAHEAD, LINK_PARAMETERS = 0x0001010E, 0x0001010F, 0x00010208
INTERRUPT_MODERATION, QUERY_POWER, SET_POWER = 0x00010209, 0xFD010102, 0xFD010101
UNKNOWN = 0x00012345


def test_queries(control, tests):
    for name, (oid, length, value) in QUERIES.items():
        status, count, data = control.oid(oid, length)
        tests.check((status, count) == (SUCCESS, length), f"{name}: status 0x{status:08X}, {count} bytes of {length}")
        if isinstance(value, int):
            tests.equal(struct.unpack_from("<I", data)[0], value, name)
        elif value is not None:
            tests.equal(data[:length], value, name)
        status, count, _ = control.oid(oid, length - 1)
        tests.check(status == BUFFER_TOO_SHORT and count == length,
                    f"{name} with {length - 1} bytes: status 0x{status:08X}, {count} needed")
        status, count, _ = control.oid(oid, length + 100)
        tests.check((status, count) == (SUCCESS, length), f"{name} with more room: 0x{status:08X}, {count}")
    for name, oid in COUNTERS.items():
        for room, written in ((4, 4), (7, 4), (8, 8), (16, 8)):
            status, count, _ = control.oid(oid, room)
            tests.check((status, count) == (SUCCESS, written), f"{name} into {room}: 0x{status:08X}, {count}")
        tests.equal(control.oid(oid, 3)[0], BUFFER_TOO_SHORT, f"{name} into 3 bytes")
    tests.equal(control.oid(QUERY_POWER, 4)[0], SUCCESS, "OID_PNP_QUERY_POWER")
    tests.equal(control.oid(UNKNOWN, 4)[0], NOT_SUPPORTED, "an unknown OID is asked for")


def test_sets(control, tests):
    word = struct.pack("<I", 1)
    for name, oid in (("packet filter", PACKET_FILTER), ("lookahead", LOOKAHEAD)):
        tests.equal(control.oid(oid, data=word)[0], SUCCESS, f"{name} is set")
        tests.equal(control.oid(oid, data=word[:3])[0], INVALID_LENGTH, f"{name} of 3 bytes")
    tests.equal(control.oid(LINK_PARAMETERS, data=bytes(40))[0], SUCCESS, "link parameters")
    tests.equal(control.oid(INTERRUPT_MODERATION, data=bytes(12))[0], INVALID_DATA, "interrupt moderation")
    tests.equal(control.oid(UNKNOWN, data=word)[0], NOT_SUPPORTED, "an unknown OID is set")
    tests.equal(control.oid(SET_POWER, data=word[:2])[0], INVALID_LENGTH, "a power state of 2 bytes")
    for state in (4, 4, 1, 1):
        tests.equal(control.oid(SET_POWER, data=struct.pack("<I", state))[0], SUCCESS, f"power state {state}")


def oids(tests):
    lab = Lab()
    try:
        host = LabPeer(lab, lab.namespace("oid"), "wyrm", "a", [], options=["--verify"])
        with Control(host.name) as control:
            test_queries(control, tests)
            with control.open() as file:
                file.state(STATE_UP)
            test_sets(control, tests)
        tests.equal(host.stop(), 0, "unload")
    finally:
        lab.close()


# ---- lack of resources ----
def use(lab, space, name, other):
    """What an administrator and applications do; errors are no surprise here, reports and crashes are."""
    private, _ = genkey()
    lines = ["[Interface]", f"PrivateKey = {private}", "ListenPort = 0"]
    for index in range(6):
        lines += ["[Peer]", f"PublicKey = {genkey()[1]}", f"AllowedIPs = 10.7.{index}.0/24, fd07:{index}::/64",
                  f"Endpoint = {'192.0.2.9' if index % 2 else '[2001:db8::9]'}:{9 + index}", "PersistentKeepalive = 1"]
    for _ in range(3):
        lab.command(["wg", "setconf", name, "/dev/stdin"], space, "\n".join(lines) + "\n", check=False)
        lab.command(["ip", "link", "set", name, "up"], space, check=False)
        lab.command(["ip", "address", "replace", "10.7.9.1/16", "dev", name], space, check=False)
        for target in ("10.7.0.1", "10.7.1.1", "10.7.200.1"):
            lab.command(["ping", "-q", "-c", "3", "-i", "0.02", "-W", "0.1", target], space, check=False)
        lab.command(["wg", "show", name], space, check=False)
        with Control(name) as control:
            try:
                with control.open() as file:
                    file.state(STATE_DOWN)
                    file.state(STATE_UP)
                    file.get()
                control.oid(QUERIES["OID_GEN_STATISTICS"][0], 152)
                control.pause()
                control.restart()
            except StatusError:
                pass


def one_seed(lab, space, seed, tests):
    name = f"w{lab.id}f{seed}"
    socket = os.path.join(SOCKETS, f"{name}.ctl")
    process = lab.start([NTHOST, "run", DRIVER, "--name", name, "--verify", "--fault-seed", str(seed)], space,
                        f"{name}.log")
    deadline = time.monotonic() + 30
    while process.poll() is None and not os.path.exists(socket) and time.monotonic() < deadline:
        time.sleep(0.02)
    used = process.poll() is None and os.path.exists(socket)
    if used:
        try:
            use(lab, space, name, seed)
        except (OSError, subprocess.SubprocessError):
            pass  # the host ended: its status says how
    status = process.poll() if process.poll() is not None else lab.stop(process)
    # 1: the driver did not start, in good order
    tests.check(status in ((0,) if used else (0, 1)),
                f"seed {seed}: status {status}\n{lab.output_of(process)[-3000:]}")
    return used


def faults(tests, first, count):
    lab = Lab()
    try:
        space = lab.namespace("faults")
        lab.command(["ip", "address", "add", "192.0.2.1/24", "dev", "lo"], space, check=False)
        lab.command(["ip", "-6", "address", "add", "2001:db8::1/64", "dev", "lo"], space, check=False)
        used = sum(one_seed(lab, space, seed, tests) for seed in range(first, first + count))
        print(f"{count} seeds from {first} on: the driver started in {used}")
        tests.check(used > 0, "no seed lets the driver start")
        tests.check(used < count or count < 16, "no seed keeps the driver from starting")
    finally:
        lab.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--seeds", type=int, default=60)
    options = parser.parse_args()
    tests = Tests()
    try:
        require(NTHOST, DRIVER)
        oids(tests)
        faults(tests, options.first, options.seeds)
    except LabError as error:
        tests.check(False, str(error))
    return tests.finish()


if __name__ == "__main__":
    sys.exit(main())
