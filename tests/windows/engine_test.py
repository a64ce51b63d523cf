#!/usr/bin/python3
"""wyrm-engine.exe under Wine, with a stand-in for wintun.dll (tests/windows/wintun), against WireGuard on Linux over loopback:
handshakes of both roles, both families, pings, large and many packets, its control pipe, its messages and exit codes."""

import base64
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wine as windows  # noqa: E402
import netlab  # noqa: E402

NAME = "office tunnel"
PIPE = "\\\\.\\pipe\\ProtectedPrefix\\Administrators\\Wyrm\\"
HERE, THERE, HERE6, THERE6 = "10.77.0.2", "10.77.0.1", "fd77::2", "fd77::1"


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo_request(number, size, source=HERE, destination=THERE):
    body = struct.pack("!BBHHH", 8, 0, 0, 77, number) + bytes(number + i & 255 for i in range(size))
    body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), number, 0, 64, 1, 0, socket.inet_aton(source),
                         socket.inet_aton(destination))
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + body


def answer_to(packet):
    """The answer of a host to an echo request, or None."""
    if packet[0] >> 4 == 4 and packet[9] == 1 and packet[20] == 8:
        body = b"\0\0\0\0" + packet[24:]
        body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
        return packet[:12] + packet[16:20] + packet[12:16] + body
    if packet[0] >> 4 == 6 and packet[6] == 58 and packet[40] == 128:
        body = b"\x81\0\0\0" + packet[44:]
        addresses = packet[24:40] + packet[8:24]
        pseudo = addresses + struct.pack("!II", len(body), 58)
        body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
        return packet[:8] + addresses + body
    return None


