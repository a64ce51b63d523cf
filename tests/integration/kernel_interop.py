#!/usr/bin/python3
"""The driver, in verify mode (except under load), against Linux's own WireGuard in an emulated machine: one guest for all scenarios.

Emulation is slow and the machine may be busy: amounts are small, waits long, and no time is asserted closely.  What takes
minutes by the protocol (rekey after 120 s, the end of a session after 180 s) runs beside the other scenarios."""

import argparse
import hashlib
import inspect
import os
import re
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import wgpeer  # noqa: E402
from cookie_exchange import cookie_under_load  # noqa: E402
from handshake_load import PROGRAM, HandshakeLoad  # noqa: E402
from kernelpeer import QEMU  # noqa: E402
from kernelpeer_lab import ATTACK4, OUTER4, OUTER6, Tunnel, World  # noqa: E402
from netlab import DRIVER, NTHOST, LabError, Tests, genpsk, require  # noqa: E402
from scripted_tunnel import Sniffer, inside  # noqa: E402

ROAMING = ((("198.51.100.1", "198.51.100.2"), ("198.51.100.11", "198.51.100.12"), 24),
           (("2001:db8:1::1", "2001:db8:1::2"), ("2001:db8:1::11", "2001:db8:1::12"), 64))
REKEY_AFTER, REJECT_AFTER = 120, 180
KEEPALIVE_BYTES = 32
PASSIVE_KEEPALIVE = 10
TRANSFER_BYTES = 500000


# ---- handshakes ----
def agree(tests, tunnel, what):
    """Both sides show the same handshake and the same bytes."""
    def transfers():
        wyrm, kernel = tunnel.wyrm_state(), tunnel.kernel_state()
        return (wyrm["tx"], wyrm["rx"]) == (kernel["rx"], kernel["tx"]) and wyrm["tx"] > 0 and wyrm["rx"] > 0

    same = tunnel.await_(transfers, 10)
    wyrm, kernel = tunnel.wyrm_state(), tunnel.kernel_state()
    tests.check(same, f"{what}: both count the same bytes: wyrm {wyrm}, kernel {kernel}")
    apart = kernel["handshake"] - wyrm["handshake"] - tunnel.world.clocks_differ()
    tests.check(wyrm["handshake"] > 0 and abs(apart) <= 5, f"{what}: latest handshakes are {apart} s apart")


def handshakes(world, tests):
    for outer, name in ((OUTER4, "outer IPv4"), (OUTER6, "outer IPv6")):
        for psk in (None, genpsk()):
            for wyrm_initiates in (True, False):
                what = f"{name}, {'PSK' if psk else 'no PSK'}, {'we' if wyrm_initiates else 'they'} initiate"
                tunnel = Tunnel(world, outer, psk, wyrm_initiates)
                first, second = (tunnel.from_here, tunnel.from_guest) if wyrm_initiates else (
                    tunnel.from_guest, tunnel.from_here)
                far = 1 if wyrm_initiates else 0
                tests.equal(first(tunnel.inner4[far], 3), 3, f"{what}: ping")
                tests.equal(first(tunnel.inner6[far], 2), 2, f"{what}: ping inner IPv6")
                tests.equal(second(tunnel.inner4[1 - far], 2), 2, f"{what}: ping back")
                agree(tests, tunnel, what)
                # The learned endpoint allows the other role as well: both roles in one tunnel.
                before = tunnel.wyrm_state()["handshake"]
                time.sleep(1.1)
                if wyrm_initiates:
                    tunnel.to_wyrm["endpoint"] = tunnel.endpoint(0)
                    tunnel.kernel.renew(tunnel.to_wyrm)
                    tests.equal(tunnel.from_guest(count=3), 3, f"{what}: ping after their new handshake")
                else:
                    tunnel.to_kernel["endpoint"] = tunnel.endpoint(1)
                    tunnel.renew_here()
                    tests.equal(tunnel.from_here(count=3), 3, f"{what}: ping after our new handshake")
                tests.check(tunnel.wyrm_state()["handshake"] > before, f"{what}: there was a new handshake")
                tunnel.finish(tests, what)


