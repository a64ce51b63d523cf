"""Client of nthost's raw control socket (docs/control-socket.md) and the structures of the driver's control
interface (include/wyrm/control.h, control_extensions.h).  Standard library only.

    with Control("wg0") as control:
        with control.open() as file:
            config = Interface.unpack(file.get())
            file.set(Interface(listen_port=51820).pack())
"""

import ipaddress
import socket
import struct
import threading

# ---- control codes and NTSTATUS values ----
IOCTL_GET, IOCTL_SET, IOCTL_STATE, IOCTL_LOG = 0xB098C506, 0xB098C509, 0xB098C50C, 0xB098C510
IOCTL_DROPS, IOCTL_EVENTS, IOCTL_SET_ATOMIC = 0xB098E404, 0xB098E408, 0xB098E40D
STATE_DOWN, STATE_UP, STATE_QUERY = 0, 1, 2
EVENT_HANDSHAKE, EVENT_ENDPOINT, EVENT_EXPIRED, EVENT_ADAPTER_STATE, EVENT_LOG_LOST = range(1, 6)
EVENTS_FROM_NOW = 0xFFFFFFFFFFFFFFFF

STATUS_SUCCESS = 0x00000000
STATUS_ALREADY_COMPLETE = 0x000000FF
STATUS_BUFFER_OVERFLOW = 0x80000005
STATUS_NOT_IMPLEMENTED = 0xC0000002
STATUS_ACCESS_VIOLATION = 0xC0000005
STATUS_INVALID_HANDLE = 0xC0000008
STATUS_INVALID_PARAMETER = 0xC000000D
STATUS_INVALID_DEVICE_REQUEST = 0xC0000010
STATUS_ACCESS_DENIED = 0xC0000022
STATUS_BUFFER_TOO_SMALL = 0xC0000023
STATUS_REQUEST_NOT_ACCEPTED = 0xC00000D0
STATUS_INSUFFICIENT_RESOURCES = 0xC000009A
STATUS_CANCELLED = 0xC0000120
STATUS_NOT_FOUND = 0xC0000225
STATUS_TOO_MANY_NODES = 0xC000020E
STATUS_ADDRESS_ALREADY_EXISTS = 0xC000020A
STATUS_SECTION_TOO_BIG = 0xC0000040
NDIS_STATUS_ADAPTER_REMOVED = 0xC0010018

# IRP_MN_* of IRP_MJ_PNP and IRP_MJ_POWER (Microsoft, "Plug and Play Minor IRPs", "Power Management Minor IRPs")
PNP_QUERY_REMOVE, PNP_REMOVE, PNP_CANCEL_REMOVE, PNP_SURPRISE_REMOVAL = 0x01, 0x02, 0x03, 0x17
POWER_SET, POWER_QUERY = 0x02, 0x03

# ---- structures of wyrm/control.h ----
INTERFACE_HAS_PUBLIC_KEY, INTERFACE_HAS_PRIVATE_KEY = 0x1, 0x2
INTERFACE_HAS_LISTEN_PORT, INTERFACE_REPLACE_PEERS = 0x4, 0x8
PEER_HAS_PUBLIC_KEY, PEER_HAS_PRESHARED_KEY, PEER_HAS_PERSISTENT_KEEPALIVE = 0x1, 0x2, 0x4
PEER_HAS_ENDPOINT, PEER_HAS_PROTOCOL_VERSION, PEER_REPLACE_ALLOWED_IPS = 0x8, 0x10, 0x20
PEER_REMOVE, PEER_UPDATE_ONLY = 0x40, 0x80
ALLOWED_IP_REMOVE = 0x1
FAMILY_IPV4, FAMILY_IPV6 = 2, 23

