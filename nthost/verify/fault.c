/* Faults: a driver that touches what it must not gets a report that says what the memory is or was, instead
 * of a crash.  Also a fault in a host function that the driver gave a bad pointer is the driver's; one
 * anywhere else is a defect of the host, and says so. */
#include "verify/internal.h"

#include "imports/imports.h"
#include "loader/image.h"
#include "sched/sched.h"
#include "sched/sim.h"

#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#define HANDLER_STACK      (256u * 1024)
#define FIRST_PAGES        0x10000u
#define GUARD_SPAN         (1024u * 1024) /* a large frame may jump over the guard page itself */
#define PAGE_FAULT_WRITE   2u             /* bits of the processor's error code */
#define PAGE_FAULT_FETCH   16u
#define UNINITIALIZED_WORD 0xc5c5c5c5u
#define GIVEN_BACK_WORD    0xddddddddu

static pthread_key_t handler_stack_key;
static _Thread_local uintptr_t stack_low;
SIM_FOLLOWS_THREAD(stack_low)
static _Thread_local bool handling;
SIM_FOLLOWS_THREAD(handling)

/* ---- preparing ---- */

static void free_handler_stack(void *memory)
{
    stack_t none = {.ss_flags = SS_DISABLE};
    sigaltstack(&none, NULL);
    munmap(memory, HANDLER_STACK);
}

void fault_prepare_thread(void)
{
    uintptr_t high;
    sched_stack_bounds(&stack_low, &high);
    if (sim_active && pthread_getspecific(handler_stack_key))
        return; /* all fibers share the handler's stack of their one thread */
    void *memory = mmap(NULL, HANDLER_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return; /* reports of stack overflows are lost, nothing else */
    stack_t stack = {.ss_sp = memory, .ss_size = HANDLER_STACK};
    sigaltstack(&stack, NULL);
    pthread_setspecific(handler_stack_key, memory);
}

/* Does `address` lie in the guard area below the calling thread's stack, and near the stack pointer? */
static bool fault_below_stack(uintptr_t address, uintptr_t rsp)
{
    return stack_low && address < stack_low + 4096 && address >= stack_low - GUARD_SPAN &&
           address - rsp + GUARD_SPAN < 2 * GUARD_SPAN;
}

/* ---- the driver's frames ---- */

static bool read_word(uint64_t address, uint64_t *value)
{
    struct iovec local = {value, sizeof *value}, remote = {(void *)(uintptr_t)address, sizeof *value};
    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)sizeof *value;
}

static void unwind_registers(const greg_t *from, uint64_t to[16])
{
    static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                  REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    for (unsigned i = 0; i < 16; i++)
        to[i] = (uint64_t)from[order[i]];
}

/* Host code that the driver reached through a table: follow the frame pointers to the driver. */
static unsigned frames_above_host(uint64_t frame, uint64_t *frames, unsigned max)
{
    for (unsigned hop = 0; hop < 64; hop++) {
        uint64_t caller_frame, return_address;
        if (!read_word(frame, &caller_frame) || !read_word(frame + 8, &return_address))
            return 0;
        if (image_find((const void *)(uintptr_t)return_address))
            return image_unwind(return_address, frame + 16, caller_frame, NULL, frames, max);
        if (caller_frame <= frame)
            return 0;
        frame = caller_frame;
    }
    return 0;
}

/* Returns false if the host itself is at fault. */
static bool set_driver_frames(const ucontext_t *context)
{
    uint64_t registers[16], frames[STACK_FRAMES], return_address;
    const greg_t *general = context->uc_mcontext.gregs;
    uint64_t rip = (uint64_t)general[REG_RIP], rsp = (uint64_t)general[REG_RSP];
    unsigned count = 0;
    unwind_registers(general, registers);
    if (image_find((const void *)(uintptr_t)rip)) {
        count = image_unwind(rip, rsp, registers[5], registers, frames, STACK_FRAMES);
        stack_set_fault(frames, count, false);
        return true;
    }
    /* A call to nowhere: what it would have returned to is on top of the stack. */
    if (read_word(rsp, &return_address) && image_find((const void *)(uintptr_t)return_address)) {
        registers[4] = rsp + 8;
        count = image_unwind(return_address, rsp + 8, registers[5], registers, frames, STACK_FRAMES);
        stack_set_fault(frames, count, false);
        return true;
    }
    if (import_depth() == 0) {
        count = frames_above_host(registers[5], frames, STACK_FRAMES);
        if (count == 0)
            return false;
    }
    stack_set_fault(frames, count, count == 0);
    return true;
}

/* ---- what the memory is ---- */

static const char *access_name(const ucontext_t *context)
{
    greg_t error = context->uc_mcontext.gregs[REG_ERR];
    return error & PAGE_FAULT_FETCH ? "executing" : error & PAGE_FAULT_WRITE ? "writing" : "reading";
}

