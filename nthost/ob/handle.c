/* The one handle table (everything here is the system process's).  Kernel handles have the upper bits set, as
 * on Windows, so that a driver cannot take one for a user's.  Microsoft's page titles:
 * "ObReferenceObjectByHandle", "ZwClose", "ObOpenObjectByPointer". */
#include "object.h"

#include "exports.h"
#include "host.h"
#include "ke/dispatcher.h"
#include "ps/process.h"
#include "verify/verify.h"

#include <stdlib.h>

#define KERNEL_HANDLE_BITS ((uintptr_t)0xffffffff80000000u)
#define HANDLE_STEP        4u /* the low two bits of a handle are the owner's to use */
#define CURRENT_PROCESS    ((HANDLE)(intptr_t)-1)
#define CURRENT_THREAD     ((HANDLE)(intptr_t)-2)

struct slot {
    void *body; /* NULL: free */
    bool kernel;
};

static struct slot *slots;
static size_t slot_count;
static uint32_t slots_lock;

static void lock_slots(void)
{
    unsigned spins = 0;
    while (__atomic_exchange_n(&slots_lock, 1, __ATOMIC_ACQUIRE) != 0)
        sched_spin(&spins);
}

static void unlock_slots(void)
{
    __atomic_store_n(&slots_lock, 0, __ATOMIC_RELEASE);
}

NTSTATUS ob_open_handle(void *body, ULONG attributes, HANDLE *handle)
{
    bool kernel = (attributes & OBJ_KERNEL_HANDLE) != 0;
    lock_slots();
    size_t index = 0;
    while (index < slot_count && slots[index].body != NULL)
        index++;
    if (index == slot_count) {
        size_t grown_count = slot_count != 0 ? slot_count * 2 : 32;
        struct slot *grown = realloc(slots, grown_count * sizeof(*grown));
        if (grown == NULL) {
            unlock_slots();
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        for (size_t i = slot_count; i < grown_count; i++)
            grown[i] = (struct slot){NULL, false};
        slots = grown;
        slot_count = grown_count;
    }
    ob_reference(body);
    slots[index] = (struct slot){body, kernel};
    unlock_slots();
    host_count_add(HOST_HANDLE, 1);
    *handle = (HANDLE)((index + 1) * HANDLE_STEP | (kernel ? KERNEL_HANDLE_BITS : 0));
    return STATUS_SUCCESS;
}

/* The slot of a handle, NULL if there is none; slots_lock is held. */
static struct slot *find_slot(HANDLE handle)
{
    uintptr_t value = (uintptr_t)handle;
    bool kernel = (value & KERNEL_HANDLE_BITS) == KERNEL_HANDLE_BITS;
    size_t number = (kernel ? value & ~KERNEL_HANDLE_BITS : value) / HANDLE_STEP;
    if (number == 0 || number > slot_count || slots[number - 1].body == NULL ||
        slots[number - 1].kernel != kernel)
        return NULL;
    return &slots[number - 1];
}

NTSTATUS ob_reference_handle(HANDLE handle, OBJECT_TYPE *type, KPROCESSOR_MODE mode, void **body)
{
    NTSTATUS status = STATUS_SUCCESS;
    void *found = NULL;
    *body = NULL;
    if (handle == CURRENT_THREAD || handle == CURRENT_PROCESS) {
        found = handle == CURRENT_THREAD ? (void *)ke_current_thread() : (void *)IoGetCurrentProcess();
        if (type != NULL && ob_type(found) != type)
            return STATUS_OBJECT_TYPE_MISMATCH;
        ob_reference(found);
        *body = found;
        return STATUS_SUCCESS;
    }
    lock_slots();
    struct slot *slot = find_slot(handle);
    if (slot == NULL || (slot->kernel && mode == UserMode)) {
        status = STATUS_INVALID_HANDLE;
    } else if (type != NULL && ob_type(slot->body) != type) {
        status = STATUS_OBJECT_TYPE_MISMATCH;
    } else {
        found = slot->body;
        ob_reference(found);
    }
    unlock_slots();
    *body = found;
    return status;
}

NTSTATUS NTAPI ObReferenceObjectByHandle(HANDLE Handle, ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType,
                                         KPROCESSOR_MODE AccessMode, PVOID *Object,
                                         POBJECT_HANDLE_INFORMATION HandleInformation)
{
    NTSTATUS status = ob_reference_handle(Handle, ObjectType, AccessMode, Object);
    if (NT_SUCCESS(status))
        host_count_add(HOST_OBJECT_REF, 1);
    return status;
}

NTSTATUS NTAPI ObReferenceObjectByHandleWithTag(HANDLE Handle, ACCESS_MASK DesiredAccess,
                                                POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode,
                                                ULONG Tag, PVOID *Object,
                                                POBJECT_HANDLE_INFORMATION HandleInformation)
{
    return ObReferenceObjectByHandle(Handle, DesiredAccess, ObjectType, AccessMode, Object,
                                     HandleInformation);
}

NTSTATUS NTAPI ObOpenObjectByPointer(PVOID Object, ULONG HandleAttributes,
                                     struct _ACCESS_STATE *PassedAccessState, ACCESS_MASK DesiredAccess,
                                     POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode, PHANDLE Handle)
{
    if (ObjectType != NULL && ob_type(Object) != ObjectType)
        return STATUS_OBJECT_TYPE_MISMATCH;
    return ob_open_handle(Object, HandleAttributes, Handle);
}

NTSTATUS NTAPI ZwClose(HANDLE Handle)
{
    if (Handle == CURRENT_THREAD || Handle == CURRENT_PROCESS)
        return STATUS_SUCCESS;
    lock_slots();
    struct slot *slot = find_slot(Handle);
    void *body = NULL;
    if (slot != NULL) {
        body = slot->body;
        slot->body = NULL;
    }
    unlock_slots();
    if (body == NULL) {
        if (host_options.verify)
            verify_report(RULE_OBJECT_REFERENCE, "ZwClose: %p is not an open handle", Handle);
        return STATUS_INVALID_HANDLE;
    }
    host_count_add(HOST_HANDLE, -1);
    ob_dereference(body);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI ObCloseHandle(HANDLE Handle, KPROCESSOR_MODE PreviousMode)
{
    return ZwClose(Handle);
}

BOOLEAN NTAPI ObIsKernelHandle(HANDLE Handle)
{
    return ((uintptr_t)Handle & KERNEL_HANDLE_BITS) == KERNEL_HANDLE_BITS;
}

NTSTATUS NTAPI ZwWaitForSingleObject(HANDLE Handle, BOOLEAN Alertable, PLARGE_INTEGER Timeout)
{
    void *body;
    NTSTATUS status = ob_reference_handle(Handle, NULL, KernelMode, &body);
    if (!NT_SUCCESS(status))
        return status;
    if (ob_type(body) == *PsThreadType || ob_type(body) == *PsProcessType)
        status = KeWaitForSingleObject(body, UserRequest, KernelMode, Alertable, Timeout);
    else
        status = STATUS_OBJECT_TYPE_MISMATCH;
    ob_dereference(body);
    return status;
}