INTERFACE_FORMAT = struct.Struct("<IH32s32s2xI4x")
PEER_FORMAT = struct.Struct("<II32s32sH2x28sQQQI4x")
ALLOWED_IP_FORMAT = struct.Struct("<16sHBxI")
LOG_ENTRY_FORMAT = struct.Struct("<Q120s")
EVENTS_FORMAT = struct.Struct("<IIQQI4x")
EVENT_FORMAT = struct.Struct("<QQII32s28s4x")
assert (EVENTS_FORMAT.size, EVENT_FORMAT.size) == (32, 88)
assert (INTERFACE_FORMAT.size, PEER_FORMAT.size, ALLOWED_IP_FORMAT.size, LOG_ENTRY_FORMAT.size) == (80, 136, 24, 128)


class AllowedIp:
    """A prefix; `family`, `cidr` and `address` may be set to invalid values on purpose."""

    def __init__(self, prefix="0.0.0.0/0", flags=0):
        network = ipaddress.ip_network(prefix, strict=False)
        self.family = FAMILY_IPV4 if network.version == 4 else FAMILY_IPV6
        self.cidr = network.prefixlen
        self.address = network.network_address.packed.ljust(16, b"\0")
        self.flags = flags

    def pack(self):
        return ALLOWED_IP_FORMAT.pack(self.address, self.family, self.cidr, self.flags)

    @classmethod
    def unpack_from(cls, data, offset):
        self = cls()
        self.address, self.family, self.cidr, self.flags = ALLOWED_IP_FORMAT.unpack_from(data, offset)
        return self

    def __str__(self):
        length = 4 if self.family == FAMILY_IPV4 else 16
        return f"{ipaddress.ip_address(self.address[:length])}/{self.cidr}"


def pack_endpoint(address, port, scope=0):
    """28 bytes of SOCKADDR_INET."""
    ip = ipaddress.ip_address(address)
    if ip.version == 4:
        return struct.pack("<H", FAMILY_IPV4) + struct.pack(">H", port) + ip.packed + bytes(20)
    return struct.pack("<H", FAMILY_IPV6) + struct.pack(">HI", port, 0) + ip.packed + struct.pack("<I", scope)


def unpack_endpoint(data):
    """(address, port) or (address, port, scope) of 28 bytes, or None for another family."""
    family, port = struct.unpack_from("<H", data)[0], struct.unpack_from(">H", data, 2)[0]
    if family == FAMILY_IPV4:
        return str(ipaddress.ip_address(data[4:8])), port
    if family == FAMILY_IPV6:
        return str(ipaddress.ip_address(data[8:24])), port, struct.unpack_from("<I", data, 24)[0]
    return None


class Peer:
    """Fields that are not None set their flag, unless `flags` names the flags outright."""

    def __init__(self, public_key=None, preshared_key=None, keepalive=None, endpoint=None, allowed_ips=(),
                 protocol_version=None, replace_allowed_ips=False, remove=False, update_only=False, flags=None):
        self.public_key, self.preshared_key = public_key, preshared_key
        self.keepalive, self.protocol_version = keepalive, protocol_version
        self.endpoint = pack_endpoint(*endpoint) if isinstance(endpoint, tuple) else endpoint
        self.allowed_ips = [AllowedIp(ip) if isinstance(ip, str) else ip for ip in allowed_ips]
        self.replace_allowed_ips, self.remove, self.update_only = replace_allowed_ips, remove, update_only
        self.flags = flags
        self.count = None  # allowed_ips_count to claim, if not the true one
        self.tx_bytes = self.rx_bytes = self.last_handshake = 0

    def computed_flags(self):
        return ((self.public_key is not None) * PEER_HAS_PUBLIC_KEY
                | (self.preshared_key is not None) * PEER_HAS_PRESHARED_KEY
                | (self.keepalive is not None) * PEER_HAS_PERSISTENT_KEEPALIVE
                | (self.endpoint is not None) * PEER_HAS_ENDPOINT
                | (self.protocol_version is not None) * PEER_HAS_PROTOCOL_VERSION
                | self.replace_allowed_ips * PEER_REPLACE_ALLOWED_IPS
                | self.remove * PEER_REMOVE | self.update_only * PEER_UPDATE_ONLY)

    def pack(self):
        flags = self.computed_flags() if self.flags is None else self.flags
        count = len(self.allowed_ips) if self.count is None else self.count
        return PEER_FORMAT.pack(flags, self.protocol_version or 0, self.public_key or b"",
                                self.preshared_key or b"", self.keepalive or 0, self.endpoint or b"",
                                self.tx_bytes, self.rx_bytes, self.last_handshake, count
                                ) + b"".join(ip.pack() for ip in self.allowed_ips)

    @classmethod
    def unpack_from(cls, data, offset):
        """The peer and the offset behind its allowed IPs."""
        self = cls()
        (self.flags, self.protocol_version, self.public_key, self.preshared_key, self.keepalive, self.endpoint,
         self.tx_bytes, self.rx_bytes, self.last_handshake, self.count) = PEER_FORMAT.unpack_from(data, offset)
        offset += PEER_FORMAT.size
        for _ in range(self.count):
            self.allowed_ips.append(AllowedIp.unpack_from(data, offset))
            offset += ALLOWED_IP_FORMAT.size
        return self, offset


