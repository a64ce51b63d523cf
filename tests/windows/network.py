"""Suite 75-service-network: what the tunnel service has of the network, under Wine against stand-ins that record."""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from wine import PROGRAMS, Wine  # noqa: E402  (also makes tests/lib known)
from results import run_suite  # noqa: E402

PROGRAM = "C:\\wyrm\\network_test.exe"
RULES = "HKLM\\System\\CurrentControlSet\\Services\\Dnscache\\Parameters\\DnsPolicyConfig"
POLICY = "HKLM\\Software\\Policies\\Microsoft\\Windows NT\\DNSClient\\DnsPolicyConfig"
ALL = ("connect4", "accept4", "connect6", "accept6")
DNS = "remote=u16:53 protocol=u8:17 protocol=u8:6"
LINK, ROUTERS, DHCPV6 = "v6:fe80" + "0" * 28 + "/10", "v6:ff02" + "0" * 27 + "2/128", "v6:ff02" + "0" * 23 + "10002/128"


class Bench:
    def __init__(self, wine, results):
        self.wine, self.results = wine, results

    def run(self, *words, overrides="", variables=None):
        variables = dict(variables or {}, WINEDLLOVERRIDES=self.wine.environment["WINEDLLOVERRIDES"] + overrides)
        return self.wine.run(PROGRAM, *words, variables=variables)

    def own(self, *words, **options):
        """A part that checks by itself: its counts are added."""
        output, status = self.run(*words, **options)
        counts = re.search(r"^counts (\d+) (\d+)", output, re.M)
        for line in output.splitlines():
            if line.startswith(("FAILED", "address")):
                print(line)
        if not counts:
            self.results.check(False, " ".join(words), f"status {status}, {output}")
            return output
        self.results.passed += int(counts[1])
        self.results.failed += int(counts[2])
        self.results.check((status == 0) == (counts[2] == "0"), f"{words[0]}: {counts[0]}")
        return output

    def query(self, key):
        """{subkey: {value: text}} of the registry."""
        output, status = self.wine.run("reg.exe", "query", key, "/s")
        found, current = {}, None
        for line in output.splitlines() if status == 0 else ():
            if line.upper().startswith("HKEY"):
                current = found.setdefault(line.rsplit("\\", 1)[1], {})
            elif line.strip() and current is not None:
                name, kind, text = (line.strip().split("    ", 2) + ["", ""])[:3]
                current[name] = (kind, text)
        return found


def filters(programs, dns):
    """All that the kill switch consists of."""
    made = []

    def add(layers, weight, action, conditions=""):
        made.extend(f"{layer} {weight} {action}" + (f" {conditions}" if conditions else "") for layer in layers)
    for program in programs:
        add(ALL, 15, "permit finally", program)
    if dns:
        add(ALL[:2], 15, "permit", f"{DNS} address=u32:0a400001 address=u32:c00002c8")
        add(ALL[2:], 15, "permit", f"{DNS} address=a16:fd64{'0' * 27}1")
        add(ALL, 14, "block", DNS)
    add(ALL, 13, "permit", "flags&=u32:00000001")
    add(ALL, 12, "permit", "interface=u64:35000012345600")
    add(ALL[:2], 12, "permit", "protocol=u8:17 local=u16:68 remote=u16:67")
    add(ALL[2:3], 12, "permit", f"protocol=u8:17 local=u16:546 remote=u16:547 address={DHCPV6}")
    add(ALL[3:], 12, "permit", f"protocol=u8:17 local=u16:546 remote=u16:547 address={LINK}")
    for kind, layers, remote in ((133, ALL[2:3], ROUTERS), (134, ALL[3:], LINK), (135, ALL[2:], ""), (136, ALL[2:], ""), (137, ALL[3:], LINK)):
        add(layers, 12, "permit", f"protocol=u8:58 local=u16:{kind} remote=u16:0" + (f" address={remote}" if remote else ""))
    add(ALL, 0, "block")
    return made


