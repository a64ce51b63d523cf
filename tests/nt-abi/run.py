#!/usr/bin/python3
"""The suite nt-abi: nt/include against nt/facts on every compiler that includes it, with positive controls: each
assertion must fail when its expected value is wrong, and each completeness check must see what is taken away."""
import glob
import os
import re
import shutil
import subprocess
import sys

import facts
import generate
from declarations import DRIVER_FLAGS, INCLUDE, ROOT, Declarations, headers

sys.path.insert(0, os.path.join(ROOT, "nt", "def"))
import decorate # the names on x86

WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wshadow"]
TARGETS = [
    # name, architecture of the facts, command
    ("driver, clang x64", "x64", ["clang-19", "--target=x86_64-pc-windows-msvc", *DRIVER_FLAGS]),
    ("driver, clang arm64", "arm64", ["clang-19", "--target=aarch64-pc-windows-msvc", *DRIVER_FLAGS]),
    ("driver, clang x86", "x86", ["clang-19", "--target=i686-pc-windows-msvc", *DRIVER_FLAGS]),
    ("nthost, clang", "x64", ["clang-19", "--target=x86_64-linux-gnu", "-std=gnu17", "-I" + INCLUDE]),
    ("nthost, gcc", "x64", ["gcc", "-std=gnu17", "-I" + INCLUDE]),
]
counts = {"passed": 0, "failed": 0, "skipped": 0}


def check(condition, name, explanation=""):
    counts["passed" if condition else "failed"] += 1
    if not condition:
        print(f"FAIL {name}" + (f": {explanation}" if explanation else ""))


def skip(name, reason):
    counts["skipped"] += 1
    print(f"SKIP {name}: {reason}")


def compile_errors(command, text):
    """Lines of the failed assertions and of other errors."""
    limit = ["-ferror-limit=0"] if "clang" in command[0] else ["-fmax-errors=0"]
    run = subprocess.run([*command, *WARNINGS, *limit, "-fsyntax-only", "-x", "c", "-"], input=text,
                         capture_output=True, text=True, timeout=300, env={**os.environ, "LC_ALL": "C"})
    errors = [line for line in run.stderr.split("\n") if re.search(r"error: ", line)]
    failed = [line for line in errors if "static assertion failed" in line]
    others = [line for line in errors if line not in failed]
    if run.returncode and not errors:
        others = [run.stderr.strip() or f"exit status {run.returncode}"]
    return failed, others


def test_layouts():
    for name, architecture, command in TARGETS:
        if not shutil.which(command[0]):
            skip(name, f"{command[0]} is not installed")
            continue
        text, total = generate.source(architecture)
        failed, others = compile_errors(command, text)
        check(total > 1000, f"{name}: there is something to check", f"only {total} assertions")
        check(not failed and not others, f"{name}: layouts and constants", "\n  ".join((failed + others)[:20]))
        # Positive control: with each expected value off by one, each single assertion must fail.
        text, total = generate.source(architecture, wrong=True)
        failed, others = compile_errors(command, text)
        check(len(failed) == total and not others, f"{name}: every wrong value is refused",
              f"{total - len(failed)} of {total} wrong assertions were accepted; {others[:3]}")
        print(f"{name}: {total} assertions")


def test_one_wrong_row():
    """A single wrong offset among the right ones is found and named."""
    right = facts.abi
    victim = ["field", "IRP", "Tail.Overlay.ListEntry"]
    try:
        facts.abi = lambda: [r[:3] + [str(int(r[3]) + 8)] + r[4:] if r[:3] == victim else r for r in right()]
        text, _ = generate.source("x64")
    finally:
        facts.abi = right
    failed, others = compile_errors(TARGETS[0][2], text)
    check(len(failed) == 1 and "field IRP Tail.Overlay.ListEntry" in failed[0] and not others,
          "one wrong offset is refused by name", str(failed[:3] + others[:3]))


def test_headers_alone():
    for header in headers():
        failed, others = compile_errors(TARGETS[0][2], f"#include <nt/{header}>\n")
        check(not failed and not others, f"{header} compiles alone", "\n  ".join(others[:5]))


def test_completeness(declared):
    def without(**removed):
        table, functions = facts.abi, facts.functions
        try:
            facts.abi = lambda: [r for r in table() if r[:3] != removed.get("row")]
            facts.functions = lambda: [r for r in functions() if r[1] != removed.get("function")]
            return generate.uncovered(declared)
        finally:
            facts.abi, facts.functions = table, functions

    uncovered, listed = generate.uncovered(declared), facts.unverified()
    check(not uncovered - listed, "every declaration has facts or is listed in unverified.tsv",
          ", ".join(sorted(uncovered - listed)[:20]))
    check(not listed - uncovered, "unverified.tsv lists nothing that has facts",
          ", ".join(sorted(listed - uncovered)[:20]))
    for row, expected in ((["struct", "IRP", "-"], "struct IRP"),
                          (["field", "NET_BUFFER", "CurrentMdlOffset"], "field NET_BUFFER CurrentMdlOffset"),
                          (["const", "STATUS_PENDING", "-"], "const STATUS_PENDING")):
        check(without(row=row) - uncovered == {expected}, f"a missing row is noticed: {expected}")
    check(without(function="KeSetEvent") - uncovered == {"func KeSetEvent"}, "a missing function is noticed")


def test_tables(declared):
    if not os.path.exists(os.path.join(facts.SHARED, "nt-abi.tsv")):
        skip("nt/facts agrees with the complete tables", "they are not beside this repository")
        return
    difference = facts.committed_matches_shared(declared)
    check(difference is None, "nt/facts agrees with the complete tables", difference or "")
    right = facts.select_abi
    try:
        facts.select_abi = lambda d: [r[:3] + ("1",) + r[4:] if r[:2] == ("struct", "MDL") else r for r in right(d)]
        check(facts.committed_matches_shared(declared) is not None, "a changed row of nt/facts is noticed")
    finally:
        facts.select_abi = right


