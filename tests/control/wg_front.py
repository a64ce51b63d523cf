"""Suite 40-wg-front: the fronts as other processes see them, first with the fake adapter behind them, then with the real
driver: stock `wg`, hand-made commands of the userspace protocol, and the raw control socket."""

import errno
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
import nthost_control as nt  # noqa: E402

BUILD = os.environ.get("WYRM_BUILD", os.path.join(ROOT, "build", "linux"))
BIN = os.environ.get("WYRM_BIN", os.path.join(ROOT, "build", "bin"))
NTHOST, DRIVER = os.path.join(BIN, "nthost"), os.path.join(BIN, "wyrm.sys")
PROGRAMS = os.path.join(BUILD, "tests", "control")
NAME = f"wyf{os.getpid() % 100000}"
DIRECTORY = "/var/run/wireguard"  # where wg looks
passed = failed = skipped = 0


def check(condition, what):
    global passed, failed
    if condition:
        passed += 1
    else:
        failed += 1
        print(f"FAIL {what}")


def native(program):
    """Runs a native test and takes its counts over."""
    global passed, failed, skipped
    result = subprocess.run([os.path.join(PROGRAMS, program)], stdout=subprocess.PIPE, text=True, timeout=300)
    words = result.stdout.split()
    try:
        counts = int(words[-6]), int(words[-4]), int(words[-2])
    except (IndexError, ValueError):
        counts = 0, 1, 0
    print(f"{program}: {result.stdout.strip().splitlines()[-1] if result.stdout.strip() else 'no output'}")
    passed, failed, skipped = passed + counts[0], failed + counts[1], skipped + counts[2]
    check(result.returncode == 0, f"{program} ended with status {result.returncode}")


