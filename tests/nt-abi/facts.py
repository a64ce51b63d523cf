"""The tables of facts: nt/facts/*.tsv (committed, only what the headers declare) and, where present, the complete
tables they were taken from (shared/facts beside the repository)."""
import itertools
import os

from declarations import ROOT

COMMITTED = os.path.join(ROOT, "nt", "facts")
SHARED = os.path.join(ROOT, "..", "shared", "facts")
# The headers declare the largest layouts, those of this NDIS contract version.
CONTRACT = 689
ARCHITECTURES = ("x64", "arm64", "x86")


def rows(path):
    with open(path, encoding="utf-8") as file:
        for line in file:
            if not line.startswith("#") and line.strip():
                yield line.rstrip("\n").split("\t")


def number(version):
    major, minor = version.split(".")
    return int(major) * 100 + int(minor)


def in_contract(ranges):
    """ranges: '*', '6.30+', '6.20-6.70', '6.89' or several with commas."""
    if ranges in ("*", ""):
        return True
    for part in ranges.split(","):
        if part.endswith("+"):
            if CONTRACT >= number(part[:-1].split("-")[0]):
                return True
        elif "-" in part:
            low, high = part.split("-")
            if number(low) <= CONTRACT <= number(high):
                return True
        elif CONTRACT == number(part):
            return True
    return False


def architectures(text):
    return ",".join(a for a in ARCHITECTURES if text == "all" or a in text.split(","))


def masks():
    """(mask, struct, container, field) of each mask that stands for a bit-field."""
    return [tuple(r) for r in rows(os.path.join(COMMITTED, "masks.tsv"))]


def select_abi(declared):
    """The rows of the complete table that concern what the headers declare, in our columns."""
    wanted_bits = {(struct, field) for _, struct, _, field in masks()}
    selected, seen = [], set()
    for row in itertools.chain(rows(os.path.join(SHARED, "nt-abi.tsv")), rows(os.path.join(SHARED, "nt-abi-x86.tsv"))):
        kind, name = row[0], row[1]
        if kind == "struct" and name in declared.records and in_contract(row[5]):
            entry = (kind, name, "-", row[2], row[3], architectures(row[4]))
        elif kind == "field" and row[2] in declared.records.get(name, ()) and in_contract(row[6]):
            entry = (kind, name, row[2], row[3], row[4], architectures(row[5]))
        elif kind == "bits" and (name, row[2]) in wanted_bits and in_contract(row[6]):
            entry = (kind, name, row[2], row[3], row[4], architectures(row[5]))
        elif kind == "const" and name in declared.constants and in_contract(row[4]):
            entry = (kind, name, "-", row[2], "-", architectures(row[3]))
        elif kind == "type" and name in declared.types and name not in declared.records:
            entry = (kind, name, "-", row[2], row[3], architectures(row[4]))
        else:
            continue
        if entry[5] and entry not in seen:
            seen.add(entry)
            selected.append(entry)
    return selected


def select_decorated(declared):
    """(name, name in x86 object files) of the functions that the complete table knows; it counts a parameter that is
    written as an array as nothing."""
    return sorted((row[0], row[5]) for row in rows(os.path.join(SHARED, "nt-abi-x86-stdcall.tsv"))
                  if row[0] in declared.functions and row[2] == "import" and row[0] != "KeWaitForMultipleObjects")