class Interface:
    """A whole configuration: the interface and its peers."""

    def __init__(self, private_key=None, listen_port=None, peers=(), replace_peers=False, flags=None):
        self.private_key, self.listen_port = private_key, listen_port
        self.peers = list(peers)
        self.replace_peers, self.flags = replace_peers, flags
        self.public_key = None
        self.count = None  # peers_count to claim, if not the true one

    def pack(self):
        flags = self.flags
        if flags is None:
            flags = ((self.private_key is not None) * INTERFACE_HAS_PRIVATE_KEY
                     | (self.listen_port is not None) * INTERFACE_HAS_LISTEN_PORT
                     | self.replace_peers * INTERFACE_REPLACE_PEERS)
        count = len(self.peers) if self.count is None else self.count
        return INTERFACE_FORMAT.pack(flags, self.listen_port or 0, self.private_key or b"", self.public_key or b"",
                                     count) + b"".join(peer.pack() for peer in self.peers)

    @classmethod
    def unpack(cls, data):
        self = cls()
        self.flags, self.listen_port, self.private_key, self.public_key, self.count = (
            INTERFACE_FORMAT.unpack_from(data))
        offset = INTERFACE_FORMAT.size
        for _ in range(self.count):
            peer, offset = Peer.unpack_from(data, offset)
            self.peers.append(peer)
        return self


# ---- the socket ----
(HELLO, OPEN, CLOSE, CONTROL, CANCEL, PNP, POWER, PAUSE, RESTART, SURPRISE_REMOVE, OID, LINK, COUNTERS,
 STOP, LOSE_SOCKETS, PASS) = range(1, 17)
REPLY, REFUSED = 0x80000000, 0x8000FFFF
HEADER = struct.Struct("<IIQ")
CONTROL_IN_NULL, CONTROL_OUT_NULL, CONTROL_ASYNC = 1, 2, 4


class Refused(Exception):
    """The host did not understand a frame."""


class StatusError(Exception):
    """An operation ended with an error status."""

    def __init__(self, status):
        super().__init__(f"NTSTATUS 0x{status:08X}")
        self.status = status


class Result:
    """What a control request gave: status (unsigned), information, and the whole output buffer."""

    def __init__(self, payload):
        self.status, length, self.information = struct.unpack_from("<IIQ", payload)
        self.out = payload[16:16 + length]

    def check(self):
        if self.status & 0xC0000000 == 0xC0000000:
            raise StatusError(self.status)
        return self


class Pending:
    """A request that the driver has; `wait` gives its Result, `cancel` asks for its end."""

    def __init__(self, control, request):
        self.control, self.id = control, request

    def wait(self, timeout=10):
        return Result(self.control.receive(self.id, CONTROL, timeout))

    def done(self, timeout=0.0):
        """Whether the answer is there (after at most `timeout` seconds)."""
        return self.control.arrived(self.id, timeout)

    def cancel(self):
        return self.control.status(CANCEL, struct.pack("<Q", self.id))


