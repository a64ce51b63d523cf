#!/usr/bin/python3
"""The suite pe-checks: every built kernel image against rules.py, the link's reproducibility, and for each rule
damaged images that must be refused by exactly that rule."""
import glob
import os
import re
import struct
import subprocess
import sys

from image import AMD64, ARM64, EXCEPTION, I386, IMPORT, LOAD_CONFIG, RELOCATION, Damaged, Image, Section
from rules import LOAD_CONFIGURATION, RELOCATION_KIND, RULES

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
SCRATCH = os.path.join(ROOT, "build", "tests-pe")
sys.path.insert(0, os.path.join(ROOT, "nt", "def"))
import decorate # the exports of x86

REQUIRED = {"build/bin/wyrm.sys": AMD64, "build/drivers/minimal.sys": AMD64, "build/bin/arm64/wyrm.sys": ARM64,
            "build/bin/x86/wyrm.sys": I386, "build/bin/release/wyrm.sys": AMD64,
            "build/bin/arm64/release/wyrm.sys": ARM64, "build/bin/x86/release/wyrm.sys": I386}
counts = {"passed": 0, "failed": 0, "skipped": 0}


def check(condition, name, explanation=""):
    counts["passed" if condition else "failed"] += 1
    if not condition:
        print(f"FAIL {name}" + (f": {explanation}" if explanation else ""))


def exported():
    """machine -> {module in lower case: {name: first version}}, from nt/def and nt/facts"""
    with open(os.path.join(ROOT, "nt", "facts", "functions.tsv"), encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]
    first = {row[1]: row[2] for row in rows}
    usual = dict(decorate.definition(path) for path in glob.glob(os.path.join(ROOT, "nt", "def", "*.def")))
    of = lambda modules: {module.lower(): {name: first.get(name, "?") for name in names}
                          for module, names in modules.items()}
    return {AMD64: of(usual), ARM64: of(usual), I386: of(decorate.exports_on_x86())}


def with_versions(names, version):
    return {machine: {module: dict.fromkeys(functions, version) for module, functions in modules.items()}
            for machine, modules in names.items()}


def problems(data, machine, names, rules=RULES):
    """rule -> its problems, without the rules that are satisfied"""
    try:
        image = Image(data, machine)
    except Damaged as error:
        return {"readable": [str(error)]}
    found = {}
    for name, rule in rules.items():
        try:
            out = rule(image, names[machine])
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
    directory = lambda i: image.directory + 8 * i
    pointer, width = image.pointer, image.pointer_bytes
    at_length, at_cookie, _, _, at_table, _ = LOAD_CONFIGURATION[width]
    header_of = {s.name: image.section_headers + 40 * i for i, s in enumerate(image.sections)}
    flags_of = lambda name: header_of[name] + 36
    configuration = image.offset(image.directories[LOAD_CONFIG][0])
    cookie = image.offset(image.unpack(pointer, configuration + at_cookie)[0] - image.base)
    relocation = image.offset(image.directories[RELOCATION][0])
    imports = image.offset(image.directories[IMPORT][0])
    lookup = image.unpack("<I", imports)[0]
    name = image.offset(image.at(pointer, lookup)[0] + 2)
    target = image.offset(next(rva for kind, rva in image.relocations() if kind == RELOCATION_KIND[width]), width)
    yield "header", "another machine", put(data, image.pe + 4, "<H", 0x1C4)
    yield "header", "a GUI program", put(data, image.optional + 68, "<H", 2)
    yield "write_xor_execute", ".text writable", change(data, flags_of(".text"), "<I", lambda f: f | Section.WRITE)
    yield "write_xor_execute", ".data executable", change(data, flags_of(".data"), "<I", lambda f: f | Section.EXECUTE)
    if "INIT" in header_of:
        yield "discardable", "INIT kept", change(data, flags_of("INIT"), "<I", lambda f: f & ~Section.DISCARDABLE)
    yield "discardable", ".text thrown away", change(data, flags_of(".text"), "<I", lambda f: f | Section.DISCARDABLE)
    yield "sections", ".rdata writable", change(data, flags_of(".rdata"), "<I", lambda f: f | Section.WRITE)
    yield "sections", "an unknown section", put(data, header_of[".rdata"], "<Q", 0x6E776F6E6B6E75)
    yield "sections", "a section over another", change(data, header_of[".data"] + 12, "<I", lambda a: a - 0x1000)
    if image.machine == I386:
        yield "unwind", "an exception directory", put(data, directory(EXCEPTION), "<Q", 0x0000000C00001000)
    else:
        exceptions = image.offset(image.directories[EXCEPTION][0])
        yield "unwind", "no exception directory", put(data, directory(EXCEPTION), "<Q", 0)
        yield "unwind", "unwind entries out of order", change(data, exceptions, "<I", lambda b: b + 0x100000)
    yield "imports", "an unknown function", data[:name] + b"Q" + data[name + 1:]
    yield "imports", "an import by ordinal", put(data, image.offset(lookup), pointer, 1 << (8 * width - 1) | 1)
    yield "relocations", "no relocation directory", put(data, directory(RELOCATION), "<Q", 0)
    yield "relocations", "relocations stripped", change(data, image.pe + 22, "<H", lambda c: c | 1)
    yield "relocations", "a relocation of unknown type", change(data, relocation + 8, "<H", lambda w: w & 0xFFF | 0x5000)
    yield "relocations", "a pointer out of the image", put(data, target, pointer, 0x7FF00000)
    for bit in (0x20, 0x40, 0x100, 0x4000) if width == 8 else (0x40, 0x100, 0x4000):
        yield "mitigations", f"flag {bit:#x} cleared", change(data, image.optional + 70, "<H", lambda f, b=bit: f & ~b)
    yield "load_configuration", "no load configuration", put(data, directory(LOAD_CONFIG), "<Q", 0)
    yield "load_configuration", "another stack cookie", put(data, cookie, pointer, 0x1234)
    yield "load_configuration", "no CFG table", put(data, configuration + at_table + width, pointer, 0)