class Host:
    """What stands behind the stand-in's adapter: answers pings, keeps the answers to its own."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.adapter, self.ended, self.replies = None, False, {}
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            packet, self.adapter = self.socket.recvfrom(65536)
            if packet == b"end":
                self.ended = True
            elif len(packet) >= 28:
                answer = answer_to(packet)
                if answer:
                    self.socket.sendto(answer, self.adapter)
                elif packet[0] >> 4 == 4 and packet[9] == 1 and packet[20] == 0:
                    self.replies[struct.unpack("!H", packet[26:28])[0]] = packet[28:]

    def ping(self, count, size, patience=10):
        """How many of the pings are answered with their own bytes."""
        self.replies = {}
        for number in range(count):
            self.socket.sendto(echo_request(number, size), self.adapter)
            if number % 16 == 15:  # the kernel's buffer of the stand-in's socket is small, and Wine is slow
                time.sleep(0.03)
        deadline = time.monotonic() + patience
        while len(self.replies) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        return sum(echo_request(number, size)[28:] == reply for number, reply in self.replies.items())


def hexadecimal(key):
    return base64.b64decode(key).hex()


class Engine:
    def __init__(self, run, wine, host, name=NAME):
        self.log = os.path.join(run, "engine.log")
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen(
                [windows.WINE, "C:\\engine\\wyrm-engine.exe", "--stdin", "--verbose", name], stdin=subprocess.PIPE,
                stdout=output, stderr=subprocess.STDOUT, env=dict(wine.environment, WYRM_WINTUN_PORT=str(host.port)))

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def end(self):
        """Its status once its standard input has ended; 124: none."""
        self.process.stdin.close()
        try:
            return self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return 124


def control(run, wine, request, name=NAME):
    path = os.path.join(run, "answer")
    with open(path, "wb") as output:
        subprocess.run([windows.WINE, windows.windows_path(os.path.join(windows.PROGRAMS, "pipe_client.exe")), PIPE + name],
                       input=request.encode(), stdout=output, stderr=subprocess.STDOUT, env=wine.environment, timeout=20,
                       check=False)
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().replace("\r", "")


def value(answer, key):
    match = re.search(rf"^{key}=(.*)$", answer, re.M)
    return match.group(1) if match else None


def tunnel(tests, lab, run, wine, kind, number):
    host = Host()
    other = netlab.Peer(lab, None, kind, f"o{number}", [f"{THERE}/24", f"{THERE6}/64"], port=52000 + number)
    other.wg("set", "listen-port", str(other.port), "private-key", "/dev/stdin", input_text=other.private)
    private, public = netlab.genkey()
    engine = Engine(run, wine, host)
    lab.wait_for(lambda: "ready" in engine.text() or engine.process.poll() is not None, "the engine to be ready", 20)
    tests.check("ready" in engine.text(), f"{kind}: ready is said")
    answer = control(run, wine, f"set=1\nprivate_key={hexadecimal(private)}\nlisten_port={53000 + number}\n"
                     f"public_key={hexadecimal(other.public)}\nendpoint=127.0.0.1:{other.port}\n"
                     f"allowed_ip={THERE}/32\nallowed_ip={THERE6}/128\n\n")
    tests.check(answer == "errno=0\n\n", f"{kind}: the pipe takes a configuration ({answer!r})")
    other.wg("set", "peer", public, "allowed-ips", f"{HERE}/32,{HERE6}/128")
    tests.check(host.ping(3, 56) == 3, f"{kind}: pings from Windows, which starts the handshake")
    answered = host.ping(200, 1300)
    tests.check(host.ping(1, 56) == 1 and len(host.replies) == 1, f"{kind}: nothing was left behind ({len(host.replies)})")
    tests.check(answered >= 190, f"{kind}: 200 large pings, 16 at once: {answered} answered")
    answer = control(run, wine, "get=1\n\n")
    tests.check(value(answer, "errno") == "0" and int(value(answer, "rx_bytes") or 0) > 190 * 1300,
                f"{kind}: the pipe tells what was received")
    tests.check(value(answer, "listen_port") == str(53000 + number), f"{kind}: and the port")
    ping = lab.command(["ping", "-c", "3", "-i", "0.2", "-W", "3", HERE], check=False)
    tests.check(" 3 received" in ping.stdout, f"{kind}: pings from Linux")
    other.wg("set", "peer", public, "remove")
    other.wg("set", "peer", public, "allowed-ips", f"{HERE}/32,{HERE6}/128", "endpoint",
             f"[::1]:{53000 + number}")
    ping = lab.command(["ping", "-6", "-c", "3", "-i", "0.2", "-W", "5", HERE6], check=False)
    tests.check(" 3 received" in ping.stdout, f"{kind}: over IPv6, Linux starts the handshake")
    answer = control(run, wine, "get=1\n\n")
    tests.check((value(answer, "endpoint") or "").startswith("[::1]:"), f"{kind}: the endpoint was learned")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", 54000 + number))
        answer = control(run, wine, f"set=1\nlisten_port={54000 + number}\n\n")
        # EADDRINUSE of the C runtime of Windows
        tests.check(value(answer, "errno") == "-100", f"{kind}: a port that is taken is refused, and why ({answer!r})")
    tests.check(host.ping(1, 56) == 1, f"{kind}: and the one before is kept")
    answer = control(run, wine, f"set=1\npublic_key={hexadecimal(other.public)}\npersistent_keepalive_interval=1\n\n")
    time.sleep(1.5)
    before = other.dump()[public]["rx"]
    time.sleep(4)
    tests.check(other.dump()[public]["rx"] - before >= 3 * 32, f"{kind}: keepalives go out though nothing else wakes it")
    answer = control(run, wine, "set=1\nlisten_port=70000\n\n")
    tests.check((value(answer, "errno") or "0") != "0", f"{kind}: a wrong port is refused")
    tests.check(private not in engine.text() and hexadecimal(private) not in engine.text(), f"{kind}: no key in messages")
    tests.check(engine.end() == 0 and host.ended, f"{kind}: it ends with its input, and its session")
    other.stop()


def adapter_ends(tests, lab, run, wine):
    """Somebody removes the adapter: the engine says so and ends."""
    host = Host()
    engine = Engine(run, wine, host)
    lab.wait_for(lambda: "ready" in engine.text() and host.adapter or engine.process.poll() is not None, "the engine to be ready", 20)
    host.socket.sendto(b"end", host.adapter)
    try:
        status = engine.process.wait(15)
    except subprocess.TimeoutExpired:
        status = engine.end()
    tests.check(status == 0 and "the interface was deleted" in engine.text(), f"a removed adapter ends it: {status}, {engine.text()[-300:]!r}")


def messages(tests, wine, folder):
    program = "C:\\engine\\wyrm-engine.exe"
    for arguments, status, text in (([], 2, "1 to 127 bytes"), (["a\\b"], 2, "1 to 127 bytes"), (["a", "b"], 2, "one name"),
                                    (["--help"], 0, "Exit status"), (["--version"], 0, "wyrm-engine "),
                                    (["taken"], 1, "already serves an adapter")):
        output, got = wine.run(program, *arguments, timeout=20)
        tests.check(got == status and text in output, f"arguments {arguments}: status {status} and \"{text}\"")
    os.unlink(os.path.join(folder, "wintun.dll"))
    output, status = wine.run(program, NAME, timeout=20)
    tests.check(status == 3 and "wintun.dll is missing" in output, f"without wintun.dll: status 3 and a message ({status})")


def main():
    if os.environ.get("WYRM_ENGINE_TEST_NAMESPACE") != "1":  # Wine's server holds the sockets: all of it moves
        os.execvpe("unshare", ["unshare", "--net", sys.executable, os.path.abspath(__file__)],
                   dict(os.environ, WYRM_ENGINE_TEST_NAMESPACE="1"))
    netlab.require()
    tests, lab = netlab.Tests(), netlab.Lab()
    lab.command(["ip", "link", "set", "lo", "up"])
    run = tempfile.mkdtemp(prefix="wyrm-engine-windows-")
    wine = None
    try:
        wine = windows.Wine(run)
        folder = os.path.join(wine.prefix, "drive_c", "engine")
        wine.replace(os.path.join(windows.BIN, "wyrm-engine.exe"), os.path.join(folder, "wyrm-engine.exe"))
        wine.replace(os.path.join(windows.PROGRAMS, "wintun.dll"), os.path.join(folder, "wintun.dll"))
        for number, kind in enumerate(("wireguard-go", "wyrm-engine")):
            tunnel(tests, lab, run, wine, kind, number)
        adapter_ends(tests, lab, run, wine)
        messages(tests, wine, folder)
    finally:
        if wine:
            wine.close()
        lab.close()
        shutil.rmtree(run, ignore_errors=True)
    return tests.finish()


if __name__ == "__main__":
    sys.exit(main())
