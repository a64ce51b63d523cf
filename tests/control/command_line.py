"""Suite 41-config: configuration files (natively), every complaint of the command line, and - as root, with the real
driver - tunnels up and down in network namespaces: what `up` did is there, what `down` or a failure undid is gone."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("WYRM_BUILD", os.path.join(ROOT, "build", "linux"))
BIN = os.environ.get("WYRM_BIN", os.path.join(ROOT, "build", "bin"))
NTHOST, DRIVER = os.path.join(BIN, "nthost"), os.path.join(BIN, "wyrm.sys")
TAG = os.getpid() % 10000
passed = failed = skipped = 0


def check(condition, what):
    global passed, failed
    if condition:
        passed += 1
    else:
        failed += 1
        print(f"FAIL {what}", flush=True)
    return condition


def run(*argv, timeout=60, **options):
    return subprocess.run(argv, capture_output=True, text=True, timeout=timeout, **options)


def native(program):
    global passed, failed, skipped
    result = run(os.path.join(BUILD, "tests", "control", program), timeout=300)
    match = re.search(r"(\d+) passed, (\d+) failed, (\d+) skipped\s*$", result.stdout)
    print(f"{program}: {match.group(0).strip() if match else 'no summary'}")
    if match:
        passed, failed, skipped = (a + int(b) for a, b in zip((passed, failed, skipped), match.groups()))
    check(match and result.returncode == 0, f"{program} ended with status {result.returncode}: {result.stderr[-500:]}")


# ---- the command line ----

def test_complaints():
    """Arguments, exit status, and words that the message must have."""
    cases = [
        ([], 2, "usage:"),
        (["frobnicate"], 2, '"frobnicate" is not a command'),
        (["run"], 2, "wants a driver and a name"),
        (["run", "x.sys"], 2, "wants a driver and a name"),
        (["run", "--name", "wg0"], 2, "wants a driver and a name"),
        (["run", "x.sys", "y.sys", "--name", "a"], 2, 'not also "y.sys"'),
        (["run", "x.sys", "--name"], 2, "--name needs a value"),
        (["run", "x.sys", "--name", "a/b"], 2, "an interface name has 1 to 15"),
        (["run", "x.sys", "--name", "1234567890123456"], 2, "an interface name has 1 to 15"),
        (["run", "x.sys", "--name", ""], 2, "an interface name has 1 to 15"),
        (["run", "x.sys", "--name", "a", "--colour"], 2, 'no option "--colour"'),
        (["run", "x.sys", "--name", "a", "-x"], 2, 'no option "-x"'),
        (["run", "x.sys", "--name", "a", "--cpus", "0"], 2, "--cpus 0: want a number from 1 to 64"),
        (["run", "x.sys", "--name", "a", "--cpus", "65"], 2, "want a number from 1 to 64"),
        (["run", "x.sys", "--name", "a", "--cpus", "2x"], 2, "want a number"),
        (["run", "x.sys", "--name", "a", "--cpus", "-1"], 2, "want a number"),
        (["run", "x.sys", "--name", "a", "--cpus=99999999999999999999"], 2, "want a number"),
        (["run", "x.sys", "--name", "a", "--idle-cpu", "1x"], 2, "--idle-cpu 1x: want a number from 0 to 1023"),
        (["run", "x.sys", "--name", "a", "--idle-cpu", "1023"], 2, "--idle-cpu 1023: this process may not run there"),
        (["run", "x.sys", "--name", "a", "--mtu", "575"], 2, "--mtu 575: want a number from 576 to 65535"),
        (["run", "x.sys", "--name", "a", "--keyword", "*LsoV2IPv4"], 2, '"*LsoV2IPv4": want NAME=NUMBER'),
        (["run", "x.sys", "--name", "a", "--keyword", "=1"], 2, "want NAME=NUMBER"),
        (["run", "x.sys", "--name", "a", "--keyword", "x" * 64 + "=1"], 2, "1 to 63 characters"),
        (["run", "x.sys", "--name", "a", "--keyword", "*RscIPv4=off"], 2, "*RscIPv4=off: want a number from 0"),
        (["run", "x.sys", "--name", "a", "--keyword", "*RscIPv4=4294967296"], 2, "want a number from 0"),
        (["run", "x.sys", "--name", "a", "--keyword", "*RscIPv4="], 2, "want a number from 0"),
        (["run", "x.sys", "--name", "a"] + ["--keyword", "a=1"] * 33, 2, "at most 32"),
        (["up", "a.conf", "--keyword", "*RscIPv4=1x"], 2, "want a number from 0"),
        (["run", "x.sys", "--name", "a", "--ready-fd", "99"], 2, "this descriptor is not open"),
        (["run", "x.sys", "--name", "a", "--driver", "z"], 2, 'run has no option "--driver"'),
        (["run", "/nonexistent/x.sys", "--name", "a"], 1, "No such file"),
        (["run", "/", "--name", "a"], 1, "is not a file"),
        (["up"], 2, "up wants a configuration"),
        (["up", "a.conf", "--name", "x"], 2, 'up has no option "--name"'),
        (["up", "a.conf", "--mtu", "1400"], 2, 'up has no option "--mtu"'),
        (["up", "/nonexistent/a.conf"], 1, "cannot open the configuration: No such file"),
        (["up", "/etc/passwd"], 1, "is neither a file NAME.conf nor the name"),
        (["up", "/tmp/abcdefghijklmnop.conf"], 1, "at most 15 characters"),
        (["up", "/tmp/a b.conf"], 1, "cannot be an interface name"),
        (["down"], 2, "down wants one"),
        (["down", "--all"], 2, "down wants one"),
        (["down", "a", "b"], 2, "down wants one"),
        (["list", "x"], 2, "list takes no argument"),
    ]
    for arguments, status, words in cases:
        result = run(NTHOST, *arguments)
        check(result.returncode == status and words in result.stderr,
              f"nthost {' '.join(arguments)}: status {result.returncode}, said {result.stderr!r}")
    shown = run(NTHOST, "--help")
    check(shown.returncode == 0 and "usage:" in shown.stdout and not shown.stderr, "--help")
    check(run(NTHOST, "--version").stdout.startswith("nthost "), "--version")
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/t.conf"
        with open(path, "w", encoding="ascii") as out:
            out.write("[Interface]\nListenPort = many\n")
        result = run(NTHOST, "up", path)
        check(result.returncode == 1 and f"{path}:2:14: ListenPort \"many\"" in result.stderr, f"up: {result.stderr}")
        with open(path, "w", encoding="ascii") as out:
            out.write("[Interface]\n")
        result = run(NTHOST, "up", path, "--driver", "/nonexistent.sys")
        check(result.returncode == 1 and "name the driver with --driver" in result.stderr, f"up: {result.stderr}")
        check("every user can reach it" in result.stderr, "a readable configuration is warned about")
        os.chmod(path, 0o600)
        check("every user" not in run(NTHOST, "up", path, "--driver", "/nonexistent.sys").stderr, "a private one is not")
    if os.geteuid() == 0:
        copy = f"/tmp/nthost-{TAG}"
        run("install", "-m", "755", NTHOST, copy)
        result = run("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", copy, "run", "/etc/passwd",
                     "--name", "wyx")
        os.unlink(copy)
        check(result.returncode == 1 and "this needs root" in result.stderr, f"not root: {result.stderr}")
        check("is not up" in run(NTHOST, "down", f"wyx{TAG}").stderr, "down of what is not up")
        result = run(NTHOST, "run", "/etc/passwd", "--name", "lo")
        check(result.returncode == 1 and "an interface named lo exists" in result.stderr, f"a taken name: {result.stderr}")
        result = run(NTHOST, "run", "/etc/passwd", "--name", f"wyx{TAG}")
        check(result.returncode == 1 and "/etc/passwd" in result.stderr and not os.path.exists(f"/sys/class/net/wyx{TAG}"),
              f"a file that is no driver: {result.stderr}")


# ---- tunnels in a namespace ----

class Namespace:
    """A network namespace with an uplink eth9 (veth, its end in the same namespace): 192.0.2.2/24 and 2001:db8::2/64, default routes through it."""

    def __init__(self, name, plain=False):
        self.name = name
        self.must("ip", "netns", "add", name, inside=False)
        if plain:
            self.must("ip", "link", "set", "lo", "up")
            return
        for command in ("link set lo up", "link add eth9 mtu 1480 type veth peer name eth8 mtu 1480", "link set eth9 addrgenmode none up", "link set eth8 addrgenmode none up",
                        "address add 192.0.2.2/24 dev eth9", "-6 address add 2001:db8::2/64 dev eth9 nodad",
                        "route add default via 192.0.2.1", "-6 route add default via 2001:db8::1"):
            self.must("ip", *command.split())

    def run(self, *argv, **options):
        return run("ip", "netns", "exec", self.name, *argv, **options)

    def must(self, *argv, inside=True):
        result = self.run(*argv) if inside else run(*argv)
        if result.returncode:
            raise RuntimeError(f"{argv}: {result.stderr}")
        return result.stdout

    def snapshot(self):
        """What `up` must bring and `down` must take away."""
        parts = [["ip", "-o", "link"], ["ip", "-o", "address"], ["ip", "-4", "rule"], ["ip", "-6", "rule"],
                 ["ip", "-4", "route", "show", "table", "all"], ["ip", "-6", "route", "show", "table", "all"],
                 ["cat", "/proc/sys/net/ipv4/conf/all/src_valid_mark"]]
        if shutil.which("nft"):
            parts.append(["nft", "list", "ruleset"])
        return [self.run(*part).stdout for part in parts]

    def same(self, before, what):
        """Checks that everything is as in that snapshot; says what is not."""
        now = self.snapshot()
        check(now == before, what + "".join(f"\n  was {a!r}\n  is  {b!r}" for a, b in zip(before, now) if a != b))

    def delete(self):
        run("ip", "netns", "delete", self.name)


class Config:
    def __init__(self, folder, name):
        self.name, self.path = name, f"{folder}/{name}.conf"
        self.private = run("wg", "genkey").stdout.strip()
        self.peer = run("wg", "pubkey", input=run("wg", "genkey").stdout).stdout.strip()

    def write(self, interface="", peer=""):
        with open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as out:
            out.write(f"[Interface]\nPrivateKey = {self.private}\n{interface}\n[Peer]\nPublicKey = {self.peer}\n{peer}\n")
        return self.path


def test_up_down(space, folder):
    config = Config(folder, f"wyu{TAG}")
    name, note = config.name, f"{folder}/note"
    before = space.snapshot()
    path = config.write(f"ListenPort = 0\nAddress = 10.77.0.1/24, fd77::1/64\nPreUp = echo preup %i >> {note}\n"
                        f"PostUp = echo postup %i >> {note}\nPreDown = echo predown %i >> {note}\n"
                        f"PostDown = echo postdown %i >> {note}",
                        "AllowedIPs = 10.77.0.0/24, 10.88.0.0/16, fd88::/32\nEndpoint = 192.0.2.77:5000\n"
                        "PersistentKeepalive = 7")
    result = space.run(NTHOST, "up", path)
    if not check(result.returncode == 0, f"up: status {result.returncode}: {result.stderr}"):
        return
    link = space.run("ip", "-o", "link", "show", name).stdout
    check("mtu 1400" in link and "UP" in link, f"MTU is the uplink's 1480 - 80: {link}")
    addresses = space.run("ip", "-o", "address", "show", "dev", name).stdout
    check("10.77.0.1/24" in addresses and "fd77::1/64" in addresses, f"addresses: {addresses}")
    routes = space.run("ip", "-4", "route", "show", "dev", name).stdout
    check("10.88.0.0/16" in routes and routes.count("10.77.0.0/24") == 1, f"routes: {routes}")
    check("fd88::/32" in space.run("ip", "-6", "route", "show", "dev", name).stdout, "IPv6 route")
    dump = run("wg", "show", name, "dump").stdout.split()
    check(config.private in dump and config.peer in dump and "192.0.2.77:5000" in dump, "the peer is configured")
    with open(note, encoding="ascii") as text:
        check(text.read() == f"preup {name}\npostup {name}\n", "hooks of up")
    check(re.search(rf"^{name}\tup\tprocess \d+\t{re.escape(path)}$", run(NTHOST, "list").stdout, re.M), "list")
    again = space.run(NTHOST, "up", path)
    check(again.returncode == 1 and "is up already" in again.stderr, f"up twice: {again.stderr}")
    check(run("wg", "show", name).returncode == 0, "the first is not disturbed by that")
    result = space.run(NTHOST, "down", path)
    check(result.returncode == 0, f"down: {result.stderr}")
    space.same(before, "down leaves nothing behind")
    with open(note, encoding="ascii") as text:
        check(text.read().endswith(f"predown {name}\npostdown {name}\n"), "hooks of down")
    with open(f"/run/nthost/{name}.log", encoding="utf-8", errors="replace") as text:
        log = text.read()
    check("left nothing behind" in log, f"the driver left nothing behind: {log[-300:]}")
    check(config.private not in log, "no key in the log")
    os.unlink(note)


def test_default_routes(space, folder):
    first, second = Config(folder, f"wyd{TAG}"), Config(folder, f"wye{TAG}")
    before = space.snapshot()
    first.write("Address = 10.77.1.1/32, fd77:1::1/128\nMTU = 1300",
                "AllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = 192.0.2.77:5000")
    second.write("Address = 10.77.2.1/32\nFwMark = 0x99", "AllowedIPs = 0.0.0.0/0\nEndpoint = 192.0.2.78:5000")
    result = space.run(NTHOST, "up", first.path)
    if not check(result.returncode == 0, f"up with default routes: {result.stderr}"):
        return
    def route(*words):
        return space.run("ip", "route", "get", *words).stdout
    mark = run("wg", "show", first.name, "fwmark").stdout.strip()
    check(mark == "0xca6c", f"the mark is the first free table, 51820: {mark}")
    check(f"dev {first.name}" in route("198.51.100.1"), "traffic goes into the tunnel")
    check(f"dev {first.name}" in space.run("ip", "-6", "route", "get", "2001:db8:9::1").stdout, "IPv6 too")
    check("dev eth9" in route("198.51.100.1", "mark", mark), "the tunnel's own datagrams do not")
    check("dev eth9" in route("192.0.2.50"), "the local network stays local")
    check("mtu 1300" in space.run("ip", "-o", "link", "show", first.name).stdout, "MTU of the file")
    check(space.run("cat", "/proc/sys/net/ipv4/conf/all/src_valid_mark").stdout == "1\n", "src_valid_mark")
    if shutil.which("nft"):
        rules = space.run("nft", "list", "ruleset").stdout
        check("table ip nthost_" in rules and "table ip6 nthost_" in rules, f"firewall: {rules}")
        check("meta mark 0x0000ca6c ct mark set" in rules and "ip daddr 10.77.1.1" in rules, f"firewall rules: {rules}")
    one = space.snapshot()
    result = space.run(NTHOST, "up", second.path)
    check(result.returncode == 0, f"a second default route: {result.stderr}")
    check(run("wg", "show", second.name, "fwmark").stdout.strip() == "0x99", "FwMark of the file is the mark")
    check(f"dev {second.name}" in route("198.51.100.1"), "the second tunnel is in front")
    check("dev eth9" in route("192.0.2.50"), "the local network still stays local")
    result = space.run(NTHOST, "down", second.name)
    check(result.returncode == 0, f"the second goes: {result.stderr}")
    space.same(one, "the first stays")
    result = space.run(NTHOST, "down", first.name)
    check(result.returncode == 0, f"the first goes: {result.stderr}")
    space.same(before, "and nothing is left")


def test_failures(space, folder):
    config = Config(folder, f"wyt{TAG}")
    before = space.snapshot()
    peer = "AllowedIPs = 0.0.0.0/0\nEndpoint = 192.0.2.77:5000"
    cases = [("Address = 10.77.3.1/32\nPostUp = exit 3", peer, "PostUp number 1 ended with status 3"),
             ("Address = 10.77.3.1/32\nPreUp = kill -9 $$", peer, "PreUp number 1 ended with status 137"),
             # the kernel refuses the second address
             ("Address = 10.77.3.1/32, 10.77.3.1/32", peer, "this failed with status"),
             ("Address = 10.77.3.1/32", peer.replace("192.0.2.77", "name.invalid"), "cannot be resolved"),
             (f"ListenPort = {65000 + TAG % 500}\nPostUp = false", peer, "PostUp number 1")]
    for interface, peer_text, words in cases:
        # without a name server the resolver is to give up soon
        result = space.run(NTHOST, "up", config.write(interface, peer_text),
                           env=dict(os.environ, RES_OPTIONS="timeout:1 attempts:1"))
        check(result.returncode == 1 and words in result.stderr, f"{interface!r}: {result.returncode} {result.stderr}")
        check(config.private not in result.stderr, "no key in messages")
        space.same(before, f"{interface!r} left something behind")
        check(not os.path.exists(f"/run/nthost/{config.name}.state"), f"{interface!r} left a state behind")
    # Ctrl-C in the middle
    path = config.write("Address = 10.77.3.1/32\nPostUp = sleep 20", peer)
    up = subprocess.Popen(["ip", "netns", "exec", space.name, NTHOST, "up", path], stderr=subprocess.PIPE, text=True,
                          start_new_session=True)
    for _ in range(100):
        time.sleep(0.1)
        if "10.77.3.1" in space.run("ip", "-o", "address").stdout:
            break
    time.sleep(0.3)
    os.killpg(up.pid, signal.SIGINT)
    _, errors = up.communicate(timeout=60)
    check(up.returncode == 1 and "undoing" in errors, f"interrupted: {up.returncode} {errors}")
    space.same(before, "an interrupted up leaves nothing behind")
    # the process dies
    path = config.write("Address = 10.77.3.1/32", peer)
    if check(space.run(NTHOST, "up", path).returncode == 0, "up"):
        pid = int(re.search(rf"^{config.name}\tup\tprocess (\d+)", run(NTHOST, "list").stdout, re.M).group(1))
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.5)
        check(re.search(rf"^{config.name}\tdead", run(NTHOST, "list").stdout, re.M), "list says dead")
        result = space.run(NTHOST, "up", path)
        check(result.returncode == 0 and "cleaning up" in result.stderr, f"up after a crash: {result.stderr}")
        check(space.run(NTHOST, "down", path).returncode == 0, "down after that")
        space.same(before, "nothing is left of it")


def test_save(space, folder):
    config = Config(folder, f"wys{TAG}")
    path = config.write("Address = 10.77.4.1/24\nMTU = 1333\nSaveConfig = true\nPostUp = true %i\nTable = off",
                        "AllowedIPs = 10.99.0.0/16")
    result = space.run(NTHOST, "up", path)
    if not check(result.returncode == 0, f"up: {result.stderr}"):
        return
    check("10.99" not in space.run("ip", "route").stdout, "Table = off makes no routes")
    run("wg", "set", config.name, "listen-port", "41414", "peer", config.peer, "endpoint", "192.0.2.9:9", "allowed-ips",
        "10.99.0.0/16,10.98.0.0/16")
    check(space.run(NTHOST, "down", path).returncode == 0, "down")
    with open(path, encoding="ascii") as text:
        saved = text.read()
    for line in ("Address = 10.77.4.1/24", "MTU = 1333", "SaveConfig = true", "PostUp = true %i", "Table = off",
                 "ListenPort = 41414", f"PublicKey = {config.peer}", "Endpoint = 192.0.2.9:9", "AllowedIPs = 10.98.0.0/16"):
        check(f"\n{line}\n" in saved, f"SaveConfig: {line} is missing")
    check(os.stat(path).st_mode & 0o777 == 0o600, "the saved file is private")
    result = space.run(NTHOST, "up", path)
    check(result.returncode == 0 and space.run(NTHOST, "down", path).returncode == 0, f"and usable: {result.stderr}")


def test_dns(space, folder):
    """With a resolvconf of our own that notes what it is told."""
    config = Config(folder, f"wyn{TAG}")
    tools, note = f"{folder}/tools", f"{folder}/dns"
    os.mkdir(tools)
    with open(os.open(f"{tools}/resolvconf", os.O_WRONLY | os.O_CREAT, 0o755), "w", encoding="ascii") as out:
        out.write(f"#!/bin/sh\necho \"$@\" >>{note}\ncase $1 in -a) cat >>{note} ;; esac\n")
    environment = dict(os.environ, PATH=tools + ":" + os.environ["PATH"])
    path = config.write("Address = 10.77.5.1/24\nDNS = 10.77.5.53, fd00::53, example.org, sub.example.org")
    result = space.run(NTHOST, "up", path, env=environment)
    if not check(result.returncode == 0, f"up: {result.stderr}"):
        return
    check(space.run(NTHOST, "down", path, env=environment).returncode == 0, "down")
    prefix = "tun." if os.path.exists("/etc/resolvconf/interface-order") else ""
    with open(note, encoding="ascii") as text:
        said = text.read()
    check(said == f"-a {prefix}{config.name} -m 0 -x\nnameserver 10.77.5.53\nnameserver fd00::53\n"
          f"search example.org sub.example.org\n-d {prefix}{config.name} -f\n", f"resolvconf was told {said!r}")


def test_traffic(folder):
    """Two tunnels made by `up` in two namespaces; one sends everything through the other, with strict reverse path
    filtering, and its own datagrams do not loop."""
    near, far = Namespace(f"wyrm-near-{TAG}", plain=True), Namespace(f"wyrm-far-{TAG}", plain=True)
    try:
        near.must("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", far.name)
        for space, address, other in ((near, "192.0.2.1/24", "192.0.2.2"), (far, "192.0.2.2/24", "192.0.2.1")):
            for command in (f"address add {address} dev eth0", "link set eth0 up", f"route add default via {other}"):
                space.must("ip", *command.split())
        far.must("ip", "address", "add", "198.51.100.7/32", "dev", "lo")
        for conf in ("all", "default", "eth0"):
            near.must("sh", "-c", f"echo 1 >/proc/sys/net/ipv4/conf/{conf}/rp_filter")
        one, two = Config(folder, f"wya{TAG}"), Config(folder, f"wyb{TAG}")
        publics = [run("wg", "pubkey", input=config.private).stdout.strip() for config in (one, two)]
        one.peer, two.peer = reversed(publics)
        one.write("Address = 10.77.6.1/24, fd77:6::1/64",
                  "AllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = 192.0.2.2:51999")
        two.write("Address = 10.77.6.2/24, fd77:6::2/64\nListenPort = 51999", "AllowedIPs = 10.77.6.1/32, fd77:6::1/128")
        ups = [far.run(NTHOST, "up", two.path), near.run(NTHOST, "up", one.path, "--verify")]
        if check([up.returncode for up in ups] == [0, 0], f"up: {[up.stderr for up in ups]}"):
            for target in ("10.77.6.2", "198.51.100.7", "fd77:6::2"):
                ping = near.run("ping", "-c", "5", "-i", "0.2", "-W", "2", target)
                check(" 0% packet loss" in ping.stdout, f"ping {target} through the tunnel: {ping.stdout} {ping.stderr}")
            dump = run("wg", "show", one.name, "dump").stdout.split()
            check(int(dump[-3]) > 1000 and int(dump[-4]) if len(dump) > 4 else False, "the tunnel carried it")
            loops = int(near.run("cat", f"/sys/class/net/{one.name}/statistics/tx_packets").stdout)
            check(loops < 200, f"the tunnel's datagrams do not enter it again: {loops} packets")
        downs = [near.run(NTHOST, "down", one.path), far.run(NTHOST, "down", two.path)]
        check([down.returncode for down in downs] == [0, 0], f"down: {[down.stderr for down in downs]}")
        for config in (one, two):
            with open(f"/run/nthost/{config.name}.log", encoding="utf-8", errors="replace") as text:
                check("left nothing behind" in text.read(), f"{config.name}: nothing is left after traffic")
    finally:
        for name in (f"wya{TAG}", f"wyb{TAG}"):
            if os.path.exists(f"/run/nthost/{name}.state"):
                near.run(NTHOST, "down", name)
        near.delete()
        far.delete()


def test_run(space):
    """run: the ready descriptor, Ctrl-C, the report, and that the second Ctrl-C ends at once is not needed."""
    name = f"wyr{TAG}"
    report = f"/tmp/{name}.report"
    before = space.snapshot()
    reader, writer = os.pipe()
    process = subprocess.Popen(["ip", "netns", "exec", space.name, NTHOST, "run", DRIVER, "--name", name, "--cpus", "1",
                                "--mtu", "1234", "--ready-fd", str(writer), "--report", report, "--verify"],
                               pass_fds=[writer], stderr=subprocess.PIPE, text=True)
    os.close(writer)
    check(os.read(reader, 16) == b"ready\n", "ready")
    os.close(reader)
    check("mtu 1234" in space.run("ip", "-o", "link", "show", name).stdout, "--mtu")
    taken = space.run(NTHOST, "run", DRIVER, "--name", name)
    check(taken.returncode == 1 and "exists" in taken.stderr, "the name is taken now")
    process.send_signal(signal.SIGINT)
    try:
        _, errors = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        _, errors = process.communicate()
    check(process.returncode == 0 and "left nothing behind" in errors, f"Ctrl-C: {process.returncode} {errors}")
    space.same(before, "run leaves nothing behind")
    with open(report, encoding="ascii") as text:
        content = text.read()
    check("0 kinds leaked" in content and "pool allocations" in content, f"report: {content}")
    os.unlink(report)


def main():
    global skipped
    if not os.access(NTHOST, os.X_OK):
        print(f"FAIL nthost is not built in {BIN}")
        print("0 passed, 1 failed, 0 skipped")
        return 1
    native("test_config")
    test_complaints()
    if os.geteuid() != 0 or not os.access("/dev/net/tun", os.W_OK) or not os.access(DRIVER, os.R_OK):
        print(f"SKIP tunnels: they need root, /dev/net/tun and {DRIVER}")
        skipped += 1
    else:
        space = Namespace(f"wyrm-cli-{TAG}")
        try:
            with tempfile.TemporaryDirectory() as folder:
                for test in (test_up_down, test_default_routes, test_failures, test_save, test_dns):
                    test(space, folder)
                test_traffic(folder)
                test_run(space)
        finally:
            for name in re.findall(rf"^(wy.{TAG})\t", run(NTHOST, "list").stdout, re.M):
                space.run(NTHOST, "down", name)
                os.path.exists(f"/run/nthost/{name}.state") and os.unlink(f"/run/nthost/{name}.state")
            for letter in "udetsnrab":
                log = f"/run/nthost/wy{letter}{TAG}.log"
                os.path.exists(log) and os.unlink(log)
            space.delete()
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 0 if failed == 0 and passed > 0 else 1


sys.exit(main())