def wrong_psk(world, tests):
    tunnel = Tunnel(world, psk=genpsk())
    tunnel.to_wyrm["psk"] = genpsk()
    tunnel.kernel.setconf([tunnel.to_wyrm])
    tests.equal(tunnel.from_here(count=2), 0, "a different PSK on the other side lets nothing through")
    tests.equal(tunnel.wyrm_state()["handshake"], 0, "and completes no handshake")
    tests.check(tunnel.kernel_state()["rx"] > 0, "though the initiation arrived")
    tunnel.finish(tests, "wrong PSK")


# ---- cookies ----
def under_load(world, tests, tunnel, who, initiator, flood_at, provoke, renew):
    """`who` is under load; the other side, at address `initiator`, has to complete a handshake with a cookie."""
    keys = [wgpeer.base64.b64decode(peer.public) for peer in (tunnel.wyrm, tunnel.kernel)]
    if initiator == OUTER4[1]:
        keys.reverse()
    victim = tunnel.kernel if initiator == OUTER4[0] else tunnel.wyrm
    capture = world.capture(f"udp port {tunnel.port} and host {OUTER4[0]} and host {OUTER4[1]}")
    load = HandshakeLoad(world.lab, world.here, world.attack, ATTACK4[1], f"{flood_at}:{tunnel.port}", victim.public)

    def begin():
        renew()
        provoke()

    stopped = victim.process if victim is tunnel.wyrm else None  # the other is a machine, with its network
    reached, total = cookie_under_load(who, load, capture, initiator, keys, begin, stopped)
    tests.equal(reached, "yes", f"{who} under load: a handshake with a cookie")
    tests.equal(total["responses"], 0, f"{who} under load: answered no stranger")
    tests.check(total["cookies"] > 0, f"{who} under load: strangers were given cookies")
    recovered = tunnel.await_(lambda: tunnel.from_here(count=2) == 2 and tunnel.from_guest(count=2) == 2, 30)
    tests.check(recovered, f"{who} under load: the tunnel works afterwards")
    tunnel.finish(tests, f"{who} under load")


def kernel_under_load(world, tests):
    tunnel = Tunnel(world)

    def provoke():
        tunnel.from_here(count=1, interval=0.2)

    under_load(world, tests, tunnel, "kernel", OUTER4[0], OUTER4[1], provoke, tunnel.renew_here)


def wyrm_under_load(world, tests):
    """In fast mode: see BURSTS_STOPPED."""
    tunnel = Tunnel(world, wyrm_initiates=False, verify=False)

    def provoke():
        tunnel.guest.check(f"ping -c 1 -W 1 {tunnel.inner4[0]} >/dev/null 2>&1 &")

    under_load(world, tests, tunnel, "wyrm", OUTER4[1], ATTACK4[0], provoke,
               lambda: tunnel.kernel.renew(tunnel.to_wyrm))


