"""What the scenarios of the self-test are built from: a world of namespaces with adapters in them, traffic, captures and
counters.  Every scenario makes its own world and takes it away again; that each nthost ended with status 0 - no report of
verify mode, nothing left behind - is part of every scenario."""

import json
import os
import re
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from netlab import ROOT, Lab, LabError, Peer, echo_replies, ping  # noqa: E402

OUTER4, OUTER6 = ("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")
INNER4, INNER6 = ("10.66.0.1", "10.66.0.2"), ("fd66::1", "fd66::2")
PORTS = (10001, 20002)
NETLOAD = os.path.join(ROOT, "tests", "lib", "netload.py")


def at(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class World:
    """Namespaces and adapters of one scenario."""

    def __init__(self, options, tests, what):
        self.options, self.tests, self.what = options, tests, what
        self.lab = Lab()
        self.peers = []

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            for peer in self.peers:
                self.end(peer)
        elif issubclass(kind, LabError):
            for peer in self.peers:
                print(f"-- {peer.kind} {peer.name} said:\n{self.lab.output_of(peer.process)[-1500:]}", flush=True)
        self.lab.close()

    def end(self, peer):
        """The driver is unloaded; status 0 is: no report, nothing left behind."""
        status = self.lab.stop(peer.process, timeout=120)
        if peer.kind == "wyrm":
            self.tests.check(status == 0, f"{self.what}: nthost of {peer.name} ended with {status}:\n"
                             f"{self.lab.output_of(peer.process)[-3000:]}")

    # ---- making ----
    def namespace(self, label):
        return self.lab.namespace(label)

    def run(self, namespace, command, check=True):
        return self.lab.command(command.split(), namespace, check=check)

    def peer(self, namespace, label, addresses, port, kind="wyrm", mtu=None, down=False, report=None, also=None, shared=None):
        """`also`: the label of a second adapter of the same driver, made with `shared` afterwards."""
        arguments = (["--verify"] if self.options.mode == "verify" else []) + (["--mtu", str(mtu)] if mtu else []) + (
            ["--down"] if down else []) + (["--name", f"w{self.lab.id}{also}"] if also else []) + (
            ["--report", report] if report else [])
        peer = Peer(self.lab, namespace, kind, label, addresses, port, options=arguments, shared=shared)
        if mtu and kind != "wyrm":
            self.run(namespace, f"ip link set {peer.name} mtu {mtu}")
        self.peers.append(peer)
        return peer

    # ---- traffic ----
    def reaches(self, namespace, target, what, count=5, size=56, source=None):
        """All of `count` echo requests are answered; one after the other, as ping waits for a late last answer only if it is
        also the first.  An initiation that the other side met unprepared is repeated after 5 s."""
        command = ["ping", "-n", "-c", "1", "-W", "12", "-s", str(size)] + (["-I", source] if source else []) + [target]
        got = sum(self.lab.command(command, namespace, check=False).returncode == 0 for _ in range(count))
        return self.tests.equal(got, count, f"{self.what}: {what}: answers to {count} pings")

    def silent(self, namespace, target, what):
        got = ping(self.lab, namespace, target, 2, 0.3)["received"]
        return self.tests.equal(got, 0, f"{self.what}: {what}: no answers to pings")

    def flood(self, namespace, target, what, count=500, size=56):
        """As fast as answers come.  The kernel counts them: ping itself does not wait for a late last one."""
        before = echo_replies(self.lab, namespace, target)
        done = self.lab.command(["ping", "-n", "-q", "-A", "-c", str(count), "-s", str(size), "-W", "5", target], namespace,
                                check=False, timeout=120)
        match = re.search(r"(\d+) packets transmitted", done.stdout)
        self.tests.equal(match and match.group(1), str(count), f"{self.what}: {what}: requests")
        self.eventually(lambda: echo_replies(self.lab, namespace, target) - before >= count, f"{what}: {count} answers")

    def load(self, server_space, client_space, address, what, kind, *arguments, port=9000):
        server = self.lab.start([sys.executable, NETLOAD, f"{kind}-server", address, str(port)], server_space,
                                log=f"load-{len(self.lab.processes)}.log")
        self.lab.wait_for(lambda: "ready" in self.lab.output_of(server), f"{what}: server", 20, server)
        done = self.lab.command([sys.executable, NETLOAD, f"{kind}-client", address, str(port)] + [str(a) for a in arguments],
                                client_space, check=False, timeout=180)
        self.lab.stop(server)
        self.tests.check(done.returncode == 0, f"{self.what}: {what}: {(done.stdout + done.stderr).strip()[-300:]}")

    # ---- looking ----
    def eventually(self, condition, what, timeout=15):
        try:
            self.lab.wait_for(condition, what, timeout)
        except LabError as error:
            return self.tests.check(False, f"{self.what}: {error}")
        return self.tests.check(True, what)

    def link_bytes(self, namespace, name):
        """(received, sent) of `ip -s link`."""
        shown = json.loads(self.lab.command(["ip", "-s", "-j", "link", "show", "dev", name], namespace).stdout)[0]["stats64"]
        return shown["rx"]["bytes"], shown["tx"]["bytes"]

    def count_packets(self, namespace, rules):
        """nftables counters: {name: (hook, match)}; counted(namespace, name) reads (packets, bytes)."""
        hooks = sorted({hook for hook, _ in rules.values()})
        text = "table inet selftest {\n" + "".join(f"counter {name} {{\n}}\n" for name in rules)
        for hook in hooks:
            text += f"chain {hook} {{\ntype filter hook {hook} priority 0\n"
            text += "".join(f"{match} counter name {name}\n" for name, (where, match) in rules.items() if where == hook)
            text += "}\n"
        self.lab.command(["nft", "-f", "-"], namespace, text + "}\n")

    def counted(self, namespace, name):
        shown = json.loads(self.lab.command(["nft", "-j", "list", "counter", "inet", "selftest", name], namespace).stdout)
        counter = next(entry["counter"] for entry in shown["nftables"] if "counter" in entry)
        return counter["packets"], counter["bytes"]


class Pair(World):
    """The usual world: one and two, joined by a link, an adapter in each that knows the other."""

    def __init__(self, options, tests, what, outer=OUTER4, kinds=("wyrm", "wyrm"), mtu=None, configure=True, keepalive=None,
                 no_ipv6=False, also=None):
        super().__init__(options, tests, what)
        self.outer = outer
        self.one, self.two = self.namespace("1"), self.namespace("2")
        if no_ipv6:
            for space in (self.one, self.two):
                self.run(space, "sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1")
        length = 64 if ":" in outer[0] else 24
        self.link = self.lab.link(self.one, self.two, [f"{outer[0]}/{length}"], [f"{outer[1]}/{length}"])
        inner = [[INNER4[side] + "/24"] + ([] if no_ipv6 else [INNER6[side] + "/64"]) for side in (0, 1)]
        self.a = self.peer(self.one, "a", inner[0], PORTS[0], kinds[0], mtu, also=also)
        self.b = self.peer(self.two, "b", inner[1], PORTS[1], kinds[1], mtu)
        self.to_b = {"public": self.b.public, "allowed": [INNER4[1] + "/32", INNER6[1] + "/128"],
                     "endpoint": at(outer[1], PORTS[1]), "keepalive": keepalive}
        self.to_a = {"public": self.a.public, "allowed": [INNER4[0] + "/32", INNER6[0] + "/128"]}
        if configure:
            self.b.setconf([self.to_a])
            self.a.setconf([self.to_b])


class Capture:
    """All that arrives on an interface, through a packet socket: [(length of the IP packet, bytes from its header on)]."""

    def __init__(self, namespace, interface):
        # The socket belongs to the namespace in which it is made; this process goes there and back.
        with open("/proc/self/ns/net", "rb") as home, open(f"/run/netns/{namespace}", "rb") as there:
            set_namespace(there.fileno())
            try:
                self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
                self.socket.bind((interface, 3))
            finally:
                set_namespace(home.fileno())
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)

    def read(self):
        """What arrived so far, UDP only."""
        packets = []
        self.socket.settimeout(0.2)
        try:
            while True:
                data = self.socket.recv(65536)
                version = data[0] >> 4 if data else 0
                if version == 4 and data[9] == socket.IPPROTO_UDP or version == 6 and data[6] == socket.IPPROTO_UDP:
                    packets.append(data)
        except socket.timeout:
            return packets

    def close(self):
        self.socket.close()


def set_namespace(descriptor):
    import ctypes  # only here: Python 3.11 has no os.setns
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0) != 0:
        raise LabError(f"setns: {os.strerror(ctypes.get_errno())}")


def udp_ports(packet):
    """(source, destination) of a UDP packet as Capture gives it."""
    offset = (packet[0] & 15) * 4 if packet[0] >> 4 == 4 else 40
    return struct.unpack_from("!HH", packet, offset)
