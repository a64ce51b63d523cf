"""The INF: what is generated satisfies the checker, each rule refuses what breaks it, and the keywords are the driver's."""
import re

from results import ROOT, check

import check_inf
import make_inf

# (rule, what is wrong, text that is replaced, by what)
BREAKS = (
    ("syntax", "a quotation mark left open", r'"\$Windows NT\$"', '"$Windows NT$'),
    ("syntax", "a line before the first section", r"\[Version\]", "x = 1\r\n[Version]"),
    ("version", "another signature", r"\$Windows NT\$", "$Linux$"),
    ("version", "another class", r"= Net\b", "= Display"),
    ("version", "another class GUID", "4d36e972", "4d36e973"),
    ("version", "a provider that is no string", r"= %Provider%\r", "= Somebody\r"),
    ("version", "no catalogue", r"CatalogFile[^\r]*", "; none"),
    ("version", "no PnpLockDown", r"PnpLockDown = 1", "PnpLockDown = 0"),
    ("version", "DontReflectOffline", r"PnpLockDown = 1", "PnpLockDown = 1\r\nDontReflectOffline = 1"),
    ("version", "a date that does not exist", "11/23/2026", "02/30/2026"),
    ("version", "a date in another order", "11/23/2026", "2026-11-23"),
    ("version", "a version that is too large", ",0.1.0.0", ",0.70000.0.0"),
    ("strings", "an undefined string", "%Disk%", "%Disc%"),
    ("strings", "a string defined twice", r"\[Strings\]", '[Strings]\r\nDisk = "x"'),
    ("strings", "an unused string", r"\[Strings\]", '[Strings]\r\nNobody = "x"'),
    ("strings", "a line that is too long", r"\[Strings\]", "; " + "x" * 5000 + "\r\n[Strings]"),
    ("models", "no platform", r"Models, NTamd64[^\r]*", "Models"),
    ("models", "another platform", r"Models, NTamd64\.10\.0,", "Models, NTmips.10.0,"),
    ("models", "another processor", r"NTamd64\.10\.0\b(?!\.)", "NTx86.10.0"),
    ("models", "Windows 7", r"NTamd64\.10\.0\b(?!\.)", "NTamd64.6.1"),
    ("models", "a missing models section", r"\[Models\.NTamd64\.10\.0\]", "[Devices.NTamd64.10.0]"),
    ("models", "no hardware id", r"= Classic, Wyrm", "= Classic"),
    ("models", "a hardware id with a space", r"= Classic, Wyrm", "= Classic, Wyrm Tunnel"),
    ("models", "the same hardware id twice", r"= Classic, Wyrm", "= Classic, Wyrm, wyrm"),
    ("models", "a description that is no string", r"%Description% = Classic", "Tunnel = Classic"),
    ("models", "an install section that does not exist", r"= Isolated, ", "= Isolate, "),
    ("installs", "a co-installer", r"\[EventLog\]", "[Classic.NT.CoInstallers]\r\nAddReg = EventLog\r\n[EventLog]"),
    ("installs", "a class installed", r"\[EventLog\]", "[ClassInstall32]\r\nAddReg = EventLog\r\n[EventLog]"),
    ("installs", "files deleted", r"CopyFiles          = Isolated\.Files", "CopyFiles = Isolated.Files\r\nDelFiles = Isolated.Files"),
    ("installs", "a registry section that does not exist", r"= Ndi, Keywords", "= Ndi, Keyword"),
    ("installs", "a file copied by name", r"= Isolated\.Files\r", "= @wyrm.sys\r"),
    ("installs", "no file copied", r"CopyFiles          = Isolated\.Files\r", "\r"),
    ("files", "a file that no disk has", r"wyrm\.sys = 1", "wyrn.sys = 1"),
    ("files", "a disk that does not exist", r"wyrm\.sys = 1", "wyrm.sys = 2"),
    ("files", "no folder", r"Isolated\.Files = 13", "Other.Files = 13"),
    ("files", "the drivers' folder where the driver store is needed", r"Isolated\.Files = 13", "Isolated.Files = 12"),
    ("files", "the driver store on old systems", r"Classic\.Files  = 12", "Classic.Files = 13"),
    ("files", "system32", r"Isolated\.Files = 13", "Isolated.Files = 11"),
    ("files", "unknown flags", r",,,0x6", ",,,0x80000000"),
    ("services", "two function drivers", r"AddService = wyrm, 0x2, Isolated\.Service, EventLog",
     "AddService = wyrm, 0x2, Isolated.Service, EventLog\r\nAddService = wyrm2, 0x2, Isolated.Service"),
    ("services", "no function driver", r"wyrm, 0x2, Isolated", "wyrm, 0x0, Isolated"),
    ("services", "no services", r"\[Isolated\.NT\.Services\]", "[Isolated.NT.Service]"),
    ("services", "a boot driver", r"(\[Isolated\.Service\](?:.|\n)*?)StartType     = 3", r"\1StartType = 0"),
    ("services", "a service that is no driver", r"ServiceType   = 1", "ServiceType = 0x10"),
    ("services", "no error control", r"ErrorControl  = 1", ""),
    ("services", "a binary that is elsewhere", r"%13%\\wyrm\.sys", r"%12%\\wyrm.sys"),
    ("services", "a missing service section", r"wyrm, 0x2, Isolated\.Service", "wyrm, 0x2, Isolation.Service"),
    ("registry", "a key of the whole machine", r"HKR, Ndi,            Service", "HKLM, Software, Service"),
    ("registry", "a type that does not exist", r"TypesSupported,   0x00010001", "TypesSupported, 0x00990001"),
    ("registry", "a number that is none", r"0x00010001, 7", "0x00010001, seven"),
    ("registry", "an event source without messages", r"HKR,, EventMessageFile[^\r]*", ""),
    ("registry", "a path with nothing to expand", r"%%SystemRoot%%", "C:"),
    ("network", "no characteristics", r"Characteristics    = 0x1\r", "\r"),
    ("network", "virtual and physical", r"Characteristics    = 0x1\r", "Characteristics = 0x5\r"),
    ("network", "no interface type", r"\*IfType +=[^\r]*", ""),
    ("network", "a media type that does not exist", r"\*MediaType         = 19", "*MediaType = 99"),
    ("network", "another service", r'Service,    0, "wyrm"', 'Service, 0, "worm"'),
    ("network", "no upper range", r"HKR, Ndi\\Interfaces, UpperRange[^\r]*", ""),
    ("network", "a value set twice", r"\[Keywords\]", '[Keywords]\r\nHKR, Ndi, Service, 0, "wyrm"'),
    ("parameters", "no title", r"HKR, Ndi\\params\\QueueLimit, ParamDesc[^\r]*", ""),
    ("parameters", "no type", r"HKR, Ndi\\params\\QueueLimit, Type[^\r]*", ""),
    ("parameters", "a type that does not exist", r'(QueueLimit, Type, 0, )"int"', r'\1"float"'),
    ("parameters", "no largest value", r"HKR, Ndi\\params\\QueueLimit, Max[^\r]*", ""),
    ("parameters", "a default out of range", r'(QueueLimit, Default, 0, )"20"', r'\1"20000"'),
    ("parameters", "a default that is no choice", r'(UsoIPv4, Default, 0, )"1"', r'\1"7"'),
    ("parameters", "a choice without values", r"HKR, Ndi\\params\\UdpCoalescing\\Enum[^\r]*", ""),
    ("parameters", "a documented value missing", r'HKR, Ndi\\params\\\*IPChecksumOffloadIPv4\\Enum, "2"[^\r]*', ""),
    ("parameters", "an asterisk before a keyword of our own", r"params\\QueueLimit", r"params\\*QueueLimit"),
    ("unused", "a section that nothing uses", r"\[Strings\]", "[Nobody]\r\nx = %Disk%\r\n[Strings]"),
)