# ---- endpoints ----
def roaming(world, tests):
    guest = world.guest
    for outer, moved, length in ROAMING:
        what = "roaming over " + ("IPv6" if ":" in outer[0] else "IPv4")
        guest.address_here("add", f"{outer[0]}/{length}")
        guest.check(f"ip address add {outer[1]}/{length} dev eth0")
        tunnel = Tunnel(world, outer, genpsk())
        tests.equal(tunnel.from_here(count=3), 3, f"{what}: at first")

        guest.check(f"ip address add {moved[1]}/{length} dev eth0 && ip address del {outer[1]}/{length} dev eth0")
        tunnel.from_guest(count=2)
        tests.equal(tunnel.wyrm_state()["endpoint"], tunnel.endpoint(1, moved[1]), f"{what}: we follow their address")
        tests.equal(tunnel.from_here(count=3), 3, f"{what}: ping to their new address")

        tunnel.kernel.wg("set", "listen-port", str(tunnel.port + 1000))
        tunnel.from_guest(count=2)
        tests.equal(tunnel.wyrm_state()["endpoint"], tunnel.endpoint(1, moved[1], tunnel.port + 1000),
                    f"{what}: we follow their port")
        tests.equal(tunnel.from_here(count=3), 3, f"{what}: ping to their new port")

        guest.address_here("add", f"{moved[0]}/{length}")
        guest.address_here("del", f"{outer[0]}/{length}")
        tunnel.from_here(count=3)
        tests.equal(tunnel.kernel_state()["endpoint"], tunnel.endpoint(0, moved[0]), f"{what}: they follow our address")
        tests.equal(tunnel.from_guest(count=3), 3, f"{what}: ping to our new address")

        tunnel.wyrm.wg("set", "listen-port", str(tunnel.port + 2000))
        tunnel.from_here(count=2)
        tests.equal(tunnel.kernel_state()["endpoint"], tunnel.endpoint(0, moved[0], tunnel.port + 2000),
                    f"{what}: they follow our port")
        tests.equal(tunnel.from_guest(count=3), 3, f"{what}: ping to our new port")

        tunnel.finish(tests, what)
        guest.address_here("del", f"{moved[0]}/{length}")
        guest.check(f"ip address del {moved[1]}/{length} dev eth0")


# ---- keepalives ----
def growth(state, before):
    return state["rx"] - before["rx"], state["tx"] - before["tx"]


def keepalives(world, tests):
    """Persistent ones, which also begin the handshake; and the answer to data that nothing else answers."""
    for name, intervals, receiver in (("theirs", (None, 1), Tunnel.wyrm_state), ("ours", (1, None), Tunnel.kernel_state)):
        what = f"persistent keepalive, {name}"
        tunnel = Tunnel(world, wyrm_initiates=name == "ours", keepalives=intervals)
        tests.check(tunnel.await_(lambda: tunnel.wyrm_state()["handshake"] and tunnel.kernel_state()["handshake"], 20),
                    f"{what}: makes a handshake without data")
        before = receiver(tunnel)
        tests.check(tunnel.await_(lambda: growth(receiver(tunnel), before)[0] >= 3 * KEEPALIVE_BYTES, 20), f"{what}: come")
        received, sent = growth(receiver(tunnel), before)
        tests.check(received % KEEPALIVE_BYTES == 0 and sent == 0, f"{what}: are empty and not answered: +{received}, -{sent}")
        tunnel.finish(tests, what)

    tunnels = [Tunnel(world), Tunnel(world)]
    for tunnel in tunnels:
        tests.equal(tunnel.from_here(count=2), 2, "passive keepalive: tunnel")
        tests.equal(tunnel.from_guest(count=2), 2, "passive keepalive: tunnel back")
    time.sleep(PASSIVE_KEEPALIVE + 3)  # what the pings still made is over
    ours, theirs = tunnels
    before = [(tunnel.wyrm_state(), tunnel.kernel_state()) for tunnel in tunnels]
    world.answer_echoes(False)
    ours.from_here(count=1)
    theirs.from_guest(count=1)
    for tunnel, at, sender, receiver, what in (
            (ours, before[0], (0, Tunnel.wyrm_state), (1, Tunnel.kernel_state), "ours"),
            (theirs, before[1], (1, Tunnel.kernel_state), (0, Tunnel.wyrm_state), "theirs")):
        data = sender[1](tunnel)["tx"] - at[sender[0]]["tx"]
        tests.check(data > KEEPALIVE_BYTES, f"passive keepalive: {what} was sent: {data} bytes")
        arrived = tunnel.await_(lambda: growth(receiver[1](tunnel), at[receiver[0]])[0] == data, 10)
        tests.check(arrived, f"passive keepalive: {what} arrived")
        tunnel.await_(lambda: growth(sender[1](tunnel), at[sender[0]])[0] > 0, PASSIVE_KEEPALIVE + 15)
        state = sender[1](tunnel)
        tests.equal(growth(state, at[sender[0]])[0], KEEPALIVE_BYTES, f"passive keepalive: {what} gets one")
        tests.equal(state["handshake"], at[sender[0]]["handshake"], f"passive keepalive: {what} needs no handshake")
    world.answer_echoes(True)
    for tunnel in tunnels:
        tunnel.finish(tests, "passive keepalive")


