"""Reads an INF file as Microsoft's "General Syntax Rules for INF Files" describe it."""
import re


class Malformed(Exception):
    """The line cannot be read: (line number, why)"""


class Line:
    """key is None where there is no "=" outside quotes; values are the comma-separated parts, unquoted, %strings% in place."""

    def __init__(self, number, key, values):
        self.number, self.key, self.values = number, key, values

    def value(self, index, otherwise=""):
        return self.values[index] if index < len(self.values) else otherwise


class Section:
    def __init__(self, name, number):
        self.name, self.number, self.lines = name, number, []

    def get(self, key):
        """The values of the last line with this key, or None."""
        found = [line for line in self.lines if (line.key or "").lower() == key.lower()]
        return found[-1].values if found else None

    def all(self, key):
        return [line for line in self.lines if (line.key or "").lower() == key.lower()]


def without_comment(text):
    """Up to the first semicolon outside quotes."""
    quoted = False
    for i, letter in enumerate(text):
        if letter == '"':
            quoted = not quoted
        elif letter == ";" and not quoted:
            return text[:i]
    return text


def split(text, separator, limit=-1):
    """At separators outside quotes."""
    parts, quoted, start = [], False, 0
    for i, letter in enumerate(text):
        if letter == '"':
            quoted = not quoted
        elif letter == separator and not quoted and limit != len(parts):
            parts.append(text[start:i])
            start = i + 1
    return parts + [text[start:]]


def unquoted(text, number):
    text = text.strip()
    if text.count('"') % 2:
        raise Malformed(number, "a quotation mark is not closed")
    return text[1:-1].replace('""', '"') if len(text) > 1 and text[0] == text[-1] == '"' else text


class Inf:
    """sections: {name in lower case: Section}; repeated sections are joined, as Windows does it."""

    def __init__(self, data):
        self.sections, self.strings, self.uses = {}, {}, []
        if data[:2] == b"\xff\xfe":
            text = data.decode("utf-16")
        else:
            try:
                text = data.decode("ascii")
            except UnicodeDecodeError:
                raise Malformed(0, "neither ASCII nor UTF-16 with a byte order mark")
        self.raw_lines = text.split("\n")
        logical = self.logical_lines()
        section, duplicates = None, []
        for number, line in logical:
            header = re.fullmatch(r"\[([^\[\]]*)\]", line)
            if header:
                name = header.group(1).strip().strip('"')
                if not name:
                    raise Malformed(number, "a section has no name")
                section = self.sections.setdefault(name.lower(), Section(name, number))
                continue
            if section is None:
                raise Malformed(number, "there is something before the first section")
            parts = split(line, "=", 1)
            key = unquoted(parts[0], number) if len(parts) == 2 else None
            values = [unquoted(v, number) for v in split(parts[-1], ",")]
            section.lines.append(Line(number, key, values))
        for line in self.sections.get("strings", Section("", 0)).lines:
            if line.key is None:
                raise Malformed(line.number, "a string has no name")
            if line.key.lower() in self.strings:
                duplicates.append(line)
            self.strings[line.key.lower()] = ",".join(line.values)
        self.duplicate_strings = duplicates

    def logical_lines(self):
        """[(number, text)]: without comments and empty lines, continued lines joined."""
        out, pending, first = [], "", 0
        for number, raw in enumerate(self.raw_lines, 1):
            text = without_comment(raw.rstrip("\r")).strip()
            if pending:
                text = pending + text
            else:
                first = number
            if text.endswith("\\") and not text.endswith('"\\'):
                pending = text[:-1]
                continue
            pending = ""
            if text:
                out.append((first, text))
        return out

    def section(self, name):
        return self.sections.get(name.lower())

    def expand(self, text):
        """(text with its strings put in, names that are not defined); %% is a percent sign, %12% a folder."""
        unknown = []

        def replace(match):
            name = match.group(1)
            if name == "":
                return "%"
            self.uses.append(name.lower())
            if name.lower() in self.strings:
                return self.strings[name.lower()]
            if not name.isdigit():
                unknown.append(name)
            return match.group(0)
        return re.sub(r"%([^%]*)%", replace, text), unknown
