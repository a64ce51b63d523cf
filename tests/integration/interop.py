#!/usr/bin/python3
"""The driver, in verify mode, or the user-space engine, against wireguard-go: families inside and outside, PSK, both roles,
roaming, ports, up and down, TCP, many peers under load; and afterwards nothing is left."""

import base64
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from cookie_exchange import Capture, cookie_under_load  # noqa: E402
from handshake_load import PROGRAM, HandshakeLoad  # noqa: E402
from netlab import DRIVER, ENGINE, NTHOST, IperfServer, Lab, Peer, genkey, genpsk, ping  # noqa: E402
from nthost_control import STATE_DOWN, STATE_UP, Control  # noqa: E402
from scenarios import run_scenarios  # noqa: E402

OUTER4, OUTER6 = ("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")
INNER4, INNER6 = ("10.66.0.1", "10.66.0.2"), ("fd66::1", "fd66::2")
MODES = {"verify": ["--verify"], "fast": []}


class Tunnel:
    """Wyrm in `here`, the other in `there`; `outer` addresses of both sides."""

    def __init__(self, options, outer=OUTER4, psk=None, wyrm_initiates=True, keepalive=None):
        self.lab = Lab()
        self.here, self.there = self.lab.namespace("here"), self.lab.namespace("there")
        lengths = ("/64", "/64") if ":" in outer[0] else ("/24", "/24")
        self.veth = self.lab.link(self.here, self.there, [outer[0] + lengths[0]], [outer[1] + lengths[1]])
        self.outer = outer
        self.wyrm = Peer(self.lab, self.here, options.subject, "a", [INNER4[0] + "/24", INNER6[0] + "/64"],
                         options=MODES[options.mode])
        self.other = Peer(self.lab, self.there, options.peer, "b", [INNER4[1] + "/24", INNER6[1] + "/64"])
        self.to_other = {"public": self.other.public, "allowed": [INNER4[1] + "/32", INNER6[1] + "/128"], "psk": psk}
        self.to_wyrm = {"public": self.wyrm.public, "allowed": [INNER4[0] + "/32", INNER6[0] + "/128"], "psk": psk}
        if wyrm_initiates:
            self.to_other["endpoint"] = self.endpoint(1)
        else:
            self.to_wyrm["endpoint"] = self.endpoint(0)
        self.other.setconf([self.to_wyrm])
        self.wyrm.setconf([self.to_other])

    def endpoint(self, side, address=None, port=51820):
        address = address or self.outer[side]
        return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

    def finish(self, tests, what):
        """Ends the subject: of the driver, status 0 means that no report was made and that nothing is left."""
        status = self.wyrm.stop()
        tests.check(status == 0, f"{what}: {self.wyrm.kind} ended with {status}:\n{self.lab.output_of(self.wyrm.process)[-3000:]}")
        self.lab.close()


def families(options, tests):
    for outer, name in ((OUTER4, "outer IPv4"), (OUTER6, "outer IPv6")):
        for psk in (None, genpsk()):
            for wyrm_initiates in (True, False):
                what = f"{name}, {'PSK' if psk else 'no PSK'}, {'we' if wyrm_initiates else 'they'} initiate"
                tunnel = Tunnel(options, outer, psk, wyrm_initiates)
                starter, targets = (tunnel.here, (INNER4[1], INNER6[1])) if wyrm_initiates else (
                    tunnel.there, (INNER4[0], INNER6[0]))
                for target in targets:
                    result = ping(tunnel.lab, starter, target, 10, 0.1)
                    tests.check(result["received"] == 10, f"{what}: ping {target}: {result['received']} of 10")
                back = ping(tunnel.lab, tunnel.there if wyrm_initiates else tunnel.here, INNER4[0 if wyrm_initiates else 1],
                            5, 0.1)
                tests.check(back["received"] == 5, f"{what}: back: {back['received']} of 5")
                for size in (1, 1000, 1392, 3000):  # below, above and far above the tunnel's MTU
                    result = ping(tunnel.lab, starter, targets[0], 2, 0.2, size)
                    tests.check(result["received"] == 2, f"{what}: {size} bytes: {result['received']} of 2")
                state = tunnel.wyrm.dump()[tunnel.other.public]
                tests.check(state["handshake"] > 0, f"{what}: handshake time is shown")
                tests.check(state["rx"] > 0 and state["tx"] > 0, f"{what}: transfer is counted: {state}")
                tunnel.finish(tests, what)


