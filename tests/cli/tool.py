#!/usr/bin/python3
"""The command-line tool `wyrm` beside stock `wg`, over sockets that this script answers: the same output byte for byte, the same
requests; every message and exit status.  Runs in a mount namespace of its own (unshare), where only its adapters are."""

import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fake_adapter import SOCKETS, FakeAdapter  # noqa: E402
from message_pages import CLI  # noqa: E402
from netlab import ROOT, Tests, genkey  # noqa: E402

BUILD = os.environ.get("WYRM_BUILD_DIR", os.path.join(ROOT, "build", "linux"))
WYRM = os.path.join(BUILD, "tests", "unit", "cli", "wyrm_sanitized")
FIELDS = ("public-key private-key listen-port fwmark peers preshared-keys endpoints allowed-ips latest-handshakes transfer "
          "persistent-keepalive dump").split()
PUBLIC = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
OTHER = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("WG_")}


def run(program, *arguments, text=None, **environment):
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, env=dict(ENVIRONMENT, **environment),
                          **({"stdin": subprocess.DEVNULL} if text is None else {"input": text}))


# For what shows times as such; what shows ages needs the real one.
STANDING_TIME = 0


def hex_key(number):
    return f"{number:02x}" * 32


def peer(number, seconds=0, received=0, sent=0, keepalive=0, extra="", preshared=0, nanoseconds=5):
    return (f"public_key={hex_key(number)}\npreshared_key={hex_key(preshared)}\nprotocol_version=1\n{extra}"
            f"last_handshake_time_sec={seconds}\nlast_handshake_time_nsec={nanoseconds}\ntx_bytes={sent}\nrx_bytes={received}\n"
            f"persistent_keepalive_interval={keepalive}\n")


def everything(_request=None):
    """All that can be said of an adapter; times are seconds before now."""
    now = STANDING_TIME or int(time.time())
    return (f"private_key={hex_key(0x48)}\nlisten_port=51820\nfwmark=51966\n" + peer(1) +
            peer(2, now - 1, 1023, 1024, 25, "endpoint=[fe80::1%lo]:77\nallowed_ip=10.0.0.0/8\nallowed_ip=fd00::/8\n", preshared=7) +
            peer(3, now - 61, (1 << 20) - 1, 1 << 20, 1, "endpoint=192.0.2.1:65535\n") +
            peer(4, now - 3600 * 25 - 5, 1 << 30, 1 << 40, 60) + peer(5, now - 86400 * 365 - 120, 1 << 50, (1 << 30) - 1, 65535) +
            peer(6, now - 86400 * 800, 1, 0) + peer(7, now + 5, 0, 1) + peer(8, now) + peer(9, now - 61, 5, 0, nanoseconds=4) +
            peer(10, now - 61, 1535, 1537, 3661, nanoseconds=6) + peer(11, 0, (1 << 64) - 1, 0, 120, "allowed_ip=0.0.0.0/0\n") +
            peer(12, 1, extra="endpoint=[2001:db8::1]:1\nallowed_ip=::/0\nallowed_ip=10.1.2.3/32\nallowed_ip=::ffff:1.2.3.4/128\n") +
            "errno=0\n\n")


def same(tests, what, *arguments, change=lambda text: text, **environment):
    """`wyrm` prints what `wg` prints.  Ages: tries again, as a second may pass between the two, but not always."""
    for _ in range(12):
        ours, theirs = run(WYRM, *arguments, **environment), run("wg", *arguments, **environment)
        if ours.stdout == change(theirs.stdout):
            break
    tests.equal(ours.stdout, change(theirs.stdout), what)
    tests.equal((ours.returncode, ours.stderr, theirs.returncode), (0, "", 0), f"{what}: status and errors")


def by_name(text):
    """`wg` lists adapters in the order of the directory, we by name."""
    return "".join(sorted(text.splitlines(True), key=lambda line: line.split("\t")[0]))


