/* WSK registration and the provider's client level. */
#include "wsk_internal.h"

#include <stdlib.h>
#include <string.h>

#define CLIENT_MAGIC      0x6b6c6377u
#define DEREGISTER_LIMIT  (30ull * 1000000000)
#define DEREGISTER_PERIOD (1000000ull)

static WSK_CONTROL_CLIENT wsk_control_client;
static WSK_SOCKET_CONNECT wsk_socket_connect;
static WSK_GET_ADDRESS_INFO wsk_get_address_info;
static WSK_FREE_ADDRESS_INFO wsk_free_address_info;
static WSK_GET_NAME_INFO wsk_get_name_info;

static const WSK_PROVIDER_DISPATCH provider_dispatch = {
    .Version = WSK_VERSION_1_0,
    .WskSocket = wsk_socket_create,
    .WskSocketConnect = wsk_socket_connect,
    .WskControlClient = wsk_control_client,
    .WskGetAddressInfo = wsk_get_address_info,
    .WskFreeAddressInfo = wsk_free_address_info,
    .WskGetNameInfo = wsk_get_name_info,
};

static struct wsk_client *client_from(const WSK_REGISTRATION *registration, const char *function)
{
    struct wsk_client *client = registration->ReservedRegistrationContext;

    if (client && client->magic == CLIENT_MAGIC)
        return client;
    if (host_options.verify)
        verify_report(RULE_WSK_SOCKET_STATE, "%s: not registered", function);
    host_warn("%s: not registered", function);
    return NULL;
}

NTSTATUS NTAPI WskRegister(PWSK_CLIENT_NPI WskClientNpi, PWSK_REGISTRATION WskRegistration)
{
    struct wsk_client *client;

    if (!WskClientNpi || !WskClientNpi->Dispatch || WskClientNpi->Dispatch->Version != WSK_VERSION_1_0)
        return STATUS_NOT_SUPPORTED;
    client = calloc(1, sizeof *client);
    if (!client)
        return STATUS_INSUFFICIENT_RESOURCES;
    client->magic = CLIENT_MAGIC;
    client->npi = *WskClientNpi;
    memset(WskRegistration, 0, sizeof *WskRegistration);
    WskRegistration->ReservedRegistrationContext = client;
    host_count_add(HOST_WSK_CLIENT, 1);
    if (host_options.verify)
        ledger_add(HOST_WSK_CLIENT, client, OWNER_DRIVER, "WSK registration");
    return STATUS_SUCCESS;
}

/* As on Windows it blocks until every captured NPI is released; sockets must be closed before that. */
VOID NTAPI WskDeregister(PWSK_REGISTRATION WskRegistration)
{
    struct wsk_client *client = client_from(WskRegistration, "WskDeregister");
    uint64_t limit = sched_time_ns() + DEREGISTER_LIMIT;

    if (!client)
        return;
    if (host_options.verify && client->sockets > 0)
        verify_report(RULE_WSK_SOCKET_STATE, "WskDeregister: %d sockets are still open", client->sockets);
    while (__atomic_load_n(&client->captured, __ATOMIC_ACQUIRE) > 0) {
        if (sched_time_ns() > limit) {
            if (host_options.verify)
                verify_report(RULE_WSK_SOCKET_STATE, "WskDeregister: %d captured NPIs are never released",
                              client->captured);
            host_warn("WskDeregister: %d captured NPIs are never released", client->captured);
            break;
        }
        sched_block(sched_time_ns() + DEREGISTER_PERIOD);
    }
    WskRegistration->ReservedRegistrationContext = NULL;
    client->magic = 0;
    host_count_add(HOST_WSK_CLIENT, -1);
    if (host_options.verify)
        ledger_remove(HOST_WSK_CLIENT, client, OWNER_DRIVER, RULE_WSK_SOCKET_STATE);
    free(client);
}

/* The provider is always there, so no time-out passes. */
NTSTATUS NTAPI WskCaptureProviderNPI(PWSK_REGISTRATION WskRegistration, ULONG WaitTimeout,
                                     PWSK_PROVIDER_NPI WskProviderNpi)
{
    struct wsk_client *client = client_from(WskRegistration, "WskCaptureProviderNPI");

    if (!client)
        return STATUS_INVALID_PARAMETER;
    __atomic_add_fetch(&client->captured, 1, __ATOMIC_ACQ_REL);
    host_count_add(HOST_WSK_CLIENT, 1);
    WskProviderNpi->Client = client;
    WskProviderNpi->Dispatch = &provider_dispatch;
    return STATUS_SUCCESS;
}

VOID NTAPI WskReleaseProviderNPI(PWSK_REGISTRATION WskRegistration)
{
    struct wsk_client *client = client_from(WskRegistration, "WskReleaseProviderNPI");

    if (!client)
        return;
    if (__atomic_sub_fetch(&client->captured, 1, __ATOMIC_ACQ_REL) < 0) {
        if (host_options.verify)
            verify_report(RULE_WSK_SOCKET_STATE, "WskReleaseProviderNPI without a captured NPI");
        __atomic_add_fetch(&client->captured, 1, __ATOMIC_ACQ_REL);
        return;
    }
    host_count_add(HOST_WSK_CLIENT, -1);
}

