"""The Windows installer (.msi), made by wixl out of a staged folder: installs, replaces older versions, refuses older ones,
uninstalls.  The same folder, version and date give the same bytes."""
import os
import re
import struct
import subprocess
import uuid
from xml.sax.saxutils import quoteattr

NAMESPACE = uuid.UUID("9d0f6d6e-5f2c-4d4b-9a53-6f1a4a0e8c55")
# wixl knows two processors; the template of the summary says which one it is for.
WIXL_ARCHITECTURE = {"x64": "x64", "arm64": "x64", "x86": "x86"}
TEMPLATE = {"x64": "x64;1033", "arm64": "Arm64;1033", "x86": "Intel;1033"}
FILETIME_OF_1970 = 116444736000000000
# {action: (place in the sequence, program, its command, what its failure does, condition)}.  Tunnels' services keep files in
# use: they are stopped when a newer version takes this one's place, and started by that one.  Numbers, because wixl puts what is only After="InstallFiles"
# behind InstallFinalize, where deferred actions are errors: InstallInitialize 1500, RemoveFiles 3500, InstallFiles 4000,
# InstallFinalize 6600.
ACTIONS = {
    "StopTunnels": (3300, "-service.exe", "stop --all", "ignore", 'REMOVE="ALL" AND UPGRADINGPRODUCTCODE'),
    "RemoveTunnels": (3310, "-service.exe", "remove --all", "ignore", 'REMOVE="ALL" AND NOT UPGRADINGPRODUCTCODE'),
    "RemoveDriver": (3400, ".exe", "uninstall", "ignore", 'REMOVE="ALL" AND NOT UPGRADINGPRODUCTCODE'),
    "AddDriver": (4100, ".exe", "install", "check", "NOT REMOVE"),
    "StartTunnels": (4200, "-service.exe", "start --all", "ignore", "WIX_UPGRADE_DETECTED AND NOT REMOVE"),
}


class InstallerFailed(Exception):
    pass


def identifier(*parts):
    return str(uuid.uuid5(NAMESPACE, "/".join(parts))).upper()


def wxs(product, name, version, architecture, files):
    """files: [path below the staged folder, name at the target]; the driver's lie beside the DLL, which looks for them there."""
    wide = "no" if architecture == "x86" else "yes"
    components, references = [], []
    for i, (source, target) in enumerate(files):
        path = ' KeyPath="yes"'
        components.append(
            f'<Component Id="C{i}" Guid="{identifier(product, architecture, target)}" Win64="{wide}">'
            f'<File Id="F{i}" Source={quoteattr(source)} Name={quoteattr(target)}{path}/></Component>')
        references.append(f'<ComponentRef Id="C{i}"/>')
    keys = {target.lower(): f"F{i}" for i, (_, target) in enumerate(files)}
    wanted = {action: row for action, row in ACTIONS.items() if name + row[1] in keys}
    actions = "".join(
        f'<CustomAction Id="{action}" FileKey="{keys[name + program]}" ExeCommand="{command}" Execute="deferred" '
        f'Impersonate="no" Return="{result}"/>' for action, (_, program, command, result, _) in wanted.items())
    sequence = "".join(f'<Custom Action="{action}" Sequence="{row[0]}">{row[4]}</Custom>' for action, row in wanted.items())
    if sequence:
        sequence = f"<InstallExecuteSequence>{sequence}</InstallExecuteSequence>"
    folder = "ProgramFilesFolder" if architecture == "x86" else "ProgramFiles64Folder"
    return f"""<?xml version="1.0" encoding="utf-8"?>
<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
 <Product Id="{identifier(product, architecture, version)}" Name={quoteattr(product)} Language="1033" Version="{version}"
          Manufacturer={quoteattr(product)} UpgradeCode="{identifier(product, architecture)}">
  <Package InstallerVersion="500" Compressed="yes" InstallScope="perMachine" Description={quoteattr(product + " " + version)}
           Manufacturer={quoteattr(product)}/>
  <MajorUpgrade DowngradeErrorMessage="A newer version of {product} is installed."/>
  <Condition Message="{product} needs Windows 10 or later.">VersionNT &gt;= 603</Condition>
  <Media Id="1" Cabinet="files.cab" EmbedCab="yes"/>
  <Directory Id="TARGETDIR" Name="SourceDir"><Directory Id="{folder}"><Directory Id="INSTALLDIR" Name={quoteattr(product)}>
   {"".join(components)}
  </Directory></Directory></Directory>
  <Feature Id="All" Level="1">{"".join(references)}</Feature>
  {actions}{sequence}
 </Product>
</Wix>
"""


def run(*words, **options):
    result = subprocess.run(words, capture_output=True, text=True, timeout=120, **options)
    if result.returncode:
        raise InstallerFailed(f"{words[0]}: {result.stdout.strip()} {result.stderr.strip()}")
    return result.stdout


def fixed_times(path, seconds):
    """Puts one time into the summary (VT_FILETIME properties) and the compound file's folders."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    when = FILETIME_OF_1970 + seconds * 10000000
    # Properties of the type are 0x40, then the time; only times of this century are taken for one.
    first, last = (FILETIME_OF_1970 + y * 10000000 for y in (946684800, 4102444800))
    for match in re.finditer(rb"\x40\0\0\0", bytes(data)):
        value, = struct.unpack_from("<Q", data.ljust(match.end() + 8, b"\0"), match.end())
        if first < value < last:
            struct.pack_into("<Q", data, match.end(), when)
    # [MS-CFB]: directory entries of 128 bytes, the root's and storages' times at 100 and 108.
    sector = 1 << struct.unpack_from("<H", data, 30)[0]
    for at in range(sector, len(data) - 127, 128):
        name = bytes(data[at:at + 22])
        if name == "Root Entry\0".encode("utf-16-le"):
            struct.pack_into("<QQ", data, at + 100, 0, when)
    with open(path, "wb") as file:
        file.write(data)


def make_installer(stage, path, product, name, version, architecture, files, seconds):
    """files: [(path below stage, name at the target)]"""
    source = path + ".wxs"
    with open(source, "w", encoding="utf-8") as file:
        file.write(wxs(product, name, version, architecture, files))
    if os.path.exists(path):
        os.unlink(path)
    try:
        run("wixl", "-a", WIXL_ARCHITECTURE[architecture], "-o", os.path.abspath(path), os.path.abspath(source), cwd=stage,
            env={**os.environ, "TZ": "UTC", "SOURCE_DATE_EPOCH": str(seconds)})
        run("msibuild", path, "-s", product, product, TEMPLATE[architecture],
            "{" + identifier(product, architecture, version, "package", str(seconds)) + "}")
        fixed_times(path, seconds)
    finally:
        os.unlink(source)
