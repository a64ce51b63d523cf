"""A model of SET, from the control interface's documentation (include/wyrm/control.h): what a buffer does to a configuration
while the adapter is down, with status and Information; and mutations of valid buffers."""

import ipaddress
import struct

import wgpeer
from nthost_control import (ALLOWED_IP_FORMAT, ALLOWED_IP_REMOVE, FAMILY_IPV4, FAMILY_IPV6, INTERFACE_FORMAT,
                            INTERFACE_HAS_LISTEN_PORT, INTERFACE_HAS_PRIVATE_KEY, INTERFACE_REPLACE_PEERS, PEER_FORMAT,
                            PEER_HAS_ENDPOINT, PEER_HAS_PERSISTENT_KEEPALIVE, PEER_HAS_PRESHARED_KEY,
                            PEER_HAS_PROTOCOL_VERSION, PEER_HAS_PUBLIC_KEY, PEER_REMOVE, PEER_REPLACE_ALLOWED_IPS,
                            PEER_UPDATE_ONLY, STATUS_INVALID_PARAMETER, STATUS_NOT_IMPLEMENTED, STATUS_SUCCESS, AllowedIp,
                            Interface, Peer, unpack_endpoint)

INTERFACE_BYTES, PEER_BYTES, ALLOWED_IP_BYTES = INTERFACE_FORMAT.size, PEER_FORMAT.size, ALLOWED_IP_FORMAT.size
ZERO_KEY = bytes(32)


def clamped(key):
    return bytes([key[0] & 0xF8]) + key[1:31] + bytes([key[31] & 0x7F | 0x40])


def prefix_of(address, family, cidr):
    """The masked network, or None when family or length are invalid."""
    if family == FAMILY_IPV4 and cidr <= 32:
        return str(ipaddress.ip_network((address[:4], cidr), strict=False))
    if family == FAMILY_IPV6 and cidr <= 128:
        return str(ipaddress.ip_network((address, cidr), strict=False))
    return None


class PeerModel:
    def __init__(self):
        self.psk, self.keepalive, self.endpoint = ZERO_KEY, 0, None

    def __eq__(self, other):
        return (self.psk, self.keepalive, self.endpoint) == (other.psk, other.keepalive, other.endpoint)

    def __repr__(self):
        return f"psk {self.psk.hex()[:8]} keepalive {self.keepalive} endpoint {self.endpoint}"


class ControlModel:
    def __init__(self):
        self.private, self.port = None, 0
        self.peers = {}     # public key -> PeerModel
        self.prefixes = {}  # network -> public key

    @classmethod
    def of(cls, data):
        """From the bytes of GET."""
        self, config = cls(), Interface.unpack(data)
        if config.flags & INTERFACE_HAS_PRIVATE_KEY:
            self.private = config.private_key
        if config.flags & INTERFACE_HAS_LISTEN_PORT:
            self.port = config.listen_port
        for entry in config.peers:
            peer = self.peers[entry.public_key] = PeerModel()
            peer.keepalive = entry.keepalive
            if entry.flags & PEER_HAS_PRESHARED_KEY:
                peer.psk = entry.preshared_key
            if entry.flags & PEER_HAS_ENDPOINT:
                peer.endpoint = unpack_endpoint(entry.endpoint)
            for ip in entry.allowed_ips:
                self.prefixes[str(ip)] = entry.public_key
        return self

    def __eq__(self, other):
        return (self.private, self.port, self.peers, self.prefixes) == (other.private, other.port, other.peers, other.prefixes)

    def public(self):
        return wgpeer.public_of(self.private) if self.private else None

    def remove_peer(self, key):
        if self.peers.pop(key, None) is not None:
            self.remove_prefixes(key)

    def remove_prefixes(self, key):
        self.prefixes = {prefix: owner for prefix, owner in self.prefixes.items() if owner != key}

    def apply(self, buffer):
        """(status, Information); what stands before a failure stays applied."""
        if len(buffer) < INTERFACE_BYTES:
            return STATUS_INVALID_PARAMETER, 0
        flags, port, private, _, count = INTERFACE_FORMAT.unpack_from(buffer)
        if flags & INTERFACE_HAS_LISTEN_PORT:
            self.port = port
        if flags & INTERFACE_REPLACE_PEERS:
            self.peers, self.prefixes = {}, {}
        if flags & INTERFACE_HAS_PRIVATE_KEY:
            self.private = None if private == ZERO_KEY else clamped(private)
            self.remove_peer(self.public())
        at = INTERFACE_BYTES
        for _ in range(count):
            status, at = self._apply_peer(buffer, at)
            if status != STATUS_SUCCESS:
                return status, at
        return STATUS_SUCCESS, at

    def _apply_peer(self, buffer, at):
        if len(buffer) - at < PEER_BYTES:
            return STATUS_INVALID_PARAMETER, at
        flags, version, key, psk, keepalive, endpoint, _, _, _, count = PEER_FORMAT.unpack_from(buffer, at)
        if not flags & PEER_HAS_PUBLIC_KEY:
            return STATUS_INVALID_PARAMETER, at
        if flags & PEER_HAS_PROTOCOL_VERSION and version > 1:
            return STATUS_NOT_IMPLEMENTED, at
        if count * ALLOWED_IP_BYTES > len(buffer) - at - PEER_BYTES:
            return STATUS_INVALID_PARAMETER, at
        behind = at + PEER_BYTES + count * ALLOWED_IP_BYTES
        if key == self.public() or flags & PEER_REMOVE or (key not in self.peers and flags & PEER_UPDATE_ONLY):
            if key in self.peers:
                self.remove_peer(key)
            return STATUS_SUCCESS, behind
        peer = self.peers.setdefault(key, PeerModel())
        if flags & PEER_HAS_PRESHARED_KEY:
            peer.psk = psk
        if flags & PEER_HAS_ENDPOINT and unpack_endpoint(endpoint):
            peer.endpoint = unpack_endpoint(endpoint)
        if flags & PEER_REPLACE_ALLOWED_IPS:
            self.remove_prefixes(key)
        for offset in range(at + PEER_BYTES, behind, ALLOWED_IP_BYTES):
            address, family, cidr, ip_flags = ALLOWED_IP_FORMAT.unpack_from(buffer, offset)
            prefix = prefix_of(address, family, cidr)
            if prefix is None:
                return STATUS_INVALID_PARAMETER, offset
            if not ip_flags & ALLOWED_IP_REMOVE:
                self.prefixes[prefix] = key
            elif self.prefixes.get(prefix) == key:
                del self.prefixes[prefix]
        if flags & PEER_HAS_PERSISTENT_KEEPALIVE:
            peer.keepalive = keepalive
        return STATUS_SUCCESS, behind


