"""Suite 71-dll: the public header for every target, the DLL as a file on three architectures, its messages' page, the
samples, and its error paths under Wine, where there is no driver."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import samples

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tests/lib'))
from message_pages import DLL  # noqa: E402

BUILD = ROOT / 'build'
HERE = ROOT / 'tests/dll'
EXPORTS = {line.strip() for line in (ROOT / 'src/dll/exports.def').read_text().splitlines()[1:]}
REFERENCE = {'WireGuard' + name for name in (
    'CreateAdapter OpenAdapter CloseAdapter GetAdapterLUID GetAdapterState SetAdapterState GetConfiguration '
    'SetConfiguration GetRunningDriverVersion DeleteDriver SetLogger SetAdapterLogging').split()}
WINE = next((path for path in ('/usr/lib/wine/wine64', '/usr/bin/wine64') if os.path.exists(path)), None)
results = {'passed': 0, 'failed': 0}


def check(condition, what, detail=''):
    results['passed' if condition else 'failed'] += 1
    if not condition:
        print(f'FAILED: {what}\n{detail}'.rstrip())


def run(command, timeout=60, **options):
    """Runs in a process group of its own, which is ended after the time limit."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace',
                          start_new_session=True, **options) as process:
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            output += f'\nended after {timeout} s'
    return process.returncode, output


def headers():
    shim, mingw = ['-I', str(HERE / 'shim')], ['-isystem', '/usr/share/mingw-w64/include', '-D_WIN32_WINNT=0x0A00']
    for processor in ('x86_64', 'aarch64', 'i686'):
        for target, include in ((processor + '-pc-windows-msvc', shim), (processor + '-w64-windows-gnu', mingw)):
            for language in ('c11', 'c++11', 'c++20'):
                kind = 'c++' if '+' in language else 'c'
                status, output = run(['clang-19', '--target=' + target, '-x', kind, '-std=' + language, '-fsyntax-only',
                                      '-Wall', '-Wextra', '-Werror', '-Wno-unused-function', *include,
                                      '-I', str(ROOT / 'include'), str(HERE / 'header.c')])
                check(status == 0, f'wireguard.h as {language} for {target}', output)


def native(folder):
    program = os.path.join(folder, 'header')
    status, output = run(['clang-19', '-std=c11', '-Wall', '-Wextra', '-Werror', '-g', '-fsanitize=address,undefined',
                          '-fno-sanitize-recover=all', '-I', str(HERE / 'shim'), '-I', str(ROOT / 'include'),
                          str(HERE / 'header.c'), '-o', program])
    check(status == 0, 'wireguard.h natively', output)
    if status == 0:
        status, output = run([program])
        check(status == 0 and ' 0 failed' in output, 'reader and writer of configurations', output)


def images():
    for architecture, machine in (('x64', 'AMD64'), ('arm64', 'ARM64'), ('x86', 'I386')):
        folder = BUILD / 'bin' / ('' if architecture == 'x64' else architecture)
        path = folder / 'wyrm.dll'
        status, output = run(['llvm-readobj-19', '--file-headers', '--sections', '--coff-imports', '--coff-exports',
                              '--coff-load-config', str(path)])
        check(status == 0, f'{path} can be read', output)
        exported = set(re.findall(r'Export \{[^}]*?Name: (\S+)', output))
        check(exported == EXPORTS and REFERENCE < exported, f'exports of {architecture}', str(exported ^ EXPORTS))
        check(f'IMAGE_FILE_MACHINE_{machine}' in output, f'machine of {architecture}')
        wanted = ['DYNAMIC_BASE', 'NX_COMPAT', 'GUARD_CF'] + ['HIGH_ENTROPY_VA'] * (architecture != 'x86')
        for flag in wanted:
            check('IMAGE_DLL_CHARACTERISTICS_' + flag in output, f'{flag} of {architecture}')
        check('DependentLoadFlags: 0x800' in output, f'{architecture} imports from System32 alone')
        cookie = re.search(r'SecurityCookie: 0x([0-9A-F]+)', output)
        check(cookie and int(cookie.group(1), 16), f'stack cookie of {architecture}')
        for section in re.findall(r'Section \{(.*?)\n  \}', output, re.S):
            check('MEM_WRITE' not in section or 'MEM_EXECUTE' not in section, f'no code of {architecture} is writable')
        for module, text in re.findall(r'Import \{\s*Name: (\S+)(.*?)\n\}', output, re.S):
            listed = (ROOT / 'src/win/def' / module.replace('.dll', '.def')).read_text()
            names = {line.strip().partition('@')[0] for line in listed.splitlines()}
            used = set(re.findall(r'Symbol: (\S+)', text))
            check(used and used <= names, f'{architecture} imports of {module} what is listed', str(used - names))
        status, output = run(['llvm-pdbutil-19', 'dump', '--summary', str(folder / 'wyrm.dll.pdb')])
        check(status == 0, f'symbols of {architecture}', output)


