#!/usr/bin/python3
"""The command-line tool `wyrm` on the driver in verify mode, in network namespaces: what it shows is what stock `wg` shows of the same
adapter, and what it changes is changed."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from netlab import DRIVER, NTHOST, ROOT, Lab, Peer, genkey, genpsk, ping  # noqa: E402
from scenarios import run_scenarios  # noqa: E402

WYRM = os.path.join(ROOT, "build", "bin", "wyrm")
FIELDS = ("public-key private-key listen-port fwmark peers preshared-keys endpoints allowed-ips latest-handshakes transfer "
          "persistent-keepalive dump").split()


class Tool:
    """`wyrm` and `wg` on one adapter."""

    def __init__(self, tests, peer):
        self.tests, self.peer = tests, peer

    def __call__(self, command, *arguments, text=None, status=0):
        done = self.peer.lab.command([WYRM, command, self.peer.name, *arguments], self.peer.namespace, text, check=False)
        self.tests.equal(done.returncode, status, f"{command} {arguments}: status ({done.stderr.strip()})")
        return done.stdout

    def same(self, what):
        """Every way to show it, byte for byte.  Counters and seconds may go on between two programs, but not always."""
        for arguments in [("show",), ("showconf",)] + [("show", field) for field in FIELDS]:
            for _ in range(8):
                theirs = self.peer.wg(*arguments).stdout
                ours = self(arguments[0], *arguments[1:])
                if ours == theirs:
                    break
            self.tests.equal(ours, theirs, f"{what}: {arguments}")


def tunnel(tests):
    """Two adapters configured by `wyrm` alone, with traffic; shown by both tools."""
    lab = Lab()
    spaces = [lab.namespace(label) for label in ("1", "2")]
    lab.link(*spaces, ["192.0.2.1/24", "2001:db8::1/64"], ["192.0.2.2/24", "2001:db8::2/64"])
    peers = [Peer(lab, space, "wyrm", label, [address], options=["--verify"])
             for space, label, address in zip(spaces, "ab", ("10.5.0.1/24", "10.5.0.2/24"))]
    tools = [Tool(tests, peer) for peer in peers]
    psk = genpsk()
    for tool in tools:
        tool.same("new")
    for index, tool in enumerate(tools):
        other = peers[1 - index]
        tool("setconf", "-", text=f"[Interface]\nPrivateKey = {peers[index].private}\nListenPort = {51820 + index}\n[Peer]\n"
             f"PublicKey = {other.public}\nPresharedKey = {psk}\nAllowedIPs = 10.5.0.{2 - index}/32\n"
             f"Endpoint = 192.0.2.{2 - index}:{51821 - index}\n")
        tool.same("setconf")
    follower = lab.start([WYRM, "events", "--follow", peers[0].name], spaces[0])
    lab.wait_for(lambda: " state     up" in lab.output_of(follower), "events --follow", 20, follower)
    ping(lab, spaces[0], "10.5.0.2", count=3, check=True)
    lab.wait_for(lambda: f" handshake {peers[1].public} 192.0.2.2:51821 by-us\n" in lab.output_of(follower), "the handshake's event", 20,
                 follower)
    lab.stop(follower)
    for tool in tools:
        tool.same("after traffic")
        fields = tool("show", "dump").splitlines()[1].split("\t")
        tests.check(int(fields[4]) > 1500000000 and int(fields[5]) > 0 and int(fields[6]) > 0, f"a session and counters: {fields[4:]}")
    events = [[json.loads(line) for line in tool("events", "--json").splitlines()] for tool in tools]
    for index, detail in enumerate(("by-us", "by-peer")):
        shaken = [event for event in events[index] if event["event"] == "handshake"]
        tests.check(len(shaken) == 1 and set(shaken[0]) == {"time", "sequence", "event", "detail", "peer", "endpoint"} and
                    (shaken[0]["detail"], shaken[0]["peer"], shaken[0]["endpoint"]) ==
                    (detail, peers[1 - index].public, f"192.0.2.{2 - index}:{51821 - index}"), f"events: one handshake, {detail}: {events[index]}")

    # What stays the same keeps its session; what differs is changed; setconf begins anew.
    first, second = tools
    extra, shaken = genkey()[1], first("show", "latest-handshakes")
    base = first("showconf")
    first("syncconf", "-", text=base)
    tests.equal(first("show", "latest-handshakes"), shaken, "syncconf with the same: the session is kept")
    first("syncconf", "/dev/stdin", text=f"{base}\n[Peer]\nPublicKey = {extra}\nAllowedIPs = 10.6.0.0/16\n")
    tests.check(shaken.strip() in first("show", "latest-handshakes") and extra in first("show", "peers"), "syncconf: a peer more")
    first("syncconf", "-", text=base.replace("10.5.0.2/32", "10.5.0.0/24"))
    tests.check(extra not in first("show", "peers"), "syncconf: the peer is gone")
    tests.equal(first("show", "allowed-ips").split("\t")[1], "10.5.0.0/24\n", "syncconf: allowed IPs")
    tests.equal(first("show", "latest-handshakes"), shaken, "syncconf: the session is kept when allowed IPs change")
    tests.equal(ping(lab, spaces[0], "10.5.0.2", count=2)["received"], 2, "and carries data")
    first.same("syncconf")
    first("setconf", "-", text=base)
    tests.equal(first("show", "latest-handshakes").split("\t")[1], "0\n", "setconf: no session")
    tests.equal(ping(lab, spaces[0], "10.5.0.2", count=2)["received"], 2, "but a new one")

    # Pieces.
    first("set", "listen-port", "41000", "fwmark", "0x1234", "peer", extra, "endpoint", "[2001:db8::2]:77", "persistent-keepalive", "25",
          "allowed-ips", "10.0.0.0/8,fd00::1/8")
    first.same("set")
    first("set", "peer", extra, "allowed-ips", "+10.7.0.0/16,-10.0.0.0/8")
    tests.check(f"{extra}\tfd00::/8 10.7.0.0/16\n" in first("show", "allowed-ips") or
                f"{extra}\t10.7.0.0/16 fd00::/8\n" in first("show", "allowed-ips"), "allowed IPs added and taken away")
    first("addconf", "-", text=f"[Peer]\nPublicKey = {extra}\nAllowedIPs = 10.8.0.0/16\n")
    tests.check(f"{extra}\t10.8.0.0/16\n" in first("show", "allowed-ips") and len(first("show", "peers").split()) == 2, "addconf")
    before = first("show", "dump")
    first("set", "fwmark", "5", "peer", extra, "allowed-ips", "10.0.0.0/33", status=2)
    tests.equal(first("show", "dump"), before, "a refused command changes nothing")
    first("set", "peer", extra, "remove", "peer", peers[1].public, "preshared-key", "/dev/null", "persistent-keepalive", "off")
    tests.equal(first("show", "preshared-keys"), f"{peers[1].public}\t(none)\n", "removed, and without a preshared key")
    first("set", "fwmark", "off", "private-key", "/dev/null")
    tests.equal(first("show", "private-key"), "(none)\n", "without a private key")
    first("set", "private-key", "-", text=peers[0].private + "\n")
    tests.equal(first("show", "public-key"), f"{peers[0].public}\n", "with one again")
    first.same("at the end")
    for peer in peers:
        tests.check(peer.private not in Lab.output_of(peer.process) and psk not in Lab.output_of(peer.process), "no key in nthost's log")
        tests.equal(lab.stop(peer.process, timeout=60), 0, f"nthost's end: {lab.output_of(peer.process)[-1500:]}")
    second("show", status=4)
    lab.close()


def many(tests):
    """A thousand peers, with wg's file and ours."""
    lab = Lab()
    peer = Peer(lab, lab.namespace("1"), "wyrm", "m", [], options=["--verify"])
    tool = Tool(tests, peer)
    text = "[Interface]\nListenPort = 51900\n" + "".join(
        f"[Peer]\nPublicKey = {number:042d}A=\nAllowedIPs = 10.{number // 250}.{number % 250}.0/24, fd00:{number:x}::/32\n"
        for number in range(1000))
    tool("setconf", "-", text=text)
    tests.equal(len(tool("show", "peers").split()), 1000, "a thousand peers")
    tool.same("a thousand peers")
    saved = tool("showconf")
    tool("syncconf", "-", text=saved)
    tests.equal(tool("showconf"), saved, "syncconf of what showconf said changes nothing")
    tool("syncconf", "-", text="[Interface]\nListenPort = 51900\n")
    tests.equal(tool("show", "peers"), "", "all gone")
    tests.equal(lab.stop(peer.process, timeout=60), 0, f"nthost's end: {lab.output_of(peer.process)[-1500:]}")
    lab.close()


SCENARIOS = {"tunnel": tunnel, "many": many}


def main():
    return run_scenarios(__doc__, SCENARIOS, (NTHOST, DRIVER, WYRM))


if __name__ == "__main__":
    sys.exit(main())