class FakeHost:
    def __init__(self, name, directory):
        self.process = subprocess.Popen([os.path.join(PROGRAMS, "fake_host"), name, directory],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.ready = self.process.stdout.readline() == "ready\n"

    def end(self):
        """(exit status, standard error)"""
        self.process.send_signal(signal.SIGTERM)
        try:
            _, errors = self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, errors = self.process.communicate()
            errors += "did not end after SIGTERM"
        return self.process.returncode, errors


class RealHost(FakeHost):
    """The driver in verify mode, in a network namespace of its own."""

    def __init__(self, name):
        self.namespace = f"wyrm-{name}"
        subprocess.run(["ip", "netns", "add", self.namespace], check=True)
        reader, writer = os.pipe()
        self.process = subprocess.Popen(["ip", "netns", "exec", self.namespace, NTHOST, "run", DRIVER, "--name", name,
                                         "--verify", "--ready-fd", str(writer)], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, pass_fds=[writer])
        os.close(writer)
        self.ready = os.read(reader, 16) == b"ready\n"
        os.close(reader)

    def end(self):
        result = super().end()
        subprocess.run(["ip", "netns", "delete", self.namespace], check=False)
        return result


def wg(*arguments, text=None):
    return subprocess.run(["wg", *arguments], input=text, capture_output=True, text=True, timeout=30)


def key():
    return wg("genkey").stdout.strip()


def public(private):
    return wg("pubkey", text=private).stdout.strip()


def talk(data, end=True):
    """Sends bytes to the wg socket and returns everything that comes back until the end."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(f"{DIRECTORY}/{NAME}.sock")
    connection.settimeout(10)
    with connection:
        try:
            connection.sendall(data.encode() if isinstance(data, str) else data)
            if end:
                connection.shutdown(socket.SHUT_WR)
        except OSError as error:
            # The host may hang up on bytes that it refuses before all of them are sent: what it answered is still there.
            if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
                raise
        answer = b""
        while True:
            try:
                more = connection.recv(65536)
            except ConnectionResetError:
                break
            if not more:
                break
            answer += more
    return answer.decode()


def get():
    """The configuration as (interface dict, {public key: dict with list allowed_ip})."""
    interface, peers, peer = {}, {}, None
    for line in talk("get=1\n\n").splitlines():
        if not line:
            continue
        name, value = line.split("=", 1)
        if name == "public_key":
            peer = peers.setdefault(value, {"allowed_ip": []})
        elif peer is not None and name == "allowed_ip":
            peer["allowed_ip"].append(value)
        elif name == "errno":
            interface["errno"] = value
        else:
            (interface if peer is None else peer)[name] = value
    return interface, peers


HEX_A, HEX_B = "0a" * 32, "0b" * 32


def test_stock_wg(real):
    private, psk = key(), wg("genpsk").stdout.strip()
    peers = [public(key()) for _ in range(4)]
    with tempfile.TemporaryDirectory() as folder:
        def file(name, text):
            path = os.path.join(folder, name)
            with open(path, "w", encoding="ascii") as out:
                out.write(text)
            return path
        private_file, psk_file = file("private", private), file("psk", psk)
        result = wg("set", NAME, "private-key", private_file, "listen-port", "51999", "fwmark", "0x77", "peer", peers[0],
                    "preshared-key", psk_file, "endpoint", "192.0.2.1:5555", "persistent-keepalive", "21",
                    "allowed-ips", "10.1.0.0/16,fd00:1::/64")
        check(result.returncode == 0, f"wg set: {result.stderr}")
        dump = [line.split("\t") for line in wg("show", NAME, "dump").stdout.splitlines()]
        check(len(dump) == 2, "wg show dump: one interface, one peer")
        if len(dump) == 2:
            # the fake driver clamps, as the driver does: the public key does not change by that
            check(dump[0][1] == public(private) and dump[0][2:] == ["51999", "0x77"], f"interface line {dump[0][1:]}")
            check(dump[1][0] == peers[0] and dump[1][1] == psk and dump[1][2] == "192.0.2.1:5555", "peer line")
            check(dump[1][3] == "10.1.0.0/16,fd00:1::/64" and dump[1][7] == "21", f"allowed ips {dump[1][3:]}")
            # the real driver sends initiations of 148 bytes to nobody, because of the keepalive
            handshake, received, sent = dump[1][4:7]
            check((handshake, received) == (("0", "0") if real else ("1655526401", "92")) and int(sent) % 148 == 0,
                  f"handshake and counters {dump[1][4:7]}")
        shown = wg("show", NAME)
        check("listening port: 51999" in shown.stdout and "fwmark: 0x77" in shown.stdout, "wg show")
        check(NAME in wg("show", "interfaces").stdout.split(), "wg show interfaces")

        conf = (f"[Interface]\nPrivateKey = {private}\nListenPort = 52000\nFwMark = 0x5\n"
                f"[Peer]\nPublicKey = {peers[1]}\nAllowedIPs = 10.2.0.0/16\nEndpoint = [2001:db8::5]:7777\n"
                f"[Peer]\nPublicKey = {peers[2]}\nAllowedIPs = 10.3.0.0/16\nPersistentKeepalive = 9\n")
        result = wg("setconf", NAME, file("set.conf", conf))
        check(result.returncode == 0, f"wg setconf: {result.stderr}")
        check(sorted(wg("show", NAME, "peers").stdout.split()) == sorted(peers[1:3]), "setconf replaces the peers")
        check(wg("show", NAME, "listen-port").stdout.strip() == "52000", "setconf sets the port")
        result = wg("addconf", NAME, file("add.conf", f"[Peer]\nPublicKey = {peers[3]}\nAllowedIPs = 10.4.0.0/16\n"))
        check(result.returncode == 0, f"wg addconf: {result.stderr}")
        check(sorted(wg("show", NAME, "peers").stdout.split()) == sorted(peers[1:4]), "addconf adds a peer")
        check(wg("show", NAME, "fwmark").stdout.strip() == "0x5", "addconf leaves the mark")
        result = wg("syncconf", NAME, file("sync.conf", conf.replace("10.3.0.0/16", "10.33.0.0/16")))
        check(result.returncode == 0, f"wg syncconf: {result.stderr}")
        check(sorted(wg("show", NAME, "peers").stdout.split()) == sorted(peers[1:3]), "syncconf removes the third")
        ips = wg("show", NAME, "allowed-ips").stdout
        check("10.33.0.0/16" in ips and "10.3.0.0/16" not in ips, f"syncconf changes the allowed ips: {ips}")
        saved = wg("showconf", NAME).stdout
        check(saved.startswith("[Interface]\n") and f"PrivateKey = {wg('show', NAME, 'private-key').stdout.strip()}" in saved
              and saved.count("[Peer]") == 2 and "Endpoint = [2001:db8::5]:7777" in saved, "wg showconf")
        result = wg("setconf", NAME, file("again.conf", saved))
        check(result.returncode == 0 and wg("showconf", NAME).stdout == saved, "showconf read back gives the same")
        result = wg("set", NAME, "peer", peers[1], "remove", "peer", peers[2], "remove")
        check(result.returncode == 0 and wg("show", NAME, "peers").stdout == "", "wg set peer remove")

        many = "".join(f"[Peer]\nPublicKey = {public(key())}\nAllowedIPs = 10.5.{i}.0/24, fd05:{i:x}::/64\n"
                       for i in range(60))
        result = wg("setconf", NAME, file("many.conf", f"[Interface]\nPrivateKey = {private}\n" + many))
        check(result.returncode == 0 and len(wg("show", NAME, "peers").stdout.split()) == 60, "60 peers")

        result = wg("set", NAME, "private-key", "/dev/null")
        check(result.returncode == 0 and wg("show", NAME, "private-key").stdout.strip() == "(none)",
              "an empty private key takes the identity away")
        check(len(wg("show", NAME, "peers").stdout.split()) == 60, "and leaves the peers")


def test_errors():
    talk(f"set=1\nprivate_key={HEX_A}\nlisten_port=1\nfwmark=3\nreplace_peers=true\npublic_key={HEX_B}\n"
         "allowed_ip=10.0.0.0/8\n\n")
    before = get()
    check(before[0].get("errno") == "0" and before[1][HEX_B]["allowed_ip"] == ["10.0.0.0/8"], f"base: {before}")
    bad = ["listen_port=65536", "listen_port=2\nfwmark=x", "bogus=1", "private_key=00",
           f"listen_port=2\npublic_key={HEX_A}\nendpoint=nowhere", f"public_key={HEX_B}\nremove=maybe",
           f"replace_peers=true\npublic_key={HEX_A}\nallowed_ip=10.0.0.0/33",
           f"public_key={HEX_B}\nremove=true\nlisten_port=9", "get=1", "=", "x" * 300]
    for text in bad:
        answer = talk(f"set=1\n{text}\n\n")
        check(answer == "errno=-22\n\n", f"{text[:60]!r} answered {answer!r}")
        check(get() == before, f"{text[:60]!r} changed something")
    check(talk(f"set=1\nlisten_port=9\n") == "" and get() == before, "a set without its empty line is not applied")
    check(talk("") == "", "nothing in, nothing out")
    check(talk("get=2\n\n") == "errno=-22\n\n", "get=2")
    check(talk("hello\nworld\n\n") == "errno=-22\n\n", "an unknown command")
    check(talk("get=1\nx=1\n\n") == "errno=22\n\n", "get with a line")
    check(talk("\n") == "errno=-22\n\n", "an empty line alone")
    check(talk("x" * 100000) == "", "a line without an end")
    check(talk(b"get=1\0\n\n") == "errno=-22\n\n", "a zero byte")
    check(talk("set=1\n\nget=1\n\nset=1\nlisten_port=x\n\nget=1\n\n").count("errno=0") == 3,
          "several commands on a connection, one of them wrong")
    check(get() == before, "after all that the configuration is as before")
    check(talk(f"set=1\npublic_key={HEX_B}\nallowed_ip=-10.0.0.0/8\nallowed_ip=11.1.0.0/16\n\n") == "errno=0\n\n"
          and get()[1][HEX_B]["allowed_ip"] == ["11.1.0.0/16"], "an allowed ip is taken away with '-'")
    check(talk(f"set=1\npublic_key={HEX_A}\nupdate_only=true\n\n") == "errno=0\n\n" and HEX_A not in get()[1],
          "update_only makes no peer")
    check(talk("set=1\nfwmark=0\n\n") == "errno=0\n\n" and "fwmark" not in get()[0], "fwmark=0 clears it")
    # byte by byte, and two clients at once
    slow = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    slow.connect(f"{DIRECTORY}/{NAME}.sock")
    with slow:
        for character in b"set=1\nlisten_port=77\n":
            slow.send(bytes([character]))
        check(get()[0]["listen_port"] == "1", "a second client is served while the first is slow")
        slow.send(b"\n")
        check(slow.recv(100) == b"errno=0\n\n" and get()[0]["listen_port"] == "77", "byte by byte")


def test_raw():
    control = nt.Control(NAME)
    check(control.name == NAME and control.version == 1 and control.cpus == 2, "hello")
    with control.open() as file:
        status = file.set(nt.Interface(private_key=bytes([8]) * 32, listen_port=1234, replace_peers=True, peers=[
            nt.Peer(b"k" * 32, keepalive=3, endpoint=("192.0.2.1", 9), allowed_ips=["10.0.0.0/8", "fd00::/8"])]).pack())
        check(status.status == 0 and status.information == 80 + 136 + 48, f"SET {status.status:x} {status.information}")
        config = nt.Interface.unpack(file.get())
        check(config.listen_port == 1234 and len(config.peers) == 1, "GET")
        peer = config.peers[0]
        check(peer.public_key == b"k" * 32 and peer.keepalive == 3, "GET peer")
        check(nt.unpack_endpoint(peer.endpoint) == ("192.0.2.1", 9), "GET endpoint")
        check([str(ip) for ip in peer.allowed_ips] == ["10.0.0.0/8", "fd00::/8"], "GET allowed ips")
        short = file.ioctl(nt.IOCTL_GET, None, b"\xEE" * 100)
        check(short.status == nt.STATUS_BUFFER_OVERFLOW and short.information == 264, "GET into a short buffer")
        check(len(short.out) == 100 and short.out[80:] == b"\xEE" * 20, "the rest of the buffer comes back as it was")
        null = file.ioctl(nt.IOCTL_SET, None, None, out_length=80)
        check(null.status == nt.STATUS_INVALID_PARAMETER and null.out == b"", "a NULL buffer")
        check(file.state(nt.STATE_QUERY) == 0 and not control.link_up(), "down at first")
        check(file.state(nt.STATE_UP) == 0 and file.state(nt.STATE_UP) == nt.STATUS_ALREADY_COMPLETE, "up, twice")
        check(control.link_up(), "link is up")
        check(control.pause() == 0 and not control.link_up() and control.restart() == 0, "pause and restart")
        log = file.log_async()
        check(not log.done(0.1), "LOG pends")
        check(file.state(nt.STATE_QUERY) == 1, "other requests are served meanwhile")
        check(log.cancel() == 0 and log.wait().status == nt.STATUS_CANCELLED, "LOG is cancelled")
        check(log.cancel() == nt.STATUS_NOT_FOUND, "and then gone")
        done = file.ioctl_async(nt.IOCTL_STATE, b"\2\0\0\0", bytes(4)).wait()
        check(done.status == 0 and done.out == b"\1\0\0\0", "an asynchronous request that completes at once")
    with control.open(system=False, administrator=True, integrity=0x2000) as file:
        check(file.ioctl(nt.IOCTL_GET, None, bytes(80)).status == nt.STATUS_ACCESS_DENIED, "a token without rights")
    check(control.status(nt.CLOSE, b"\5\0\0\0") == nt.STATUS_INVALID_HANDLE, "closing what is not open")
    check(nt.File(control, 9).ioctl(nt.IOCTL_GET).status == nt.STATUS_INVALID_HANDLE, "using what is not open")
    check(control.pnp(nt.PNP_QUERY_REMOVE) == 0 and control.pnp(0x99) == nt.STATUS_INVALID_DEVICE_REQUEST, "PnP")
    check(control.power(nt.POWER_SET, 4) == 0, "power")
    check(control.oid(0x01010101, 8) == (0, 4, b"\1\1\1\1\0\0\0\0"), "OID query")
    check(control.oid(7, data=b"abcd")[0] == 0 and control.oid(7)[0] == 0xC0010014, "OID set; too short")
    check(control.counters()["pool"] == (100, 0, 50), "counters")
    leaving = nt.Control(NAME)
    leaving.open().log_async()
    leaving.disconnect()  # with a pending request: the host cancels it
    pending = control.open().log_async()  # and this one is pending when the host ends
    control.surprise_remove()
    check(not control.link_up(), "surprise removal")
    check(talk("get=1\n\nset=1\n\n") == "errno=19\n\nerrno=-19\n\n", "a removed device is told per command")
    check("No such device" in wg("show", NAME).stderr, "also to wg show")
    check("No such device" in wg("set", NAME, "listen-port", "5").stderr, "also to wg set")

    def refused(operation, payload, words):
        try:
            control.call(operation, payload)
        except nt.Refused as refusal:
            check(words in str(refusal), f"operation {operation}: {refusal}")
        else:
            check(False, f"operation {operation} with {payload!r} was not refused")
    refused(99, b"", "not known")
    refused(0, b"", "not known")
    refused(nt.HELLO, b"\2\0\0\0", "version")
    refused(nt.OPEN, b"abc", "OPEN")
    refused(nt.CLOSE, b"", "CLOSE")
    refused(nt.CONTROL, bytes(23), "CONTROL")
    refused(nt.CONTROL, nt.struct.pack("<IIIIII", 1, nt.IOCTL_GET, 0, 5, 0, 0), "lengths")
    refused(nt.CONTROL, nt.struct.pack("<IIIIII", 1, nt.IOCTL_GET, 0, 0, 2, 3) + b"abc", "lengths")
    refused(nt.CONTROL, nt.struct.pack("<IIIIII", 1, nt.IOCTL_GET, 0, 0xFFFFFFFF, 0, 0xFFFFFFFF), "lengths")
    refused(nt.CONTROL, nt.struct.pack("<IIIIII", 1, nt.IOCTL_GET, 0, 0, 0xFFFFFFFF, 0), "64 MiB")
    refused(nt.CONTROL, nt.struct.pack("<IIIIII", 1, nt.IOCTL_GET, 2, 0, 9, 3) + b"abc", "lengths")
    refused(nt.CANCEL, b"1234", "CANCEL")
    refused(nt.PNP, b"\0\1\0\0", "PNP")
    refused(nt.POWER, b"", "POWER")
    refused(nt.OID, bytes(12), "OID")
    refused(nt.OID, nt.struct.pack("<IIII", 0, 1, 2, 3) + b"abc", "OID")
    refused(nt.LINK, b"x", "no payload")
    check(control.link_up() is False, "the connection goes on after refusals")
    # a frame that is too long ends the connection; a cut frame and a vanishing client harm nobody
    for data in (nt.HEADER.pack(0xFFFFFFFF, 1, 1), nt.HEADER.pack(100, 1, 1) + b"x", b"abc"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
            other.connect(f"{DIRECTORY}/{NAME}.ctl")
            other.sendall(data)
    time.sleep(0.2)
    check(control.counters()["pool"] == (100, 0, 50), "the host goes on")
    return control, pending


def test_crowd():
    """Several clients read and write at once: each answer is whole, and the last state is one that somebody set."""
    results = []

    def client(number):
        done = True
        for turn in range(20):
            answer = talk(f"set=1\nlisten_port={1000 + number}\nreplace_peers=true\npublic_key={number:02x}{'0c' * 31}\n"
                          f"allowed_ip=10.{number}.{turn}.0/24\n\nget=1\n\n")
            done = done and answer.count("errno=0\n\n") == 2 and answer.count("public_key=") == 1
        results.append(done)
    threads = [threading.Thread(target=client, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    interface, peers = get()
    number = int(interface["listen_port"]) - 1000
    check(results == [True] * 8, f"eight clients at once: {results}")
    check(list(peers) == [f"{number:02x}{'0c' * 31}"], f"port and peer are of one set: {interface['listen_port']} {list(peers)}")


def test_noise():
    """Random frames and random lines: the host answers or hangs up, and goes on."""
    random = __import__("random").Random(7)
    for _ in range(150):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(f"{DIRECTORY}/{NAME}.ctl")
            connection.settimeout(5)
            for _ in range(random.randrange(1, 8)):
                operation = random.choice([1, 2, 3, 4, 4, 4, 5, 6, 7, 11, 12, 13, random.randrange(1 << 32)])
                payload = bytearray(random.randbytes(random.randrange(60)))
                if operation == 4 and len(payload) >= 24:  # plausible lengths reach deeper
                    payload[0:4] = b"\1\0\0\0"
                    payload[8:24] = nt.struct.pack("<IIII", random.randrange(8), len(payload) - 24, random.randrange(300), 0)
                length = len(payload) if random.random() < 0.95 else random.randrange(1 << 32)
                try:
                    connection.sendall(nt.HEADER.pack(length, operation, random.randrange(3)) + payload)
                except OSError:
                    break
    for _ in range(150):
        line = random.choice([b"set=1\n", b"get=1\n", b"", b"set=1\npublic_key=" + b"00" * 32 + b"\n"])
        talk(line + random.randbytes(random.randrange(200)) + random.choice([b"\n\n", b""]))
    check(get()[0].get("errno") == "0" and nt.Control(NAME).counters()["pool"] == (100, 0, 50), "the host goes on after noise")


def test_sockets(host):
    other = FakeHost(NAME, DIRECTORY)
    status, errors = other.end()
    check(not other.ready and status == 1 and "served by another process" in errors, f"a taken name: {errors}")
    mode = os.stat(f"{DIRECTORY}/{NAME}.sock").st_mode
    check(mode & 0o777 == 0o600, f"mode of the socket {mode:o}")
    with tempfile.TemporaryDirectory() as folder:
        stale = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        stale.bind(f"{folder}/{NAME}.sock")
        stale.close()
        other = FakeHost(NAME, folder)
        check(other.ready, "a stale socket file is replaced")
        check(other.end()[0] == 0 and os.listdir(folder) == [], "and removed at the end")
        with open(f"{folder}/{NAME}.ctl", "w", encoding="ascii"):
            pass
        other = FakeHost(NAME, folder)
        status, errors = other.end()
        check(status == 1 and "is not a socket" in errors, f"a file in the way: {errors}")
        check(os.listdir(folder) == [f"{NAME}.ctl"], "nothing is left behind by that")
        other = FakeHost("x" * 15, folder + "/" + "d" * 90)
        status, errors = other.end()
        check(status == 1 and "longer than" in errors, f"a path that is too long: {errors}")
    check(host.process.poll() is None, "the first host still runs")


def real_driver():
    host = RealHost(NAME)
    check(host.ready, "the driver starts")
    try:
        if host.ready:
            test_stock_wg(True)
            test_errors()
            test_crowd()
    finally:
        status, errors = host.end()
    check(status == 0 and "left nothing behind" in errors, f"the host ended with status {status}: {errors}")
    check(HEX_A not in errors, "no key in messages")


def main():
    for program in ("fake_host", "test_wg_protocol"):
        if not os.access(os.path.join(PROGRAMS, program), os.X_OK):
            print(f"FAIL {program} is not built in {PROGRAMS}")
            print("0 passed, 1 failed, 0 skipped")
            return 1
    native("test_wg_protocol")
    global skipped
    if os.geteuid() != 0:
        print("SKIP stock wg and the sockets: not root")
        skipped += 1
    else:
        os.makedirs(DIRECTORY, mode=0o700, exist_ok=True)
        host = FakeHost(NAME, DIRECTORY)
        check(host.ready, "the fake host starts")
        try:
            if host.ready:
                test_stock_wg(False)
                test_errors()
                test_crowd()
                test_noise()
                test_sockets(host)
                control, pending = test_raw()
        finally:
            status, errors = host.end()
        check(status == 0, f"the fake host ended with status {status}: {errors}")
        check("ERROR" not in errors and "runtime error" not in errors, f"sanitisers: {errors}")
        check(HEX_A not in errors, "no key in messages")
        check(not os.path.exists(f"{DIRECTORY}/{NAME}.sock") and not os.path.exists(f"{DIRECTORY}/{NAME}.ctl"),
              "the socket files are gone")
        if os.access(NTHOST, os.X_OK) and os.access(DRIVER, os.R_OK) and os.access("/dev/net/tun", os.W_OK):
            real_driver()
        else:
            print(f"SKIP the real driver: it needs {NTHOST}, {DRIVER} and /dev/net/tun")
            skipped += 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 0 if failed == 0 and passed > 0 else 1


sys.exit(main())
