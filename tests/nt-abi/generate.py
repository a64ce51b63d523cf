#!/usr/bin/python3
"""Turns nt/facts/abi.tsv into static assertions about nt/include.
  generate.py ARCH [--wrong]   prints a C source (ARCH: x64 or arm64); with --wrong every expected value is off by one
  generate.py --update         takes the tables in nt/facts anew from the complete ones in ../shared/facts
  generate.py --uncovered      prints the declarations that no row covers"""
import sys

import facts
from declarations import Declarations, include_all


def off_by_one(value):
    return str(int(value, 0) + 1)


def assertion(condition, row):
    return f'_Static_assert({condition}, "{" ".join(row[:3])}");'


def statements(row, masks, wrong):
    """The assertions of one row; with wrong each of them must fail."""
    kind, name, path, first, second, _ = row
    twist = off_by_one if wrong else (lambda value: value)
    if kind in ("struct", "type"):
        # An alignment that is no power of two is no less wrong.
        return [assertion(f"sizeof({name}) == {twist(first)}", row), assertion(f"_Alignof({name}) == {twist(second)}", row)]
    if kind == "field":
        out = [assertion(f"__builtin_offsetof({name}, {path}) == {twist(first)}", row)]
        if int(second):
            out.append(assertion(f"sizeof((({name} *)0)->{path}) == {twist(second)}", row))
        return out
    if kind == "const":
        value = int(first, 0) + wrong
        if 0 <= value <= 0xFFFFFFFF or -0x80000000 <= value < 0:
            # A status code is negative in C and is listed as unsigned.
            return [assertion(f"(unsigned)({name}) == {value & 0xFFFFFFFF:#x}u", row)]
        return [assertion(f"(unsigned long long)({name}) == {value & (1 << 64) - 1:#x}ull", row)]
    if kind == "bits":
        mask, container = masks[name, path]
        bits = f"(((1ull << {second}) - 1) << ({twist(first)} - 8 * __builtin_offsetof({name}, {container})))"
        out = [assertion(f"{mask} == {bits}", row)]
        if int(second) > 1:
            out.append(assertion(f"({mask} >> {mask}_SHIFT) == (1ull << {twist(second)}) - 1", row))
        return out
    raise SystemExit(f"unknown kind of row: {kind}")


def source(architecture, wrong=False):
    """(C source, number of assertions)"""
    masks = {(struct, field): (mask, container) for mask, struct, container, field in facts.masks()}
    lines = []
    for row in facts.abi():
        if architecture in row[5].split(","):
            lines += statements(row, masks, wrong)
    return include_all() + "\n".join(lines) + "\n", len(lines)


def uncovered(declared):
    """What is declared without a row: lines as in unverified.tsv."""
    table = facts.abi()
    structs = {r[1] for r in table if r[0] == "struct"}
    fields = {(r[1], r[2]) for r in table if r[0] == "field"}
    constants = {r[1] for r in table if r[0] == "const"}
    functions = {r[1] for r in facts.functions()}
    masks = facts.masks()
    constants |= {m[0] for m in masks} | {m[0] + "_SHIFT" for m in masks}
    containers = {(declared.record_of[struct], container) for _, struct, container, _ in masks}
    out = set()
    for name, leaves in declared.leaves.items():
        if name not in structs:
            out.add(f"struct {name}")
            continue
        out |= {f"field {name} {path}" for path in leaves
                if (name, path) not in fields and (declared.record_of[name], path) not in containers}
    out |= {f"const {name}" for name in declared.constants - constants}
    out |= {f"func {name}" for name in (declared.functions | declared.data) - functions}
    return out


if __name__ == "__main__":
    if sys.argv[1:] == ["--update"]:
        facts.update(Declarations())
    elif sys.argv[1:] == ["--uncovered"]:
        print("\n".join(sorted(uncovered(Declarations()))))
    elif sys.argv[1:2] and sys.argv[1] in facts.ARCHITECTURES:
        sys.stdout.write(source(sys.argv[1], "--wrong" in sys.argv)[0])
    else:
        raise SystemExit(__doc__)
