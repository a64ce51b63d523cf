#!/usr/bin/python3
"""A25: registers and extended state are preserved, shown on the driver's machine code (no host can see it better: what a callback
changes and nobody reads goes unnoticed).  For every function of wyrm.sys: state that is only ours between
KeSaveExtendedProcessorState and KeRestoreExtendedProcessorState (YMM, ZMM, mask, x87 and MMX registers, control words) is touched
in the wide cores alone, which nobody calls but through a function that saves it; and each register that the x64 convention makes
the callee keep is saved by the function that changes it."""

import argparse
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from netlab import DRIVER, Tests  # noqa: E402

OBJDUMP, READOBJ = "llvm-objdump-19", "llvm-readobj-19"
WIDE = re.compile(r"%([yz]mm\d+|k[0-7]|st\b|st\(\d\)|mm[0-7]|bnd\d)")
VECTOR_WIDE = re.compile(r"%([yz]mm\d+|k[0-7])")
# The cores, as they are named in the image.  The lanes cores (core_*) are called through aead_batch.c's table, where
# aead_*_batch_narrow takes an SSE core: that choice is what 20-crypto and the driver's own tests show, not this one.
WIDE_CORES = {"aead_avx512", "add_text", "add_key", "compute_one", "compute_two", "flush", "poly1305_avx512", "eight_long",
              "eight_short", "sixteen_short", "scrub_stack", "x25519_lanes_ifma", "multiply_once", "square_times", "core_run", "core_keystream", "core_keystream_few"}
SAVES = "__imp_KeSaveExtendedProcessorState"
STATE = re.compile(r"^(v?ldmxcsr|fldcw|fn?init|frstor|fxrstor\w*|xrstor\w*|xsetbv|vzero\w+|emms|cli|sti|popf\w*|std|wrmsr|swapgs)\b")
KEPT_XMM = re.compile(r"%[xyz]mm(6|7|8|9|1[0-5])(?: \{.*)?$")
KEPT_VECTORS = {f"xmm{n}" for n in range(6, 16)}
# Instructions whose last operand (AT&T syntax) is read only.
READS_ONLY = re.compile(r"^(v?u?comis[sd]|v?ptest|v?pcmpistr|v?pcmpestr|test|cmp)")
KEPT_GENERAL = {"rbx", "rbp", "rsi", "rdi", "r12", "r13", "r14", "r15"}
ALIASES = {**{name: name for name in KEPT_GENERAL}, "ebx": "rbx", "bx": "rbx", "bl": "rbx", "bh": "rbx", "ebp": "rbp", "bp": "rbp",
           "bpl": "rbp", "esi": "rsi", "si": "rsi", "sil": "rsi", "edi": "rdi", "di": "rdi", "dil": "rdi",
           **{f"r{n}{suffix}": f"r{n}" for n in (12, 13, 14, 15) for suffix in ("d", "w", "b")}}
LAST_GENERAL = re.compile(r"%([a-z0-9]+)$")
WRITES_NOTHING = re.compile(r"^(push|cmp|test|bt[lqw]?$|bt[lqw] |call|jmp|nop|prefetch|j[a-z]+$)")


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def unwind_of(image):
    """[(start, end, saved registers)], chained parts with those of their parent."""
    functions, start, end, saved = [], None, None, set()
    for line in run(READOBJ, "--unwind", image).splitlines():
        line = line.strip()
        if line.startswith("StartAddress:"):
            if start is not None:
                functions.append((start, end, saved))
            start, saved = int(re.search(r"\(0x([0-9A-F]+)\)", line).group(1), 16), set()
        elif line.startswith("EndAddress:"):
            end = int(re.search(r"\(0x([0-9A-F]+)\)", line).group(1), 16)
        elif match := re.search(r"(?:PUSH_NONVOL|SAVE_NONVOL|SAVE_XMM128|SAVE_NONVOL_FAR|SAVE_XMM128_FAR) reg=(\w+)", line):
            saved.add(match.group(1).lower())
    functions.append((start, end, saved))
    return functions


def problems(image):
    """(what is wrong, functions looked at, XMM6 to 15 seen written, wide functions seen)"""
    functions = sorted(unwind_of(image))
    found, where, kept_seen, seen = [], "?", 0, 0
    index, wide, calls, savers = 0, set(), {}, set()
    for line in run(OBJDUMP, "-d", "--no-show-raw-insn", image).splitlines():
        label = re.match(r"^[0-9a-f]+ <(.+)>:$", line)
        if label:
            where = label.group(1)
            seen += 1
            continue
        if SAVES in line:
            savers.add(where)
        if target := re.search(r"\s(?:call|jmp)q?\s+0x[0-9a-f]+ <(\w+)>$", line):
            calls.setdefault(target.group(1), set()).add(where)
        match = re.match(r"^\s*([0-9a-f]+):\s+(?:(?:lock|rep\w*|data16)\s+)*(\S+)\s*([^#]*)", line)
        if not match:
            continue
        address, name, operands = int(match.group(1), 16), match.group(2), match.group(3).strip()
        zeroes = name in ("vzeroupper", "vzeroall")
        if VECTOR_WIDE.search(operands) or zeroes:
            wide.add(where)
        if (WIDE.search(operands) or STATE.match(name)) and not (
                where in WIDE_CORES and (VECTOR_WIDE.search(operands) or zeroes)):
            found.append(f"{where}: {name} {operands}")
        while index + 1 < len(functions) and functions[index + 1][0] <= address:
            index += 1
        begin, end, saved = functions[index]
        saved = saved if begin <= address < end else set()
        if name == "vzeroall" and not KEPT_VECTORS <= saved:
            found.append(f"{where}: {name} and {sorted(KEPT_VECTORS - saved)} are not saved")
        if match := KEPT_XMM.search(operands):
            if not READS_ONLY.match(name):
                kept_seen += 1
                if f"xmm{match.group(1)}" not in saved:
                    found.append(f"{where}: {name} {operands} and xmm{match.group(1)} is not saved")
        elif (match := LAST_GENERAL.search(operands)) and not WRITES_NOTHING.match(name):
            register = ALIASES.get(match.group(1))
            if register and register not in saved:
                found.append(f"{where}: {name} {operands} and {register} is not saved")
    for function in sorted(wide):
        if way := unsaved_way(function, calls, savers):
            found.append("state is not saved on the way " + " < ".join(way))
    return found, seen, kept_seen, wide


def unsaved_way(function, calls, savers, below=()):
    """A chain of callers up to one that nobody calls, none of which saves the state; None: there is none."""
    if function in savers or function in below:
        return None
    if not calls.get(function):
        return None if function.startswith("core_") else (*below, function)
    for caller in sorted(calls[function] - {function}):
        if way := unsaved_way(caller, calls, savers, (*below, function)):
            return way
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", default=DRIVER)
    options = parser.parse_args()
    tests = Tests()
    found, functions, kept, wide = problems(options.image)
    tests.equal(found[:5], [], f"{len(found)} places in {functions} functions")
    tests.check(functions > 200, f"{functions} functions were looked at")
    tests.check(kept > 20, f"{kept} writes to XMM6 to XMM15 were looked at")
    tests.check({"aead_avx512", "core_run", "x25519_lanes_ifma"} <= wide, f"the wide cores were looked at: {sorted(wide)}")
    print(f"   {functions} functions, {len(wide)} wide, {kept} writes to XMM6 to XMM15")
    return tests.finish()


if __name__ == "__main__":
    sys.exit(main())