def page():
    missing, gone = DLL.differences()
    check(len(DLL.in_sources()) > 60, 'the messages are found in the sources')
    check(not missing, 'each message is in docs/messages-dll.md', '\n'.join(sorted(missing)))
    check(not gone, 'docs/messages-dll.md lists no message that is gone', '\n'.join(sorted(gone)))


def documentation(folder):
    """The header's comments make a page with every function, without a warning."""
    configuration = (ROOT / 'docs/api/Doxyfile').read_text() + f'OUTPUT_DIRECTORY = {folder}/api\n'
    path = pathlib.Path(folder) / 'Doxyfile'
    path.write_text(configuration)
    status, output = run(['doxygen', str(path)], cwd=ROOT)
    check(status == 0 and 'warning' not in output, 'the documentation of the header', output)
    text = ''.join(page.read_text() for page in (pathlib.Path(folder) / 'api/html').glob('*.html'))
    check(all(name in text for name in EXPORTS), 'every function is documented')


def wine(folder):
    if not WINE:
        check(False, 'wine64 is installed (./setup)')
        return
    environment = {'HOME': folder, 'WINEPREFIX': os.path.join(folder, 'prefix'), 'WINEDEBUG': '-all', 'PATH': '/usr/bin:/bin',
                   'WINEDLLOVERRIDES': 'winemenubuilder.exe=d;mscoree=;mshtml=', 'LC_ALL': 'C.UTF-8'}
    programs = BUILD / 'user-x64/tests/dll'
    library = os.path.join(folder, 'wyrm.dll')
    shutil.copy(BUILD / 'bin/wyrm.dll', library)
    try:
        for program, arguments, least, what in (('dll_api_test.exe', ['Z:' + library.replace('/', '\\')], 100, 'error paths'),
                                                ('dll_lock_test.exe', [], 15, 'the lock')):
            status, output = run([WINE, str(programs / program), *arguments], timeout=150, env=environment)
            summary = re.search(r'^(\d+) passed, (\d+) failed', output, re.M)
            check(status == 0 and summary and int(summary.group(1)) > least, what + ' under Wine', output)
            if summary:
                results['passed'] += int(summary.group(1))
                results['failed'] += int(summary.group(2))
    finally:
        server = next((path for path in ('/usr/lib/wine/wineserver64', '/usr/bin/wineserver64') if os.path.exists(path)), None)
        if server:
            run([server, '-k'], timeout=30, env=environment)


def main():
    with tempfile.TemporaryDirectory(prefix='wyrm-dll-') as folder:
        headers()
        native(folder)
        images()
        page()
        documentation(folder)
        samples.check_samples(check, folder)
        wine(folder)
    print(f'{results["passed"]} passed, {results["failed"]} failed, 0 skipped')
    return results['failed'] != 0


sys.exit(main())