def wrong_psk(options, tests):
    tunnel = Tunnel(options, psk=genpsk())
    tunnel.to_wyrm["psk"] = genpsk()
    tunnel.other.setconf([tunnel.to_wyrm])
    result = ping(tunnel.lab, tunnel.here, INNER4[1], 2, 0.2)
    tests.equal(result["received"], 0, "a different PSK on the other side lets nothing through")
    tests.equal(tunnel.wyrm.dump()[tunnel.other.public]["handshake"], 0, "and completes no handshake")
    tunnel.finish(tests, "wrong PSK")


def roaming(options, tests):
    for outer, moved, length in ((OUTER4, ("192.0.2.11", "192.0.2.12"), 24), (OUTER6, ("2001:db8::11", "2001:db8::12"), 64)):
        what = "roaming over " + ("IPv6" if ":" in outer[0] else "IPv4")
        extra = ["nodad"] if ":" in outer[0] else []
        tunnel = Tunnel(options, outer)
        lab = tunnel.lab
        ping(lab, tunnel.here, INNER4[1], 3, 0.05, check=True)

        # Their address changes: what they send teaches us.
        lab.command(["ip", "address", "add", f"{moved[1]}/{length}", "dev", tunnel.veth[1]] + extra, tunnel.there)
        lab.command(["ip", "address", "del", f"{outer[1]}/{length}", "dev", tunnel.veth[1]], tunnel.there)
        if ":" in outer[0]:
            # Removing the last address of a link's prefix drops routes a moment later.
            time.sleep(0.2)
        # (It keeps the address it used to send from until it is told our endpoint again.)
        tunnel.other.wg("set", "peer", tunnel.wyrm.public, "endpoint", tunnel.endpoint(0))
        ping(lab, tunnel.there, INNER4[0], 3, 0.05)
        tests.equal(tunnel.wyrm.dump()[tunnel.other.public]["endpoint"], tunnel.endpoint(1, moved[1]),
                    f"{what}: their new address")
        tests.equal(ping(lab, tunnel.here, INNER4[1], 5, 0.1)["received"], 5, f"{what}: ping to their new address")

        # Their port changes.
        tunnel.other.wg("set", "listen-port", "51999")
        ping(lab, tunnel.there, INNER4[0], 3, 0.05)
        tests.equal(tunnel.wyrm.dump()[tunnel.other.public]["endpoint"], tunnel.endpoint(1, moved[1], 51999),
                    f"{what}: their new port")
        tests.equal(ping(lab, tunnel.here, INNER4[1], 5, 0.1)["received"], 5, f"{what}: ping to their new port")

        # Our address changes: the source that we used before is gone.
        lab.command(["ip", "address", "add", f"{moved[0]}/{length}", "dev", tunnel.veth[0]] + extra, tunnel.here)
        lab.command(["ip", "address", "del", f"{outer[0]}/{length}", "dev", tunnel.veth[0]], tunnel.here)
        time.sleep(0.3)
        ping(lab, tunnel.here, INNER4[1], 3, 0.2)
        tests.equal(tunnel.other.dump()[tunnel.wyrm.public]["endpoint"], tunnel.endpoint(0, moved[0]),
                    f"{what}: our new address")
        tests.equal(ping(lab, tunnel.here, INNER4[1], 5, 0.1)["received"], 5, f"{what}: ping from our new address")
        tunnel.finish(tests, what)