# ---- data ----
def sizes(world, tests):
    for outer in (OUTER4, OUTER6):
        what = "outer IPv6" if outer is OUTER6 else "outer IPv4"
        tunnel = Tunnel(world, outer)
        tests.equal(tunnel.from_here(count=1), 1, f"{what}: tunnel")
        # Around multiples of the padding, the largest packet that fits, one more, and many fragments.
        for size in (0, 1, 4, 5, 1000, 1391, 1392, 1393, 3000, 8000):
            tests.equal(tunnel.from_here(count=2, size=size), 2, f"{what}: {size} bytes to the kernel")
            if outer is OUTER4 or size > 1000:
                tests.equal(tunnel.from_guest(count=2, size=size), 2, f"{what}: {size} bytes from the kernel")
        for size in (1372, 1373, 3000):
            tests.equal(tunnel.from_here(tunnel.inner6[1], 2, size=size), 2, f"{what}: {size} bytes over inner IPv6")
        whole = world.lab.command(["ping", "-n", "-c", "2", "-i", "0.3", "-W", "3", "-M", "do", "-s", "1392",
                                   tunnel.inner4[1]], world.here, check=False)
        tests.check(" 2 received" in whole.stdout, f"{what}: 1420 bytes in one piece: {whole.stdout[-200:]}")
        agree(tests, tunnel, f"{what}: after all sizes")
        tunnel.finish(tests, f"sizes, {what}")


def tcp(world, tests):
    tunnel = Tunnel(world)
    guest = world.guest
    for family, inner in (("IPv4", tunnel.inner4), ("IPv6", tunnel.inner6)):
        data = os.urandom(TRANSFER_BYTES)
        guest.check("rm -f /tmp/in; nc -l -p 5000 >/tmp/in 2>/dev/null </dev/null & sleep 1")
        with inside(world.here), socket.create_connection((inner[1], 5000), 30) as connection:
            connection.settimeout(60)
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
        arrived = tunnel.await_(lambda: guest.check("sha256sum </tmp/in").split()[0] == hashlib.sha256(data).hexdigest(), 20)
        tests.check(arrived, f"TCP {family}: {TRANSFER_BYTES} bytes to the kernel")

        with inside(world.here):
            listener = socket.create_server((inner[0], 5001), family=socket.AF_INET6 if ":" in inner[0] else socket.AF_INET)
        listener.settimeout(30)
        digest = guest.check(f"head -c {TRANSFER_BYTES} /dev/urandom >/tmp/out; sha256sum </tmp/out").split()[0]
        guest.check(f"nc {inner[0]} 5001 </tmp/out >/dev/null 2>&1 &")
        connection, _ = listener.accept()
        connection.settimeout(60)
        received = hashlib.sha256()
        while part := connection.recv(65536):
            received.update(part)
        connection.close()
        listener.close()
        tests.equal(received.hexdigest(), digest, f"TCP {family}: {TRANSFER_BYTES} bytes from the kernel")
    tunnel.finish(tests, "TCP")


