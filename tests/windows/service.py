"""Suite 74-service: wyrm-service.exe and wyrm-tunnel.dll under Wine, the real driver in nthost (verify mode) behind them."""

import base64
import os
import json
import re
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wine import BIN, PROGRAMS, Wine, windows_path  # noqa: E402  (also makes tests/lib known)
from hosts import Hosts, check  # noqa: E402
from message_pages import SERVICE  # noqa: E402
from netlab import DRIVER, NTHOST, genkey, ping  # noqa: E402
from netlab import Peer as WireGuard  # noqa: E402
from results import run_suite  # noqa: E402

FOLDER = "C:\\wyrm\\"
OVERRIDES = "winemenubuilder.exe=d;mscoree=;mshtml=;cfgmgr32=n;iphlpapi=n;fwpuclnt=n"
PIPE = "\\\\.\\pipe\\ProtectedPrefix\\Administrators\\Wyrm\\"


class Bench:
    """A prefix whose services reach the hosts, and what is asked of them."""

    def __init__(self, lab, wine, results, record):
        self.lab, self.wine, self.results, self.record = lab, wine, results, record
        self.data = os.path.join(wine.prefix, "drive_c", "ProgramData", "Wyrm")
        self.secrets = []

    def run(self, *arguments, program="wyrm-service.exe", timeout=60):
        output, status = self.wine.run(FOLDER + program, *arguments, timeout=timeout)
        return "".join(line for line in output.splitlines(True)
                       if not line.startswith(("wine client error:", "wyrm-service: warning: it"))), status

    def want(self, what, status, part, *arguments, **options):
        output, got = self.run(*arguments, **options)
        self.results.check(got == status and part in output, what, f"status {got}, {output!r}")
        return output

    def stored(self, name):
        return os.path.join(self.data, "Configurations", f"{name}.conf.dpapi")

    def log(self, name):
        path = os.path.join(self.data, "Logs", f"{name}.log")
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8") as file:
            return file.read()

    def calls(self):
        if not os.path.exists(self.record):
            return []
        with open(self.record, encoding="utf-8") as file:
            return file.read().splitlines()

    def state(self, name):
        output, status = self.run("status", name, "--json")
        return json.loads(output)["tunnels"][0] if status == 0 else {"state": "none", "process": 0}

    def wait_for_log(self, name, text, count=1, timeout=40):
        self.lab.wait_for(lambda: self.log(name).count(text) >= count, f"\"{text}\" in the log", timeout)

    def write(self, name, text):
        path = os.path.join(self.lab.directory, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        return windows_path(path)

    def processes(self, program):
        """Of this prefix, by their program."""
        mark, found = f"WINEPREFIX={self.wine.prefix}\0".encode(), []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file, open(f"/proc/{pid}/cmdline", "rb") as command:
                    if program.encode() in command.read() and mark in file.read():
                        found.append(int(pid))
            except OSError:
                continue
        return found

    def kill(self, program):
        found = self.processes(program)
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        return len(found)


def arguments(bench):
    """What needs neither service nor driver."""
    for words in ((), ("nonsense",), ("install",), ("install", "a.conf", "b"), ("start",), ("status", "--colour"), ("start", "a", "--json"), ("stop", "a", "--all"), ("status", "--all"),
                  ("install", "noconf"), ("start", "a b"), ("start", "CON"), ("reload", "x\\com1.conf")):
        bench.want("wrong arguments: " + " ".join(words), 2, "wyrm-service: ", *words)
    bench.want("help", 0, "Exit status: 0 done", "--help")
    bench.want("version", 0, "wyrm-service 0.", "--version")
    bench.want("no tunnels", 0, "", "status")
    bench.want("no tunnels as JSON", 0, '{"tunnels":[]}\n', "status", "--json")
    for command in ("start", "stop", "remove", "reload", "status"):
        bench.want(f"{command} of nobody", 4, "there is no tunnel nobody", command, "nobody")
    bench.want("service by hand", 1, "for the service control manager only", "service", "C:\\x.conf")
    private = genkey()[0]
    for text, part in (("[Interface]\nPrivateKey = 1\n", "bad.conf:2:14: "), (f"[Interface]\nPrivateKey = {private}\nAddress = 1.2.3.4/33\n", "bad.conf:3:"),
                       ("x\n", "bad.conf:1:1: "), ("[Interface]\n", "has no PrivateKey"),
                       (f"[Interface]\nPrivateKey = {private}\nPostUp = calc\n", "not run on Windows"),
                       (f"[Interface]\nPrivateKey = {private}\nSaveConfig = true\n", "SaveConfig"),
                       (f"[Interface]\nPrivateKey = {private}\nFwMark = 7\n", "FwMark")):
        output = bench.want(f"a bad file: {part}", 3, part, "install", bench.write("bad.conf", text))
        bench.results.check(private not in output, "no key in the message")
    bench.want("a file that is not there", 1, "cannot be opened", "install", "C:\\none.conf")
    bench.results.check(not os.path.exists(bench.stored("bad")) and bench.run("status")[0] == "", "nothing is left of them")
    os.makedirs(bench.data)
    with open(os.path.join(bench.data, "Configurations"), "w", encoding="ascii"):
        pass
    bench.want("a file where the folder should be", 1, "was made by somebody else", "install", bench.write("good.conf", f"[Interface]\nPrivateKey = {private}\n"))
    os.unlink(os.path.join(bench.data, "Configurations"))
    bench.results.check(bench.run("status")[0] == "", "no service is made then")


class Tunnel:
    """The tunnel `home` of the service and wireguard-go at its other end."""

    def __init__(self, bench, near, far):
        self.bench, self.near, self.far = bench, near, far
        self.private, self.public = genkey()
        bench.secrets.append(self.private)
        bench.lab.link(near, far, ["10.71.0.1/24"], ["10.71.0.2/24"])
        self.other = WireGuard(bench.lab, far, "wireguard-go", "g", ["10.72.0.2/24"])
        self.other.setconf([{"public": self.public, "allowed": ["10.72.0.1/32"], "endpoint": f"10.71.0.1:{self.other.port}"}])

    def text(self, interface="", peer="", more=""):
        return (f"[Interface]\nPrivateKey = {self.private}\nListenPort = {self.other.port}\nAddress = 10.72.0.1/24, fd72::1/64\n{interface}"
                f"\n[Peer]\nPublicKey = {self.other.public}\nAllowedIPs = 10.72.0.2/32\nEndpoint = 10.71.0.2:{self.other.port}\n{peer}{more}")

    def give_addresses(self, hosts):
        """What a Windows machine does with the calls that Wine lacks."""
        name = hosts.adapter("wyrm").name
        self.bench.lab.command(["ip", "address", "add", "10.72.0.1/24", "dev", name], self.near)
        self.bench.lab.command(["ip", "link", "set", name, "mtu", "1420", "up"], self.near)

    def works(self, what):
        answers = ping(self.bench.lab, self.near, "10.72.0.2", count=5, interval=0.1)
        self.bench.results.check(answers["received"] == 5, f"{what}: pings ({answers['received']} of 5)")

    def session(self):
        """The last handshake at either end, and what the service's end has received."""
        fields = self.bench.run("show", "home", "dump", program="wyrm.exe")[0].splitlines()[1].split("\t")
        ours = int(fields[4])
        return ours, self.other.dump()[self.public]["handshake"], int(fields[5])


def life(bench, tunnel, hosts):
    """Install, start, traffic, reload, stop."""
    results = bench.results
    home = bench.write("home.conf", tunnel.text("DNS = 10.72.0.53, home.example\n"))
    output, status = bench.run("install", home)
    results.check((output, status) == ("", 0), "install", f"{status} {output}")
    with open(bench.stored("home"), "rb") as file:
        stored = file.read()
    results.check(tunnel.private.encode() not in stored and b"PrivateKey" not in stored and b"Address" not in stored, "what is stored is encrypted")
    results.check(sorted(os.listdir(os.path.join(bench.data, "Configurations"))) == ["home.conf.dpapi"], "nothing else is stored")
    settings = bench.wine.run("reg.exe", "query", "HKLM\\System\\CurrentControlSet\\Services\\WyrmTunnel$home")[0]
    for value in (r"DependOnService\s+REG_MULTI_SZ\s+Nsi\\0TcpIp", r"Start\s+REG_DWORD\s+0x2\b", r"Type\s+REG_DWORD\s+0x10\b",
                  r'ImagePath\s+REG_\w+\s+"C:\\wyrm\\wyrm-service.exe" service "C:\\ProgramData\\Wyrm\\Configurations\\home.conf.dpapi"'):
        results.check(re.search(value, settings), f"the service's {value.split(chr(92))[0]}", settings)
    source = bench.wine.run("reg.exe", "query", "HKLM\\System\\CurrentControlSet\\Services\\EventLog\\Application\\WyrmTunnel")[0]
    results.check("EventCreate.exe" in source and re.search(r"TypesSupported\s+REG_DWORD\s+0x7", source), "its source in the event log", source)
    bench.want("install again", 1, "is installed already", "install", home)
    bench.want("installed, not started", 0, "home\tstopped\n", "status")
    bench.want("reload of a tunnel that does not run", 1, "does not run", "reload", "home")
    bench.want("start", 0, "", "start", "home")
    results.check(bench.state("home")["state"] == "running", "it runs")
    bench.want("start again", 0, "", "start", "home")
    wanted = ["SetIpInterfaceEntry IPv4 mtu 1320 metric 25 automatic", "SetIpInterfaceEntry IPv6 mtu 1320 metric 25 automatic",
              "CreateUnicastIpAddressEntry 0a480001/24 dad 4", "CreateUnicastIpAddressEntry fd720000000000000000000000000001/64 dad 4",
              "SetInterfaceDnsSettings flags 6 servers 10.72.0.53 domains home.example",
              "CreateIpForwardEntry2 0a480002/32 by 00000000 metric 0"]
    results.check(bench.calls() == wanted, "the calls that configure IP, in order", "\n".join(bench.calls()))
    rules = "HKLM\\SYSTEM\\CurrentControlSet\\Services\\Dnscache\\Parameters\\DnsPolicyConfig"
    found = bench.wine.run("reg.exe", "query", rules, "/s")[0]
    results.check(".home.example" in found and "10.72.0.53" in found, "names below home.example are asked of its server", found)
    tunnel.give_addresses(hosts)
    tunnel.works("driver")
    first = tunnel.session()
    results.check(first[0] > 0 and first[2] > 0, "a handshake", str(first))
    time.sleep(1.1)  # or another handshake would have the same second

    another = genkey()[1]
    changed = tunnel.text("DNS = 10.72.0.54\nMTU = 1400\n", "PersistentKeepalive = 25\n",
                          f"\n[Peer]\nPublicKey = {another}\nAllowedIPs = 10.99.0.0/16\n").replace("fd72::1/64", "fd72::7/64")
    bench.want("reload with another file", 0, "", "reload", bench.write("home.conf", changed))
    results.check(bench.calls()[len(wanted):] == [
        "DeleteUnicastIpAddressEntry fd720000000000000000000000000001", "SetIpInterfaceEntry IPv4 mtu 1400 metric 25 automatic",
        "SetIpInterfaceEntry IPv6 mtu 1400 metric 25 automatic", "CreateUnicastIpAddressEntry fd720000000000000000000000000007/64 dad 4",
        "SetInterfaceDnsSettings flags 6 servers 10.72.0.54 domains ", "CreateIpForwardEntry2 0a630000/16 by 00000000 metric 0"],
        "it changes what differs", "\n".join(bench.calls()[len(wanted):]))
    tunnel.works("after a reload")
    second = tunnel.session()
    results.check(second[:2] == first[:2] and second[2] > first[2], "the session lives on through the reload", f"{first} {second}")
    dump = bench.run("show", "home", "dump", program="wyrm.exe")[0]
    results.check(f"{another}\t" in dump and "\t25\n" in dump, "peers are those of the new file", dump)
    results.check("home.example" not in bench.wine.run("reg.exe", "query", rules, "/s")[0], "without a domain there is no rule for names")
    with open(bench.stored("home"), "rb") as file:
        results.check(file.read() != stored, "the new configuration is stored")
    return dump


def refusals(bench, tunnel, dump):
    """What is refused changes nothing."""
    results, count = bench.results, len(bench.calls())
    before = tunnel.session()
    with open(bench.stored("home"), "rb") as file:
        stored = file.read()
    bench.want("reload with a bad file", 3, "home.conf:3:14: ", "reload", bench.write("home.conf", tunnel.text().replace("= 51820", "= 99999")))
    with open(bench.record + ".fail", "w", encoding="ascii") as file:
        file.write("CreateIpForwardEntry2")
    moved = tunnel.text("DNS = 10.72.0.99\n", more=f"\n[Peer]\nPublicKey = {genkey()[1]}\nAllowedIPs = 10.98.0.0/16\n")
    bench.want("reload that fails half way", 5, "route 10.98.0.0/16 cannot be added", "reload", bench.write("home.conf", moved))
    os.unlink(bench.record + ".fail")
    undone = bench.calls()[count:]
    results.check("SetInterfaceDnsSettings flags 6 servers 10.72.0.54 domains " == undone[-2] and "CreateIpForwardEntry2 0a630000/16" in undone[-1],
                  "it is undone", "\n".join(undone))
    results.check("the old one goes on" in bench.log("home"), "the log says so")
    fresh = bench.run("show", "home", "dump", program="wyrm.exe")[0]

    def without_counters(text):
        return [line.split("\t")[:4] for line in text.splitlines()]
    results.check(without_counters(fresh) == without_counters(dump), "peers are as before", fresh)
    after = tunnel.session()
    results.check(after[:2] == before[:2], "the session as well", f"{before} {after}")
    with open(bench.stored("home"), "rb") as file:
        results.check(file.read() == stored, "and what is stored")
    tunnel.works("after refused reloads")
    bench.want("reload of what is stored", 0, "", "reload", "home")
    results.check(tunnel.session()[:2] == before[:2], "without a new session")


def faults(bench, tunnel, hosts):
    """An adapter that vanishes, a killed process."""
    results = bench.results
    with hosts.lock:
        key, device = next(iter(hosts.devices.items()))
        hosts.devices.pop(key)
        host, device.host = device.host, None
    hosts.stop_host(host)
    bench.wait_for_log("home", "has been made anew")
    tunnel.give_addresses(hosts)
    tunnel.works("made anew after its adapter vanished")
    process = bench.state("home")["process"]
    results.check(bench.kill("wyrm-service.exe") == 1, "the service's process is killed")
    bench.lab.wait_for(lambda: not hosts.devices, "its adapter to end", 20)
    # Wine notices the death at the next start only, and so does nothing by itself.
    bench.want("it starts again after it was killed", 0, "", "start", "home")
    results.check(bench.state("home")["process"] != process, "in another process")
    tunnel.give_addresses(hosts)
    tunnel.works("started again")


def end(bench, tunnel):
    results, count = bench.results, len(bench.calls())
    results.check(os.path.getsize(os.path.join(bench.data, "Logs", "home.log")) < 1 << 20, "the log is small")
    bench.want("stop", 0, "", "stop", "home")
    results.check(bench.calls()[count:] == ["SetInterfaceDnsSettings flags 6 servers  domains "], "stop takes DNS away", str(bench.calls()[count:]))
    bench.want("stop again", 0, "", "stop", "home")
    bench.want("stopped well", 0, "home\tstopped\n", "status")
    bench.want("no adapter is left", 0, "", "show", "interfaces", program="wyrm.exe")
    # A name that does not resolve is tried again, within limits, and stops at a word.
    text = tunnel.text().replace("10.71.0.2:", "nobody.invalid:")
    bench.want("a new file for a tunnel that does not run", 0, "", "reload", bench.write("home.conf", text))
    process = bench.wine.start(FOLDER + "wyrm-service.exe", "start", "home")
    bench.wait_for_log("home", "trying again in")
    results.check(bench.state("home")["state"] == "starting", "it is starting all the while")
    bench.want("wyrm down ends a service that is starting", 0, "", "down", "C:\\home.conf", program="wyrm.exe")
    output, status = bench.wine.finish(process)
    results.check(status == 1 and "was stopped before the tunnel was up" in output, "who waits for it learns why", f"{status} {output}")
    results.check("nobody.invalid cannot be resolved" in bench.log("home"), "the log says what was tried again")
    bench.want("the file as it was", 0, "", "reload", bench.write("home.conf", tunnel.text()))


def storage(bench):
    """Damaged and exchanged files."""
    text = f"[Interface]\nPrivateKey = {genkey()[0]}\n"
    bench.want("install another", 0, "", "install", bench.write("other.conf", text))
    with open(os.path.join(bench.data, "Logs", "other.log"), "wb") as file:
        file.write(b"2026-01-01T00:00:00.000Z info: old\r\n" * 29120)
    bench.want("start with a long log", 0, "", "start", "other")
    bench.want("stop", 0, "", "stop", "other")
    sizes = [os.path.getsize(os.path.join(bench.data, "Logs", "other.log" + end)) for end in ("", ".1")]
    bench.results.check(0 < sizes[0] < 10000 and 1000000 < sizes[1] <= 1 << 20, "a long log makes room", str(sizes))
    with open(bench.stored("other"), "rb") as file:
        good = file.read()
    shutil.copy(bench.stored("home"), bench.stored("other"))
    bench.want("a file of another tunnel", 3, 'was encrypted for the tunnel "home", not for other', "start", "other")
    for at in (len(good) // 2, len(good) - 30, len(good) - 5):  # in what is encrypted; Wine lets parts of the header be
        with open(bench.stored("other"), "wb") as file:
            file.write(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])
        output, status = bench.run("start", "other")
        bench.results.check(status != 0 and "cannot be decrypted" in output, f"a damaged file (byte {at})", f"{status} {output}")
        bench.run("stop", "other")
    with open(bench.stored("other"), "wb"):
        pass
    output, status = bench.run("start", "other")
    bench.results.check(status != 0 and "cannot be decrypted" in output, "an empty file", f"{status} {output}")
    os.unlink(bench.stored("other"))
    bench.want("no file", 1, "cannot be opened", "start", "other")
    bench.results.check(bench.run("status")[0] == "home\tstopped\nother\tstopped\tended with 1\n", "status tells how it ended", bench.run("status")[0])
    bench.want("remove", 0, "", "remove", "other")
    for name in ("one", "two"):
        bench.want(f"install {name}", 0, "", "install", bench.write(f"{name}.conf", f"[Interface]\nPrivateKey = {genkey()[0]}\n"))
    os.unlink(bench.stored("one"))
    bench.want("start all", 0, "", "start", "--all")
    bench.lab.wait_for(lambda: bench.state("two")["state"] == "running" and bench.state("home")["state"] == "running"
                       and bench.state("one")["ending"] == 1, "all to have started, or failed", 30)
    bench.want("stop all", 0, "", "stop", "--all")
    bench.results.check([bench.state(name)["state"] for name in ("home", "two")] == ["stopped"] * 2, "they are stopped")
    for name in ("one", "two"):
        bench.want(f"remove {name}", 0, "", "remove", name)
    bench.want("one is left", 0, "home\tstopped\n", "status")


def uapi(bench, request):
    path = os.path.join(bench.lab.directory, "request")
    with open(path, "w", encoding="ascii") as file:
        file.write(request)
    with open(path, "rb") as file:
        return bench.wine.run(os.path.join(PROGRAMS, "pipe_client.exe"), PIPE + "home", stdin=file)[0]


def engine(bench, tunnel):
    """The user-space engine by the registry's value, and the driver again."""
    results = bench.results

    def choose(value):
        status = bench.wine.run("reg.exe", "add", "HKLM\\Software\\Wyrm", "/v", "UseUserspaceImplementation", "/t", "REG_DWORD", "/d", value, "/f")[1]
        results.check(status == 0, f"UseUserspaceImplementation = {value}")
    choose("1")
    bench.want("start with the engine", 0, "", "start", "home", timeout=100)
    answer = uapi(bench, "get=1\n\n")
    results.check(f"private_key={base64.b64decode(tunnel.private).hex()}" in answer and f"public_key={base64.b64decode(tunnel.other.public).hex()}" in answer,
                  "the engine has the configuration")
    bench.want("no adapter of the driver", 0, "", "show", "interfaces", program="wyrm.exe")
    bench.want("reload", 0, "", "reload", bench.write("home.conf", tunnel.text(peer="PersistentKeepalive = 21\n")))
    results.check("persistent_keepalive_interval=21" in uapi(bench, "get=1\n\n"), "the engine has the new one")
    ready = bench.log("home").count("the user-space engine serves home")
    results.check(bench.kill("wyrm-engine.exe") >= 1, "the engine's process is killed")
    bench.wait_for_log("home", "the user-space engine serves home", ready + 1)
    bench.wait_for_log("home", "has been made anew", 2)
    results.check("persistent_keepalive_interval=21" in uapi(bench, "get=1\n\n"), "it was started again with its configuration")
    bench.want("stop", 0, "", "stop", "home")
    bench.lab.wait_for(lambda: not bench.processes("wyrm-engine.exe"), "the engine to end", 15)
    program = os.path.join(bench.wine.folder("wyrm"), "wyrm-engine.exe")
    os.rename(program, program + ".away")
    bench.want("without the engine's program", 1, "wyrm-engine.exe beside this program cannot be started", "start", "home", timeout=700)
    os.rename(program + ".away", program)
    choose("0")
    bench.want("start with the driver again", 0, "", "start", "home")
    bench.want("its adapter", 0, "home\n", "show", "interfaces", program="wyrm.exe")
    bench.want("wyrm down stops the service", 0, "", "down", "C:\\home.conf", program="wyrm.exe")
    bench.lab.wait_for(lambda: bench.state("home")["state"] == "stopped", "the service to stop", 20)
    bench.want("remove all", 0, "", "remove", "--all")
    results.check(not os.path.exists(bench.stored("home")) and bench.run("status")[0] == "", "nothing is left")


def embedded(bench, tunnel):
    """wyrm-tunnel.dll in a program with its own service, and `run` in the foreground."""
    results = bench.results
    output, status = bench.run("keys", program="embedding.exe")
    pair = dict(line.split() for line in output.splitlines() if " " in line)
    private = base64.b64encode(bytes.fromhex(pair.get("private", ""))).decode()
    results.check(status == 0 and len(private) == 44, "a pair of keys", f"{status}")
    made = bench.lab.command(["wg", "pubkey"], input_text=private + "\n").stdout.strip()
    results.check(made == base64.b64encode(bytes.fromhex(pair["public"])).decode(), "the public key is the private one's")
    path = bench.write("own.conf", tunnel.text())
    bench.wine.run("sc.exe", "create", "Own", "binPath=", f"{FOLDER}embedding.exe {path}")
    process = bench.wine.start("net.exe", "start", "Own")
    bench.wait_for_log("own", "the tunnel own is up")
    results.check(bench.wine.finish(process)[1] == 0, "a service of one's own starts")
    bench.want("its adapter", 0, "own\n", "show", "interfaces", program="wyrm.exe")
    bench.wine.run("net.exe", "stop", "Own")
    bench.wait_for_log("own", "has ended as asked")
    process = bench.wine.start(FOLDER + "wyrm-service.exe", "run", path)
    bench.lab.wait_for(lambda: "up\n" in bench.lab.output_of(process), "run", 30, process)
    bench.want("the adapter of run", 0, "own\n", "show", "interfaces", program="wyrm.exe")
    bench.want("down", 0, "", "down", path, program="wyrm.exe")
    output, status = bench.wine.finish(process)
    results.check(status == 0 and "info: the tunnel own is up" in output, "run says what else is in the log", f"{status} {output}")


def kill_switch(bench, tunnel):
    """A default route: filters before routes, by a stand-in of fwpuclnt.dll that writes what is asked of it to the output."""
    results = bench.results
    path = bench.write("all.conf", tunnel.text().replace("AllowedIPs = 10.72.0.2/32", "AllowedIPs = 0.0.0.0/0"))

    def run(fail=""):
        return bench.wine.start(FOLDER + "wyrm-service.exe", "run", path,
                                variables={"WINEDLLOVERRIDES": OVERRIDES, "WYRM_FILTER_FAIL": fail})
    count = len(bench.calls())
    output, status = bench.wine.finish(run("FwpmTransactionCommit0"), 60)
    results.check(status == 5 and "the kill switch cannot be turned on (FwpmTransactionCommit0)" in output, "without its filters it is not brought up", f"{status} {output}")
    results.check(not any("IpForward" in call for call in bench.calls()[count:]), "and no route was made", str(bench.calls()[count:]))
    process = run()
    bench.lab.wait_for(lambda: "up\n" in bench.lab.output_of(process), "run", 30, process)
    said = bench.lab.output_of(process)
    results.check(-1 < said.find("FwpmEngineOpen0") < said.find("FwpmTransactionCommit0") < said.find("up\n"), "the filters stand before it is up", said)
    results.check("FwpmGetAppIdFromFileName0 C:\\wyrm\\wyrm-service.exe" in said, "they let the service's program pass", said)
    results.check("CreateIpForwardEntry2 00000000/0 by 00000000 metric 0" in bench.calls()[count:], "the default route", str(bench.calls()[count:]))
    bench.want("down", 0, "", "down", path, program="wyrm.exe")
    output, status = bench.wine.finish(process)
    results.check("info: the kill switch is on" in output, "the log tells of it")
    results.check(status == 0 and output.count("FwpmEngineClose0") == output.count("FwpmEngineOpen0"), "they go with it", f"{status} {output}")


def kill_switch_reload(bench, tunnel):
    """The filters of a service while its configuration changes: the new ones before, the old ones after, and not at all if it fails."""
    def text(allowed, interface=""):
        return bench.write("guarded.conf", tunnel.text(interface).replace("AllowedIPs = 10.72.0.2/32", f"AllowedIPs = {allowed}"))

    def filters():
        with open(bench.filters, encoding="utf-8") as file:
            return [line for line in file.read().splitlines() if line in ("FwpmEngineOpen0", "FwpmTransactionCommit0", "FwpmEngineClose0")]

    everything, some = "0.0.0.0/0", "10.72.0.2/32, 10.98.0.0/16"
    bench.want("install a tunnel of everything", 0, "", "install", text(everything))
    bench.want("start it", 0, "", "start", "guarded")
    count = len(filters())

    def change(what, status, part, path, wanted):
        nonlocal count
        bench.want(what, status, part, "reload", path)
        seen, count = filters()[count:], len(filters())
        bench.results.check(seen == wanted, f"{what}: its filters", str(seen))
    with open(bench.record + ".fail", "w", encoding="ascii") as file:
        file.write("CreateIpForwardEntry2")
    change("a reload without a default route that fails leaves them", 5, "; and not all of it could be undone: ", text(some), [])
    os.unlink(bench.record + ".fail")
    change("one with other DNS changes them without a gap", 0, "", text(everything, "DNS = 10.72.0.9\n"),
           ["FwpmEngineOpen0", "FwpmTransactionCommit0", "FwpmEngineClose0"])
    change("one without a default route takes them away", 0, "", text(some), ["FwpmEngineClose0"])
    change("and one with it brings them", 0, "", text(everything), ["FwpmEngineOpen0", "FwpmTransactionCommit0"])
    log = bench.log("guarded")
    bench.results.check(log.count("the kill switch is on") == 2 and log.count("the kill switch is off") == 1, "the log tells of it", log[-600:])
    bench.want("remove it", 0, "", "remove", "guarded")
    bench.results.check(filters()[count:] == ["FwpmEngineClose0"], "they go with it", str(filters()[count:]))


def messages(results):
    missing, gone = SERVICE.differences()
    results.check(len(SERVICE.in_sources()) > 80, "the messages are found in the sources")
    results.check(not missing, "each message is in docs/messages-service.md", "\n".join(sorted(missing)))
    results.check(not gone, "docs/messages-service.md lists no message that is gone", "\n".join(sorted(gone)))


def quiet(bench):
    """No key in any log."""
    folder = os.path.join(bench.data, "Logs")
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            text = file.read()
        bench.results.check(text and not any(secret in text or base64.b64decode(secret).hex() in text for secret in bench.secrets), f"no key in {name}")
        bench.results.check(all(re.match(r"20\d\d-\d\d-\d\dT[\d:.]+Z (info|warning|error): ", line) for line in text.splitlines()), f"every line of {name} has its time")


def body(lab, results):
    started = time.monotonic()
    messages(results)
    bridge, record, filters = (os.path.join(lab.directory, name) for name in ("service.sock", "calls", "filters"))
    with Wine(lab.directory, {"WINEDLLOVERRIDES": OVERRIDES, "WYRM_BRIDGE_SOCKET": bridge, "WYRM_RECORD": windows_path(record),
                              "WYRM_FILTER_RECORD": windows_path(filters)}) as wine:
        wine.install_dll()
        wine.install_program()
        for folder, names in ((BIN, ("wyrm-service.exe", "wyrm-tunnel.dll", "wyrm-engine.exe")), (PROGRAMS, ("embedding.exe", "wintun.dll"))):
            for name in names:
                wine.replace(os.path.join(folder, name), os.path.join(wine.folder("wyrm"), name))
        wine.replace(os.path.join(PROGRAMS, "fwpuclnt.dll"), os.path.join(wine.windows, "system32", "fwpuclnt.dll"))
        bench = Bench(lab, wine, results, record)
        bench.filters = filters
        arguments(bench)
        near, far = lab.namespace("near"), lab.namespace("far")
        tunnel = Tunnel(bench, near, far)
        hosts = Hosts(lab, near, bridge)
        dump = life(bench, tunnel, hosts)
        refusals(bench, tunnel, dump)
        for part in (lambda: faults(bench, tunnel, hosts), lambda: end(bench, tunnel), lambda: storage(bench),
                     lambda: engine(bench, tunnel), lambda: embedded(bench, tunnel), lambda: kill_switch(bench, tunnel),
                     lambda: kill_switch_reload(bench, tunnel), lambda: quiet(bench)):
            part()
            print(f"after {time.monotonic() - started:.1f} s", flush=True)
        check(hosts, lab, results, orphans=1)
        tunnel.other.stop()


sys.exit(run_suite((NTHOST, DRIVER, os.path.join(BIN, "wyrm-service.exe"), os.path.join(PROGRAMS, "bridge_proxy.sys")), body))
