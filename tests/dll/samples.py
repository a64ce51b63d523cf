"""The samples in languages that no compiler here checks, against the header: every structure's size, every field's offset and
every constant that they write down.  (C and C++ include the header and run in suite 70-windows.)"""
import ctypes
import importlib.util
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLES = ROOT / 'samples'
STRUCTURES = {
    'WIREGUARD_INTERFACE': 'Flags ListenPort PrivateKey PublicKey PeersCount',
    'WIREGUARD_PEER': 'Flags Reserved PublicKey PresharedKey PersistentKeepalive Endpoint TxBytes RxBytes LastHandshake '
                      'AllowedIPsCount',
    'WIREGUARD_ALLOWED_IP': 'Address AddressFamily Cidr Flags',
    'SOCKADDR_INET': 'si_family',
}
WIDTHS = {'u8': 1, 'u16': 2, 'u32': 4, 'u64': 8, 'byte': 1, 'uint8': 1, 'uint16': 2, 'uint32': 4, 'uint64': 8, 'ushort': 2,
          'uint': 4, 'ulong': 8}
FILES = ('csharp/Sample.cs', 'rust/sample.rs', 'go/sample.go', 'python/sample.py')


def names_in(text):
    return sorted(set(re.findall(r'\bWIREGUARD_[A-Z_]+\b', text)) - STRUCTURES.keys())


def header_facts(folder, constants):
    """({structure: (size, {field: (offset, size)})}, {constant: value}) as a compiler sees them."""
    lines = []
    for name, fields in STRUCTURES.items():
        lines.append(f'printf("{name} size %zu 0\\n", sizeof({name}));')
        lines += [f'printf("{name} {field} %zu %zu\\n", offsetof({name}, {field}), sizeof((({name} *)0)->{field}));'
                  for field in fields.split()]
    lines += [f'printf("constant {name} %lu 0\\n", (unsigned long){name});' for name in constants]
    source, program = pathlib.Path(folder) / 'facts.c', pathlib.Path(folder) / 'facts'
    source.write_text('#define WYRM_NO_PROTOTYPES\n#include <wyrm/wireguard.h>\n#include <stdio.h>\nint main(void)\n{\n'
                      + '\n'.join(lines) + '\nreturn 0;\n}\n')
    subprocess.run(['clang-19', '-std=c11', '-Wno-unused-function', '-I', ROOT / 'tests/dll/shim', '-I', ROOT / 'include', source,
                    '-o', program], check=True, timeout=60)
    structures, values = {name: [0, {}] for name in STRUCTURES}, {}
    for line in subprocess.run([program], check=True, capture_output=True, text=True, timeout=10).stdout.splitlines():
        first, second, offset, size = line.split()
        if first == 'constant':
            values[second] = int(offset)
        elif second == 'size':
            structures[first][0] = int(offset)
        else:
            structures[first][1][second] = (int(offset), int(size))
    return {name: tuple(facts) for name, facts in structures.items()}, values


def constants_in(text):
    """Each NAME = value or NAME: type = value, however the language says it."""
    found = re.findall(r'^\s*(?:public |const |uint |int )*(WIREGUARD_[A-Z_]+)(?:: \w+)?\s*=\s*([\d<> ]+?)\s*[;\n]', text, re.M)
    return {name: eval(value, {'__builtins__': {}}) for name, value in found}  # pylint: disable=eval-used


def lay_out(fields, alignment, sizes, widest=8):
    """C's rules: (size, {field: (offset, size)}, alignment).  `fields`: (name, type, count); `widest`: alignment of u64."""
    at, out = 0, {}
    for name, kind, count in fields:
        size, own = (WIDTHS[kind], min(WIDTHS[kind], widest)) if kind in WIDTHS else sizes[kind]
        at = (at + own - 1) // own * own
        if name != '_':
            out[name] = (at, size * count)
        at += size * count
        alignment = max(alignment, own)
    return (at + alignment - 1) // alignment * alignment, out, alignment


