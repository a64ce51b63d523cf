/* Clocks, in NT's units of 100 ns.  Microsoft's page titles: "KeQueryInterruptTimePrecise",
 * "KeQueryUnbiasedInterruptTime", "KeQuerySystemTimePrecise", "KeQueryPerformanceCounter". */
#include "dispatcher.h"

#include "exports.h"

#define NS_PER_UNIT           100u
#define PERFORMANCE_FREQUENCY 10000000 /* Hz, as on current Windows: the counter counts units of 100 ns */
#define TIME_INCREMENT_UNITS  156250u  /* 64 ticks per second */

static uint64_t performance_counter(void)
{
    return sched_time_ns() / NS_PER_UNIT;
}

ULONG64 NTAPI KeQueryInterruptTimePrecise(PULONG64 QpcTimeStamp)
{
    uint64_t now = sched_time_ns() / NS_PER_UNIT;
    if (QpcTimeStamp != NULL)
        *QpcTimeStamp = now;
    return now;
}

ULONG64 NTAPI KeQueryInterruptTime(VOID)
{
    return sched_time_ns() / NS_PER_UNIT;
}

ULONGLONG NTAPI KeQueryUnbiasedInterruptTime(VOID)
{
    return sched_time_unbiased_ns() / NS_PER_UNIT;
}

ULONG64 NTAPI KeQueryUnbiasedInterruptTimePrecise(PULONG64 QpcTimeStamp)
{
    if (QpcTimeStamp != NULL)
        *QpcTimeStamp = performance_counter();
    return sched_time_unbiased_ns() / NS_PER_UNIT;
}

VOID NTAPI KeQuerySystemTimePrecise(PLARGE_INTEGER CurrentTime)
{
    CurrentTime->QuadPart = (LONGLONG)sched_time_system_100ns();
}

VOID NTAPI KeQuerySystemTime(PLARGE_INTEGER CurrentTime)
{
    CurrentTime->QuadPart = (LONGLONG)sched_time_system_100ns();
}

VOID NTAPI KeQueryTickCount(PLARGE_INTEGER TickCount)
{
    TickCount->QuadPart = (LONGLONG)(sched_time_ns() / NS_PER_UNIT / TIME_INCREMENT_UNITS);
}

ULONG NTAPI KeQueryTimeIncrement(VOID)
{
    return TIME_INCREMENT_UNITS;
}

LARGE_INTEGER NTAPI KeQueryPerformanceCounter(PLARGE_INTEGER PerformanceFrequency)
{
    if (PerformanceFrequency != NULL)
        PerformanceFrequency->QuadPart = PERFORMANCE_FREQUENCY;
    return (LARGE_INTEGER){.QuadPart = (LONGLONG)performance_counter()};
}

VOID NTAPI KeStallExecutionProcessor(ULONG MicroSeconds)
{
    uint64_t end = sched_time_ns() + (uint64_t)MicroSeconds * 1000u;
    while (sched_time_ns() < end)
        __builtin_ia32_pause();
}
