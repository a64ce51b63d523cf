#!/usr/bin/python3
"""./bench itself: arithmetic of rows and ratios, JSON, report and arguments on made-up figures, then one tiny real run in which
the floors carry data, in seconds."""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "benchmarks"))
from wyrmbench import figures, programs, report, subjects, svg, targets  # noqa: E402
from wyrmbench.tunnel import UDP_LOAD  # noqa: E402
from netlab import Tests  # noqa: E402  found by way of wyrmbench

BENCH = os.path.join(ROOT, "benchmarks", "bench.py")
ROW = {"subject", "test", "metric", "unit", "median", "min", "max", "n"}
MACHINE = {"cpu": "A <fast> & quiet one", "cores": 2, "hypervisor": True, "kernel": "6", "system": "Debian", "date": "today",
           "load_before": 0, "load_after": 1, "rounds": 5, "seconds": 1}


def made_up():
    """Wyrm ten times as fast in every round, although the machine's speed moves by a factor of five."""
    values = figures.Values()
    for number, speed in enumerate((1, 2, 5, 4, 3)):
        for subject, factor in (("wyrm", 10), ("wireguard-go", 1), ("floor-io", 20), ("floor-aead", 8)):
            rate = {"mbps": 100 * speed * factor, "mbps_reverse": 90 * speed * factor, "cpu_s_per_gb": 40 / factor,
                    "cpu_s_per_gb_sender": 22 / factor, "cpu_s_per_gb_receiver": 18 / factor}
            values.add(number, subject, "tcp1", rate)
            values.add(number, subject, "tcp4", rate)
            values.add(number, subject, "udp64", {"pps": 1e4 * factor, "loss_percent": 7.0})
            values.add(number, subject, "udp512", {"pps": 9e3 * factor, "loss_percent": 0.0})
            times = [100 * factor + sample for sample in range(50)]
            values.add(number, subject, "ping-idle", {"p50_us": times[25], "p99_us": times[49], "times_us": times})
        for subject, cycles in (("batch-avx512", 500), ("libcrypto", 2000)):
            for size in (64, 1420):
                values.add(number, subject, f"aead-{size}", {"cycles_per_packet": cycles * size / 1420})
        values.add(number, "wyrm", "tcp1-flood", {"mbps": 900.0, "kept": 0.9})
    return values


def ratio(result, subject, against, test, metric):
    found = [row for row in result["ratios"] if (row["subject"], row["against"], row["test"], row["metric"]) ==
             (subject, against, test, metric)]
    return found[0] if found else None


def arithmetic(tests):
    values = made_up()
    result = figures.document(dict(MACHINE), values, ["wyrm", "wireguard-go", "floor-io", "floor-aead"], 5)
    rows = {(row["subject"], row["test"], row["metric"]): row for row in result["rows"]}
    tests.check(all(set(row) == ROW for row in result["rows"]), "rows have exactly the members that were agreed")
    tests.equal({key: rows["wyrm", "tcp1", "mbps"][key] for key in ("median", "min", "max", "n", "unit")},
                {"median": 3000.0, "min": 1000.0, "max": 5000.0, "n": 5, "unit": "Mbit/s"}, "median and extremes")
    row = ratio(result, "wyrm", "wireguard-go", "tcp1", "mbps")
    tests.equal((row["median"], row["min"], row["max"], row["n"], row["better"]), (10.0, 10.0, 10.0, 5, "higher"),
                "ratios are formed within rounds, not between medians")
    tests.equal(ratio(result, "wyrm", "wireguard-go", "tcp1", "cpu_s_per_gb")["median"], 0.1, "ratio of a cost")
    tests.equal(ratio(result, "batch-avx512", "libcrypto", "aead-1420", "cycles_per_packet")["median"], 0.25, "crypto against libcrypto")
    tests.equal(ratio(result, "wyrm", "wireguard-go", "udp64", "loss_percent"), None, "losses are not divided")
    tests.equal(result["failures"], [], "complete rounds are no failure")
    curve = result["percentiles"]["wyrm"]["ping-idle"]
    tests.equal((curve[0], curve[100], curve[-1]), (1000, 1024.0, 1049), "percentiles of the pooled sample")
    values.add(2, "wyrm", "config-10", {"set_ms": 3.0})
    result = figures.document(dict(MACHINE), values, ["wyrm", "wireguard-go"], 5)
    tests.check(any("config-10" in text and "4 of 5" in text for text in result["failures"]), "rounds that gave nothing are told")
    tests.equal(figures.natural("udp1280") > figures.natural("udp512"), True, "names sort by their numbers")
    values.add(0, "wyrm", "handshakes", {"cpu_us": 160.0})
    values.add(0, "wyrm", "x25519", {"cycles": 90000})
    programs.handshakes_against_x25519(values, 2.5e9)
    tests.equal(round(values.numbers["wyrm", "handshakes", "of_x25519"][0], 3), 0.9, "four X25519 of 36 us in 160 us")
    tests.equal([figures.unit_of(metric) for metric in ("ratio_to_crypto_receive", "stage_copy_cycles", "stage_copy_cycles_receive")],
                [("of the crypto alone", "lower"), ("TSC cycles", "lower"), ("TSC cycles", "lower")], "units of the pipeline's metrics")
    values.add(1, "wyrm", "handshakes", {"cpu_us": 50.0})
    values.add(1, "wyrm", "x25519", {"cycles": 75000, "cycles_base": 25000, "cycles_wide": 6250})
    programs.handshakes_against_x25519(values, 2.5e9)
    tests.equal(round(values.numbers["wyrm", "handshakes", "of_x25519"][1], 3), 2.0, "three of 30 us and one of 10 in 50 us")
    tests.equal(round(values.numbers["wyrm", "handshakes", "of_x25519_wide"][1], 3), 0.2, "four of 2.5 us, together, in 50 us")
    return made_up()