def structures_of_rust(text):
    out, sizes = {}, {}
    for alignment, name, body in re.findall(r'#\[repr\(C(?:, align\((\d+)\))?\)\]\n#\[derive[^\n]*\nstruct (\w+) \{\n(.*?)\n\}',
                                            text, re.S):
        body = body.replace('WIREGUARD_KEY_LENGTH', '32')
        fields = [(field, array or kind, int(count or 1))
                  for field, array, count, kind in re.findall(r'(\w+): (?:\[(\w+); (\d+)\]|(\w+)),', body)]
        size, offsets, used = lay_out(fields, int(alignment or 1), sizes)
        out[name], sizes[name] = (size, offsets), (size, used)
    return out


def structures_of_go(text, widest=8):
    out, sizes = {}, {}
    for name, body in re.findall(r'^type (SOCKADDR_INET|WIREGUARD_\w+) struct \{\n(.*?)\n\}', text, re.S | re.M):
        fields = [(field, kind, int(count or 1))
                  for field, count, kind in re.findall(r'(\w+)\s+(?:\[(\d+)\])?(\w+)', re.sub('//.*', '', body))]
        size, offsets, used = lay_out(fields, 1, sizes, widest)
        out[name], sizes[name] = (size, offsets), (size, used)
    return out


def structures_of_csharp(text):
    out = {}
    for size, name, body in re.findall(r'LayoutKind\.Explicit, Size = (\d+)\)\]\s*public struct (\w+)\s*\{(.*?)\n    \}', text,
                                       re.S):
        out[name] = int(size), {
            field: (int(offset), (WIDTHS.get(kind) or out[kind][0]) * int(count or 1))
            for offset, kind, field, count in re.findall(r'FieldOffset\((\d+)\)\] public (?:fixed )?(\w+) (\w+)(?:\[(\d+)\])?;', body)}
    return out


def structures_of_python(path):
    specification = importlib.util.spec_from_file_location('sample', path)
    module = importlib.util.module_from_spec(specification)
    sys.dont_write_bytecode = True  # no files among the sources
    specification.loader.exec_module(module)
    return {name: (ctypes.sizeof(kind), {field: (getattr(kind, field).offset, getattr(kind, field).size)
                                         for field, _ in kind._fields_})
            for name, kind in vars(module).items() if name in STRUCTURES}


READERS = {'.rs': structures_of_rust, '.go': structures_of_go, '.cs': structures_of_csharp}


def check_samples(check, folder):
    """`check(condition, text, detail)` as in suite 71-dll."""
    paths = [SAMPLES / name for name in FILES]
    texts = {path: path.read_text() for path in paths}
    wanted, values = header_facts(folder, names_in(''.join(texts.values())))
    for path, text in texts.items():
        found = READERS[path.suffix](text) if path.suffix in READERS else structures_of_python(path)
        if path.suffix == '.go':  # which aligns to 4 bytes at most on 32 bits
            check(structures_of_go(text, 4) == found, 'sample.go: the same layout on 32 bits', str(structures_of_go(text, 4)))
        for name, (size, fields) in wanted.items():
            has = found.get(name, (None, {}))
            check(has[0] == size, f'{path.name}: {name} has {size} bytes', str(has[0]))
            wrong = {field: (facts, has[1].get(field)) for field, facts in fields.items() if has[1].get(field) != facts}
            check(not wrong, f'{path.name}: fields of {name} (offset, bytes; as in the header, as written)', str(wrong))
        constants = constants_in(text)
        check(len(constants) >= 8, f'{path.name}: constants are found', str(constants))
        used = set(names_in(text))
        check(used == constants.keys(), f'{path.name}: constants', str(used ^ constants.keys()))
        for name, value in constants.items():
            check(values[name] == value, f'{path.name}: {name} is {values[name]}', str(value))