def listen_port(options, tests):
    tunnel = Tunnel(options)
    lab = tunnel.lab
    ping(lab, tunnel.here, INNER4[1], 3, 0.05, check=True)
    tunnel.wyrm.wg("set", "listen-port", "51900")
    tests.equal(ping(lab, tunnel.here, INNER4[1], 5, 0.1)["received"], 5, "listen port changed: ping")
    tests.equal(tunnel.other.dump()[tunnel.wyrm.public]["endpoint"], tunnel.endpoint(0, port=51900), "they follow our port")
    tests.equal(tunnel.wyrm.wg("show", "listen-port").stdout.strip(), "51900", "wg show listen-port")
    # A port that somebody else has is refused and the tunnel goes on.
    blocker = lab.start(["/usr/bin/python3", "-c",
                         "import socket,time; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.bind(('',51901)); "
                         "print('bound',flush=True); time.sleep(60)"], tunnel.here)
    lab.wait_for(lambda: "bound" in lab.output_of(blocker), "blocker", 5, blocker)
    refused = tunnel.wyrm.wg("set", "listen-port", "51901", check=False)
    tests.check(refused.returncode != 0, "a port in use is refused")
    tests.check("in use" in refused.stderr.lower() or "exist" in refused.stderr.lower(), f"clearly: {refused.stderr.strip()}")
    tests.equal(tunnel.wyrm.wg("show", "listen-port").stdout.strip(), "51900", "the old port stays")
    tests.equal(ping(lab, tunnel.here, INNER4[1], 5, 0.1)["received"], 5, "and so does the tunnel")
    tunnel.finish(tests, "listen port")


def down_up(options, tests):
    tunnel = Tunnel(options)
    lab = tunnel.lab
    ping(lab, tunnel.here, INNER4[1], 3, 0.05, check=True)
    with Control(tunnel.wyrm.name) as control, control.open() as file:
        tests.equal(file.state(STATE_DOWN), 0, "down")
        tests.equal(file.state(STATE_DOWN), 0xFF, "down again says that it is")
        tests.equal(ping(lab, tunnel.here, INNER4[1], 2, 0.1)["received"], 0, "nothing flows while down")
        tests.equal(file.state(STATE_UP), 0, "up")
        tests.equal(file.state(STATE_UP), 0xFF, "up again says that it is")
        result = ping(lab, tunnel.here, INNER4[1], 5, 0.2)
        tests.check(result["received"] >= 4, f"flows again: {result['received']} of 5")
        # Pause and restart keep the session: no new handshake.
        before = tunnel.wyrm.dump()[tunnel.other.public]["handshake"]
        control.pause()
        tests.equal(ping(lab, tunnel.here, INNER4[1], 1, 0.1)["received"], 0, "nothing flows while paused")
        control.restart()
        tests.equal(ping(lab, tunnel.here, INNER4[1], 5, 0.1)["received"], 5, "flows after restart")
        tests.equal(tunnel.wyrm.dump()[tunnel.other.public]["handshake"], before, "on the same session")
    tunnel.finish(tests, "down and up")


def link_down_up(options, tests):
    """The same by the system's own means, which is all that the engine follows."""
    tunnel = Tunnel(options)
    lab = tunnel.lab
    ping(lab, tunnel.here, INNER4[1], 3, 0.05, check=True)
    port = tunnel.wyrm.wg("show", "listen-port").stdout
    for _ in range(2):
        before = tunnel.wyrm.dump()[tunnel.other.public]
        lab.command(["ip", "link", "set", tunnel.wyrm.name, "down"], tunnel.here)
        tests.equal(ping(lab, tunnel.there, INNER4[0], 2, 0.1)["received"], 0, "nothing is answered while down")
        tests.equal(tunnel.wyrm.dump()[tunnel.other.public]["rx"], before["rx"], "nor counted")
        lab.command(["ip", "link", "set", tunnel.wyrm.name, "up"], tunnel.here)
        # Linux takes an interface's IPv6 addresses away when it goes down.
        lab.command(["ip", "address", "replace", INNER6[0] + "/64", "dev", tunnel.wyrm.name, "nodad"], tunnel.here)
        lab.command(["ip", "route", "replace", INNER6[1] + "/128", "dev", tunnel.wyrm.name], tunnel.here)
        for target in (INNER4[1], INNER6[1]):
            result = ping(lab, tunnel.here, target, 5, 0.2)
            tests.check(result["received"] >= 4, f"flows again to {target}: {result['received']} of 5")
        tests.equal(tunnel.wyrm.wg("show", "listen-port").stdout, port, "on the same port")
    tunnel.finish(tests, "link down and up")


def tcp(options, tests):
    """TCP in super-segments in both directions and families arrives whole: what was sent is what came."""
    tunnel = Tunnel(options)
    for port, address in ((5201, INNER4[1]), (5202, INNER6[1])):
        server = IperfServer(tunnel.lab, tunnel.there, address, port)
        for reverse in (False, True):
            result = server.run(tunnel.here, 2, reverse=reverse, streams=2)["end"]
            received = result["sum_received"]["bytes"]
            tests.check(received > 1 << 20, f"TCP to {address}, {'back' if reverse else 'there'}: {received} bytes")
        tunnel.lab.stop(server.process)
    tunnel.finish(tests, "TCP")


