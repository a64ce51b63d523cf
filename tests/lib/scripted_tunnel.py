"""The driver (verify mode, in nthost, in a namespace) with a scripted peer at the other end of a link: what the black-box
suites stand on.  The script sees every datagram that the driver sends and every packet that it indicates, and knows all
keys."""

import contextlib
import ctypes
import ipaddress
import os
import select
import socket
import struct
import time

import wgpeer
from netlab import DRIVER, NTHOST, Lab, LabError, require
from netlab import Peer as LabPeer
from nthost_control import Control

OUTER_HERE, OUTER_THERE = "192.0.2.1", "192.0.2.2"
INNER_HERE, INNER_THERE = "10.66.0.1", "10.66.0.2"
INNER6_HERE, INNER6_THERE = "fd66::1", "fd66::2"
PORT = 51820
SINK_PORT = 4242  # inner UDP port that a socket listens on, so that the kernel answers nothing

CLONE_NEWNET = 0x40000000
ETH_P_ALL = 0x0003
PACKET_OUTGOING = 4
SOL_UDP, UDP_SEGMENT = 17, 103
SO_RCVBUFFORCE, SO_SNDBUFFORCE = 33, 32
OID_GEN_STATISTICS = 0x00020106
STATISTICS_BYTES = 8 + 18 * 8  # NDIS_STATISTICS_INFO

libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def inside(namespace):
    """Sockets made in here belong to the namespace."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(there, CLONE_NEWNET):
            raise LabError(f"setns {namespace}: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            if libc.setns(home, CLONE_NEWNET):
                os.abort()  # this process is somewhere else than it believes
    finally:
        os.close(there)
        os.close(home)


def udp_socket(namespace, address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with inside(namespace):
        made = socket.socket(family, socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        made.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 16 << 20)
        made.bind((address, port))
        made.setblocking(False)
        return made


class Sniffer:
    """Packets that the driver indicated, as the TUN device gave them to the kernel."""

    def __init__(self, namespace, interface):
        with inside(namespace):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
            self.socket.bind((interface, ETH_P_ALL))
            self.socket.setblocking(False)

    def packets(self, wait=0.0):
        """All that came since the last call, after `wait` seconds."""
        time.sleep(wait)
        found = []
        while True:
            try:
                data, origin = self.socket.recvfrom(1 << 17)
            except BlockingIOError:
                return found
            if origin[2] != PACKET_OUTGOING:
                found.append(data)

    def close(self):
        self.socket.close()


class Statistics:
    NAMES = ("in_discards", "in_errors", "in_octets", "in_unicast", "in_multicast", "in_broadcast", "out_octets",
             "out_unicast", "out_multicast", "out_broadcast", "out_errors", "out_discards")

    def __init__(self, raw):
        values = struct.unpack_from("<12Q", raw, 8)
        for name, value in zip(self.NAMES, values):
            setattr(self, name, value)

    def __sub__(self, before):
        difference = Statistics(bytes(STATISTICS_BYTES))
        for name in self.NAMES:
            setattr(difference, name, getattr(self, name) - getattr(before, name))
        return difference

    def __repr__(self):
        return " ".join(f"{name}={getattr(self, name)}" for name in self.NAMES if getattr(self, name)) or "nothing"


class ScriptedTunnel:
    """The driver is `wyrm` in namespace `here`; the script speaks from `there` as `peer`, through `socket`."""

    def __init__(self, psk=bytes(32), endpoint=True, configure=True, options=("--verify",), keepalive=0):
        self.lab = Lab()
        self.sockets = []
        self.here, self.there = self.lab.namespace("here"), self.lab.namespace("there")
        self.veth = self.lab.link(self.here, self.there, [OUTER_HERE + "/24", "2001:db8::1/64"],
                                  [OUTER_THERE + "/24", "2001:db8::2/64"])
        # An answer that goes to a port without a socket makes the kernel complain to the driver's socket: not our subject.
        self.lab.command(["sysctl", "-q", "-w", "net.ipv4.icmp_ratelimit=0", "net.ipv4.icmp_echo_ignore_broadcasts=1"],
                         self.here)
        self.wyrm = LabPeer(self.lab, self.here, "wyrm", "a", [INNER_HERE + "/24", INNER6_HERE + "/64"], port=PORT,
                            options=list(options))
        self.public = wgpeer.base64.b64decode(self.wyrm.public)
        self.destination = (OUTER_HERE, PORT)
        self.peer = self.new_peer(psk)
        self.socket = self.open_socket(OUTER_THERE, PORT)
        self.sink = udp_socket(self.here, "0.0.0.0", SINK_PORT)
        self.sockets.append(self.sink)
        self.sniffer = Sniffer(self.here, self.wyrm.name)
        self.control = Control(self.wyrm.name)
        self.session = None
        self.echoes = 0
        self.last_timestamp = 0.0
        if configure:
            self.configure([self.entry(self.peer, [INNER_THERE + "/32", INNER6_THERE + "/128"],
                                       f"{OUTER_THERE}:{PORT}" if endpoint else None, keepalive)])

    # ---- set-up ----
    def new_peer(self, psk=bytes(32)):
        return wgpeer.Peer(wgpeer.generate_private(), self.public, psk)

    @staticmethod
    def entry(peer, allowed, endpoint=None, keepalive=0):
        """A peer of LabPeer.setconf."""
        return {"public": wgpeer.base64_of(peer.public), "allowed": allowed, "endpoint": endpoint, "keepalive": keepalive,
                "psk": wgpeer.base64_of(peer.psk) if peer.psk != bytes(32) else None}

    def configure(self, entries):
        self.wyrm.setconf(entries)

    def open_socket(self, address, port):
        """A socket of the script's side; the address must be one of `there`."""
        made = udp_socket(self.there, address, port)
        self.sockets.append(made)
        return made

    def add_address(self, address):
        self.lab.command(["ip", "address", "add", f"{address}/24", "dev", self.veth[1]], self.there)

    def state(self, peer=None):
        """The driver's view of a peer (wg show dump)."""
        return self.wyrm.dump()[wgpeer.base64_of((peer or self.peer).public)]

    # ---- datagrams ----
    def send(self, datagram, via=None):
        """Waits for room rather than losing one."""
        out = via or self.socket
        while True:
            try:
                return out.sendto(datagram, self.destination)
            except BlockingIOError:
                select.select([], [out], [], 1)
            except ConnectionRefusedError:
                continue  # what an earlier datagram met

    def send_segments(self, datagrams, via=None, per_call=400):
        """Equal-sized datagrams in as few system calls as possible (UDP_SEGMENT)."""
        out = via or self.socket
        size = len(datagrams[0])
        per_call = min(per_call, 65000 // size, 60)
        out.setsockopt(SOL_UDP, UDP_SEGMENT, size)
        try:
            for start in range(0, len(datagrams), per_call):
                self.send(b"".join(datagrams[start:start + per_call]), out)
        finally:
            out.setsockopt(SOL_UDP, UDP_SEGMENT, 0)

    def receive(self, kind=None, timeout=2.0, via=None, length=None):
        """The next datagram (of this type and length; others are dropped), or None."""
        source = via or self.socket
        deadline = time.monotonic() + timeout
        while True:
            try:
                data = source.recv(1 << 16)
                if (kind is None or wgpeer.message_type(data) == kind) and (length is None or len(data) == length):
                    return data
                continue
            except BlockingIOError:
                pass
            except ConnectionRefusedError:
                continue
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            select.select([source], [], [], left)

    def receive_all(self, kind=None, timeout=0.2, via=None):
        """What comes until nothing has come for `timeout` seconds."""
        found = []
        while True:
            data = self.receive(kind, timeout, via)
            if data is None:
                return found
            found.append(data)

    def drain(self, via=None):
        while self.receive(timeout=0.0, via=via) is not None:
            pass

    # ---- handshakes ----
    def timestamp(self):
        """A fresh one, later than every other of this tunnel's."""
        self.last_timestamp = max(time.time(), self.last_timestamp + 0.001)
        return wgpeer.tai64n(self.last_timestamp)

    def initiate(self, peer=None, via=None, confirm=True, timeout=5.0):
        """We begin; the session (confirmed by a keepalive), kept as self.session when it is the tunnel's own peer's."""
        peer = peer or self.peer
        time.sleep(0.025)  # the driver takes one initiation per peer in 20 ms
        self.drain(via)
        self.send(peer.create_initiation(self.timestamp()), via)
        answer = self.receive(wgpeer.RESPONSE, timeout, via)
        if answer is None:
            raise LabError("no answer to a valid initiation")
        session = peer.consume_response(answer)
        if confirm:
            self.send(session.seal(), via)
        if peer is self.peer:
            self.session = session
        return session

    def provoke(self, destination=INNER_THERE):
        """A packet from the driver's side into the tunnel: without a session the driver begins a handshake."""
        with inside(self.here), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.sendto(b"provoked", (destination, 9))

    def await_initiation(self, peer=None, via=None, timeout=8.0):
        """The next initiation of the driver and the state it leaves us with."""
        message = self.receive(wgpeer.INITIATION, timeout, via)
        if message is None:
            raise LabError("the driver did not begin a handshake")
        return message, (peer or self.peer).consume_initiation(message)

    def respond(self, peer=None, via=None, timeout=8.0, destination=INNER_THERE):
        """The driver begins; the session."""
        peer = peer or self.peer
        self.drain(via)
        self.provoke(destination)
        _, state = self.await_initiation(peer, via, timeout)
        answer, session = peer.create_response(state)
        self.send(answer, via)
        if peer is self.peer:
            self.session = session
        return session

    # ---- data ----
    def received_packets(self, session=None, timeout=0.3, via=None):
        """Plaintexts of the data messages that came (keepalives not)."""
        session = session or self.session
        found = []
        for message in self.receive_all(wgpeer.DATA, timeout, via):
            if struct.unpack_from("<I", message, 4)[0] == session.local_index:
                plain = session.open(message)[1]
                if plain:
                    found.append(plain)
        return found

    def echo(self, session=None, source=INNER_THERE, via=None, timeout=2.0):
        """Does an echo request go in through the driver, and its answer come out?"""
        session = session or self.session
        self.echoes += 1
        sequence = self.echoes & 0xFFFF
        self.send(session.seal(wgpeer.echo4(source, INNER_HERE, 0x5757, sequence, b"wyrm" * 4)), via)
        wanted = wgpeer.echo4(INNER_HERE, source, 0x5757, sequence, b"wyrm" * 4, reply=True)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            message = self.receive(wgpeer.DATA, deadline - time.monotonic(), via)
            if message is None or struct.unpack_from("<I", message, 4)[0] != session.local_index:
                continue
            plain = session.open(message)[1]
            if plain[20:len(wanted)] == wanted[20:]:
                return True
        return False

    def sink_payloads(self, wait=0.0):
        """What reached the inner UDP socket behind the driver."""
        time.sleep(wait)
        found = []
        while True:
            try:
                found.append(self.sink.recv(1 << 17))
            except BlockingIOError:
                return found

    @staticmethod
    def sink_packet(payload, source=INNER_THERE, destination=INNER_HERE, **header):
        return wgpeer.udp4(source, destination, payload, 9, SINK_PORT, **header)

    # ---- observation ----
    def statistics(self):
        status, _, raw = self.control.oid(OID_GEN_STATISTICS, STATISTICS_BYTES)
        if status:
            raise LabError(f"OID_GEN_STATISTICS: status {status:#x}")
        return Statistics(raw)

    def await_statistics(self, before, condition, timeout=5.0):
        """The difference to `before` once `condition` holds for it, or as it is at the time-out."""
        deadline = time.monotonic() + timeout
        while True:
            difference = self.statistics() - before
            if condition(difference) or time.monotonic() > deadline:
                return difference
            time.sleep(0.01)

    def pool_now(self):
        """Outstanding pool allocations and bytes, by the host's own counters."""
        return {name: now for name, (_, now, _) in self.control.counters().items() if "pool" in name}

    def alive(self):
        return self.wyrm.process.poll() is None

    def log_tail(self):
        return self.lab.output_of(self.wyrm.process)[-3000:]

    def finish(self, tests, what):
        """Halts and unloads: status 0 means that verify mode had nothing to report and nothing is left."""
        for made in self.sockets:
            made.close()
        self.sniffer.close()
        try:
            self.control.disconnect()
        except OSError:
            pass
        status = self.wyrm.stop()
        tests.equal(status, 0, f"{what}: halt, unload and verify reports (output: {self.log_tail() if status else ''})")
        self.lab.close()


def address_bytes(text):
    return ipaddress.ip_address(text).packed


__all__ = [name for name in globals() if name.isupper() or name in (
    "ScriptedTunnel", "Sniffer", "Statistics", "address_bytes", "inside", "udp_socket", "LabError", "require")]
