/* Begin and end of verify mode. */
#include "verify/internal.h"

#define SHOWN 12u

void verify_start(void)
{
    if (host_options.verify)
        fault_start();
}

/* Timers and DPCs are known one by one, other kinds by their number. */
static void check_active_empty(void)
{
    static struct report_note notes[SHOWN];
    unsigned count = active_list(notes, SHOWN);
    if (count)
        report_notes(RULE_LEFT_AT_UNLOAD, notes, count < SHOWN ? count : SHOWN,
                     "%u timers, DPCs or locks are still queued or held after unload", count);
}

static void check_counts(void)
{
    for (unsigned kind = 0; kind < HOST_OBJECT_KINDS; kind++) {
        struct host_count count = host_count_read(kind);
        if (kind != HOST_POOL && count.now != 0)
            verify_report(RULE_LEFT_AT_UNLOAD, "%lld %s are left after unload (%llu in all)",
                          (long long)count.now, host_object_name(kind), (unsigned long long)count.total);
    }
}

/* The cause before the effect: what is still registered keeps memory. */
void verify_finish(void)
{
    if (!host_options.verify)
        return;
    check_active_empty();
    ledger_check_empty();
    check_counts();
    memory_check_leaks();
}
