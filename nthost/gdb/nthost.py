"""Shows gdb the drivers that nthost loads: symbols, source lines and types from the DWARF in the .sys file.

    gdb -x nthost/gdb/nthost.py --args build/bin/nthost run build/bin/wyrm.sys --name wg0
    (gdb) break DriverEntry
    (gdb) run

or `gdb -x nthost/gdb/nthost.py -p PID` for one that runs already.  The loader calls nthost_image_loaded(path, base,
text) for every image; a breakpoint there adds the file with the addresses of its sections.
"""

import struct

import gdb
import gdb.unwinder

SECTION_HEADER = 40
EXCEPTION_DIRECTORY = 3
REGISTERS = ("rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15").split()  # order of the unwind codes
NONVOLATILE = ("rbx", "rbp", "rsi", "rdi", "r12", "r13", "r14", "r15")
ADDED = set()
IMAGES = []


def sections(path):
    """Name and RVA of each section of a PE file that holds code or data."""
    with open(path, "rb") as file:
        data = file.read()
    header = struct.unpack_from("<I", data, 0x3C)[0] + 4
    count, symbols, symbol_count, optional = struct.unpack_from("<2xH4xIIH", data, header)
    strings = symbols + 18 * symbol_count
    table = header + 20 + optional
    for index in range(count):
        raw, rva = struct.unpack_from("<8s4xI", data, table + index * SECTION_HEADER)
        name = raw.rstrip(b"\0").decode("ascii", "replace")
        if name.startswith("/") and symbols:
            start = strings + int(name[1:])
            name = data[start : data.index(b"\0", start)].decode("ascii", "replace")
        if not name.startswith(".debug"):
            yield name, rva


class Image:
    """Unwind data of a mapped image, read from its file (x64 exception handling, as loader/unwind.c)."""

    def __init__(self, path, base):
        with open(path, "rb") as file:
            self.data = file.read()
        self.base = base
        header = struct.unpack_from("<I", self.data, 0x3C)[0] + 4
        count, optional = struct.unpack_from("<2xH12xH", self.data, header)
        self.size = struct.unpack_from("<I", self.data, header + 20 + 56)[0]
        rva, length = struct.unpack_from("<II", self.data, header + 20 + 112 + 8 * EXCEPTION_DIRECTORY)
        self.sections = [
            struct.unpack_from("<8xIIII", self.data, header + 20 + optional + i * SECTION_HEADER) for i in range(count)
        ]
        self.functions = list(struct.iter_unpack("<III", self.read(rva, length))) if length else []

    def read(self, rva, length):
        for virtual_size, start, raw_size, offset in self.sections:
            if start <= rva and rva + length <= start + raw_size:
                return self.data[offset + rva - start : offset + rva - start + length]
        raise ValueError(f"no data at RVA {rva:#x}")

    def function(self, rva):
        for begin, end, info in self.functions:
            if begin <= rva < end:
                return begin, info
        return None

    def undo(self, rva, lookup, registers, memory):
        """Takes `registers` (by number) to what they were before the prologue of the function at `lookup`."""
        found = self.function(lookup)
        first = True
        while found:
            begin, info = found
            head = self.read(info, 4)
            prologue, count, frame = head[1], head[2], head[3]
            codes = self.read(info + 4, count * 2)
            executed = rva - begin if first else 1 << 32
            done = [executed >= prologue or codes[i] <= executed for i in range(0, count * 2, 2)]
            frame_set = frame & 15 and (
                executed >= prologue or any(codes[2 * i + 1] & 15 == 3 and done[i] for i in range(count))
            )
            base = registers[frame & 15] - (frame >> 4) * 16 if frame_set else registers[4]
            i = 0
            while i < count:
                operation, operand = codes[2 * i + 1] & 15, codes[2 * i + 1] >> 4
                word = struct.unpack_from("<H", codes, 2 * i + 2)[0] if 2 * i + 4 <= len(codes) else 0
                double = struct.unpack_from("<I", codes, 2 * i + 2)[0] if 2 * i + 6 <= len(codes) else 0
                slots = {1: 3 if operand else 2, 4: 2, 5: 3, 8: 2, 9: 3}.get(operation, 1)
                if done[i]:
                    if operation == 0:
                        registers[operand] = memory(registers[4])
                        registers[4] += 8
                    elif operation == 1:
                        registers[4] += double if operand else word * 8
                    elif operation == 2:
                        registers[4] += operand * 8 + 8
                    elif operation == 3:
                        registers[4] = base
                    elif operation in (4, 5):
                        registers[operand] = memory(base + (word * 8 if operation == 4 else double))
                i += slots
            first = False
            chained = head[0] >> 3 & 4
            found = struct.unpack("<I4xI", self.read(info + 4 + (count + count % 2) * 2, 12)) if chained else None


