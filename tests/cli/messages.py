"""The messages of `wyrm`, on Linux and on Windows: finds the formats in what it is made of, and says which docs/messages-cli.md does
not list, or lists in vain.  A message stands in the page as a table row that begins with the format in backquotes.  Those of
src/tunnel stand in docs/messages-service.md, and the doctor says what to do itself."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tests/windows'))
from service_messages import call_text  # noqa: E402

FOLDERS = ('src/cli', 'src/cli/windows', 'src/adapter', 'src/config', 'src/quick')
CALL = re.compile(r'\b(?:fail|fail_errno|fail_windows|say)\(')
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"|\b([A-Z][A-Z_]+)\b')
NAMES = {'SOCKET_FORMAT': '/var/run/wireguard/%s.ctl', 'DIRECTORY': '/var/run/wireguard', 'SUFFIX': '.sock', 'STATE_DIRECTORY': '/run/nthost'}
# Written into the caller's text.
ELSEWHERE = re.compile(r'snprintf\(error, (?:error_size|size), ("(?:[^"\\]|\\.)*"(?:\s*"(?:[^"\\]|\\.)*")*)')
NOT_OURS = re.compile(r'^(out of memory|%s|%s: %s|%\.\d+s: %s|)$')  # what follows is another's, and is listed there


def formats(arguments):
    """The texts of a call: neighbouring literals and names are one; a conditional has two."""
    found, end = [], None
    for match in LITERAL.finditer(arguments):
        if match.group(2) is not None and match.group(2) not in NAMES:
            continue
        text = NAMES[match.group(2)] if match.group(2) else match.group(1).replace('\\"', '"').replace('\\\\', '\\')
        if end is not None and not arguments[end:match.start()].strip():
            found[-1] += text
        elif end is None or re.fullmatch(r'\s*:\s*', arguments[end:match.start()]):
            found.append(text)
        else:
            break
        end = match.end()
    return found


def in_sources():
    result = set()
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).glob('*.c')):
            source = re.sub(r'/\*.*?\*/', '', path.read_text(), flags=re.S)
            for match in CALL.finditer(source):
                if re.search(r'\b(bool|void)\s*$', source[:match.start()].rsplit('\n', 1)[-1]):
                    continue  # a definition
                result.update(formats(call_text(source, match.end())))
            for match in ELSEWHERE.finditer(source):
                result.update(formats(match.group(1)))
    return {text for text in result if not NOT_OURS.match(text)}


def differences():
    """(those that are not listed, those that are listed in vain)"""
    page = ROOT / 'docs/messages-cli.md'
    listed = set(re.findall(r'^\| `(.*?)` \|', page.read_text(encoding='utf-8') if page.exists() else '', re.M))
    sources = {text.replace('`', "'").replace('|', '/') for text in in_sources()}  # a backquote or a bar would end the page's
    return sources - listed, listed - sources


if __name__ == '__main__':
    for line in sorted(in_sources()):
        print(line)