def goals(tests, result):
    compared = {(subject, against, label): line for subject, against, label, *line in targets.compared(result)}
    tests.equal([round(number, 3) for number in compared["wyrm", "wireguard-go", "CPU time per GB"][:3]], [10.0, 10.0, 10.0],
                "a tenth of the cost is ten times better")
    median, _, _, target = compared["batch-avx512", "libcrypto", "AVX-512, 1420 bytes"]
    tests.equal((round(median, 2), round(target, 2)), (4.0, 3.3), "fewer cycles are faster")
    held = {row["test"]: holds for row, _, _, _, holds in targets.limits(result)}
    tests.equal(held, {"tcp1-flood": True}, "limits that were measured")


def drawn(tests, result):
    page = report.page(result)
    tests.check("10.0 times what wireguard-go moves" in page and "one tenth of the CPU time" in page, "the headline says the ratio")
    tests.equal([report.part(number) for number in (2.2, 12, 21.4, 1.2)], ["one half", "one twelfth", "1/21", "83%"], "parts in words")
    tests.check("A &lt;fast&gt; &amp; quiet one" in page, "text is escaped")
    tests.equal(re.findall(r"(?:src|href)=|@import|url\(|<script", page), [], "nothing is fetched, nothing runs")
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    tests.check(len(pictures) >= 6, f"{len(pictures)} plots")
    for picture in pictures:
        outside = []
        parsed = xml.etree.ElementTree.fromstring(picture)
        width, height = (float(number) for number in parsed.get("viewBox").split()[2:])
        for element in parsed.iter():
            for name, limit in (("x", width), ("x1", width), ("x2", width), ("cx", width), ("y", height), ("cy", height)):
                place = element.get(name)
                if place is not None and not -1 <= float(place) <= limit + 1:
                    outside.append(f"{name}={place}")
        tests.equal(outside, [], f"{parsed.get('aria-label')}: everything is inside")
    tests.equal(report.page({**result, "rows": [], "ratios": [], "percentiles": {}}).count("<svg"), 0, "no figures, no plots")
    tests.equal([svg.number(value) for value in (0, 0.0123, 9.87, 123.4, 5678, 54321, 1234567)],
                ["0", "0.0123", "9.87", "123", "5,678", "54.3k", "1.23M"], "numbers as a person writes them")
    canvas = svg.Canvas(10, 10, "a & b")
    canvas.text(1, 1, "<&>")
    tests.equal(len(xml.etree.ElementTree.fromstring(canvas.render())), 1, "text in plots is escaped")
    scale = svg.Log(1, 100, 0, 200)
    tests.equal((round(scale(10)), scale.ticks()), (100, [1, 2, 5, 10, 20, 50, 100]), "a logarithmic scale")


