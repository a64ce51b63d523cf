"""What a kernel image of ours must satisfy.  Each rule is a function image -> problems (list of text)."""
from image import DELAY_IMPORT, EXCEPTION, EXPORT, LOAD_CONFIG, RELOCATION, SECURITY, TLS, Section

MACHINE_AMD64, SUBSYSTEM_NATIVE = 0x8664, 1
RELOCS_STRIPPED, EXECUTABLE_IMAGE = 0x1, 0x2
HIGH_ENTROPY_VA, DYNAMIC_BASE, NX_COMPATIBLE, GUARD_CF = 0x20, 0x40, 0x100, 0x4000
COOKIE_INITIAL = 0x00002B992DDFA232
CF_INSTRUMENTED, CF_FUNCTION_TABLE_PRESENT = 0x100, 0x400


def header(image, _):
    out = []
    if image.machine != MACHINE_AMD64:
        out.append(f"the machine is {image.machine:#x}, not x64")
    if image.subsystem != SUBSYSTEM_NATIVE:
        out.append(f"the subsystem is {image.subsystem}, not native")
    if not image.characteristics & EXECUTABLE_IMAGE:
        out.append("it is not marked executable")
    if image.os_version != (10, 0) or image.subsystem_version != (10, 0):
        out.append(f"made for version {image.os_version}/{image.subsystem_version}, not 10.0")
    if image.section_alignment != 0x1000:
        out.append(f"sections are aligned to {image.section_alignment:#x}, not to a page")
    for directory, name in ((EXPORT, "exports"), (TLS, "thread-local storage"), (SECURITY, "a signature")):
        if image.directories[directory][1]:
            out.append(f"it has {name}")
    return out


def checksum(image, _):
    if image.checksum != image.computed_checksum():
        return [f"the checksum is {image.checksum:#x}, should be {image.computed_checksum():#x}"]
    return []


def write_xor_execute(image, _):
    return [f"section {s.name} is writable and executable" for s in image.sections
            if s.flags & Section.WRITE and s.flags & Section.EXECUTE]


def discardable(image, _):
    """INIT goes away after DriverEntry, and nothing else that is needed later does."""
    out = []
    for s in image.sections:
        gone = bool(s.flags & Section.DISCARDABLE)
        if s.name == "INIT" and not gone:
            out.append("INIT is not discardable")
        if gone and s.name not in ("INIT", ".reloc") and not s.name.startswith(".debug_"):
            out.append(f"section {s.name} is discardable")
        if not gone and s.name.startswith(".debug_"):
            out.append(f"section {s.name} stays in memory")
    entry = image.section(image.entry)
    if not entry or not entry.flags & Section.EXECUTE:
        out.append(f"the entry point {image.entry:#x} is not in executable memory")
    return out


def unwind(image, _):
    rva, size = image.directories[EXCEPTION]
    if not size:
        return ["there is no unwind data (.pdata)"]
    out, last = [], 0
    for begin, end, information in image.functions():
        section = image.section(begin, end - begin) if end > begin else None
        if begin < last or not section or not section.flags & Section.EXECUTE:
            out.append(f"the unwind entry of {begin:#x} is out of order or not in code")
        elif image.at("<B", information)[0] & 7 not in (1, 2):
            out.append(f"the unwind information of {begin:#x} has an unknown version")
        last = end
    if not any(b <= image.entry < e for b, e, _ in image.functions()):
        out.append("the entry point has no unwind data")
    return out


def imports(image, exported):
    out = []
    if image.directories[DELAY_IMPORT][1]:
        out.append("it has delayed imports")
    found = image.imports()
    if not found:
        out.append("it imports nothing")
    for module, name in found:
        if name is None:
            out.append(f"it imports from {module} by ordinal")
        elif name not in exported.get(module.lower(), ()):
            out.append(f"it imports {module}!{name}, which is in no .def file")
    return out


def relocations(image, _):
    out = []
    if image.characteristics & RELOCS_STRIPPED:
        out.append("its relocations were stripped")
    if not image.directories[RELOCATION][1]:
        return out + ["there are no relocations"]
    for kind, rva in image.relocations():
        section = image.section(rva, 8)
        if kind not in (0, 10) or (kind == 10 and not section):
            out.append(f"the relocation of {rva:#x} (type {kind}) is wrong")
        elif kind == 10:
            value, = image.at("<Q", rva)
            if not image.base <= value < image.base + image.size:
                out.append(f"the relocated value at {rva:#x} points outside the image")
    return out


def mitigations(image, _):
    wanted = ((HIGH_ENTROPY_VA, "HIGH_ENTROPY_VA"), (DYNAMIC_BASE, "DYNAMIC_BASE"), (NX_COMPATIBLE, "NX_COMPAT"),
              (GUARD_CF, "GUARD_CF"))
    return [f"{name} is not set" for bit, name in wanted if not image.flags & bit]


def load_configuration(image, _):
    rva, size = image.directories[LOAD_CONFIG]
    if not size:
        return ["there is no load configuration"]
    out = []
    if image.at("<I", rva)[0] < 0x138:
        out.append("the load configuration is too short")
    cookie, = image.at("<Q", rva + 0x58)
    section = image.section(cookie - image.base, 8)
    if not section or not section.flags & Section.WRITE:
        out.append("the stack cookie is not in writable memory")
    elif image.at("<Q", cookie - image.base)[0] != COOKIE_INITIAL:
        out.append("the stack cookie has not the initial value that the loader replaces")
    for offset, name in ((0x70, "check"), (0x78, "dispatch")):
        pointer, = image.at("<Q", rva + offset)
        target = image.at("<Q", pointer - image.base)[0] - image.base if image.section(pointer - image.base, 8) else 0
        code = image.section(target)
        if not code or not code.flags & Section.EXECUTE:
            out.append(f"the CFG {name} pointer leads to no code")
    flags, = image.at("<I", rva + 0x90)
    table, count = image.at("<QQ", rva + 0x80)
    if not flags & CF_INSTRUMENTED or not flags & CF_FUNCTION_TABLE_PRESENT or not count:
        out.append("the CFG function table is missing")
    else:
        stride = 4 + (flags >> 28)
        for i in range(count):
            target, = image.at("<I", table - image.base + stride * i)
            code = image.section(target)
            if not code or not code.flags & Section.EXECUTE:
                out.append(f"the CFG target {target:#x} is no code")
    return out


RULES = {f.__name__: f for f in (header, checksum, write_xor_execute, discardable, unwind, imports, relocations,
                                 mitigations, load_configuration)}