def shown(tests):
    global STANDING_TIME
    STANDING_TIME = int(time.time())
    for name in ("all", "empty", "port", "wg0"):
        for field in FIELDS:
            if (name, field) == ("all", "endpoints"):
                # `wg` 1.0.20210914 names the adapter once for all its peers there, not in each line as its page says.
                lines = [f"{one}\t{line}" for one in ("empty", "port", "wg0")
                         for line in run("wg", "show", one, field).stdout.splitlines(True)]
                tests.equal(run(WYRM, "show", name, field).stdout, "".join(lines), "show all endpoints")
                continue
            same(tests, f"show {name} {field}", "show", name, field, change=by_name if name == "all" else lambda text: text)
    STANDING_TIME = 0
    for name in ("empty", "port", "wg0"):
        for environment in ({}, {"WG_HIDE_KEYS": "never"}, {"WG_COLOR_MODE": "always"}, {"WG_COLOR_MODE": "never"}):
            same(tests, f"show {name} {environment}", "show", name, **environment)
        same(tests, f"showconf {name}", "showconf", name)
    blocks = lambda text: "\n".join(sorted(re.split(r"\n(?=interface: )", text.rstrip("\n") + "\n")))  # noqa: E731
    for arguments in ((), ("show",), ("show", "all")):
        same(tests, f"wyrm {arguments}", *arguments, change=blocks)
    same(tests, "show interfaces", "show", "interfaces", change=lambda text: " ".join(sorted(text.split())) + "\n")
    hidden = run(WYRM, "show", "wg0").stdout
    tests.check("SEhISEhI" not in hidden and "BwcHBwcHBwcHB" in hidden and hidden.count("(hidden)") == 2, "secrets are hidden")
    for _ in range(12):  # a second may pass between the two
        option, variable = run(WYRM, "show", "wg0", "--show-keys").stdout, run(WYRM, "show", "wg0", WG_HIDE_KEYS="never").stdout
        if option == variable:
            break
    tests.equal(option, variable, "--show-keys")

    # Colours on a terminal only.
    parent, child = pty.openpty()
    with subprocess.Popen([WYRM, "show", "port"], stdout=child, env=ENVIRONMENT) as process:
        os.close(child)
        seen = b""
        try:
            while more := os.read(parent, 65536):
                seen += more
        except OSError:  # the end of a pseudo-terminal
            pass
        tests.equal(process.wait(), 0, "on a terminal: status")
    os.close(parent)
    tests.equal(seen.decode().replace("\r\n", "\n"), run(WYRM, "show", "port", WG_COLOR_MODE="always").stdout, "colours on a terminal")


def as_json(tests):
    whole = json.loads(run(WYRM, "show", "--json").stdout)
    tests.equal([one["name"] for one in whole["interfaces"]], ["empty", "port", "wg0"], "--json: names")
    tests.equal(whole["interfaces"][0], {"name": "empty", "public_key": None, "has_private_key": False, "listen_port": 0, "fwmark": 0,
                                         "peers": []}, "--json: empty")
    adapter = whole["interfaces"][2]
    tests.check(adapter["has_private_key"] and "private_key" not in adapter and adapter["fwmark"] == 0xcafe, "--json: the adapter")
    now = adapter["peers"][1].pop("latest_handshake")
    tests.check(abs(time.time() - now) < 30, "--json: handshake")
    tests.equal(adapter["peers"][1], {
        "public_key": "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=", "has_preshared_key": True, "endpoint": "[fe80::1%lo]:77",
        "allowed_ips": ["10.0.0.0/8", "fd00::/8"], "rx_bytes": 1023, "tx_bytes": 1024, "persistent_keepalive": 25}, "--json: a peer")
    tests.equal(adapter["peers"][10]["rx_bytes"], (1 << 64) - 1, "--json: 64 bits")
    for arguments in (("show", "wg0", "dump"), ("showconf", "wg0"), ("show", "wg0", "--show-keys")):
        got = json.loads(run(WYRM, *arguments, "--json").stdout)
        got = got["interfaces"][0] if "interfaces" in got else got
        tests.check(got["private_key"].startswith("SEhI") and got["peers"][1]["preshared_key"].startswith("BwcH") and
                    got["peers"][0]["preshared_key"] is None, f"--json {arguments}: with keys, asked for")
    tests.equal(json.loads(run(WYRM, "show", "wg0", "endpoints", "--json").stdout)["interfaces"][0]["peers"][2],
                {"public_key": "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=", "endpoint": "192.0.2.1:65535"}, "--json: one field")
    tests.equal(json.loads(run(WYRM, "--json", "show", "interfaces").stdout), {"interfaces": ["empty", "port", "wg0"]}, "--json: names only")
    for command, name in (("genkey", "private_key"), ("genpsk", "preshared_key")):
        tests.equal(len(json.loads(run(WYRM, command, "--json").stdout)[name]), 44, f"{command} --json")
    tests.equal(run(WYRM, "set", "port", "fwmark", "0", "--json").stdout, '{"interface":"port","applied":true}\n', "set --json")
    refused = run(WYRM, "show", "nosuch", "--json")
    tests.equal((refused.stdout, json.loads(refused.stderr)["error"]["status"]), ("", 4), "errors in JSON")


