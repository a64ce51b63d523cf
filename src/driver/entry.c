/* DriverEntry and the miniport handlers: nothing here but the way in. */
#include "adapter.h"
#include "batch.h"
#include "control.h"
#include "driver.h"
#include "epoch.h"
#include "memory.h"
#include "nt/rtl.h"
#include "oid.h"
#include "rate_limit.h"
#include "state.h"
#include "transmit.h"
#include "udp_socket.h"
#include "version.h"
#include "wide.h"
#include "worker.h"
#include "workspace.h"

struct driver driver;

DRIVER_INITIALIZE DriverEntry;

static NDIS_STATUS NTAPI miniport_initialize(NDIS_HANDLE miniport, NDIS_HANDLE context,
                                             PNDIS_MINIPORT_INIT_PARAMETERS parameters)
{
    struct adapter *adapter;
    return adapter_create(miniport, parameters, &adapter);
}

static VOID NTAPI miniport_halt(NDIS_HANDLE context, NDIS_HALT_ACTION action)
{
    adapter_destroy(context);
}

static NDIS_STATUS NTAPI miniport_pause(NDIS_HANDLE context, PNDIS_MINIPORT_PAUSE_PARAMETERS parameters)
{
    return state_pause(context);
}

static NDIS_STATUS NTAPI miniport_restart(NDIS_HANDLE context, PNDIS_MINIPORT_RESTART_PARAMETERS parameters)
{
    return state_restart(context);
}

static VOID NTAPI miniport_send(NDIS_HANDLE context, PNET_BUFFER_LIST chain, NDIS_PORT_NUMBER port,
                                ULONG flags)
{
    transmit_send(context, chain, flags);
}

static VOID NTAPI miniport_return(NDIS_HANDLE context, PNET_BUFFER_LIST chain, ULONG flags)
{
    rx_batch_return(chain);
}

/* Sends are completed as soon as they are encrypted: there is nothing to cancel. */
static VOID NTAPI miniport_cancel_send(NDIS_HANDLE context, PVOID cancel_id)
{
}

static NDIS_STATUS NTAPI miniport_oid(NDIS_HANDLE context, PNDIS_OID_REQUEST request)
{
    return oid_request(context, request);
}

/* OID requests are answered at once: there is nothing to cancel. */
static VOID NTAPI miniport_cancel_oid(NDIS_HANDLE context, PVOID request_id)
{
}

static NDIS_STATUS NTAPI miniport_direct_oid(NDIS_HANDLE context, PNDIS_OID_REQUEST request)
{
    return NDIS_STATUS_NOT_SUPPORTED;
}

static VOID NTAPI miniport_cancel_direct_oid(NDIS_HANDLE context, PVOID request_id)
{
}

static NDIS_STATUS NTAPI miniport_synchronous_oid(NDIS_HANDLE context, PNDIS_OID_REQUEST request)
{
    return NDIS_STATUS_NOT_SUPPORTED;
}

/* Removal and power reach the driver as IRPs (control.c) and OIDs (oid.c). */
static VOID NTAPI miniport_pnp_event(NDIS_HANDLE context, PNET_DEVICE_PNP_EVENT event)
{
}

static VOID NTAPI miniport_shutdown(NDIS_HANDLE context, NDIS_SHUTDOWN_ACTION action)
{
}

static void driver_uninitialize(void)
{
    wsk_deregister();
    epoch_uninitialize();
    worker_uninitialize();
    rate_limit_uninitialize();
    workspace_uninitialize();
}

static VOID NTAPI driver_unload(PDRIVER_OBJECT object)
{
    NdisMDeregisterMiniportDriver(driver.ndis);
    driver_uninitialize();
}

#define INIT_SECTION __attribute__((section("INIT"), noinline))

INIT_SECTION static NTSTATUS driver_initialize(void)
{
    NTSTATUS status = workspace_initialize();
    if (!NT_SUCCESS(status))
        return status;
    struct workspace *workspace = workspace_acquire();
    const char *failed = workspace ? wide_initialize(workspace) : NULL;
    if (!workspace || failed) {
        if (workspace)
            workspace_release(workspace);
        workspace_uninitialize();
        if (!workspace)
            return STATUS_INSUFFICIENT_RESOURCES;
        DbgPrint("wyrm: the self-test of %s failed, the driver does not start\n", failed);
        return STATUS_INTERNAL_ERROR;
    }
    workspace_release(workspace);
    random_initialize();
    wsk_initialize();
    rate_limit_initialize();
    status = worker_initialize();
    if (!NT_SUCCESS(status)) {
        workspace_uninitialize();
        return status;
    }
    status = epoch_initialize();
    if (!NT_SUCCESS(status)) {
        worker_uninitialize();
        workspace_uninitialize();
    }
    return status;
}

INIT_SECTION static void fill_characteristics(NDIS_MINIPORT_DRIVER_CHARACTERISTICS *characteristics)
{
    bool revision_3 = driver.ndis_version >= NDIS_RUNTIME_VERSION_680;
    uint32_t version =
        driver.ndis_version < NDIS_RUNTIME_VERSION_685 ? driver.ndis_version : NDIS_RUNTIME_VERSION_685;
    *characteristics = (NDIS_MINIPORT_DRIVER_CHARACTERISTICS){
        .Header = {.Type = NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS,
                   .Revision = revision_3 ? NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_3
                                          : NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2,
                   .Size = revision_3 ? NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_3
                                      : NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2},
        .MajorNdisVersion = (UCHAR)(version >> 16),
        .MinorNdisVersion = (UCHAR)version,
        .MajorDriverVersion = WYRM_VERSION_MAJOR,
        .MinorDriverVersion = WYRM_VERSION_MINOR,
        .InitializeHandlerEx = miniport_initialize,
        .HaltHandlerEx = miniport_halt,
        .UnloadHandler = driver_unload,
        .PauseHandler = miniport_pause,
        .RestartHandler = miniport_restart,
        .OidRequestHandler = miniport_oid,
        .SendNetBufferListsHandler = miniport_send,
        .ReturnNetBufferListsHandler = miniport_return,
        .CancelSendHandler = miniport_cancel_send,
        .DevicePnPEventNotifyHandler = miniport_pnp_event,
        .ShutdownHandlerEx = miniport_shutdown,
        .CancelOidRequestHandler = miniport_cancel_oid,
        .DirectOidRequestHandler = miniport_direct_oid,
        .CancelDirectOidRequestHandler = miniport_cancel_direct_oid,
        .SynchronousOidRequestHandler = revision_3 ? miniport_synchronous_oid : NULL,
    };
}

INIT_SECTION NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT object, PUNICODE_STRING registry_path)
{
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS characteristics;
    driver.ndis_version = NdisGetVersion();
    if (driver.ndis_version < NDIS_RUNTIME_VERSION_650)
        return NDIS_STATUS_UNSUPPORTED_REVISION;
    driver.object = object;
    driver.cpus = KeQueryMaximumProcessorCountEx(ALL_PROCESSOR_GROUPS);
    InitializeListHead(&driver.adapters);
    KeInitializeSpinLock(&driver.adapters_lock);

    NTSTATUS status = driver_initialize();
    if (!NT_SUCCESS(status))
        return status;
    /* Registration makes the handlers reachable: everything they need stands by now. */
    fill_characteristics(&characteristics);
    status = NdisMRegisterMiniportDriver(object, registry_path, NULL, &characteristics, &driver.ndis);
    if (!NT_SUCCESS(status)) {
        driver_uninitialize();
        return status;
    }
    control_hook_dispatch(object);
    return STATUS_SUCCESS;
}
