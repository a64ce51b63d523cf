"""Suite 70-windows: programs under Wine against the bridge, the real driver in nthost (verify mode) behind it.

suite.py [PART...]: these parts only; WYRM_WINDOWS_CYCLES: adapters to create and close, 1000 else."""

import base64
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wine import BIN, PROGRAMS, Wine, windows_path  # noqa: E402  (also makes tests/lib known)
import applied  # noqa: E402
from hosts import Host, Hosts, check  # noqa: E402
from netlab import DRIVER, NTHOST, IperfServer, genkey, ping  # noqa: E402
from netlab import Peer as WireGuard  # noqa: E402
from nthost_control import Control, Interface, Peer  # noqa: E402
from results import run_suite  # noqa: E402

CYCLES = int(os.environ.get("WYRM_WINDOWS_CYCLES", "1000"))


def control_codes(lab, wine, results):
    """Control codes through CreateFile and DeviceIoControl."""
    host = Host(lab, lab.namespace("ioctl"), 1)
    output, status = wine.run(os.path.join(PROGRAMS, "bridge_ioctl.exe"), host.socket)
    results.program("control codes", output, status)
    with Control(host.name) as control:
        counters = control.counters()
        results.check(counters["pending IRPs"][1] == 0, "the killed process has left no request pending")
    status, said = host.stop()
    results.check(status == 0, f"nthost finds nothing left behind (status {status})")
    print(said, end="")


def software_devices(lab, wine, results):
    """The stand-in of cfgmgr32.dll itself: devices as documented, faults, death of a program."""
    hosts = Hosts(lab, lab.namespace("device"), os.path.join(lab.directory, "devices.sock"))
    output, status = wine.run(os.path.join(PROGRAMS, "bridge_device.exe"), bridge=hosts)
    results.program("software devices", output, status)
    check(hosts, lab, results, orphans=1)


