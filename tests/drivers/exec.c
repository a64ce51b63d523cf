/*
 * A plain driver with one control device, for the tests of nthost's I/O manager, loader and import thunks: it
 * echoes buffers by each transfer method, keeps requests in a cancel-safe queue, checks access, calls imports
 * with many and with variable arguments, and breaks one rule on demand. tests/unit/nthost-exec/exec_control.h
 * holds its codes.
 */
#include "../unit/nthost-exec/exec_control.h"

#include <nt/bcrypt.h>
#include <nt/ex.h>
#include <nt/io.h>
#include <nt/rtl.h>

#define POOL_TAG 0x63657845u /* "Exec" */

struct extension {
    IO_CSQ csq;
    LIST_ENTRY queue;
    KSPIN_LOCK lock;
    LONG opens, cleanups, closes, cancelled;
    ULONG last_pnp_minor, last_power_state;
};

static UNICODE_STRING device_name = RTL_CONSTANT_STRING(u"\\Device\\NthostExec");
static UNICODE_STRING link_name = RTL_CONSTANT_STRING(u"\\DosDevices\\NthostExec");

static NTSTATUS complete(PIRP irp, NTSTATUS status, ULONG_PTR information)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

/* --- the queue --- */

static struct extension *extension_of(PIO_CSQ csq)
{
    return CONTAINING_RECORD(csq, struct extension, csq);
}

static VOID NTAPI csq_insert(PIO_CSQ csq, PIRP irp)
{
    InsertTailList(&extension_of(csq)->queue, &irp->Tail.Overlay.ListEntry);
}

static VOID NTAPI csq_remove(PIO_CSQ csq, PIRP irp)
{
    RemoveEntryList(&irp->Tail.Overlay.ListEntry);
}

/* The context is a file object, or NULL for any. */
static PIRP NTAPI csq_peek(PIO_CSQ csq, PIRP irp, PVOID context)
{
    PLIST_ENTRY head = &extension_of(csq)->queue;
    PLIST_ENTRY entry = irp ? irp->Tail.Overlay.ListEntry.Flink : head->Flink;
    for (; entry != head; entry = entry->Flink) {
        PIRP next = CONTAINING_RECORD(entry, IRP, Tail.Overlay.ListEntry);
        if (!context || IoGetCurrentIrpStackLocation(next)->FileObject == context) {
            return next;
        }
    }
    return NULL;
}

static VOID NTAPI csq_acquire(PIO_CSQ csq, PKIRQL irql)
{
    KeAcquireSpinLock(&extension_of(csq)->lock, irql);
}

static VOID NTAPI csq_release(PIO_CSQ csq, KIRQL irql)
{
    KeReleaseSpinLock(&extension_of(csq)->lock, irql);
}

static VOID NTAPI csq_complete_canceled(PIO_CSQ csq, PIRP irp)
{
    __atomic_fetch_add(&extension_of(csq)->cancelled, 1, __ATOMIC_RELAXED);
    complete(irp, STATUS_CANCELLED, 0);
}

/* --- checks that run inside of the driver; each failure sets its bit --- */

static KEVENT worker_event;
static LONG worker_argument;

static VOID NTAPI work_routine(PDEVICE_OBJECT device, PVOID context)
{
    PIO_WORKITEM *item = context;
    worker_argument = KeGetCurrentIrql() == PASSIVE_LEVEL ? 1 : 2;
    IoFreeWorkItem(*item);
    KeSetEvent(&worker_event, IO_NO_INCREMENT, FALSE);
}

static VOID NTAPI thread_routine(PVOID context)
{
    LONG *value = context;
    *value = 77;
    PsTerminateSystemThread(STATUS_SUCCESS);
    *value = -1;
}

static ULONG check_thread(VOID)
{
    HANDLE handle;
    PVOID thread;
    LONG value = 0;
    if (!NT_SUCCESS(
            PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, thread_routine, &value))) {
        return 1;
    }
    NTSTATUS status =
        ObReferenceObjectByHandle(handle, SYNCHRONIZE, *PsThreadType, KernelMode, &thread, NULL);
    ZwClose(handle);
    if (!NT_SUCCESS(status)) {
        return 2;
    }
    KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(thread);
    return value == 77 ? 0 : 4;
}

