/* One NDIS adapter: what PnP manager, NDIS and the protocol stack do to a miniport from initialization to
 * halt. */
#include "ndis.h"
#include "verify/verify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATE_TIMEOUT_NS (30ull * 1000000000) /* a send, and so a pause, may take that long */
#define LOOKAHEAD_BYTES  256u
#define OID_UNKNOWN      0x00fffffeu

static pthread_mutex_t adapters_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ndis_adapter *adapters;
static DRIVER_OBJECT bus_driver; /* the parent bus that enumerated the device */

struct ndis_adapter *adapter_from_handle(NDIS_HANDLE handle, const char *function)
{
    struct ndis_adapter *adapter = handle;

    if (adapter && adapter->magic == ADAPTER_MAGIC) {
        if (__builtin_expect(adapter->state == ADAPTER_HALTED && host_options.verify, 0))
            verify_report(RULE_NDIS_AFTER_HALT, "%s after MiniportHaltEx returned", function);
        return adapter;
    }
    if (host_options.verify)
        verify_report(RULE_NDIS_STATE, "%s: %p is not a miniport adapter handle", function, handle);
    host_warn("%s: %p is not a miniport adapter handle", function, handle);
    return NULL;
}

struct ndis_adapter *adapter_from_device(const DEVICE_OBJECT *device)
{
    struct ndis_adapter *adapter;

    pthread_mutex_lock(&adapters_lock);
    for (adapter = adapters; adapter && adapter->functional != device; adapter = adapter->next)
        ;
    pthread_mutex_unlock(&adapters_lock);
    return adapter;
}

static void set_state(struct ndis_adapter *adapter, enum adapter_state state)
{
    __atomic_store_n(&adapter->state, state, __ATOMIC_RELEASE);
}

/* ---- devices ---- */

static NTSTATUS NTAPI bus_dispatch(DEVICE_OBJECT *object, IRP *irp)
{
    irp->IoStatus.Status = STATUS_SUCCESS;
    irp->IoStatus.Information = 0;
    IofCompleteRequest(irp, 0);
    return STATUS_SUCCESS;
}

