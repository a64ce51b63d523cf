/*
 * Breaks of the rules about memory.
 */
#include "breaks.h"

static PUCHAR allocate(SIZE_T bytes)
{
    return ExAllocatePoolWithTag(NonPagedPoolNx, bytes, BREAKS_TAG);
}

/* Ends where an inaccessible page begins. */
static BREAKS VOID overrun(struct adapter *adapter)
{
    volatile UCHAR *memory = allocate(4096);
    memory[4096] = 1;
}

/* 13 bytes are followed by 3 that nobody owns. */
static BREAKS VOID overrun_small(struct adapter *adapter)
{
    volatile UCHAR *memory = allocate(13);
    memory[13] = 1;
    ExFreePoolWithTag((PVOID)memory, BREAKS_TAG);
}

static BREAKS VOID overrun_read(struct adapter *adapter)
{
    volatile UCHAR *memory = allocate(64);
    UCHAR sum = 0;
    for (ULONG i = 0; i <= 64; i++) {
        sum = (UCHAR)(sum + memory[i]);
    }
    keep(&sum);
}

static BREAKS VOID underrun(struct adapter *adapter)
{
    volatile UCHAR *memory = allocate(100);
    memory[-1] = 1;
    ExFreePoolWithTag((PVOID)memory, BREAKS_TAG);
}

static BREAKS volatile ULONG *allocate_for_late_use(VOID)
{
    return (volatile ULONG *)allocate(48);
}

static BREAKS VOID free_too_early(PVOID memory)
{
    ExFreePoolWithTag(memory, BREAKS_TAG);
}

static BREAKS VOID use_after_free(struct adapter *adapter)
{
    volatile ULONG *memory = allocate_for_late_use();
    memory[3] = 7;
    free_too_early((PVOID)memory);
    ULONG value = memory[3];
    keep(&value);
}

/* A long pool list of never written memory: its "next" is the pattern. */
static BREAKS VOID uninitialized(struct adapter *adapter)
{
    LIST_ENTRY *volatile *entry = (LIST_ENTRY *volatile *)allocate(sizeof(LIST_ENTRY));
    LIST_ENTRY *next = *entry;
    next->Blink = NULL;
}

static BREAKS VOID double_free(struct adapter *adapter)
{
    PVOID memory = allocate(200);
    ExFreePoolWithTag(memory, BREAKS_TAG);
    ExFreePoolWithTag(memory, BREAKS_TAG);
}

static BREAKS VOID free_interior(struct adapter *adapter)
{
    ExFreePoolWithTag(allocate(200) + 16, BREAKS_TAG);
}

static BREAKS VOID free_foreign(struct adapter *adapter)
{
    static ULONGLONG not_of_the_pool[8];
    ExFreePool(not_of_the_pool);
}

static BREAKS VOID wrong_tag(struct adapter *adapter)
{
    ExFreePoolWithTag(allocate(32), 0x676e7257u);
}

static BREAKS VOID no_tag(struct adapter *adapter)
{
    keep(ExAllocatePoolWithTag(NonPagedPoolNx, 32, 0));
}

static BREAKS VOID zero_size(struct adapter *adapter)
{
    keep(allocate(0));
}

static BREAKS VOID paged_at_dispatch(struct adapter *adapter)
{
    KIRQL irql;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    keep(ExAllocatePoolWithTag(PagedPool, 32, BREAKS_TAG));
    KeLowerIrql(irql);
}

static BREAKS VOID executable(struct adapter *adapter)
{
    keep(ExAllocatePoolWithTag((POOL_TYPE)0 /* NonPagedPool */, 32, BREAKS_TAG));
}

static BREAKS VOID leak(struct adapter *adapter)
{
    keep(allocate(333));
}

struct holder {
    ULONGLONG before;
    KTIMER timer;
    KDPC dpc;
    KSPIN_LOCK lock;
};

static VOID NTAPI dpc_routine(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
}

static BREAKS VOID free_timer(struct adapter *adapter)
{
    struct holder *holder = (struct holder *)allocate(sizeof(*holder));
    LARGE_INTEGER later = {.QuadPart = -10000LL * 1000 * 60};
    KeInitializeTimer(&holder->timer);
    KeSetTimer(&holder->timer, later, NULL);
    ExFreePoolWithTag(holder, BREAKS_TAG);
}

