/* See wsk_verbs.h. */
#include "wsk_verbs.h"

#include "check.h"
#include "linux_side.h"
#include "nt/io.h"
#include "test_network.h"

#include <stdlib.h>

static WSK_REGISTRATION registration;
WSK_PROVIDER_NPI npi;

/* ---- requests ---- */

static NTSTATUS NTAPI request_done(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    struct request *request = context;

    request->status = irp->IoStatus.Status;
    request->information = irp->IoStatus.Information;
    IoFreeIrp(irp); /* the provider may not touch it any more */
    KeSetEvent(&request->done, 0, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

void request_prepare(struct request *request)
{
    KeInitializeEvent(&request->done, SynchronizationEvent, FALSE);
    request->irp = IoAllocateIrp(1, FALSE);
    IoSetCompletionRoutine(request->irp, request_done, request, TRUE, TRUE, TRUE);
}

NTSTATUS request_wait(struct request *request)
{
    LARGE_INTEGER limit = {.QuadPart = -50000000};

    CHECK(KeWaitForSingleObject(&request->done, Executive, KernelMode, FALSE, &limit) == STATUS_SUCCESS);
    return request->status;
}

/* ---- what arrives ---- */

/* Reads across MDLs as a driver has to. */
static uint8_t byte_at(const WSK_BUF *buffer, SIZE_T at)
{
    MDL *mdl = buffer->Mdl;

    at += buffer->Offset;
    while (at >= mdl->ByteCount) {
        at -= mdl->ByteCount;
        mdl = mdl->Next;
    }
    return ((uint8_t *)MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority))[at];
}

/* Reads the control messages; the size of coalesced datagrams, 0 without. */
static uint32_t read_control(struct inbox *inbox, const WSK_DATAGRAM_INDICATION *d)
{
    uint32_t size = 0;

    for (CMSGHDR *h = WSA_CMSG_FIRSTHDR(d->ControlInfo, d->ControlInfoLength); h;
         h = WSA_CMSG_NXTHDR(d->ControlInfo, d->ControlInfoLength, h)) {
        const uint8_t *data = WSA_CMSG_DATA(h);

        if (h->cmsg_level == IPPROTO_UDP && h->cmsg_type == UDP_COALESCED_INFO) {
            memcpy(&size, data, 4);
            inbox->told++;
            if (h->cmsg_len != WSA_CMSG_LEN(4) || size == 0 || size >= d->Buffer.Length)
                inbox->absurd++;
        } else if (h->cmsg_type == IP_PKTINFO) {
            bool v4 = h->cmsg_level == 0;

            memcpy(inbox->to, data, v4 ? 4 : 16);
            memcpy(&inbox->ifindex, data + (v4 ? 4 : 16), 4);
        }
    }
    return size;
}

static NTSTATUS NTAPI on_receive(PVOID context, ULONG flags, PWSK_DATAGRAM_INDICATION chain)
{
    struct inbox *inbox = context;
    uint32_t length = 0;

    inbox->calls++;
    inbox->irql = KeGetCurrentIrql();
    if (((flags & WSK_FLAG_AT_DISPATCH_LEVEL) != 0) != (inbox->irql == 2))
        inbox->wrong = true;
    for (WSK_DATAGRAM_INDICATION *d = chain; d; d = d->Next) {
        uint32_t size = read_control(inbox, d), number = 0;

        if (size == 0 || size > d->Buffer.Length)
            size = (uint32_t)d->Buffer.Length;
        for (SIZE_T at = 0; at < d->Buffer.Length || at == 0; at += size ? size : 1, number++)
            for (SIZE_T i = 0; i < size && at + i < d->Buffer.Length; i += 13)
                if (byte_at(&d->Buffer, at + i) != (uint8_t)((inbox->datagrams + number) * 31 + i))
                    inbox->wrong = true;
        inbox->indications++;
        inbox->bytes += d->Buffer.Length;
        if (d->Buffer.Length > inbox->largest)
            inbox->largest = (uint32_t)d->Buffer.Length;
        inbox->from_port = ((SOCKADDR_IN *)d->RemoteAddress)->sin_port;
        __atomic_add_fetch(&inbox->datagrams, number, __ATOMIC_RELEASE);
        length += number;
        if (!d->Next && inbox->keep) {
            d->Next = inbox->kept; /* the client may use Next */
            inbox->kept = chain;
            break;
        }
    }
    if (length > inbox->in_chain)
        inbox->in_chain = length;
    return inbox->keep ? STATUS_PENDING : STATUS_SUCCESS;
}

static const WSK_CLIENT_DATAGRAM_DISPATCH dispatch = {.WskReceiveFromEvent = on_receive};

const WSK_PROVIDER_DATAGRAM_DISPATCH *verbs(PWSK_SOCKET socket)
{
    return socket->Dispatch;
}

struct arrival {
    struct inbox *inbox;
    uint32_t datagrams;
};

static bool arrived(void *context)
{
    const struct arrival *a = context;

    return __atomic_load_n(&a->inbox->datagrams, __ATOMIC_ACQUIRE) >= a->datagrams;
}

bool wait_datagrams(struct inbox *inbox, uint32_t count)
{
    struct arrival a = {inbox, count};

    return side_wait(arrived, &a, 4000);
}

/* ---- verbs as a driver writes them ---- */

PWSK_SOCKET open_socket(ADDRESS_FAMILY family, struct inbox *inbox)
{
    struct request request;

    request_prepare(&request);
    npi.Dispatch->WskSocket(npi.Client, family, SOCK_DGRAM, IPPROTO_UDP, WSK_FLAG_DATAGRAM_SOCKET, inbox,
                            &dispatch, NULL, NULL, NULL, request.irp);
    CHECK(request_wait(&request) == STATUS_SUCCESS && request.information != 0);
    return (PWSK_SOCKET)request.information;
}

NTSTATUS set_option(PWSK_SOCKET socket, ULONG level, ULONG option, ULONG value)
{
    struct request request;

    request_prepare(&request);
    verbs(socket)->WskControlSocket(socket, WskSetOption, option, level, sizeof value, &value, 0, NULL, NULL,
                                    request.irp);
    return request_wait(&request);
}

NTSTATUS bind_socket(PWSK_SOCKET socket, ADDRESS_FAMILY family, USHORT port)
{
    SOCKADDR_INET any = {0};
    struct request request;

    any.si_family = family;
    any.Ipv4.sin_port = port;
    request_prepare(&request);
    verbs(socket)->WskBind(socket, (SOCKADDR *)&any, 0, request.irp);
    memset(&any, 0xff, sizeof any);
    return request_wait(&request);
}

USHORT local_port(PWSK_SOCKET socket)
{
    SOCKADDR_INET local = {0};
    struct request request;

    request_prepare(&request);
    verbs(socket)->WskGetLocalAddress(socket, (SOCKADDR *)&local, request.irp);
    CHECK(request_wait(&request) == STATUS_SUCCESS);
    return local.Ipv4.sin_port;
}

NTSTATUS close_socket(PWSK_SOCKET socket)
{
    struct request request;

    request_prepare(&request);
    verbs(socket)->WskCloseSocket(socket, request.irp);
    return request_wait(&request);
}

USHORT swap16(uint32_t v)
{
    return (USHORT)(v << 8 | v >> 8);
}

SOCKADDR_INET loopback(ADDRESS_FAMILY family, USHORT port)
{
    SOCKADDR_INET address = {0};

    address.si_family = family;
    address.Ipv4.sin_port = port;
    if (family == AF_INET)
        address.Ipv4.sin_addr.S_un.S_addr = 0x0100007f;
    else
        address.Ipv6.sin6_addr.u.Byte[15] = 1;
    return address;
}

struct control pktinfo(ADDRESS_FAMILY family, const void *address, ULONG ifindex, bool second)
{
    struct control control = {.length = 0};
    CMSGHDR *header = (CMSGHDR *)control.bytes;
    bool v4 = family == AF_INET;
    SIZE_T bytes = v4 ? sizeof(IN_PKTINFO) : sizeof(IN6_PKTINFO);

    header->cmsg_len = WSA_CMSG_LEN(bytes);
    header->cmsg_level = v4 ? 0 : IPPROTO_IPV6;
    header->cmsg_type = IP_PKTINFO;
    memcpy(WSA_CMSG_DATA(header), address, v4 ? 4 : 16);
    memcpy(WSA_CMSG_DATA(header) + (v4 ? 4 : 16), &ifindex, 4);
    control.length = (ULONG)WSA_CMSG_SPACE(bytes);
    if (second) {
        header = (CMSGHDR *)(control.bytes + control.length);
        header->cmsg_len = WSA_CMSG_LEN(0);
        header->cmsg_level = v4 ? 0 : IPPROTO_IPV6;
        header->cmsg_type = v4 ? IP_OPTIONS : IPV6_RTHDR;
        control.length += (ULONG)WSA_CMSG_SPACE(0);
    }
    return control;
}

void control_add(struct control *control, INT level, INT type, ULONG value, ULONG bytes)
{
    CMSGHDR *header = (CMSGHDR *)(control->bytes + control->length);

    header->cmsg_len = WSA_CMSG_LEN(bytes);
    header->cmsg_level = level;
    header->cmsg_type = type;
    memcpy(WSA_CMSG_DATA(header), &value, bytes);
    control->length += (ULONG)WSA_CMSG_SPACE(bytes);
}

void messages_make(struct messages *m, uint32_t size, uint32_t count, uint32_t last)
{
    m->data = malloc((size_t)size * count);
    m->count = count;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *at = m->data + (size_t)size * i;
        uint32_t bytes = i + 1 == count ? last : size;

        for (uint32_t k = 0; k < bytes; k++)
            at[k] = (uint8_t)(i * 31 + k);
        m->mdl[i] = IoAllocateMdl(at, bytes, FALSE, FALSE, NULL);
        MmBuildMdlForNonPagedPool(m->mdl[i]);
        m->list[i] = (WSK_BUF_LIST){i + 1 < count ? &m->list[i + 1] : NULL, {m->mdl[i], 0, bytes}};
    }
}