static ULONG check_work_item(PDEVICE_OBJECT device)
{
    PIO_WORKITEM item = IoAllocateWorkItem(device);
    if (!item) {
        return 1;
    }
    KeInitializeEvent(&worker_event, NotificationEvent, FALSE);
    worker_argument = 0;
    IoQueueWorkItem(item, work_routine, DelayedWorkQueue, &item);
    KeWaitForSingleObject(&worker_event, Executive, KernelMode, FALSE, NULL);
    return worker_argument == 1 ? 0 : 2;
}

typedef int NTAPI snprintf_function(char *out, SIZE_T size, const char *format, ...);

static ULONG check_calls(VOID)
{
    IO_CSQ csq;
    char text[160];
    UNICODE_STRING name = RTL_CONSTANT_STRING(u"_snprintf");
    UNICODE_STRING unknown = RTL_CONSTANT_STRING(u"NoSuchRoutineAnywhere");
    snprintf_function *print = (snprintf_function *)MmGetSystemRoutineAddress(&name);
    static const char expected[] = "1 -2 3 4 abc NthostExec 0000000000000010 18446744073709551615 ff z";
    ULONG failures = 0;
    UNICODE_STRING wide = RTL_CONSTANT_STRING(u"NthostExec");

    IoCsqInitialize(&csq, csq_insert, csq_remove, csq_peek, csq_acquire, csq_release, csq_complete_canceled);
    if (csq.CsqInsertIrp != csq_insert || csq.CsqRemoveIrp != csq_remove || csq.CsqPeekNextIrp != csq_peek ||
        csq.CsqAcquireLock != csq_acquire || csq.CsqReleaseLock != csq_release ||
        csq.CsqCompleteCanceledIrp != csq_complete_canceled) {
        failures |= 1;
    }
    if (!print || MmGetSystemRoutineAddress(&unknown)) {
        return failures | 2;
    }
    int length = print(text, sizeof(text), "%d %d %u %lu %s %wZ %p %I64u %x %c", 1, -2, 3, 4, "abc", &wide,
                       (PVOID)16, ~0ull, 255, 'z');
    if (length != sizeof(expected) - 1 ||
        RtlCompareMemory(text, expected, sizeof(expected)) != sizeof(expected)) {
        failures |= 4;
    }
    DbgPrintEx(DPFLTR_IHVNETWORK_ID, DPFLTR_INFO_LEVEL, "%d %d %d %d %d %d %s\n", 1, 2, 3, 4, 5, 6, text);
    return failures;
}

static ULONG check_mdls(PMDL mdl, PMDL partial, PUCHAR page)
{
    MmBuildMdlForNonPagedPool(mdl);
    IoBuildPartialMdl(mdl, partial, page + 4000, 500);
    if (MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority) != page + 100 ||
        MmGetMdlByteCount(mdl) != PAGE_SIZE * 2 || MmGetMdlByteOffset(mdl) != 100 ||
        MmGetSystemAddressForMdlSafe(partial, NormalPagePriority) != page + 4000 ||
        MmGetMdlByteCount(partial) != 500) {
        return 8;
    }
    return 0;
}

static ULONG check_memory(VOID)
{
    ULONG failures = 0;
    UCHAR random[32] = {0}, zero[32] = {0};
    RTL_OSVERSIONINFOW version = {.dwOSVersionInfoSize = sizeof(version)};
    PUCHAR small = ExAllocatePoolWithTag(NonPagedPoolNx, 24, POOL_TAG);
    PUCHAR page = ExAllocatePool2(POOL_FLAG_NON_PAGED, 3 * PAGE_SIZE, POOL_TAG);

    if (!small || !page || ((ULONG_PTR)small & 15) || BYTE_OFFSET(page)) {
        failures |= 1;
    }
    for (ULONG i = 0; page && i < 3 * PAGE_SIZE; i++) {
        failures |= page[i] ? 2 : 0;
    }
    if (page) {
        PMDL mdl = IoAllocateMdl(page + 100, PAGE_SIZE * 2, FALSE, FALSE, NULL);
        PMDL partial = IoAllocateMdl(page, PAGE_SIZE * 3, FALSE, FALSE, NULL);
        failures |= mdl && partial ? 0 : 4;
        if (mdl && partial) {
            failures |= check_mdls(mdl, partial, page);
        }
        if (partial) {
            IoFreeMdl(partial);
        }
        if (mdl) {
            IoFreeMdl(mdl);
        }
        ExFreePoolWithTag(page, POOL_TAG);
    }
    if (small) {
        ExFreePool(small);
    }
    if (!NT_SUCCESS(BCryptGenRandom(NULL, random, sizeof(random), BCRYPT_USE_SYSTEM_PREFERRED_RNG)) ||
        RtlCompareMemory(random, zero, sizeof(zero)) == sizeof(zero)) {
        failures |= 16;
    }
    if (!NT_SUCCESS(RtlGetVersion(&version)) || version.dwMajorVersion != 10 ||
        version.dwBuildNumber != 19045) {
        failures |= 32;
    }
    return failures;
}

