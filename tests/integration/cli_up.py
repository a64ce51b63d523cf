#!/usr/bin/python3
"""`wyrm up`, `down`, `doctor` and `log` in network namespaces: with the driver and with another implementation; twice; what fails is undone."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from netlab import ROOT, Tests, genkey  # noqa: E402

WYRM = os.path.join(ROOT, "build", "bin", "wyrm")
ENGINE = os.path.join(ROOT, "build", "bin", "wyrm-engine")
NAME = f"wyu{os.getpid()}"
SPACE = f"wyrm-up-{os.getpid()}"


def run(*arguments):
    return subprocess.run(["ip", "netns", "exec", SPACE, *arguments], capture_output=True, text=True, timeout=90, check=False)


def network():
    """All that may be left behind: interfaces, addresses, routes and rules."""
    return [run("ip", "-o", *words).stdout for words in (("addr",), ("rule",), ("-6", "rule"), ("route", "show", "table", "all"))]


def write(folder, lines):
    path = os.path.join(folder, f"{NAME}.conf")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as out:
        out.write(lines)
    return path


def examine(tests, what):
    """A tunnel that is well; then one that is down, and one whose endpoint is routed into itself."""
    def doctor(status, *wanted):
        done = run(WYRM, "doctor", NAME, "--json")
        checks = {(check["grade"], check["text"]) for check in json.loads(done.stdout)["checks"]}
        tests.equal(done.returncode, status, f"{what}: doctor: {done.stdout}")
        for grade, text in wanted:
            tests.check(any(grade == found and text in said for found, said in checks), f"{what}: doctor: {grade} {text}: {checks}")

    doctor(0, ("ok", "has a private key"), ("ok", "the interface is up"), ("ok", "MTU 1280"), ("warning", "it has no endpoint"))
    peer = run(WYRM, "show", NAME, "peers").stdout.strip()
    run(WYRM, "set", NAME, "fwmark", "0", "peer", peer, "endpoint", "192.0.2.9:9")
    doctor(1, ("wrong", "leads through the tunnel itself"))
    run(WYRM, "set", NAME, "fwmark", "0xca6c")
    doctor(1, ("wrong", "no route to 192.0.2.9"))
    run("ip", "link", "set", NAME, "mtu", "1200", "down")
    run(WYRM, "set", NAME, "peer", peer, "allowed-ips", "+fd98::/64")
    doctor(1, ("wrong", "the interface is down"), ("wrong", "MTU 1200"))
    text = run(WYRM, "doctor", NAME)
    tests.check("wrong    " in text.stdout and "-> ip link set it up" in text.stdout and "found something wrong" in text.stderr, "doctor for people")


def read_log(tests):
    done = run(WYRM, "log", NAME, "--json")
    run("ip", "link", "set", NAME, "up")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    tests.check(done.returncode == 0 and len(lines) > 0 and all(set(line) == {"time", "level", "text"} for line in lines), f"log: {done}")
    tests.equal(run(WYRM, "log", NAME).stdout, "", "log: each line goes to one reader")
    follower = subprocess.Popen(["ip", "netns", "exec", SPACE, WYRM, "log", NAME, "--follow"], stdout=subprocess.PIPE, text=True)
    peer = run(WYRM, "show", NAME, "peers").stdout.strip()
    run(WYRM, "set", NAME, "peer", peer, "endpoint", "127.0.0.1:9", "persistent-keepalive", "1")
    line = follower.stdout.readline() if select.select([follower.stdout], [], [], 20)[0] else "nothing"
    follower.terminate()
    follower.communicate(timeout=20)
    tests.check(line[:2] == "20" and "Z info" in line, f"log --follow: {line}")


def read_events(tests):
    def events():
        done = run(WYRM, "events", NAME, "--json")
        tests.check(done.returncode == 0, f"events: {done}")
        return [json.loads(line) for line in done.stdout.splitlines()]
    first = events()
    tests.equal([event["sequence"] for event in first], list(range(1, len(first) + 1)), "events: all, in order")
    tests.check({"event": "state", "detail": "up"}.items() <= first[0].items() and set(first[0]) == {"time", "sequence", "event", "detail"},
                f"events: the first is that the adapter went up: {first[:1]}")
    tests.equal(events()[:len(first)], first, "events: every reader gets all of them")
    lines = run(WYRM, "events", NAME).stdout.splitlines()
    tests.check(lines[0].startswith("20") and lines[0].endswith("Z state     up"), f"events for people: {lines[0]!r}")


def life(tests, path, note, before, options):
    what = " ".join(options) or "driver"
    result = run(WYRM, "up", path, *options)
    tests.equal(result.returncode, 0, f"{what}: up: {result.stderr}")
    tests.check("10.98.0.1/24" in run("ip", "addr", "show", "dev", NAME).stdout, f"{what}: address")
    tests.check("mtu 1280" in run("ip", "link", "show", "dev", NAME).stdout, f"{what}: MTU")
    tests.check(f"default dev {NAME}" in run("ip", "route", "show", "table", "all").stdout, f"{what}: default route")
    tests.check("suppress_prefixlength 0" in run("ip", "rule").stdout, f"{what}: the rule that keeps the main table")
    tests.check("fwmark: 0xca6c" in run(WYRM, "show", NAME).stdout, f"{what}: mark")
    examine(tests, what)
    if not options:
        read_log(tests)
        read_events(tests)
    again = run(WYRM, "up", path, "--json", *options)
    tests.equal((again.returncode, again.stdout and json.loads(again.stdout)), (0, {"interface": NAME, "applied": True}), f"{what}: up twice")
    result = run(WYRM, "down", path)
    tests.equal(result.returncode, 0, f"{what}: down: {result.stderr}")
    tests.equal(network(), before, f"{what}: down leaves nothing behind")
    tests.equal(run(WYRM, "down", path).returncode, 0, f"{what}: down twice")
    with open(note, encoding="ascii") as text:
        tests.equal(text.read(), f"post {NAME}\ndown {NAME}\n", f"{what}: hooks run once")
    os.unlink(note)


def refusals(tests, folder, base, before):
    path = write(folder, base.replace("[Peer]", "PostUp = false\n[Peer]"))
    result = run(WYRM, "up", path)
    tests.check(result.returncode == 1 and "undoing" in result.stderr, f"a hook that fails: {result.returncode} {result.stderr}")
    tests.equal(network(), before, "a hook that fails: all is undone")
    path = write(folder, base)
    for engine, words in (("false", "did not start"), ("/nonexistent/engine", "was not started")):
        result = run(WYRM, "up", path, "--engine", engine)
        tests.check(result.returncode == 1 and words in result.stderr, f"{engine}: {result.returncode} {result.stderr}")
        error = run(WYRM, "up", path, "--json", "--engine", engine).stderr
        tests.check(words in json.loads(error.splitlines()[-1])["error"]["message"], f"{engine} --json: {error}")
        tests.equal(network(), before, f"{engine}: all is undone")
    path = write(folder, "[Interface]\nMTU = x\n")
    result = run(WYRM, "up", path)
    tests.check(result.returncode == 3 and f"{path}:2:7:" in result.stderr, f"not valid: {result.returncode} {result.stderr}")
    for words, status, text in ((["up"], 2, "up wants one"), (["down"], 2, "down wants one"), (["up", path, "--engine"], 2, "wants a command"),
                                (["up", path, "--engine", " "], 2, "wants a command"), (["show", "--engine", "x"], 2, "option of up only"),
                                (["show", "--follow"], 2, "option of log and events only"), (["events"], 2, "events wants one"),
                                (["events", "wyq"], 4, "there is no record of events of wyq"), (["log"], 2, "log wants one"), (["log", "wyq"], 4, "there is no log of wyq"),
                                (["doctor", "a", "b"], 2, "one adapter at most"), (["log", "../x"], 2, "cannot be the name"),
                                (["up", "/etc/passwd"], 2, "neither a file"), (["down", "a/b"], 2, "neither a file")):
        result = run(WYRM, *words)
        tests.check(result.returncode == status and text in result.stderr, f"{words}: {result.returncode} {result.stderr}")


# Makes the interface and its socket, takes what is said to it, and never answers; ends a while after it was told to.
MUTE_ENGINE = """import fcntl, os, signal, socket, struct, sys, time
path, ended = f"/var/run/wireguard/{sys.argv[2]}.sock", sys.argv[1]
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", sys.argv[2].encode(), 0x1001))
def end(*_):
    time.sleep(2)
    os.unlink(path)
    open(ended, "w").close()
    os._exit(0)
