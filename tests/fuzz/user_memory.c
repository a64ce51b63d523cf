/* Watched memory is inaccessible: an access faults, the page is opened, one instruction runs under the trap
 * flag, and in the trap behind it the memory is changed and closed again.  The instruction is decoded to know
 * which bytes it reads. */
#include "user_memory.h"

#include "host.h"
#include "machine.h"

#include <capstone/capstone.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define TRAP_FLAG         0x100
#define PAGE_FAULT_WRITES 2 /* bit of the error code */

static uint8_t *memory, *used;
static size_t used_length, last_access;
static struct input changes;
static unsigned accesses, next_change;
static bool watching;
static volatile bool stepping;
static struct sigaction before_segv, before_trap;

/* ---- fetched twice ---- */

/* memcpy makes a copy of vector loads that overlap (the last 32 bytes, then from the front on): it is one
 * value of each byte all the same.  Such loads are neighbours in the code, and not the same load again. */
#define COPY_CODE_BYTES 1024
#define COPY_LOAD_BYTES 16

static csh decoder;
static cs_insn *decoded;
static struct fetch {
    uint32_t offset, bytes, access; /* `access` of this call, from 1 on; 0: not yet fetched */
    uint64_t rip;
} fetches[USER_MEMORY_BYTES]; /* by byte: who read it */

static void decoder_start(void)
{
    if (cs_open(CS_ARCH_X86, CS_MODE_64, &decoder) != CS_ERR_OK ||
        cs_option(decoder, CS_OPT_DETAIL, CS_OPT_ON) != CS_ERR_OK || !(decoded = cs_malloc(decoder)))
        host_fatal("the instruction decoder cannot be started");
}

/* How many bytes the instruction reads of the memory it touched, 0 when it only writes there.  Capstone takes
 * some vector stores for loads, so the page fault's word counts as well; an operation on memory in place (or,
 * inc) does both. */
static uint32_t bytes_read(uint64_t rip, bool write_fault)
{
    const uint8_t *code = (const uint8_t *)(uintptr_t)rip;
    size_t length = 15; /* the longest instruction */
    uint64_t address = rip;
    uint32_t bytes = 0;
    if (!cs_disasm_iter(decoder, &code, &length, &address, decoded))
        host_fatal("an instruction at %p that reads a user's memory cannot be decoded", (const void *)code);
    const cs_x86 *x86 = &decoded->detail->x86;
    for (unsigned i = 0; i < x86->op_count; i++) {
        uint8_t wanted = write_fault ? CS_AC_READ | CS_AC_WRITE : CS_AC_READ;
        if (x86->operands[i].type == X86_OP_MEM && (x86->operands[i].access & wanted) == wanted)
            bytes = x86->operands[i].size;
    }
    return bytes;
}

static void note_read(uint32_t offset, uint64_t rip, bool write_fault)
{
    uint32_t bytes = bytes_read(rip, write_fault);
    struct fetch now = {offset, bytes, accesses + 1, rip};
    for (uint32_t i = offset; i < offset + bytes && i < USER_MEMORY_BYTES; i++) {
        const struct fetch *before = &fetches[i];
        bool same = before->offset == offset && before->bytes == bytes;
        uint64_t apart = before->rip < rip ? rip - before->rip : before->rip - rip;
        bool copy = apart <= COPY_CODE_BYTES && bytes == COPY_LOAD_BYTES && before->bytes == COPY_LOAD_BYTES;
        if (before->access && (same || !copy))
            machine_wrong(
                "byte %zd of the caller's buffer is fetched twice: access %u at %#llx, %u bytes; access "
                "%u at %#llx, %u bytes",
                (ssize_t)i - (ssize_t)(used - memory), before->access, (unsigned long long)before->rip,
                before->bytes, now.access, (unsigned long long)rip, bytes);
        fetches[i] = now;
    }
}

/* ---- watching ---- */

static void pass_on(const struct sigaction *action, int number, siginfo_t *info, void *context)
{
    if (action->sa_flags & SA_SIGINFO)
        action->sa_sigaction(number, info, context);
    else
        signal(number, SIG_DFL);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    ucontext_t *registers = context;
    if (!watching || (uintptr_t)info->si_addr - (uintptr_t)memory >= USER_MEMORY_BYTES) {
        pass_on(&before_segv, number, info, context);
        return;
    }
    mprotect(memory, USER_MEMORY_BYTES, PROT_READ | PROT_WRITE);
    registers->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
    note_read((uint32_t)((uint8_t *)info->si_addr - memory), (uint64_t)registers->uc_mcontext.gregs[REG_RIP],
              registers->uc_mcontext.gregs[REG_ERR] & PAGE_FAULT_WRITES);
    last_access = (uintptr_t)info->si_addr >= (uintptr_t)used ? (size_t)((uint8_t *)info->si_addr - used) : 0;
    stepping = true;
}

static void on_trap(int number, siginfo_t *info, void *context)
{
    ucontext_t *registers = context;
    if (!stepping) {
        pass_on(&before_trap, number, info, context);
        return;
    }
    stepping = false;
    registers->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    accesses++;
    if (!watching)
        return;
    if (input_more(&changes) && accesses >= next_change) {
        /* Mostly what was just read: a second look at it is what this is about. */
        uint8_t where = input_u8(&changes);
        size_t place = where & 1 ? (size_t)where * (used_length / 256 + 1) : last_access + where / 2 % 16;
        used[place % used_length] = input_u8(&changes);
        next_change = accesses + 1 + input_u8(&changes);
    }
    mprotect(memory, USER_MEMORY_BYTES, PROT_NONE);
}

void user_memory_start(void)
{
    struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    struct sigaction trap = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    memory = mmap(NULL, USER_MEMORY_BYTES + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory + USER_MEMORY_BYTES, 4096, PROT_NONE))
        host_fatal("no memory for the user's buffer");
    decoder_start();
    sigaction(SIGSEGV, &fault, &before_segv);
    sigaction(SIGTRAP, &trap, &before_trap);
}

uint8_t *user_memory_get(size_t length)
{
    if (length > USER_MEMORY_BYTES)
        host_fatal("a user's buffer has at most %u bytes", USER_MEMORY_BYTES);
    memset(memory, 0, USER_MEMORY_BYTES);
    used = memory + USER_MEMORY_BYTES - length;
    used_length = length;
    return used;
}

void user_memory_watch(struct input *input)
{
    changes = *input;
    accesses = 0;
    memset(fetches, 0, sizeof fetches);
    next_change = used_length ? 1u + input_u8(&changes) : ~0u;
    watching = true;
    mprotect(memory, USER_MEMORY_BYTES, PROT_NONE);
}

unsigned user_memory_unwatch(void)
{
    watching = false;
    mprotect(memory, USER_MEMORY_BYTES, PROT_READ | PROT_WRITE);
    return accesses;
}
