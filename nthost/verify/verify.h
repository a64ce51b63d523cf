/* Verify mode: the rules, their reports, and the ledgers that the rest of the host feeds.  A broken rule
 * stops the process with a report that names rule, function, the driver's call stack and, for memory, where
 * it was allocated. Every verb here is cheap to call when verify mode is off: callers test
 * `host_options.verify` first. */
#pragma once

#include "host.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* One id per rule of the catalogue (docs/verify-rules.md); printed as e.g. "pool-overrun". */
enum verify_rule {
    RULE_POOL_OVERRUN,
    RULE_POOL_UNDERRUN,
    RULE_POOL_USE_AFTER_FREE,
    RULE_POOL_UNINITIALIZED,
    RULE_POOL_DOUBLE_FREE,
    RULE_POOL_BAD_FREE,
    RULE_POOL_TAG,
    RULE_POOL_ZERO_SIZE,
    RULE_POOL_IRQL,
    RULE_POOL_EXECUTABLE,
    RULE_POOL_LEAK,
    RULE_POOL_ACTIVE_OBJECT,
    RULE_ACCESS_VIOLATION,
    RULE_DISCARDED_CODE,
    RULE_IRQL_RANGE,
    RULE_IRQL_RAISE_LOWER,
    RULE_IRQL_CALLBACK_EXIT,
    RULE_WAIT_AT_DISPATCH,
    RULE_DPC_WATCHDOG,
    RULE_STACK_OVERFLOW,
    RULE_LOCK_RECURSION,
    RULE_LOCK_NOT_HELD,
    RULE_LOCK_HELD_AT_EXIT,
    RULE_LOCK_ORDER,
    RULE_LOCK_LEVEL,
    RULE_RUNDOWN_MISUSE,
    RULE_OBJECT_REFERENCE,
    RULE_DOUBLE_INITIALIZE,
    RULE_LEFT_AT_UNLOAD,
    RULE_IRP_COMPLETED_TWICE,
    RULE_IRP_PENDING_MARK,
    RULE_IRP_INFORMATION,
    RULE_IRP_CANCEL_ROUTINE,
    RULE_IRP_STACK_LOCATION,
    RULE_IRP_NOT_OWNED,
    RULE_MDL_MISUSE,
    RULE_NDIS_ATTRIBUTES,
    RULE_NDIS_STATE,
    RULE_NDIS_AFTER_HALT,
    RULE_NBL_NOT_OWNED,
    RULE_NBL_COMPLETED_TWICE,
    RULE_NBL_FIELDS,
    RULE_NBL_OFFLOAD,
    RULE_OFFLOAD_STRUCTURE,
    RULE_NDIS_FLAGS,
    RULE_NDIS_TIMEOUT,
    RULE_OID_RESULT,
    RULE_LINK_STATE,
    RULE_WSK_DATAGRAM_RELEASE,
    RULE_WSK_SOCKET_STATE,
    RULE_WSK_CONTROL_DATA,
    RULE_MIB_TABLE,
    RULE_NOTIFICATION,
    VERIFY_RULE_COUNT
};

const char *verify_rule_name(enum verify_rule rule);
/* Ends the process with exit status 70 after printing the report to stderr (and to --report FILE): rule,
 * text, callback, function, the driver's stack with source lines. */
_Noreturn void verify_report(enum verify_rule rule, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- ownership ledger: who may touch this object now ---- */
enum ledger_owner { OWNER_HOST, OWNER_DRIVER, OWNER_WSK, OWNER_NDIS, OWNER_STACK };

/* `kind` is one of HOST_NBL_*, HOST_DATAGRAM, HOST_IRP*, HOST_MDL ...; `what` a short constant description.
 * add: the object enters the books.  move/remove: report `rule` when it is unknown or not owned by `from`.
 * All may be called by any thread at any IRQL. */
void ledger_add(enum host_object kind, const void *object, enum ledger_owner owner, const char *what);
void ledger_move(enum host_object kind, const void *object, enum ledger_owner from, enum ledger_owner to,
                 enum verify_rule rule);
void ledger_remove(enum host_object kind, const void *object, enum ledger_owner from, enum verify_rule rule);
/* verify_report() with where the object came to its present owner: for what is found out later. */
_Noreturn void ledger_report(enum host_object kind, const void *object, enum verify_rule rule,
                             const char *format, ...) __attribute__((format(printf, 4, 5)));
bool ledger_owned_by(enum host_object kind, const void *object, enum ledger_owner owner);
uint64_t ledger_count(enum host_object kind);
/* Reports RULE_LEFT_AT_UNLOAD with the stacks of everything still in the books; for unload. */
void ledger_check_empty(void);

/* ---- locks: called by ke/ex after the lock was taken / before it is released ---- */
enum lock_kind {
    LOCK_SPIN,
    LOCK_QUEUED_SPIN,
    LOCK_EX_SHARED,
    LOCK_EX_EXCLUSIVE,
    LOCK_FAST_MUTEX,
    LOCK_MUTEX,
    LOCK_NDIS_RW
};
/* Before blocking: recursion and a wrong order are reported instead of hanging. */
void verify_lock_wanted(const void *lock, enum lock_kind kind);
void verify_lock_taken(const void *lock, enum lock_kind kind);
void verify_lock_released(const void *lock, enum lock_kind kind);
void verify_lock_initialized(const void *lock, enum lock_kind kind, const void *site);
uint32_t verify_locks_held(void);

/* ---- memory ---- */
void *verify_pool_allocate(size_t bytes, uint32_t tag, bool paged, bool zero, const void *site);
void verify_pool_free(void *memory, uint32_t tag);
/* Memory of the host that the driver may use for a while (IRPs, packets): it ends at an inaccessible page and
 * is inaccessible after verify_memory_free(), so that a late access is reported as `rule` with the stacks of
 * both.  `alignment`: a power of two, 1 to end exactly at the page; 16 for structures.  `what`: constant
 * text. NULL may be freed. Contents are undefined. Verify mode only. */
void *verify_memory_allocate(size_t bytes, size_t alignment, const char *what, enum verify_rule rule);
void verify_memory_free(void *memory);

/* The same for structures in both modes: malloc()/free() in fast mode. */
static inline void *lent_allocate(size_t bytes, const char *what, enum verify_rule rule)
{
    if (__builtin_expect(!host_options.verify, 1))
        return malloc(bytes);
    return verify_memory_allocate(bytes, 16, what, rule);
}

static inline void lent_free(void *memory)
{
    if (__builtin_expect(!host_options.verify, 1))
        free(memory);
    else
        verify_memory_free(memory);
}
/* Something lives inside this memory (armed timer, queued DPC, held lock ...): freeing it while marked is
 * RULE_POOL_ACTIVE_OBJECT. */
void verify_active_add(const void *object, const char *what);
void verify_active_remove(const void *object);
/* Reports RULE_DOUBLE_INITIALIZE if `object` is marked: `function` is about to initialise it. */
void verify_active_check(const void *object, const char *function);

/* ---- imports ---- */
#define VERIFY_KERNEL_STACK 24576u /* bytes of a kernel stack on x64 */
/* Called by the thunks: the driver called an import; `slot` is where its return address stands. */
void verify_import_entered(bool changes_irql, uint64_t return_address, uintptr_t slot);

/* Called by main: before the image is entered, and after it was unloaded (runs the leak checks). */
void verify_start(void);
void verify_finish(void);