def firewall(bench):
    results, native = bench.results, {"overrides": ";fwpuclnt=n"}
    paths = ("C:\\wyrm\\wyrm-service.exe", "C:\\wyrm\\wyrm-engine.exe")
    output, _ = bench.run("firewall", **native)
    lines = output.splitlines()
    results.check(lines[:4] == ['FwpmEngineOpen0 "Wyrm tunnel home" flags 1 wait 15000 authentication 10', "FwpmTransactionBegin0",
                                'FwpmProviderAdd0 "Wyrm tunnel home" flags 0', 'FwpmSubLayerAdd0 "Wyrm tunnel home" flags 0 weight ffff own 1'],
                  "a dynamic session, one transaction, our provider, our sublayer before all others", output)
    wanted = filters([f"application=blob:{path}" for path in paths], True)
    made = [line.split(" ", 1)[1] for line in lines if line.startswith("FwpmFilterAdd0 ")]
    results.check(sorted(made) == sorted(wanted), f"exactly its {len(wanted)} filters",
                  f"missing {sorted(set(wanted) - set(made))}, not wanted {sorted(set(made) - set(wanted))}")
    results.check(lines[-2:] == ["FwpmTransactionCommit0", f"FwpmEngineClose0 in force {len(wanted)}, left 0, blobs 0"],
                  "committed, and gone when it is closed", lines[-2:])

    output, _ = bench.run("firewall", "service", **native)
    wanted = filters([f"application=blob:{paths[0]} user=sd:D:(A;;CC;;;S-1-5-80-1-2-3-4-5)"], False)
    made = [line.split(" ", 1)[1] for line in output.splitlines() if line.startswith("FwpmFilterAdd0 ")]
    results.check(sorted(made) == sorted(wanted), "with a service's SID and without DNS servers",
                  f"missing {sorted(set(wanted) - set(made))}, not wanted {sorted(set(made) - set(wanted))}")

    for refused in ("FwpmEngineOpen0", "FwpmTransactionBegin0", "FwpmProviderAdd0", "FwpmSubLayerAdd0", "FwpmGetAppIdFromFileName0 1",
                    "FwpmGetAppIdFromFileName0 2", "FwpmTransactionCommit0", *(f"FwpmFilterAdd0 {i + 1}" for i in range(0, len(filters(paths, True)), 4))):
        output, status = bench.run("firewall", variables={"WYRM_FILTER_FAIL": refused}, **native)
        call, lines = refused.split()[0], output.splitlines()
        ended = {"FwpmEngineOpen0": [], "FwpmTransactionBegin0": ["FwpmEngineClose0 in force 0, left 0, blobs 0"]}.get(
            call, ["FwpmTransactionAbort0", "FwpmEngineClose0 in force 0, left 0, blobs 0"])
        where = next((i for i, line in enumerate(lines) if line.endswith(" refused")), len(lines))
        results.check(lines[where + 1:] == [*ended, f"code 5 at {call}"], f"{refused} is refused: nothing stays", f"status {status}, {output[-300:]!r}")
    bench.own("firewall-nobody", **native)


def dns(bench):
    """As Windows before 10 2004, which lacks SetInterfaceDnsSettings."""
    results = bench.results
    Wine.replace(os.path.join(PROGRAMS, "old", "iphlpapi.dll"), os.path.join(bench.wine.windows, "system32", "iphlpapi.dll"))
    bench.own("dns", overrides=";iphlpapi=n")
    Wine.replace(os.path.join(PROGRAMS, "iphlpapi.dll"), os.path.join(bench.wine.windows, "system32", "iphlpapi.dll"))
    guid = "{12345600-0000-0035-0000-000000000000}"
    for service, servers, domains in (("Tcpip", "10.0.0.53,10.0.0.54", "a.example,b.example"), ("Tcpip6", "fd00::53", "")):
        values = bench.query(f"HKLM\\System\\CurrentControlSet\\Services\\{service}\\Parameters\\Interfaces\\{guid}").get(guid, {})
        results.check(values.get("NameServer") == ("REG_SZ", servers) and values.get("SearchList", ("", ""))[1] == domains,
                      f"{service}'s servers and domains are in the registry", values)


