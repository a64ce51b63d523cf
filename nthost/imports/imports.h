/* The one table of imports: what the driver may call, which host function answers, and what the call's rules
 * are. It drives the resolver, the call counters, the IRQL rule and fault injection.  The rows are in one
 * file per module (ntoskrnl.inc, ndis.inc, netio.inc, cng.inc): IMPORT(name, host_symbol, lowest IRQL,
 * highest IRQL, flags) IMPORT_DATA(name, host_symbol) */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define IMPORT_BLOCKS                                                                                        \
    0x01u /* may wait: a switch point, and forbidden at DISPATCH_LEVEL even where the row allows it */
#define IMPORT_FAILS    0x02u /* may fail for lack of resources: fault injection applies; fails with NULL */
#define IMPORT_RAISES   0x04u /* returns at a higher IRQL than it was called at */
#define IMPORT_LOWERS   0x08u /* returns at a lower IRQL */
#define IMPORT_NORETURN 0x10u
#define IMPORT_DATA_ROW 0x20u /* a variable, not a function */
/* May fail for lack of resources, and returns a status: fails with STATUS_INSUFFICIENT_RESOURCES. */
#define IMPORT_FAILS_STATUS (IMPORT_FAILS | 0x40u)

struct import_entry {
    const char *module; /* lower case, with extension: "ntoskrnl.exe", "ndis.sys", "netio.sys", "cng.sys" */
    const char *name;
    void *target;
    uint8_t irql_min;
    uint8_t irql_max;
    uint8_t flags;
};

extern const struct import_entry import_table[];
extern const unsigned import_table_count;

/* Finds an entry; module compared case-insensitively (hal.dll is an alias of ntoskrnl.exe). NULL if there is
 * none. */
const struct import_entry *import_find(const char *module, const char *name);
/* The address to write into the IAT: the host function itself (fast), or its checking thunk (verify). */
void *import_bind(const struct import_entry *entry);
/* Calls counted so far through the thunk of entry `index` (verify mode only). */
uint64_t import_calls(unsigned index);

/* The import that the calling thread is in (innermost), NULL outside of any or in fast mode. */
const struct import_entry *import_current(void);
/* The driver's part of the calling thread's stack in verify mode, innermost frame first: the caller of the
 * current import, its callers up to the host, then those of the import that called back, and so on. Returns
 * the number of frames; image_print_stack prints them. */
unsigned import_driver_stack(uint64_t *frames, unsigned max);
/* How many imports are active on the calling thread (nested callbacks count). */
unsigned import_depth(void);

/* Fault injection: asked at each call of an import with IMPORT_FAILS; true = the call fails without being
 * made. Set before the image is entered; NULL = never. */
extern bool (*import_fault_hook)(const struct import_entry *entry);
/* The hook that import_bind installs in verify mode when host_options.fault_seed is not 0. */
bool import_fault_by_stack(const struct import_entry *entry);
/* Whether the call stack with that hash fails under that seed: about one in eight. */
bool import_fault_chosen(uint64_t stack, uint64_t seed);
/* One line about what was failed, if faults are injected. */
void import_fault_report(void);
