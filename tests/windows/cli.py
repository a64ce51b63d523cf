"""Suite 73-cli-windows: wyrm.exe under Wine, the real driver in nthost (verify mode) behind it."""

import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wine import BIN, PROGRAMS, Wine, windows_path  # noqa: E402  (also makes tests/lib known)
from hosts import Hosts, check  # noqa: E402
from netlab import DRIVER, NTHOST, genkey  # noqa: E402
from results import run_suite  # noqa: E402

PROGRAM = "C:\\wyrm\\wyrm.exe"
LINUX = os.path.join(BIN, "wyrm")


class Tool:
    """wyrm.exe in one prefix, with one bridge."""

    def __init__(self, lab, wine, results):
        self.lab, self.wine, self.results, self.hosts, self.record = lab, wine, results, None, None

    def run(self, *arguments, text=None, variables=None):
        path = os.path.join(self.lab.directory, "input")
        with open(path, "w", encoding="ascii") as file:
            file.write(text or "")
        with open(path, "rb") as file:
            output, status = self.wine.run(PROGRAM, *arguments, bridge=self.hosts, record=self.record, stdin=file,
                                           variables=variables)
        # Wine's own line when its server ends a thread late.
        return "".join(line for line in output.splitlines(True) if not line.startswith("wine client error:")), status

    def want(self, what, status, part, *arguments, **options):
        """The status, and a part of the output; the output."""
        output, got = self.run(*arguments, **options)
        self.results.check(got == status and part in output, what, f"status {got}, {output!r}")
        return output