/* --- access --- */

/* O:SYD:P(A;;FA;;;SY)(A;;FA;;;BA)S:(ML;;NWNRNX;;;HI), as bytes. */
static const UCHAR descriptor[] = {
    1,  0, 0x14, 0x90, 20,   0,    0,    0, 0,    0, 0,  0, 32, 0, 0, 0, 60, 0, 0, 0, /* header */
    1,  1, 0,    0,    0,    0,    0,    5, 18,   0, 0,  0,                           /* S-1-5-18 */
    2,  0, 28,   0,    1,    0,    0,    0, 0x11, 0, 20, 0, 7,  0, 0, 0, 1,  1, 0, 0, /* SACL */
    0,  0, 0,    16,   0,    0x30, 0,    0,                                           /* S-1-16-12288 */
    2,  0, 52,   0,    2,    0,    0,    0,                                           /* DACL */
    0,  0, 20,   0,    0xff, 1,    0x1f, 0, 1,    1, 0,  0, 0,  0, 0, 5, 18, 0, 0, 0, /* allow SYSTEM */
    0,  0, 24,   0,    0xff, 1,    0x1f, 0, 1,    2, 0,  0, 0,  0, 0, 5, 32, 0, 0, 0,
    32, 2, 0,    0, /* allow admins */
};

static NTSTATUS check_access(PIRP irp)
{
    SECURITY_SUBJECT_CONTEXT subject;
    ACCESS_MASK granted;
    NTSTATUS status;
    SeCaptureSubjectContext(&subject);
    SeLockSubjectContext(&subject);
    SeAccessCheck((PSECURITY_DESCRIPTOR)descriptor, &subject, TRUE, FILE_READ_DATA, 0, NULL,
                  IoGetFileObjectGenericMapping(), irp->RequestorMode, &granted, &status);
    SeUnlockSubjectContext(&subject);
    SeReleaseSubjectContext(&subject);
    return status;
}

/* --- one broken rule each --- */

/* Not inlined: reports and debuggers have to name it. */
static __attribute__((noinline)) NTSTATUS break_rule(PIRP irp, ULONG rule, PDRIVER_OBJECT driver)
{
    KIRQL irql;
    switch (rule) {
    case EXEC_BREAK_IRQL:
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
        IoGetFileObjectGenericMapping();
        KeLowerIrql(irql);
        return complete(irp, STATUS_SUCCESS, 0);
    case EXEC_BREAK_PENDING_UNMARKED:
        complete(irp, STATUS_SUCCESS, 0);
        return STATUS_PENDING;
    case EXEC_BREAK_PENDING_NOT_RETURNED:
        IoMarkIrpPending(irp);
        complete(irp, STATUS_SUCCESS, 0);
        return STATUS_SUCCESS;
    case EXEC_BREAK_TWICE:
        complete(irp, STATUS_SUCCESS, 0);
        return complete(irp, STATUS_SUCCESS, 0);
    case EXEC_BREAK_INFORMATION:
        return complete(irp, STATUS_SUCCESS, 100000);
    case EXEC_BREAK_CANCEL_ROUTINE:
        IoSetCancelRoutine(irp, (PDRIVER_CANCEL)csq_complete_canceled);
        return complete(irp, STATUS_SUCCESS, 0);
    case EXEC_BREAK_NOT_COMPLETED:
        return STATUS_SUCCESS;
    case EXEC_BREAK_IRP_FREED_TWICE: {
        PIRP own = IoAllocateIrp(1, FALSE);
        if (!own) {
            return complete(irp, STATUS_INSUFFICIENT_RESOURCES, 0);
        }
        IoFreeIrp(own);
        IoFreeIrp(own);
        return complete(irp, STATUS_SUCCESS, 0);
    }
    case EXEC_BREAK_MDL: {
        PMDL mdl = IoAllocateMdl(driver, 16, FALSE, FALSE, NULL);
        MmUnlockPages(mdl);
        return complete(irp, STATUS_SUCCESS, 0);
    }
    default:
        return complete(irp, STATUS_INVALID_PARAMETER, 0);
    }
}

