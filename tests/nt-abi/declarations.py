"""What nt/include declares: read from clang's syntax tree and preprocessor, never from the text of the headers."""
import json
import os
import re
import subprocess

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
INCLUDE = os.path.join(ROOT, "nt", "include")
DRIVER_FLAGS = ["-ffreestanding", "-std=gnu17", "-I" + INCLUDE]


def headers():
    return sorted(h for h in os.listdir(os.path.join(INCLUDE, "nt")) if h.endswith(".h"))


def include_all():
    return "".join(f"#include <nt/{h}>\n" for h in headers())


def clang(arguments, text):
    run = subprocess.run(["clang-19", "--target=x86_64-pc-windows-msvc", *DRIVER_FLAGS, *arguments, "-x", "c", "-"],
                         input=text, capture_output=True, text=True, timeout=120)
    if run.returncode:
        raise SystemExit("the headers do not compile:\n" + run.stderr)
    return run.stdout


class Declarations:
    """records: typedef name -> set of member paths ('Tail.Overlay.ListEntry'; containers included)
    leaves: typedef name -> member paths that have no members of their own
    record_of: typedef name -> identity of its record, equal for aliases; types: all typedef names;
    constants: enumerators and integer macros; functions, data: imported names"""

    def __init__(self):
        tree = json.loads(clang(["-fsyntax-only", "-Xclang", "-ast-dump=json"], include_all()))
        self.functions, self.data, self.types, self.constants = set(), set(), set(), set()
        definitions, typedefs, tags = {}, {}, {}
        for node in tree["inner"]:
            kind = node["kind"]
            if kind == "RecordDecl":
                tags[node["id"]] = node.get("name")
                if node.get("completeDefinition"):
                    definitions[node.get("name") or node["id"]] = node
            elif kind == "TypedefDecl" and not node.get("isImplicit"):
                self.types.add(node["name"])
                target = self.target(node)
                if target:
                    typedefs[node["name"]] = target
            elif kind == "EnumDecl":
                self.constants |= {e["name"] for e in node.get("inner", []) if e["kind"] == "EnumConstantDecl"}
            elif any(i["kind"] == "DLLImportAttr" for i in node.get("inner", [])):
                (self.functions if kind == "FunctionDecl" else self.data).add(node["name"])
        self.records, self.leaves, self.record_of = {}, {}, typedefs
        for name, target in typedefs.items():
            definition = definitions.get(tags.get(target) or target)
            if definition is not None:
                self.records[name], self.leaves[name] = set(), set()
                self.walk(definition, "", name)
        self.constants |= self.integer_macros()

    @classmethod
    def target(cls, node):
        """The id of the record that a typedef names, not of one it points to."""
        for inner in node.get("inner", []):
            if inner["kind"] in ("PointerType", "FunctionProtoType", "ParenType", "ConstantArrayType"):
                return None
            if inner.get("kind") == "RecordType":
                return inner["decl"]["id"]
            found = cls.target(inner)
            if found:
                return found
        return None

    def walk(self, record, prefix, name):
        unnamed = None
        for node in record.get("inner", []):
            if node["kind"] == "RecordDecl" and node.get("completeDefinition"):
                unnamed = node
            elif node["kind"] == "FieldDecl":
                nested = unnamed if re.search(r"\((unnamed|anonymous)", node["type"]["qualType"]) else None
                if "name" not in node:
                    self.walk(nested, prefix, name)
                    continue
                path = prefix + node["name"]
                self.records[name].add(path)
                if nested is not None:
                    self.walk(nested, path + ".", name)
                else:
                    self.leaves[name].add(path)

    @staticmethod
    def integer_macros():
        """Object-like macros of our headers that are integer constant expressions."""
        text = clang(["-E", "-dD"], include_all())
        ours, candidates = False, []
        for line in text.split("\n"):
            marker = re.match(r'# \d+ "([^"]*)"', line)
            if marker:
                ours = "/nt/include/nt/" in marker.group(1)
            macro = re.match(r"#define (\w+) (.+)", line) if ours else None
            if macro and re.match(r"[-(\d]", macro.group(2)) and not re.search(r"__attribute__|\bstruct\b", line):
                candidates.append(macro.group(1))
        probe = include_all() + "".join(f"enum {{ probe_{c} = ({c}) != 0 }};\n" for c in candidates)
        clang(["-fsyntax-only"], probe)
        return set(candidates)
