"""Makes an adapter, configures it, brings it up and reads its configuration back.  Run it as an elevated administrator with
wyrm.dll beside it: python sample.py.  Python 3.8 or later, nothing but its own library."""

import ctypes
import os
import secrets
import socket
import struct
import sys

WIREGUARD_KEY_LENGTH = 32
WIREGUARD_ADAPTER_STATE_UP = 1
WIREGUARD_INTERFACE_HAS_PRIVATE_KEY = 1 << 1
WIREGUARD_INTERFACE_HAS_LISTEN_PORT = 1 << 2
WIREGUARD_INTERFACE_REPLACE_PEERS = 1 << 3
WIREGUARD_PEER_HAS_PUBLIC_KEY = 1 << 0
WIREGUARD_PEER_HAS_PERSISTENT_KEEPALIVE = 1 << 2
WIREGUARD_PEER_HAS_ENDPOINT = 1 << 3
WIREGUARD_PEER_REPLACE_ALLOWED_IPS = 1 << 5
AF_INET = 2  # socket.AF_INET is the same on Windows
BUFFER_BYTES = 65536


class SOCKADDR_INET(ctypes.Structure):
    _fields_ = [("si_family", ctypes.c_uint16), ("Port", ctypes.c_uint16), ("Rest", ctypes.c_uint32 * 6)]


class WIREGUARD_INTERFACE(ctypes.Structure):
    _fields_ = [("Flags", ctypes.c_uint32), ("ListenPort", ctypes.c_uint16),
                ("PrivateKey", ctypes.c_uint8 * WIREGUARD_KEY_LENGTH), ("PublicKey", ctypes.c_uint8 * WIREGUARD_KEY_LENGTH),
                ("PeersCount", ctypes.c_uint32), ("Padding", ctypes.c_uint32)]


class WIREGUARD_PEER(ctypes.Structure):
    _fields_ = [("Flags", ctypes.c_uint32), ("Reserved", ctypes.c_uint32),
                ("PublicKey", ctypes.c_uint8 * WIREGUARD_KEY_LENGTH), ("PresharedKey", ctypes.c_uint8 * WIREGUARD_KEY_LENGTH),
                ("PersistentKeepalive", ctypes.c_uint16), ("Endpoint", SOCKADDR_INET), ("TxBytes", ctypes.c_uint64),
                ("RxBytes", ctypes.c_uint64), ("LastHandshake", ctypes.c_uint64), ("AllowedIPsCount", ctypes.c_uint32),
                ("Padding", ctypes.c_uint32)]


class WIREGUARD_ALLOWED_IP(ctypes.Structure):
    _fields_ = [("Address", ctypes.c_uint8 * 16), ("AddressFamily", ctypes.c_uint16), ("Cidr", ctypes.c_uint8),
                ("Flags", ctypes.c_uint32)]


def load():
    """The DLL with its functions' types; without them ctypes would cut handles to 32 bits."""
    dll = ctypes.WinDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "wyrm.dll"), use_last_error=True)
    handle, number = ctypes.c_void_p, ctypes.c_uint32
    for name, result, *arguments in (
            ("WireGuardCreateAdapter", handle, ctypes.c_wchar_p, ctypes.c_wchar_p, ctypes.c_void_p),
            ("WireGuardCloseAdapter", None, handle),
            ("WireGuardSetAdapterState", ctypes.c_int, handle, ctypes.c_int),
            ("WireGuardSetConfiguration", ctypes.c_int, handle, ctypes.c_void_p, number),
            ("WireGuardGetConfiguration", ctypes.c_int, handle, ctypes.c_void_p, ctypes.POINTER(number))):
        function = getattr(dll, name)
        function.restype, function.argtypes = result, arguments
    return dll


def configuration():
    """An interface with a key of its own and one peer."""
    peer = WIREGUARD_PEER(
        Flags=WIREGUARD_PEER_HAS_PUBLIC_KEY | WIREGUARD_PEER_HAS_ENDPOINT | WIREGUARD_PEER_HAS_PERSISTENT_KEEPALIVE
        | WIREGUARD_PEER_REPLACE_ALLOWED_IPS, PersistentKeepalive=25, AllowedIPsCount=1)
    peer.PublicKey[:] = [0x42] * WIREGUARD_KEY_LENGTH  # the key that the peer's owner told you
    peer.Endpoint.si_family, peer.Endpoint.Port = AF_INET, socket.htons(51820)
    peer.Endpoint.Rest[0] = struct.unpack("=I", socket.inet_aton("192.0.2.1"))[0]
    allowed = WIREGUARD_ALLOWED_IP(AddressFamily=AF_INET, Cidr=24)
    allowed.Address[:4] = list(socket.inet_aton("10.72.0.0"))
    config = WIREGUARD_INTERFACE(
        Flags=WIREGUARD_INTERFACE_HAS_PRIVATE_KEY | WIREGUARD_INTERFACE_HAS_LISTEN_PORT | WIREGUARD_INTERFACE_REPLACE_PEERS,
        ListenPort=51820, PeersCount=1)
    config.PrivateKey[:] = list(secrets.token_bytes(WIREGUARD_KEY_LENGTH))
    return bytes(config) + bytes(peer) + bytes(allowed)


def show(data):
    """Interface, then each peer with its prefixes behind it."""
    config = WIREGUARD_INTERFACE.from_buffer_copy(data)
    at = ctypes.sizeof(config)
    print(f"port {config.ListenPort}, {config.PeersCount} peers")
    for _ in range(config.PeersCount):
        peer = WIREGUARD_PEER.from_buffer_copy(data, at)
        at += ctypes.sizeof(peer)
        print(f"peer {peer.PublicKey[0]:02x}...: keepalive {peer.PersistentKeepalive} s, {peer.TxBytes} bytes sent, "
              f"{peer.RxBytes} received")
        for _ in range(peer.AllowedIPsCount):
            allowed = WIREGUARD_ALLOWED_IP.from_buffer_copy(data, at)
            at += ctypes.sizeof(allowed)
            if allowed.AddressFamily == AF_INET:
                print(f"  allowed {socket.inet_ntoa(bytes(allowed.Address[:4]))}/{allowed.Cidr}")


def main():
    dll = load()
    adapter = dll.WireGuardCreateAdapter("Sample", "Sample", None)
    if not adapter:
        raise ctypes.WinError(ctypes.get_last_error())
    try:
        config = configuration()
        if not (dll.WireGuardSetConfiguration(adapter, config, len(config))
                and dll.WireGuardSetAdapterState(adapter, WIREGUARD_ADAPTER_STATE_UP)):
            raise ctypes.WinError(ctypes.get_last_error())
        words = (ctypes.c_uint64 * (BUFFER_BYTES // 8))()  # aligned to 8 bytes
        length = ctypes.c_uint32(BUFFER_BYTES)
        if not dll.WireGuardGetConfiguration(adapter, words, ctypes.byref(length)):
            raise ctypes.WinError(ctypes.get_last_error())  # ERROR_MORE_DATA: again with `length` bytes
        show(bytes(words)[:length.value])
    finally:
        dll.WireGuardCloseAdapter(adapter)  # and the adapter is gone


if __name__ == "__main__":
    sys.exit(main())