static unsigned history(const struct memory_place *place, struct report_note notes[2])
{
    snprintf(notes[0].title, sizeof notes[0].title, "the %s %p of %zu bytes was made", place->what,
             (const void *)place->memory, place->bytes);
    notes[0].stack = place->allocated;
    if (place->state != MEMORY_FREED)
        return 1;
    snprintf(notes[1].title, sizeof notes[1].title, "it was freed or given back");
    notes[1].stack = place->freed;
    return 2;
}

static void report_block(const struct memory_place *place, const char *address, const char *access)
{
    struct report_note notes[2];
    unsigned count = history(place, notes);
    if (place->state == MEMORY_FREED)
        report_notes(place->rule, notes, count,
                     "%s %p, %td bytes from the start of a %s that was freed or given back", access,
                     (const void *)address, address - place->memory, place->what);
    if (address >= place->memory + place->bytes)
        report_notes(RULE_POOL_OVERRUN, notes, count, "%s %p, %td bytes behind the end of a %s", access,
                     (const void *)address, address - place->memory - (ptrdiff_t)place->bytes, place->what);
    report_notes(RULE_ACCESS_VIOLATION, notes, count, "%s %p, in a %s", access, (const void *)address,
                 place->what);
}

static void report_image(const char *address, const char *access)
{
    const struct image *image = image_find(address);
    const char *section, *symbol = "?";
    bool discarded = false;
    size_t offset = 0;
    if (!image)
        return;
    section = image_section_name(address, &discarded);
    (void)image_symbol(address, &symbol, &offset);
    if (discarded)
        verify_report(RULE_DISCARDED_CODE, "%s %p (%s+0x%zx), in the discarded section %s", access,
                      (const void *)address, symbol, offset, section);
    verify_report(RULE_ACCESS_VIOLATION, "%s %p, in section %s of the image, which does not allow it", access,
                  (const void *)address, section ? section : "(none)");
}

/* A pointer that is no address: does one of the registers carry a pattern? */
static void report_noncanonical(const ucontext_t *context)
{
    uint64_t registers[16];
    unwind_registers(context->uc_mcontext.gregs, registers);
    for (unsigned i = 0; i < 16; i++) {
        if ((uint32_t)(registers[i] >> 32) == UNINITIALIZED_WORD)
            verify_report(
                RULE_POOL_UNINITIALIZED,
                "a pointer with the value 0x%llx: it was read from pool memory that was never written",
                (unsigned long long)registers[i]);
        if ((uint32_t)(registers[i] >> 32) == GIVEN_BACK_WORD)
            verify_report(RULE_POOL_USE_AFTER_FREE,
                          "a pointer with the value 0x%llx: it was read from memory that was given back",
                          (unsigned long long)registers[i]);
    }
    verify_report(RULE_ACCESS_VIOLATION, "a pointer that is not a canonical address was used");
}

_Noreturn static void report_fault(int signal, const siginfo_t *info, const ucontext_t *context)
{
    const char *address = info->si_addr, *access = access_name(context);
    struct memory_place place;
    if (signal == SIGILL || signal == SIGFPE || signal == SIGTRAP)
        verify_report(RULE_ACCESS_VIOLATION, "%s at %p",
                      signal == SIGFPE ? "an arithmetic exception"
                                       : "an instruction that stops or is not valid",
                      (const void *)address);
    if (info->si_code == SI_KERNEL)
        report_noncanonical(context);
    report_image(address, access);
    if (memory_find(address, &place))
        report_block(&place, address, access);
    if (fault_below_stack((uintptr_t)address, (uintptr_t)context->uc_mcontext.gregs[REG_RSP]))
        verify_report(RULE_STACK_OVERFLOW, "%s %p, below the thread's stack", access, (const void *)address);
    if ((uintptr_t)address < FIRST_PAGES)
        verify_report(RULE_ACCESS_VIOLATION, "%s %p: a null pointer was used", access, (const void *)address);
    verify_report(RULE_ACCESS_VIOLATION, "%s %p: nothing is mapped there for that", access,
                  (const void *)address);
}

static void host_frames(void)
{
    void *frames[48];
    static const char text[] = "  the host's frames:\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) > 0)
        backtrace_symbols_fd(frames, backtrace(frames, 48), STDERR_FILENO);
}

static void handle(int number, siginfo_t *info, void *context)
{
    if (!handling && set_driver_frames(context)) {
        handling = true;
        if (!image_find((const void *)(uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP]) &&
            getenv("NTHOST_HOST_FRAMES"))
            host_frames();
        report_fault(number, info, context);
    }
    static const char text[] = "nthost: verify: a fault in nthost itself, not in the driver\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) > 0 && !handling)
        host_frames();
    signal(number, SIG_DFL); /* the instruction runs again and ends the process */
}

void fault_start(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    void *frame;
    if (pthread_key_create(&handler_stack_key, free_handler_stack) != 0)
        host_fatal("no thread key for the stacks of the fault handler");
    (void)backtrace(&frame, 1); /* loads what it needs now, not while handling a fault */
    sigemptyset(&action.sa_mask);
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
    fault_prepare_thread();
}
