#!/usr/bin/python3
"""The driver's data path between two Wyrms: packet sizes and MTUs, the queue of packets that wait for a session, order,
and traffic while everything around it changes.  Afterwards nothing is left behind."""

import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from netlab import DRIVER, NTHOST, IperfServer, Lab, LabError, Peer, ping  # noqa: E402
from nthost_control import STATE_DOWN, STATE_UP, Control  # noqa: E402
from scenarios import run_scenarios  # noqa: E402

HERE, THERE = "10.66.0.1", "10.66.0.2"
ENDPOINT = "192.0.2.2:51820"
MODES = {"verify": ["--verify"], "fast": []}
STAGED_MAX = 128  # per peer, see src/driver/peer.h

# Sends `count` numbered datagrams of `size` bytes; `pace` of them, then a pause of a millisecond.
SENDER = """
import socket, struct, sys, time
address, port, count, size, pace = sys.argv[1], *map(int, sys.argv[2:6])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
for i in range(count):
    s.sendto(struct.pack("!I", i).ljust(size, b"x"), (address, port))
    if pace and i % pace == pace - 1:
        time.sleep(0.001)
"""

# Prints the numbers it gets, one a line; ends after `quiet` seconds without any.
RECEIVER = """
import socket, struct, sys
address, port, quiet = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
s.bind((address, port))
print("bound", flush=True)
s.settimeout(60)
numbers = []
try:
    while True:
        numbers.append(struct.unpack("!I", s.recv(65536)[:4])[0])
        s.settimeout(quiet)
except socket.timeout:
    pass
print(*numbers, sep="\\n", flush=True)
"""


class Pair:
    def __init__(self, options, mtu=None, outer_mtu=None, configure_there=True):
        self.lab = Lab()
        self.here, self.there = self.lab.namespace("here"), self.lab.namespace("there")
        self.lab.link(self.here, self.there, ["192.0.2.1/24"], ["192.0.2.2/24"], mtu=outer_mtu)
        arguments = MODES[options.mode] + (["--mtu", str(mtu)] if mtu else [])
        self.near = Peer(self.lab, self.here, "wyrm", "a", [HERE + "/24"], options=arguments)
        self.far = Peer(self.lab, self.there, "wyrm", "b", [THERE + "/24"], options=arguments)
        self.to_far = {"public": self.far.public, "allowed": [THERE + "/32"], "endpoint": ENDPOINT}
        self.to_near = {"public": self.near.public, "allowed": [HERE + "/32"]}
        if configure_there:
            self.far.setconf([self.to_near])
        self.near.setconf([self.to_far])

    def python(self, code, namespace, *arguments):
        return self.lab.start(["/usr/bin/python3", "-c", code] + [str(a) for a in arguments], namespace,
                              log=f"python-{random.randrange(1 << 30)}.log")

    def receiver(self, quiet):
        process = self.python(RECEIVER, self.there, THERE, 9999, quiet)
        self.lab.wait_for(lambda: "bound" in self.lab.output_of(process), "receiver", 10, process)
        return process

    def numbers(self, receiver, timeout):
        receiver.wait(timeout)
        return [int(line) for line in self.lab.output_of(receiver).split() if line.isdigit()]

    def finish(self, tests, what):
        for peer in (self.near, self.far):
            status = peer.stop()
            tests.check(status == 0, f"{what}: nthost ended with {status}:\n{self.lab.output_of(peer.process)[-3000:]}")
        self.lab.close()


def sizes(options, tests):
    """Packets of every size class, up to what the MTU takes and beyond it."""
    for mtu in (576, 1280, 1420, 9000, 65000):
        pair = Pair(options, mtu, mtu + 100 if 1400 < mtu < 60000 else None)
        for size in sorted({0, 1, 15, 16, 17, 100, mtu - 29, mtu - 28, min(2 * mtu, 65000), 65000}):
            got = ping(pair.lab, pair.here, THERE, 3, 0.2, size)["received"]
            tests.equal(got, 3, f"MTU {mtu}, {size} bytes of ping")
        pair.finish(tests, f"MTU {mtu}")