def interface_deleted(options, tests):
    """An engine whose interface is deleted ends, and takes its socket along."""
    tunnel = Tunnel(options)
    tunnel.lab.command(["ip", "link", "delete", tunnel.wyrm.name], tunnel.here)
    tests.equal(tunnel.wyrm.process.wait(20), 0, "it ends by itself")
    tests.check(not os.path.exists(tunnel.wyrm.socket), "its socket is gone")
    tunnel.lab.close()


def program(options, tests):
    """The engine's command line: help, refusals with their reasons, the background."""
    lab = Lab()
    space = lab.namespace("here")
    name = f"w{lab.id}p"

    def run(*arguments):
        return lab.command([ENGINE] + list(arguments), space, check=False, timeout=30)

    told = run("--help")
    tests.check(told.returncode == 0 and "usage: wyrm-engine" in told.stdout and not told.stderr, "--help")
    tests.check(run("--version").stdout.startswith("wyrm-engine "), "--version")
    for arguments, reason in (((), "name of the interface is missing"), ((name, name), "one interface"),
                              (("a/b",), "cannot be an interface's name"), (("x" * 16,), "1 to 15 bytes"), (("",), "cannot be"), (("--nonsense", name), "--help")):
        refused = run(*arguments)
        tests.check(refused.returncode == 2 and reason in refused.stderr, f"{arguments}: {refused.returncode}, {refused.stderr}")
    tests.equal(run(name).returncode, 0, "in the background")
    tests.equal(lab.command(["wg", "show", name, "listen-port"], space).stdout.strip(), "0", "it serves, and is down")
    again = run(name)
    tests.check(again.returncode == 1 and "another program already serves" in again.stderr, f"the same name again: {again.stderr}")
    other = lab.namespace("other")
    again = lab.command([ENGINE, name], other, check=False)
    tests.check(again.returncode == 1 and "is served by another process" in again.stderr, f"in another namespace: {again.stderr}")
    tests.check(lab.command(["ip", "link", "show", name], other, check=False).returncode != 0, "which leaves no interface behind")
    weak = lab.command(["setpriv", "--reuid", "65534", "--clear-groups", ENGINE, "-f", name + "x"], other, check=False)
    tests.check(weak.returncode == 1 and "root" in weak.stderr, f"without rights: {weak.stderr}")
    lab.command(["ip", "link", "delete", name], space)
    lab.wait_for(lambda: not os.path.exists(f"/var/run/wireguard/{name}.sock"), "the end of the engine", 20)
    lab.close()


def many_peers(options, tests):
    tunnel = Tunnel(options)
    lab = tunnel.lab
    ping(lab, tunnel.here, INNER4[1], 3, 0.05, check=True)
    server = IperfServer(lab, tunnel.there, INNER4[1])
    client = lab.start(["iperf3", "-c", INNER4[1], "-t", "8"], tunnel.here, "iperf-load.log")
    keys = [genkey()[1] for _ in range(300)]
    extra = [{"public": key, "allowed": [f"10.77.{index // 250}.{index % 250 + 1}/32"]} for index, key in enumerate(keys)]

    def peers_shown():
        return len(tunnel.wyrm.dump())

    base = {**tunnel.to_other}
    for _ in range(2):
        tunnel.wyrm.lab.command(["wg", "syncconf", tunnel.wyrm.name, "/dev/stdin"], tunnel.here,
                                tunnel.wyrm.configuration([base] + extra))
        tests.equal(peers_shown(), 301, "300 peers added by syncconf under load")
        tunnel.wyrm.lab.command(["wg", "syncconf", tunnel.wyrm.name, "/dev/stdin"], tunnel.here,
                                tunnel.wyrm.configuration([base]))
        tests.equal(peers_shown(), 1, "and removed again")
    client.wait(60)
    text = lab.output_of(client)
    rate = re.findall(r"([0-9.]+) ([KMG])bits/sec\s+receiver", text)
    tests.check(client.returncode == 0 and rate and float(rate[0][0]) > 0, f"the load went on: {rate or text[-300:]}")
    lab.stop(server.process)
    tunnel.finish(tests, "300 peers")