signal.signal(signal.SIGTERM, end)
os.makedirs(os.path.dirname(path), exist_ok=True)
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen(5)
kept = []
while True:
    kept.append(server.accept()[0])
    if kept[-1].recv(1):
        open(ended + ".asked", "w").close()
"""


def start(*words):
    return subprocess.Popen(["ip", "netns", "exec", SPACE, WYRM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    try:
        out, error = process.communicate(timeout=40)
    except subprocess.TimeoutExpired:
        process.kill()
        out, error = process.communicate()
        return "it does not end", out, error
    return process.returncode, out, error


def wait_for(path):
    deadline = time.monotonic() + 30
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.05)
    return os.path.exists(path)


def interrupted(tests, folder, base, before):
    """Ctrl-C while an engine does not answer, and once more while it is undone."""
    script, ended = os.path.join(folder, "mute.py"), os.path.join(folder, "ended")
    with open(script, "w", encoding="ascii") as out:
        out.write(MUTE_ENGINE)
    up = start("up", write(folder, base), "--engine", f"/usr/bin/python3 {script} {ended}")
    tests.check(wait_for(ended + ".asked"), "interrupted: the engine is asked")
    up.send_signal(signal.SIGINT)
    time.sleep(1)
    up.send_signal(signal.SIGINT)
    status, _, error = finish(up)
    tests.check(status == 1 and "interrupted, undoing" in error, f"interrupted: {status} {error}")
    tests.check(os.path.exists(ended) and "is killed" not in error, f"interrupted twice: what is undone is done in peace: {error}")
    tests.equal(network(), before, "interrupted: all is undone")
    tests.equal(run(WYRM, "down", NAME).returncode, 0, "interrupted: nothing is left for down")


def at_once(tests, folder, base, before):
    """A second up and a down while the first is at work leave it alone; what a killed one began is cleaned up."""
    pipe, begun = os.path.join(folder, "pipe"), os.path.join(folder, "begun")
    os.mkfifo(pipe)
    blocked = base.replace("[Peer]", f"PreUp = touch {begun}; cat {pipe}\n[Peer]")
    for kill in (False, True):
        first = start("up", write(folder, blocked))
        tests.check(wait_for(begun), "at once: the first is at work")
        os.unlink(begun)
        if kill:
            first.kill()
        else:
            for words in (("up", write(folder, base)), ("down", NAME)):
                done = run(WYRM, *words)
                tests.check(done.returncode == 1 and "another process" in done.stderr, f"at once: {words[0]}: {done.returncode} {done.stderr}")
        with open(pipe, "w", encoding="ascii"):
            pass
        status, _, error = finish(first)
        if kill:
            status, error = (lambda done: (done.returncode, done.stderr))(run(WYRM, "up", write(folder, base)))
        tests.equal(status, 0, f"at once: killed {kill}: up: {error}")
        tests.check("10.98.0.1/24" in run("ip", "addr", "show", "dev", NAME).stdout, f"at once: killed {kill}: address")
        tests.equal(run(WYRM, "down", NAME).returncode, 0, f"at once: killed {kill}: down")
        tests.equal(network(), before, f"at once: killed {kill}: down leaves nothing behind")


def oddities(tests, folder, base, before):
    path = write(folder, base.replace("[Peer]", "PreUp = echo noise\n[Peer]"))
    done = run(WYRM, "up", path, "--json")
    tests.equal((done.returncode, done.stdout), (0, f'{{"interface":"{NAME}","applied":true}}\n'), "up --json: hooks print elsewhere")
    tests.check("noise" in done.stderr, f"up --json: what hooks print is not lost: {done.stderr}")
    run(WYRM, "down", NAME)
    strange = os.path.join(folder, "a\nundo\tfalse\n")
    os.mkdir(strange)
    done = run(WYRM, "up", write(strange, base))
    tests.check(done.returncode == 1 and "state cannot be written" in done.stderr, f"a line end in a path: {done.returncode} {done.stderr}")
    tests.equal(network(), before, "oddities: nothing is left")


def main():
    tests = Tests()
    subprocess.run(["ip", "netns", "add", SPACE], check=True)
    try:
        run("ip", "link", "set", "lo", "up")
        before = network()
        with tempfile.TemporaryDirectory() as folder:
            note = os.path.join(folder, "note")
            base = (f"[Interface]\nPrivateKey = {genkey()[0]}\nAddress = 10.98.0.1/24\nMTU = 1280\nPostUp = echo post %i >> {note}\n"
                    f"PreDown = echo down %i >> {note}\n[Peer]\nPublicKey = {genkey()[1]}\nAllowedIPs = 0.0.0.0/0\n")
            path = write(folder, base)
            for options in ([], ["--engine", ENGINE]):
                life(tests, path, note, before, options)
            refusals(tests, folder, base, before)
            interrupted(tests, folder, base, before)
            at_once(tests, folder, base, before)
            oddities(tests, folder, base, before)
    finally:
        run(WYRM, "down", NAME)
        subprocess.run(["ip", "netns", "del", SPACE], check=False)
    return tests.finish()


if __name__ == "__main__":
    sys.exit(main())