NTSTATUS NTAPI WskQueryProviderCharacteristics(PWSK_REGISTRATION WskRegistration,
                                               PWSK_PROVIDER_CHARACTERISTICS WskProviderCharacteristics)
{
    if (!client_from(WskRegistration, "WskQueryProviderCharacteristics"))
        return STATUS_INVALID_PARAMETER;
    WskProviderCharacteristics->HighestVersion = WSK_VERSION_1_0;
    WskProviderCharacteristics->LowestVersion = WSK_VERSION_1_0;
    return STATUS_SUCCESS;
}

/* ---- client control ---- */

static void ignore_receive(void *context, struct udp_datagram *datagrams, unsigned count, void *token)
{
    udp_buffer_release(token);
}

/* UDP over IPv4, and over IPv6 where the system has it. */
static NTSTATUS transport_list(SIZE_T size, void *buffer, SIZE_T *returned)
{
    static const uint8_t families[] = {4, 6};
    WSK_TRANSPORT *transports = buffer;
    SIZE_T count = 0, room = size / sizeof *transports;

    for (unsigned i = 0; i < 2; i++) {
        struct udp_socket *probe;

        if (udp_open(families[i], false, ignore_receive, NULL, &probe) != 0)
            continue;
        udp_close(probe);
        if (buffer && count < room) {
            memset(&transports[count], 0, sizeof *transports);
            transports[count].Version = WSK_VERSION_1_0;
            transports[count].SocketType = SOCK_DGRAM;
            transports[count].Protocol = IPPROTO_UDP;
            transports[count].AddressFamily = families[i] == 4 ? AF_INET : AF_INET6;
        }
        count++;
    }
    if (returned)
        *returned = count * sizeof *transports;
    return count > room ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}

static NTSTATUS control_client(struct wsk_client *client, ULONG code, SIZE_T input_size, const void *input,
                               SIZE_T output_size, void *output, SIZE_T *returned)
{
    switch (code) {
    case WSK_TRANSPORT_LIST_QUERY:
        return transport_list(output_size, output, returned);
    case WSK_SET_STATIC_EVENT_CALLBACKS: {
        const WSK_EVENT_CALLBACK_CONTROL *control = input;

        if (!control || input_size < sizeof *control || !control->NpiId ||
            memcmp(control->NpiId, &NPI_WSK_INTERFACE_ID, sizeof NPI_WSK_INTERFACE_ID) != 0 ||
            (control->EventMask & WSK_EVENT_DISABLE))
            return STATUS_INVALID_PARAMETER;
        client->static_events = control->EventMask;
        return STATUS_SUCCESS;
    }
    case WSK_TDI_BEHAVIOR:
    case WSK_TDI_DEVICENAME_MAPPING:
        return STATUS_SUCCESS; /* there is no TDI to bypass */
    default:
        return STATUS_NOT_SUPPORTED;
    }
}

static NTSTATUS NTAPI wsk_control_client(PWSK_CLIENT Client, ULONG ControlCode, SIZE_T InputSize,
                                         PVOID InputBuffer, SIZE_T OutputSize, PVOID OutputBuffer,
                                         SIZE_T *OutputSizeReturned, PIRP Irp)
{
    NTSTATUS status;

    if (OutputSizeReturned)
        *OutputSizeReturned = 0;
    status = control_client(Client, ControlCode, InputSize, InputBuffer, OutputSize, OutputBuffer,
                            OutputSizeReturned);
    if (!Irp)
        return status;
    wsk_irp_accept(Irp, "WskControlClient");
    return wsk_irp_result(Irp, status, 0);
}

/* ---- what this provider does not offer: TCP and name resolution ---- */

static NTSTATUS NTAPI wsk_socket_connect(PWSK_CLIENT Client, USHORT SocketType, ULONG Protocol,
                                         PSOCKADDR LocalAddress, PSOCKADDR RemoteAddress, ULONG Flags,
                                         PVOID SocketContext, const WSK_CLIENT_CONNECTION_DISPATCH *Dispatch,
                                         PEPROCESS OwningProcess, PETHREAD OwningThread,
                                         PSECURITY_DESCRIPTOR SecurityDescriptor, PIRP Irp)
{
    wsk_irp_accept(Irp, "WskSocketConnect");
    return wsk_irp_result(Irp, STATUS_NOT_SUPPORTED, 0);
}

static NTSTATUS NTAPI wsk_get_address_info(PWSK_CLIENT Client, PUNICODE_STRING NodeName,
                                           PUNICODE_STRING ServiceName, ULONG NameSpace, GUID *Provider,
                                           PADDRINFOEXW Hints, PADDRINFOEXW *Result, PEPROCESS OwningProcess,
                                           PETHREAD OwningThread, PIRP Irp)
{
    wsk_irp_accept(Irp, "WskGetAddressInfo");
    return wsk_irp_result(Irp, STATUS_NOT_SUPPORTED, 0);
}

static VOID NTAPI wsk_free_address_info(PWSK_CLIENT Client, PADDRINFOEXW AddrInfo)
{
}

static NTSTATUS NTAPI wsk_get_name_info(PWSK_CLIENT Client, PSOCKADDR SockAddr, ULONG SockAddrLength,
                                        PUNICODE_STRING NodeName, PUNICODE_STRING ServiceName, ULONG Flags,
                                        PEPROCESS OwningProcess, PETHREAD OwningThread, PIRP Irp)
{
    wsk_irp_accept(Irp, "WskGetNameInfo");
    return wsk_irp_result(Irp, STATUS_NOT_SUPPORTED, 0);
}