def describe(expected, got):
    """The first difference of two models."""
    for what in ("private", "port", "peers", "prefixes"):
        if getattr(expected, what) != getattr(got, what):
            return f"differs in {what}: expected {getattr(expected, what)!r}, got {getattr(got, what)!r}"
    return "is as expected"


# ---- buffers ----
def random_allowed_ip(choose):
    if choose.random() < 0.5:
        ip = AllowedIp(f"10.{choose.randrange(4)}.{choose.randrange(4)}.0/{choose.choice((0, 8, 15, 16, 24, 32))}")
    else:
        ip = AllowedIp(f"fd0{choose.randrange(4)}::{choose.randrange(4)}/{choose.choice((0, 7, 8, 64, 127, 128))}")
    ip.flags = choose.choice((0, 0, 0, ALLOWED_IP_REMOVE))
    return ip


def random_key(choose, model):
    """Often one that is there, sometimes our own, else a new one."""
    chance = choose.random()
    if chance < 0.5 and model.peers:
        return choose.choice(sorted(model.peers))
    if chance < 0.55 and model.private:
        return model.public()
    return choose.randbytes(32)


def random_peer(choose, model):
    endpoint = choose.choice((None, None, ("192.0.2.99", choose.randrange(65536)), ("2001:db8::99", 5, 0)))
    return Peer(public_key=random_key(choose, model), endpoint=endpoint,
                preshared_key=choose.choice((None, None, ZERO_KEY, choose.randbytes(32))),
                keepalive=choose.choice((None, 0, 25, 65535)), protocol_version=choose.choice((None, None, 0, 1)),
                replace_allowed_ips=choose.random() < 0.2, remove=choose.random() < 0.2, update_only=choose.random() < 0.1,
                allowed_ips=[random_allowed_ip(choose) for _ in range(choose.randrange(4))])


def valid_buffer(choose, model):
    private = choose.choice((None,) * 12 + (ZERO_KEY, model.private or ZERO_KEY, choose.randbytes(32)))
    return Interface(private_key=private, listen_port=choose.choice((None, None, 0, choose.randrange(65536))),
                     replace_peers=choose.random() < (0.5 if len(model.peers) > 24 else 0.05),
                     peers=[random_peer(choose, model) for _ in range(choose.randrange(5))]).pack()


def put(buffer, offset, data):
    return buffer[:offset] + data + buffer[offset + len(data):]


def mutate(choose, buffer):
    kind = choose.randrange(8)
    if kind == 0:
        return buffer[:choose.randrange(len(buffer) + 1)]
    if kind == 1:
        return buffer + choose.randbytes(choose.randrange(1, 300))
    if kind == 2:  # a word
        return put(buffer, choose.randrange(0, len(buffer), 4), struct.pack("<I", choose.choice(
            (0, 1, 2, 3, 4, 8, 23, 32, 33, 128, 129, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x0AAAAAAB, choose.getrandbits(32)))))
    if kind == 3:  # a count
        return put(buffer, 72, struct.pack("<I", choose.choice((0, 1, 2, 5, 100, 0xFFFFFFFF))))
    if kind == 4 and len(buffer) >= INTERFACE_BYTES + PEER_BYTES:
        return put(buffer, INTERFACE_BYTES + choose.choice((0, 4, 128)), struct.pack("<I", choose.choice(
            (0, 1, 2, 3, 0xFF, 0x5555, 0xB21642C, 0x0AAAAAAA, 0x80000001, 0xFFFFFFFF, choose.getrandbits(8)))))
    if kind == 5 and len(buffer) > INTERFACE_BYTES + PEER_BYTES:
        start = choose.randrange(INTERFACE_BYTES + PEER_BYTES, len(buffer))
        return put(buffer, start, choose.randbytes(min(8, len(buffer) - start)))
    if kind == 6:  # a piece twice
        start = choose.randrange(0, len(buffer), 8)
        return buffer[:start] + buffer[start:start + 136] + buffer[start:]
    changed = bytearray(buffer)
    for _ in range(choose.randrange(1, 9)):
        changed[choose.randrange(len(changed))] = choose.getrandbits(8)
    return bytes(changed)


def random_buffer(choose, model):
    """A valid buffer that fits the configuration, usually with one to three mutations."""
    buffer = valid_buffer(choose, model)
    for _ in range(choose.choice((0, 1, 1, 1, 2, 3))):
        if buffer:
            buffer = mutate(choose, buffer)
    return buffer
