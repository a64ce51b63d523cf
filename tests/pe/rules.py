"""What a kernel image of ours must satisfy.  Each rule is a function (image, known) -> problems (list of text), known
being {module in lower case: {name: first version of Windows that exports it}}."""
from image import ARM64, DELAY_IMPORT, EXCEPTION, EXPORT, I386, LOAD_CONFIG, RELOCATION, SECURITY, TLS, Section

SUBSYSTEM_NATIVE = 1
RELOCS_STRIPPED, EXECUTABLE_IMAGE = 0x1, 0x2
HIGH_ENTROPY_VA, DYNAMIC_BASE, NX_COMPATIBLE, GUARD_CF = 0x20, 0x40, 0x100, 0x4000
# What the loader recognises and replaces, by the size of a pointer.
COOKIE_INITIAL = {8: 0x00002B992DDFA232, 4: 0xBB40E64E}
# Microsoft Learn, "Load Configuration Structure": least size, cookie, CFG check and dispatch function, table, flags.
LOAD_CONFIGURATION = {8: (0x138, 0x58, 0x70, 0x78, 0x80, 0x90), 4: (0x78, 0x3C, 0x48, 0x4C, 0x50, 0x58)}
RELOCATION_KIND = {8: 10, 4: 3}
# "?": not documented, and not new; what follows Windows 10's first release is missing.
OLD_ENOUGH = {"?", "x64 all", "Win2000", "WinXP", "WS2003", "Vista", "NDIS6.0", "VistaSP1", "WS2008 (doc)", "Win7", "Win8",
              "Win8? (undocumented)", "Win8.1"}
CF_INSTRUMENTED, CF_FUNCTION_TABLE_PRESENT = 0x100, 0x400


def header(image, _):
    out = []
    if image.machine != image.expected:
        out.append(f"the machine is {image.machine:#x}, not {image.expected:#x}")
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


def sections(image, _):
    """No section that we do not know, each with the access it needs and no more; none overlaps another."""
    out, last = [], image.header_size
    access = {".text": "RX", "INIT": "RX", ".rdata": "R", ".data": "RW", ".pdata": "R", ".rsrc": "R", ".reloc": "R"}
    for s in image.sections:
        has = "".join(letter for letter, flag in (("R", Section.READ), ("W", Section.WRITE), ("X", Section.EXECUTE))
                      if s.flags & flag)
        wanted = "R" if s.name.startswith(".debug_") else access.get(s.name)
        if has != wanted:
            out.append(f"section {s.name} has access {has or 'none'}, should have {wanted or 'not been there'}")
        if ("X" in has) != bool(s.flags & Section.CODE):
            out.append(f"section {s.name}: executable and code are not the same")
        if s.address < last or s.address % image.section_alignment:
            out.append(f"section {s.name} overlaps what is before it, or does not begin on a page")
        last = s.address + s.virtual_size
    if not last <= image.size < last + image.section_alignment:
        out.append(f"the size of the image is {image.size:#x}, its last section ends at {last:#x}")
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
        if gone and s.name not in ("INIT", ".reloc", ".rsrc") and not s.name.startswith(".debug_"):
            out.append(f"section {s.name} is discardable")
        if not gone and s.name.startswith(".debug_"):
            out.append(f"section {s.name} stays in memory")
    entry = image.section(image.entry)
    if not entry or not entry.flags & Section.EXECUTE:
        out.append(f"the entry point {image.entry:#x} is not in executable memory")
    return out


