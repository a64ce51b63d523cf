#!/usr/bin/python3
"""A tunnel between the real Windows driver, run by nthost, and another implementation: handshake, ping, throughput."""

import argparse
import json
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from netlab import (DRIVER, NTHOST, IperfServer, Lab, LabError, Peer, ping, require)  # noqa: E402

OUTER = ("192.0.2.1", "192.0.2.2")
INNER4 = ("10.66.0.1", "10.66.0.2")
INNER6 = ("fd66::1", "fd66::2")


def capture_proof(lab, namespace, interface):
    """Captures outer packets while a recognisable text is pinged through; True when it never shows in clear."""
    path = os.path.join(lab.directory, "outer.pcap")
    # (Debian's tcpdump becomes another user, who may not read our directory, unless told not to.)
    process = lab.start(["tcpdump", "-Z", "root", "--immediate-mode", "-i", interface, "-w", path, "-U", "-s", "0", "udp",
                         "port", "51820"],
                        namespace, "tcpdump.log")
    lab.wait_for(lambda: "listening on" in lab.output_of(process), "tcpdump", 10, process)
    pattern = b"PLAINTEXT-WYRM!!"
    lab.command(["ping", "-n", "-c", "3", "-i", "0.05", "-s", "160", "-p", pattern.hex(), INNER4[1]], namespace)
    time.sleep(0.3)
    lab.stop(process)
    with open(path, "rb") as file:
        data = file.read()
    lines = lab.command(["tcpdump", "-Z", "root", "-nn", "-r", path]).stdout.strip().splitlines()
    return {"outer_packet": re.sub(r"^\S+ ", "", lines[0]) if lines else "nothing was captured", "packets": len(lines),
            "plaintext_seen": pattern in data}


def show(rows):
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"  {name:<{width}}  {value}")


def run(options):
    require("iperf3", "tcpdump", NTHOST, DRIVER, *(["wireguard-go"] if options.peer == "wireguard-go" else []))
    lab = Lab()
    here, there = lab.namespace("here"), lab.namespace("there")
    interfaces = lab.link(here, there, [OUTER[0] + "/24"], [OUTER[1] + "/24"])

    print(f"wyrm.sys in nthost  <-- {OUTER[0]} == {OUTER[1]} -->  {options.peer}\n", flush=True)
    extra = ["--verify"] if options.verify else []
    wyrm = Peer(lab, here, "wyrm", "a", [INNER4[0] + "/24", INNER6[0] + "/64"], options=extra)
    other = Peer(lab, there, options.peer, "b", [INNER4[1] + "/24", INNER6[1] + "/64"],
                 options=extra if options.peer == "wyrm" else ())
    other.setconf([{"public": wyrm.public, "allowed": [INNER4[0] + "/32", INNER6[0] + "/128"]}])
    wyrm.setconf([{"public": other.public, "allowed": [INNER4[1] + "/32", INNER6[1] + "/128"],
                   "endpoint": f"{OUTER[1]}:51820"}])

    first = ping(lab, here, INNER4[1], 1)
    lab.wait_for(lambda: wyrm.dump()[other.public]["handshake"] > 0, "handshake", 10)
    ping4 = ping(lab, here, INNER4[1], options.pings, 0.02)
    ping6 = ping(lab, here, INNER6[1], 20, 0.02)
    capture = capture_proof(lab, here, interfaces[0])

    server = IperfServer(lab, there, INNER4[1])
    cpu = wyrm.cpu_seconds()
    to_result = server.run(here, options.seconds)
    from_result = server.run(here, options.seconds, reverse=True)
    moved = to_result["end"]["sum_received"]["bytes"] + from_result["end"]["sum_received"]["bytes"]
    cpu = wyrm.cpu_seconds() - cpu
    text = wyrm.show()
    memory = wyrm.rss_mb()
    status = wyrm.stop()
    leaks = "clean" if status == 0 else f"status {status}: {lab.output_of(wyrm.process)[-500:]}"

    figures = {
        "peer": options.peer, "verify": options.verify,
        "handshake": first["received"] == 1 or ping4["received"] > 0,
        "ping": ping4, "ping6": ping6,
        "tcp_mbps": {"to_peer": server.mbps(to_result), "from_peer": server.mbps(from_result)},
        "cpu_s_per_gb": round(cpu / (moved / 1e9), 2) if moved else None,
        "rss_mb": round(memory, 1), "encrypted": capture["packets"] > 0 and not capture["plaintext_seen"],
        "unload": leaks,
    }
    show([
        ("handshake", "complete" if figures["handshake"] else "MISSING"),
        ("ping IPv4", f"{ping4['received']} of {ping4['sent']}, median {ping4['p50_us']} us, p99 {ping4['p99_us']} us"),
        ("ping IPv6", f"{ping6['received']} of {ping6['sent']}, median {ping6['p50_us']} us"),
        ("TCP to peer", f"{figures['tcp_mbps']['to_peer']} Mbit/s"),
        ("TCP from peer", f"{figures['tcp_mbps']['from_peer']} Mbit/s"),
        ("CPU of nthost", f"{figures['cpu_s_per_gb']} s per GB"),
        ("memory", f"{figures['rss_mb']} MB resident"),
        ("on the wire", capture["outer_packet"]),
        ("encrypted", "yes: the pinged text never shows in the capture" if figures["encrypted"] else "NO"),
        ("driver unload", leaks),
    ])
    print("\nwg show:")
    print("\n".join("  " + line for line in text.strip().splitlines()))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=2)
            file.write("\n")
    good = (figures["handshake"] and ping4["received"] == ping4["sent"] and figures["encrypted"] and status == 0)
    print("\n" + ("The tunnel works." if good else "The tunnel does NOT work as it should."))
    return 0 if good else 1


def main():
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--peer", choices=["wireguard-go", "wyrm"], default="wireguard-go", help="the other side")
    parser.add_argument("--verify", action="store_true", help="run the driver in nthost's checking mode")
    parser.add_argument("--seconds", type=int, default=5, help="of each throughput run (default 5)")
    parser.add_argument("--pings", type=int, default=100, help="echo requests (default 100)")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    options = parser.parse_args()
    if options.seconds < 1 or options.pings < 1:
        parser.error("--seconds and --pings must be at least 1")
    if os.environ.get("ONLY_CHECK_ARGUMENTS"):
        return 0
    try:
        return run(options)
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