def rules(bench):
    results = bench.results
    output, status = bench.run("rules", "corp.example", "lan")
    results.check(status == 0 and output == "code 0\n", "rules for two domains", output)
    found = {key: values for key, values in bench.query(RULES).items() if key.startswith("{")}
    results.check(len(found) == 1 and all(re.fullmatch(r"\{[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\}", key) for key in found), "one rule", found)
    rule = next(iter(found.values()), {})
    wanted = {"Name": ("REG_MULTI_SZ", r".corp.example\0.lan"), "GenericDNSServers": ("REG_SZ", "10.64.0.1;fd64::1"),
              "ConfigOptions": ("REG_DWORD", "0x8"), "Version": ("REG_DWORD", "0x2"), "DisplayName": ("REG_SZ", "Wyrm tunnel home")}
    results.check({name: rule.get(name) for name in wanted} == wanted, "its values", rule)
    results.check(re.fullmatch(r"Wyrm process \d+ since \d+", rule.get("Comment", ("", ""))[1]), "its owner", rule)

    # Others': of another program, of another product, of a process that lives (that of the services).
    foreign = {"{00000000-0000-0000-0000-000000000001}": {"DisplayName": "VPN", "Comment": "VPN process 999999 since 1"},
               "{00000000-0000-0000-0000-000000000002}": {"Name": ".x"}}
    dead = {"{00000000-0000-0000-0000-000000000003}": {"DisplayName": "Wyrm tunnel office", "Comment": "Wyrm process 999996 since 1"}}
    for key, values in {**foreign, **dead}.items():
        for name, text in values.items():
            bench.wine.run("reg.exe", "add", f"{RULES}\\{key}", "/v", name, "/d", text, "/f")
    before = set(found)
    output, status = bench.run("rules-die", ".")
    after = {key: values for key, values in bench.query(RULES).items() if key.startswith("{")}
    results.check("code 0" in output and not before & set(after) and set(foreign) <= set(after) and not set(dead) & set(after),
                  "new rules take the place of old ones and of those of dead processes; others' stay", after)
    results.check([values.get("Name") for key, values in after.items() if key not in foreign] == [("REG_MULTI_SZ", ".")], "every name", after)
    output, status = bench.run("rules", "")
    after = {key for key in bench.query(RULES) if key.startswith("{")}
    results.check(status == 0 and after == set(foreign), "cleared, although their process died", after)
    bench.run("rules", "")
    bench.own("bad-rules")
    many = [values.get("Name", ("", ""))[1].count("\\0") + 1 for values in bench.query(RULES).values() if values.get("DisplayName", ("", ""))[1].endswith("many")]
    results.check(sorted(many) == [1, 50, 50], "long lists are several rules", many)
    bench.wine.run("reg.exe", "add", f"{POLICY}\\{{1}}", "/v", "Version", "/d", "2", "/f")
    results.check(bench.run("rules", "")[0] == "code 0 overridden\n", "rules of a group policy are noticed")


def body(lab, results):
    with Wine(lab.directory) as wine:
        wine.replace(os.path.join(PROGRAMS, "network_test.exe"), os.path.join(wine.folder("wyrm"), "network_test.exe"))
        for name in ("fwpuclnt.dll", "iphlpapi.dll"):
            wine.replace(os.path.join(PROGRAMS, name), os.path.join(wine.windows, "system32", name))
        bench = Bench(wine, results)
        firewall(bench)
        dns(bench)
        rules(bench)
        bench.own("watch", overrides=";iphlpapi=n")
        bench.own("mtu")
        output = bench.own("resolve", "localhost")
        results.check("address 127.0.0.1:51820" in output, "a name's address", output)
        output = bench.own("resolve", "nobody.invalid")
        results.check("no address" in output, "a name that nobody has", output)


sys.exit(run_suite((os.path.join(PROGRAMS, "network_test.exe"), os.path.join(PROGRAMS, "fwpuclnt.dll")), body))