def arguments(tests):
    tests.equal(subjects.parse("mine=/x/y --name {} -f").command("wg7"), ["/x/y", "--name", "wg7", "-f"], "{} is the interface")
    tests.equal(subjects.parse("mine=prog -f").command("wg7"), ["prog", "-f", "wg7"], "the interface is the last word")
    for words, said in ((["--test", "nosuch"], "--test: unknown test 'nosuch'"), (["--subject", "nosuch"], "--subject: unknown subject"),
                        (["--subject", "wyrm=x"], "--subject: 'wyrm=x'"), (["--subject", "a b=x"], "--subject: 'a b=x'"),
                        (["--rounds", "0"], "--rounds and --seconds"), (["slow"], "argument length"),
                        (["--json", "/nonexistent/file"], "--json /nonexistent/file: No such file")):
        done = subprocess.run([BENCH] + words, capture_output=True, text=True, timeout=30, check=False)
        tests.check(done.returncode == 2 and f"error: {said}" in done.stderr, f"{words}: status {done.returncode}: {done.stderr[-200:]}")
    done = subprocess.run([BENCH, "--subject", "mine=/nonexistent/program {}", "--test", "tcp1"], capture_output=True, text=True,
                          timeout=60, check=False)
    tests.check(done.returncode == 1 and "/nonexistent/program is missing" in done.stderr, f"a missing program: {done.stderr[-200:]}")


def real(tests):
    """Everything once, as short as it goes; what the figures are does not matter."""
    with tempfile.TemporaryDirectory() as directory:
        figures_file, page_file = os.path.join(directory, "f.json"), os.path.join(directory, "f.html")
        names = ("wyrm", "floor-io", "floor-aead", "again=wireguard-go -f {}")
        traffic = ("tcp1", "udp64-gso")
        command = [BENCH, "quick", "--rounds", "1", "--seconds", "1", "--json", figures_file, "--html", page_file]
        command += [word for name in names for word in ("--subject", name)] + [word for test in traffic for word in ("--test", test)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if not tests.equal(done.returncode, 0, f"a run: {done.stdout[-600:]} {done.stderr[-600:]}"):
            return
        with open(figures_file, encoding="utf-8") as file:
            result = json.load(file)
        rows = {(row["subject"], row["test"], row["metric"]): row["median"] for row in result["rows"]}
        for name in names:
            name = name.split("=")[0]
            for test, metric in (("tcp1", "mbps"), ("tcp1", "mbps_reverse"), ("udp64-gso", "pps")):
                tests.check(rows.get((name, test, metric), 0) > 0, f"{name} {test} {metric}: {rows.get((name, test, metric))}")
        with open(page_file, encoding="utf-8") as file:
            tests.check("</html>" in file.read(), "the report is whole")


def udp_load(tests):
    """What a load's receiver counts is that load's: not what comes between two, and asking twice changes nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    receiver = subprocess.Popen([UDP_LOAD, "receive", "127.0.0.1", str(port)], stdout=subprocess.PIPE, text=True)
    try:
        tests.equal(receiver.stdout.readline(), "ready\n", "the receiver of a UDP load starts")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stray:
            stray.settimeout(5)
            for number in range(3):
                stray.sendto(b"stray" * 10, ("127.0.0.1", port))
                time.sleep(1)
                done = subprocess.run([UDP_LOAD, "send", "127.0.0.1", str(port), "64", "0.3", "500"], stdout=subprocess.PIPE, text=True,
                                      timeout=30, check=False)
                sent, received = (json.loads(line) for line in done.stdout.splitlines())
                tests.equal(received["packets"], sent["packets"], f"load {number}: all of it is counted, and nothing else")
                tests.check(received["seconds"] < sent["seconds"] + 0.5, f"load {number}: its time does not begin with a stray packet ({received['seconds']})")
                stray.sendto(b"c", ("127.0.0.1", port))
                tests.equal(json.loads(stray.recv(200)), received, f"load {number}: asked again, the answer is the same")
    finally:
        receiver.terminate()
        receiver.wait()
        receiver.stdout.close()


def main():
    tests = Tests()
    values = arithmetic(tests)
    result = figures.document(dict(MACHINE), values, ["wyrm", "wireguard-go", "floor-io", "floor-aead"], 5)
    goals(tests, result)
    drawn(tests, result)
    arguments(tests)
    udp_load(tests)
    real(tests)
    return tests.finish()


if __name__ == "__main__":
    sys.exit(main())