static int create_devices(struct ndis_adapter *adapter)
{
    char name[64];
    UNICODE_STRING device_name = {.Buffer = adapter->guid_name};

    bus_driver.Type = IO_TYPE_DRIVER;
    bus_driver.Size = sizeof bus_driver;
    for (unsigned i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
        bus_driver.MajorFunction[i] = bus_dispatch;
    if (IoCreateDevice(&bus_driver, 0, NULL, FILE_DEVICE_NETWORK, 0, FALSE, &adapter->physical) < 0)
        return -ENOMEM;
    /* As on Windows, the functional device is named after the adapter's GUID (here from its index). */
    snprintf(name, sizeof name, "\\Device\\{4E744E69-6600-4000-8000-0000%08X}", tun_ifindex(adapter->tun));
    for (unsigned i = 0; name[i]; i++, device_name.Length += 2)
        adapter->guid_name[i] = (uint8_t)name[i];
    device_name.MaximumLength = device_name.Length;
    if (IoCreateDevice(adapter->driver->object, 0, &device_name, FILE_DEVICE_PHYSICAL_NETCARD,
                       FILE_DEVICE_SECURE_OPEN, FALSE, &adapter->functional) < 0) {
        IoDeleteDevice(adapter->physical);
        adapter->physical = NULL;
        return -ENOMEM;
    }
    adapter->functional->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    adapter->physical->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return 0;
}

VOID NTAPI NdisMGetDeviceProperty(NDIS_HANDLE MiniportAdapterHandle, PDEVICE_OBJECT *PhysicalDeviceObject,
                                  PDEVICE_OBJECT *FunctionalDeviceObject, PDEVICE_OBJECT *NextDeviceObject,
                                  struct _CM_RESOURCE_LIST **AllocatedResources,
                                  struct _CM_RESOURCE_LIST **AllocatedResourcesTranslated)
{
    struct ndis_adapter *adapter = adapter_from_handle(MiniportAdapterHandle, "NdisMGetDeviceProperty");

    if (PhysicalDeviceObject)
        *PhysicalDeviceObject = adapter ? adapter->physical : NULL;
    if (FunctionalDeviceObject)
        *FunctionalDeviceObject = adapter ? adapter->functional : NULL;
    if (NextDeviceObject)
        *NextDeviceObject = adapter ? adapter->physical : NULL;
    if (AllocatedResources)
        *AllocatedResources = NULL;
    if (AllocatedResourcesTranslated)
        *AllocatedResourcesTranslated = NULL;
}

/* ---- pause and restart ---- */

VOID NTAPI NdisMPauseComplete(NDIS_HANDLE MiniportAdapterHandle)
{
    struct ndis_adapter *adapter = adapter_from_handle(MiniportAdapterHandle, "NdisMPauseComplete");
    struct completion *waiting =
        adapter ? __atomic_exchange_n(&adapter->pausing, NULL, __ATOMIC_ACQ_REL) : NULL;

    if (waiting)
        completion_done(waiting, NDIS_STATUS_SUCCESS);
    else if (host_options.verify)
        verify_report(RULE_NDIS_STATE, "NdisMPauseComplete: no pause is pending");
}

VOID NTAPI NdisMRestartComplete(NDIS_HANDLE MiniportAdapterHandle, NDIS_STATUS Status)
{
    struct ndis_adapter *adapter = adapter_from_handle(MiniportAdapterHandle, "NdisMRestartComplete");
    struct completion *waiting =
        adapter ? __atomic_exchange_n(&adapter->restarting, NULL, __ATOMIC_ACQ_REL) : NULL;

    if (waiting)
        completion_done(waiting, Status);
    else if (host_options.verify)
        verify_report(RULE_NDIS_STATE, "NdisMRestartComplete: no restart is pending");
}

static int32_t pause_locked(struct ndis_adapter *adapter, uint32_t reason)
{
    NDIS_MINIPORT_PAUSE_PARAMETERS parameters = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NDIS_MINIPORT_PAUSE_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_MINIPORT_PAUSE_PARAMETERS_REVISION_1},
        .PauseReason = reason,
    };
    struct completion done = {.waiter = sched_self()};
    struct host_callback cb;
    int32_t status;

    if (adapter->state != ADAPTER_RUNNING)
        return adapter->state == ADAPTER_PAUSED ? NDIS_STATUS_SUCCESS : NDIS_STATUS_INVALID_STATE;
    tun_pause_reading(adapter->tun, true);
    gate_lock(&adapter->send_gate); /* a send that is on its way into the driver returns first */
    set_state(adapter, ADAPTER_PAUSING);
    gate_unlock(&adapter->send_gate);

    __atomic_store_n(&adapter->pausing, &done, __ATOMIC_RELEASE);
    host_callback_begin(&cb, "MiniportPause");
    status = adapter->driver->handlers.PauseHandler(adapter->context, &parameters);
    host_callback_end(&cb);
    if (status == NDIS_STATUS_PENDING) {
        if (completion_wait(&done, STATE_TIMEOUT_NS)) {
            status = done.status;
        } else {
            if (host_options.verify)
                verify_report(RULE_NDIS_TIMEOUT, "MiniportPause has been pending for 30 s");
            host_warn("%s: MiniportPause has been pending for 30 s; going on without it", adapter->name);
            __atomic_store_n(&adapter->pausing, NULL, __ATOMIC_RELEASE);
            status = NDIS_STATUS_SUCCESS;
        }
    } else if (__atomic_exchange_n(&adapter->pausing, NULL, __ATOMIC_ACQ_REL) == NULL &&
               host_options.verify) {
        verify_report(RULE_NDIS_STATE,
                      "MiniportPause returned 0x%08x and NdisMPauseComplete was called as well",
                      (unsigned)status);
    }
    if (status != NDIS_STATUS_SUCCESS && host_options.verify)
        verify_report(RULE_NDIS_STATE, "MiniportPause returned 0x%08x: it may not fail", (unsigned)status);
    set_state(adapter, ADAPTER_PAUSED);

    int64_t sent = __atomic_load_n(&adapter->tx_outstanding, __ATOMIC_ACQUIRE);
    int64_t indicated = __atomic_load_n(&adapter->rx_outstanding, __ATOMIC_ACQUIRE);

    if (sent || indicated) {
        if (host_options.verify)
            verify_report(
                RULE_NDIS_STATE,
                "pause completed with %lld sent NET_BUFFER_LISTs not completed and %lld indicated ones "
                "not returned",
                (long long)sent, (long long)indicated);
        host_warn(
            "%s: pause completed with %lld sent NET_BUFFER_LISTs not completed and %lld indicated ones not "
            "returned",
            adapter->name, (long long)sent, (long long)indicated);
    }
    return NDIS_STATUS_SUCCESS;
}

