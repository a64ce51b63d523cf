"""Pages of messages (docs/messages-*.md): whether each message of the sources stands in its page, and none that is gone.  A message is
the format of a call; it stands in the page as a table row that begins with it in backquotes."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]


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


class Page:
    """`name`: of the page.  `folders`: of the sources.  `calls`: functions that take a format.  `names`: {macro: what it stands for}.
    `alternatives`: all literals of a call are formats, else the first one, or two of a conditional.  `elsewhere`: {file, or None for
    all: expression whose group is a text written by other means}.  `others`: texts behind which another's message follows."""

    def __init__(self, name, folders, calls, names=None, alternatives=False, elsewhere=None, others=()):
        self.page, self.folders, self.names, self.alternatives = ROOT / 'docs' / name, folders, names or {}, alternatives
        self.calls = re.compile(rf'\b(?:{"|".join(calls)})\(')
        macros = '|'.join(self.names) or '(?!)'
        self.literal = re.compile(rf'L?"((?:[^"\\]|\\.)*)"|\b({macros})\b')
        self.elsewhere, self.others = elsewhere or {}, set(others) | {''}

    def formats(self, arguments):
        """The formats of one call: neighbouring literals are one."""
        found, end = [], None
        for match in self.literal.finditer(arguments):
            text = self.names[match.group(2)] if match.group(2) else match.group(1).replace('\\"', '"').replace('\\\\', '\\')
            between = '' if end is None else arguments[end:match.start()]
            if end is not None and not between.strip():
                found[-1] += text
            elif end is None or self.alternatives or re.fullmatch(r'\s*:\s*', between):
                found.append(text)
            else:
                break
            end = match.end()
        return found

    def in_sources(self):
        result = set()
        for path in (path for folder in self.folders for path in sorted((ROOT / folder).glob('*.c'))):
            source = re.sub(r'/\*.*?\*/', '', path.read_text(encoding='utf-8'), flags=re.S)
            for match in self.calls.finditer(source):
                if not re.search(r'\b(bool|void)\s*$', source[:match.start()].rsplit('\n', 1)[-1]):  # no definition
                    result.update(self.formats(call_text(source, match.end())))
            for file in (None, str(path.relative_to(ROOT))):
                for match in re.finditer(self.elsewhere.get(file, '(?!)'), source):
                    result.update(self.formats(match.group(1)))
        return result - self.others

    def differences(self):
        """(those that are not listed, those that are listed in vain)"""
        text = self.page.read_text(encoding='utf-8') if self.page.exists() else ''
        listed = set(re.findall(r'^\| `(.*?)` \|', text, re.M))
        sources = {text.replace('`', "'").replace('|', '/') for text in self.in_sources()}  # neither can stand in a table's code
        return sources - listed, listed - sources


DLL = Page('messages-dll.md', ['src/dll'], ['log_line', 'log_failure', 'log_warning'], {'INF_FILE': 'wyrm.inf'}, alternatives=True)
# The doctor says what to do itself.
CLI = Page('messages-cli.md', ['src/cli', 'src/cli/windows', 'src/adapter', 'src/config', 'src/quick'],
           ['fail', 'fail_errno', 'fail_windows', 'say'],
           {'SOCKET_FORMAT': '/var/run/wireguard/%s.ctl', 'DIRECTORY': '/var/run/wireguard', 'SUFFIX': '.sock', 'STATE_DIRECTORY': '/run/nthost'},
           elsewhere={None: r'snprintf\(error, (?:error_size|size), ("(?:[^"\\]|\\.)*"(?:\s*"(?:[^"\\]|\\.)*")*)'},
           others=('out of memory', '%s', '%s: %s', '%.100s: %s', '%.200s: %s'))
SERVICE = Page('messages-service.md', ['src/service', 'src/tunnel'], ['log_line', 'log_event', 'fail', 'fail_windows', 'warn'],
               {'SERVICE_PROGRAM': 'wyrm-service', 'ENGINE_FILE': 'wyrm-engine.exe', 'LIBRARY_FILE': 'wyrm.dll'},
               # Texts that are chosen at run time for one "%s".
               elsewhere={'src/service/store.c': r'("\[Interface\] [^"]+")', 'src/tunnel/plan.c': r'return ("[^"]+: take (?:it|them) out")',
                          'src/tunnel/tunnel.c': r'("; and not all [^"]+")', 'src/tunnel/network.c': r'("%\.100s: the (?:address|route) [^"]+")'},
               others=('out of memory', '%s', '%.100s: %s', '%.200s: %s'))
