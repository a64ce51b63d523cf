/* Registration with Winsock Kernel, once for the driver, and synchronous requests. */
#include "wsk.h"
#include "memory.h"
#include "udp_socket.h"

static struct {
    KMUTEX lock; /* of registration */
    bool registered, captured;
    WSK_REGISTRATION registration;
    WSK_PROVIDER_NPI provider;
} wsk;

static const WSK_CLIENT_DISPATCH client_dispatch = {.Version = MAKE_WSK_VERSION(1, 0)};

static NTSTATUS NTAPI request_completed(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    (void)device;
    (void)irp;
    KeSetEvent(context, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

bool wsk_request_initialize(struct wsk_request *request)
{
    KeInitializeEvent(&request->done, SynchronizationEvent, FALSE);
    request->irp = IoAllocateIrp(1, FALSE);
    return request->irp != NULL;
}

void wsk_request_uninitialize(struct wsk_request *request)
{
    if (request->irp)
        IoFreeIrp(request->irp);
}

IRP *wsk_request_begin(struct wsk_request *request)
{
    IoReuseIrp(request->irp, STATUS_UNSUCCESSFUL);
    KeClearEvent(&request->done);
    IoSetCompletionRoutine(request->irp, request_completed, &request->done, TRUE, TRUE, TRUE);
    return request->irp;
}

/* The IRP is completed in every case, before or after the call returns, whatever the call returns: WSK
 * documents that it always completes the IRP it was given.  So the event is the one thing to wait for. */
NTSTATUS wsk_request_end(struct wsk_request *request, NTSTATUS status, ULONG_PTR *information)
{
    (void)status;
    KeWaitForSingleObject(&request->done, Executive, KernelMode, FALSE, NULL);
    if (information)
        *information = request->irp->IoStatus.Information;
    return request->irp->IoStatus.Status;
}

const WSK_PROVIDER_NPI *wsk_provider(void)
{
    return &wsk.provider;
}

/* Controls of the client object.  Those without an IRP complete at once. */
static NTSTATUS configure_client(void)
{
    WSK_EVENT_CALLBACK_CONTROL callbacks = {&NPI_WSK_INTERFACE_ID, WSK_EVENT_RECEIVE_FROM};
    ULONG behavior = WSK_TDI_BEHAVIOR_BYPASS_TDI;
    /* Only a hint for systems with TDI filters; where it is not known the answer does not matter. */
    wsk.provider.Dispatch->WskControlClient(wsk.provider.Client, WSK_TDI_BEHAVIOR, sizeof(behavior),
                                            &behavior, 0, NULL, NULL, NULL);
    return wsk.provider.Dispatch->WskControlClient(wsk.provider.Client, WSK_SET_STATIC_EVENT_CALLBACKS,
                                                   sizeof(callbacks), &callbacks, 0, NULL, NULL, NULL);
}

static NTSTATUS register_locked(void)
{
    WSK_CLIENT_NPI client = {NULL, &client_dispatch};
    NTSTATUS status;
    if (!wsk.registered) {
        status = WskRegister(&client, &wsk.registration);
        if (!NT_SUCCESS(status))
            return status;
        wsk.registered = true;
    }
    if (wsk.captured)
        return STATUS_SUCCESS;
    /* Bounded: at boot an unlimited wait would wait for ourselves. */
    status = WskCaptureProviderNPI(&wsk.registration, WSK_CAPTURE_TIMEOUT_MS, &wsk.provider);
    if (!NT_SUCCESS(status))
        return status;
    status = configure_client();
    if (!NT_SUCCESS(status)) {
        WskReleaseProviderNPI(&wsk.registration);
        return status;
    }
    wsk.captured = true;
    return STATUS_SUCCESS;
}

void wsk_initialize(void)
{
    KeInitializeMutex(&wsk.lock, 0);
}

NTSTATUS wsk_ensure_registered(void)
{
    KeWaitForSingleObject(&wsk.lock, Executive, KernelMode, FALSE, NULL);
    NTSTATUS status = register_locked();
    KeReleaseMutex(&wsk.lock, FALSE);
    return status;
}

void wsk_deregister(void)
{
    if (wsk.captured)
        WskReleaseProviderNPI(&wsk.registration);
    if (wsk.registered)
        WskDeregister(&wsk.registration);
    wsk.captured = wsk.registered = false;
}

bool wsk_has_family(ADDRESS_FAMILY family)
{
    SIZE_T bytes = 0;
    bool found = false;
    /* A size query, then the list; it may grow in between, which is answered as if nothing was known of it.
     */
    wsk.provider.Dispatch->WskControlClient(wsk.provider.Client, WSK_TRANSPORT_LIST_QUERY, 0, NULL, 0, NULL,
                                            &bytes, NULL);
    if (bytes == 0)
        return true;
    SIZE_T capacity = bytes + 4 * sizeof(WSK_TRANSPORT);
    WSK_TRANSPORT *transports = memory_allocate(MEMORY_SOCKET, capacity);
    if (!transports)
        return true; /* opening the socket will tell */
    NTSTATUS status = wsk.provider.Dispatch->WskControlClient(wsk.provider.Client, WSK_TRANSPORT_LIST_QUERY,
                                                              0, NULL, capacity, transports, &bytes, NULL);
    if (!NT_SUCCESS(status) || bytes > capacity)
        found = true;
    else
        for (SIZE_T i = 0; i < bytes / sizeof(WSK_TRANSPORT); i++)
            found |= transports[i].SocketType == SOCK_DGRAM &&
                     (transports[i].AddressFamily == family || transports[i].AddressFamily == AF_UNSPEC);
    memory_free(MEMORY_SOCKET, transports, capacity);
    return found;
}