void messages_free(struct messages *m)
{
    for (uint32_t i = 0; i < m->count; i++)
        IoFreeMdl(m->mdl[i]);
    free(m->data);
}

/* Address and control data lie on a stack that is overwritten before the request completes. */
NTSTATUS send_messages(PWSK_SOCKET socket, WSK_BUF_LIST *list, SOCKADDR_INET to, struct control control)
{
    struct request request;

    request_prepare(&request);
    verbs(socket)->WskSendMessages(socket, list, 0, (SOCKADDR *)&to, control.length,
                                   control.length ? (CMSGHDR *)control.bytes : NULL, request.irp);
    memset(&to, 0xee, sizeof to);
    memset(&control, 0xee, sizeof control);
    return request_wait(&request);
}

NTSTATUS static_events(ULONG mask)
{
    WSK_EVENT_CALLBACK_CONTROL events = {&NPI_WSK_INTERFACE_ID, mask};

    return npi.Dispatch->WskControlClient(npi.Client, WSK_SET_STATIC_EVENT_CALLBACKS, sizeof events, &events,
                                          0, NULL, NULL, NULL);
}

void wsk_register(void)
{
    static const WSK_CLIENT_DISPATCH client_dispatch = {.Version = MAKE_WSK_VERSION(1, 0)};
    WSK_CLIENT_NPI client = {NULL, &client_dispatch};

    CHECK(WskRegister(&client, &registration) == STATUS_SUCCESS);
    CHECK(WskCaptureProviderNPI(&registration, 1000, &npi) == STATUS_SUCCESS);
    CHECK(static_events(WSK_EVENT_RECEIVE_FROM) == STATUS_SUCCESS);
}

void wsk_deregister(void)
{
    WskReleaseProviderNPI(&registration);
    WskDeregister(&registration);
}

void wsk_verbs_hand_over(void)
{
    checks_hand_over();
}