static int32_t restart_locked(struct ndis_adapter *adapter)
{
    NDIS_MINIPORT_RESTART_PARAMETERS parameters = {
        .Header = {NDIS_OBJECT_TYPE_DEFAULT, NDIS_MINIPORT_RESTART_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_MINIPORT_RESTART_PARAMETERS_REVISION_1},
    };
    struct completion done = {.waiter = sched_self()};
    struct host_callback cb;
    int32_t status;

    if (adapter->state != ADAPTER_PAUSED)
        return adapter->state == ADAPTER_RUNNING ? NDIS_STATUS_SUCCESS : NDIS_STATUS_INVALID_STATE;
    set_state(adapter, ADAPTER_RESTARTING);
    __atomic_store_n(&adapter->restarting, &done, __ATOMIC_RELEASE);
    host_callback_begin(&cb, "MiniportRestart");
    status = adapter->driver->handlers.RestartHandler(adapter->context, &parameters);
    host_callback_end(&cb);
    if (status == NDIS_STATUS_PENDING) {
        if (completion_wait(&done, STATE_TIMEOUT_NS)) {
            status = done.status;
        } else {
            if (host_options.verify)
                verify_report(RULE_NDIS_TIMEOUT, "MiniportRestart has been pending for 30 s");
            status = NDIS_STATUS_FAILURE;
        }
    } else if (__atomic_exchange_n(&adapter->restarting, NULL, __ATOMIC_ACQ_REL) == NULL &&
               host_options.verify) {
        verify_report(RULE_NDIS_STATE,
                      "MiniportRestart returned 0x%08x and NdisMRestartComplete was called as well",
                      (unsigned)status);
    }
    if (status != NDIS_STATUS_SUCCESS) {
        set_state(adapter, ADAPTER_PAUSED);
        return status;
    }
    set_state(adapter, ADAPTER_RUNNING);
    __atomic_store_n(&adapter->tx_throttled, false, __ATOMIC_SEQ_CST);
    tun_pause_reading(adapter->tun, false);
    return NDIS_STATUS_SUCCESS;
}

int32_t ndis_adapter_pause(struct ndis_adapter *adapter)
{
    int32_t status;

    gate_lock(&adapter->control);
    status = pause_locked(adapter, NDIS_PAUSE_NDIS_INTERNAL);
    gate_unlock(&adapter->control);
    return status;
}

int32_t ndis_adapter_restart(struct ndis_adapter *adapter)
{
    int32_t status;

    gate_lock(&adapter->control);
    status = restart_locked(adapter);
    gate_unlock(&adapter->control);
    return status;
}

/* ---- link and other status indications ---- */

static void link_state(struct ndis_adapter *adapter, const NDIS_STATUS_INDICATION *indication)
{
    const NDIS_LINK_STATE *state = indication->StatusBuffer;
    bool up;

    if (!state || indication->StatusBufferSize < NDIS_SIZEOF_LINK_STATE_REVISION_1 ||
        state->Header.Type != NDIS_OBJECT_TYPE_DEFAULT ||
        state->Header.Revision != NDIS_LINK_STATE_REVISION_1 ||
        state->Header.Size < NDIS_SIZEOF_LINK_STATE_REVISION_1) {
        if (host_options.verify)
            verify_report(RULE_LINK_STATE, "NDIS_STATUS_LINK_STATE without a valid NDIS_LINK_STATE");
        return;
    }
    up = state->MediaConnectState == MediaConnectStateConnected;
    if (adapter->link_up == up && host_options.verify)
        verify_report(RULE_LINK_STATE, "NDIS_STATUS_LINK_STATE: the link was %s already",
                      up ? "connected" : "disconnected");
    adapter->link_up = up;
    tun_set_link(adapter->tun, up);
    if (host_options.trace)
        host_info("%s: link %s", adapter->name, up ? "connected" : "disconnected");
}

