#!/usr/bin/python3
"""The suite pe-checks: every built kernel image against rules.py, the link's reproducibility, and for each rule
damaged images that must be refused by exactly that rule."""
import glob
import os
import re
import struct
import subprocess
import sys

from image import EXCEPTION, IMPORT, LOAD_CONFIG, RELOCATION, Damaged, Image, Section
from rules import RULES

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
SCRATCH = os.path.join(ROOT, "build", "tests-pe")
REQUIRED = ("build/bin/wyrm.sys", "build/drivers/minimal.sys")
counts = {"passed": 0, "failed": 0, "skipped": 0}


def check(condition, name, explanation=""):
    counts["passed" if condition else "failed"] += 1
    if not condition:
        print(f"FAIL {name}" + (f": {explanation}" if explanation else ""))


def exported():
    """module in lower case -> names, from nt/def"""
    out = {}
    for path in glob.glob(os.path.join(ROOT, "nt", "def", "*.def")):
        with open(path, encoding="ascii") as file:
            text = re.sub(r";.*", "", file.read())
        module = re.search(r'LIBRARY "([^"]+)"', text).group(1).lower()
        out[module] = set(re.findall(r"^    (\w+)", text, re.M))
    return out


def problems(data, names, rules=RULES):
    """rule -> its problems, without the rules that are satisfied"""
    try:
        image = Image(data)
    except Damaged as error:
        return {"readable": [str(error)]}
    found = {}
    for name, rule in rules.items():
        try:
            out = rule(image, names)
        except Damaged as error:
            out = [str(error)]
        if out:
            found[name] = out
    return found


def read(path):
    with open(path, "rb") as file:
        return file.read()


def put(data, offset, format, value):
    return data[:offset] + struct.pack(format, value) + data[offset + struct.calcsize(format):]


def change(data, offset, format, modify):
    return put(data, offset, format, modify(struct.unpack_from(format, data, offset)[0]))


def with_checksum(data):
    image = Image(data)
    return put(data, image.optional + 64, "<I", image.computed_checksum())


def damages(data):
    """(rule that must refuse it, what was done, image bytes)"""
    image = Image(data)
    directory = lambda i: image.optional + 112 + 8 * i
    header_of = {s.name: image.section_headers + 40 * i for i, s in enumerate(image.sections)}
    flags_of = lambda name: header_of[name] + 36
    configuration = image.offset(image.directories[LOAD_CONFIG][0])
    cookie = image.offset(image.unpack("<Q", configuration + 0x58)[0] - image.base)
    exceptions = image.offset(image.directories[EXCEPTION][0])
    relocation = image.offset(image.directories[RELOCATION][0])
    imports = image.offset(image.directories[IMPORT][0])
    lookup = image.unpack("<I", imports)[0]
    name = image.offset(image.at("<Q", lookup)[0] + 2)
    target = image.offset(next(rva for kind, rva in image.relocations() if kind == 10), 8)
    yield "header", "another machine", put(data, image.pe + 4, "<H", 0xAA64)
    yield "header", "a GUI program", put(data, image.optional + 68, "<H", 2)
    yield "write_xor_execute", ".text writable", change(data, flags_of(".text"), "<I", lambda f: f | Section.WRITE)
    yield "write_xor_execute", ".data executable", change(data, flags_of(".data"), "<I", lambda f: f | Section.EXECUTE)
    if "INIT" in header_of:
        yield "discardable", "INIT kept", change(data, flags_of("INIT"), "<I", lambda f: f & ~Section.DISCARDABLE)
    yield "discardable", ".text thrown away", change(data, flags_of(".text"), "<I", lambda f: f | Section.DISCARDABLE)
    yield "unwind", "no exception directory", put(data, directory(EXCEPTION), "<Q", 0)
    yield "unwind", "unwind entries out of order", change(data, exceptions, "<I", lambda b: b + 0x100000)
    yield "imports", "an unknown function", data[:name] + b"Q" + data[name + 1:]
    yield "imports", "an import by ordinal", put(data, image.offset(lookup), "<Q", 1 << 63 | 1)
    yield "relocations", "no relocation directory", put(data, directory(RELOCATION), "<Q", 0)
    yield "relocations", "relocations stripped", change(data, image.pe + 22, "<H", lambda c: c | 1)
    yield "relocations", "a relocation of unknown type", change(data, relocation + 8, "<H", lambda w: w & 0xFFF | 0x3000)
    yield "relocations", "a pointer out of the image", put(data, target, "<Q", 0x7FF000000000)
    for bit in (0x20, 0x40, 0x100, 0x4000):
        yield "mitigations", f"flag {bit:#x} cleared", change(data, image.optional + 70, "<H", lambda f, b=bit: f & ~b)
    yield "load_configuration", "no load configuration", put(data, directory(LOAD_CONFIG), "<Q", 0)
    yield "load_configuration", "another stack cookie", put(data, cookie, "<Q", 0x1234)
    yield "load_configuration", "no CFG table", put(data, configuration + 0x88, "<Q", 0)


