#!/usr/bin/python3
"""A25: registers and extended state are preserved, shown on the driver's machine code (no host can see it better: what a callback
changes and nobody reads goes unnoticed).  For every function of wyrm.sys: no instruction touches state that is only ours between
KeSaveExtendedProcessorState and KeRestoreExtendedProcessorState (YMM, ZMM, mask, x87 and MMX registers, control words), and each
register that the x64 convention makes the callee keep is saved by the function that changes it."""

import argparse
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from netlab import DRIVER, Tests  # noqa: E402

OBJDUMP, READOBJ = "llvm-objdump-19", "llvm-readobj-19"
WIDE = re.compile(r"%([yz]mm\d+|k[0-7]|st\b|st\(\d\)|mm[0-7]|bnd\d)")
STATE = re.compile(r"^(v?ldmxcsr|fldcw|fn?init|frstor|fxrstor\w*|xrstor\w*|xsetbv|vzero\w+|emms|cli|sti|popf\w*|std|wrmsr|swapgs)\b")
KEPT_XMM = re.compile(r"%xmm(6|7|8|9|1[0-5])$")
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
    """(what is wrong, functions looked at, XMM6 to 15 seen written)"""
    functions = sorted(unwind_of(image))
    found, where, kept_seen, seen = [], "?", 0, 0
    index = 0
    for line in run(OBJDUMP, "-d", "--no-show-raw-insn", image).splitlines():
        label = re.match(r"^[0-9a-f]+ <(.+)>:$", line)
        if label:
            where = label.group(1)
            seen += 1
            continue
        match = re.match(r"^\s*([0-9a-f]+):\s+(?:(?:lock|rep\w*|data16)\s+)*(\S+)\s*([^#]*)", line)
        if not match:
            continue
        address, name, operands = int(match.group(1), 16), match.group(2), match.group(3).strip()
        if WIDE.search(operands) or STATE.match(name):
            found.append(f"{where}: {name} {operands}")
        while index + 1 < len(functions) and functions[index + 1][0] <= address:
            index += 1
        begin, end, saved = functions[index]
        saved = saved if begin <= address < end else set()
        if match := KEPT_XMM.search(operands):
            if not READS_ONLY.match(name):
                kept_seen += 1
                if f"xmm{match.group(1)}" not in saved:
                    found.append(f"{where}: {name} {operands} and xmm{match.group(1)} is not saved")
        elif (match := LAST_GENERAL.search(operands)) and not WRITES_NOTHING.match(name):
            register = ALIASES.get(match.group(1))
            if register and register not in saved:
                found.append(f"{where}: {name} {operands} and {register} is not saved")
    return found, seen, kept_seen


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", default=DRIVER)
    options = parser.parse_args()
    tests = Tests()
    found, functions, kept = problems(options.image)
    tests.equal(found[:5], [], f"{len(found)} places in {functions} functions")
    tests.check(functions > 200, f"{functions} functions were looked at")
    tests.check(kept > 20, f"{kept} writes to XMM6 to XMM15 were looked at")
    print(f"   {functions} functions, {kept} writes to XMM6 to XMM15")
    return tests.finish()


if __name__ == "__main__":
    sys.exit(main())