def read_u64(address):
    return struct.unpack("<Q", gdb.selected_inferior().read_memory(address, 8).tobytes())[0]


def real_return_address(address, slot):
    """In verify mode an import's return address is thunk_return; the driver's own is on the shadow stack."""
    try:
        if address != int(gdb.parse_and_eval("(unsigned long)&thunk_return")):
            return address
        stack = gdb.parse_and_eval("shadow")
        for index in range(int(stack["depth"]) - 1, -1, -1):
            if int(stack["frames"][index]["slot"]) == slot:
                return int(stack["frames"][index]["return_address"])
    except gdb.error:
        pass
    return address


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class DriverUnwinder(gdb.unwinder.Unwinder):
    """Frames of driver code, and of the thunks between driver and host."""

    def __init__(self):
        super().__init__("nthost-driver")

    def __call__(self, frame):
        pc = int(frame.read_register("rip")) & (2**64 - 1)
        sp = int(frame.read_register("rsp")) & (2**64 - 1)
        word = gdb.lookup_type("unsigned long")
        if pc == self.thunk_return():
            # A host function will return here; the driver's frame is next, with the stack as it is.
            real = real_return_address(pc, sp - 8)
            if real == pc:
                return None
            info = frame.create_unwind_info(FrameId(gdb.Value(sp).cast(word), gdb.Value(pc).cast(word)))
            info.add_saved_register("rip", gdb.Value(real).cast(word))
            info.add_saved_register("rsp", gdb.Value(sp).cast(word))
            for name in NONVOLATILE:
                info.add_saved_register(name, frame.read_register(name))
            return info
        image = next((image for image in IMAGES if image.base <= pc < image.base + image.size), None)
        if not image:
            return None
        registers = [0] * 16
        for number, name in enumerate(REGISTERS):
            if name in NONVOLATILE or name == "rsp":
                registers[number] = int(frame.read_register(name)) & (2**64 - 1)
        rva = pc - image.base
        innermost = not hasattr(frame, "level") or frame.level() == 0
        lookup = rva if innermost else rva - 1
        try:
            image.undo(rva, lookup, registers, read_u64)
            address = real_return_address(read_u64(registers[4]), registers[4])
        except (ValueError, gdb.error, struct.error):
            return None
        found = image.function(lookup)
        start = image.base + (found[0] if found else rva)
        cfa = registers[4] + 8
        info = frame.create_unwind_info(FrameId(gdb.Value(cfa).cast(word), gdb.Value(start).cast(word)))
        info.add_saved_register("rip", gdb.Value(address).cast(word))
        info.add_saved_register("rsp", gdb.Value(cfa).cast(word))
        for number, name in enumerate(REGISTERS):
            if name in NONVOLATILE:
                info.add_saved_register(name, gdb.Value(registers[number]).cast(word))
        return info

    @staticmethod
    def thunk_return():
        try:
            return int(gdb.parse_and_eval("(unsigned long)&thunk_return"))
        except gdb.error:
            return 0


def add_image(path, base):
    if (path, base) in ADDED:
        return
    ADDED.add((path, base))
    try:
        IMAGES.append(Image(path, base))
        placed = [f'-s "{name}" {base + rva:#x}' for name, rva in sections(path)]
        gdb.execute(f'add-symbol-file "{path}" {" ".join(placed)}', to_string=True)
    except (OSError, struct.error, ValueError, gdb.error) as error:
        print(f"nthost: no symbols for {path}: {error}")
        return
    print(f"nthost: symbols of {path} at {base:#x}")


def add_present_images():
    """For a process that was attached to: walks the loader's list."""
    try:
        image = gdb.parse_and_eval("'loader/image.c'::images")
    except gdb.error:
        try:
            image = gdb.parse_and_eval("images")
        except gdb.error:
            return
    while int(image):
        add_image(image["path"].string(), int(image["base"]))
        image = image["next"]


class ImageLoaded(gdb.Breakpoint):
    """Never stops; looks at the arguments in their registers, so that optimised code is no obstacle."""

    def __init__(self):
        super().__init__("*nthost_image_loaded", internal=True)
        self.silent = True

    def stop(self):
        path = gdb.parse_and_eval("(char *)$rdi").string()
        add_image(path, int(gdb.parse_and_eval("$rsi")) & (2**64 - 1))
        return False


gdb.execute("set breakpoint pending on")
gdb.unwinder.register_unwinder(None, DriverUnwinder(), replace=True)
ImageLoaded()
if gdb.selected_inferior().pid:
    add_present_images()
