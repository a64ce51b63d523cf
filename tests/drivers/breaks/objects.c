/*
 * Breaks of the rules about objects: references, handles, rundown protection, double initialisation, and what
 * is left when the driver is unloaded.
 */
#include "breaks.h"
#include <nt/netioapi.h>

static KTIMER timer;
static KDPC dpc;
static EX_RUNDOWN_REF rundown;

static VOID NTAPI dpc_routine(PKDPC object, PVOID context, PVOID argument1, PVOID argument2)
{
}

static BREAKS VOID rundown_release(struct adapter *adapter)
{
    ExInitializeRundownProtection(&rundown);
    ExReleaseRundownProtection(&rundown);
}

static BREAKS VOID rundown_again(struct adapter *adapter)
{
    ExInitializeRundownProtection(&rundown);
    ExReInitializeRundownProtection(&rundown);
    keep(adapter);
}

static BREAKS VOID dereference_garbage(struct adapter *adapter)
{
    static ULONGLONG garbage[32];
    ObDereferenceObject(&garbage[16]);
}

static BREAKS VOID close_garbage(struct adapter *adapter)
{
    ZwClose((HANDLE)(ULONG_PTR)0x1230);
}

static BREAKS VOID set_timer(VOID)
{
    LARGE_INTEGER later = {.QuadPart = -10000LL * 1000 * 60};
    KeInitializeTimer(&timer);
    KeSetTimer(&timer, later, NULL);
}

static BREAKS VOID initialize_timer_twice(struct adapter *adapter)
{
    set_timer();
    KeInitializeTimer(&timer);
}

static BREAKS VOID initialize_dpc_twice(struct adapter *adapter)
{
    KIRQL irql;
    KeInitializeDpc(&dpc, dpc_routine, NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    KeInsertQueueDpc(&dpc, NULL, NULL);
    KeInitializeDpc(&dpc, dpc_routine, NULL);
    KeLowerIrql(irql);
}

static VOID NTAPI sleeping_work(PDEVICE_OBJECT device, PVOID context)
{
    sleep_ms(20);
}

static BREAKS VOID queue_twice(struct adapter *adapter)
{
    PDEVICE_OBJECT device = NULL;
    PIO_WORKITEM item = NULL;
    NdisMGetDeviceProperty(adapter->handle, NULL, &device, NULL, NULL, NULL);
    for (ULONG i = 0; i < 32; i++) { /* more than there are workers: the last one waits in the queue */
        item = IoAllocateWorkItem(device);
        IoQueueWorkItem(item, sleeping_work, DelayedWorkQueue, NULL);
    }
    IoQueueWorkItem(item, sleeping_work, DelayedWorkQueue, NULL);
}

/* ---- left behind ---- */

static BREAKS VOID left_timer(struct adapter *adapter)
{
    set_timer();
}

static BREAKS VOID left_work_item(struct adapter *adapter)
{
    PDEVICE_OBJECT device = NULL;
    NdisMGetDeviceProperty(adapter->handle, NULL, &device, NULL, NULL, NULL);
    keep(IoAllocateWorkItem(device));
}

static BREAKS VOID left_irp(struct adapter *adapter)
{
    keep(IoAllocateIrp(1, FALSE));
}

static BREAKS VOID left_mdl(struct adapter *adapter)
{
    static UCHAR memory[64];
    keep(IoAllocateMdl(memory, sizeof(memory), FALSE, FALSE, NULL));
}

static BREAKS VOID left_nbl_pool(struct adapter *adapter)
{
    NET_BUFFER_LIST_POOL_PARAMETERS parameters = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1},
        .fAllocateNetBuffer = TRUE,
        .PoolTag = BREAKS_TAG,
    };
    keep(NdisAllocateNetBufferListPool(adapter->handle, &parameters));
}

static VOID NTAPI thread_routine(PVOID context)
{
    for (;;) {
        sleep_ms(1000);
    }
}

static BREAKS VOID left_thread(struct adapter *adapter)
{
    HANDLE handle;
    if (NT_SUCCESS(
            PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, thread_routine, NULL))) {
        ZwClose(handle);
    }
}

