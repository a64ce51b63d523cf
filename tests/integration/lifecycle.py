#!/usr/bin/python3
"""What happens around a running driver: the system takes its sockets away, it sleeps and wakes, ports change under
traffic, and what must be gone after Down is gone."""

import os
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import wgpeer  # noqa: E402
from nthost_control import STATE_DOWN, STATE_UP, Interface  # noqa: E402
from driver_log import Log  # noqa: E402
from scenarios import run_scenarios  # noqa: E402
from scripted_tunnel import DRIVER, INNER_HERE, INNER_THERE, NTHOST, PORT, ScriptedTunnel, inside  # noqa: E402

OID_PNP_SET_POWER = 0xFD010101
D0, D3 = 1, 4  # NdisDeviceStateD0, NdisDeviceStateD3


def await_true(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def works(tunnel, seconds=10):
    """Also when the driver is still busy with our response."""
    return await_true(lambda: tunnel.echo(timeout=0.3), seconds)


def set_power(tunnel, tests, state):
    tests.equal(tunnel.control.oid(OID_PNP_SET_POWER, data=struct.pack("<I", state))[0], 0, f"OID_PNP_SET_POWER {state}")


def lost_sockets(tests):
    tunnel = ScriptedTunnel()
    log = Log(tunnel.control)
    tunnel.initiate()
    tests.check(tunnel.echo(), "a session")
    log.lines()
    for count in range(5):
        tests.equal(tunnel.control.lose_sockets(), 0, "the system takes the sockets away")
        tests.check(works(tunnel), f"loss {count}: the same session goes on, on the same port")
    lines = log.lines()
    tests.equal(sum("opened again on port %u" % PORT in line for line in lines), 5, f"a line for each: {lines}")

    # Somebody else takes the port in the moment in which it is free.
    taken, stop = threading.Event(), threading.Event()

    def greedy():
        with inside(tunnel.here):
            while not stop.is_set() and not taken.is_set():
                thief = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                try:
                    thief.bind(("0.0.0.0", PORT))
                    taken.set()
                    stop.wait(60)
                except OSError:
                    pass
                thief.close()

    thread = threading.Thread(target=greedy)
    thread.start()
    for _ in range(200):
        tunnel.control.lose_sockets()
        if taken.wait(0.05):
            break
    tests.check(taken.is_set(), "somebody else got the port")
    lines = log.lines(0.5)
    tests.check(any("cannot be opened" in line for line in lines), f"the log says that the port is taken: {lines}")
    tests.check(not tunnel.echo(timeout=0.5), "nothing comes in meanwhile")
    stop.set()
    thread.join()
    tests.check(works(tunnel, 30), "the tunnel is back when the port is free")
    tunnel.control.lose_sockets()
    with tunnel.control.open() as file:
        file.state(STATE_DOWN)
        tests.equal(file.state(STATE_UP), 0, "down and up during a recovery")
    tunnel.initiate()
    tests.check(tunnel.echo(), "and it works")
    log.close()
    tunnel.finish(tests, "lost sockets")


def suspend(tests):
    tunnel = ScriptedTunnel()
    tunnel.initiate()
    tests.check(tunnel.echo(), "a session")
    set_power(tunnel, tests, D0)
    tests.check(tunnel.echo(), "waking without having slept leaves a young session alone")

    set_power(tunnel, tests, D3)
    old = tunnel.session
    before = tunnel.statistics()
    tests.check(not tunnel.echo(timeout=0.3), "asleep: the session's keys are gone")
    tests.check((tunnel.statistics() - before).in_errors > 0, "asleep: its index is unknown")
    time.sleep(0.03)
    tunnel.send(tunnel.peer.create_initiation(tunnel.timestamp()))
    tests.equal(tunnel.receive(wgpeer.RESPONSE, 0.5), None, "asleep: no new keys are made by an initiation")
    tunnel.provoke()
    tests.equal(tunnel.receive(wgpeer.INITIATION, 0.5), None, "asleep: nor by a packet")
    set_power(tunnel, tests, D3)
    set_power(tunnel, tests, D0)
    tests.check(not tunnel.echo(old, timeout=0.3), "awake: the old session stays gone")
    tunnel.initiate()
    tests.check(tunnel.echo(), "awake: our handshake works")
    set_power(tunnel, tests, D3)
    set_power(tunnel, tests, D0)
    tunnel.respond()
    tests.check(works(tunnel), "awake: so does the driver's, at once")
    set_power(tunnel, tests, D3)
    with tunnel.control.open() as file:
        file.state(STATE_DOWN)
        file.state(STATE_UP)
    tunnel.provoke()
    tests.equal(tunnel.receive(wgpeer.INITIATION, 0.5), None, "down and up asleep does not wake the peers")
    set_power(tunnel, tests, D0)
    tunnel.respond()
    tests.check(works(tunnel), "awake again")
    tunnel.finish(tests, "suspend")

    tunnel = ScriptedTunnel(keepalive=300)
    tunnel.await_initiation()
    tunnel.initiate()
    tunnel.drain()
    set_power(tunnel, tests, D3)
    set_power(tunnel, tests, D0)
    tests.check(tunnel.receive(wgpeer.INITIATION, 3) is not None, "a peer with persistent keepalive is greeted on waking")
    tunnel.finish(tests, "suspend with keepalive")


def ports(tests):
    """The listen port changes a hundred times while data comes and goes; no change takes long."""
    tunnel = ScriptedTunnel()
    tunnel.initiate()
    stop = threading.Event()

    def flood():
        number = 0
        while not stop.is_set():
            number += 1
            tunnel.send(tunnel.session.seal(wgpeer.echo4(INNER_THERE, INNER_HERE, 1, number & 0xFFFF, b"x" * 1000)))
            tunnel.provoke()

    slowest = 0.0
    thread = threading.Thread(target=flood)
    thread.start()
    try:
        with tunnel.control.open() as file:
            for number in range(100):
                port = 40000 + number
                began = time.monotonic()
                file.set(Interface(listen_port=port).pack())
                slowest = max(slowest, time.monotonic() - began)
                tunnel.destination = (tunnel.destination[0], port)
            for number in range(20):
                began = time.monotonic()
                file.state(STATE_DOWN)
                file.state(STATE_UP)
                slowest = max(slowest, time.monotonic() - began)
    finally:
        stop.set()
        thread.join()
    tests.check(slowest < 10, f"the slowest change took {slowest:.1f} s")
    tunnel.drain()
    tunnel.initiate()
    tests.check(tunnel.echo(), "the tunnel works afterwards")
    tunnel.finish(tests, "ports")


def memory(tests):
    """What traffic had the driver allocate (received plaintext is in it) is given back when the adapter goes down."""
    tunnel = ScriptedTunnel()

    def down():
        with tunnel.control.open() as file:
            file.state(STATE_DOWN)
        time.sleep(0.2)
        return tunnel.pool_now()

    tunnel.initiate()  # what a peer has from its first session on stays
    first = down()
    with tunnel.control.open() as file:
        file.state(STATE_UP)
    tunnel.initiate()
    tunnel.send_segments([tunnel.session.seal(tunnel.sink_packet(bytes(1000))) for _ in range(300)])
    tests.check(tunnel.echo(), "data went through")
    up = tunnel.pool_now()
    second = down()
    for name, now in second.items():
        tests.check(now <= first[name], f"{name}: {first[name]} before traffic, {up[name]} with it, {now} after Down")
    tunnel.finish(tests, "memory")


SCENARIOS = {"lost-sockets": lost_sockets, "suspend": suspend, "ports": ports, "memory": memory}


def main():
    return run_scenarios(__doc__, SCENARIOS, (NTHOST, DRIVER))


if __name__ == "__main__":
    sys.exit(main())