def allowed_ips(world, tests):
    tunnel = Tunnel(world)
    guest, name = world.guest, tunnel.kernel.name
    prefix = tunnel.inner4[0].rsplit(".", 1)[0]
    theirs, ours = f"{prefix}.99", f"{prefix}.98"
    tests.equal(tunnel.from_here(count=2), 2, "allowed IPs: tunnel")
    guest.check(f"ip address add {theirs}/32 dev {name}")
    world.lab.command(["ip", "address", "add", f"{ours}/32", "dev", tunnel.wyrm.name], world.here)

    def indicated():
        return {socket.inet_ntoa(packet[12:16]) for packet in sniffer.packets(0.5) if packet[0] >> 4 == 4}

    def spoof_from_guest():
        return guest.check(f"ping -c 2 -i 0.3 -W 2 -I {theirs} {tunnel.inner4[0]} || true").count("bytes from")

    def spoof_from_here():
        return world.lab.command(["ping", "-n", "-c", "2", "-i", "0.3", "-W", "2", "-I", ours, tunnel.inner4[1]], world.here,
                                 check=False).stdout.count("bytes from")

    def guest_errors():
        return int(guest.check(f"cat /sys/class/net/{name}/statistics/rx_errors"))

    sniffer = Sniffer(world.here, tunnel.wyrm.name)
    before = tunnel.wyrm_state()["rx"]
    tests.equal(spoof_from_guest(), 0, "allowed IPs: their other source is not answered")
    tests.check(tunnel.wyrm_state()["rx"] - before >= 2 * 112, "allowed IPs: though it arrived")
    tests.check(theirs not in indicated(), "allowed IPs: nor indicated")
    tunnel.wyrm.wg("set", "peer", tunnel.kernel.public, "allowed-ips", f"{tunnel.inner4[1]}/32,{theirs}/32")
    tests.equal(spoof_from_guest(), 2, "allowed IPs: it is once it is allowed")
    tests.check(theirs in indicated(), "allowed IPs: and indicated")
    sniffer.close()

    errors = guest_errors()
    tests.equal(spoof_from_here(), 0, "allowed IPs: our other source is not answered")
    tests.check(guest_errors() >= errors + 2, "allowed IPs: they count it as an error")
    tunnel.kernel.wg("set", "peer", tunnel.wyrm.public, "allowed-ips", f"{tunnel.inner4[0]}/32,{ours}/32")
    guest.check(f"ip route replace {ours}/32 dev {name}")
    tests.equal(spoof_from_here(), 2, "allowed IPs: it is once they allow it")
    tunnel.finish(tests, "allowed IPs")


# ---- what takes minutes ----
def rekey(world, tests):
    """The initiator replaces a session after 120 s when it sends; no ping is lost by it."""
    theirs, ours = Tunnel(world, OUTER4, genpsk(), wyrm_initiates=False), Tunnel(world, OUTER6)
    began = time.monotonic()
    tests.equal(theirs.from_guest(count=2), 2, "rekey: theirs at first")
    tests.equal(ours.from_here(count=2), 2, "rekey: ours at first")
    first = [(tunnel.wyrm_state()["handshake"], tunnel.kernel_state()["handshake"]) for tunnel in (theirs, ours)]
    # (Over IPv6: the keepalives scenario silences IPv4 echoes for a while.)
    pid = world.guest.check(f"ping -i 1 {theirs.inner6[0]} >/tmp/rekey 2>&1 & echo $!").strip()
    pinging = world.lab.start(["ping", "-n", "-i", "1", ours.inner6[1]], world.here)
    yield
    def renewed(tunnel, at):
        return tunnel.wyrm_state()["handshake"] > at[0] and tunnel.kernel_state()["handshake"] > at[1]

    time.sleep(max(0.0, began + REKEY_AFTER - time.monotonic()))
    for tunnel, at, what in ((theirs, first[0], "theirs"), (ours, first[1], "ours")):
        tests.check(tunnel.await_(lambda: renewed(tunnel, at), 40), f"rekey: {what} was renewed on both sides")
        state = tunnel.wyrm_state()
        tests.check(state["handshake"] - at[0] >= REKEY_AFTER - 2, f"rekey: {what} after {state['handshake'] - at[0]} s")
    time.sleep(3)
    logs = [world.guest.check(f"kill -INT {pid}; sleep 1; tail -n 3 /tmp/rekey")]
    world.lab.stop(pinging, signal.SIGINT)
    logs.append(world.lab.output_of(pinging)[-300:])
    for tunnel, log, what in ((theirs, logs[0], "theirs"), (ours, logs[1], "ours")):
        figures = re.search(r"(\d+) packets transmitted, (\d+) (?:packets )?received", log)
        sent, received = (int(figures.group(1)), int(figures.group(2))) if figures else (0, 0)
        # The last one may be on its way.
        tests.check(sent > REKEY_AFTER / 2 and received >= sent - 1, f"rekey: {what}: {received} of {sent} pings answered")
        tunnel.finish(tests, f"rekey, {what}")