def definitions():
    """name -> (module, is data) lists from nt/def, as {file: (module, {name: is data})}."""
    out = {}
    for path in sorted(glob.glob(os.path.join(ROOT, "nt", "def", "*.def"))):
        module, names = None, {}
        with open(path, encoding="ascii") as file:
            for line in file:
                words = line.split(";")[0].split()
                if words[:1] == ["LIBRARY"]:
                    module = words[1].strip('"')
                elif words and words != ["EXPORTS"]:
                    names[words[0]] = words[1:] == ["DATA"]
        out[os.path.basename(path)] = (module, names)
    return out


def definition_problems(files, declared):
    problems, home = [], {}
    modules = {r[1]: r[0] for r in facts.functions()}
    for file, (module, names) in files.items():
        for name, is_data in names.items():
            if name in home:
                problems.append(f"{name} is in {home[name]} and in {file}")
            home[name] = file
            if name not in declared.functions | declared.data:
                problems.append(f"{file} exports {name}, which no header declares")
            elif is_data != (name in declared.data):
                problems.append(f"{file}: {name} is {'no ' * is_data}data")
            if name in modules and modules[name].lower() != module.lower():
                problems.append(f"{file} takes {name} from {module}, the facts say {modules[name]}")
    problems += [f"{name} is in no .def file" for name in sorted((declared.functions | declared.data) - set(home))]
    return problems


def test_definitions(declared):
    files = definitions()
    problems = definition_problems(files, declared)
    check(files and not problems, "nt/def exports what the headers declare, from the right modules",
          "; ".join(problems[:10]))

    def broken(file, **changes):
        module, names = files[file]
        names = {**names, **changes.get("add", {})}
        for name in changes.get("drop", ()):
            del names[name]
        return definition_problems({**files, file: (changes.get("module", module), names)}, declared)

    check(any("no header declares" in p for p in broken("ndis.def", add={"NdisNoSuchFunction": False})),
          "an undeclared export is refused")
    check(any("in no .def file" in p for p in broken("ntoskrnl.def", drop=["KeSetEvent"])), "a lost export is noticed")
    check(any("the facts say" in p for p in broken("cng.def", module="ntoskrnl.exe")), "a wrong module is refused")
    check(any("and in" in p for p in broken("hal.def", add={"KeSetEvent": False})), "a double export is refused")


def test_decorated():
    """Calling convention and size of the arguments on x86, where both are part of a name."""
    known = dict(facts.rows(os.path.join(facts.COMMITTED, "decorated.tsv")))
    ours = decorate.decorated_names()
    compared = [name for name in known if name in ours]
    wrong = [f"{ours[name]}, should be {known[name]}" for name in compared if ours[name] != known[name]]
    check(len(compared) > 100 and not wrong, "the names in x86 object files", "; ".join(wrong[:10]))
    plain = [n for n, name in ours.items() if n in known and name.startswith("@")]
    check(len(plain) > 10, "functions with arguments in registers are among them", str(plain))
    exports = decorate.exports_on_x86()
    missing = [name for names in exports.values() for name in names if name not in ours]
    check(not missing, "nt/def/x86.tsv names only what is declared", ", ".join(missing))
    lost = set(ours) - {name for names in exports.values() for name in names}
    check(not lost, "all imports that x86 declares are in a module", ", ".join(sorted(lost)))


def test_runtime():
    """The drivers' memory functions, natively and under the address sanitizer; a broken one must be noticed."""
    scratch = os.path.join(ROOT, "build", "tests-nt-abi")
    os.makedirs(scratch, exist_ok=True)
    with open(os.path.join(ROOT, "nt", "runtime", "memory.c"), encoding="utf-8") as file:
        right = file.read()
    broken = right.replace("for (; n > 32; n -= 32, d += 32, s += 32)", "for (; n > 64; n -= 32, d += 32, s += 32)")
    check(broken != right, "the memory functions could be broken for the control")
    rename = [f"-D{name}=rt_{name}" for name in ("memcpy", "memmove", "memset", "memcmp")]

    def run(name, text):
        base = os.path.join(scratch, name)
        with open(base + ".c", "w", encoding="utf-8") as file:
            file.write(text)
        flags = ["clang-19", "-std=gnu17", "-O2", "-g", "-fsanitize=address,undefined"]
        subprocess.run([*flags, "-ffreestanding", "-fno-builtin", *rename, "-c", base + ".c", "-o", base + ".o"],
                       check=True, timeout=120)
        subprocess.run([*flags, *WARNINGS, "-I" + os.path.join(ROOT, "tests", "lib"), base + ".o",
                        os.path.join(ROOT, "tests", "nt-abi", "runtime_test.c"), "-o", base], check=True, timeout=120)
        return subprocess.run([base], capture_output=True, text=True, timeout=300)

    good, bad = run("memory", right), run("memory-broken", broken)
    summary = good.stdout.strip().split("\n")[-1]
    check(good.returncode == 0, "the drivers' memory functions", good.stderr[:500])
    check(bad.returncode != 0 and "memcpy" in bad.stderr, "a broken memcpy is noticed", bad.stderr[:500])
    print(f"memory functions: {summary}")


def main():
    declared = Declarations()
    test_layouts()
    test_one_wrong_row()
    test_headers_alone()
    test_completeness(declared)
    test_tables(declared)
    test_definitions(declared)
    test_decorated()
    test_runtime()
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 0 if counts["passed"] and not counts["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