VOID NTAPI NdisMIndicateStatusEx(NDIS_HANDLE MiniportAdapterHandle, PNDIS_STATUS_INDICATION StatusIndication)
{
    struct ndis_adapter *adapter = adapter_from_handle(MiniportAdapterHandle, "NdisMIndicateStatusEx");

    if (!adapter)
        return;
    if (host_options.verify && (StatusIndication->Header.Type != NDIS_OBJECT_TYPE_STATUS_INDICATION ||
                                StatusIndication->Header.Size < NDIS_SIZEOF_STATUS_INDICATION_REVISION_1 ||
                                StatusIndication->SourceHandle != adapter))
        verify_report(RULE_LINK_STATE, "NdisMIndicateStatusEx: invalid header or SourceHandle");
    if (StatusIndication->StatusCode == NDIS_STATUS_LINK_STATE)
        link_state(adapter, StatusIndication);
    offload_indicated(adapter, StatusIndication);
}

void adapter_notify_pnp(struct ndis_adapter *adapter, NDIS_DEVICE_PNP_EVENT event)
{
    NET_DEVICE_PNP_EVENT notification = {
        .Header = {NDIS_OBJECT_TYPE_NET_DEVICE_PNP_EVENT, NET_DEVICE_PNP_EVENT_REVISION_1,
                   NDIS_SIZEOF_NET_DEVICE_PNP_EVENT_REVISION_1},
        .DevicePnPEvent = event,
    };
    struct host_callback cb;

    if (adapter->state == ADAPTER_HALTED || !adapter->driver->handlers.DevicePnPEventNotifyHandler)
        return;
    host_callback_begin(&cb, "MiniportDevicePnPEventNotify");
    adapter->driver->handlers.DevicePnPEventNotifyHandler(adapter->context, &notification);
    host_callback_end(&cb);
}

/* ---- from nothing to running and back ---- */

static int32_t initialize_miniport(struct ndis_adapter *adapter)
{
    NDIS_MINIPORT_INIT_PARAMETERS parameters = {
        .Header = {NDIS_OBJECT_TYPE_MINIPORT_INIT_PARAMETERS, NDIS_MINIPORT_INIT_PARAMETERS_REVISION_1,
                   NDIS_SIZEOF_MINIPORT_INIT_PARAMETER_REVISION_1},
        .IfIndex = tun_ifindex(adapter->tun),
    };
    struct host_callback cb;
    int32_t status;

    ConvertInterfaceIndexToLuid(parameters.IfIndex, &parameters.NetLuid);
    set_state(adapter, ADAPTER_INITIALIZING);
    host_callback_begin(&cb, "MiniportInitializeEx");
    status = adapter->driver->handlers.InitializeHandlerEx(adapter, adapter->driver->context, &parameters);
    host_callback_end(&cb);
    if (status == NDIS_STATUS_SUCCESS && adapter->attributes != 0 &&
        !(adapter->attributes & ATTRIBUTES_GENERAL)) {
        if (host_options.verify)
            verify_report(RULE_NDIS_ATTRIBUTES,
                          "MiniportInitializeEx succeeded without registration and general attributes");
    }
    set_state(adapter, status == NDIS_STATUS_SUCCESS ? ADAPTER_PAUSED : ADAPTER_HALTED);
    return status;
}

/* What NDIS and the TCP/IP stack ask and set when they bind. Answers do not matter, only that there is one.
 */
