"""The tests that configure peers and shake hands with them."""

import statistics
import time

from handshake_load import HandshakeLoad
from netlab import LabError

from .tunnel import INNER, OUTER, PORT, strangers

HANDSHAKE_PEERS = 4000
# How many initiations are unanswered at a time: few enough that no queue tells of load, and enough that it does.
HANDSHAKE_WINDOWS = {"plain": 64, "cookies": 1000}
CONFIG_PEERS = (1, 10, 100, 1000, 10000)


class Responder:
    """One subject with 4,000 configured peers, and the load generator that is all of them."""

    def __init__(self, lab, subject, label):
        self.subject = subject
        here, there = lab.namespace(f"{label}h"), lab.namespace(f"{label}l")
        lab.link(here, there, [OUTER[0] + "/24"], [OUTER[1] + "/24"], label=f"{label}h")
        self.peer = subject.peer(lab, here, f"{label}h", [INNER[0] + "/24"], PORT)
        self.load = HandshakeLoad(lab, here, there, OUTER[1], f"{OUTER[0]}:{PORT}", self.peer.public)
        self.peer.setconf([{"public": key, "allowed": [f"10.77.{number // 250}.{number % 250 + 1}/32"]}
                           for number, key in enumerate(self.load.keys(HANDSHAKE_PEERS))], routes=False)
        self.answered("plain", 1)  # first rounds are not colder than the others

    def answered(self, kind, passes):
        """Answers per second and CPU per answer of the implementation, over all peers, `passes` times."""
        cpu = self.peer.cpu_seconds()
        runs = self.load.answered(peers=HANDSHAKE_PEERS, sources=HANDSHAKE_PEERS, window=HANDSHAKE_WINDOWS[kind], rounds=passes)
        cpu = self.peer.cpu_seconds() - cpu
        answered = sum(one["answered"] for one in runs)
        if any(one["wrong"] for one in runs) or answered < HANDSHAKE_PEERS * passes * 0.9:
            raise LabError(f"{self.subject.name}: handshakes were not answered: {runs}")
        if kind == "cookies" and not any(one["cookies"] for one in runs):
            raise LabError(f"{self.subject.name}: no cookies were asked for: {runs}")
        return statistics.mean(one["per_second"] for one in runs), cpu / answered * 1e6

    def measure(self, settings):
        """{"handshakes": {metric: value}}"""
        result = {}
        for kind, suffix in (("plain", ""), ("cookies", "_cookies")):
            result[f"per_second{suffix}"], result[f"cpu_us{suffix}"] = self.answered(kind, settings["handshake_passes"])
        return {"handshakes": result}


class Configured:
    """An interface that is given 1 to 10,000 peers and asked what it has."""

    def __init__(self, lab, subject, label):
        self.lab, self.subject = lab, subject
        self.peer = subject.peer(lab, lab.namespace(f"{label}c"), f"{label}c", [INNER[0] + "/24"], PORT)
        self.peers = strangers(max(CONFIG_PEERS))

    def measure(self, _settings):
        result = {}
        for count in CONFIG_PEERS:
            self.peer.setconf([])
            begin = time.monotonic()
            self.peer.setconf(self.peers[:count], routes=False)
            middle = time.monotonic()
            shown = self.peer.wg("show", "dump").stdout.count("\n") - 1
            end = time.monotonic()
            if shown != count:
                raise LabError(f"{self.subject.name}: {shown} of {count} configured peers are shown")
            result[f"config-{count}"] = {"set_ms": (middle - begin) * 1000, "show_ms": (end - middle) * 1000,
                                         "rss_mb": self.peer.rss_mb()}
        self.peer.setconf([])
        return result
