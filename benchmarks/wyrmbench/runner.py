"""Sets everything up once, then measures round by round, each test for all subjects in turn, every second round in the opposite
order: what else the machine does hits all of them."""

import os
import sys
import time

from handshake_load import PROGRAM as HANDSHAKE_LOAD
from netlab import Lab, LabError, require

from . import beside, machine, programs
from .control import CONFIG_PEERS, Configured, Responder
from .figures import Values
from .traffic import TESTS as TRAFFIC
from .tunnel import UDP_LOAD, Tunnel

BIG_PEERS = 10000
PEERS_TEST = f"tcp1-{BIG_PEERS}-peers"
BESIDE_TEST = "ping-beside"
OTHERS = {
    PEERS_TEST: f"one TCP stream with {BIG_PEERS} configured peers, and what part that is of the rate with one",
    BESIDE_TEST: "echo requests to a second peer every 10 ms: alone, beside a TCP stream outside, beside one through the tunnel",
    "handshakes": "answers to initiations of 4,000 known peers, and CPU for each",
    "config": f"time to configure and show {', '.join(map(str, CONFIG_PEERS))} peers, and memory",
    "crypto": "cycles per packet of each AEAD core and of libcrypto; X25519",
    "pipeline": "cycles per packet of the driver's pipeline in memory",
    "scaling": "the model of the pipeline on 1 to 64 CPUs",
}
TESTS = {**{name: what for name, (_, _, what) in TRAFFIC.items()}, **OTHERS}
PROGRAMS = {"crypto": programs.CRYPTO, "pipeline": programs.PIPELINE, "scaling": programs.SCALING}


class Progress:
    """On a terminal one line that changes; otherwise one line for each test of each round."""

    def __init__(self, rounds, steps):
        self.rounds, self.steps, self.done = rounds, steps, 0
        self.begin = time.monotonic()
        self.terminal = sys.stderr.isatty()

    def step(self, number, what):
        spent = time.monotonic() - self.begin
        left = ""
        if self.done >= self.steps:  # after a whole round the rest can be told
            left = f", about {spent / self.done * (self.rounds * self.steps - self.done) / 60:.0f} min left"
        self.done += 1
        text = f"round {number + 1} of {self.rounds}: {what}, {int(spent) // 60}:{int(spent) % 60:02}{left}"
        if self.terminal:
            print("\r\x1b[K" + text, end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def end(self):
        if self.terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def say(text):
    print(text, file=sys.stderr, flush=True)


def available(tests, chosen, values):
    """Without the parts that were not built: an error for those that were asked for by name, a word for others."""
    left = []
    for test in tests:
        if test in PROGRAMS and not os.path.exists(PROGRAMS[test]):
            if test in chosen:
                values.fail(f"{test}: not measured, {os.path.basename(PROGRAMS[test])} was not built")
            else:
                say(f"bench: {test} is left out: {os.path.basename(PROGRAMS[test])} was not built")
            continue
        left.append(test)
    return left


class Stage:
    """What the selected tests need, set up."""

    def __init__(self, subjects, tests):
        protocol = [one for one in subjects if not one.is_floor]
        traffic = [test for test in TRAFFIC if test in tests]
        self.steps, self.peers, self.lab = [], [], None
        if not traffic and not set(tests) & {PEERS_TEST, BESIDE_TEST, "handshakes", "config"}:
            return
        require("iperf3", "ethtool", UDP_LOAD, HANDSHAKE_LOAD)
        for subject in subjects:
            subject.check()
        self.lab = Lab()
        small, big = {}, {}
        for index, subject in enumerate(subjects):
            label = chr(ord("a") + index)
            if traffic or BESIDE_TEST in tests or (PEERS_TEST in tests and not subject.is_floor):
                say(f"setting up {subject.name}")
                small[subject.name] = self.tunnel(subject, label + "t")
            if PEERS_TEST in tests and not subject.is_floor:
                say(f"setting up {subject.name} with {BIG_PEERS} peers")
                big[subject.name] = self.tunnel(subject, label + "p", BIG_PEERS)
        for test in traffic:
            function, floors, _ = TRAFFIC[test]
            self.steps.append((test, [(one.name, lambda s, f=function, t=small[one.name], n=test: {n: f(t, s)})
                                      for one in subjects if floors or not one.is_floor]))
        if BESIDE_TEST in tests:
            self.steps.append((BESIDE_TEST, [(one.name, self.beside(small[one.name], chr(ord("a") + index) + "t"))
                                             for index, one in enumerate(subjects)]))
        if PEERS_TEST in tests and protocol:
            self.steps.append((PEERS_TEST, [(one.name, lambda s, a=small[one.name], b=big[one.name]: self.compare(a, b, s))
                                            for one in protocol]))
        for test, maker in (("handshakes", Responder), ("config", Configured)):
            if test in tests:
                made = []
                for index, subject in enumerate(protocol):
                    say(f"setting up {subject.name} for {test}")
                    made.append((subject.name, maker(self.lab, subject, chr(ord("a") + index))))
                    self.peers.append(made[-1][1].peer)
                self.steps.append((test, [(name, one.measure) for name, one in made]))

    def tunnel(self, subject, label, peers=1):
        made = Tunnel(self.lab, subject, label, peers)
        made.iperf(1)  # first rounds are not colder than the others
        self.peers += [made.near, made.far]
        return made

    def beside(self, tunnel, label):
        neighbour = beside.Neighbour(tunnel, label)
        self.peers += neighbour.peers
        return lambda settings: {BESIDE_TEST: beside.measure(neighbour, settings)}

    @staticmethod
    def compare(small, big, settings):
        one, many = (tunnel.tcp(settings["seconds"])["mbps"] for tunnel in (small, big))
        return {PEERS_TEST: {"mbps": many, "kept": many / one if one else None}}

    def end(self, values):
        """Everything ends as it should, or it is a failure."""
        for peer in self.peers:
            if peer.process.poll() is not None:
                values.fail(f"{peer.kind}: ended by itself with status {peer.process.returncode}:\n"
                            f"{self.lab.output_of(peer.process)[-800:]}")
                continue
            status = peer.stop()
            if peer.kind == "wyrm" and status != 0:
                values.fail(f"wyrm: nthost ended with status {status}:\n{self.lab.output_of(peer.process)[-800:]}")
        if self.lab:
            self.lab.close()


def measure_step(values, number, test, takers, settings):
    for name, take in takers if number % 2 == 0 else takers[::-1]:
        try:
            for measured, metrics in take(settings).items():
                values.add(number, name, measured, metrics)
        except LabError as error:
            values.fail(f"{name} {test}, round {number + 1}: {error}")


def run(subjects, tests, chosen, rounds, settings):
    """All values.  `chosen`: the tests that were asked for by name."""
    values = Values()
    tests = available(tests, chosen, values)
    stage = Stage(subjects, tests)
    levels = [(name, getattr(programs, name)) for name in ("crypto", "pipeline") if name in tests]
    progress = Progress(rounds, len(stage.steps) + len(levels))
    for number in range(rounds):
        for test, takers in stage.steps:
            progress.step(number, test)
            measure_step(values, number, test, takers, settings)
        for name, level in levels:
            progress.step(number, name)
            try:
                level(values, number)
            except LabError as error:
                values.fail(str(error))
    progress.end()
    if "scaling" in tests:
        say("the scaling model")
        try:
            programs.scaling(values)
        except LabError as error:
            values.fail(str(error))
    stage.end(values)
    programs.handshakes_against_x25519(values, machine.tsc_hz())
    return values
