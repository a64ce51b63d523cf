/* The table itself.  The rows name the host's functions only by symbol: their prototypes are in nt/, and this
 * file needs none of them. */
#include "imports/imports.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#define ANY 15 /* HIGH_LEVEL */

/* Weak, so that tests can link a part of the host; tests/unit/nthost-exec checks that nthost has them all. */
#define IMPORT(name, symbol, low, high, flags)                                                               \
    extern char symbol[] __attribute__((weak)); /* NOLINT(bugprone-macro-parentheses) */
#define IMPORT_DATA(name, symbol)                                                                            \
    extern char symbol[] __attribute__((weak)); /* NOLINT(bugprone-macro-parentheses) */
#include "imports/cng.inc"
#include "imports/ntoskrnl.inc"
#if __has_include("imports/ndis.inc")
#include "imports/ndis.inc"
#endif
#if __has_include("imports/netio.inc")
#include "imports/netio.inc"
#endif
#undef IMPORT
#undef IMPORT_DATA

#define IMPORT(name, symbol, low, high, flags) {MODULE, #name, symbol, low, high, flags},
#define IMPORT_DATA(name, symbol)              {MODULE, #name, symbol, 0, ANY, IMPORT_DATA_ROW},
const struct import_entry import_table[] = {
#define MODULE "cng.sys"
#include "imports/cng.inc"
#undef MODULE
#define MODULE "ntoskrnl.exe"
#include "imports/ntoskrnl.inc"
#undef MODULE
#if __has_include("imports/ndis.inc")
#define MODULE "ndis.sys"
#include "imports/ndis.inc"
#undef MODULE
#endif
#if __has_include("imports/netio.inc")
#define MODULE "netio.sys"
#include "imports/netio.inc"
#undef MODULE
#endif
};
const unsigned import_table_count = sizeof import_table / sizeof *import_table;

const struct import_entry *import_find(const char *module, const char *name)
{
    if (strcasecmp(module, "hal.dll") == 0)
        module = "ntoskrnl.exe";
    for (unsigned i = 0; i < import_table_count; i++) {
        const struct import_entry *entry = &import_table[i];
        if (entry->target && strcmp(entry->name, name) == 0 && strcasecmp(entry->module, module) == 0)
            return entry;
    }
    return NULL;
}
