"""A scripted WireGuard peer: both roles, every message, MACs, cookies and data, with each key, ephemeral, index, timestamp
and counter in the hands of the test.  Written from the white paper alone (section numbers below are its), over Debian's
python3-cryptography and hashlib's BLAKE2s; it shares nothing with the implementation that it tests.

    us = Peer(private, their_public)
    message = us.create_initiation()
    session = us.consume_response(answer)
    datagram = session.seal(packet)
"""

import base64
import hashlib
import hmac
import os
import struct
import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

INITIATION, RESPONSE, COOKIE_REPLY, DATA = 1, 2, 3, 4
INITIATION_BYTES, RESPONSE_BYTES, COOKIE_REPLY_BYTES = 148, 92, 64
DATA_HEADER_BYTES, TAG_BYTES = 16, 16
MACS_BYTES = 32  # mac1 and mac2, at the end of initiation and response
REJECT_AFTER_MESSAGES = 2**64 - 2**13 - 1

CONSTRUCTION = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"
LABEL_MAC1, LABEL_COOKIE = b"mac1----", b"cookie--"
EPSILON = b""


class ProtocolError(Exception):
    """A message that an honest peer refuses; the text says why."""


# ---- 5.4: functions and constants ----
def hash_of(*parts):
    return hashlib.blake2s(b"".join(parts)).digest()


def mac(key, data):
    return hashlib.blake2s(data, key=key, digest_size=16).digest()


def hmac_of(key, data):
    return hmac.new(key, data, hashlib.blake2s).digest()


def kdf(count, key, data):
    """Kdf1, Kdf2, Kdf3: a list of `count` 32-byte outputs."""
    extracted = hmac_of(key, data)
    outputs = [hmac_of(extracted, b"\x01")]
    while len(outputs) < count:
        outputs.append(hmac_of(extracted, outputs[-1] + bytes([len(outputs) + 1])))
    return outputs


def nonce_of(counter):
    return bytes(4) + struct.pack("<Q", counter)


def seal(key, counter, plain, associated):
    return ChaCha20Poly1305(key).encrypt(nonce_of(counter), plain, associated)


def unseal(key, counter, sealed, associated, what):
    try:
        return ChaCha20Poly1305(key).decrypt(nonce_of(counter), sealed, associated)
    except InvalidTag as error:
        raise ProtocolError(f"{what} does not authenticate") from error


def hchacha20(key, nonce16):
    """draft-irtf-cfrg-xchacha-03, section 2.2."""
    state = list(struct.unpack("<4I", b"expand 32-byte k") + struct.unpack("<8I", key) + struct.unpack("<4I", nonce16))

    def quarter(a, b, c, d):
        for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[x] = (state[x] + state[y]) & 0xFFFFFFFF
            value = state[z] ^ state[x]
            state[z] = (value << turn | value >> (32 - turn)) & 0xFFFFFFFF

    for _ in range(10):
        for column in range(4):
            quarter(column, column + 4, column + 8, column + 12)
        for column in range(4):
            quarter(column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4)
    return struct.pack("<8I", *(state[:4] + state[12:]))


def xseal(key, nonce24, plain, associated):
    return ChaCha20Poly1305(hchacha20(key, nonce24[:16])).encrypt(bytes(4) + nonce24[16:], plain, associated)


def xunseal(key, nonce24, sealed, associated):
    try:
        return ChaCha20Poly1305(hchacha20(key, nonce24[:16])).decrypt(bytes(4) + nonce24[16:], sealed, associated)
    except InvalidTag as error:
        raise ProtocolError("the cookie does not authenticate") from error


def dh(private, public):
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))


