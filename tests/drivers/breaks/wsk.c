/*
 * Breaks of the rules about Winsock Kernel.  A socket on the loopback address sends to itself.
 */
#include "breaks.h"
#include <nt/wsk.h>

static const WSK_CLIENT_DISPATCH client_dispatch = {.Version = MAKE_WSK_VERSION(1, 0)};
static WSK_REGISTRATION registration;
static WSK_PROVIDER_NPI provider;
static PWSK_SOCKET handle;
static const WSK_PROVIDER_DATAGRAM_DISPATCH *dispatch;
static SOCKADDR_IN local;
static KEVENT done, received;
static PWSK_DATAGRAM_INDICATION kept;
static PIRP irp;
static UCHAR payload[64];

static NTSTATUS NTAPI completed(PDEVICE_OBJECT device, PIRP finished, PVOID context)
{
    KeSetEvent(&done, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static VOID request_begin(VOID)
{
    IoReuseIrp(irp, STATUS_UNSUCCESSFUL);
    IoSetCompletionRoutine(irp, completed, NULL, TRUE, TRUE, TRUE);
    KeClearEvent(&done);
}

static NTSTATUS request_end(NTSTATUS status)
{
    KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
    return status == STATUS_PENDING ? irp->IoStatus.Status : status;
}

static NTSTATUS NTAPI keep_datagrams(PVOID context, ULONG flags, PWSK_DATAGRAM_INDICATION chain)
{
    if (!chain) {
        return STATUS_SUCCESS;
    }
    kept = chain;
    KeSetEvent(&received, IO_NO_INCREMENT, FALSE);
    return STATUS_PENDING;
}

static const WSK_CLIENT_DATAGRAM_DISPATCH datagram_dispatch = {.WskReceiveFromEvent = keep_datagrams};

static NTSTATUS open(VOID)
{
    static WSK_CLIENT_NPI client = {.Dispatch = &client_dispatch};
    WSK_EVENT_CALLBACK_CONTROL events = {&NPI_WSK_INTERFACE_ID, WSK_EVENT_RECEIVE_FROM};
    NTSTATUS status = WskRegister(&client, &registration);

    KeInitializeEvent(&done, SynchronizationEvent, FALSE);
    KeInitializeEvent(&received, NotificationEvent, FALSE);
    irp = IoAllocateIrp(1, FALSE);
    if (NT_SUCCESS(status)) {
        status = WskCaptureProviderNPI(&registration, WSK_INFINITE_WAIT, &provider);
    }
    if (!NT_SUCCESS(status)) {
        return status;
    }
    request_begin();
    status = request_end(provider.Dispatch->WskSocket(provider.Client, AF_INET, SOCK_DGRAM, IPPROTO_UDP,
                                                      WSK_FLAG_DATAGRAM_SOCKET, NULL, &datagram_dispatch,
                                                      NULL, NULL, NULL, irp));
    if (!NT_SUCCESS(status)) {
        return status;
    }
    handle = (PWSK_SOCKET)irp->IoStatus.Information;
    dispatch = handle->Dispatch;
    local = (SOCKADDR_IN){.sin_family = AF_INET};
    local.sin_addr.S_un.S_addr = 0x0100007f;
    request_begin();
    status = request_end(dispatch->WskBind(handle, (PSOCKADDR)&local, 0, irp));
    if (NT_SUCCESS(status)) {
        request_begin();
        status = request_end(dispatch->WskGetLocalAddress(handle, (PSOCKADDR)&local, irp));
    }
    if (NT_SUCCESS(status)) {
        status = dispatch->WskControlSocket(handle, WskSetOption, SO_WSK_EVENT_CALLBACK, SOL_SOCKET,
                                            sizeof(events), &events, 0, NULL, NULL, NULL);
    }
    return status;
}

static VOID close(VOID)
{
    request_begin();
    request_end(dispatch->WskCloseSocket(handle, irp));
}

static VOID deregister(VOID)
{
    IoFreeIrp(irp);
    WskReleaseProviderNPI(&registration);
    WskDeregister(&registration);
}

static NTSTATUS send(PCMSGHDR control, ULONG length)
{
    PMDL mdl = IoAllocateMdl(payload, sizeof(payload), FALSE, FALSE, NULL);
    WSK_BUF buffer = {mdl, 0, sizeof(payload)};
    MmBuildMdlForNonPagedPool(mdl);
    request_begin();
    NTSTATUS status =
        request_end(dispatch->WskSendTo(handle, &buffer, 0, (PSOCKADDR)&local, length, control, irp));
    IoFreeMdl(mdl);
    return status;
}

static VOID receive(VOID)
{
    send(NULL, 0);
    KeWaitForSingleObject(&received, Executive, KernelMode, FALSE, NULL);
}

/* What is right: everything is released and closed. No report. */
static BREAKS VOID right_socket(struct adapter *adapter)
{
    if (!NT_SUCCESS(open())) {
        KeBugCheckEx(1, 0, 0, 0, 0);
    }
    receive();
    dispatch->WskRelease(handle, kept);
    close();
    deregister();
}

static BREAKS VOID release_twice(struct adapter *adapter)
{
    open();
    receive();
    dispatch->WskRelease(handle, kept);
    dispatch->WskRelease(handle, kept);
}

static BREAKS VOID datagram_after_release(struct adapter *adapter)
{
    open();
    receive();
    dispatch->WskRelease(handle, kept);
    SIZE_T length = ((volatile WSK_DATAGRAM_INDICATION *)kept)->Buffer.Length;
    keep(&length);
}

static BREAKS VOID data_after_release(struct adapter *adapter)
{
    open();
    receive();
    volatile UCHAR *data = MmGetSystemAddressForMdlSafe(kept->Buffer.Mdl, NormalPagePriority);
    dispatch->WskRelease(handle, kept);
    UCHAR byte = *data;
    keep(&byte);
}

static BREAKS VOID close_with_datagrams(struct adapter *adapter)
{
    open();
    receive();
    close();
}

static BREAKS VOID close_twice(struct adapter *adapter)
{
    open();
    close();
    close();
}

static BREAKS VOID send_after_close(struct adapter *adapter)
{
    open();
    close();
    send(NULL, 0);
}

static BREAKS VOID deregister_open(struct adapter *adapter)
{
    open();
    deregister();
}

static BREAKS VOID lone_pktinfo(struct adapter *adapter)
{
    struct {
        CMSGHDR header;
        IN_PKTINFO info;
        ULONG padding;
    } control;
    open();
    RtlZeroMemory(&control, sizeof(control));
    control.header.cmsg_len = WSA_CMSG_LEN(sizeof(IN_PKTINFO));
    control.header.cmsg_level = 0;
    control.header.cmsg_type = IP_PKTINFO;
    send(&control.header, (ULONG)WSA_CMSG_SPACE(sizeof(IN_PKTINFO)));
}

static BREAKS VOID bad_control_length(struct adapter *adapter)
{
    CMSGHDR control = {.cmsg_len = 4000, .cmsg_level = 0, .cmsg_type = IP_PKTINFO};
    open();
    send(&control, sizeof(control));
}

static BREAKS VOID no_completion_routine(struct adapter *adapter)
{
    open();
    IoReuseIrp(irp, STATUS_UNSUCCESSFUL);
    dispatch->WskGetLocalAddress(handle, (PSOCKADDR)&local, irp);
    keep(&irp);
}

/* The provider keeps some requests for a while: one of many is caught with it, by all likelihood soon. */
static BREAKS VOID reuse_while_pending(struct adapter *adapter)
{
    open();
    for (ULONG i = 0; i < 1000; i++) {
        request_begin();
        NTSTATUS status = dispatch->WskGetLocalAddress(handle, (PSOCKADDR)&local, irp);
        IoReuseIrp(irp, STATUS_UNSUCCESSFUL);
        request_end(status);
    }
}

const struct rule_break wsk_breaks[] = {
    {.name = "right_socket", .passive = right_socket},
    {.name = "release_twice", .passive = release_twice},
    {.name = "datagram_after_release", .passive = datagram_after_release},
    {.name = "data_after_release", .passive = data_after_release},
    {.name = "close_with_datagrams", .passive = close_with_datagrams},
    {.name = "close_twice", .passive = close_twice},
    {.name = "send_after_close", .passive = send_after_close},
    {.name = "deregister_open", .passive = deregister_open},
    {.name = "lone_pktinfo", .passive = lone_pktinfo},
    {.name = "bad_control_length", .passive = bad_control_length},
    {.name = "no_completion_routine", .passive = no_completion_routine},
    {.name = "reuse_while_pending", .passive = reuse_while_pending},
    {.name = NULL},
};
