/* A Winsock Kernel that a test makes up, and the IRPs and waits it needs: requests are completed at once or
 * when somebody waits, any of them can be refused, ports can be taken.  Included once, by the test's own
 * source, behind the code under test. */
#pragma once

#include "check.h"
#include "kernel_stub.h"
#include "nt/wsk.h"

#define OPERATIONS_MAX 64

/* ---- IRPs and waiting ---- */

static PIRP pending_irp; /* its request is completed when somebody waits */
static int irps_live;

PIRP NTAPI IoAllocateIrp(CCHAR stack_size, BOOLEAN charge_quota)
{
    (void)charge_quota;
    if (memory_refuse_in >= 0 && memory_refuse_in-- == 0)
        return NULL;
    IRP *irp = calloc(1, IoSizeOfIrp(stack_size + 1));
    irp->StackCount = stack_size;
    irps_live++;
    return irp;
}

VOID NTAPI IoFreeIrp(PIRP irp)
{
    CHECK(irp != pending_irp);
    irps_live--;
    free(irp);
}

VOID NTAPI IoReuseIrp(PIRP irp, NTSTATUS status)
{
    CHECK(irp != pending_irp); /* f932ef0: the wait for the operation before ended too early */
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = 0;
    irp->Tail.Overlay.CurrentStackLocation = (PIO_STACK_LOCATION)(irp + 1) + irp->StackCount;
}

static void irp_complete(PIRP irp)
{
    PIO_STACK_LOCATION next = IoGetNextIrpStackLocation(irp);
    CHECK(next->CompletionRoutine(NULL, irp, next->Context) == STATUS_MORE_PROCESSING_REQUIRED);
}

VOID NTAPI KeInitializeEvent(PRKEVENT event, EVENT_TYPE type, BOOLEAN state)
{
    event->Header.Type = (UCHAR)type;
    event->Header.SignalState = state;
}

VOID NTAPI KeInitializeMutex(PRKMUTEX mutex, ULONG level)
{
    (void)level;
    mutex->Header.SignalState = 1;
}

LONG NTAPI KeReleaseMutex(PRKMUTEX mutex, BOOLEAN wait)
{
    (void)wait;
    mutex->Header.SignalState++;
    return 0;
}

LONG NTAPI KeSetEvent(PRKEVENT event, KPRIORITY increment, BOOLEAN wait)
{
    (void)increment, (void)wait;
    event->Header.SignalState = 1;
    return 0;
}

VOID NTAPI KeClearEvent(PRKEVENT event)
{
    event->Header.SignalState = 0;
}

NTSTATUS NTAPI KeWaitForSingleObject(PVOID object, KWAIT_REASON reason, KPROCESSOR_MODE mode,
                                     BOOLEAN alertable, PLARGE_INTEGER timeout)
{
    DISPATCHER_HEADER *header = object;
    (void)reason, (void)mode, (void)alertable, (void)timeout;
    if (header->SignalState <= 0 && pending_irp) {
        PIRP irp = pending_irp;
        pending_irp = NULL;
        irp_complete(irp);
    }
    if (header->SignalState <= 0) {
        fputs("FAIL: a wait without end\n", stderr);
        exit(1);
    }
    header->SignalState--;
    return STATUS_SUCCESS;
}

/* ---- Winsock Kernel ---- */

static uint32_t register_failures, capture_failures, capture_wait_ms;
static int registered, captured;
static bool provider_has4, provider_has6, tdi_refused;
static uint32_t inline_pattern; /* bit n: operation n is completed before the call returns */
static uint32_t operation, refused_operation;
static bool refuse;

static struct test_socket {
    WSK_SOCKET wsk; /* first: what the driver sees */
    ADDRESS_FAMILY family;
    uint16_t port;
    bool open;
} sockets[OPERATIONS_MAX * 8];
static uint32_t socket_count;
static int sockets_live;
static struct option_seen {
    ADDRESS_FAMILY family;
    ULONG level, option, value;
} options[OPERATIONS_MAX * 16];
static uint32_t option_count;
static uint16_t next_port, conflicts6, asked_ports4[256], taken_port;
static uint32_t asked4;

NTSTATUS NTAPI WskRegister(PWSK_CLIENT_NPI client, PWSK_REGISTRATION registration)
{
    (void)registration;
    CHECK(client->Dispatch->Version == MAKE_WSK_VERSION(1, 0));
    if (register_failures && register_failures--)
        return STATUS_INSUFFICIENT_RESOURCES;
    CHECK(registered++ == 0);
    return STATUS_SUCCESS;
}

VOID NTAPI WskDeregister(PWSK_REGISTRATION registration)
{
    (void)registration;
    CHECK(--registered == 0);
    CHECK(sockets_live == 0);
}

/* What a request's call does in the end: `status` reaches the driver now or when it waits. */
static NTSTATUS finish(PIRP irp, NTSTATUS status, ULONG_PTR information)
{
    uint32_t number = operation++;
    if (refuse && number == refused_operation) {
        status = STATUS_INSUFFICIENT_RESOURCES;
        information = 0;
    }
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    if (inline_pattern >> number % 32 & 1) {
        irp_complete(irp);
        return status;
    }
    CHECK(!pending_irp);
    pending_irp = irp;
    return STATUS_PENDING;
}

static bool will_be_refused(void)
{
    return refuse && operation == refused_operation;
}