def staged(options, tests):
    """Without a session exactly the last 128 packets wait, and they come first and in order once there is one."""
    pair = Pair(options, configure_there=False)
    receiver = pair.receiver(3)
    sent = STAGED_MAX + 72
    pair.python(SENDER, pair.here, THERE, 9999, sent, 100, 10).wait(30)
    pair.far.setconf([pair.to_near])  # the next initiation (5 s after the first) finds somebody
    got = pair.numbers(receiver, 90)
    tests.equal(got, list(range(sent - STAGED_MAX, sent)), "what waited")
    pair.finish(tests, "staged")


def order(options, tests):
    """Packets of one flow keep their order, whether they were encrypted in place or by workers."""
    pair = Pair(options)
    ping(pair.lab, pair.here, THERE, 3, 0.2, check=True)
    # Fast: more than the tunnel carries, so that there is a backlog.  Verify: about what it carries.
    count, pace = (5000, 2) if options.mode == "verify" else (20000, 200)
    receiver = pair.receiver(2)
    pair.python(SENDER, pair.here, THERE, 9999, count, 1300, pace).wait(60)
    got = pair.numbers(receiver, 120)
    tests.check(len(got) > count // 20, f"{len(got)} of {count} arrived")
    tests.check(len(set(got)) == len(got), "none arrived twice")
    late = sum(1 for a, b in zip(got, got[1:]) if b < a)
    tests.equal(late, 0, f"out of order, of {len(got)}")
    pair.finish(tests, "order")


def churn(options, tests):
    """TCP both ways while ports change, adapters pause, go down and up, and the peer is removed and added."""
    pair = Pair(options)
    ping(pair.lab, pair.here, THERE, 3, 0.2, check=True)
    server = IperfServer(pair.lab, pair.there, THERE)
    client = pair.lab.start(["iperf3", "-c", THERE, "-t", "12", "--bidir"], pair.here, log="churn-client.log")
    generator = random.Random(options.seed)

    def port(peer):
        peer.wg("set", "listen-port", str(generator.randrange(20000, 30000)))

    def pause(peer):
        with Control(peer.name) as control:
            tests.equal(control.pause(), 0, "pause")
            time.sleep(generator.random() / 10)
            tests.equal(control.restart(), 0, "restart")

    def down_up(peer):
        with Control(peer.name) as control, control.open() as file:
            file.state(STATE_DOWN)
            time.sleep(generator.random() / 10)
            file.state(STATE_UP)

    def remove(peer):
        other = pair.to_far if peer is pair.near else pair.to_near
        peer.setconf([])
        time.sleep(generator.random() / 10)
        peer.setconf([other])

    end = time.monotonic() + 10
    while time.monotonic() < end:
        action, peer = generator.choice((port, pause, pause, down_up, remove)), generator.choice((pair.near, pair.far))
        try:
            action(peer)
        except (OSError, LabError) as error:
            raise LabError(f"{action.__name__}: {error}\n{pair.lab.output_of(peer.process)[-3000:]}") from error
        time.sleep(0.05 + generator.random() / 4)
    pair.lab.stop(client)
    pair.lab.stop(server.process)

    # Whatever state it was left in, the configuration as at the beginning works.
    pair.far.wg("set", "listen-port", "51820")
    pair.far.setconf([pair.to_near])
    pair.near.setconf([pair.to_far])
    deadline = time.monotonic() + 20
    while ping(pair.lab, pair.here, THERE, 1, 0.2)["received"] == 0 and time.monotonic() < deadline:
        pass
    tests.equal(ping(pair.lab, pair.here, THERE, 10, 0.2)["received"], 10, "the tunnel works afterwards")
    pair.finish(tests, "churn")


SCENARIOS = {"sizes": sizes, "staged": staged, "order": order, "churn": churn}


def arguments(parser):
    parser.add_argument("--mode", default="verify", choices=sorted(MODES))
    parser.add_argument("--seed", type=int, default=1, help="of what happens in churn")


def main():
    return run_scenarios(__doc__, SCENARIOS, (NTHOST, DRIVER, "iperf3"), lambda scenario, tests, options: scenario(options, tests),
                         arguments)


if __name__ == "__main__":
    sys.exit(main())