static VOID NTAPI short_thread(PVOID context)
{
}

static BREAKS VOID left_handle(struct adapter *adapter)
{
    HANDLE handle;
    keep(&handle);
    PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, short_thread, NULL);
    sleep_ms(50);
}

static BREAKS VOID left_table(struct adapter *adapter)
{
    PMIB_IPFORWARD_TABLE2 table;
    GetIpForwardTable2(AF_INET, &table);
    keep(&table);
}

static VOID NTAPI route_changed(PVOID context, PMIB_IPFORWARD_ROW2 row, MIB_NOTIFICATION_TYPE type)
{
}

static BREAKS VOID left_notification(struct adapter *adapter)
{
    HANDLE handle;
    NotifyRouteChange2(AF_UNSPEC, route_changed, NULL, FALSE, &handle);
    keep(&handle);
}

/* ---- tables and notifications ---- */

static BREAKS VOID free_table_twice(struct adapter *adapter)
{
    PMIB_IPFORWARD_TABLE2 table;
    if (NT_SUCCESS(GetIpForwardTable2(AF_INET, &table))) {
        FreeMibTable(table);
        FreeMibTable(table);
    }
}

static BREAKS VOID table_after_free(struct adapter *adapter)
{
    PMIB_IPFORWARD_TABLE2 table;
    if (NT_SUCCESS(GetIpForwardTable2(AF_INET, &table))) {
        FreeMibTable(table);
        ULONG count = *(volatile ULONG *)&table->NumEntries;
        keep(&count);
    }
}

static BREAKS VOID cancel_twice(struct adapter *adapter)
{
    HANDLE handle;
    NotifyRouteChange2(AF_UNSPEC, route_changed, NULL, FALSE, &handle);
    CancelMibChangeNotify2(handle);
    CancelMibChangeNotify2(handle);
}

static HANDLE own_handle;
static KEVENT own_handle_known;

static BREAKS VOID NTAPI cancel_inside(PVOID context, PMIB_IPFORWARD_ROW2 row, MIB_NOTIFICATION_TYPE type)
{
    KeWaitForSingleObject(&own_handle_known, Executive, KernelMode, FALSE, NULL);
    CancelMibChangeNotify2(own_handle);
}

static BREAKS VOID notify_cancel_inside(struct adapter *adapter)
{
    KeInitializeEvent(&own_handle_known, NotificationEvent, FALSE);
    NotifyRouteChange2(AF_UNSPEC, cancel_inside, NULL, TRUE, &own_handle);
    KeSetEvent(&own_handle_known, IO_NO_INCREMENT, FALSE);
    sleep_ms(3000);
}

const struct rule_break object_breaks[] = {
    {.name = "rundown_release", .passive = rundown_release},
    {.name = "rundown_again", .passive = rundown_again},
    {.name = "dereference_garbage", .passive = dereference_garbage},
    {.name = "close_garbage", .passive = close_garbage},
    {.name = "initialize_timer_twice", .passive = initialize_timer_twice},
    {.name = "initialize_dpc_twice", .passive = initialize_dpc_twice},
    {.name = "queue_twice", .passive = queue_twice},
    {.name = "left_timer", .passive = left_timer},
    {.name = "left_work_item", .passive = left_work_item},
    {.name = "left_irp", .passive = left_irp},
    {.name = "left_mdl", .passive = left_mdl},
    {.name = "left_nbl_pool", .passive = left_nbl_pool},
    {.name = "left_thread", .passive = left_thread},
    {.name = "left_handle", .passive = left_handle},
    {.name = "left_table", .passive = left_table},
    {.name = "left_notification", .passive = left_notification},
    {.name = "free_table_twice", .passive = free_table_twice},
    {.name = "table_after_free", .passive = table_after_free},
    {.name = "cancel_twice", .passive = cancel_twice},
    {.name = "cancel_inside", .passive = notify_cancel_inside},
    {.name = NULL},
};
