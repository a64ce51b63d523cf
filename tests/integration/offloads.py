#!/usr/bin/python3
"""The NDIS offloads end to end: TCP and UDP of both families between two Wyrms arrive byte for byte, whichever of the
standard keywords switch segmentation, checksums and coalescing off, on one end or on both, and whatever the system below
makes of UDP_SEND_MSG_SIZE and UDP_RECV_MAX_COALESCED_SIZE."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from driver_log import Log  # noqa: E402
from netlab import DRIVER, NTHOST, Lab, Peer, ping  # noqa: E402
from nthost_control import Control  # noqa: E402
from scenarios import run_scenarios  # noqa: E402

INNER4, INNER6 = ("10.66.0.1", "10.66.0.2"), ("fd66::1", "fd66::2")
MODES = {"verify": ["--verify"], "fast": []}
TCP_BYTES = 6_000_000
UDP_CALLS, UDP_SEGMENT, UDP_SEGMENTS, UDP_LAST = 60, 1200, 20, 700

SEGMENTATION = ["*LsoV2IPv4", "*LsoV2IPv6", "*UsoIPv4", "*UsoIPv6"]
CHECKSUMS = ["*IPChecksumOffloadIPv4", "*TCPChecksumOffloadIPv4", "*TCPChecksumOffloadIPv6", "*UDPChecksumOffloadIPv4",
             "*UDPChecksumOffloadIPv6"]
COALESCING = ["*RscIPv4", "*RscIPv6"]
OFF, TRANSMIT_ONLY, RECEIVE_ONLY = 0, 1, 2  # Microsoft: "Standardized INF Keywords for Task Offloads"

# Serves one TCP connection: what it got is hashed, then the same amount goes back.
TCP_SERVER = """
import hashlib, os, socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.create_server((sys.argv[1], 5000), family=family) as listener:
    print("bound", flush=True)
    listener.settimeout(60)
    connection, _ = listener.accept()
    connection.settimeout(60)
    got, total = hashlib.sha256(), 0
    while data := connection.recv(1 << 20):
        got.update(data)
        total += len(data)
    back = os.urandom(total)
    connection.sendall(back)
    connection.close()
    print(total, got.hexdigest(), hashlib.sha256(back).hexdigest(), flush=True)
"""

TCP_CLIENT = """
import hashlib, os, socket, sys
with socket.create_connection((sys.argv[1], 5000), 60) as connection:
    data = os.urandom(int(sys.argv[2]))
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
    got, total = hashlib.sha256(), 0
    while piece := connection.recv(1 << 20):
        got.update(piece)
        total += len(piece)
    print(total, hashlib.sha256(data).hexdigest(), got.hexdigest(), flush=True)
"""

# Datagrams that say where they belong; prints how many came, and whether each is what the sender made.
UDP_SERVER = """
import hashlib, socket, struct, sys
address, wanted = sys.argv[1], int(sys.argv[2])
s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
s.bind((address, 5001))
print("bound", flush=True)
s.settimeout(20)
seen, wrong = set(), 0
try:
    while len(seen) < wanted:
        data = s.recv(65536)
        number, length = struct.unpack("!II", data[:8])
        body = (hashlib.sha256(data[:8]).digest() * 40)[:length - 8]
        wrong += len(data) != length or data[8:] != body
        seen.add(number)
        s.settimeout(5)
except socket.timeout:
    pass
print(len(seen), wrong, flush=True)
"""

UDP_CLIENT = """
import hashlib, socket, struct, sys, time
address, calls, segment, segments, last = sys.argv[1], *map(int, sys.argv[2:6])
s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_UDP if hasattr(socket, "SOL_UDP") else 17, 103, segment)  # UDP_SEGMENT
def datagram(number, length):
    head = struct.pack("!II", number, length)
    return head + (hashlib.sha256(head).digest() * 40)[:length - 8]
for call in range(calls):
    first = call * segments
    burst = [datagram(first + i, segment if i < segments - 1 else last) for i in range(segments)]
    s.sendto(b"".join(burst), (address, 5001))
    time.sleep(0.005)