def dll(lab, wine, results):
    """wyrm.dll: functions, errors, death of a program, several programs at once, a thousand adapters."""
    program = os.path.join(PROGRAMS, "bridge_dll.exe")
    wine.install_dll()
    hosts = Hosts(lab, lab.namespace("dll"), os.path.join(lab.directory, "dll.sock"))
    for name, *arguments in (("DLL",), ("DLL faults", "--faults")):
        output, status = wine.run(program, *arguments, bridge=hosts, timeout=120)
        results.program(name, output, status)
    # A newer package beside the DLL takes the place of the installed one, an older one does not.
    for date, what in (("2026-03-04", "replaced"), ("2025-12-31", "kept")):
        wine.install_dll(date)
        output, status = wine.run(program, "--driver", what, bridge=hosts)
        results.program(f"driver of {date}", output, status)
    sockets = wine.sockets_of("winedevice.exe")
    # At once: each has an adapter of its own, and both wait for the one lock.
    started = time.monotonic()
    running = [wine.start(program, "--cycles", str(CYCLES // 2), name, bridge=hosts) for name in ("Left", "Right")]
    for process in running:
        output, status = wine.finish(process, timeout=900)
        results.program("DLL cycles", output, status)
    print(f"{CYCLES} cycles in {time.monotonic() - started:.1f} s")
    results.check(wine.sockets_of("winedevice.exe") <= sockets + 2, f"the proxy driver has closed its files ({sockets} sockets)")
    check(hosts, lab, results, orphans=1)


def samples(lab, wine, results):
    """The samples in C and C++ beside wyrm.dll, as a reader of theirs would run them."""
    hosts = Hosts(lab, lab.namespace("samples"), os.path.join(lab.directory, "samples.sock"))
    wine.install_dll()
    # A handshake may have gone out.
    said = r"port 51820, 1 peers\npeer 42\.\.\.: keepalive 25 s, \d+ bytes sent, 0 received\n  allowed 10\.72\.0\.0/24\n"
    for language in ("c", "cpp"):
        program = os.path.join(wine.folder("wyrm"), f"sample_{language}.exe")
        wine.replace(os.path.join(PROGRAMS, f"sample_{language}.exe"), program)
        output, status = wine.run(program, bridge=hosts)
        results.check(status == 0 and re.search(said, output), f"sample in {language}: {output}")
    check(hosts, lab, results)


def reference(lab, wine, results):
    """A program that knows the reference's documented interface alone, with the build for a vendor of the reference's name.
    In a prefix of its own: there may be one proxy driver in each."""
    hosts = Hosts(lab, lab.namespace("reference"), os.path.join(lab.directory, "reference.sock"))
    with Wine(os.path.join(lab.directory, "reference")) as other:
        other.install_dll(vendor="WireGuard")
        program = os.path.join(other.folder("vendor"), "bridge_reference.exe")
        other.replace(os.path.join(PROGRAMS, "bridge_reference.exe"), program)
        output, status = other.run(program, bridge=hosts, variables={"WYRM_BRIDGE_DRIVER": "wireguard"})
        results.program("reference", output, status)
    check(hosts, lab, results)


def tunnel(lab, wine, results):
    """A program with wyrm.dll has a tunnel to wireguard-go in another namespace: real packets, ping and TCP both ways."""
    near, far = lab.namespace("near"), lab.namespace("far")
    lab.link(near, far, ["10.71.0.1/24"], ["10.71.0.2/24"])
    hosts = Hosts(lab, near, os.path.join(lab.directory, "tunnel.sock"))
    other = WireGuard(lab, far, "wireguard-go", "g", ["10.72.0.2/24"])
    private, public = genkey()
    config, stop = os.path.join(lab.directory, "tunnel.config"), os.path.join(lab.directory, "stop")
    with open(os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        peer = Peer(base64.b64decode(other.public), endpoint=("10.71.0.2", other.port), allowed_ips=["10.72.0.2/32"])
        file.write(Interface(base64.b64decode(private), other.port, [peer], replace_peers=True).pack())
    other.setconf([{"public": public, "allowed": ["10.72.0.1/32"], "endpoint": f"10.71.0.1:{other.port}"}])
    process = wine.start(os.path.join(PROGRAMS, "bridge_dll.exe"), "--tunnel", windows_path(config), windows_path(stop),
                         bridge=hosts)
    try:
        lab.wait_for(lambda: "ok the tunnel is up" in lab.output_of(process), "the tunnel", 60, process)
        name = hosts.adapter("wyrm").name
        # What a Windows program does with IP Helper functions, which Wine lacks.
        lab.command(["ip", "address", "add", "10.72.0.1/24", "dev", name], near)
        lab.command(["ip", "link", "set", name, "mtu", "1420", "up"], near)
        answers = ping(lab, near, "10.72.0.2", count=20, interval=0.05)
        results.check(answers["received"] == answers["sent"] == 20, f"ping: {answers['received']} of {answers['sent']}")
        server = IperfServer(lab, far, "10.72.0.2", 5371)
        for reverse in (False, True):
            rate = server.mbps(server.run(near, seconds=2, reverse=reverse))
            results.check(rate > 1, f"iperf3 {'from' if reverse else 'to'} wireguard-go: {rate} Mbit/s")
        lab.stop(server.process)
    finally:
        with open(stop, "wb"):
            pass
        output, status = wine.finish(process)
        results.program("tunnel", output, status)
    check(hosts, lab, results)
    other.stop()


def command_line(lab, wine, results):
    """`wyrm.exe up FILE.conf` is a tunnel to wireguard-go in another namespace, with the addresses, routes and MTU that it set
    and no others; `show`, and `down`, after which nothing of it is left."""
    near, far = lab.namespace("home"), lab.namespace("away")
    lab.link(near, far, ["10.71.1.1/24"], ["10.71.1.2/24"])
    hosts = Hosts(lab, near, os.path.join(lab.directory, "command.sock"))
    record, program = os.path.join(lab.directory, "command.calls"), os.path.join(wine.folder("wyrm"), "wyrm.exe")
    wine.install_dll()
    wine.install_program()
    other = WireGuard(lab, far, "wireguard-go", "c", ["10.72.1.2/24", "fd72::2/64"])
    private, public = genkey()
    config = os.path.join(lab.directory, "office.conf")
    with open(os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(f"[Interface]\nPrivateKey = {private}\nListenPort = 51999\nAddress = 10.72.1.1/32, fd72::1/128\n"
                   f"[Peer]\nPublicKey = {other.public}\nEndpoint = 10.71.1.2:{other.port}\nAllowedIPs = 10.72.1.0/24, fd72::/64\n")
    other.setconf([{"public": public, "allowed": ["10.72.1.1/32", "fd72::1/128"], "endpoint": "10.71.1.1:51999"}])

    def wyrm(*arguments):
        return wine.run(program, *arguments, bridge=hosts, record=record)

    results.check(wyrm("up", windows_path(config)) == ("", 0), "wyrm.exe up")
    name = hosts.adapter("wyrm").name
    with open(record, encoding="utf-8") as file:
        count = applied.apply(lab, near, name, file.read().splitlines())
    results.check(count == 6, f"MTU, address and route of IPv4 and IPv6 ({count} calls)")
    for address in ("10.72.1.2", "fd72::2"):
        answers = ping(lab, near, address, count=20, interval=0.05)
        results.check(answers["received"] == answers["sent"] == 20, f"ping {address}: {answers['received']} of {answers['sent']}")
    server = IperfServer(lab, far, "10.72.1.2", 5372)
    for reverse in (False, True):
        rate = server.mbps(server.run(near, seconds=2, reverse=reverse))
        results.check(rate > 1, f"iperf3 {'from' if reverse else 'to'} wireguard-go by wyrm.exe up: {rate} Mbit/s")
    lab.stop(server.process)
    dump, status = wyrm("show", "office", "dump")
    peer = dump.splitlines()[-1].split("\t")
    results.check(status == 0 and peer[0] == other.public and peer[2] == f"10.71.1.2:{other.port}" and
                  abs(int(peer[4]) - time.time()) < 120 and min(int(peer[5]), int(peer[6])) > 1 << 20,
                  f"wyrm.exe show: the handshake's time and more than a MiB each way: {peer[2:]}")
    output, status = wyrm("show", "office")
    results.check(status == 0 and "latest handshake: " in output and "transfer: " in output, "wyrm.exe show for people")
    results.check(wyrm("down", windows_path(config)) == ("", 0), "wyrm.exe down")
    left = lab.command(["ip", "link", "show", name], near, check=False).returncode == 0
    results.check(not left, "the interface is gone")
    check(hosts, lab, results)
    other.stop()


PARTS = (dll, tunnel, command_line, control_codes, software_devices, samples, reference)


def main():
    parts = {part.__name__: part for part in PARTS}
    unknown = set(sys.argv[1:]) - set(parts)
    if unknown:
        print(f"no part is named {', '.join(sorted(unknown))}; there are {', '.join(parts)}", file=sys.stderr)
        return 2

    def body(lab, results):
        started = time.monotonic()
        with Wine(lab.directory) as wine:
            print(f"prefix after {time.monotonic() - started:.1f} s")
            for part in [parts[name] for name in sys.argv[1:]] or PARTS:
                part(lab, wine, results)
                print(f"{part.__name__} after {time.monotonic() - started:.1f} s", flush=True)

    return run_suite((NTHOST, DRIVER, os.path.join(BIN, "wyrm.exe"), os.path.join(PROGRAMS, "bridge_proxy.sys")), body)


sys.exit(main())
