"""A small network laboratory: namespaces, links and WireGuard peers that one script makes and takes away again.

Everything has names that no other run shares; what was started is ended by pid, what was made is deleted, also when the
script fails or is interrupted.  Used by ./demo, ./bench and the integration suites.
"""

import atexit
import json
import os
import re
import secrets
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NTHOST = os.path.join(ROOT, "build", "bin", "nthost")
DRIVER = os.path.join(ROOT, "build", "bin", "wyrm.sys")
ENGINE = os.path.join(ROOT, "build", "bin", "wyrm-engine")
SOCKETS = "/var/run/wireguard"


class LabError(Exception):
    """Something the laboratory needs is missing or did not work; the text says what."""


def require(*programs):
    """Says clearly what is missing before anything is made."""
    if os.geteuid() != 0:
        raise LabError("must be root: network namespaces and TUN devices need it")
    if not os.path.exists("/dev/net/tun"):
        raise LabError("/dev/net/tun is missing: load the kernel's tun module")
    for program in ("ip", "wg", "ping") + programs:
        if not (os.path.exists(program) if program.startswith("/") else shutil.which(program)):
            raise LabError(f"{program} is missing: run ./setup and ./build.sh")


def genkey():
    """A (private, public) pair in base64; keys travel through pipes, never through arguments."""
    private = subprocess.run(["wg", "genkey"], check=True, capture_output=True, text=True).stdout.strip()
    public = subprocess.run(["wg", "pubkey"], input=private, check=True, capture_output=True, text=True).stdout.strip()
    return private, public


def genpsk():
    return subprocess.run(["wg", "genpsk"], check=True, capture_output=True, text=True).stdout.strip()


class Lab:
    def __init__(self):
        self.id = secrets.token_hex(2)
        self.namespaces = []
        self.processes = []
        self.directory = tempfile.mkdtemp(prefix=f"wyrm-lab-{self.id}-")
        self.closed = False
        atexit.register(self.close)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._interrupted)

    @staticmethod
    def _interrupted(number, frame):
        sys.exit(128 + number)  # runs the atexit handlers

    # ---- namespaces and links ----
    def namespace(self, label):
        name = f"wyrm-{self.id}-{label}"
        self.command(["ip", "netns", "add", name])
        self.namespaces.append(name)
        self.command(["ip", "link", "set", "lo", "up"], name)
        # Taking away an interface's first address must not take the others of its prefix with it.
        self.command(["sysctl", "-q", "-w", "net.ipv4.conf.all.promote_secondaries=1"], name)
        return name

    def link(self, first, second, addresses_first, addresses_second, mtu=None, label="v"):
        """A veth pair; returns the two interface names."""
        names = (f"{label}{self.id}a", f"{label}{self.id}b")
        self.command(["ip", "link", "add", names[0], "netns", first, "type", "veth", "peer", "name", names[1],
                      "netns", second])
        for name, space, addresses in ((names[0], first, addresses_first), (names[1], second, addresses_second)):
            for address in addresses:
                extra = ["nodad"] if ":" in address else []
                self.command(["ip", "address", "add", address, "dev", name] + extra, space)
            if mtu:
                self.command(["ip", "link", "set", name, "mtu", str(mtu)], space)
            self.command(["ip", "link", "set", name, "up"], space)
        # The kernel says so up to a second later, and a driver does not choose a route over an interface that is not up.
        for name, space in ((names[0], first), (names[1], second)):
            self.wait_for(lambda n=name, s=space: self.operational(s, n), f"{name} to be up", 15)
        return names

    def operational(self, namespace, name):
        shown = self.command(["ip", "-j", "link", "show", "dev", name], namespace).stdout
        return json.loads(shown)[0]["operstate"] == "UP"

    # ---- programs ----
    @staticmethod
    def _in(namespace, command):
        return ["ip", "netns", "exec", namespace] + command if namespace else command

    def command(self, command, namespace=None, input_text=None, timeout=60, check=True):
        """Runs to its end; the completed process.  A failure says command, status and output."""
        try:
            done = subprocess.run(self._in(namespace, command), input=input_text, capture_output=True, text=True,
                                  timeout=timeout, stdin=None if input_text is not None else subprocess.DEVNULL)
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{' '.join(command)}: no end within {timeout} s") from error
        if check and done.returncode != 0:
            raise LabError(f"{' '.join(command)}: status {done.returncode}: {(done.stderr or done.stdout).strip()}")
        return done

    def start(self, command, namespace=None, log=None, environment=None, pass_fds=()):
        """Starts in the background, ended by close().  Output goes to a file of the laboratory."""
        path = os.path.join(self.directory, log or f"process-{len(self.processes)}.log")
        with open(path, "ab") as output:
            process = subprocess.Popen(self._in(namespace, command), stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=output, start_new_session=True,
                                       env=dict(os.environ, **(environment or {})), pass_fds=pass_fds)
        process.log_path = path
        self.processes.append(process)
        return process

    @staticmethod
    def output_of(process):
        with open(process.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    @staticmethod
    def stop(process, number=signal.SIGTERM, timeout=20):
        """Ends one process and returns its status (negative: signal)."""
        if process.poll() is None:
            process.send_signal(number)
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return process.returncode

    def wait_for(self, condition, what, timeout=10, process=None):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if condition():
                return
            if process is not None and process.poll() is not None:
                raise LabError(f"{what}: the process ended with status {process.returncode}:\n{self.output_of(process)}")
            time.sleep(0.02)
        tail = f":\n{self.output_of(process)}" if process is not None else ""
        raise LabError(f"{what}: not within {timeout} s{tail}")

    def close(self):
        if self.closed:
            return
        self.closed = True
        for process in reversed(self.processes):
            self.stop(process, timeout=10)
        for name in reversed(self.namespaces):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)


