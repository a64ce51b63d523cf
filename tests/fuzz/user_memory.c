/* Watched memory is inaccessible: an access faults, the page is opened, one instruction runs under the trap
 * flag, and in the trap behind it the memory is changed and closed again. */
#include "user_memory.h"

#include "host.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#define TRAP_FLAG 0x100

static uint8_t *memory, *used;
static size_t used_length, last_access;
static struct input changes;
static unsigned accesses, next_change;
static bool watching;
static volatile bool stepping;
static struct sigaction before_segv, before_trap;

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