/* --- dispatch --- */

static NTSTATUS direct(PIRP irp, PIO_STACK_LOCATION stack, BOOLEAN write)
{
    struct exec_direct_report report = {.input = stack->Parameters.DeviceIoControl.InputBufferLength,
                                        .output = stack->Parameters.DeviceIoControl.OutputBufferLength,
                                        .system_buffer = irp->AssociatedIrp.SystemBuffer != NULL,
                                        .mdl = irp->MdlAddress != NULL};
    ULONG_PTR sum = report.input << 24 | report.output << 8 | report.system_buffer << 1 | report.mdl;
    if (irp->MdlAddress) {
        PUCHAR bytes = MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority);
        if (!bytes || MmGetMdlByteCount(irp->MdlAddress) != report.output) {
            return complete(irp, STATUS_UNSUCCESSFUL, 0);
        }
        for (ULONG i = 0; i < report.output; i++) {
            if (write) {
                bytes[i] = (UCHAR)(i * 7);
            } else {
                sum += (ULONG_PTR)bytes[i] << 32;
            }
        }
    }
    return complete(irp, STATUS_SUCCESS, sum);
}

static NTSTATUS control(PDEVICE_OBJECT device, PIRP irp, PIO_STACK_LOCATION stack)
{
    struct extension *extension = device->DeviceExtension;
    ULONG input = stack->Parameters.DeviceIoControl.InputBufferLength;
    ULONG output = stack->Parameters.DeviceIoControl.OutputBufferLength;
    PUCHAR buffer = irp->AssociatedIrp.SystemBuffer;
    ULONG word;

    switch (stack->Parameters.DeviceIoControl.IoControlCode) {
    case EXEC_REVERSE: /* output = input reversed; more output than input is left as it is */
        for (ULONG i = 0; i < input / 2; i++) {
            UCHAR byte = buffer[i];
            buffer[i] = buffer[input - 1 - i];
            buffer[input - 1 - i] = byte;
        }
        return complete(irp, input > output ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS,
                        input > output ? output : input);
    case EXEC_NO_BUFFER:
        return complete(irp, buffer || irp->MdlAddress ? STATUS_UNSUCCESSFUL : STATUS_SUCCESS, 0);
    case EXEC_FAIL: /* an error status: nothing may be copied back */
        if (buffer && output) {
            buffer[0] = 0xee;
        }
        return complete(irp, STATUS_UNSUCCESSFUL, output);
    case EXEC_IN_DIRECT:
        return direct(irp, stack, FALSE);
    case EXEC_OUT_DIRECT:
        return direct(irp, stack, TRUE);
    case EXEC_NEITHER:
        if (irp->AssociatedIrp.SystemBuffer || irp->MdlAddress || !irp->UserBuffer) {
            return complete(irp, STATUS_UNSUCCESSFUL, 0);
        }
        RtlCopyMemory(irp->UserBuffer, stack->Parameters.DeviceIoControl.Type3InputBuffer,
                      input < output ? input : output);
        return complete(irp, STATUS_SUCCESS, input);
    case EXEC_PEND:
        IoCsqInsertIrp(&extension->csq, irp, NULL);
        return STATUS_PENDING;
    case EXEC_RELEASE: { /* completes the oldest pending request */
        PIRP pending = IoCsqRemoveNextIrp(&extension->csq, NULL);
        if (!pending) {
            return complete(irp, STATUS_NO_MORE_ENTRIES, 0);
        }
        word = 0x12345678;
        if (IoGetCurrentIrpStackLocation(pending)->Parameters.DeviceIoControl.OutputBufferLength >=
            sizeof(word)) {
            RtlCopyMemory(pending->AssociatedIrp.SystemBuffer, &word, sizeof(word));
            complete(pending, STATUS_SUCCESS, sizeof(word));
        } else {
            complete(pending, STATUS_SUCCESS, 0);
        }
        return complete(irp, STATUS_SUCCESS, 0);
    }
    case EXEC_ACCESS:
        return complete(irp, check_access(irp), 0);
    case EXEC_IS_32BIT:
        return complete(irp, STATUS_SUCCESS, IoIs32bitProcess(irp));
    case EXEC_SELF_TEST: {
        struct exec_self_test *result = (struct exec_self_test *)buffer;
        if (output < sizeof(*result)) {
            return complete(irp, STATUS_BUFFER_TOO_SMALL, 0);
        }
        *result = (struct exec_self_test){.calls = check_calls(),
                                          .memory = check_memory(),
                                          .work_item = check_work_item(device),
                                          .thread = check_thread(),
                                          .opens = (uint32_t)extension->opens,
                                          .cleanups = (uint32_t)extension->cleanups,
                                          .closes = (uint32_t)extension->closes,
                                          .cancelled = (uint32_t)extension->cancelled,
                                          .pnp_minor = extension->last_pnp_minor,
                                          .power_state = extension->last_power_state};
        return complete(irp, STATUS_SUCCESS, sizeof(*result));
    }
    case EXEC_BREAK:
        if (input < sizeof(word)) {
            return complete(irp, STATUS_INVALID_PARAMETER, 0);
        }
        RtlCopyMemory(&word, buffer, sizeof(word));
        return break_rule(irp, word, device->DriverObject);
    default:
        return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }
}

