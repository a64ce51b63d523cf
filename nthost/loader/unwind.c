/* Stacks of driver code: x64 unwind codes (.pdata) applied to a register state.
 * Reads of the stack may hit anything when a driver misbehaved, so they go through process_vm_readv when the
 * address is not on the calling thread's own stack.
 *
 * Source: Microsoft, "x64 exception handling" (unwind data, unwind procedure). */
#include "loader/image_private.h"

#include "sched/sched.h"
#include "sched/sim.h"

#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define REGISTER_RSP  4
#define FLAG_CHAIN    4u
#define MAX_CHAIN     32
#define MACHINE_FRAME 40u /* rip, cs, eflags, rsp, ss */

enum unwind_operation {
    PUSH_NONVOL = 0,
    ALLOC_LARGE = 1,
    ALLOC_SMALL = 2,
    SET_FPREG = 3,
    SAVE_NONVOL = 4,
    SAVE_NONVOL_FAR = 5,
    EPILOG = 6, /* version 2 only: describes epilogues, nothing to undo */
    SAVE_XMM128 = 8,
    SAVE_XMM128_FAR = 9,
    PUSH_MACHFRAME = 10
};

struct frame_state {
    uint64_t rip;
    uint64_t registers[16];
};

static _Thread_local uintptr_t stack_low;
SIM_FOLLOWS_THREAD(stack_low)
static _Thread_local uintptr_t stack_high;
SIM_FOLLOWS_THREAD(stack_high)

static void find_own_stack(void)
{
    sched_stack_bounds(&stack_low, &stack_high);
    if (stack_low == 0)
        stack_low = 1; /* tried */
}

static bool read_u64(uint64_t address, uint64_t *value)
{
    if (stack_low == 0)
        find_own_stack();
    /* Only above the current frame: the lower part of the stack may not be mapped yet. */
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    if (address >= here && here >= stack_low && stack_high >= 8 && address <= stack_high - 8) {
        memcpy(value, (const void *)(uintptr_t)address, sizeof *value);
        return true;
    }
    struct iovec local = {value, sizeof *value}, remote = {(void *)(uintptr_t)address, sizeof *value};
    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)sizeof *value;
}

/* The RUNTIME_FUNCTION that covers rva; false if it is a leaf function. */
static bool find_function(const struct pe_file *pe, uint32_t rva, uint32_t *begin, uint32_t *info)
{
    struct pe_directory directory = pe->directories[PE_DIRECTORY_EXCEPTION];
    const uint8_t *table = directory.size ? pe_bytes(pe, directory.rva, directory.size) : NULL;
    if (!table)
        return false;
    uint32_t low = 0, high = directory.size / PE_RUNTIME_ENTRY;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const uint8_t *entry = table + (size_t)middle * PE_RUNTIME_ENTRY;
        if (rva < pe_u32(entry)) {
            high = middle;
        } else if (rva >= pe_u32(entry + 4)) {
            low = middle + 1;
        } else {
            *begin = pe_u32(entry);
            *info = pe_u32(entry + 8);
            return true;
        }
    }
    return false;
}

/* Number of 16-bit slots that the code at `codes` takes. */
static unsigned code_slots(unsigned operation, unsigned info)
{
    switch (operation) {
    case ALLOC_LARGE:
        return info == 0 ? 2 : 3;
    case SAVE_NONVOL:
    case SAVE_XMM128:
        return 2;
    case SAVE_NONVOL_FAR:
    case SAVE_XMM128_FAR:
        return 3;
    default:
        return 1;
    }
}

/* Undoes one code. False when memory cannot be read or the code is unknown; *machine_frame: the code replaced
 * rip and rsp itself. */
static bool undo_code(struct frame_state *state, const uint8_t *code, unsigned operation, unsigned info,
                      uint64_t frame_base, bool *machine_frame)
{
    uint64_t *rsp = &state->registers[REGISTER_RSP];
    uint64_t value;
    switch (operation) {
    case PUSH_NONVOL:
        if (!read_u64(*rsp, &state->registers[info]))
            return false;
        *rsp += 8;
        return true;
    case ALLOC_LARGE:
        *rsp += info == 0 ? (uint64_t)pe_u16(code + 2) * 8 : pe_u32(code + 2);
        return true;
    case ALLOC_SMALL:
        *rsp += (uint64_t)info * 8 + 8;
        return true;
    case SET_FPREG:
        *rsp = frame_base;
        return true;
    case SAVE_NONVOL:
        return read_u64(frame_base + (uint64_t)pe_u16(code + 2) * 8, &state->registers[info]);
    case SAVE_NONVOL_FAR:
        return read_u64(frame_base + pe_u32(code + 2), &state->registers[info]);
    case EPILOG:
    case SAVE_XMM128:
    case SAVE_XMM128_FAR:
        return true;
    case PUSH_MACHFRAME:
        value = *rsp + (info ? 8 : 0);
        if (!read_u64(value, &state->rip) || !read_u64(value + 24, rsp))
            return false;
        *machine_frame = true;
        return true;
    default:
        return false;
    }
}