def write(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return windows_path(path)


def without_adapters(tool):
    """What needs no driver: keys, help, arguments, files; the same words as on Linux."""
    results, directory = tool.results, tool.lab.directory
    private, public = genkey()
    tool.want("pubkey", 0, public + "\n", "pubkey", text=private + "\n")
    tool.want("pubkey as JSON", 0, json.dumps({"public_key": public}, separators=(",", ":")), "pubkey", "--json", text=private)
    # Wine writes the warning when the program ends.
    outputs = [sorted(tool.run("genkey")[0].splitlines(), key=lambda line: " " not in line) for _ in range(2)]
    results.check(len({lines[-1] for lines in outputs}) == 2 and all(len(lines[-1]) == 44 for lines in outputs),
                  "genkey makes keys of its own", outputs)
    # The suite has the output in a file that every user can read.
    results.check(all("every user can read" in lines[0] and "umask" not in lines[0] for lines in outputs), "genkey warns of such files", outputs)
    tool.want("genpsk as JSON", 0, '{"preshared_key":"', "genpsk", "--json")
    tool.want("a private key with a character too few is refused", 3, "holds no key", "pubkey", text=private[1:])
    results.check(private[1:30] not in tool.run("pubkey", text=private[1:])[0], "a secret is not repeated")
    tool.want("help tells statuses", 0, "Exit status: 0 done", "--help")
    tool.want("help of install", 0, "driver store", "install", "--help")
    tool.want("version", 0, "wyrm 0.", "--version")
    tool.want("no adapters", 0, "", "show")
    tool.want("no adapters as JSON", 0, '{"interfaces":[]}', "show", "--json")
    tool.want("an adapter that is not there", 4, "there is no adapter nobody", "show", "nobody")
    tool.want("the same as JSON", 4, '{"error":{"status":4,', "show", "nobody", "--json")
    bad = os.path.join(directory, "bad.conf")
    for text in ("[Interface]\nPrivateKey = 1\n", "[Interface]\nAddress = 1.2.3.4/33\n", "[Peer]\n", "x\n", "[Interface]\nColour = 2\n"):
        shown = write(bad, text)
        output, status = tool.run("setconf", "nobody", shown)
        done = subprocess.run([LINUX, "setconf", "nobody", bad], capture_output=True, text=True, timeout=30, check=False)
        results.check(status == done.returncode == 3 and output.replace(shown, bad) == done.stderr,
                      f"the same words as on Linux: {done.stderr.strip()[-60:]}", output)
    for arguments in (("set",), ("nonsense",), ("show", "--colour"), ("up",), ("genkey", "x"), ("log",), ("install", "x"),
                      ("up", "noconf"), ("show", "--keep")):
        tool.want("wrong arguments: " + " ".join(arguments), 2, "wyrm: ", *arguments)
    tool.want("down of what is not up", 0, "", "down", write(os.path.join(directory, "none.conf"), "[Interface]\n"))


def calls(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return file.read().splitlines()


def with_adapter(tool):
    """A tunnel by `up`, read and changed by the other commands, which find the driver's own answers; `down`."""
    lab, results = tool.lab, tool.results
    private, public = genkey()
    other, more = genkey()[1], genkey()[1]
    config = write(os.path.join(lab.directory, "home.conf"),
                   f"[Interface]\nPrivateKey = {private}\nListenPort = 51999\nAddress = 10.73.0.1/24, fd73::1/64\n"
                   "DNS = 10.73.0.53, fd73::53, home.example\n\n"
                   f"[Peer]\nPublicKey = {other}\nAllowedIPs = 10.74.1.2/16, ::/0\nEndpoint = 192.0.2.9:51820\n"
                   "PersistentKeepalive = 25\n")
    tool.record = os.path.join(lab.directory, "calls")
    tool.want("install", 0, "", "install")
    output, status = tool.run("install")
    results.check((output, status) == ("", 0), "install again says nothing", output)
    tool.want("up", 0, '{"interface":"home","applied":true}', "up", config, "--json")
    wanted = ["SetIpInterfaceEntry IPv4 mtu 1320 metric 25 automatic", "SetIpInterfaceEntry IPv6 mtu 1320 metric 0",
              "CreateUnicastIpAddressEntry 0a490001/24 dad 4", "CreateUnicastIpAddressEntry fd730000000000000000000000000001/64 dad 4",
              "SetInterfaceDnsSettings flags 6 servers 10.73.0.53 domains home.example",
              "SetInterfaceDnsSettings flags 7 servers fd73::53 domains home.example",
              "CreateIpForwardEntry2 0a4a0000/16 by 00000000 metric 0",
              "CreateIpForwardEntry2 00000000000000000000000000000000/0 by 00000000000000000000000000000000 metric 0"]
    results.check(calls(tool.record) == wanted, "the calls that configure IP, in order", "\n".join(calls(tool.record)))
    output, status = tool.run("up", config)
    results.check((output, status) == ("", 0) and calls(tool.record) == wanted, "up of what is up does nothing", output)
    dump = tool.want("show dump", 0, f"{private}\t{public}\t51999\toff\n", "show", "home", "dump")
    results.check(f"{other}\t(none)\t192.0.2.9:51820\t10.74.0.0/16,::/0\t0\t0\t" in dump, "its peer", dump)
    tool.want("show names it", 0, "home\n", "show", "interfaces")
    output, _ = tool.run("show")
    results.check("interface: home" in output and "(hidden)" in output and private not in output, "show hides keys", output)
    shown = tool.want("show as JSON", 0, '"interfaces":[{', "show", "--json")
    results.check(private not in shown and json.loads(shown)["interfaces"], "JSON hides keys")
    psk = write(os.path.join(lab.directory, "psk"), genkey()[0] + "\n")
    tool.want("set", 0, "", "set", "home", "peer", more, "preshared-key", psk, "endpoint", "[2001:db8::7]:7", "allowed-ips",
              "10.75.0.0/16", "peer", other, "allowed-ips", "-10.74.0.0/16")
    dump = tool.run("show", "home", "dump")[0]
    results.check("[2001:db8::7]:7\t10.75.0.0/16\t" in dump and "10.74" not in dump, "what set changed", dump)
    tool.want("set of a mark", 2, "there is no fwmark on Windows", "set", "home", "fwmark", "7")
    text = tool.want("showconf", 0, f"PrivateKey = {private}\n", "showconf", "home")
    saved = write(os.path.join(lab.directory, "saved.conf"), text)
    small = write(os.path.join(lab.directory, "small.conf"), f"[Peer]\nPublicKey = {more}\nAllowedIPs = 10.76.0.0/16\n")
    tool.want("addconf", 0, "", "addconf", "home", small)
    tool.want("what addconf changed", 0, "10.76.0.0/16", "show", "home", "allowed-ips")
    tool.want("syncconf", 0, "", "syncconf", "home", saved)
    results.check(tool.run("showconf", "home")[0] == text, "syncconf brings back what showconf said")
    tool.want("setconf", 0, "", "setconf", "home", small)
    results.check(tool.run("show", "home", "peers")[0] == more + "\n", "setconf leaves one peer")
    log = tool.want("log", 0, "info", "log", "home")
    results.check(all(line[:2] == "20" and "Z " in line for line in log.splitlines()), "each line has its time", log)
    event = json.loads(tool.want("events as JSON", 0, '"event":"state"', "events", "home", "--json").splitlines()[0])
    results.check(event["sequence"] == 1 and event["detail"] == "up", "the first event: the adapter went up", event)
    tool.want("events", 0, "Z state     up\n", "events", "home")
    tool.want("events of none", 4, "there is no adapter", "events", "away")
    tool.want("doctor finds the missing key", 1, "has no private key", "doctor", "home")
    report = json.loads(tool.run("doctor", "--json")[0].splitlines()[0])
    results.check(report["wrong"] >= 1 and any(line["subject"] == "driver" for line in report["checks"]), "doctor as JSON")
    settings = [(line["subject"], line["text"]) for line in report["checks"] if "past a tunnel" in line.get("text", "")]
    results.check([subject for subject, _ in settings] == ["Ethernet 1", "Ethernet 2"] and "IPv4 forwards" in settings[0][1]
                  and "IPv6 sends from" in settings[1][1], "doctor tells interfaces whose settings lead past a tunnel", settings)
    started = time.monotonic()
    tool.want("down", 0, "", "down", config)
    results.check(time.monotonic() - started < 30, "down is done in time")
    results.check(calls(tool.record)[len(wanted):] == ["SetInterfaceDnsSettings flags 6 servers  domains ",
                                                       "SetInterfaceDnsSettings flags 7 servers  domains "],
                  "down takes DNS away", calls(tool.record)[len(wanted):])
    results.check(tool.run("show", "interfaces") == ("\n", 0), "nothing is left")
    tool.want("down again", 0, "", "down", config)
    tool.want("a call that is refused", 5, "10.73.0.1/24 cannot be added", "up", config,
              variables={"WYRM_RECORD_FAIL": "CreateUnicastIpAddressEntry"})
    results.check(tool.run("show", "interfaces") == ("\n", 0), "leaves nothing")
    hooks = write(os.path.join(lab.directory, "hooks.conf"), f"[Interface]\nPrivateKey = {private}\nPostUp = calc\n")
    tool.want("hooks are refused", 3, "not run on Windows", "up", hooks)


def keepers(tool):
    """The processes of this prefix that keep a tunnel."""
    mark, found = f"WINEPREFIX={tool.wine.prefix}\0".encode(), []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file, open(f"/proc/{pid}/cmdline", "rb") as command:
                if b"--keep" in command.read() and mark in file.read():
                    found.append(int(pid))
        except OSError:
            continue  # it has ended
    return found


def at_once(tool, config):
    """Several `up` at once: one makes the tunnel; another finds it up or says that somebody is making it."""
    started = [tool.wine.start(PROGRAM, "up", config, bridge=tool.hosts, record=tool.record) for _ in range(3)]
    ends = [tool.wine.finish(process) for process in started]
    good = [status == 0 and output == "" or status == 1 and "wyrm: home: another process is making or keeping this tunnel" in output
            for output, status in ends]
    tool.results.check(all(good) and any(status == 0 for _, status in ends), "three up at once: one makes the tunnel", ends)
    tool.results.check(len(keepers(tool)) == 1, "one process keeps it", keepers(tool))
    tool.want("there is one adapter", 0, "home\n", "show", "interfaces")


def follow(tool, config):
    """`log --follow` prints what comes as it comes, and ends when the adapter does."""
    results, lab = tool.results, tool.lab
    process = tool.wine.start(PROGRAM, "log", "home", "--follow", "--json", bridge=tool.hosts)

    def lines():
        with open(process.log_path, encoding="utf-8") as file:
            return [json.loads(line) for line in file.read().splitlines() if line.startswith('{"time"')]

    lab.wait_for(lines, "a line of the log", 20, process)
    time.sleep(1)
    before = len(lines())
    # An attempt at a handshake with a peer that does not answer is told in the log.
    tool.want("set while the log is followed", 0, "", "set", "home", "private-key", write(os.path.join(lab.directory, "key"), genkey()[0] + "\n"),
              "peer", genkey()[1], "endpoint", "192.0.2.9:9", "persistent-keepalive", "1")
    lab.wait_for(lambda: len(lines()) > before, "a line that came later", 20, process)
    results.check(process.poll() is None, "log --follow goes on")
    tool.want("down while the log is followed", 0, "", "down", config)
    output, status = tool.wine.finish(process, timeout=20)
    results.check(status == 6 and "home: the log ended: the adapter is gone" in output, "log --follow ends with the adapter", (status, output[-300:]))


def lifetimes(tool):
    """Several at once, a driver in use, the death of the process that keeps a tunnel."""
    lab, results = tool.lab, tool.results
    config = write(os.path.join(lab.directory, "home.conf"),
                   f"[Interface]\nPrivateKey = {genkey()[0]}\nAddress = 10.73.0.1/24\n\n[Peer]\nPublicKey = {genkey()[1]}\n"
                   "AllowedIPs = 10.74.0.0/16\nEndpoint = 192.0.2.9:51820\n")
    at_once(tool, config)
    output = tool.want("uninstall while an adapter uses the driver", 1, "the driver cannot be removed", "uninstall")
    results.check(output.count("\n") == 1, "in one line", output)
    tool.want("the adapter stays", 0, "home\n", "show", "interfaces")
    follow(tool, config)
    tool.want("up before its process dies", 0, "", "up", config)
    for pid in keepers(tool):
        os.kill(pid, signal.SIGKILL)
    lab.wait_for(lambda: not keepers(tool) and not tool.hosts.adapter("wyrm"), "the adapter to go with its process", 20)
    output, status = tool.run("show", "interfaces")
    results.check((output, status) == ("\n", 0), "the tunnel is gone with its process", (output, status))
    output, status = tool.run("down", config)
    results.check((output, status) == ("", 0), "down of a tunnel whose process died", (output, status))
    tool.want("up after its process died", 0, "", "up", config)
    tool.want("the tunnel is there again", 0, "home\n", "show", "interfaces")
    tool.want("down of the new one", 0, "", "down", config)
    tool.want("uninstall", 0, "", "uninstall")
    output, status = tool.run("uninstall")
    results.check((output, status) == ("", 0), "uninstall again says nothing", output)


def body(lab, results):
    started = time.monotonic()
    with Wine(lab.directory) as wine:
        wine.install_dll()
        wine.install_program()
        tool = Tool(lab, wine, results)
        without_adapters(tool)
        print(f"without adapters after {time.monotonic() - started:.1f} s", flush=True)
        tool.hosts = Hosts(lab, lab.namespace("cli"), os.path.join(lab.directory, "cli.sock"))
        with_adapter(tool)
        lifetimes(tool)
        check(tool.hosts, lab, results, orphans=1)
        print(f"with an adapter after {time.monotonic() - started:.1f} s")


sys.exit(run_suite((NTHOST, DRIVER, LINUX, os.path.join(BIN, "wyrm.exe"), os.path.join(PROGRAMS, "bridge_proxy.sys")), body))
