/* Reading, raising and lowering IRQL.  Microsoft's page titles: "KeRaiseIrql", "KeLowerIrql". */
#include "dispatcher.h"

#include "exports.h"
#include "host.h"
#include "verify/verify.h"

__attribute__((ms_abi, noinline, cold)) static void wrong_way(const char *function, KIRQL from, KIRQL to)
{
    if (host_options.verify)
        verify_report(RULE_IRQL_RAISE_LOWER, "%s: from IRQL %u to %u", function, from, to);
    KeBugCheckEx(0x09 /* IRQL_NOT_GREATER_OR_EQUAL */, to, from, 0, 0);
}

KIRQL NTAPI KeGetCurrentIrql(VOID)
{
    return sched_self_fast()->irql;
}

KIRQL FASTCALL KfRaiseIrql(KIRQL NewIrql)
{
    KIRQL irql = sched_self_fast()->irql;
    if (__builtin_expect(NewIrql < irql, 0))
        wrong_way("KeRaiseIrql", irql, NewIrql);
    return sched_irql_raise_fast(NewIrql);
}

VOID NTAPI KeLowerIrql(KIRQL NewIrql)
{
    KIRQL irql = sched_self_fast()->irql;
    if (__builtin_expect(NewIrql > irql, 0))
        wrong_way("KeLowerIrql", irql, NewIrql);
    sched_irql_lower_fast(NewIrql);
}

VOID FASTCALL KfLowerIrql(KIRQL NewIrql)
{
    KeLowerIrql(NewIrql);
}

KIRQL NTAPI nt_KeRaiseIrqlToDpcLevel(VOID)
{
    return KfRaiseIrql(DISPATCH_LEVEL);
}

KIRQL NTAPI KeRaiseIrqlToSynchLevel(VOID)
{
    return KfRaiseIrql(DISPATCH_LEVEL);
}