/* At DISPATCH_LEVEL a DPC of this processor waits in its queue. */
static BREAKS VOID free_dpc(struct adapter *adapter)
{
    struct holder *holder = (struct holder *)allocate(sizeof(*holder));
    KIRQL irql;
    KeInitializeDpc(&holder->dpc, dpc_routine, NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    KeInsertQueueDpc(&holder->dpc, NULL, NULL);
    ExFreePoolWithTag(holder, BREAKS_TAG);
    KeLowerIrql(irql);
}

static BREAKS VOID free_held_lock(struct adapter *adapter)
{
    struct holder *holder = (struct holder *)allocate(sizeof(*holder));
    KIRQL irql;
    KeInitializeSpinLock(&holder->lock);
    KeAcquireSpinLock(&holder->lock, &irql);
    ExFreePoolWithTag(holder, BREAKS_TAG);
    KeLowerIrql(irql);
}

static VOID NTAPI work_routine(PDEVICE_OBJECT device, PVOID context)
{
    sleep_ms(20);
}

/* More items than there are workers: the last ones are still in the queue. */
static BREAKS VOID free_work_item(struct adapter *adapter)
{
    PDEVICE_OBJECT device = NULL;
    NdisMGetDeviceProperty(adapter->handle, NULL, &device, NULL, NULL, NULL);
    for (ULONG i = 0; i < 64; i++) {
        PIO_WORKITEM item = IoAllocateWorkItem(device);
        IoQueueWorkItem(item, work_routine, DelayedWorkQueue, NULL);
        if (i >= 32) {
            IoFreeWorkItem(item);
        }
    }
}

/* ---- addresses that are no memory at all ---- */

static BREAKS VOID null_pointer(struct adapter *adapter)
{
    struct holder *volatile holder = NULL;
    holder->before = 1;
}

static BREAKS VOID write_constant(struct adapter *adapter)
{
    static const ULONG constant = 5;
    ULONG *volatile pointer = (ULONG *)(ULONG_PTR)&constant;
    *pointer = 6;
}

static BREAKS VOID write_code(struct adapter *adapter)
{
    UCHAR *volatile pointer = (UCHAR *)(ULONG_PTR)write_code;
    *pointer = 0x90;
}

static BREAKS VOID wild_call(struct adapter *adapter)
{
    VOID (*volatile pointer)(VOID) = (VOID(*)(VOID))(ULONG_PTR)0x7000ull;
    pointer();
    keep(&pointer);
}

static BREAKS VOID bad_argument(struct adapter *adapter)
{
    KeSetEvent((PKEVENT)(ULONG_PTR)0x120, IO_NO_INCREMENT, FALSE);
}

static BREAKS VOID call_init(struct adapter *adapter)
{
    ULONG value = init_only_pointer(3);
    keep(&value);
}

const struct rule_break pool_breaks[] = {
    {.name = "overrun", .passive = overrun},
    {.name = "overrun_small", .passive = overrun_small},
    {.name = "overrun_read", .passive = overrun_read},
    {.name = "underrun", .passive = underrun},
    {.name = "use_after_free", .passive = use_after_free},
    {.name = "uninitialized", .passive = uninitialized},
    {.name = "double_free", .passive = double_free},
    {.name = "free_interior", .passive = free_interior},
    {.name = "free_foreign", .passive = free_foreign},
    {.name = "wrong_tag", .passive = wrong_tag},
    {.name = "no_tag", .passive = no_tag},
    {.name = "zero_size", .passive = zero_size},
    {.name = "paged_at_dispatch", .passive = paged_at_dispatch},
    {.name = "executable", .passive = executable},
    {.name = "leak", .passive = leak},
    {.name = "free_timer", .passive = free_timer},
    {.name = "free_dpc", .passive = free_dpc},
    {.name = "free_held_lock", .passive = free_held_lock},
    {.name = "free_work_item", .passive = free_work_item},
    {.name = "null_pointer", .passive = null_pointer},
    {.name = "write_constant", .passive = write_constant},
    {.name = "write_code", .passive = write_code},
    {.name = "wild_call", .passive = wild_call},
    {.name = "bad_argument", .passive = bad_argument},
    {.name = "call_init", .passive = call_init},
    {.name = NULL},
};
