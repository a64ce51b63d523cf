#!/usr/bin/python3
"""Writes the module-definition file of one module for x86: what nt/def/*.def says, changed as x86.tsv says, with the
names of x86 object files, which carry calling convention and size of the arguments; clang computes them from nt/include
(Microsoft, "Decorated names").

usage: decorate.py NAME.def OUT.def   (NAME.def stands in this folder and names the module)"""
import glob
import json
import os
import re
import subprocess
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
INCLUDE = os.path.join(FOLDER, "..", "include")


def decorated_names():
    """plain name -> name in x86 object files, for every import that nt/include declares"""
    headers = sorted(h for h in os.listdir(os.path.join(INCLUDE, "nt")) if h.endswith(".h"))
    text = "".join(f"#include <nt/{h}>\n" for h in headers)
    tree = json.loads(subprocess.run(
        ["clang-19", "--target=i686-pc-windows-msvc", "-ffreestanding", "-std=gnu17", "-I" + INCLUDE, "-fsyntax-only",
         "-Xclang", "-ast-dump=json", "-x", "c", "-"], input=text, capture_output=True, text=True, check=True,
        timeout=120).stdout)
    return {node["name"]: node["mangledName"] for node in tree["inner"]
            if any(i["kind"] == "DLLImportAttr" for i in node.get("inner", []))}


def definition(path):
    """(module, {name: rest of its line})"""
    with open(path, encoding="ascii") as file:
        text = re.sub(r";.*", "", file.read())
    return re.search(r'LIBRARY "([^"]+)"', text).group(1), dict(re.findall(r"^    (\w+)(.*)$", text, re.M))


def exports_on_x86():
    """{module: {plain name: rest of its line}}"""
    out, home = {}, {}
    for path in sorted(glob.glob(os.path.join(FOLDER, "*.def"))):
        module, names = definition(path)
        out[module] = dict(names)
        home.update(dict.fromkeys(names, module))
    with open(os.path.join(FOLDER, "x86.tsv"), encoding="ascii") as file:
        for line in file:
            if line.startswith("#"):
                continue
            name, module, *other = line.rstrip("\n").split("\t")
            rest = out[home[name]].pop(name)
            if module != "-":
                out[module][other[0] if other else name] = rest
    return out


def main(source, target):
    module, _ = definition(source)
    decorated = decorated_names()
    with open(target, "w", encoding="ascii") as file:
        file.write(f'LIBRARY "{module}"\nEXPORTS\n')
        for name, rest in sorted(exports_on_x86()[module].items()):
            # llvm-dlltool puts the C prefix, an underscore, in front itself.
            file.write(f"    {decorated[name].removeprefix('_')}{rest}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