static NTSTATUS NTAPI dispatch(PDEVICE_OBJECT device, PIRP irp)
{
    struct extension *extension = device->DeviceExtension;
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    PIRP pending;

    switch (stack->MajorFunction) {
    case IRP_MJ_CREATE:
        __atomic_fetch_add(&extension->opens, 1, __ATOMIC_RELAXED);
        return complete(irp, STATUS_SUCCESS, 0);
    case IRP_MJ_CLEANUP:
        while ((pending = IoCsqRemoveNextIrp(&extension->csq, stack->FileObject))) {
            complete(pending, STATUS_CANCELLED, 0);
        }
        __atomic_fetch_add(&extension->cleanups, 1, __ATOMIC_RELAXED);
        return complete(irp, STATUS_SUCCESS, 0);
    case IRP_MJ_CLOSE:
        __atomic_fetch_add(&extension->closes, 1, __ATOMIC_RELAXED);
        return complete(irp, STATUS_SUCCESS, 0);
    case IRP_MJ_DEVICE_CONTROL:
        return control(device, irp, stack);
    case IRP_MJ_PNP:
        extension->last_pnp_minor = stack->MinorFunction;
        return complete(
            irp, stack->MinorFunction == IRP_MN_QUERY_REMOVE_DEVICE ? STATUS_UNSUCCESSFUL : STATUS_SUCCESS,
            0);
    case IRP_MJ_POWER:
        extension->last_power_state = stack->Parameters.Power.State.DeviceState;
        return complete(irp, STATUS_SUCCESS, 0);
    default:
        return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }
}

static VOID NTAPI unload(PDRIVER_OBJECT driver)
{
    IoDeleteSymbolicLink(&link_name);
    IoDeleteDevice(driver->DeviceObject);
}

DRIVER_INITIALIZE DriverEntry;

NT_INIT_CODE NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PDEVICE_OBJECT device;
    NTSTATUS status = IoCreateDevice(DriverObject, sizeof(struct extension), &device_name,
                                     FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, &device);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    struct extension *extension = device->DeviceExtension;
    InitializeListHead(&extension->queue);
    KeInitializeSpinLock(&extension->lock);
    IoCsqInitialize(&extension->csq, csq_insert, csq_remove, csq_peek, csq_acquire, csq_release,
                    csq_complete_canceled);
    status = IoCreateSymbolicLink(&link_name, &device_name);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(device);
        return status;
    }
    DriverObject->MajorFunction[IRP_MJ_CREATE] = dispatch;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = dispatch;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = dispatch;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = dispatch;
    DriverObject->MajorFunction[IRP_MJ_PNP] = dispatch;
    DriverObject->MajorFunction[IRP_MJ_POWER] = dispatch;
    DriverObject->DriverUnload = unload;
    return STATUS_SUCCESS;
}
