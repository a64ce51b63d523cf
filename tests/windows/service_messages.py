"""The messages of the tunnel service: finds the formats in src/service and src/tunnel, and says which docs/messages-service.md
does not list, or lists in vain.  A message stands in the page as a table row that begins with the format in backquotes."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
CALL = re.compile(r'\b(?:log_line|log_event|fail|fail_windows|warn)\(')
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"|\b([A-Z][A-Z_]+)\b')
NAMES = {'SERVICE_PROGRAM': 'wyrm-service', 'ENGINE_FILE': 'wyrm-engine.exe', 'LIBRARY_FILE': 'wyrm.dll'}
# Texts that are chosen at run time for one "%s".
ELSEWHERE = {'src/service/store.c': r'"(\[Interface\] [^"]+)"',
             'src/tunnel/plan.c': r'return "([^"]+: take (?:it|them) out)"', 'src/tunnel/network.c': r'"(%\.100s: the (?:address|route) [^"]+)"'}
NOT_OURS = {'out of memory', '%s', '%.100s: %s', '%.200s: %s'}


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
    """The first text of a call, put together of its literals and names; none when it comes from elsewhere."""
    text, end = '', None
    for match in LITERAL.finditer(arguments):
        if match.group(2) is not None and match.group(2) not in NAMES:
            continue
        if end is not None and arguments[end:match.start()].strip():
            break
        text += NAMES[match.group(2)] if match.group(2) else match.group(1).replace('\\"', '"').replace('\\\\', '\\')
        end = match.end()
    return [text] if text else []


def in_sources():
    result = set()
    for folder in ('src/service', 'src/tunnel'):
        for path in sorted((ROOT / folder).glob('*.c')):
            source = re.sub(r'/\*.*?\*/', '', path.read_text(), flags=re.S)
            for match in CALL.finditer(source):
                if source[:match.start()].rsplit('\n', 1)[-1].strip() in ('bool', 'void', 'static void'):
                    continue  # a definition
                result.update(formats(call_text(source, match.end())))
            pattern = ELSEWHERE.get(str(path.relative_to(ROOT)))
            result.update(re.findall(pattern, source) if pattern else ())
    return result - NOT_OURS


def differences():
    """(those that are not listed, those that are listed in vain)"""
    page = ROOT / 'docs/messages-service.md'
    listed = set(re.findall(r'^\| `(.*?)` \|', page.read_text() if page.exists() else '', re.M))
    # A backquote would end the page's.
    sources = {text.replace('`', "'") for text in in_sources()}
    return sources - listed, listed - sources


if __name__ == '__main__':
    for line in sorted(in_sources()):
        print(line)
