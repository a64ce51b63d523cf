#!/usr/bin/python3
"""Traffic that knows what must arrive: TCP streams whose far end answers with the SHA-256 of what it got, in parallel if
wanted, and numbered UDP datagrams of many sizes that come back unchanged.  Servers say "ready" and run until they are ended;
clients end with status 0 only when every byte was right, and say on one line what they moved or what was wrong.

  netload.py tcp-server ADDRESS PORT
  netload.py tcp-client ADDRESS PORT BYTES [STREAMS]
  netload.py udp-server ADDRESS PORT
  netload.py udp-client ADDRESS PORT COUNT WINDOW SIZE...
"""

import hashlib
import random
import socket
import struct
import sys
import threading

CHUNK = 65536
QUIET_SECONDS = 20  # a loaded machine is slow; a stuck tunnel is silent


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def read_exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise OSError(f"the connection ended after {len(data)} of {count} bytes")
        data += more
    return data


def serve_stream(connection):
    with connection:
        connection.settimeout(QUIET_SECONDS)
        left = struct.unpack("!Q", read_exactly(connection, 8))[0]
        digest = hashlib.sha256()
        while left:
            data = connection.recv(min(CHUNK, left))
            if not data:
                return
            digest.update(data)
            left -= len(data)
        connection.sendall(digest.digest())


def tcp_server(address, port):
    listener = socket.create_server((address, int(port)), family=family(address), backlog=64)
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve_stream, args=(connection,), daemon=True).start()


def tcp_stream(address, port, count, seed, errors):
    try:
        generator, digest = random.Random(seed), hashlib.sha256()
        block = generator.randbytes(CHUNK)
        with socket.create_connection((address, port), QUIET_SECONDS) as connection:
            connection.sendall(struct.pack("!Q", count))
            left = count
            while left:
                # Every chunk differs, so that a chunk in a wrong place shows.
                data = (struct.pack("!Q", left) + block)[:min(CHUNK, left)]
                connection.sendall(data)
                digest.update(data)
                left -= len(data)
            if read_exactly(connection, 32) != digest.digest():
                errors.append(f"stream {seed}: what arrived is not what was sent")
    except OSError as error:
        errors.append(f"stream {seed}: {error}")


def tcp_client(address, port, count, streams="1"):
    errors = []
    threads = [threading.Thread(target=tcp_stream, args=(address, int(port), int(count), seed, errors))
               for seed in range(int(streams))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("; ".join(errors) if errors else f"{int(count) * len(threads)} bytes in {len(threads)} streams", flush=True)
    return 1 if errors else 0


def udp_socket(address):
    udp = socket.socket(family(address), socket.SOCK_DGRAM)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        udp.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
    return udp


def udp_server(address, port):
    udp = udp_socket(address)
    udp.bind((address, int(port)))
    print("ready", flush=True)
    while True:
        data, client = udp.recvfrom(65536)
        udp.sendto(data, client)


def datagram(number, size):
    return (struct.pack("!II", number, size) + random.Random(number).randbytes(size))[:max(8, size)]


def udp_client(address, port, count, window, *sizes):
    count, window = int(count), int(window)
    udp = udp_socket(address)
    udp.connect((address, int(port)))
    udp.settimeout(QUIET_SECONDS)
    expected, sent, arrived = {}, 0, 0
    while arrived < count:
        while sent < count and len(expected) < window:
            data = datagram(sent, int(sizes[sent % len(sizes)]))
            expected[sent] = data
            udp.send(data)
            sent += 1
        try:
            data = udp.recv(65536)
        except OSError as error:
            print(f"{arrived} of {sent} datagrams came back, then: {error}", flush=True)
            return 1
        number = struct.unpack("!I", data[:4])[0]
        if expected.pop(number, None) != data:
            print(f"datagram {number} came back changed, or twice", flush=True)
            return 1
        arrived += 1
    print(f"{arrived} datagrams there and back", flush=True)
    return 0


def main():
    commands = {"tcp-server": tcp_server, "tcp-client": tcp_client, "udp-server": udp_server, "udp-client": udp_client}
    if len(sys.argv) < 4 or sys.argv[1] not in commands:
        print(__doc__, file=sys.stderr)
        return 2
    return commands[sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