def irql_range(text):
    """(lowest, highest) IRQL at which a function may be called, '-' where the source does not say."""
    levels = {"PASSIVE_LEVEL": 0, "APC_LEVEL": 1, "DISPATCH_LEVEL": 2, "HIGH_LEVEL": 15}
    low = high = None
    annotations, _, documentation = text.partition("doc:")
    for part in annotations.removeprefix("sal:").rstrip(";").split(","):
        key, _, value = part.partition("=")
        if value not in levels:
            continue
        if key in ("max", "at", "raises"):
            # raises=X: callable from below and up to X
            high = max(high if high is not None else 0, levels[value])
        if key in ("min", "at"):
            low = levels[value]
    if high is None and (low is not None or ">= DISPATCH_LEVEL" in documentation):
        # only a lower bound is given
        low, high = low if low is not None else 2, 15
    if high is None and documentation:
        words = documentation.replace("IRQL", " ").replace("<=", " ").split()
        first = words[0].strip("=.,") if words else ""
        if first in levels:
            high = levels[first]
            if "<" not in documentation and levels[first] == 2:
                low = 2
        elif documentation.startswith("Any level"):
            high = 15
    return ("-" if high is None else str(low or 0), "-" if high is None else str(high))


def select_functions(declared):
    wanted = declared.functions | declared.data
    found = {}
    for table, merge in (("nt-functions.tsv", True), ("nt-abi.tsv", False)):
        for row in rows(os.path.join(SHARED, table)):
            if row[0] == "func" and row[2] in wanted and (merge or row[2] not in found):
                module, name, version, kind, irql = row[1:6]
                found[name] = (module.rstrip("?"), name, version, kind, *irql_range(irql), irql)
    return [found[name] for name in sorted(found)]


ABI_HEADER = """# Layouts and constants of the NT kernel API for exactly what nt/include declares, NDIS contract 6.89.
# Computed from Microsoft's public WDK/SDK metadata; made by tests/nt-abi/generate.py --update, checked by the suite nt-abi.
# struct NAME - size align ARCH | field STRUCT PATH offset size ARCH (size 0: open array) | bits STRUCT PATH bit-offset width ARCH
# const NAME - value - ARCH | type NAME - size align ARCH
"""
FUNCTIONS_HEADER = """# The functions that nt/include declares: exporting module, first version, kind in Microsoft's headers, IRQL range.
# Made by tests/nt-abi/generate.py --update.  MODULE NAME FIRST-VERSION KIND LOWEST HIGHEST SOURCE; 0 passive, 1 APC, 2 dispatch,
# 15 any; '-' unknown.  The numbers are read off the source text in the last column.
"""


DECORATED_HEADER = """# The names in x86 object files of functions that nt/include declares, for those that Microsoft's metadata give it for.
# Made by tests/nt-abi/generate.py --update.  NAME DECORATED-NAME
"""


def table_text(header, entries):
    return header + "".join("\t".join(e) + "\n" for e in entries)


def update(declared):
    for name, header, entries in (("abi.tsv", ABI_HEADER, select_abi(declared)),
                                  ("functions.tsv", FUNCTIONS_HEADER, select_functions(declared)),
                                  ("decorated.tsv", DECORATED_HEADER, select_decorated(declared))):
        with open(os.path.join(COMMITTED, name), "w", encoding="utf-8") as file:
            file.write(table_text(header, entries))


def committed_matches_shared(declared):
    """None, or what differs."""
    for name, header, entries in (("abi.tsv", ABI_HEADER, select_abi(declared)),
                                  ("functions.tsv", FUNCTIONS_HEADER, select_functions(declared)),
                                  ("decorated.tsv", DECORATED_HEADER, select_decorated(declared))):
        with open(os.path.join(COMMITTED, name), encoding="utf-8") as file:
            have, want = file.read(), table_text(header, entries)
        if have != want:
            stale = sorted(set(have.split("\n")) ^ set(want.split("\n")))
            return f"nt/facts/{name} differs from the complete table, first in: {stale[0] if stale else 'order'}"
    return None


def abi():
    return list(rows(os.path.join(COMMITTED, "abi.tsv")))


def functions():
    return list(rows(os.path.join(COMMITTED, "functions.tsv")))


def unverified():
    """Declarations that no table covers: {'struct NAME', 'field STRUCT PATH', 'const NAME', 'func NAME'}."""
    return {" ".join(r[0].split()) for r in rows(os.path.join(COMMITTED, "unverified.tsv"))}