def rekey(options, tests):
    tunnel = Tunnel(options)
    lab = tunnel.lab
    ping(lab, tunnel.here, INNER4[1], 1, 0.2)
    first = tunnel.wyrm.dump()[tunnel.other.public]["handshake"]
    result = ping(lab, tunnel.here, INNER4[1], 420, 0.3, deadline=200)
    tests.equal((result["sent"], result["received"]), (420, 420), "420 pings over a rekey")
    second = tunnel.wyrm.dump()[tunnel.other.public]["handshake"]
    tests.check(second - first >= 100, f"a new handshake came after {second - first} s")
    tunnel.finish(tests, "rekey")


def under_load(options, tests, wyrm_initiates):
    """One side is under load by strangers: the other is given a cookie, and connects with it."""
    tunnel = Tunnel(options, wyrm_initiates=wyrm_initiates)
    lab, side = tunnel.lab, 0 if wyrm_initiates else 1
    initiator, victim = (tunnel.wyrm, tunnel.other) if wyrm_initiates else (tunnel.other, tunnel.wyrm)
    responder = ("Wyrm", "wireguard-go")[1 - side] if options.peer != "wyrm" else "Wyrm"
    who = f"{responder} under load"
    section = dict(tunnel.to_other if wyrm_initiates else tunnel.to_wyrm, endpoint=tunnel.endpoint(1 - side))
    capture = Capture(lab, tunnel.here, tunnel.veth[0], "udp port 51820 and host " + " and host ".join(OUTER4))
    namespaces = (tunnel.there, tunnel.here) if side else (tunnel.here, tunnel.there)
    load = HandshakeLoad(lab, namespaces[1], namespaces[0], OUTER4[side], tunnel.endpoint(1 - side), victim.public)

    def begin():
        """A peer that is set anew has no session: the ping needs a handshake."""
        initiator.setconf([])
        initiator.setconf([section])
        ping(lab, namespaces[0], INNER4[1 - side], 1, 0.2)

    keys = [base64.b64decode(peer.public) for peer in (initiator, victim)]
    reached, total = cookie_under_load(who, load, capture, OUTER4[side], keys, begin, None if wyrm_initiates else victim.process)
    tests.equal(reached, "yes", f"{who}: a handshake with a cookie")
    tests.equal(total["responses"], 0, f"{who}: answered no stranger")
    tests.check(total["cookies"] > 0, f"{who}: strangers were given cookies")
    lab.wait_for(lambda: ping(lab, namespaces[0], INNER4[1 - side], 1)["received"] == 1, f"{who}: the tunnel afterwards", 30)
    tunnel.finish(tests, who)


def other_under_load(options, tests):
    under_load(options, tests, wyrm_initiates=True)


def wyrm_under_load(options, tests):
    under_load(options, tests, wyrm_initiates=False)


SCENARIOS = {"families": families, "wrong-psk": wrong_psk, "roaming": roaming, "listen-port": listen_port,
             "down-up": down_up, "tcp": tcp, "many-peers": many_peers, "rekey": rekey,
             "other-under-load": other_under_load, "wyrm-under-load": wyrm_under_load}
# What differs for the engine: it has no control socket for a device's states.
ENGINE_SCENARIOS = {"down-up": link_down_up, "deleted": interface_deleted, "program": program}


def arguments(parser):
    parser.add_argument("--peer", default="wireguard-go", choices=["wireguard-go", "wyrm"])
    parser.add_argument("--subject", default="wyrm", choices=["wyrm", "wyrm-engine"])
    parser.add_argument("--mode", default="verify", choices=sorted(MODES))


def main():
    # run_scenarios wants the names before it has read the arguments.
    engine = any(word.endswith("wyrm-engine") for word in sys.argv[1:])
    subject = (ENGINE,) if engine else (NTHOST, DRIVER)
    return run_scenarios(__doc__, {**SCENARIOS, **ENGINE_SCENARIOS} if engine else SCENARIOS,
                         ("iperf3", "tcpdump", PROGRAM, "wireguard-go") + subject,
                         lambda scenario, tests, options: scenario(options, tests), arguments)


if __name__ == "__main__":
    sys.exit(main())