static void bind_stack(struct ndis_adapter *adapter)
{
    uint32_t value, bytes;
    NDIS_STATISTICS_INFO statistics = {0};
    uint8_t text[256];

    ndis_adapter_oid(adapter, false, OID_GEN_VENDOR_DESCRIPTION, text, sizeof text, &bytes);
    ndis_adapter_oid(adapter, false, OID_GEN_VENDOR_DRIVER_VERSION, &value, sizeof value, &bytes);
    ndis_adapter_oid(adapter, false, OID_GEN_MAXIMUM_TOTAL_SIZE, &value, sizeof value, &bytes);
    ndis_adapter_oid(adapter, false, OID_GEN_STATISTICS, &statistics, sizeof statistics, &bytes);
    value = LOOKAHEAD_BYTES;
    ndis_adapter_oid(adapter, true, OID_GEN_CURRENT_LOOKAHEAD, &value, sizeof value, &bytes);
    value = adapter->supported_filters & (NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_MULTICAST |
                                          NDIS_PACKET_TYPE_ALL_MULTICAST | NDIS_PACKET_TYPE_BROADCAST);
    ndis_adapter_oid(adapter, true, OID_GEN_CURRENT_PACKET_FILTER, &value, sizeof value, &bytes);
    offload_bind(adapter);
    /* Newer systems ask for what an older driver does not know. */
    if (host_options.verify &&
        ndis_adapter_oid(adapter, false, OID_UNKNOWN, &value, sizeof value, &bytes) == NDIS_STATUS_SUCCESS)
        verify_report(
            RULE_OID_RESULT,
            "OID 0x%08x, which is not known to anybody, succeeded; NDIS_STATUS_NOT_SUPPORTED is right",
            OID_UNKNOWN);
}

static void halt_locked(struct ndis_adapter *adapter)
{
    struct host_callback cb;

    if (adapter->state != ADAPTER_PAUSED)
        return;
    host_callback_begin(&cb, "MiniportHaltEx");
    adapter->driver->handlers.HaltHandlerEx(adapter->context, adapter->surprise_removed
                                                                  ? NdisHaltDeviceSurpriseRemoved
                                                                  : NdisHaltDeviceInstanceDeInitialized);
    host_callback_end(&cb);
    set_state(adapter, ADAPTER_HALTED);
}

void adapter_stop(struct ndis_adapter *adapter)
{
    uint32_t none = 0;

    if (adapter->state == ADAPTER_RUNNING || adapter->state == ADAPTER_PAUSED)
        ndis_adapter_oid(adapter, true, OID_GEN_CURRENT_PACKET_FILTER, &none, sizeof none, NULL); /* unbind */
    gate_lock(&adapter->control);
    pause_locked(adapter, NDIS_PAUSE_MINIPORT_DEVICE_REMOVE);
    halt_locked(adapter);
    gate_unlock(&adapter->control);
}

static void adapter_free(struct ndis_adapter *adapter)
{
    pthread_mutex_lock(&adapters_lock);
    for (struct ndis_adapter **link = &adapters; *link; link = &(*link)->next)
        if (*link == adapter) {
            *link = adapter->next;
            adapter->driver->adapters--;
            break;
        }
    pthread_mutex_unlock(&adapters_lock);
    if (adapter->functional)
        IoDeleteDevice(adapter->functional);
    if (adapter->physical)
        IoDeleteDevice(adapter->physical);
    tun_close(adapter->tun);
    transmit_free(adapter);
    gate_destroy(&adapter->control);
    gate_destroy(&adapter->send_gate);
    adapter->magic = 0;
    lent_free(adapter);
}

static struct ndis_adapter *adapter_allocate(struct ndis_driver *driver, const char *name)
{
    size_t bytes = sizeof(struct ndis_adapter) + sched_cpu_count() * sizeof(struct adapter_receive);
    struct ndis_adapter *adapter = lent_allocate(bytes, "miniport adapter", RULE_NDIS_AFTER_HALT);

    if (!adapter)
        return NULL;
    memset(adapter, 0, bytes);
    adapter->magic = ADAPTER_MAGIC;
    adapter->driver = driver;
    snprintf(adapter->name, sizeof adapter->name, "%s", name);
    /* Recursive: a callback that waits on the loop thread may serve the loop again. */
    gate_initialize(&adapter->control);
    gate_initialize(&adapter->send_gate);
    return adapter;
}

int ndis_adapter_create(struct _DRIVER_OBJECT *driver_object, const struct ndis_adapter_options *options,
                        struct ndis_adapter **out, char *error, unsigned error_size)
{
    struct ndis_driver *driver = driver_find(driver_object);
    struct ndis_adapter *adapter;
    int32_t status;
    int result;