class Peer:
    """One WireGuard interface in one namespace: `kind` is wyrm, wyrm-engine or wireguard-go.  `shared`: the peer whose process has this
    adapter as well (its options name it), so that one driver serves both.  `command`: for any other kind, makes the command
    line of an interface's name; it stays in the foreground and serves the interface's socket as wireguard-go does.
    `environment`: variables for nthost."""

    def __init__(self, lab, namespace, kind, label, addresses, port=51820, options=(), driver=DRIVER, nthost=NTHOST,
                 shared=None, command=None, environment=None):
        self.lab, self.namespace, self.kind, self.port = lab, namespace, kind, port
        self.name = f"w{lab.id}{label}"
        self.addresses = addresses
        self.private, self.public = genkey()
        self.options, self.driver, self.nthost = list(options), driver, nthost
        self.socket = os.path.join(SOCKETS, f"{self.name}.sock")
        self.process, self.shared = None, shared
        self.command, self.environment = command, environment
        self.start()

    def start(self):
        os.makedirs(SOCKETS, exist_ok=True)
        if self.shared:
            command = None
        elif self.kind == "wyrm":
            command = [self.nthost, "run", self.driver, "--name", self.name] + self.options
            environment = self.environment
        elif self.kind == "wyrm-engine":
            command, environment = [ENGINE, "--foreground", self.name], self.environment
        elif self.kind == "wireguard-go":
            command = ["wireguard-go", "-f", self.name]
            environment = {"WG_PROCESS_FOREGROUND": "1", "LOG_LEVEL": "error"}
        elif self.command:
            command, environment = self.command(self.name), {"WG_PROCESS_FOREGROUND": "1"}
        else:
            raise LabError(f"unknown kind of peer '{self.kind}' (wyrm, wyrm-engine, wireguard-go)")
        self.process = (self.lab.start(command, self.namespace, f"{self.name}.log", environment) if command
                        else self.shared.process)
        self.lab.wait_for(lambda: os.path.exists(self.socket), f"{self.kind} {self.name}", 20, self.process)
        self.lab.wait_for(lambda: self.lab.command(["wg", "show", self.name], self.namespace, check=False).returncode == 0,
                          f"{self.kind} {self.name} answers wg", 20, self.process)
        for address in self.addresses:
            extra = ["nodad"] if ":" in address else []
            self.lab.command(["ip", "address", "add", address, "dev", self.name] + extra, self.namespace)
        if self.kind != "wyrm":
            self.lab.command(["ip", "link", "set", self.name, "mtu", "1420"], self.namespace)
        self.lab.command(["ip", "link", "set", self.name, "up"], self.namespace)

    def configuration(self, peers):
        """The text of a file for wg; `peers`: dictionaries with public, allowed, and optionally endpoint, psk, keepalive."""
        lines = ["[Interface]", f"PrivateKey = {self.private}", f"ListenPort = {self.port}"]
        for peer in peers:
            lines += ["[Peer]", f"PublicKey = {peer['public']}", f"AllowedIPs = {', '.join(peer['allowed'])}"]
            if peer.get("endpoint"):
                lines.append(f"Endpoint = {peer['endpoint']}")
            if peer.get("psk"):
                lines.append(f"PresharedKey = {peer['psk']}")
            if peer.get("keepalive"):
                lines.append(f"PersistentKeepalive = {peer['keepalive']}")
        return "\n".join(lines) + "\n"

    def setconf(self, peers, verb="setconf", routes=True):
        """Configures `peers` (see configuration), and a route for each allowed IP unless told not to: thousands take minutes."""
        # Keys go through a pipe: neither arguments nor files.
        self.lab.command(["wg", verb, self.name, "/dev/stdin"], self.namespace, self.configuration(peers), 120)
        for prefix in (prefix for peer in peers if routes for prefix in peer["allowed"]):
            family = "-6" if ":" in prefix else "-4"
            self.lab.command(["ip", family, "route", "replace", prefix, "dev", self.name], self.namespace, check=False)

    def wg(self, *arguments, check=True, input_text=None):
        return self.lab.command(["wg", arguments[0], self.name] + list(arguments[1:]), self.namespace, input_text,
                                check=check)

    def show(self):
        return self.lab.command(["wg", "show", self.name], self.namespace).stdout

    def dump(self):
        """The peers of `wg show dump` as dictionaries by public key."""
        peers = {}
        for line in self.wg("show", "dump").stdout.splitlines()[1:]:
            fields = line.split("\t")
            peers[fields[0]] = {"psk": fields[1], "endpoint": fields[2], "allowed": fields[3],
                                "handshake": int(fields[4]), "rx": int(fields[5]), "tx": int(fields[6]),
                                "keepalive": fields[7]}
        return peers

    def cpu_seconds(self):
        """User and system time of the implementation so far."""
        with open(f"/proc/{self.pid()}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def pid(self):
        # `ip netns exec` replaces itself by the program, so the pid is the implementation's.
        return self.process.pid

    def rss_mb(self):
        with open(f"/proc/{self.pid()}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) / 1024

    def stop(self):
        return self.lab.stop(self.process)


# ---- measurements ----
def echo_replies(lab, namespace, target):
    """Echo replies of the target's family that the namespace has received so far, by the kernel's own counter."""
    if ":" in target:
        shown = lab.command(["cat", "/proc/net/snmp6"], namespace).stdout
        return int(re.search(r"^Icmp6InEchoReplies\s+(\d+)", shown, re.MULTILINE).group(1))
    names, values = re.findall(r"^Icmp: (.*)$", lab.command(["cat", "/proc/net/snmp"], namespace).stdout, re.MULTILINE)
    return int(values.split()[names.split().index("InEchoReps")])


def ping(lab, namespace, target, count=10, interval=0.1, size=56, deadline=None, check=False):
    """{"sent", "received", "p50_us", "p99_us"} of `count` echo requests.  ping itself waits for its last answers only as long
    as `interval`, or twice the longest time so far: answers to the last requests that come within 3 s more are counted."""
    before = echo_replies(lab, namespace, target)
    command = ["ping", "-n", "-c", str(count), "-i", str(interval), "-s", str(size), "-W", "2", target]
    done = lab.command(command, namespace, timeout=deadline or count * (interval + 2) + 15, check=False)
    times = sorted(float(value) * 1000 for value in re.findall(r"time=([0-9.]+) ms", done.stdout))
    match = re.search(r"(\d+) packets transmitted, (\d+) received", done.stdout)
    result = {"times_us": times, "sent": int(match.group(1)) if match else 0, "received": int(match.group(2)) if match else 0,
              "p50_us": round(statistics.median(times), 1) if times else None,
              "p99_us": round(times[min(len(times) - 1, int(len(times) * 0.99))], 1) if times else None}
    answered = {int(number) for number in re.findall(r"icmp_seq=(\d+) (?:ttl|hlim)", done.stdout)}
    end = time.monotonic() + 3
    while answered == set(range(1, result["received"] + 1)) and result["received"] < result["sent"] and time.monotonic() < end:
        if echo_replies(lab, namespace, target) - before >= result["sent"]:
            result["received"] = result["sent"]
        time.sleep(0.1)
    if check and result["received"] != result["sent"]:
        raise LabError(f"ping {target}: {result['received']} of {result['sent']} came back")
    return result


class IperfServer:
    def __init__(self, lab, namespace, address, port=5201):
        self.lab, self.namespace, self.address, self.port = lab, namespace, address, port
        self.process = lab.start(["iperf3", "-s", "-B", address, "-p", str(port), "--forceflush"], namespace, f"iperf-{port}-{namespace}.log")
        lab.wait_for(lambda: "listening" in lab.output_of(self.process), f"iperf3 server on {address}", 10, self.process)

    def run(self, client_namespace, seconds=5, reverse=False, streams=1, extra=()):
        """Mbit/s received by the far end."""
        command = ["iperf3", "-J", "-c", self.address, "-p", str(self.port), "-t", str(seconds), "-P", str(streams)]
        command += ["-R"] if reverse else []
        done = self.lab.command(command + list(extra), client_namespace, timeout=seconds + 40, check=False)
        try:
            result = json.loads(done.stdout)
        except ValueError as error:
            raise LabError(f"iperf3: {done.stdout[-400:]} {done.stderr[-400:]}") from error
        if "error" in result:
            raise LabError(f"iperf3: {result['error']}")
        return result

    @staticmethod
    def mbps(result):
        return round(result["end"]["sum_received"]["bits_per_second"] / 1e6, 1)


class Tests:
    """Counts expectations of a suite and prints the line that ./test reads."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, condition, what):
        if condition:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAIL {what}", flush=True)
        return bool(condition)

    def equal(self, got, expected, what):
        return self.check(got == expected, f"{what}: expected {expected!r}, got {got!r}")

    def skip(self, why):
        self.skipped += 1
        print(f"SKIP {why}", flush=True)

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)
        return 0 if self.failed == 0 and self.passed > 0 else 1
