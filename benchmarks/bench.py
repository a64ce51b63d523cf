#!/usr/bin/python3
"""Measures tunnels between two network namespaces joined by a veth pair, the same implementation on both ends.

All subjects are set up at once and measured in turn, round by round, so that what else the machine does hits all of
them.  Absolute figures move with the machine; the ratios, taken within each round, are what counts.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
from handshake_load import PROGRAM, HandshakeLoad  # noqa: E402
from netlab import DRIVER, NTHOST, IperfServer, Lab, LabError, Peer, ping, require  # noqa: E402

CRYPTO = os.path.join(ROOT, "build", "linux", "benchmarks", "crypto", "bench_crypto")
CRYPTO_BATCH = 32
SUBJECTS = ("wyrm", "wireguard-go")
BASELINE = "wireguard-go"
OUTER = ("192.0.2.1", "192.0.2.2")
INNER = ("10.66.0.1", "10.66.0.2")
PORT = 51820
UDP_BYTES = 64

# What is measured, and in which direction it is better.
METRICS = {
    ("tcp1", "to"): ("Mbit/s", "higher"),
    ("tcp1", "from"): ("Mbit/s", "higher"),
    ("tcp1", "cpu_s_per_gb"): ("s/GB, both processes", "lower"),
    ("tcp4", "to"): ("Mbit/s", "higher"),
    ("udp64", "received"): ("packets/s", "higher"),
    ("ping-idle", "p50"): ("us", "lower"),
    ("ping-idle", "p99"): ("us", "lower"),
    ("memory", "rss_mb"): ("MB, larger process", "lower"),
    ("handshakes", "plain"): ("answered/s", "higher"),
    ("handshakes", "plain_cpu_us"): ("us of CPU each", "lower"),
    ("handshakes", "cookies"): ("answered/s", "higher"),
    ("handshakes", "cookies_cpu_us"): ("us of CPU each", "lower"),
}
TUNNEL_TESTS = ("tcp1", "tcp4", "udp64", "ping-idle", "memory")
TESTS = TUNNEL_TESTS + ("handshakes", "crypto")

HANDSHAKE_PEERS = 4000
# How many initiations are unanswered at a time: few enough that no queue tells of load, and enough that it does.
HANDSHAKE_WINDOWS = {"plain": 64, "cookies": 1000}
HANDSHAKE_PASSES = 2  # of all peers, for each figure of a round


class Tunnel:
    """One subject: two interfaces, configured, with a server for iperf3 behind one of them."""

    def __init__(self, lab, kind, label):
        self.lab, self.kind = lab, kind
        self.here, self.there = lab.namespace(f"{label}a"), lab.namespace(f"{label}b")
        lab.link(self.here, self.there, [OUTER[0] + "/24"], [OUTER[1] + "/24"], label=label)
        self.near = Peer(lab, self.here, kind, f"{label}a", [INNER[0] + "/24"], PORT)
        self.far = Peer(lab, self.there, kind, f"{label}b", [INNER[1] + "/24"], PORT)
        self.far.setconf([{"public": self.near.public, "allowed": [INNER[0] + "/32"]}])
        self.near.setconf([{"public": self.far.public, "allowed": [INNER[1] + "/32"],
                            "endpoint": f"{OUTER[1]}:{PORT}"}])
        lab.wait_for(lambda: ping(lab, self.here, INNER[1], 1)["received"] == 1, f"{kind}: the tunnel", 15)
        for peer in (self.near, self.far):
            mtu = json.loads(lab.command(["ip", "-j", "link", "show", peer.name], peer.namespace).stdout)[0]["mtu"]
            if mtu != 1420:
                raise LabError(f"{kind}: the MTU of {peer.name} is {mtu}, not 1420: the subjects would not be comparable")
        self.server = IperfServer(lab, self.there, INNER[1])

    def cpu_seconds(self):
        return self.near.cpu_seconds() + self.far.cpu_seconds()

    def iperf(self, seconds, **arguments):
        """One run; the server is sometimes not ready again at once after the run before."""
        for attempt in range(3):
            try:
                return self.server.run(self.here, seconds, **arguments)
            except LabError:
                if attempt == 2:
                    raise
                time.sleep(1)
        return None

    def tcp1(self, settings):
        cpu = self.cpu_seconds()
        to = self.iperf(settings["seconds"])
        back = self.iperf(settings["seconds"], reverse=True)
        cpu = self.cpu_seconds() - cpu
        moved = to["end"]["sum_received"]["bytes"] + back["end"]["sum_received"]["bytes"]
        return {"to": self.server.mbps(to), "from": self.server.mbps(back),
                "cpu_s_per_gb": cpu / (moved / 1e9) if moved else None}

    def tcp4(self, settings):
        return {"to": self.server.mbps(self.iperf(settings["seconds"], streams=4))}

    def udp64(self, settings):
        result = self.iperf(settings["seconds"], extra=("-u", "-b", "0", "-l", str(UDP_BYTES)))
        total = result["end"]["sum"]
        return {"received": (total["packets"] - total["lost_packets"]) / total["seconds"]}

    def ping_idle(self, settings):
        time.sleep(0.5)
        result = ping(self.lab, self.here, INNER[1], settings["pings"], 0.01)
        return {"p50": result["p50_us"], "p99": result["p99_us"]}

    def memory(self, settings):
        return {"rss_mb": max(self.near.rss_mb(), self.far.rss_mb())}


class Responder:
    """One subject with 4,000 configured peers, and the load generator that is all of them."""

    def __init__(self, lab, kind, label):
        self.lab, self.kind = lab, kind
        here, there = lab.namespace(f"{label}h"), lab.namespace(f"{label}l")
        lab.link(here, there, [OUTER[0] + "/24"], [OUTER[1] + "/24"], label=f"{label}h")
        self.peer = Peer(lab, here, kind, f"{label}h", [INNER[0] + "/24"], PORT)
        self.load = HandshakeLoad(lab, here, there, OUTER[1], f"{OUTER[0]}:{PORT}", self.peer.public)
        lines = ["[Interface]", f"PrivateKey = {self.peer.private}", f"ListenPort = {PORT}"]
        for number, key in enumerate(self.load.keys(HANDSHAKE_PEERS)):
            lines += ["[Peer]", f"PublicKey = {key}", f"AllowedIPs = 10.77.{number // 250}.{number % 250 + 1}/32"]
        lab.command(["wg", "setconf", self.peer.name, "/dev/stdin"], here, "\n".join(lines) + "\n")
        self.answered("plain")  # first rounds are not colder than the others

    def answered(self, kind):
        """Answers per second and CPU per answer of the implementation, over all peers."""
        cpu = self.peer.cpu_seconds()
        passes = self.load.answered(peers=HANDSHAKE_PEERS, sources=HANDSHAKE_PEERS, window=HANDSHAKE_WINDOWS[kind],
                                    rounds=HANDSHAKE_PASSES)
        cpu = self.peer.cpu_seconds() - cpu
        answered = sum(one["answered"] for one in passes)
        if any(one["wrong"] for one in passes) or answered < HANDSHAKE_PEERS * HANDSHAKE_PASSES * 0.9:
            raise LabError(f"{self.kind}: handshakes were not answered: {passes}")
        if kind == "cookies" and not any(one["cookies"] for one in passes):
            raise LabError(f"{self.kind}: no cookies were asked for: {passes}")
        return statistics.mean(one["per_second"] for one in passes), cpu / answered * 1e6

    def handshakes(self):
        result = {}
        for kind in HANDSHAKE_WINDOWS:
            result[kind], result[f"{kind}_cpu_us"] = self.answered(kind)
        return result


def crypto(values, failures):
    """One run of the crypto benchmark: cycles of the time-stamp counter for a packet, ours and libcrypto's."""
    if not os.path.exists(CRYPTO):
        failures.append("crypto: not measured, benchmarks/crypto was not built (libssl-dev is missing)")
        return False
    done = subprocess.run([CRYPTO, "--json", "--rounds", "51"], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise LabError(f"bench_crypto: status {done.returncode}: {done.stderr.strip()}")
    result = json.loads(done.stdout)
    for row in result["rows"]:
        if row["batch"] == CRYPTO_BATCH:
            values.setdefault((row["subject"], row["test"], row["operation"]), []).append(row["median"])
    values.setdefault(("wyrm", "x25519", "multiply"), []).append(result["x25519"])
    return True


def machine():
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        fields = dict(line.split(":", 1) for line in file.read().split("\n\n")[0].splitlines() if ":" in line)
        fields = {key.strip(): value.strip() for key, value in fields.items()}
        model = fields.get("model name", model)
    return {"cpu": model, "family": fields.get("cpu family"), "model": fields.get("model"),
            "cores": os.cpu_count(), "kernel": platform.release(),
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "load_before": round(os.getloadavg()[0], 2)}


def unit_of(test, metric):
    if (test, metric) in METRICS:
        return METRICS[test, metric]
    return "TSC cycles", "lower"


def summarize(values, failures):
    """Rows, and per measured thing the ratio to the baseline within each round."""
    rows, ratios = [], {}
    for (subject, test, metric), numbers in values.items():
        good = [number for number in numbers if number is not None]
        if len(good) != len(numbers):
            failures.append(f"{subject} {test} {metric}: {len(numbers) - len(good)} of {len(numbers)} rounds gave nothing")
        if good:
            rows.append({"subject": subject, "test": test, "metric": metric, "unit": unit_of(test, metric)[0],
                         "median": round(statistics.median(good), 3), "min": round(min(good), 3),
                         "max": round(max(good), 3), "n": len(good)})
    for (subject, test, metric), numbers in values.items():
        against = "libcrypto" if unit_of(test, metric)[0] == "TSC cycles" else BASELINE
        if subject == against or (against, test, metric) not in values:
            continue
        pairs = [a / b for a, b in zip(numbers, values[against, test, metric]) if a is not None and b]
        if pairs:
            ratios[f"{subject}/{against} {test} {metric}"] = {
                "median": round(statistics.median(pairs), 3), "min": round(min(pairs), 3),
                "max": round(max(pairs), 3), "n": len(pairs), "better": unit_of(test, metric)[1]}
    return rows, ratios


def show(rows, ratios):
    lines = [("test", "metric", "subject", "median", "min", "max", "n", "unit")]
    for row in sorted(rows, key=lambda row: (row["test"].startswith("aead"), row["test"], row["metric"])):
        lines.append((row["test"], row["metric"], row["subject"], f"{row['median']:g}", f"{row['min']:g}",
                      f"{row['max']:g}", str(row["n"]), row["unit"]))
    table(lines, "lllrrrrl")
    if ratios:
        print()
        lines = [("ratio, within each round", "median", "min", "max", "better")]
        lines += [(name, f"{value['median']:.2f}", f"{value['min']:.2f}", f"{value['max']:.2f}", value["better"])
                  for name, value in ratios.items()]
        table(lines, "lrrrl")


def table(lines, alignment):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        cells = [cell.ljust(width) if side == "l" else cell.rjust(width)
                 for cell, width, side in zip(line, widths, alignment)]
        print("  ".join(cells).rstrip())


def measure(options):
    values, failures = {}, []
    tunnel_tests = [test for test in TUNNEL_TESTS if test in options.test]
    with_crypto = "crypto" in options.test
    if tunnel_tests:
        require("iperf3", NTHOST, DRIVER, *(["wireguard-go"] if "wireguard-go" in options.subject else []))
    with_handshakes = "handshakes" in options.test
    if with_handshakes:
        require(PROGRAM, NTHOST, DRIVER, *(["wireguard-go"] if "wireguard-go" in options.subject else []))
    lab = Lab() if tunnel_tests or with_handshakes else None
    tunnels, responders = [], []
    if tunnel_tests:
        tunnels = [Tunnel(lab, kind, "xyz"[i]) for i, kind in enumerate(options.subject)]
        for tunnel in tunnels:
            tunnel.iperf(1)  # first rounds are not colder than the others
    if with_handshakes:
        responders = [Responder(lab, kind, "xyz"[i]) for i, kind in enumerate(options.subject)]
    for number in range(options.rounds):
        order = tunnels if number % 2 == 0 else tunnels[::-1]
        for test in tunnel_tests:
            for tunnel in order:
                result = getattr(tunnel, test.replace("-", "_"))(options.settings)
                for metric, value in result.items():
                    values.setdefault((tunnel.kind, test, metric), []).append(value)
        for responder in responders if number % 2 == 0 else responders[::-1]:
            for metric, value in responder.handshakes().items():
                values.setdefault((responder.kind, "handshakes", metric), []).append(value)
        if with_crypto:
            with_crypto = crypto(values, failures)
        print(f"round {number + 1} of {options.rounds}, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
    for peer in [peer for tunnel in tunnels for peer in (tunnel.near, tunnel.far)] + [one.peer for one in responders]:
        status = peer.stop()
        if peer.kind == "wyrm" and status != 0:
            raise LabError(f"wyrm: nthost ended with status {status}:\n{lab.output_of(peer.process)[-800:]}")
    if lab:
        lab.close()
    return values, failures


def main():
    parser = argparse.ArgumentParser(prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("length", nargs="?", choices=["quick", "full"], default="full",
                        help="quick: shorter runs, about four minutes; full (default): about fifteen")
    parser.add_argument("--rounds", type=int, metavar="N", help="default 5 (quick), 11 (full)")
    parser.add_argument("--seconds", type=int, metavar="N", help="of each throughput run; default 3 (quick), 5 (full)")
    parser.add_argument("--subject", action="append", choices=SUBJECTS, help="default: all; may be repeated")
    parser.add_argument("--test", action="append", choices=TESTS, help="default: all; may be repeated")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    options = parser.parse_args()
    quick = options.length == "quick"
    options.rounds = (5 if quick else 11) if options.rounds is None else options.rounds
    seconds = (3 if quick else 5) if options.seconds is None else options.seconds
    if options.rounds < 1 or seconds < 1:
        parser.error("--rounds and --seconds must be at least 1")
    options.subject = list(dict.fromkeys(options.subject or SUBJECTS))
    options.test = list(dict.fromkeys(options.test or TESTS))
    options.settings = {"seconds": seconds, "pings": 200 if quick else 400}
    try:
        # Opened now: a name that cannot be written must not cost the whole run.
        output = open(options.json, "a", encoding="utf-8") if options.json else None  # pylint: disable=consider-using-with
    except OSError as error:
        parser.error(f"--json {options.json}: {error.strerror}")
    if os.environ.get("ONLY_CHECK_ARGUMENTS"):
        return 0
    about = machine()
    try:
        values, failures = measure(options)
    except LabError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    rows, ratios = summarize(values, failures)
    about["load_after"] = round(os.getloadavg()[0], 2)
    about["rounds"], about["seconds"] = options.rounds, seconds
    print(f"{about['cpu']}, {about['cores']} cores, Linux {about['kernel']}, {about['date']}, "
          f"load {about['load_before']} to {about['load_after']}, {options.rounds} rounds of {seconds} s\n")
    show(rows, ratios)
    for failure in failures:
        print(f"bench: {failure}")
    if options.rounds < 5:
        print("bench: fewer than 5 rounds: take the figures as a first look only")
    if output:
        with output:
            output.truncate(0)
            json.dump({"machine": about, "rows": rows, "ratios": ratios, "failures": failures}, output, indent=2)
            output.write("\n")
    return 1 if failures or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