def requests(tests, adapter, folder):
    """`set`, `setconf` and `addconf` ask for what `wg` asks for."""
    private, psk = genkey()[0], genkey()[0]
    paths = {}
    for label, content in (("private", private), ("psk", psk + "\n\n")):
        paths[label] = os.path.join(folder, label)
        with open(os.open(paths[label], os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.write(content)

    def compare(*arguments, text=None, change=lambda text: text):
        adapter.taken()
        done = [run(program, *arguments, text=text) for program in (WYRM, "wg")]
        got = adapter.taken()
        tests.check(len(got) == 2 and got[0] == change(got[1]), f"{arguments}: the same request: {got}")
        tests.equal((done[0].returncode, done[0].stdout, done[0].stderr), (0, "", ""), f"{arguments}: silent success")

    compare("set", "port", "listen-port", "7", "fwmark", "off", "private-key", "/dev/null", "peer", PUBLIC, "preshared-key", "/dev/null",
            "endpoint", "1.2.3.4:5", "persistent-keepalive", "off", "allowed-ips", "10.0.0.0/8,fd00::1")
    compare("set", "port", "private-key", paths["private"], "fwmark", "0xFFFFFFFF", "peer", PUBLIC, "allowed-ips", "", "peer", OTHER,
            "preshared-key", paths["psk"], "endpoint", "[2001:db8::7]:65535", "persistent-keepalive", "65535")
    compare("set", "port", "private-key", "/dev/stdin", text=private + "\n")
    compare("set", "port", "peer", PUBLIC, "remove")
    compare("setconf", "port", "/dev/stdin", text="[Interface]\n")
    full = (f"[Interface]\nPrivateKey = {private}\nListenPort = 5\nFwMark = 0x10 # comment\n\n[Peer]\nPublicKey={PUBLIC}\nPresharedKey={psk}\n"
            "AllowedIPs = 1.0.0.0/8, fd00::/8\nAllowedIPs=2.0.0.0/8\nEndpoint = 192.0.2.1:5\nPersistentKeepalive = 5\n"
            f"[peer]\npublickey = {OTHER}\npersistentkeepalive = off\n")
    compare("setconf", "port", "/dev/stdin", text=full)
    compare("addconf", "port", "/dev/stdin", text=full)
    adapter.taken()
    tests.equal(run(WYRM, "set", "port", "peer", PUBLIC, "allowed-ips", "+10.1.2.3/8, -fd00::/8").returncode, 0, "+ and -")
    tests.equal(adapter.taken()[0].split("\n", 2)[2], "allowed_ip=10.0.0.0/8\nallowed_ip=-fd00::/8\n\n", "+ and -: the request")
    for way in ("-", "/dev/stdin"):
        tests.equal(run(WYRM, "addconf", "port", way, text=f"[Peer]\nPublicKey={OTHER}\n").returncode, 0, f"addconf {way}, no [Interface]")
        tests.check(bytes.fromhex(adapter.taken()[0].split("public_key=")[1][:64]), f"addconf {way}: the request")
    tests.equal(run(WYRM, "syncconf", "port", "-", text=f"[Peer]\nPublicKey={PUBLIC}\n").returncode, 0, "syncconf")
    asked = adapter.taken()
    tests.check(asked[0] == "get=1\n\n" and f"public_key={hex_key(3)}\nremove=true\n" in asked[1] and "replace_peers" not in asked[1],
                f"syncconf removes only what is gone: {asked}")


def usage(tests, folder):
    """Wrong arguments and files: exact messages, exit status, nothing on standard output, no key repeated."""
    secret = genkey()[0]
    files = {}

    def file(label, text):
        files[label] = os.path.join(folder, label)
        with open(os.open(files[label], os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as out:
            out.write(text)
        return files[label]

    field, words = "(see `wyrm show --help`)", "use those of `wyrm set --help`"
    conf = f"[Interface]\nPrivateKey = {secret}\n"
    cases = [
        (["frobnicate"], 2, 'there is no command "frobnicate" (see `wyrm --help`)'),
        (["help", "frobnicate"], 2, 'there is no command "frobnicate" (see `wyrm --help`)'),
        (["--frob"], 2, "there is no option --frob (see `wyrm --help`)"),
        (["show", "a", "b", "c"], 2, f"show takes an adapter and a field, not 3 arguments {field}"),
        (["show", "wg0", "nonsense"], 2, f'there is no field "nonsense" {field}'),
        (["show", "interfaces", "dump"], 2, f"`show interfaces` takes no field {field}"),
        (["show", "a/b"], 2, '"a/b" cannot be the name of an adapter: use 1 to 15 of a-z A-Z 0-9 _ = + . -'),
        (["show", "nosuch"], 4, f"there is no adapter nosuch (nothing answers at {SOCKETS}/nosuch.sock)"),
        (["showconf"], 2, "showconf wants one adapter: wyrm showconf wg0"),
        (["showconf", "wg0", "--show-keys"], 2, "--show-keys is an option of show only"),
        (["set"], 2, "set wants an adapter and what to set (see `wyrm set --help`)"),
        (["set", "wg0"], 2, "set wants an adapter and what to set (see `wyrm set --help`)"),
        (["set", "nosuch", "fwmark", "0"], 4, f"there is no adapter nosuch (nothing answers at {SOCKETS}/nosuch.sock)"),
        (["set", "wg0", "colour", "red"], 2, f'the word "colour" (argument 2) is not valid: {words}'),
        (["set", "wg0", secret, "red"], 2, f"the word (argument 2) is not valid: {words}"),
        (["set", "wg0", "listen-port"], 2, "listen-port (argument 2) wants a value after it"),
        (["set", "wg0", "listen-port", "65536"], 2, 'listen-port "65536" (argument 3) is not valid: use a number from 0 to 65535'),
        (["set", "wg0", "fwmark", "-1"], 2,
         'fwmark "-1" (argument 3) is not valid: use off, or a 32-bit number, decimal or hexadecimal with 0x'),
        (["set", "wg0", "endpoint", "1.2.3.4:5"], 2, "endpoint (argument 2) belongs after `peer KEY`"),
        (["set", "wg0", "remove"], 2, "remove (argument 2) belongs after `peer KEY`"),
        (["set", "wg0", "peer", PUBLIC, "fwmark", "1"], 2, "fwmark (argument 4) belongs before the first peer"),
        (["set", "wg0", "peer", "short"], 2, "peer (argument 3) wants a public key: 44 base64 characters, as `wyrm pubkey` prints them"),
        (["set", "wg0", "peer", PUBLIC, "persistent-keepalive", "65536"], 2,
         'persistent-keepalive "65536" (argument 5) is not valid: use off, or seconds from 0 to 65535'),
        (["set", "wg0", "peer", PUBLIC, "endpoint", "1.2.3.400:5"], 2,
         'endpoint "1.2.3.400:5" (argument 5) is not valid: use name:port, 192.0.2.1:port or [2001:db8::1]:port'),
        (["set", "wg0", "peer", PUBLIC, "endpoint", "nosuch.invalid:5"], 1, None),
        (["set", "wg0", "peer", PUBLIC, "allowed-ips", "10.0.0.0/33"], 2,
         'allowed-ips "10.0.0.0/33" (argument 5) is not valid: use addresses/prefix lengths with commas between'),
        (["set", "wg0", "peer", PUBLIC, "allowed-ips", "10.0.0.0/8,"], 2,
         'allowed-ips "10.0.0.0/8," (argument 5) is not valid: use addresses/prefix lengths with commas between'),
        (["set", "wg0", "peer", PUBLIC, "allowed-ips", "+10.0.0.0/8,10.0.0.0/9"], 2,
         'allowed-ips "+10.0.0.0/8,10.0.0.0/9" (argument 5) is not valid: use + or - before every prefix, or before none'),
        (["set", "wg0", "private-key", secret], 2,
         "private-key wants a file, not the key itself: every user can read the arguments of a program"),
        (["set", "wg0", "private-key", secret[:-1]], 1,
         "the file of a key cannot be read (its name is not repeated here: it may be a key)"),
        (["set", "wg0", "private-key", "/nonexistent"], 1, "/nonexistent cannot be opened: No such file or directory"),
        (["set", "wg0", "private-key", "-", "peer", PUBLIC, "preshared-key", "/dev/stdin"], 2,
         "preshared-key: standard input can be read only once"),
        (["set", "wg0", "private-key", "/dev/zero"], 3, "/dev/zero is too long for a key"),
        (["set", "wg0", "private-key", file("bad", f"{secret[:-2]}x=")], 3,
         f"{files['bad']} holds no key: want 44 base64 characters, as `wyrm genkey` prints them"),
        (["setconf", "wg0"], 2, "setconf wants an adapter and a file: wyrm setconf wg0 wg0.conf"),
        (["addconf"], 2, "addconf wants an adapter and a file: wyrm addconf wg0 wg0.conf"),
        (["syncconf", "a", "b", "c"], 2, "syncconf wants an adapter and a file: wyrm syncconf wg0 wg0.conf"),
        (["setconf", "wg0", "/nonexistent"], 3, "/nonexistent: cannot open the configuration: No such file or directory"),
        (["setconf", "wg0", "/"], 3, "/: cannot read the configuration: Is a directory"),
        (["setconf", "wg0", file("quick", conf + "Address = 10.0.0.1/24\n")], 3,
         f"{files['quick']}:3:1: Address is for wg-quick only: take it out (`wg-quick strip` prints a file without it)"),
        (["setconf", "wg0", file("port", conf + "ListenPort =  65536\n")], 3,
         f'{files["port"]}:3:15: ListenPort "65536" is not valid: use a number from 0 to 65535'),
        (["addconf", "wg0", file("peer", "[Peer]\nAllowedIPs = ::/0\n")], 3, f"{files['peer']}:1:1: this [Peer] has no PublicKey: add it"),
        (["syncconf", "wg0", file("ips", f"{conf}[Peer]\nPublicKey = {PUBLIC}\nAllowedIPs = 10.0.0.0/8, 10.0.0.0/33\n")], 3,
         f'{files["ips"]}:5:26: AllowedIPs "10.0.0.0/33" is not valid: use an IPv4 or IPv6 address, or address/prefix length'),
        (["setconf", "wg0", file("lost", f"[Interface]\n{secret}\n")], 3,
         f"{files['lost']}:2:1: key \"...\" is not known in [Interface]: see wg(8)"),
        (["setconf", "wg0", file("twice", f"{conf}PrivateKey = {secret}\n")], 3,
         f"{files['twice']}:3:14: PrivateKey is given twice in this section: keep one"),
        (["setconf", "wg0", file("escape", "[Interface]\nListenPort = \x1b[31m\n")], 3,
         f'{files["escape"]}:2:14: ListenPort "?[31m" is not valid: use a number from 0 to 65535'),
        (["genkey", "x"], 2, "this command takes no arguments (see `wyrm --help`)"),
        (["pubkey", secret], 2, "pubkey takes no arguments: the private key comes from standard input"),
        (["pubkey"], 3, "standard input is empty: pubkey wants a private key"),
    ]
    for arguments, status, message in cases:
        done = run(WYRM, *arguments)
        tests.equal((done.returncode, done.stdout), (status, ""), f"{arguments}: status and output")
        tests.check(message is None or done.stderr == f"wyrm: {message}\n", f"{arguments}: got {done.stderr!r}, want {message!r}")
        tests.check(secret[:20] not in done.stderr, f"{arguments}: no key in the message")
    for label, text in (("short", secret[:-2]), ("two", secret + secret), ("words", f"{secret} x")):
        done = run(WYRM, "pubkey", text=text)
        tests.equal((done.returncode, done.stderr), (3, "wyrm: standard input holds no key: want 44 base64 characters, as `wyrm genkey` "
                                                     "prints them\n"), f"pubkey, {label}")
    os.chmod(files["lost"], 0o644)
    tests.check(f"wyrm: warning: {files['lost']} holds keys and every user can reach it: chmod 600 it" in
                run(WYRM, "setconf", "wg0", files["lost"]).stderr, "a file that everybody reads is warned about")
    for arguments in ([], ["show"], ["showconf"], ["set"], ["setconf"], ["addconf"], ["syncconf"], ["genkey"], ["genpsk"], ["pubkey"]):
        first, second = run(WYRM, *arguments, "--help"), run(WYRM, "help", *arguments)
        tests.check(first.returncode == 0 and first.stdout == second.stdout and
                    first.stdout.startswith(f"Usage: wyrm {arguments[0] if arguments else '[COMMAND]'}") and not first.stderr,
                    f"{arguments} --help")
    tests.check(re.fullmatch(r"wyrm \d+\.\d+\.\d+\n", run(WYRM, "--version").stdout), "--version")


def keys(tests, folder):
    made = {run(WYRM, command).stdout for command in ("genkey", "genpsk") for _ in range(20)}
    tests.check(len(made) == 40 and all(re.fullmatch(r"[A-Za-z0-9+/]{43}=\n", key) for key in made), "keys: all different, all keys")
    for _ in range(20):
        private = run(WYRM, "genkey").stdout
        tests.equal(run(WYRM, "pubkey", text=f" \n{private}\n").stdout, run("wg", "pubkey", text=private).stdout, "pubkey")
        import base64
        raw = base64.b64decode(private)
        tests.check(raw[0] & 7 == 0 and raw[31] & 0xC0 == 0x40, "genkey: clamped")
    path = os.path.join(folder, "exposed")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644), "w", encoding="ascii") as file:
        done = subprocess.run([WYRM, "genkey"], stdout=file, stderr=subprocess.PIPE, text=True, check=False)
    tests.equal((done.returncode, done.stderr), (0, "wyrm: warning: every user can read the file that the key goes to: use `umask 077` "
                                                 "first\n"), "a key in a file for everybody")
    with open("/dev/full", "w", encoding="ascii") as file:
        done = subprocess.run([WYRM, "genkey"], stdout=file, stderr=subprocess.PIPE, text=True, check=False)
    tests.equal((done.returncode, done.stderr), (1, "wyrm: the output cannot be written: No space left on device\n"), "no space")


def broken(tests):
    """Adapters that answer nonsense, refuse, or are gone."""
    for label, answer, status, message in (
            ("closed", "", 6, "closed: the connection broke: Broken pipe"),
            ("half", "listen_port=1\n", 6, "half: the connection broke: Broken pipe"),
            ("noerrno", "listen_port=1\n\n", 6, "noerrno: the answer has no errno"),
            ("wrong", f"private_key={hex_key(1)}\nlisten_port=x\nerrno=0\n\n", 6, "wrong: line 2 of the answer (listen_port) is not valid"),
            ("key", f"{hex_key(1)}\nerrno=0\n\n", 6, 'key: line 1 of the answer (no "=") is not valid'),
            ("refuses", "errno=22\n\n", 1, "refuses refused it (errno 22): Invalid argument"),
            ("negative", "errno=-22\n\n", 1, "negative refused it (errno 22): Invalid argument"),
            ("denies", "errno=13\n\n", 5, "denies refused it (errno 13): Permission denied (run it as root)"),
            ("unplugged", "errno=19\n\n", 4, "unplugged refused it (errno 19): No such device")):
        adapter = FakeAdapter(label, answer)
        done = run(WYRM, "show", label, "dump")
        tests.equal((done.returncode, done.stdout, done.stderr), (status, "", f"wyrm: {message}\n"), f"show, {label}")
        if status in (1, 4, 5):
            done = run(WYRM, "set", label, "fwmark", "0")
            tests.equal((done.returncode, done.stderr), (status, f"wyrm: {message}\n"), f"set, {label}")
        both = run(WYRM, "show", "all", "listen-port")
        tests.equal((both.returncode, both.stdout, both.stderr), (status, "empty\t0\nport\t5\nwg0\t51820\n", f"wyrm: {message}\n"),
                    f"show all beside {label}: the others are shown")
        adapter.close()
    adapter = FakeAdapter("dead", "")
    adapter.close(keep_file=True)
    done = run(WYRM, "show", "dead")
    tests.equal((done.returncode, done.stderr), (4, f"wyrm: there is no adapter dead (nothing answers at {SOCKETS}/dead.sock)\n"), "dead")
    tests.equal(run(WYRM, "show", "interfaces").stdout, "empty port wg0\n", "a socket that nobody serves is no adapter")
    os.unlink(os.path.join(SOCKETS, "dead.sock"))


def slow(tests):
    """An adapter that shakes hands while it is asked: that is not in the future."""
    def answer(_request):
        time.sleep(1.2)
        return peer(1, int(time.time())) + "errno=0\n\n"

    adapter = FakeAdapter("slow", answer)
    tests.check("wound backward" not in run(WYRM, "show", "slow").stdout, "a handshake between question and answer")
    adapter.close()


def not_permitted(tests, folder):
    """Without rights: said so.  Under another user, who can reach the program but not the sockets."""
    copy = os.path.join(folder, "wyrm")
    subprocess.run(["cp", WYRM, copy], check=True)
    os.chmod(folder, 0o755)
    os.chmod(os.path.realpath(SOCKETS), 0o700)
    for arguments, message in ((("show",), f"{SOCKETS} cannot be read: Permission denied (run it as root)"),
                               (("show", "wg0"), f"{SOCKETS}/wg0.sock cannot be reached: Permission denied (run it as root)"),
                               (("set", "wg0", "fwmark", "0"), f"{SOCKETS}/wg0.sock cannot be reached: Permission denied (run it as root)")):
        done = subprocess.run([copy, *arguments], capture_output=True, text=True, user=65534, group=65534, extra_groups=[], check=False,
                              env=ENVIRONMENT, stdin=subprocess.DEVNULL, cwd="/")
        tests.equal((done.returncode, done.stdout, done.stderr), (5, "", f"wyrm: {message}\n"), f"{arguments} without rights")


def page_of_messages(tests):
    missing, gone = CLI.differences()
    tests.check(len(CLI.in_sources()) > 100, "the messages are found in the sources")
    tests.check(not missing, "each message is in docs/messages-cli.md; these are not:\n" + "\n".join(sorted(missing)))
    tests.check(not gone, "docs/messages-cli.md lists no message that is gone; these are:\n" + "\n".join(sorted(gone)))


def main():
    tests = Tests()
    page_of_messages(tests)
    os.makedirs(SOCKETS, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", os.path.realpath(SOCKETS)], check=True)
    tests.equal(run(WYRM, "show", "interfaces").stdout, "\n", "no adapters")
    tests.equal(run(WYRM).stdout, "", "nothing to show")
    FakeAdapter("wg0", everything)
    FakeAdapter("empty", "errno=0\n\n")
    port = FakeAdapter("port", lambda request: "errno=0\n\n" if request.startswith("set") else f"listen_port=5\n{peer(3)}errno=0\n\n")
    with tempfile.TemporaryDirectory(prefix="wyrm-cli-") as folder:
        shown(tests)
        as_json(tests)
        requests(tests, port, folder)
        usage(tests, folder)
        keys(tests, folder)
        broken(tests)
        slow(tests)
        not_permitted(tests, folder)
    return tests.finish()


if __name__ == "__main__":
    sys.exit(main())