def driver_keywords():
    """{keyword: (lowest, highest, default)}, read from the driver's source."""
    out, text = {}, {}
    for name in ("adapter", "offload"):
        with open(f"{ROOT}/src/driver/{name}.c", encoding="utf-8") as file:
            text[name] = re.sub(r"\s+", " ", file.read().replace("\n#", "\0#"))
    macros = dict(re.findall(r"\0#define (\w+) (\d+)", text["adapter"]))
    defaults = dict(re.findall(r"(\w+) = (\w+_DEFAULT_\w+)", text["adapter"]))
    resolve = lambda word: int(macros.get(defaults.get(word, word), defaults.get(word, word)))
    for keyword, *values in re.findall(r'keyword_read\(configuration, L"(\w+)", (\w+), (\w+), (\w+)\)', text["adapter"]):
        out[keyword] = tuple(resolve(value) for value in values)
    for keyword, rx in re.findall(r'\{u"(\*\w+)", MEMBER\([\w.]+\), \w+, (\w+)\}', text["offload"]):
        largest = 1 if rx == "0" else 3
        out[keyword] = (0, largest, largest)
    return out


def literals_of_driver():
    """Every wide string literal in a file of the driver that reads keywords."""
    import glob
    out = set()
    for path in glob.glob(f"{ROOT}/src/driver/*.c"):
        with open(path, encoding="utf-8") as file:
            source = file.read()
        if "keyword_read(" in source:
            out |= set(re.findall(r'\b[uL]"([^"]+)"', source))
    return out


def run():
    for architecture in make_inf.DECORATIONS:
        for product in ("Wyrm", "Example"):
            problems = check_inf.Checker(make_inf.make_inf(architecture, "0.1.0", "2026-11-23", product), None,
                                         architecture).problems
            check(not problems, f"the INF of {product} for {architecture}", str(problems[:5]))
    good = make_inf.make_inf("x64", "0.1.0", "2026-11-23").decode("ascii")
    for rule, what, pattern, replacement in BREAKS:
        broken, changed = re.subn(pattern, replacement, good)
        found = check_inf.Checker(broken.encode("ascii"), None, "x64").problems
        check(changed and any(r == rule and (line or rule in ("models", "files", "strings")) for line, r, _ in found),
              f"INF with {what} is refused by {rule}", f"{changed} replacements; {found[:4]}")
    check(check_inf.Checker("[Version]\r\n; \u00e9".encode("latin-1")).problems, "an INF in Latin-1 is refused")
    check(not check_inf.Checker(b"\xff\xfe" + good.encode("utf-16-le"), None, "x64").problems, "an INF in UTF-16 is read")
    rules = {rule for rule, *_ in BREAKS}
    checked = set(re.findall(r"self\.(\w+)", re.search(r"for rule in \((.*?)\):", open(check_inf.__file__).read(), re.S)[1]))
    check(checked and checked <= rules, "each rule of the checker has an INF that breaks it", str(checked - rules))

    driver = driver_keywords()
    inf = check_inf.Checker(good.encode("ascii"), None, "x64").keywords
    check(literals_of_driver() == set(driver), "all keywords of the driver were found",
          str(literals_of_driver() ^ set(driver)))
    check(inf == driver, "the INF has the driver's keywords, ranges and defaults",
          str(sorted(set(inf.items()) ^ set(driver.items()))))
    check(len(driver) >= 15 and driver["QueueLimit"] == (0, 10000, 20), "the driver's keywords were read", str(driver))
