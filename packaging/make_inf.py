#!/usr/bin/python3
"""Makes the INF file of one architecture out of wyrm.inf.in and keywords.tsv, as ASCII with CR LF, on standard output.

usage: make_inf.py ARCHITECTURE VERSION DATE [NAME]   (x64, arm64, x86; 0.1.0; 2026-11-23; Wyrm or a vendor's name)"""
import datetime
import os
import re
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
DECORATIONS = {"x64": "amd64", "arm64": "arm64", "x86": "x86"}


def keywords():
    """[(keyword, lowest, highest, default, title, texts)]"""
    out = []
    with open(os.path.join(FOLDER, "keywords.tsv"), encoding="ascii") as file:
        for line in file:
            if not line.startswith("#"):
                name, low, high, default, title, *texts = line.rstrip("\n").split("\t")
                out.append((name, int(low), int(high), int(default), title, texts))
    return out


def keyword_lines():
    """(lines of the AddReg section, lines of [Strings])"""
    lines, strings, text_keys = [], {}, {}
    for name, low, high, default, title, texts in keywords():
        key, token = f"Ndi\\params\\{name}", name.lstrip("*")
        strings[token] = title
        entries = [("ParamDesc", f"%{token}%"), ("Type", '"enum"' if texts else '"int"'), ("Default", f'"{default}"'),
                   ("Optional", '"0"')]
        if not texts:
            entries += [("Min", f'"{low}"'), ("Max", f'"{high}"'), ("Step", '"1"'), ("Base", '"10"')]
        lines += [f"HKR, {key}, {entry}, 0, {value}" for entry, value in entries]
        for value, text in enumerate(texts, low):
            text_key = text_keys.setdefault(text, re.sub(r"\W", "", text))
            strings[text_key] = text
            lines.append(f'HKR, {key}\\Enum, "{value}", 0, %{text_key}%')
    return lines, [f'{token} = "{text}"' for token, text in strings.items()]


def make_inf(architecture, version, date, product="Wyrm"):
    lines, strings = keyword_lines()
    name = product.lower()
    values = {
        "PRODUCT": product, "PROVIDER": product, "NAME": name, "HWID": product,
        "ARCHITECTURE": architecture, "DECORATION": DECORATIONS[architecture], "VERSION": version,
        "VERSION4": ".".join((version.split(".") + ["0"] * 4)[:4]),
        "DATE": datetime.date.fromisoformat(date).strftime("%m/%d/%Y"),
        "KEYWORDS": "\n".join(lines), "STRINGS": "\n".join(strings),
    }
    with open(os.path.join(FOLDER, "wyrm.inf.in"), encoding="ascii") as file:
        text = re.sub(r"@([A-Z0-9]+)@", lambda match: values[match.group(1)], file.read())
    return text.replace("\n", "\r\n").encode("ascii")


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        raise SystemExit(__doc__)
    sys.stdout.buffer.write(make_inf(*sys.argv[1:]))