def public_of(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def generate_private():
    """A clamped private key."""
    key = X25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return bytes([key[0] & 0xF8]) + key[1:31] + bytes([key[31] & 0x7F | 0x40])


def tai64n(seconds=None):
    """TAI64N of a Unix time (default: now)."""
    seconds = time.time() if seconds is None else seconds
    whole = int(seconds)
    return struct.pack(">QI", (1 << 62) + 10 + whole, int((seconds - whole) * 1e9))


def message_type(message):
    return struct.unpack_from("<I", message)[0] if len(message) >= 4 else None


# ---- 5.4.4, 5.4.7: MACs and cookies ----
def add_macs(body, receiver_public, cookie=None):
    """`body`: an initiation or response without its MACs."""
    with_mac1 = body + mac(hash_of(LABEL_MAC1, receiver_public), body)
    return with_mac1 + (mac(cookie, with_mac1) if cookie else bytes(16))


def mac1_is_valid(message, receiver_public):
    return message[-32:-16] == mac(hash_of(LABEL_MAC1, receiver_public), message[:-32])


def mac2_is_valid(message, cookie):
    return message[-16:] == mac(cookie, message[:-16])


def create_cookie_reply(message, our_public, cookie, nonce=None):
    """Answers an initiation or response that came to `our_public`."""
    nonce = nonce or os.urandom(24)
    sealed = xseal(hash_of(LABEL_COOKIE, our_public), nonce, cookie, message[-32:-16])
    return struct.pack("<I", COOKIE_REPLY) + message[4:8] + nonce + sealed


def open_cookie_reply(reply, sent_message, their_public):
    """The cookie, from the answer of `their_public` to a message that we sent."""
    if len(reply) != COOKIE_REPLY_BYTES or message_type(reply) != COOKIE_REPLY:
        raise ProtocolError("not a cookie reply")
    if reply[4:8] != sent_message[4:8]:
        raise ProtocolError("a cookie reply for somebody else")
    return xunseal(hash_of(LABEL_COOKIE, their_public), reply[8:32], reply[32:], sent_message[-32:-16])


# ---- 5.4.6: data ----
class Session:
    """Transport keys and counters of one finished handshake."""

    def __init__(self, send_key, receive_key, local_index, remote_index):
        self.send_key, self.receive_key = send_key, receive_key
        self.local_index, self.remote_index = local_index, remote_index
        self.counter = 0  # the next one that seal() takes by itself

    def seal(self, packet=b"", counter=None, pad=True, index=None):
        """A data message; `counter` and `index` may be any value, the automatic counter then stays."""
        if counter is None:
            counter = self.counter
            self.counter += 1
        if pad:
            packet += bytes(-len(packet) % 16)
        header = struct.pack("<IIQ", DATA, self.remote_index if index is None else index, counter)
        return header + seal(self.send_key, counter, packet, b"")

    def open(self, message):
        """(counter, plaintext with its padding)."""
        kind, index, counter = struct.unpack_from("<IIQ", message)
        if kind != DATA or index != self.local_index:
            raise ProtocolError(f"not a data message of this session (type {kind:#x}, index {index:#x})")
        return counter, unseal(self.receive_key, counter, message[16:], b"", "data")


# ---- 5.4.2, 5.4.3: the handshake ----
class Handshake:
    """What one side knows in the middle of a handshake."""

    def __init__(self, chaining, transcript):
        self.chaining, self.transcript = chaining, transcript
        self.ephemeral = self.remote_ephemeral = None
        self.local_index = self.remote_index = None
        self.timestamp = None
        self.message = None

    def mix_hash(self, data):
        self.transcript = hash_of(self.transcript, data)

    def mix_key(self, data):
        self.chaining, = kdf(1, self.chaining, data)

    def mix_key_and_key(self, data):
        self.chaining, key = kdf(2, self.chaining, data)
        return key

    @classmethod
    def begin(cls, responder_public):
        chaining = hash_of(CONSTRUCTION)
        return cls(chaining, hash_of(hash_of(chaining, IDENTIFIER), responder_public))


class Peer:
    """Our static key pair and the remote's public key; the state of the handshakes is in what the verbs return."""

    def __init__(self, private, remote_public, psk=bytes(32)):
        self.private, self.public = private, public_of(private)
        self.remote_public, self.psk = remote_public, psk
        self.cookie = None      # of the remote's; goes into mac2
        self.handshake = None   # the one that we began last
        self.ephemerals = []    # every private ephemeral that was used, for key logs

    def _ephemeral(self, given):
        private = given or generate_private()
        self.ephemerals.append(private)
        return private

    def create_initiation(self, timestamp=None, index=None, ephemeral=None):
        state = Handshake.begin(self.remote_public)
        state.ephemeral = self._ephemeral(ephemeral)
        state.local_index = int.from_bytes(os.urandom(4), "little") if index is None else index
        state.timestamp = timestamp or tai64n()
        public = public_of(state.ephemeral)
        state.mix_key(public)
        state.mix_hash(public)
        key = state.mix_key_and_key(dh(state.ephemeral, self.remote_public))
        sealed_static = seal(key, 0, self.public, state.transcript)
        state.mix_hash(sealed_static)
        key = state.mix_key_and_key(dh(self.private, self.remote_public))
        sealed_timestamp = seal(key, 0, state.timestamp, state.transcript)
        state.mix_hash(sealed_timestamp)
        body = struct.pack("<II", INITIATION, state.local_index) + public + sealed_static + sealed_timestamp
        state.message = add_macs(body, self.remote_public, self.cookie)
        self.handshake = state
        return state.message

    def consume_initiation(self, message):
        """The responder's state of a valid initiation of our remote."""
        if len(message) != INITIATION_BYTES or message_type(message) != INITIATION:
            raise ProtocolError("not an initiation")
        if not mac1_is_valid(message, self.public):
            raise ProtocolError("mac1 is wrong")
        state = Handshake.begin(self.public)
        state.remote_index = struct.unpack_from("<I", message, 4)[0]
        state.remote_ephemeral = message[8:40]
        state.mix_key(state.remote_ephemeral)
        state.mix_hash(state.remote_ephemeral)
        key = state.mix_key_and_key(dh(self.private, state.remote_ephemeral))
        static = unseal(key, 0, message[40:88], state.transcript, "static key")
        if static != self.remote_public:
            raise ProtocolError("an initiation of another peer")
        state.mix_hash(message[40:88])
        key = state.mix_key_and_key(dh(self.private, static))
        state.timestamp = unseal(key, 0, message[88:116], state.transcript, "timestamp")
        state.mix_hash(message[88:116])
        state.message = message
        return state

    def create_response(self, state, index=None, ephemeral=None):
        """(response, session) for a state of consume_initiation."""
        state.ephemeral = self._ephemeral(ephemeral)
        state.local_index = int.from_bytes(os.urandom(4), "little") if index is None else index
        public = public_of(state.ephemeral)
        state.mix_key(public)
        state.mix_hash(public)
        state.mix_key(dh(state.ephemeral, state.remote_ephemeral))
        state.mix_key(dh(state.ephemeral, self.remote_public))
        state.chaining, temporary, key = kdf(3, state.chaining, self.psk)
        state.mix_hash(temporary)
        sealed_nothing = seal(key, 0, b"", state.transcript)
        state.mix_hash(sealed_nothing)
        body = struct.pack("<III", RESPONSE, state.local_index, state.remote_index) + public + sealed_nothing
        receive_key, send_key = kdf(2, state.chaining, EPSILON)
        return (add_macs(body, self.remote_public, self.cookie),
                Session(send_key, receive_key, state.local_index, state.remote_index))

    def consume_response(self, message, state=None):
        """The session of the handshake that we began (the last one, unless `state` names another)."""
        state = state or self.handshake
        if len(message) != RESPONSE_BYTES or message_type(message) != RESPONSE:
            raise ProtocolError("not a response")
        if not mac1_is_valid(message, self.public):
            raise ProtocolError("mac1 is wrong")
        remote_index, receiver = struct.unpack_from("<II", message, 4)
        if receiver != state.local_index:
            raise ProtocolError("a response to another initiation")
        ephemeral = message[12:44]
        chaining, transcript = state.chaining, hash_of(state.transcript, ephemeral)
        for secret in (ephemeral, dh(state.ephemeral, ephemeral), dh(self.private, ephemeral)):
            chaining, = kdf(1, chaining, secret)
        chaining, temporary, key = kdf(3, chaining, self.psk)
        transcript = hash_of(transcript, temporary)
        unseal(key, 0, message[44:60], transcript, "response")
        send_key, receive_key = kdf(2, chaining, EPSILON)
        return Session(send_key, receive_key, state.local_index, remote_index)


# ---- inner packets ----
def checksum(data):
    """RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source, destination, protocol, payload, total_length=None, version=4, identification=0):
    length = 20 + len(payload) if total_length is None else total_length
    header = struct.pack(">BBHHHBBH4s4s", version << 4 | 5, 0, length & 0xFFFF, identification, 0, 64, protocol, 0,
                         bytes(map(int, source.split("."))), bytes(map(int, destination.split("."))))
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + payload


def udp4(source, destination, payload, source_port=9, destination_port=9, **header):
    length = 8 + len(payload)
    pseudo = bytes(map(int, (source + "." + destination).split("."))) + struct.pack(">BBH", 0, 17, length)
    head = struct.pack(">HHHH", source_port, destination_port, length, 0)
    return ipv4(source, destination, 17, head[:6] + struct.pack(">H", checksum(pseudo + head + payload) or 0xFFFF)
                + payload, **header)


def echo4(source, destination, identifier, sequence, payload=b"", reply=False):
    body = struct.pack(">BBHHH", 0 if reply else 8, 0, 0, identifier, sequence) + payload
    return ipv4(source, destination, 1, body[:2] + struct.pack(">H", checksum(body)) + body[4:])


def ipv6(source, destination, next_header, payload, payload_length=None, version=6):
    """`source`, `destination`: 16 bytes."""
    length = len(payload) if payload_length is None else payload_length
    return struct.pack(">IHBB", version << 28, length & 0xFFFF, next_header, 64) + source + destination + payload


# ---- text ----
def base64_of(key):
    return base64.b64encode(key).decode()


def key_log(peer):
    """The lines with which Wireshark's dissector follows the handshakes of a scripted peer (wg.keylog_file)."""
    lines = []
    for ephemeral in peer.ephemerals:
        lines += [f"LOCAL_STATIC_PRIVATE_KEY = {base64_of(peer.private)}",
                  f"REMOTE_STATIC_PUBLIC_KEY = {base64_of(peer.remote_public)}",
                  f"LOCAL_EPHEMERAL_PRIVATE_KEY = {base64_of(ephemeral)}"]
        if peer.psk != bytes(32):
            lines.append(f"PRESHARED_KEY = {base64_of(peer.psk)}")
    return "\n".join(lines) + "\n"