class File:
    """An open device."""

    def __init__(self, control, handle):
        self.control, self.handle = control, handle

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.handle is not None:
            self.control.status(CLOSE, struct.pack("<I", self.handle))
            self.handle = None

    def pass_to(self, system=True, administrator=True, integrity=0x4000, process32=False):
        """The handle goes to a process with this token."""
        return self.control.status(PASS, struct.pack("<IBBBBI", self.handle, system, administrator, process32, 0, integrity))

    def _send(self, code, data, out, out_length, in_length, flags):
        """`data`, `out`: bytes, or None for a NULL pointer; lengths default to those of the bytes."""
        flags |= (data is None) * CONTROL_IN_NULL | (out is None) * CONTROL_OUT_NULL
        given = out or b""
        in_length = len(data or b"") if in_length is None else in_length
        out_length = len(given) if out_length is None else out_length
        return self.control.send(CONTROL, struct.pack("<IIIIII", self.handle, code, flags, in_length, out_length,
                                                      len(given)) + (data or b"") + given)

    def ioctl(self, code, data=b"", out=b"", out_length=None, in_length=None, timeout=30):
        request = self._send(code, data, out, out_length, in_length, 0)
        return Result(self.control.receive(request, CONTROL, timeout))

    def ioctl_async(self, code, data=b"", out=b"", out_length=None, in_length=None):
        return Pending(self.control, self._send(code, data, out, out_length, in_length, CONTROL_ASYNC))

    # the driver's own codes
    def get(self):
        """The bytes of the configuration, however large."""
        length = 1024
        for _ in range(16):
            result = self.ioctl(IOCTL_GET, None, bytes(length))
            if result.status != STATUS_BUFFER_OVERFLOW:
                return result.check().out[:result.information]
            length = result.information + 256
        raise StatusError(STATUS_BUFFER_OVERFLOW)

    def set(self, config):
        """`config`: packed bytes. Returns the Result, whatever its status."""
        return self.ioctl(IOCTL_SET, None, config)

    def set_atomic(self, config):
        return self.ioctl(IOCTL_SET_ATOMIC, None, config)

    def drops(self, count=64):
        """The drop counters by number of the reason, at most `count`."""
        result = self.ioctl(IOCTL_DROPS, None, bytes(8 + 8 * count)).check()
        return list(struct.unpack_from(f"<{(result.information - 8) // 8}Q", result.out, 8))

    def events_async(self, after, room=16):
        return self.ioctl_async(IOCTL_EVENTS, struct.pack("<Q", after), bytes(EVENTS_FORMAT.size + room * EVENT_FORMAT.size))

    def events(self, after, room=16):
        """The events after that one, which there have to be."""
        result = self.events_async(after, room).wait().check()
        return Events(result.out[:result.information])

    def state(self, verb):
        """Sets DOWN or UP (returns the status), or returns the state for QUERY."""
        if verb == STATE_QUERY:
            return struct.unpack("<I", self.ioctl(IOCTL_STATE, struct.pack("<I", verb), bytes(4)).check().out)[0]
        return self.ioctl(IOCTL_STATE, struct.pack("<I", verb), None).status

    def log_async(self):
        return self.ioctl_async(IOCTL_LOG, None, bytes(128))


class Events:
    """The answer to an EVENTS request: last, lost, and events as (sequence, timestamp, kind, value, public key, endpoint)."""

    def __init__(self, data):
        self.version, step, self.last, self.lost, count = EVENTS_FORMAT.unpack_from(data)
        self.events = [EVENT_FORMAT.unpack_from(data, EVENTS_FORMAT.size + i * step) for i in range(count)]

    def kinds(self):
        return [(kind, value) for _, _, kind, value, _, _ in self.events]