def test_damages(name, data, names):
    for rule, what, damaged in damages(data):
        found = problems(with_checksum(damaged), names)
        # A damaged relocation can hit what the load configuration needs: more refusals are fine, a missing one is not.
        check(rule in found and "readable" not in found, f"{name}: {what} is refused by {rule}",
              f"refused by {sorted(found) or 'nothing'}")
    found = problems(data[:0x300] + bytes([data[0x300] ^ 1]) + data[0x301:], names)
    check("checksum" in found, f"{name}: one flipped bit is refused by checksum", str(sorted(found)))
    for what, damaged in (("a truncated file", data[:len(data) // 2]), ("an empty file", b""),
                          ("a file without PE header", b"MZ" + bytes(100)),
                          ("a PE header behind the end", put(data, 60, "<I", len(data)))):
        check("readable" in problems(damaged, names), f"{name}: {what} is refused")


def link(script, output, text=None):
    os.makedirs(SCRATCH, exist_ok=True)
    path = os.path.join(SCRATCH, "link.sh")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text or read(script).decode())
    subprocess.run(["sh", path, os.path.join(SCRATCH, output)], check=True, timeout=120)
    return read(os.path.join(SCRATCH, output))


def test_reproducible():
    scripts = glob.glob(os.path.join(ROOT, "build", "*", "**", "minimal.link.sh"), recursive=True)
    scripts += glob.glob(os.path.join(ROOT, "build", "*", "**", "wyrm.link.sh"), recursive=True)
    newest = {}
    for script in scripts:
        built = os.path.join(os.path.dirname(script), os.path.basename(script)[:-len(".link.sh")] + ".sys")
        if os.path.exists(built) and not script.startswith(SCRATCH):
            key = os.path.basename(script)
            if key not in newest or os.path.getmtime(built) > os.path.getmtime(newest[key][1]):
                newest[key] = (script, built)
    check(bool(newest), "there is a build directory to link again from", "configure and build windows-x64 first")
    for key, (script, built) in sorted(newest.items()):
        first, second = link(script, "first.sys"), link(script, "second.sys")
        check(first == second, f"{key}: two links give the same bytes")
        check(first == read(built), f"{key}: a new link gives the bytes of the build", built)
        other = link(script, "other.sys", read(script).decode().replace("/Brepro", "/timestamp:12345"))
        check(other != first, f"{key}: a link with a time of its own is noticed")


def main():
    names = exported()
    check(all(len(v) > 1 for v in names.values()) and len(names) >= 4, "nt/def was read", str(names.keys()))
    images = sorted(set(REQUIRED) | {os.path.relpath(p, ROOT) for folder in ("bin", "drivers")
                                     for p in glob.glob(os.path.join(ROOT, "build", folder, "*.sys"))})
    for name in images:
        path = os.path.join(ROOT, name)
        if not os.path.exists(path):
            check(False, f"{name} exists", "build windows-x64 first")
            continue
        data = read(path)
        found = problems(data, names)
        for rule in RULES:
            check(rule not in found and "readable" not in found, f"{name}: {rule}",
                  "; ".join(found.get(rule, found.get("readable", []))[:5]))
        check(ROOT.encode() not in data, f"{name}: holds no path of this machine")
        if name in REQUIRED and not found:
            test_damages(name, data, names)
    test_reproducible()
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 0 if counts["passed"] and not counts["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
