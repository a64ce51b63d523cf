#!/usr/bin/python3
"""Checks a network adapter's INF against Microsoft's documented rules: "INF File Sections and Directives", "Driver package
isolation", "Creating Network INF Files", "Standardized INF Keywords for Network Devices".

usage: check_inf.py FILE.inf [--package FOLDER] [--architecture x64|arm64|x86]   exit status 1 when a rule is broken"""
import argparse
import datetime
import os
import re
import sys

from inf import Inf, Malformed

ARCHITECTURES = {"x64": "amd64", "arm64": "arm64", "x86": "x86"}
NET_CLASS = "{4d36e972-e325-11ce-bfc1-08002be10318}"
# "Combining Platform Extensions with Operating System Versions": NT[arch][.[major][.[minor][.[type][.[suite][.[build]]]]]]
DECORATION = re.compile(r"nt(x86|amd64|arm64)(?:\.(\d+)\.(\d+)(?:\.\d*\.\d*\.(\d+))?)?", re.I)
FIRST_BUILD_OF_ISOLATION = 16299 # Windows 10 version 1709
FLG_DWORD, FLG_SZ, FLG_EXPAND_SZ, FLG_MULTI_SZ = 0x00010001, 0, 0x00020000, 0x00010000
# Not in an isolated package: nothing but the package's own keys, files and service.
FORBIDDEN_DIRECTIVES = {"delfiles", "renfiles", "delreg", "bitreg", "updateinis", "updateinifields", "ini2reg", "registerdlls",
                        "unregisterdlls", "profileitems", "logconfig", "delservice", "copyinf", "delproperty"}
FORBIDDEN_SECTIONS = ("classinstall32", "defaultinstall", "coinstallers", "defaultuninstall", "interfaceinstall32")
CHOICE = {"0", "1"}
STANDARDIZED = {name: CHOICE for name in ("*lsov2ipv4", "*lsov2ipv6", "*usoipv4", "*usoipv6", "*rscipv4", "*rscipv6")}
STANDARDIZED.update({name: {"0", "1", "2", "3"} for name in (
    "*ipchecksumoffloadipv4", "*tcpchecksumoffloadipv4", "*tcpchecksumoffloadipv6", "*udpchecksumoffloadipv4",
    "*udpchecksumoffloadipv6")})


def number(text):
    try:
        return int(text, 0)
    except ValueError:
        return None