class Control:
    """A connection to NAME.ctl."""

    def __init__(self, name, directory="/var/run/wireguard", timeout=10):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(f"{directory}/{name}.ctl")
        self.next_id = 1
        self.answers = {}
        self.partial = b""
        self.lock = threading.RLock()
        reply = self.call(HELLO, struct.pack("<I", 1))
        _, self.version, self.verify, self.cpus, raw = struct.unpack("<IIII16s", reply)
        self.name = raw.split(b"\0")[0].decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.disconnect()

    def disconnect(self):
        self.socket.close()

    def send(self, operation, payload=b""):
        with self.lock:
            request = self.next_id
            self.next_id += 1
            self.socket.settimeout(30)
            self.socket.sendall(HEADER.pack(len(payload), operation, request) + payload)
            return request

    def _read(self, timeout):
        """One more frame into self.answers. False: time-out; what was read of a frame is kept."""
        self.socket.settimeout(timeout if timeout > 0 else 0.001)
        try:
            while True:
                if len(self.partial) >= HEADER.size:
                    length, operation, request = HEADER.unpack_from(self.partial)
                    if len(self.partial) >= HEADER.size + length:
                        self.answers[request] = operation, self.partial[HEADER.size:HEADER.size + length]
                        self.partial = self.partial[HEADER.size + length:]
                        return True
                data = self.socket.recv(1 << 20)
                if not data:
                    raise ConnectionError("nthost closed the control connection")
                self.partial += data
        except (TimeoutError, BlockingIOError):
            return False

    def arrived(self, request, timeout):
        with self.lock:
            while request not in self.answers:
                if not self._read(timeout):
                    return False
            return True

    def receive(self, request, operation, timeout=30):
        """The payload of the answer to `request`."""
        with self.lock:
            while request not in self.answers:
                if not self._read(timeout):
                    raise TimeoutError(f"no answer to operation {operation} in {timeout} s")
            got, payload = self.answers.pop(request)
        if got == REFUSED:
            raise Refused(payload.decode())
        assert got == operation | REPLY, (got, operation)
        return payload

    def call(self, operation, payload=b"", timeout=30):
        return self.receive(self.send(operation, payload), operation, timeout)

    def status(self, operation, payload=b"", timeout=30):
        """The (unsigned) status that an operation without results answers."""
        return struct.unpack_from("<I", self.call(operation, payload, timeout))[0]

    def open(self, system=True, administrator=True, integrity=0x4000, process32=False):
        status, handle = struct.unpack("<II", self.call(OPEN, struct.pack(
            "<BBBBI", system, administrator, process32, 0, integrity)))
        if status & 0x80000000:
            raise StatusError(status)
        return File(self, handle)

    def pnp(self, minor):
        return self.status(PNP, struct.pack("<I", minor))

    def power(self, minor, state):
        return self.status(POWER, struct.pack("<II", minor, state))

    def pause(self):
        return self.status(PAUSE)

    def restart(self):
        return self.status(RESTART)

    def surprise_remove(self):
        return self.status(SURPRISE_REMOVE)

    def lose_sockets(self):
        """The system takes the driver's sockets away."""
        return self.status(LOSE_SOCKETS)

    def stop(self):
        """Ends the host as SIGTERM does."""
        return self.status(STOP)

    def oid(self, oid, length=0, data=None):
        """(status, bytes, buffer): sets the OID when `data` is given, else queries `length` bytes."""
        given = data or b""
        length = max(length, len(given))
        payload = self.call(OID, struct.pack("<IIII", data is not None, oid, length, len(given)) + given)
        status, count, length = struct.unpack_from("<III", payload)
        return status, count, payload[12:12 + length]

    def link_up(self):
        return struct.unpack("<II", self.call(LINK))[1] == 1

    def counters(self):
        """{name: (total, now, peak)}"""
        payload = self.call(COUNTERS)
        count = struct.unpack_from("<II", payload)[1]
        counters = {}
        for index in range(count):
            name, total, now, peak = struct.unpack_from("<32sQqq", payload, 8 + 56 * index)
            counters[name.split(b"\0")[0].decode()] = total, now, peak
        return counters