/* Undoes the prologue of the function at `begin` as far as it has run. */
static bool undo_prologue(const struct pe_file *pe, struct frame_state *state, uint32_t rva, uint32_t begin,
                          uint32_t info_rva, bool *machine_frame)
{
    for (unsigned chain = 0; chain < MAX_CHAIN; chain++) {
        const uint8_t *info = pe_bytes(pe, info_rva, 4);
        if (!info)
            return false;
        unsigned version = info[0] & 7, flags = info[0] >> 3, prologue = info[1], count = info[2];
        unsigned frame_register = info[3] & 15, frame_offset = (info[3] >> 4) * 16u;
        uint32_t length = 4 + count * 2u + (count & 1) * 2u + (flags & FLAG_CHAIN ? PE_RUNTIME_ENTRY : 0);
        info = pe_bytes(pe, info_rva, length);
        if (!info || (version != 1 && version != 2))
            return false;

        /* Chained parts are reached with the whole primary prologue done. */
        uint32_t executed = chain == 0 ? rva - begin : UINT32_MAX;
        bool frame_set = frame_register != 0;
        if (frame_set && executed < prologue) {
            frame_set = false;
            for (unsigned i = 0; i < count;) {
                const uint8_t *code = info + 4 + i * 2u;
                unsigned operation = code[1] & 15;
                if (operation == SET_FPREG && code[0] <= executed)
                    frame_set = true;
                i += code_slots(operation, code[1] >> 4);
            }
        }
        uint64_t frame_base =
            frame_set ? state->registers[frame_register] - frame_offset : state->registers[REGISTER_RSP];
        for (unsigned i = 0; i < count;) {
            const uint8_t *code = info + 4 + i * 2u;
            unsigned operation = code[1] & 15, operand = code[1] >> 4;
            unsigned slots = code_slots(operation, operand);
            if (i + slots > count)
                return false;
            bool done = executed >= prologue || code[0] <= executed || operation == EPILOG;
            if (done && !undo_code(state, code, operation, operand, frame_base, machine_frame))
                return false;
            i += slots;
        }
        if (!(flags & FLAG_CHAIN))
            return true;
        const uint8_t *chained = info + 4 + count * 2u + (count & 1) * 2u;
        begin = pe_u32(chained);
        info_rva = pe_u32(chained + 8);
    }
    return false;
}

/* One step to the caller. False at the end. */
static bool unwind_step(const struct image *image, struct frame_state *state, bool innermost)
{
    uint32_t rva = (uint32_t)((const uint8_t *)(uintptr_t)state->rip - image->base), begin, info;
    uint64_t old_rsp = state->registers[REGISTER_RSP];
    bool machine_frame = false;
    /* A return address can stand behind the last byte of a function that ends with a call. */
    uint32_t lookup = innermost ? rva : rva - 1;
    if (find_function(&image->pe, lookup, &begin, &info)) {
        if (!undo_prologue(&image->pe, state, rva, begin, info, &machine_frame))
            return false;
    }
    if (!machine_frame) {
        if (!read_u64(state->registers[REGISTER_RSP], &state->rip))
            return false;
        state->registers[REGISTER_RSP] += 8;
    }
    return state->registers[REGISTER_RSP] > old_rsp;
}

unsigned image_unwind(uint64_t rip, uint64_t rsp, uint64_t rbp, const uint64_t *nonvolatile, uint64_t *frames,
                      unsigned max)
{
    struct frame_state state = {.rip = rip};
    if (nonvolatile)
        memcpy(state.registers, nonvolatile, sizeof state.registers);
    state.registers[REGISTER_RSP] = rsp;
    state.registers[5] = rbp;
    unsigned count = 0;
    while (count < max) {
        const struct image *image = image_find((const void *)(uintptr_t)state.rip);
        if (!image)
            break;
        frames[count++] = state.rip;
        if (!unwind_step(image, &state, count == 1))
            break;
    }
    return count;
}