static NTSTATUS NTAPI control_client(PWSK_CLIENT client, ULONG code, SIZE_T input, PVOID in, SIZE_T output,
                                     PVOID out, SIZE_T *bytes, PIRP irp)
{
    WSK_TRANSPORT list[2];
    uint32_t count = 0;
    (void)client, (void)input, (void)in;
    CHECK(!irp);
    if (code == WSK_TDI_BEHAVIOR)
        return tdi_refused ? STATUS_NOT_SUPPORTED : STATUS_SUCCESS;
    if (code != WSK_TRANSPORT_LIST_QUERY)
        return STATUS_SUCCESS;
    memset(list, 0, sizeof(list));
    if (provider_has4)
        list[count++] = (WSK_TRANSPORT){.SocketType = SOCK_DGRAM, .AddressFamily = AF_INET};
    if (provider_has6)
        list[count++] = (WSK_TRANSPORT){.SocketType = SOCK_DGRAM, .AddressFamily = AF_INET6};
    if (!count) /* a transport of another kind, so that the list is not empty */
        list[count++] = (WSK_TRANSPORT){.SocketType = 1, .AddressFamily = 40};
    *bytes = count * sizeof(list[0]);
    if (output < *bytes)
        return STATUS_BUFFER_OVERFLOW;
    memcpy(out, list, *bytes);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI control_socket(PWSK_SOCKET wsk_socket, WSK_CONTROL_SOCKET_TYPE type, ULONG code,
                                     ULONG level, SIZE_T input, PVOID in, SIZE_T output, PVOID out,
                                     SIZE_T *bytes, PIRP irp)
{
    struct test_socket *socket = (struct test_socket *)wsk_socket;
    (void)output, (void)out, (void)bytes;
    CHECK(socket->open && socket->port == 0);
    if (type == WskSetOption && input == sizeof(ULONG))
        options[option_count++] = (struct option_seen){socket->family, level, code, *(ULONG *)in};
    return finish(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI close_socket(PWSK_SOCKET wsk_socket, PIRP irp)
{
    struct test_socket *socket = (struct test_socket *)wsk_socket;
    CHECK(socket->open);
    socket->open = false;
    sockets_live--;
    return finish(irp, STATUS_SUCCESS, 0);
}

static bool port_is_used(ADDRESS_FAMILY family, uint16_t port)
{
    for (uint32_t i = 0; i < socket_count; i++)
        if (sockets[i].open && sockets[i].family == family && sockets[i].port == port)
            return true;
    return port == taken_port;
}

static NTSTATUS NTAPI bind_socket(PWSK_SOCKET wsk_socket, PSOCKADDR address, ULONG flags, PIRP irp)
{
    struct test_socket *socket = (struct test_socket *)wsk_socket;
    uint16_t port = __builtin_bswap16(((SOCKADDR_INET *)address)->Ipv4.sin_port);
    NTSTATUS status = STATUS_SUCCESS;
    (void)flags;
    CHECK(socket->open && ((SOCKADDR_INET *)address)->si_family == socket->family);
    if (socket->family == AF_INET && asked4 < sizeof(asked_ports4) / sizeof(asked_ports4[0]))
        asked_ports4[asked4++] = port;
    if (socket->family == AF_INET6 && conflicts6 && conflicts6--)
        status = STATUS_ADDRESS_ALREADY_EXISTS;
    else if (port && port_is_used(socket->family, port))
        status = STATUS_ADDRESS_ALREADY_EXISTS;
    else if (!will_be_refused())
        socket->port = port ? port : next_port++;
    return finish(irp, status, 0);
}

static NTSTATUS NTAPI get_local_address(PWSK_SOCKET wsk_socket, PSOCKADDR address, PIRP irp)
{
    struct test_socket *socket = (struct test_socket *)wsk_socket;
    SOCKADDR_INET *local = (SOCKADDR_INET *)address;
    local->si_family = socket->family;
    local->Ipv4.sin_port = __builtin_bswap16(socket->port);
    return finish(irp, STATUS_SUCCESS, 0);
}

static const WSK_PROVIDER_DATAGRAM_DISPATCH socket_functions = {.WskControlSocket = control_socket,
                                                                .WskCloseSocket = close_socket,
                                                                .WskBind = bind_socket,
                                                                .WskGetLocalAddress = get_local_address};

static NTSTATUS NTAPI make_socket(PWSK_CLIENT client, ADDRESS_FAMILY family, USHORT type, ULONG protocol,
                                  ULONG flags, PVOID context, const VOID *dispatch, PEPROCESS process,
                                  PETHREAD thread, PSECURITY_DESCRIPTOR security, PIRP irp)
{
    (void)client, (void)context, (void)process, (void)thread, (void)security;
    CHECK(type == SOCK_DGRAM && protocol == IPPROTO_UDP && flags == WSK_FLAG_DATAGRAM_SOCKET && dispatch);
    if (will_be_refused())
        return finish(irp, STATUS_SUCCESS, 0);
    struct test_socket *socket = &sockets[socket_count++];
    *socket = (struct test_socket){{&socket_functions}, family, 0, true};
    sockets_live++;
    return finish(irp, STATUS_SUCCESS, (ULONG_PTR)&socket->wsk);
}

static const WSK_PROVIDER_DISPATCH provider_functions = {.WskSocket = make_socket,
                                                         .WskControlClient = control_client};

NTSTATUS NTAPI WskCaptureProviderNPI(PWSK_REGISTRATION registration, ULONG wait_ms, PWSK_PROVIDER_NPI npi)
{
    (void)registration;
    capture_wait_ms = wait_ms;
    if (capture_failures && capture_failures--)
        return STATUS_NOT_SUPPORTED;
    npi->Dispatch = &provider_functions;
    CHECK(captured++ == 0);
    return STATUS_SUCCESS;
}

VOID NTAPI WskReleaseProviderNPI(PWSK_REGISTRATION registration)
{
    (void)registration;
    CHECK(--captured == 0);
}