"""


class Pair:
    def __init__(self, options, keywords, system=""):
        """`keywords`: a setting for each end; `system`: what is older or broken about both (NTHOST_UDP_OFFLOADS)."""
        self.lab = Lab()
        self.spaces = [self.lab.namespace("here"), self.lab.namespace("there")]
        self.lab.link(*self.spaces, ["192.0.2.1/24"], ["192.0.2.2/24"])
        self.peers = [Peer(self.lab, self.spaces[i], "wyrm", "ab"[i], [INNER4[i] + "/24", INNER6[i] + "/64"],
                           **self.configuration(options, i, keywords[i], system)) for i in (0, 1)]
        for i in (1, 0):
            other = 1 - i
            entry = {"public": self.peers[other].public, "allowed": [INNER4[other] + "/32", INNER6[other] + "/128"]}
            if i == 0:
                entry["endpoint"] = "192.0.2.2:51820"
            self.peers[i].setconf([entry])
        for target in (INNER4[1], INNER6[1]):
            ping(self.lab, self.spaces[0], target, 2, 0.2, check=True)

    @staticmethod
    def configuration(options, end, keywords, system):
        """One end takes them from its command line, the other from the environment."""
        environment = {"NTHOST_UDP_OFFLOADS": system}
        if end:
            return {"options": MODES[options.mode], "environment": environment | {"NTHOST_NDIS_KEYWORDS": keywords}}
        return {"environment": environment, "options": MODES[options.mode] + [word for one in keywords.split(",") if one for word in ("--keyword", one)]}

    def exchange(self, server, client, target, server_arguments, client_arguments):
        """What server and client say at last, as words."""
        processes = [self.lab.start(["/usr/bin/python3", "-c", server, target] + server_arguments, self.spaces[1])]
        self.lab.wait_for(lambda: "bound" in self.lab.output_of(processes[0]), "server", 10, processes[0])
        processes.append(self.lab.start(["/usr/bin/python3", "-c", client, target] + client_arguments, self.spaces[0]))
        for process in reversed(processes):
            process.wait(90)
        return [self.lab.output_of(process).replace("bound", "").split() for process in processes]

    def check(self, tests, what):
        for target in (INNER4[1], INNER6[1]):
            got, sent = self.exchange(TCP_SERVER, TCP_CLIENT, target, [], [str(TCP_BYTES)])
            tests.equal(got, sent, f"{what}: TCP to {target}")
            tests.check(sent[:1] == [str(TCP_BYTES)], f"{what}: TCP to {target}: {sent}")
            wanted = UDP_CALLS * UDP_SEGMENTS
            arrived, _ = self.exchange(UDP_SERVER, UDP_CLIENT, target, [str(wanted)],
                                       [str(n) for n in (UDP_CALLS, UDP_SEGMENT, UDP_SEGMENTS, UDP_LAST)])
            # A datagram may be lost where two processors do everything; a wrong one is never right.
            tests.check(len(arrived) == 2 and int(arrived[0]) >= wanted * 0.9 and arrived[1] == "0",
                        f"{what}: UDP to {target}: {arrived} (arrived, wrong) of {wanted}")

    def finish(self, tests, what):
        """The last log lines of both drivers."""
        lines = []
        for peer in self.peers:
            with Control(peer.name) as control:
                log = Log(control)
                lines += log.lines()
                log.close()
            status = peer.stop()
            tests.check(status == 0, f"{what}: nthost ended with {status}:\n{self.lab.output_of(peer.process)[-3000:]}")
        self.lab.close()
        return lines


def keywords(names, value=OFF):
    return ",".join(f"{name}={value}" for name in names)


EVERYTHING = SEGMENTATION + CHECKSUMS + COALESCING
# For each end.
SETTINGS = {
    "defaults": ("", ""),
    "all-off": (keywords(EVERYTHING), keywords(EVERYTHING)),
    "no-segmentation": (keywords(SEGMENTATION), keywords(SEGMENTATION)),
    "no-coalescing": (keywords(COALESCING), keywords(COALESCING)),
    "checksums-transmit-only": (keywords(CHECKSUMS, TRANSMIT_ONLY), keywords(CHECKSUMS, TRANSMIT_ONLY)),
    "checksums-receive-only": (keywords(CHECKSUMS, RECEIVE_ONLY), keywords(CHECKSUMS, RECEIVE_ONLY)),
    "one-end-off": ("", keywords(EVERYTHING)),
    "ipv4-off": (keywords([name for name in EVERYTHING if name.endswith("4")]), ""),
    "not-a-value": (keywords(EVERYTHING, 77), keywords(EVERYTHING, 77)),
    "udp-off": (keywords(["UdpSegmentation", "UdpCoalescing"]), keywords(["UdpSegmentation", "UdpCoalescing"])),
}
# What both ends' sockets do, and what the driver has to say of it.
SYSTEMS = {
    "no-send,no-receive": None,
    "send-fails": "sent one by one",
    "unmarked": "do not say that they are: coalescing is switched off",
    "absurd": "have a size that cannot be: coalescing is switched off",
}


def run(setting, keywords_of=("", ""), system="", said=None):
    def scenario(options, tests):
        pair = Pair(options, keywords_of, system)
        pair.check(tests, setting)
        log = pair.finish(tests, setting)
        if said:
            tests.check(any(said in line for line in log), f"{setting}: the log says '{said}': {log}")
        else:
            tests.check(not any("one by one" in line or "switched off" in line for line in log), f"{setting}: nothing is given up: {log}")
    return scenario


def arguments(parser):
    parser.add_argument("--mode", default="verify", choices=sorted(MODES))


def main():
    scenarios = {setting: run(setting, keywords_of) for setting, keywords_of in SETTINGS.items()}
    scenarios |= {f"system-{system}": run(system, system=system, said=said) for system, said in SYSTEMS.items()}
    return run_scenarios(__doc__, scenarios, (NTHOST, DRIVER),
                         lambda scenario, tests, options: scenario(options, tests), arguments)


if __name__ == "__main__":
    sys.exit(main())
