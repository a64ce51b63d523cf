/* Verify mode's binding: what happens between the driver and a host function.  thunk_entries.S calls
 * thunk_enter before the host function runs (on the driver's stack, with its registers saved) and thunk_exit
 * after it returned.  Both run at the driver's IRQL and must not change it. */
#include "host.h"
#include "imports/imports.h"
#include "imports/thunk_count.h"
#include "loader/image.h"
#include "sched/sched.h"
#include "sched/sim.h"
#include "verify/verify.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SHADOW_DEPTH 256 /* nested imports of one thread: driver -> host -> driver -> ... */

#define NT_INSUFFICIENT_RESOURCES ((int32_t)0xC000009A)

struct shadow_frame {
    uint64_t return_address; /* the driver's */
    uint64_t *slot;          /* where it stood */
    const struct import_entry *entry;
    uint64_t registers[16]; /* the driver's, in unwind order; rsp as after the return */
};

struct shadow_stack {
    unsigned depth;
    struct shadow_frame frames[SHADOW_DEPTH];
};

extern char thunk_entries[], thunk_return[];
__attribute__((ms_abi)) void *thunk_enter(uint32_t row, const uint64_t *registers, uint64_t *slot);
__attribute__((ms_abi)) uint64_t thunk_exit(const uint64_t *slot);

bool (*import_fault_hook)(const struct import_entry *entry);

static uint64_t calls[THUNK_COUNT];
static _Thread_local struct shadow_stack *shadow;
SIM_STAYS_WITH_STACK(shadow)
static pthread_key_t shadow_key;
static pthread_once_t shadow_once = PTHREAD_ONCE_INIT;

static void shadow_free(void *stack)
{
    shadow = NULL;
    free(stack);
}

static void shadow_make_key(void)
{
    if (pthread_key_create(&shadow_key, shadow_free) != 0)
        host_fatal("no thread key for the shadow stacks");
}

static struct shadow_stack *shadow_get(void)
{
    if (!shadow && sim_active)
        shadow = calloc(1, sizeof *shadow); /* the fiber's, and of those that have its stack later */
    else if (!shadow) {
        pthread_once(&shadow_once, shadow_make_key);
        shadow = calloc(1, sizeof *shadow);
        if (pthread_setspecific(shadow_key, shadow) != 0)
            host_fatal("no thread-specific value for a shadow stack");
    }
    if (!shadow)
        host_fatal("no memory for a shadow stack");
    return shadow;
}

/* Frames below `slot` were left without returning (their function does not return, or the stack was reset).
 */
static void shadow_drop_below(struct shadow_stack *stack, const uint64_t *slot)
{
    while (stack->depth && stack->frames[stack->depth - 1].slot < slot)
        stack->depth--;
}

static __attribute__((ms_abi)) void *fail_null(void)
{
    return NULL;
}

static __attribute__((ms_abi)) int32_t fail_status(void)
{
    return NT_INSUFFICIENT_RESOURCES;
}

static void check_irql(const struct import_entry *entry)
{
    uint8_t irql = sched_irql();
    if (irql < entry->irql_min || irql > entry->irql_max)
        verify_report(RULE_IRQL_RANGE, "%s was called at IRQL %u; it may be called at %u to %u", entry->name,
                      irql, entry->irql_min, entry->irql_max);
    if ((entry->flags & IMPORT_BLOCKS) && irql >= SCHED_DISPATCH)
        verify_report(RULE_WAIT_AT_DISPATCH, "%s may wait and was called at IRQL %u", entry->name, irql);
}

void *thunk_enter(uint32_t row, const uint64_t *registers, uint64_t *slot)
{
    const struct import_entry *entry = &import_table[row];
    struct shadow_stack *stack = shadow_get();
    /* The very same slot: a chain of tail calls (host function -> callback -> import) that will return
     * through both entries if thunk_return stands there, else an entry that never returned. */
    shadow_drop_below(stack, *slot == (uint64_t)(uintptr_t)thunk_return ? slot : slot + 1);
    if (stack->depth == SHADOW_DEPTH)
        verify_report(RULE_STACK_OVERFLOW, "%s: imports and callbacks are nested more than %u deep",
                      entry->name, SHADOW_DEPTH);
    struct shadow_frame *frame = &stack->frames[stack->depth++];
    frame->return_address = *slot;
    frame->slot = slot;
    frame->entry = entry;
    memcpy(frame->registers, registers, sizeof frame->registers);
    __atomic_fetch_add(&calls[row], 1, __ATOMIC_RELAXED);

    verify_import_entered((entry->flags & (IMPORT_RAISES | IMPORT_LOWERS)) != 0, frame->return_address,
                          (uintptr_t)slot);
    check_irql(entry);
    if (sim_active)
        sim_import(row);
    void *target = entry->target;
    if ((entry->flags & IMPORT_FAILS) && import_fault_hook && import_fault_hook(entry))
        target = (entry->flags & IMPORT_FAILS_STATUS) == IMPORT_FAILS_STATUS ? (void *)fail_status
                                                                             : (void *)fail_null;
    *slot = (uint64_t)(uintptr_t)thunk_return;
    return target;
}

uint64_t thunk_exit(const uint64_t *slot)
{
    struct shadow_stack *stack = shadow;
    shadow_drop_below(stack, slot);
    if (stack->depth == 0 || stack->frames[stack->depth - 1].slot != slot)
        host_fatal("an import returned to an unknown place (stack pointer %p)", (const void *)slot);
    uint64_t return_address = stack->frames[--stack->depth].return_address;
    if (sim_active)
        sim_import_done();
    return return_address;
}

void *import_bind(const struct import_entry *entry)
{
    if (!host_options.verify || (entry->flags & IMPORT_DATA_ROW))
        return entry->target;
    if (host_options.fault_seed && !import_fault_hook)
        import_fault_hook = import_fault_by_stack;
    unsigned row = (unsigned)(entry - import_table);
    if (row >= THUNK_COUNT)
        host_fatal("the import table has more than %u rows", THUNK_COUNT);
    return thunk_entries + (size_t)row * THUNK_SIZE;
}

uint64_t import_calls(unsigned index)
{
    return index < THUNK_COUNT ? __atomic_load_n(&calls[index], __ATOMIC_RELAXED) : 0;
}

unsigned import_depth(void)
{
    return shadow ? shadow->depth : 0;
}

const struct import_entry *import_current(void)
{
    return shadow && shadow->depth ? shadow->frames[shadow->depth - 1].entry : NULL;
}

unsigned import_driver_stack(uint64_t *frames, unsigned max)
{
    unsigned count = 0;
    for (unsigned i = import_depth(); i > 0 && count < max; i--) {
        const struct shadow_frame *frame = &shadow->frames[i - 1];
        count += image_unwind(frame->return_address, frame->registers[4], frame->registers[5],
                              frame->registers, frames + count, max - count);
    }
    return count;
}
