/* Fibers: the threads of a simulation.  One OS thread runs them all; the host's thread-local variables follow
 * the fiber that runs. */
#include "sim.h"

#include "host.h"
#include "internal.h"
#include "sim_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define STACK_BYTES    (512u * 1024) /* the driver's 24 KB and the host functions it calls, nested */
#define GUARD_BYTES    4096u
#define FIBERS_MAX     1024u
#define LONGEST_TURN   20000u /* imports */
#define STALL_RATE     256u   /* of 65536 imports */
#define FOLLOWED_MAX   32u
#define FOLLOWED_BYTES 4096u /* of all variables together */

enum state { FREE, READY, RUNNING, WAITING };

struct fiber {
    void *stack_pointer; /* while it does not run */
    uint8_t *stack;      /* NULL: the OS thread's own */
    enum state state;
    bool timed_out;
    const uint32_t *word; /* WAITING for it to be woken; NULL: for the deadline alone */
    uint64_t deadline_ns;
    void *(*start)(void *context);
    void *context;
    char name[16];
    unsigned number;
    uint8_t followed[FOLLOWED_BYTES];
};

void sim_switch(void **save, void *load);
extern char sim_fiber_entry[];

bool sim_active;

static struct {
    void *variable;
    size_t size;
    bool stays;
} followed[FOLLOWED_MAX];
static unsigned followed_count;
static size_t followed_bytes;

static struct fiber *fibers[FIBERS_MAX], *running;
static unsigned fiber_count;
static struct fiber *ready[FIBERS_MAX];
static unsigned ready_count;
static uint64_t next_deadline = SCHED_FOREVER; /* no waiting fiber has an earlier one */
static uint64_t switches, turn;                /* imports since the last switch */
static void (*volatile interrupt)(void);
static void (*describe_hook)(const char *thread, const char *state);

/* ---- variables that follow ---- */

void sim_follow(void *variable, size_t size, bool stays)
{
    if (followed_count == FOLLOWED_MAX || followed_bytes + size > FOLLOWED_BYTES)
        host_fatal("too many thread-local variables for the simulation");
    followed[followed_count].variable = variable;
    followed[followed_count].size = size;
    followed[followed_count++].stays = stays;
    followed_bytes += size;
}

static void followed_save(struct fiber *fiber)
{
    uint8_t *at = fiber->followed;
    for (unsigned i = 0; i < followed_count; at += followed[i++].size)
        memcpy(at, followed[i].variable, followed[i].size);
}

static void followed_load(const struct fiber *fiber)
{
    const uint8_t *at = fiber->followed;
    for (unsigned i = 0; i < followed_count; at += followed[i++].size)
        memcpy(followed[i].variable, at, followed[i].size);
}

static void followed_clear(struct fiber *fiber)
{
    uint8_t *at = fiber->followed;
    for (unsigned i = 0; i < followed_count; at += followed[i++].size) {
        if (!followed[i].stays)
            memset(at, 0, followed[i].size);
    }
}

/* ---- making ---- */

void sim_fibers_start(void)
{
    running = calloc(1, sizeof *running);
    if (!running)
        host_fatal("no memory for the simulation");
    snprintf(running->name, sizeof running->name, "loop");
    running->state = RUNNING;
    fibers[fiber_count++] = running;
}

static struct fiber *fiber_allocate(void)
{
    for (unsigned i = 0; i < fiber_count; i++) {
        if (fibers[i]->state == FREE)
            return fibers[i];
    }
    struct fiber *fiber = fiber_count < FIBERS_MAX ? calloc(1, sizeof *fiber) : NULL;
    if (!fiber)
        return NULL;
    uint8_t *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED || mprotect(stack, GUARD_BYTES, PROT_NONE) != 0) {
        free(fiber);
        return NULL;
    }
    fiber->stack = stack;
    fiber->number = fiber_count;
    fibers[fiber_count++] = fiber;
    return fiber;
}

static void ready_add(struct fiber *fiber)
{
    fiber->state = READY;
    ready[ready_count++] = fiber;
}

static void fiber_main(void *argument);

bool sim_fiber_create(const char *name, void *(*start)(void *context), void *context)
{
    struct fiber *fiber = fiber_allocate();
    if (!fiber)
        return false;
    snprintf(fiber->name, sizeof fiber->name, "%s", name);
    followed_clear(fiber);
    fiber->start = start;
    fiber->context = context;
    /* What sim_switch takes from the stack, then sim_fiber_entry, which finds the stack aligned for its call.
     */
    uint64_t *top = (uint64_t *)(void *)(fiber->stack + STACK_BYTES - 64);
    uint64_t *at = top - 8;
    uint32_t mxcsr, control;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    __asm__ volatile("fnstcw %0" : "=m"(*(uint16_t *)&control));
    at[0] = mxcsr | (uint64_t)(uint16_t)control << 32;
    at[1] = at[2] = 0;                       /* r15, r14 */
    at[3] = (uint64_t)(uintptr_t)fiber;      /* r13 */
    at[4] = (uint64_t)(uintptr_t)fiber_main; /* r12 */
    at[5] = at[6] = 0;                       /* rbx, rbp */
    at[7] = (uint64_t)(uintptr_t)sim_fiber_entry;
    fiber->stack_pointer = at;
    ready_add(fiber);
    return true;
}

