/* Driver stacks, recorded once each: allocations, locks and ledgers keep a pointer to the stack that made
 * them. */
#include "verify/internal.h"

#include "imports/imports.h"
#include "loader/image.h"
#include "sched/sim.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 8192u
#define HOPS    64u /* host frames between a driver and the place that asks */

extern char thunk_return[];

static pthread_mutex_t stacks_lock = PTHREAD_MUTEX_INITIALIZER;
static struct stack *stacks[BUCKETS];
static struct stack empty;

static _Thread_local struct {
    bool active, through_import;
    unsigned count;
    uint64_t frames[STACK_FRAMES];
} fault;
SIM_FOLLOWS_THREAD(fault)

void stack_set_fault(const uint64_t *frames, unsigned count, bool through_import)
{
    fault.active = true;
    fault.through_import = through_import;
    fault.count = count < STACK_FRAMES ? count : STACK_FRAMES;
    memcpy(fault.frames, frames, fault.count * sizeof *frames);
}

/* A driver that called through a table, not through an import, left its return address in a host frame. Host
 * code keeps frame pointers; the walk ends where the newest import was entered, whose caller is on the shadow
 * stack. */
static unsigned direct_frames(uint64_t *frames, unsigned max)
{
    const uint64_t *frame = __builtin_frame_address(0);
    for (unsigned hop = 0; hop < HOPS; hop++) {
        uint64_t caller_frame = frame[0], return_address = frame[1];
        if (return_address == (uint64_t)(uintptr_t)thunk_return)
            return 0;
        if (image_find((const void *)(uintptr_t)return_address))
            return image_unwind(return_address, (uint64_t)(uintptr_t)(frame + 2), caller_frame, NULL, frames,
                                max);
        if (caller_frame <= (uint64_t)(uintptr_t)frame ||
            caller_frame - (uint64_t)(uintptr_t)frame > 1024 * 1024 || (caller_frame & 7))
            return 0;
        frame = (const uint64_t *)(uintptr_t)caller_frame;
    }
    return 0;
}

unsigned stack_driver_frames(uint64_t *frames, unsigned max, bool *direct)
{
    unsigned count = 0;
    if (fault.active) {
        count = fault.count < max ? fault.count : max;
        memcpy(frames, fault.frames, count * sizeof *frames);
        *direct = !fault.through_import;
    } else {
        count = direct_frames(frames, max);
        *direct = count != 0;
    }
    count += import_driver_stack(frames + count, max - count);
    /* The call, not what follows it; a fault's innermost frame is exact. */
    if (count && (!fault.active || fault.count == 0))
        frames[0]--;
    return count;
}

static const struct stack *record(const uint64_t *frames, unsigned count)
{
    if (count == 0)
        return &empty;
    uint64_t hash = count;
    for (unsigned i = 0; i < count; i++)
        hash = (hash ^ frames[i]) * 0x9e3779b97f4a7c15ull;
    struct stack **bucket = &stacks[(hash >> 40) % BUCKETS];
    pthread_mutex_lock(&stacks_lock);
    struct stack *stack = *bucket;
    while (stack && (stack->hash != hash || stack->count != count ||
                     memcmp(stack->frames, frames, count * sizeof *frames) != 0))
        stack = stack->next;
    if (!stack) {
        stack = malloc(sizeof *stack);
        if (!stack)
            host_fatal("no memory for a recorded stack");
        *stack = (struct stack){.next = *bucket, .hash = hash, .count = count};
        memcpy(stack->frames, frames, count * sizeof *frames);
        *bucket = stack;
    }
    pthread_mutex_unlock(&stacks_lock);
    return stack;
}

const struct stack *stack_capture(void)
{
    uint64_t frames[STACK_FRAMES];
    bool direct;
    return record(frames, stack_driver_frames(frames, STACK_FRAMES, &direct));
}

const struct stack *stack_single(uint64_t address)
{
    return address ? record(&address, 1) : &empty;
}