def unwind(image, _):
    rva, size = image.directories[EXCEPTION]
    if image.machine == I386: # frames are found without it
        return ["there is an exception directory, which x86 does not have"] if size else []
    if not size:
        return ["there is no unwind data (.pdata)"]
    out, last, alignment = [], 0, 4 if image.machine == ARM64 else 1
    functions = image.functions()
    for begin, end, known in functions:
        section = image.section(begin, end - begin) if end > begin else None
        if begin < last or begin % alignment or not section or not section.flags & Section.EXECUTE:
            out.append(f"the unwind entry of {begin:#x} is out of order or not in code")
        elif not known:
            out.append(f"the unwind information of {begin:#x} has an unknown version")
        last = end
    # A function that calls nothing needs none; ours of drivers do call.
    if image.subsystem == SUBSYSTEM_NATIVE and not any(b <= image.entry < e for b, e, _ in functions):
        out.append("the entry point has no unwind data")
    return out


def imports(image, known):
    out = []
    if image.directories[DELAY_IMPORT][1]:
        out.append("it has delayed imports")
    found = image.imports()
    if not found:
        out.append("it imports nothing")
    for module, name in found:
        if name is None:
            out.append(f"it imports from {module} by ordinal")
        elif name not in known.get(module.lower(), ()):
            out.append(f"it imports {module}!{name}, which is in no .def file")
        elif known[module.lower()][name] not in OLD_ENOUGH:
            out.append(f"it imports {module}!{name}, which only {known[module.lower()][name]} has")
    return out


def relocations(image, _):
    out = []
    if image.characteristics & RELOCS_STRIPPED:
        out.append("its relocations were stripped")
    if not image.directories[RELOCATION][1]:
        return out + ["there are no relocations"]
    wanted = RELOCATION_KIND[image.pointer_bytes]
    for kind, rva in image.relocations():
        section = image.section(rva, image.pointer_bytes)
        if kind not in (0, wanted) or (kind == wanted and not section):
            out.append(f"the relocation of {rva:#x} (type {kind}) is wrong")
        elif kind == wanted:
            value, = image.at(image.pointer, rva)
            if not image.base <= value < image.base + image.size:
                out.append(f"the relocated value at {rva:#x} points outside the image")
    return out


def mitigations(image, _):
    wanted = ((HIGH_ENTROPY_VA, "HIGH_ENTROPY_VA"), (DYNAMIC_BASE, "DYNAMIC_BASE"), (NX_COMPATIBLE, "NX_COMPAT"),
              (GUARD_CF, "GUARD_CF"))
    return [f"{name} is not set" for bit, name in wanted
            if not image.flags & bit and (bit != HIGH_ENTROPY_VA or image.pointer_bytes == 8)]


def load_configuration(image, _):
    rva, size = image.directories[LOAD_CONFIG]
    if not size:
        return ["there is no load configuration"]
    out, pointer, width = [], image.pointer, image.pointer_bytes
    length, at_cookie, at_check, at_dispatch, at_table, at_flags = LOAD_CONFIGURATION[width]
    if image.at("<I", rva)[0] < length:
        out.append("the load configuration is too short")
    cookie, = image.at(pointer, rva + at_cookie)
    section = image.section(cookie - image.base, width)
    if not section or not section.flags & Section.WRITE:
        out.append("the stack cookie is not in writable memory")
    elif image.at(pointer, cookie - image.base)[0] != COOKIE_INITIAL[width]:
        out.append("the stack cookie has not the initial value that the loader replaces")
    for offset, name in ((at_check, "check"), (at_dispatch, "dispatch")):
        address, = image.at(pointer, rva + offset)
        if name == "dispatch" and not address and image.machine in (I386, ARM64):
            continue # x64's way of calling only
        target = image.at(pointer, address - image.base)[0] - image.base if image.section(address - image.base, width) else 0
        code = image.section(target)
        if not code or not code.flags & Section.EXECUTE:
            out.append(f"the CFG {name} pointer leads to no code")
    flags, = image.at("<I", rva + at_flags)
    table, = image.at(pointer, rva + at_table)
    count, = image.at(pointer, rva + at_table + width)
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


RULES = {f.__name__: f for f in (header, sections, checksum, write_xor_execute, discardable, unwind, imports, relocations,
                                 mitigations, load_configuration)}