/* ---- switching ---- */

static void stuck(void)
{
    host_warn("simulation: no thread can run again, and nothing is due; virtual time %.6f s",
              (double)sim_time_ns() / 1e9);
    followed_save(running);
    for (unsigned i = 0; i < fiber_count; i++) {
        if (fibers[i]->state != WAITING && fibers[i] != running)
            continue;
        followed_load(fibers[i]);
        if (describe_hook)
            describe_hook(fibers[i]->name, fibers[i]->word ? "waits to be woken" : "waits");
    }
    _exit(SIM_EXIT_STUCK);
}

void sim_set_describe(void (*describe)(const char *thread, const char *state))
{
    describe_hook = describe;
}

/* Those whose deadline has come are ready. */
static void expire(void)
{
    uint64_t now = sim_time_ns();
    if (now < next_deadline)
        return;
    next_deadline = SCHED_FOREVER;
    for (unsigned i = 0; i < fiber_count; i++) {
        struct fiber *fiber = fibers[i];
        if (fiber->state != WAITING)
            continue;
        if (fiber->deadline_ns <= now) {
            fiber->timed_out = true;
            ready_add(fiber);
        } else if (fiber->deadline_ns < next_deadline) {
            next_deadline = fiber->deadline_ns;
        }
    }
}

static void switch_to(struct fiber *next)
{
    struct fiber *self = running;
    next->state = RUNNING;
    if (next == self)
        return;
    followed_save(self);
    running = next;
    followed_load(next);
    switches++;
    turn = 0;
    sim_note(next->number ^ sim_time_ns() << 10);
    sim_switch(&self->stack_pointer, next->stack_pointer);
}

/* The calling fiber is in a state other than RUNNING: somebody else goes on, until it is chosen again. */
static void leave(void)
{
    expire();
    while (ready_count == 0) {
        if (next_deadline == SCHED_FOREVER)
            stuck();
        sim_time_reach(next_deadline);
        expire();
    }
    unsigned choice = ready_count == 1 ? 0 : (unsigned)(sim_random_next(SIM_STREAM_CHOICE) % ready_count);
    struct fiber *next = ready[choice];
    ready[choice] = ready[--ready_count];
    switch_to(next);
}

static void fiber_main(void *argument)
{
    struct fiber *self = argument;
    self->start(self->context);
    self->state = FREE;
    leave();
    abort();
}

void sim_yield(void)
{
    sim_time_add(SIM_YIELD_NS);
    ready_add(running);
    leave();
}

/* A scheduler without any chance still ends a thread's turn. */
static void may_switch(void)
{
    turn++;
    if (ready_count == 0 && sim_time_ns() < next_deadline)
        return;
    if (!sim_chance(SIM_STREAM_CHOICE, sim_switch_rate) && turn < LONGEST_TURN)
        return;
    ready_add(running);
    leave();
}

void sim_interrupt(void (*function)(void))
{
    interrupt = function;
}

void sim_import(uint32_t row)
{
    if (interrupt)
        interrupt();
    sim_note(row ^ sim_time_ns() << 10);
    sim_time_add(sim_import_cost_ns);
    if (sim_stall_ns && sim_chance(SIM_STREAM_STALLS, STALL_RATE))
        sim_wait(NULL, 0, sim_time_ns() + 1 + sim_random_next(SIM_STREAM_STALLS) % sim_stall_ns);
    else
        may_switch();
}

void sim_import_done(void)
{
    may_switch();
}

int sim_wait(const uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    if (word && *word != expected)
        return -EAGAIN;
    running->word = word;
    running->deadline_ns = deadline_ns;
    running->timed_out = false;
    running->state = WAITING;
    if (deadline_ns < next_deadline)
        next_deadline = deadline_ns;
    struct fiber *self = running;
    leave();
    return self->timed_out ? -ETIMEDOUT : 0;
}

void sim_wake(const uint32_t *word, int count)
{
    for (unsigned i = 0; i < fiber_count && count > 0; i++) {
        if (fibers[i]->state == WAITING && fibers[i]->word == word) {
            ready_add(fibers[i]);
            count--;
        }
    }
}

uint64_t sim_switches(void)
{
    return switches;
}

/* ---- stacks ---- */

void sim_stack_bounds(uintptr_t *low, uintptr_t *high)
{
    if (running->stack) {
        *low = (uintptr_t)running->stack + GUARD_BYTES;
        *high = (uintptr_t)running->stack + STACK_BYTES;
        return;
    }
    stack_of_system_thread(low, high);
}

/* From the guard page on for those that were used: what ended calls left below the stack pointer counts too.
 */
void sim_each_stack(void (*visit)(void *context, const char *thread, const void *low, size_t size,
                                  const void *live),
                    void *context)
{
    for (unsigned i = 0; i < fiber_count; i++) {
        const struct fiber *fiber = fibers[i];
        const void *live = fiber->stack_pointer;
        if (fiber == running)
            live = __builtin_frame_address(0);
        else if (fiber->state == FREE)
            live = fiber->stack + STACK_BYTES;
        if (fiber->stack)
            visit(context, fiber->name, fiber->stack + GUARD_BYTES, STACK_BYTES - GUARD_BYTES, live);
    }
}