    *out = NULL;
    if (!driver) {
        snprintf(error, error_size, "the driver registered no NDIS miniport (NdisMRegisterMiniportDriver)");
        return -ENODEV;
    }
    adapter = adapter_allocate(driver, options->name);
    if (!adapter) {
        snprintf(error, error_size, "%s: no memory for the adapter", options->name);
        return -ENOMEM;
    }
    result = tun_open(options->name, !options->no_segmentation, transmit_burst, adapter, &adapter->tun, error,
                      error_size);
    if (result) {
        gate_destroy(&adapter->control);
        gate_destroy(&adapter->send_gate);
        lent_free(adapter);
        return result;
    }
    tun_pause_reading(adapter->tun, true);
    receive_initialize(adapter);
    if (options->mtu && (result = tun_set_mtu(adapter->tun, options->mtu)) != 0) {
        snprintf(error, error_size, "%s: MTU %u cannot be set: %s", options->name, options->mtu,
                 strerror(-result));
        goto fail;
    }
    result = transmit_initialize(adapter) ? -ENOMEM : create_devices(adapter);
    if (result) {
        snprintf(error, error_size, "%s: no memory for the adapter", options->name);
        goto fail;
    }
    pthread_mutex_lock(&adapters_lock);
    adapter->next = adapters;
    adapters = adapter;
    driver->adapters++;
    pthread_mutex_unlock(&adapters_lock);

    status = initialize_miniport(adapter);
    if (status != NDIS_STATUS_SUCCESS) {
        snprintf(error, error_size, "%s: MiniportInitializeEx failed with status 0x%08x", options->name,
                 (unsigned)status);
        result = -EIO;
        goto fail;
    }
    if (!options->mtu && adapter->mtu_size)
        tun_set_mtu(adapter->tun, adapter->mtu_size < TUN_MTU_MAX ? adapter->mtu_size : TUN_MTU_MAX);
    tun_set_link(adapter->tun, adapter->link_up);
    bind_stack(adapter);
    status = ndis_adapter_restart(adapter);
    if (status != NDIS_STATUS_SUCCESS) {
        snprintf(error, error_size, "%s: MiniportRestart failed with status 0x%08x", options->name,
                 (unsigned)status);
        result = -EIO;
        adapter_stop(adapter);
        goto fail;
    }
    *out = adapter;
    return 0;

fail:
    adapter_free(adapter);
    return result;
}

void ndis_adapter_surprise_remove(struct ndis_adapter *adapter)
{
    io_pnp(adapter->functional, IRP_MN_SURPRISE_REMOVAL);
}

/* The driver may have replaced NDIS's dispatch routines: PnP requests travel through its table.  If they do
 * not reach NDIS, the adapter is stopped directly. */
void ndis_adapter_destroy(struct ndis_adapter *adapter)
{
    if (!adapter)
        return;
    if (!adapter->surprise_removed) {
        int32_t status = io_pnp(adapter->functional, IRP_MN_QUERY_REMOVE_DEVICE);

        if (status < 0)
            host_warn(
                "%s: the driver refused IRP_MN_QUERY_REMOVE_DEVICE (0x%08x); it is removed all the same",
                adapter->name, (unsigned)status);
    }
    io_pnp(adapter->functional, IRP_MN_REMOVE_DEVICE);
    if (adapter->state != ADAPTER_HALTED) {
        host_warn("%s: IRP_MN_REMOVE_DEVICE did not reach NDIS through the driver's dispatch routine",
                  adapter->name);
        adapter_stop(adapter);
    }
    adapter_free(adapter);
}

struct _DEVICE_OBJECT *ndis_adapter_device(struct ndis_adapter *adapter)
{
    return adapter->functional;
}

const char *ndis_adapter_name(struct ndis_adapter *adapter)
{
    return adapter->name;
}

uint32_t ndis_adapter_media_mtu(uint32_t ifindex)
{
    uint32_t mtu = 0;

    pthread_mutex_lock(&adapters_lock);
    for (struct ndis_adapter *adapter = adapters; adapter; adapter = adapter->next)
        if (adapter->tun && tun_ifindex(adapter->tun) == ifindex)
            mtu = adapter->mtu_size;
    pthread_mutex_unlock(&adapters_lock);
    return mtu;
}

bool ndis_adapter_link_up(struct ndis_adapter *adapter)
{
    return __atomic_load_n(&adapter->link_up, __ATOMIC_ACQUIRE);
}

struct tun *ndis_adapter_tun(struct ndis_adapter *adapter)
{
    return adapter->tun;
}