class Checker:
    """problems: [(line number or 0, rule, text)]"""

    def __init__(self, data, package=None, architecture=None):
        self.problems, self.package, self.architecture = [], package, architecture
        self.rule, self.referenced, self.reached = "syntax", {"version", "manufacturer", "strings", "sourcedisksnames",
                                                              "sourcedisksfiles", "destinationdirs"}, set()
        try:
            self.inf = Inf(data)
        except Malformed as error:
            self.problem(error.args[0], error.args[1])
            return
        for rule in (self.version, self.strings, self.models, self.installs, self.files, self.services, self.registry,
                     self.network, self.parameters, self.unused):
            self.rule = rule.__name__
            rule()

    def problem(self, line, text):
        self.problems.append((line, self.rule, text))

    def require(self, name, line):
        """The section of that name, noted as used; None and a problem without it."""
        self.referenced.add(name.lower())
        section = self.inf.section(name)
        if section is None:
            self.problem(line, f"there is no section [{name}]")
        return section

    def text(self, raw, line):
        expanded, unknown = self.inf.expand(raw)
        for name in unknown:
            self.problem(line, f"%{name}% is not in [Strings]")
        return expanded

    # --- the head ---

    def version(self):
        section = self.require("Version", 0)
        if not section:
            return
        value = lambda key: ",".join(section.get(key) or [])
        at = section.number
        if value("Signature").lower() not in ("$windows nt$", "$chicago$"):
            self.problem(at, "Signature is neither $Windows NT$ nor $Chicago$")
        if value("Class").lower() != "net" or value("ClassGuid").lower() != NET_CLASS:
            self.problem(at, f"Class and ClassGuid are not those of network adapters, Net and {NET_CLASS}")
        if not re.fullmatch(r"%\w+%", value("Provider")):
            self.problem(at, "Provider is not a %string%")
        catalogs = [line for line in section.lines if (line.key or "").lower().startswith("catalogfile")]
        if not catalogs or not all(re.fullmatch(r"[\w-]+\.cat", line.value(0), re.I) for line in catalogs):
            self.problem(at, "CatalogFile does not name a .cat file: the package would be unsigned")
        if value("PnpLockDown") != "1":
            self.problem(at, "PnpLockDown is not 1")
        if section.get("DontReflectOffline") is not None:
            self.problem(at, "DontReflectOffline is Microsoft's own")
        driver = section.get("DriverVer") or []
        match = re.fullmatch(r"(\d\d)/(\d\d)/(\d{4}),(\d+)\.(\d+)\.(\d+)\.(\d+)", ",".join(v.strip() for v in driver))
        if not match:
            self.problem(at, "DriverVer is not mm/dd/yyyy,w.x.y.z")
            return
        month, day, year, *parts = map(int, match.groups())
        try:
            datetime.date(year, month, day)
        except ValueError:
            self.problem(at, f"DriverVer: {match.group(0)} has no such date")
        if any(part > 65535 for part in parts):
            self.problem(at, "DriverVer: a part of the version is above 65535")

    def strings(self):
        for line in self.inf.duplicate_strings:
            self.problem(line.number, f"the string {line.key} is defined twice")
        for number_, raw in enumerate(self.inf.raw_lines, 1):
            if len(raw) > 4095:
                self.problem(number_, "the line is longer than 4095 characters")
        for section in self.inf.sections.values():
            if section.name.lower() == "strings":
                continue
            if len(section.name) > 255:
                self.problem(section.number, "the name of a section is longer than 255 characters")
            for line in section.lines:
                for value in [line.key or ""] + line.values:
                    self.text(value, line.number)
        for line in self.inf.sections.get("strings", self.inf.sections["version"]).lines:
            if line.key and line.key.lower() not in self.inf.uses and "strings" in self.inf.sections:
                self.problem(line.number, f"the string {line.key} is used nowhere")

    # --- from the manufacturer to the sections that install ---

    def models(self):
        """self.install: [(section name, build from which it holds, line)]"""
        self.install = []
        manufacturer = self.require("Manufacturer", 0)
        if not manufacturer:
            return
        for line in manufacturer.lines:
            if not re.fullmatch(r"%\w+%", line.key or ""):
                self.problem(line.number, "a manufacturer's name is not a %string%")
            decorations = [v.strip() for v in line.values[1:]]
            if not decorations:
                self.problem(line.number, "no platform is named: such models are for x86 only")
            for decoration in decorations:
                match = DECORATION.fullmatch(decoration)
                if not match:
                    self.problem(line.number, f"{decoration} is no platform and version of Windows")
                    continue
                if self.architecture and match.group(1).lower() != ARCHITECTURES[self.architecture]:
                    self.problem(line.number, f"{decoration} is not for {self.architecture}")
                if match.group(2) is None or (int(match.group(2)), int(match.group(3))) < (10, 0):
                    self.problem(line.number, f"{decoration}: the driver needs Windows 10")
                section = self.require(f"{line.value(0)}.{decoration}", line.number)
                self.models_of(section, int(match.group(4) or 0))

    def models_of(self, section, build):
        seen = set()
        if section is not None and not section.lines:
            self.problem(section.number, f"[{section.name}] has no device")
        for line in section.lines if section else ():
            if not re.fullmatch(r"%\w+%", line.key or ""):
                self.problem(line.number, "a device's description is not a %string%")
            if not line.value(1):
                self.problem(line.number, "a device has no hardware id")
            for hardware_id in line.values[1:]:
                if not re.fullmatch(r"[^\s,]{1,200}", hardware_id):
                    self.problem(line.number, f"'{hardware_id}' is no hardware id")
                if hardware_id.lower() in seen:
                    self.problem(line.number, f"the hardware id {hardware_id} is there twice")
                seen.add(hardware_id.lower())
            name = self.decorated(line.value(0))
            if name is None:
                self.problem(line.number, f"there is no section [{line.value(0)}] or [{line.value(0)}.NT]")
            elif (name, build) not in [(n, b) for n, b, _ in self.install]:
                self.install.append((name, build, line.number))

    def decorated(self, name):
        for candidate in [f"{name}.NT{ARCHITECTURES.get(self.architecture, 'none')}", f"{name}.NT", name]:
            if self.inf.section(candidate) is not None:
                self.referenced.add(candidate.lower())
                return candidate
        return None

    def installs(self):
        """self.adds: names of AddReg sections of the device, self.copies: [(section, build)]"""
        self.adds, self.copies = [], []
        if not self.install:
            self.problem(0, "nothing is installed")
        for section in self.inf.sections.values():
            if section.name.lower().startswith(FORBIDDEN_SECTIONS) or section.name.lower().endswith(".coinstallers"):
                self.problem(section.number, f"[{section.name}] is not for an isolated driver package")
            for line in section.lines:
                if (line.key or "").lower() in FORBIDDEN_DIRECTIVES and section.name.lower() != "strings":
                    self.problem(line.number, f"{line.key} is not for an isolated driver package")
        for name, build, _ in self.install:
            section = self.inf.section(name)
            for line in section.all("AddReg"):
                for value in line.values:
                    self.require(value, line.number)
                    self.adds.append(value)
            for line in section.all("CopyFiles"):
                for value in line.values:
                    if value.startswith("@"):
                        self.problem(line.number, "a file copied by name has no folder of its own")
                    elif self.require(value, line.number):
                        self.copies.append((value, build, line.number))
            if not section.all("CopyFiles"):
                self.problem(section.number, f"[{name}] copies no file")

    # --- files ---

    def files(self):
        """self.installed: {(build, file name in lower case): folder}"""
        self.installed = {}
        disks = self.require("SourceDisksNames", 0)
        sources = self.require("SourceDisksFiles", 0)
        folders = self.require("DestinationDirs", 0)
        if not disks or not sources or not folders:
            return
        for line in sources.lines:
            if not any(disk.key == line.value(0) for disk in disks.lines):
                self.problem(line.number, f"{line.key} is on disk {line.value(0)}, which [SourceDisksNames] lacks")
        known = {(line.key or "").lower() for line in sources.lines}
        copied = set()
        for name, build, at in self.copies:
            folder = folders.get(name) or folders.get("DefaultDestDir")
            if not folder:
                self.problem(at, f"[DestinationDirs] has no folder for [{name}]")
                continue
            isolated = build >= FIRST_BUILD_OF_ISOLATION
            if folder[0] not in ("12", "13") or (isolated and folder[0] != "13"):
                self.problem(at, f"[{name}] goes to folder {folder[0]}, not to 13, the driver store")
            if not isolated and folder[0] == "13":
                self.problem(at, f"[{name}] goes to the driver store, from which Windows before 1709 does not run drivers")
            for line in self.inf.section(name).lines:
                target, source = line.value(0), line.value(1) or line.value(0)
                if source.lower() not in known:
                    self.problem(line.number, f"{source} is not in [SourceDisksFiles]")
                flags = number(line.value(3) or "0")
                if flags is None or flags & ~0x1FFE:
                    self.problem(line.number, f"{line.value(3)} are no flags of CopyFiles")
                copied.add(source.lower())
                self.installed[build, target.lower()] = folder[0]
                if self.package and source.lower() not in {f.lower() for f in os.listdir(self.package)}:
                    self.problem(line.number, f"{source} is not in the package")
        for line in sources.lines:
            if (line.key or "").lower() not in copied:
                self.problem(line.number, f"{line.key} is copied by nothing")

    # --- services ---

    def services(self):
        self.service_names = set()
        self.logs = []
        for name, build, at in self.install:
            section = self.require(name + ".Services", at)
            lines = section.all("AddService") if section else []
            associated = [line for line in lines if (number(line.value(1) or "0") or 0) & 2]
            if section and len(associated) != 1:
                self.problem(section.number, f"{len(associated)} services are the device's function driver, not one")
            for line in lines:
                self.service_names.add(line.value(0).lower())
                if (number(line.value(1)) or 0) & 0x8C1:
                    self.problem(line.number, "flags of AddService that are not for Plug and Play drivers")
                service = self.require(line.value(2), line.number)
                if service:
                    self.service(service, build)
                if line.value(3) and self.require(line.value(3), line.number):
                    self.logs.append(line.value(3))

    def service(self, section, build):
        for key, wanted, meaning in (("ServiceType", 1, "a kernel driver"), ("StartType", 3, "started on demand"),
                                     ("ErrorControl", 1, "normal")):
            values = section.get(key)
            if values is None or number(values[0]) != wanted:
                self.problem(section.number, f"[{section.name}]: {key} is not {wanted}, {meaning}")
        binary = ",".join(section.get("ServiceBinary") or [""])
        match = re.fullmatch(r"%(\d+)%\\([^\\]+)", binary)
        if not match or self.installed.get((build, match.group(2).lower())) != match.group(1):
            self.problem(section.number, f"[{section.name}]: ServiceBinary '{binary}' is not where the file is copied to")

    # --- registry ---

    def registry(self):
        for name in list(dict.fromkeys(self.adds + self.logs)):
            section = self.inf.section(name)
            for line in section.lines if section else ():
                if line.value(0).upper() != "HKR":
                    self.problem(line.number, f"{line.value(0)} is outside the driver's own keys (HKR)")
                flags = number(line.value(3) or "0")
                if flags not in (FLG_SZ, FLG_DWORD, FLG_EXPAND_SZ, FLG_MULTI_SZ):
                    self.problem(line.number, f"'{line.value(3)}' is no type of value that this checker knows")
                elif flags == FLG_DWORD and (number(line.value(4)) is None or not 0 <= number(line.value(4)) < 1 << 32):
                    self.problem(line.number, f"'{line.value(4)}' is no 32-bit number")
                elif flags == FLG_EXPAND_SZ and "%%" not in line.value(4):
                    self.problem(line.number, "nothing is to be expanded")
                if len(line.values) != 5:
                    self.problem(line.number, "not root, subkey, name, type, value")
        for name in dict.fromkeys(self.logs):
            names = {line.value(2).lower() for line in self.inf.section(name).lines}
            if not {"eventmessagefile", "typessupported"} <= names:
                self.problem(self.inf.section(name).number, "an event source needs EventMessageFile and TypesSupported")

    def entries(self, install):
        """{(subkey in lower case, name in lower case): (value, line)} of an install section's AddReg sections"""
        out = {}
        for line in self.inf.section(install).all("AddReg"):
            for name in line.values:
                for entry in (self.inf.section(name) or self.inf.section("version")).lines:
                    key = entry.value(1).lower(), entry.value(2).lower()
                    if key in out and self.rule == "network":
                        self.problem(entry.number, f"{entry.value(1)}\\{entry.value(2)} is set twice")
                    out[key] = entry.value(4), entry.number
        return out

    def network(self):
        for install, _, _ in self.install:
            section = self.inf.section(install)
            characteristics = number((section.get("Characteristics") or [""])[0])
            if characteristics is None or bin(characteristics & 7).count("1") != 1:
                self.problem(section.number, f"[{install}]: Characteristics is not exactly one of virtual, software, physical")
            for key, low, high in (("*IfType", 1, 0xFFFF), ("*MediaType", 0, 19), ("*PhysicalMediaType", 0, 22)):
                value = number((section.get(key) or [""])[0])
                if value is None or not low <= value <= high:
                    self.problem(section.number, f"[{install}]: {key} is missing or wrong")
            entries = self.entries(install)
            service = entries.get(("ndi", "service"), ("", section.number))
            if service[0].lower() not in self.service_names:
                self.problem(service[1], f"Ndi\\Service '{service[0]}' is not the service that is added")
            for key in ("upperrange", "lowerrange"):
                if not entries.get(("ndi\\interfaces", key), ("",))[0]:
                    self.problem(section.number, f"[{install}]: Ndi\\Interfaces\\{key} is missing")

    # --- keywords ---

    def parameters(self):
        """self.keywords: {name as written: (lowest, highest, default)}"""
        self.keywords = {}
        for install, _, _ in self.install:
            entries = self.entries(install)
            lines = [line for name in self.inf.section(install).get("AddReg") or [] if self.inf.section(name)
                     for line in self.inf.section(name).lines]
            names = dict.fromkeys(m.group(1) for line in lines
                                  if (m := re.match(r"Ndi\\params\\([^\\]+)", line.value(1), re.I)))
            for name in names:
                base = f"ndi\\params\\{name.lower()}"
                self.parameter(name, {key[1]: value for key, value in entries.items() if key[0] == base},
                               {key[1]: value for key, value in entries.items() if key[0] == base + "\\enum"})

    def parameter(self, name, entries, choices):
        at = next(iter((entries or choices).values()))[1]
        value = lambda key: entries.get(key, ("", at))[0]
        for key in ("paramdesc", "type", "default"):
            if not value(key):
                self.problem(at, f"{name} has no {key}")
        if value("optional") not in ("", "0", "1"):
            self.problem(at, f"{name}: Optional is neither 0 nor 1")
        if name.startswith("*"):
            if name.lower() not in STANDARDIZED:
                self.problem(at, f"{name} is not one of the standardized keywords of the driver's offloads")
            elif set(choices) != STANDARDIZED[name.lower()]:
                self.problem(at, f"{name} has values {sorted(choices)}, documented are {sorted(STANDARDIZED[name.lower()])}")
        default = number(value("default"))
        if value("type") == "enum":
            if len(choices) < 2 or any(number(choice) is None for choice in choices):
                self.problem(at, f"{name} is a choice without values")
                return
            if value("default") not in choices:
                self.problem(at, f"{name}: the default {value('default')} is none of its values")
            numbers = [int(choice) for choice in choices]
            self.keywords[name] = (min(numbers), max(numbers), default)
        elif value("type") in ("int", "long", "word", "dword"):
            low, high, step = number(value("min")), number(value("max")), number(value("step"))
            if None in (low, high, step) or value("base") not in ("10", "16") or choices:
                self.problem(at, f"{name} is a number without Min, Max, Step and Base")
                return
            if default is None or not low <= default <= high or step < 1:
                self.problem(at, f"{name}: the default {value('default')} is not between {low} and {high}")
            self.keywords[name] = (low, high, default)
        else:
            self.problem(at, f"{name}: the type '{value('type')}' is not documented")

    def unused(self):
        for key, section in self.inf.sections.items():
            if key not in self.referenced:
                self.problem(section.number, f"[{section.name}] is used by nothing")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("inf")
    parser.add_argument("--package")
    parser.add_argument("--architecture", choices=ARCHITECTURES)
    arguments = parser.parse_args()
    with open(arguments.inf, "rb") as file:
        problems = Checker(file.read(), arguments.package, arguments.architecture).problems
    for line, rule, text in problems:
        print(f"{arguments.inf}:{line}: {rule}: {text}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