def test_damages(name, data, machine, names):
    for rule, what, damaged in damages(data):
        found = problems(with_checksum(damaged), machine, names)
        # A damaged relocation can hit what the load configuration needs: more refusals are fine, a missing one is not.
        check(rule in found and "readable" not in found, f"{name}: {what} is refused by {rule}",
              f"refused by {sorted(found) or 'nothing'}")
    found = problems(data[:0x300] + bytes([data[0x300] ^ 1]) + data[0x301:], machine, names)
    check("checksum" in found, f"{name}: one flipped bit is refused by checksum", str(sorted(found)))
    for what, damaged in (("a truncated file", data[:len(data) // 2]), ("an empty file", b""),
                          ("a file without PE header", b"MZ" + bytes(100)),
                          ("a PE header behind the end", put(data, 60, "<I", len(data)))):
        check("readable" in problems(damaged, machine, names), f"{name}: {what} is refused")


def link(script, output, text=None):
    os.makedirs(SCRATCH, exist_ok=True)
    path = os.path.join(SCRATCH, "link.sh")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text or read(script).decode())
    subprocess.run(["sh", path, os.path.join(SCRATCH, output)], check=True, timeout=120)
    return read(os.path.join(SCRATCH, output))


def test_reproducible():
    # Not glob's "**": it follows links, and a Wine prefix in the build folder has one to the root of the file system.
    scripts = [os.path.join(folder, name) for folder, _, names in os.walk(os.path.join(ROOT, "build"))
               for name in ("minimal.link.sh", "wyrm.link.sh") if name in names]
    newest = {}
    for script in scripts:
        built = os.path.join(os.path.dirname(script), os.path.basename(script)[:-len(".link.sh")] + ".sys")
        if os.path.exists(built) and not script.startswith(SCRATCH):
            preset = os.path.relpath(script, os.path.join(ROOT, "build")).split(os.sep)[0]
            key = preset + "/" + os.path.basename(script)
            if key not in newest or os.path.getmtime(built) > os.path.getmtime(newest[key][1]):
                newest[key] = (script, built)
    check(len(newest) >= 4, "the build directories of all presets are there to link again from", str(sorted(newest)))
    for key, (script, built) in sorted(newest.items()):
        first, second = link(script, "first.sys"), link(script, "second.sys")
        check(first == second, f"{key}: two links give the same bytes")
        check(first == read(built), f"{key}: a new link gives the bytes of the build", built)
        other = link(script, "other.sys", read(script).decode().replace("/Brepro", "/timestamp:12345"))
        check(other != first, f"{key}: a link with a time of its own is noticed")


def test_no_vector_registers(path):
    """The 32-bit kernel keeps neither x87 nor MMX nor SSE registers for drivers."""
    text = subprocess.run(["llvm-objdump-19", "-d", "--no-show-raw-insn", path], capture_output=True, text=True, check=True,
                          timeout=120).stdout
    # CPUID's users compare names only; "st" alone is x87's top of the stack.
    used = re.findall(r"%(?:xmm|ymm|zmm|mm|st)\d*\b.*", text)
    check(text.count("\n") > 10000 and not used, f"{path}: no floating-point, MMX or SSE register", str(used[:3]))
    wide = subprocess.run(["llvm-objdump-19", "-d", "--no-show-raw-insn", os.path.join(ROOT, "build/bin/wyrm.sys")],
                          capture_output=True, text=True, check=True, timeout=120).stdout
    check(re.search(r"%xmm\d", wide), "the search for such registers finds those of x64")


def test_release(tested, released):
    """What packages hold is what the tests ran, but for the debug information and the addresses that move with it."""
    one, other = (Image(read(os.path.join(ROOT, path))) for path in (tested, released))
    code = lambda image: {s.name: (s.virtual_size, s.flags) for s in image.sections if s.flags & Section.EXECUTE}
    check(code(one) == code(other), f"{released}: the code sections are those of {tested}", f"{code(one)} {code(other)}")
    check(set(one.imports()) == set(other.imports()), f"{released}: the imports are those of {tested}")
    check(not any(s.name.startswith(".debug") for s in other.sections), f"{released}: no debug information is left")
    check(len(other.data) < len(one.data) // 3, f"{released}: it is smaller")


# What also holds for programs and libraries of user mode; their imports have a suite of their own under Wine.
USER_RULES = ("checksum", "write_xor_execute", "unwind", "relocations", "mitigations", "load_configuration")


def test_user_mode():
    """Every DLL and program for Windows that was built."""
    found = 0
    for folder, machine in (("", AMD64), ("arm64/", ARM64), ("x86/", I386)):
        for path in sorted(glob.glob(os.path.join(ROOT, "build/bin", folder, "*.dll")) +
                           glob.glob(os.path.join(ROOT, "build/bin", folder, "*.exe"))):
            found += 1
            name, data = os.path.relpath(path, ROOT), read(path)
            broken = problems(data, machine, {machine: {}}, {rule: RULES[rule] for rule in USER_RULES})
            for rule in USER_RULES:
                check(rule not in broken and "readable" not in broken, f"{name}: {rule}", str(broken.get(rule, broken))[:300])
            check(ROOT.encode() not in data, f"{name}: holds no path of this machine")
            check(Image(data, machine).machine == machine, f"{name}: it is for its folder's processor")
    check(found >= 3, "there are libraries of user mode", "run ./build.sh first")


def main():
    names = exported()
    check(all(len(modules) >= 4 and all(len(v) > 1 for v in modules.values()) for modules in names.values()),
          "nt/def was read", str({machine: list(modules) for machine, modules in names.items()}))
    check(any(v == "Win8.1" for v in names[AMD64]["ntoskrnl.exe"].values()), "the functions' first versions were read")
    images = dict(REQUIRED)
    for folder in ("bin", "drivers"):
        for path in glob.glob(os.path.join(ROOT, "build", folder, "*.sys")):
            images.setdefault(os.path.relpath(path, ROOT), AMD64)
    for name, machine in sorted(images.items()):
        path = os.path.join(ROOT, name)
        if not os.path.exists(path):
            check(False, f"{name} exists", "run ./build.sh first")
            continue
        data = read(path)
        # Test drivers may use what only nthost has to offer.
        found = problems(data, machine, names if name in REQUIRED else with_versions(names, "?"))
        for rule in RULES:
            check(rule not in found and "readable" not in found, f"{name}: {rule}",
                  "; ".join(found.get(rule, found.get("readable", []))[:5]))
        check(ROOT.encode() not in data, f"{name}: holds no path of this machine")
        if name in REQUIRED and not found:
            test_damages(name, data, machine, names)
            check("imports" in problems(data, machine, with_versions(names, "Win10-1709")), f"{name}: functions that came later are refused")
    for folder in ("", "arm64/", "x86/"):
        test_release(f"build/bin/{folder}wyrm.sys", f"build/bin/{folder}release/wyrm.sys")
    test_no_vector_registers(os.path.join(ROOT, "build/bin/x86/wyrm.sys"))
    test_user_mode()
    test_reproducible()
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 0 if counts["passed"] and not counts["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
