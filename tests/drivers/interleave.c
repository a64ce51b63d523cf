/*
 * A driver whose threads interleave, for the tests of nthost's simulation: some of its ways to run are right
 * under every interleaving, some only under most.  It is loaded under the name of what it is to do (the
 * service's name in RegistryPath, which is the file's name); what went wrong ends in a bug check at unload.
 */
#include <nt/bcrypt.h>
#include <nt/ex.h>
#include <nt/io.h>
#include <nt/ke.h>
#include <nt/ob_ps_se.h>
#include <nt/rtl.h>

#define THREADS       3u
#define ROUNDS        8u
#define PROCESSORS    64u
#define WORK          50u /* imports, each 5 us at most */
#define DELAYS        20u
#define DELAY_100NS   100000000ll /* 10 s */
#define TRUSTED_100NS 100000ll
#define LATE_100NS    10000ll /* 1 ms: what the imports of the other threads may cost */

struct way {
    const char *name;
    VOID (*thread)(ULONG number);
    BOOLEAN (*good)(VOID); /* at unload, after the threads */
};

static const struct way *chosen;
static PVOID threads[THREADS];
static volatile LONG counter, doubled, late;
static KSPIN_LOCK lock;
static KEVENT event;
static volatile LONG inside[PROCESSORS];
static volatile BOOLEAN said, heard_too_early;

static ULONGLONG now(VOID)
{
    ULONG64 stamp;
    return KeQueryInterruptTimePrecise(&stamp);
}

/* --- a lost update, and the same with a lock --- */

static VOID count_once(VOID)
{
    LONG value = counter;
    now();
    counter = value + 1;
}

static VOID race(ULONG number)
{
    (void)number;
    for (ULONG i = 0; i < ROUNDS; i++) {
        count_once();
    }
}

static VOID locked(ULONG number)
{
    KIRQL irql;
    (void)number;
    for (ULONG i = 0; i < ROUNDS; i++) {
        KeAcquireSpinLock(&lock, &irql);
        count_once();
        KeReleaseSpinLock(&lock, irql);
    }
}

static BOOLEAN all_counted(VOID)
{
    return counter == THREADS * ROUNDS;
}

/* --- who raises IRQL owns the processor --- */

static VOID section(VOID)
{
    ULONG processor = KeGetCurrentProcessorNumberEx(NULL);
    if (inside[processor]++ != 0) {
        doubled = 1;
    }
    now();
    now();
    inside[processor]--;
}

static VOID dispatch(ULONG number)
{
    (void)number;
    for (ULONG i = 0; i < ROUNDS; i++) {
        KIRQL irql = KeRaiseIrqlToDpcLevel();
        section();
        KeLowerIrql(irql);
    }
}

static VOID passive(ULONG number)
{
    (void)number;
    for (ULONG i = 0; i < ROUNDS; i++) {
        section();
    }
}

static BOOLEAN never_two(VOID)
{
    return !doubled;
}

/* --- an event that is set a line too early: another thread may run before the caller goes on --- */

static VOID too_early(ULONG number)
{
    if (number == 0) {
        KeSetEvent(&event, IO_NO_INCREMENT, FALSE);
        said = TRUE;
    } else {
        KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
        if (!said) {
            heard_too_early = TRUE;
        }
    }
}

/* The same, trusting that a millisecond's work is done after ten. */
static VOID hurried(ULONG number)
{
    LARGE_INTEGER interval = {.QuadPart = -TRUSTED_100NS};
    if (number == 0) {
        for (ULONG i = 0; i < WORK; i++) {
            now();
        }
        said = TRUE;
    } else {
        KeDelayExecutionThread(KernelMode, FALSE, &interval);
        if (!said) {
            heard_too_early = TRUE;
        }
    }
}

static BOOLEAN not_too_early(VOID)
{
    return !heard_too_early;
}

/* --- no end --- */

static VOID deadlock(ULONG number)
{
    if (number == 0) {
        KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
    }
}

static VOID livelock(ULONG number)
{
    while (number == 0 && counter == 0) {
        now();
    }
}

/* --- time and randomness --- */

static VOID delays(ULONG number)
{
    LARGE_INTEGER interval = {.QuadPart = -DELAY_100NS * (LONGLONG)(number + 1)};
    for (ULONG i = 0; i < DELAYS; i++) {
        LONGLONG before = (LONGLONG)now();
        KeDelayExecutionThread(KernelMode, FALSE, &interval);
        LONGLONG took = (LONGLONG)now() - before;
        if (took < -interval.QuadPart || took > LATE_100NS - interval.QuadPart) {
            late = 1;
        }
    }
}

static BOOLEAN in_time(VOID)
{
    return !late;
}

static VOID randomness(ULONG number)
{
    ULONGLONG value = 0;
    BCryptGenRandom(NULL, (PUCHAR)&value, sizeof(value), BCRYPT_USE_SYSTEM_PREFERRED_RNG);
    DbgPrintEx(DPFLTR_IHVNETWORK_ID, DPFLTR_ERROR_LEVEL, "thread %u draws %016I64x\n", number, value);
}

static BOOLEAN always(VOID)
{
    return TRUE;
}

/* --- */

static const struct way ways[] = {
    {"race", race, all_counted},     {"locked", locked, all_counted},     {"dispatch", dispatch, never_two},
    {"passive", passive, never_two}, {"early", too_early, not_too_early}, {"hurried", hurried, not_too_early},
    {"deadlock", deadlock, always},  {"livelock", livelock, always},      {"delays", delays, in_time},
    {"random", randomness, always},
};

static VOID NTAPI thread_main(PVOID context)
{
    chosen->thread((ULONG)(ULONG_PTR)context);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI unload(PDRIVER_OBJECT driver)
{
    (void)driver;
    for (ULONG i = 0; i < THREADS; i++) {
        KeWaitForSingleObject(threads[i], Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(threads[i]);
    }
    if (!chosen->good()) {
        KeBugCheckEx(0xe2 /* MANUALLY_INITIATED_CRASH */, 0, 0, 0, 0);
    }
}

/* The last part of the service's name. */
static BOOLEAN named(const UNICODE_STRING *path, const char *name)
{
    USHORT length = 0;
    while (name[length]) {
        length++;
    }
    USHORT characters = path->Length / sizeof(*path->Buffer);
    if (characters <= length || path->Buffer[characters - length - 1] != '\\') {
        return FALSE;
    }
    for (USHORT i = 0; i < length; i++) {
        if (path->Buffer[characters - length + i] != name[i]) {
            return FALSE;
        }
    }
    return TRUE;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path);

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    for (ULONG i = 0; i < RTL_NUMBER_OF(ways); i++) {
        if (named(path, ways[i].name)) {
            chosen = &ways[i];
        }
    }
    if (!chosen) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    KeInitializeSpinLock(&lock);
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    for (ULONG i = 0; i < THREADS; i++) {
        HANDLE handle;
        NTSTATUS status = PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, thread_main,
                                               (PVOID)(ULONG_PTR)i);
        if (!NT_SUCCESS(status)) {
            KeBugCheckEx(0xe2, (ULONG_PTR)status, 0, 0, 0);
        }
        ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode, &threads[i], NULL);
        ZwClose(handle);
    }
    driver->DriverUnload = unload;
    return STATUS_SUCCESS;
}
