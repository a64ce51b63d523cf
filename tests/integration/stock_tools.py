#!/usr/bin/python3
"""Stock `wg` and `wg-quick`, unmodified, against the driver in verify mode, or the user-space engine, in network namespaces."""

import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from netlab import DRIVER, ENGINE, NTHOST, ROOT, SOCKETS, Lab, LabError, Peer, genkey, genpsk  # noqa: E402
from scenarios import run_scenarios  # noqa: E402

WRAPPER = os.path.join(ROOT, "build", "bin", "wyrm-quick-userspace")


def hex_of(key):
    import base64
    return base64.b64decode(key).hex()


def talk(name, text):
    """One command of the userspace protocol, for what the installed `wg` cannot say."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(20)
        connection.connect(os.path.join(SOCKETS, f"{name}.sock"))
        connection.sendall(text.encode())
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while more := connection.recv(65536):
            answer += more
    return answer.decode()


def tools(options, tests):
    """The same commands to the subject and to wireguard-go: the same answers."""
    lab = Lab()
    space = lab.namespace("1")
    ours, theirs = (Peer(lab, space, kind, label, [], 0, options=["--verify"])
                    for kind, label in ((options.subject, "a"), ("wireguard-go", "b")))
    private, first, second = genkey()[0], genkey()[1], genkey()[1]
    psk = genpsk()
    path = os.path.join(lab.directory, "psk")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
        file.write(psk)

    def both(what, *arguments, text=None, ports=True):
        results = [peer.wg(*arguments, input_text=text, check=False) for peer in (ours, theirs)]
        tests.equal(results[0].returncode, results[1].returncode, f"{what}: status ({results[0].stderr})")
        shown = [peer.wg("show", "dump").stdout.splitlines() for peer in (ours, theirs)]
        # Counters and the port of the other one differ; everything else is the same, in any order of peers.
        same = [[line.split("\t")[:5] + line.split("\t")[7:] for line in sorted(lines[1:])] for lines in shown]
        tests.equal(same[0], same[1], f"{what}: wg show dump, peers")
        head = [lines[0].split("\t") for lines in shown]
        tests.equal([head[0][k] for k in (0, 1, 3)], [head[1][k] for k in (0, 1, 3)], f"{what}: wg show dump, interface")
        return results[0]

    for index, peer in enumerate((ours, theirs)):
        peer.wg("set", "listen-port", str(41000 + index))
        tests.equal(peer.wg("show", "listen-port").stdout.strip(), str(41000 + index), f"{peer.kind}: listen-port")
    both("private key", "set", "private-key", "/dev/stdin", text=private)
    both("fwmark", "set", "fwmark", "0x1234")
    tests.equal(ours.wg("show", "fwmark").stdout.strip(), "0x1234", "fwmark shown")
    both("fwmark off", "set", "fwmark", "0")
    both("a peer with everything", "set", "peer", first, "preshared-key", path, "endpoint", "192.0.2.1:5", "persistent-keepalive",
         "25", "allowed-ips", "10.0.0.0/8,fd00::/8,10.1.2.3/32")
    both("IPv6 endpoint", "set", "peer", second, "endpoint", "[2001:db8::1]:65535", "persistent-keepalive", "off")
    for field in ("peers", "preshared-keys", "endpoints", "allowed-ips", "persistent-keepalive", "latest-handshakes", "public-key",
                  "private-key"):
        got = [sorted(peer.wg("show", field).stdout.splitlines()) for peer in (ours, theirs)]
        tests.equal([sorted(" ".join(sorted(line.split())) for line in one) for one in got][0],
                    [sorted(" ".join(sorted(line.split())) for line in one) for one in got][1], f"wg show {field}")
    tests.check(psk not in ours.show() and private not in ours.show(), "wg show tells no secrets")
    saved = ours.wg("showconf").stdout
    tests.check(saved.count("[Peer]") == 2 and f"PresharedKey = {psk}" in saved, "wg showconf")
    base = f"[Interface]\nPrivateKey = {private}\n[Peer]\nPublicKey = {first}\nAllowedIPs = 10.0.0.0/8\n"
    both("setconf", "setconf", "/dev/stdin", text=base)
    both("addconf", "addconf", "/dev/stdin", text=f"[Peer]\nPublicKey = {second}\nAllowedIPs = 10.9.0.0/16, fd09::/16\n")
    both("syncconf", "syncconf", "/dev/stdin", text=base + f"[Peer]\nPublicKey = {second}\nAllowedIPs = 10.8.0.0/16\n")
    both("allowed-ips replaced", "set", "peer", second, "allowed-ips", "10.7.0.0/16")
    both("all removed", "set", "peer", second, "allowed-ips", "")
    both("remove", "set", "peer", second, "remove")
    for what, arguments in (("port", ("listen-port", "nonsense")), ("key", ("peer", "short")), ("keepalive", ("peer", first,
                            "persistent-keepalive", "65536")), ("prefix", ("peer", first, "allowed-ips", "10.0.0.0/33"))):
        tests.check(both(f"wrong {what}", "set", *arguments).returncode != 0, f"wrong {what}: refused")
    wrong = ours.wg("setconf", "/dev/stdin", input_text="[Interface]\nNonsense = 1\n", check=False)
    tests.check(wrong.returncode != 0 and "Nonsense" in wrong.stderr, f"wrong configuration: {wrong.stderr.strip()}")

    # Incremental allowed IPs: newer `wg` than the installed one sends these lines for +PREFIX and -PREFIX.
    tests.equal(talk(ours.name, f"set=1\npublic_key={hex_of(first)}\nallowed_ip=10.3.0.0/16\nallowed_ip=-10.0.0.0/8\n\n"),
                "errno=0\n\n", "one is added and one taken away")
    tests.equal(ours.wg("show", "allowed-ips").stdout, f"{first}\t10.3.0.0/16\n", "incrementally")
    talk(ours.name, f"set=1\npublic_key={hex_of(second)}\nallowed_ip=-10.3.0.0/16\n\n")
    tests.check("10.3.0.0/16" in ours.wg("show", "allowed-ips").stdout.split(first)[1], "not by a peer that does not have it")
    tests.equal(lab.stop(ours.process, timeout=60), 0, f"{ours.kind}'s end: {lab.output_of(ours.process)[-1500:]}")
    lab.close()


class Quick:
    def __init__(self, options, tests, label):
        self.tests, self.lab = tests, Lab()
        self.program = ENGINE if options.subject == "wyrm-engine" else WRAPPER
        self.space = self.lab.namespace("1")
        self.far = self.lab.namespace("2")
        self.link = self.lab.link(self.space, self.far, ["192.0.2.1/24"], ["192.0.2.2/24"])
        self.name = f"q{self.lab.id}{label}"
        self.path = os.path.join(self.lab.directory, f"{self.name}.conf")
        self.private, self.peer = genkey()[0], genkey()[1]

    def write(self, interface="", allowed="10.5.0.0/16, fd05::/64"):
        text = f"[Interface]\nPrivateKey = {self.private}\n{interface}\n[Peer]\nPublicKey = {self.peer}\n"
        text += f"AllowedIPs = {allowed}\nEndpoint = 192.0.2.2:5555\n"
        with open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(text)

    def quick(self, verb):
        path = os.environ["PATH"]
        return self.lab.command(["env", f"WG_QUICK_USERSPACE_IMPLEMENTATION={self.program}", "WYRM_QUICK_OPTIONS=--verify",
                                 f"PATH={path}", "wg-quick", verb, self.path], self.space, check=False, timeout=120)

    def ip(self, command):
        return self.lab.command(["ip"] + command.split(), self.space, check=False).stdout

    def gone(self, what):
        sock = os.path.join(SOCKETS, f"{self.name}.sock")
        try:
            self.lab.wait_for(lambda: not os.path.exists(sock), f"{what}: the socket is gone", 60)
            self.tests.check(True, what)
        except LabError as error:
            self.tests.check(False, str(error))
        self.tests.check(self.name not in self.ip("-o link show"), f"{what}: the interface is gone")
        rules = self.ip("-4 rule show") + self.ip("-6 rule show")
        self.tests.check("suppress" not in rules and "51820" not in rules, f"{what}: no rules are left: {rules}")

    def up(self, what):
        done = self.quick("up")
        return self.tests.equal(done.returncode, 0, f"{what}: up: {done.stderr[-600:]}")


def quick(options, tests):
    """wg-quick up, down, save and strip."""
    box = Quick(options, tests, "a")
    marks = os.path.join(box.lab.directory, "marks")
    box.write(f"Address = 10.5.0.1/24, fd05::1/64\nMTU = 1300\nPostUp = echo up %i >> {marks}\nPreDown = echo down %i >> {marks}")
    if box.up("addresses"):
        shown = box.ip(f"address show dev {box.name}")
        tests.check("10.5.0.1/24" in shown and "fd05::1/64" in shown and "mtu 1300" in shown, f"addresses and MTU: {shown}")
        tests.check(f"dev {box.name}" in box.ip("route show 10.5.0.0/16"), "the route of the allowed IPs")
        second = box.quick("up")
        tests.check(second.returncode != 0 and "already exists" in second.stderr, f"a second up is refused: {second.stderr}")
        box.lab.command(["wg", "set", box.name, "peer", box.peer, "persistent-keepalive", "33"], box.space)
        tests.equal(box.quick("save").returncode, 0, "save")
        with open(box.path, encoding="ascii") as file:
            saved = file.read()
        tests.check("PersistentKeepalive = 33" in saved and "Address = 10.5.0.1/24" in saved, "what was saved")
        stripped = box.quick("strip").stdout
        tests.check("PublicKey" in stripped and "Address" not in stripped and "PostUp" not in stripped, "strip")
        tests.equal(box.quick("down").returncode, 0, "down")
        with open(marks, encoding="ascii") as file:
            tests.equal(file.read(), f"up {box.name}\ndown {box.name}\n", "PostUp and PreDown ran")
    box.gone("down")
    again = box.quick("down")
    tests.check(again.returncode != 0 and "is not a WireGuard interface" in again.stderr, f"down again is refused: {again.stderr}")

    box.write("Address = 10.5.0.1/24\nTable = off\nSaveConfig = true", allowed="0.0.0.0/0")
    if box.up("Table = off"):
        tests.check("default" not in box.ip("route show table all") and "mtu 1420" in box.ip(f"link show {box.name}"),
                    "no routes; the MTU of the way to the endpoint")
        box.lab.command(["wg", "set", box.name, "listen-port", "45678"], box.space)
        tests.equal(box.quick("down").returncode, 0, "down with SaveConfig")
        with open(box.path, encoding="ascii") as file:
            tests.check("ListenPort = 45678" in file.read(), "SaveConfig wrote the running configuration")
    box.gone("down with SaveConfig")

    box.write("Address = 10.5.0.1/24, fd05::1/64", allowed="0.0.0.0/0, ::/0")
    if box.up("default route"):
        rules = box.ip("-4 rule show") + box.ip("-6 rule show")
        tests.equal((rules.count("suppress_prefixlength 0"), rules.count("not from all fwmark 0xca6c")), (2, 2), "the rules")
        tests.check(f"dev {box.name}" in box.ip("route get 203.0.113.1"), "the world goes through the tunnel")
        tests.check(f"dev {box.link[0]}" in box.ip("route get 203.0.113.1 mark 0xca6c") or
                    f"dev {box.link[0]}" in box.ip("route get 192.0.2.2 mark 0xca6c"), "the tunnel itself does not")
        tests.equal(box.quick("down").returncode, 0, "down of the default route")
    box.gone("down of the default route")

    # Failures: clear, and undone.
    box.write("Address = 10.5.0.1/24\nNonsense = 1")
    done = box.quick("up")
    tests.check(done.returncode != 0 and "Nonsense" in done.stderr, f"a wrong line is named: {done.stderr[-300:]}")
    box.gone("wrong configuration")
    box.write("Address = 10.5.0.1/24\nDNS = 192.0.2.53")
    done = box.quick("up")
    tests.check(done.returncode == 0 or "resolvconf" in done.stderr, f"DNS without resolvconf is a clear error: {done.stderr[-300:]}")
    if done.returncode == 0:
        box.quick("down")
    box.gone("DNS")
    box.write("Address = 10.5.0.1/24")
    if box.up("before the interface is deleted"):
        box.lab.command(["ip", "link", "delete", box.name], box.space)
    box.gone("the interface deleted by somebody else")
    box.lab.close()


SCENARIOS = {"tools": tools, "quick": quick}


def main():
    return run_scenarios(__doc__, SCENARIOS, ("wg-quick", "nft", "wireguard-go", NTHOST, DRIVER, WRAPPER, ENGINE),
                         lambda scenario, tests, options: scenario(options, tests),
                         lambda parser: parser.add_argument("--subject", default="wyrm", choices=["wyrm", "wyrm-engine"]))


if __name__ == "__main__":
    sys.exit(main())