def idle(world, tests):
    """A session is not used after 180 s: what comes then makes a new one, in both directions."""
    theirs, ours = Tunnel(world, wyrm_initiates=False), Tunnel(world)
    tests.equal(theirs.from_guest(count=2), 2, "idle: theirs at first")
    tests.equal(ours.from_here(count=2), 2, "idle: ours at first")
    began = time.monotonic()
    first = [tunnel.wyrm_state()["handshake"] for tunnel in (theirs, ours)]
    yield
    time.sleep(max(0.0, began + REJECT_AFTER + 4 - time.monotonic()))
    for tunnel, at, what in ((theirs, first[0], "theirs"), (ours, first[1], "ours")):
        tests.equal(tunnel.wyrm_state()["handshake"], at, f"idle: {what}: nothing was renewed without data")
        # Who was the responder begins this time.
        answered = tunnel.from_here(count=3) if tunnel is theirs else tunnel.from_guest(count=3)
        tests.equal(answered, 3, f"idle: {what}: ping")
        tests.check(tunnel.wyrm_state()["handshake"] - at >= REJECT_AFTER, f"idle: {what}: by a new handshake")
        agree(tests, tunnel, f"idle, {what}")
        tunnel.finish(tests, f"idle, {what}")


# Floods first, so that they disturb nothing else; then what goes on beside the others.
SCENARIOS = {"kernel-under-load": kernel_under_load, "wyrm-under-load": wyrm_under_load, "idle": idle, "rekey": rekey,
             "handshakes": handshakes, "wrong-psk": wrong_psk, "roaming": roaming, "keepalives": keepalives,
             "sizes": sizes, "tcp": tcp, "allowed-ips": allowed_ips}


class Failures:
    """What scenarios may throw becomes a failed check; only the loss of the guest ends the suite."""

    def __init__(self, world, tests, name):
        self.world, self.tests, self.name = world, tests, name

    def __enter__(self):
        print(f"-- {self.name}", flush=True)
        self.began = time.monotonic()

    def __exit__(self, kind, error, _):
        print(f"   {time.monotonic() - self.began:.1f} s", flush=True)
        if isinstance(error, (LabError, OSError, wgpeer.ProtocolError)):
            self.tests.check(False, f"{self.name}: {error!r}")
            return self.world.guest.alive()
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    options = parser.parse_args()
    unknown = [name for name in options.scenarios if name not in SCENARIOS]
    if unknown:
        parser.error(f"unknown scenario {unknown[0]} (there are {', '.join(SCENARIOS)})")
    tests = Tests()
    try:
        require(NTHOST, DRIVER, PROGRAM, QEMU, "busybox", "tcpdump", "setpriv", "apt-get")
        world = World()
        print(f"   Linux {world.guest.version} booted in {world.guest.boot_seconds:.0f} s", flush=True)
        beside = []
        for name in options.scenarios or SCENARIOS:
            with Failures(world, tests, name):
                if inspect.isgeneratorfunction(SCENARIOS[name]):
                    going = SCENARIOS[name](world, tests)
                    next(going)
                    beside.append((name, going))
                else:
                    SCENARIOS[name](world, tests)
        for name, going in reversed(beside):  # the one with the shortest wait was begun last
            with Failures(world, tests, f"{name}, its end"):
                next(going, None)
        tests.check(world.guest.alive(), "the guest is there at the end")
        world.guest.stop()
    except LabError as error:
        tests.check(False, str(error))
    return tests.finish()


if __name__ == "__main__":
    sys.exit(main())
