#!/usr/bin/python3
"""`nthost sim` itself: that a seed decides everything, that virtual time is exact, that wrong interleavings are found and
right ones never blamed, and that every kind of failure is reported with what is needed to see it again."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
BUILD = os.environ.get("WYRM_BUILD_DIR", os.path.join(ROOT, "build/linux"))
NTHOST = os.path.join(ROOT, "build/bin/nthost")
DRIVERS = os.path.join(ROOT, "build/drivers")
WYRM = os.path.join(ROOT, "build/bin/wyrm.sys")
SCENARIO = os.path.join(BUILD, "tests/unit/nthost-sim/sim_test_scenario.so")
LIMIT_S = 240
DAY_S = 86400

passed = failed = 0
folder = None


def check(condition, what, shown=""):
    global passed, failed
    if condition:
        passed += 1
        return
    failed += 1
    print(f"FAILED: {what}", file=sys.stderr)
    if shown:
        print(shown[-3000:], file=sys.stderr)


def sim(driver, *words, scenario=SCENARIO):
    """Exit status and everything printed."""
    command = [NTHOST, "sim", driver, "--scenario", scenario, *map(str, words)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=LIMIT_S, check=False)
    return done.returncode, done.stdout.decode(errors="replace")


def interleave(way):
    """The driver that does what its file is called."""
    path = os.path.join(folder, way + ".sys")
    if not os.path.exists(path):
        shutil.copy(os.path.join(DRIVERS, "interleave.sys"), path)
    return path


def seeds_failed(text):
    return sorted(int(seed) for seed in re.findall(r"^seed (\d+) FAILED", text, re.M))


def hashes(text):
    return {int(seed): value for seed, value in re.findall(r"^seed (\d+) (hash.*)$", text, re.M)}


def deterministic():
    for name, driver in (("minimal", os.path.join(DRIVERS, "minimal.sys")), ("wyrm", WYRM)):
        _, one = sim(driver, "--seeds", 12, "--hash", "--jobs", 2, "--", "adapter", 600)
        _, two = sim(driver, "--seeds", 12, "--hash", "--jobs", 1, "--", "adapter", 600)
        first, second = hashes(one), hashes(two)
        check(len(first) == 12 and first == second, f"{name}: a seed gives the same run in another process", one + two)
        check(len({line.split()[1] for line in first.values()}) >= 11, f"{name}: other seeds give other runs", one)
        check(len({line.split(";")[1] for line in first.values()}) >= 8, f"{name}: machines differ by seed", one)
    _, one = sim(interleave("random"), "--seed", 7, "--trace", "--", "network")
    _, two = sim(interleave("random"), "--seed", 7, "--trace", "--", "network")
    _, other = sim(interleave("random"), "--seed", 8, "--trace", "--", "network")
    draws = re.findall(r"draws ([0-9a-f]{16})", one)
    check(one == two and len(set(draws)) == 3, "the driver's random numbers come from the seed", one + two)
    check(not set(draws) & set(re.findall(r"draws ([0-9a-f]{16})", other)), "and are others for another seed", other)
    check(" arrived" in one, "the network dropped by the seed", one)


def virtual_time():
    status, text = sim(os.path.join(DRIVERS, "minimal.sys"), "--seeds", 20, "--", "times")
    check(status == 0 and "20 runs" in text and "; 0 failed" in text, "sleeps, events, threads, suspend", text)
    status, text = sim(interleave("delays"), "--seeds", 20, "--", "idle", 1000)
    check(status == 0, "the driver's delays are exact", text)
    began = time.monotonic()
    status, text = sim(WYRM, "--seed", 3, "--", "adapter", 100 * DAY_S)
    check(status == 0 and time.monotonic() - began < LIMIT_S, "a hundred days pass", text)
    check(float(re.search(r"virtual ([\d.]+) s", text).group(1)) >= 100 * DAY_S, "and are counted", text)
    status, text = sim(WYRM, "--hours", 50, "--", "adapter", 36000)
    runs = int(re.search(r"^(\d+) runs", text, re.M).group(1))
    check(status == 0 and 5 <= runs <= 5 + os.cpu_count(), "--hours ends the seeds", text)


def interleavings():
    for way in ("race", "passive", "early"):
        status, text = sim(interleave(way), "--seeds", 100, "--", "idle", 100)
        seeds = seeds_failed(text)
        check(status == 1 and len(seeds) >= 2 and "*** STOP: 0x000000E2" in text, f"{way}: found", text)
        if seeds:
            again = re.search(rf"again: .* sim \S+ --scenario \S+ --seed {seeds[0]} -- idle 100$", text, re.M)
            check(again is not None, f"{way}: says how to see it again", text)
            statuses = [sim(interleave(way), "--seed", seeds[0], "--", "idle", 100)[0] for _ in range(3)]
            check(statuses == [1, 1, 1], f"{way}: seed {seeds[0]} fails every time")
    for way in ("locked", "dispatch"):
        status, text = sim(interleave(way), "--seeds", 100, "--", "idle", 100)
        check(status == 0, f"{way}: right under every interleaving", text)
        switches = int(re.search(r"(\d+) switches", text).group(1))
        check(switches > 1000, f"{way}: and they were switched", text)

    status, text = sim(interleave("hurried"), "--seeds", 100, "--", "idle", 100)
    check(status == 0, "hurried: right while no thread stalls", text)
    status, text = sim(interleave("hurried"), "--seeds", 100, "--stall", 50, "--", "idle", 100)
    seeds = seeds_failed(text)
    check(status == 1 and len(seeds) >= 2, "hurried: found where threads stall", text)
    check(re.search(r"again: .* --stall 50 -- idle 100$", text, re.M), "hurried: says how to see it again", text)


def endings():
    status, text = sim(interleave("deadlock"), "--seeds", 2, "--", "idle", 10)
    check(status == 1 and seeds_failed(text) == [1, 2] and "FAILED: deadlock" in text, "a deadlock is a failure", text)
    check(re.search(r'"nt-system" waits to be woken in KeWaitForSingleObject\n.*!deadlock\+', text), "with stacks", text)
    status, text = sim(interleave("livelock"), "--seed", 1, "--limit", 1, "--", "idle", 10)
    check(status == 1 and "no end within the limit" in text and "!livelock+" in text, "and so is no end", text)
    minimal = os.path.join(DRIVERS, "minimal.sys")
    status, text = sim(minimal, "--seed", 1, "--", "crashes")
    check(status == 1 and "FAILED: crashed" in text, "a crash", text)
    status, text = sim(minimal, "--seeds", 12, "--", "fails", 3)
    seeds = seeds_failed(text)
    check(status == 1 and 0 < len(seeds) < 12, "a scenario that fails for some seeds", text)
    check(seeds and f"what led to it, seed {seeds[0]}\n" in text and f"{len(seeds)} failed" in text, "with its log", text)
    status, text = sim(minimal, "--seed", 1, "--", "loop")
    check(status == 1 and "in a callback" in text, "a callback that blocks", text)
    broken = os.path.join(folder, "overrun.sys")
    shutil.copy(os.path.join(DRIVERS, "breaks.sys"), broken)
    status, text = sim(broken, "--seed", 1, "--", "adapter", 1)
    check(status == 1 and "rule pool-overrun is broken" in text and "a rule is broken" in text, "a broken rule", text)


def usage():
    minimal = os.path.join(DRIVERS, "minimal.sys")
    for words in (["--seed", "x"], ["--jobs", 0], ["--hours", "-1"], ["--bad"], ["two.sys"], ["--trace", "--seeds", 2]):
        status, text = sim(minimal, *words)
        check(status == 2 and text.startswith("nthost: "), f"{words}: wrong usage", text)
    check(sim("absent.sys")[0] == 1, "no driver")
    status, text = sim(minimal, scenario=minimal)
    check(status == 1 and text.startswith("nthost: "), "no scenario", text)


def main():
    global folder
    with tempfile.TemporaryDirectory(prefix="nthost-sim-") as folder:
        for part in (deterministic, virtual_time, interleavings, endings, usage):
            part()
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
