"""The messages of wyrm.dll: finds the formats in src/dll, and says which docs/messages-dll.md does not list, or lists in
vain.  A message stands in the page as a table row that begins with the format in backquotes."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
CALL = re.compile(r'\blog_(?:line|failure|warning)\(')
LITERAL = re.compile(r'(?:L"((?:[^"\\]|\\.)*)"|\b(INF_FILE)\b)')


def call_text(source, start):
    """The text between the parentheses that open before `start`."""
    depth, i, quoted = 1, start, False
    while depth:
        c = source[i]
        if quoted:
            if c == '\\':
                i += 1
            elif c == '"':
                quoted = False
        elif c == '"':
            quoted = True
        elif c == '(':
            depth += 1
        elif c == ')':
            depth -= 1
        i += 1
    return source[start:i - 1]


def formats(arguments):
    """The formats of one call: neighbouring literals are one, a conditional has two."""
    found, end = [], None
    for match in LITERAL.finditer(arguments):
        text = 'wyrm.inf' if match.group(2) else match.group(1).replace('\\\\', '\\').replace('\\"', '"')
        if end is not None and not arguments[end:match.start()].strip():
            found[-1] += text
        else:
            found.append(text)
        end = match.end()
    return found


def in_sources():
    result = set()
    for path in sorted((ROOT / 'src/dll').glob('*.c')):
        source = path.read_text()
        for match in CALL.finditer(source):
            if source[:match.start()].rsplit('\n', 1)[-1].strip() in ('bool', 'void'):
                continue  # a definition
            result.update(formats(call_text(source, match.end())))
    return result


def in_page():
    page = ROOT / 'docs/messages-dll.md'
    text = page.read_text() if page.exists() else ''
    return set(re.findall(r'^\| `([^`]*)` \|', text, re.M))


if __name__ == '__main__':
    for line in sorted(in_sources()):
        print(line)
