/* What the files of verify/ share: recorded stacks, reports with notes, and what other ledgers know about a
 * piece of memory. */
#pragma once

#include "verify/verify.h"

#include <stdio.h>

/* ---- stacks (stacks.c) ---- */

#define STACK_FRAMES 16u

/* A recorded driver stack; equal stacks are one object and live as long as the process. */
struct stack {
    struct stack *next;
    uint64_t hash;
    uint32_t count;
    uint64_t frames[STACK_FRAMES];
};

/* The driver's frames of the calling thread, innermost first: through imports as well as through the
 * functions that the host gave the driver in tables (Winsock Kernel). *direct: the innermost frames did not
 * come through an import. */
unsigned stack_driver_frames(uint64_t *frames, unsigned max, bool *direct);
/* The calling thread's driver stack, recorded; never NULL, perhaps empty. */
const struct stack *stack_capture(void);
/* A stack of one frame. */
const struct stack *stack_single(uint64_t address);
/* While a fault is handled: its frames stand in for the calling thread's innermost ones. */
void stack_set_fault(const uint64_t *frames, unsigned count, bool through_import);

/* ---- reports (report.c) ---- */

struct report_note {
    char title[160];
    const struct stack *stack; /* NULL or empty: the title alone */
};

/* As verify_report(), with what else there is to show below the driver's stack. */
_Noreturn void report_notes(enum verify_rule rule, const struct report_note *notes, unsigned count,
                            const char *format, ...) __attribute__((format(printf, 4, 5)));
/* 'Abcd' for messages. */
const char *report_tag(uint32_t tag, char text[8]);

/* ---- memory (pool.c) ---- */

enum memory_state { MEMORY_UNKNOWN, MEMORY_LIVE, MEMORY_FREED };

struct memory_place { /* what is known about an address */
    enum memory_state state;
    const char *what;      /* "pool allocation", "IRP" ... */
    enum verify_rule rule; /* of a use after it was freed or given back */
    const char *memory;    /* the block's first byte */
    size_t bytes;
    uint32_t tag; /* 0: not of the pool */
    const struct stack *allocated, *freed;
};

/* The block whose mapping holds `address`, guard page included. Slow; takes the pool's lock if it can. */
bool memory_find(const void *address, struct memory_place *place);
/* Fast, for live pool blocks only: the block that contains `address`. */
bool memory_find_live(const void *address, struct memory_place *place);
/* Reports RULE_POOL_LEAK when anything is left. */
void memory_check_leaks(void);

/* ---- objects inside of memory (active.c) ---- */

/* Something active in [memory, memory + bytes): returns its description, or NULL. */
const char *active_find(const void *memory, size_t bytes, const void **object, const struct stack **since);
/* Prints the active ones into notes; returns how many there are. */
unsigned active_list(struct report_note *notes, unsigned max);

/* ---- locks (locks.c) ---- */

/* [memory, memory + bytes) is freed: order learned about locks inside no longer holds. */
void locks_forget(const void *memory, size_t bytes);
/* The innermost lock of the calling thread, for notes. */
bool locks_innermost(const void **lock, const struct stack **taken);

/* ---- faults (fault.c), the gate (gate.c) ---- */

void fault_start(void);          /* the handler, once */
void fault_prepare_thread(void); /* the calling thread: a stack for the handler, its bounds */
/* Where the calling thread's IRQL was last changed by the driver. */
extern _Thread_local uint64_t gate_irql_changed_at;
const char *gate_callback_name(void); /* the callback that the thread is in, NULL if none */
