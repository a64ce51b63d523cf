/*
 * Winsock Kernel: the client's network programming interface.  A WSK IRP has one stack location and belongs
 * to the caller, whose completion routine returns STATUS_MORE_PROCESSING_REQUIRED; it may run before the call
 * returns.
 */
#ifndef NT_WSK_H
#define NT_WSK_H

#include "io.h"
#include "types.h"
#include "ws2.h"

#define MAKE_WSK_VERSION(Mj, Mn) ((USHORT)((Mj) << 8) | (USHORT)((Mn) & 0xff))

#define WSK_FLAG_ABORTIVE                1
#define WSK_FLAG_AT_DISPATCH_LEVEL       8
#define WSK_FLAG_BASIC_SOCKET            0
#define WSK_FLAG_CONNECTION_SOCKET       2
#define WSK_FLAG_DATAGRAM_SOCKET         4
#define WSK_FLAG_DRAIN                   4
#define WSK_FLAG_ENTIRE_MESSAGE          4
#define WSK_FLAG_LISTEN_SOCKET           1
#define WSK_FLAG_NODELAY                 2
#define WSK_FLAG_OOB                     1
#define WSK_FLAG_RELEASE_ASAP            2
#define WSK_FLAG_STREAM_SOCKET           8
#define WSK_FLAG_WAITALL                 2
#define WSK_EVENT_ACCEPT                 0x200
#define WSK_EVENT_DISABLE                0x80000000u
#define WSK_EVENT_DISCONNECT             0x80
#define WSK_EVENT_RECEIVE                0x40
#define WSK_EVENT_RECEIVE_FROM           0x100
#define WSK_EVENT_SEND_BACKLOG           0x10
#define WSK_NO_WAIT                      0
#define WSK_INFINITE_WAIT                0xFFFFFFFFu
#define WSK_TRANSPORT_LIST_CHANGE        3
#define WSK_TRANSPORT_LIST_QUERY         2
#define WSK_CACHE_SD                     4
#define WSK_RELEASE_SD                   5
#define WSK_TDI_BEHAVIOR                 8
#define WSK_TDI_BEHAVIOR_BYPASS_TDI      1
#define WSK_TDI_DEVICENAME_MAPPING       6
#define WSK_SET_STATIC_EVENT_CALLBACKS   7
#define SO_WSK_EVENT_CALLBACK            0x4002
#define SO_WSK_SECURITY                  0x4001
#define SIO_WSK_QUERY_IDEAL_SEND_BACKLOG 0x4F000003
#define SIO_WSK_QUERY_INSPECT_ID         0x4F000005
#define SIO_WSK_QUERY_RECEIVE_BACKLOG    0x4F000004
#define SIO_WSK_REGISTER_EXTENSION       0xCF000002u
#define SIO_WSK_SET_RECEIVE_EX_CALLBACK  0x8F000008u
#define SIO_WSK_SET_REMOTE_ADDRESS       0x8F000001u
#define SIO_WSK_SET_SENDTO_ADDRESS       0x8F000006u
#define SIO_WSK_SET_TCP_SILENT_MODE      0x2F000007

typedef enum _WSK_CONTROL_SOCKET_TYPE {
    WskSetOption = 0,
    WskGetOption = 1,
    WskIoctl = 2,
    WskControlMax = 3,
} WSK_CONTROL_SOCKET_TYPE;
typedef WSK_CONTROL_SOCKET_TYPE *PWSK_CONTROL_SOCKET_TYPE;

typedef enum _WSK_INSPECT_ACTION {
    WskInspectReject = 0,
    WskInspectAccept = 1,
    WskInspectPend = 2,
    WskInspectMax = 3,
} WSK_INSPECT_ACTION;
typedef WSK_INSPECT_ACTION *PWSK_INSPECT_ACTION;

typedef PVOID PWSK_CLIENT;
typedef struct _WSK_SOCKET {
    const VOID *Dispatch;
} WSK_SOCKET, *PWSK_SOCKET;

/* Length bytes, starting Offset bytes into the MDL chain. */
typedef struct _WSK_BUF {
    PMDL Mdl;
    ULONG Offset;
    SIZE_T Length;
} WSK_BUF, *PWSK_BUF;

typedef struct _WSK_BUF_LIST {
    struct _WSK_BUF_LIST *Next;
    WSK_BUF Buffer;
} WSK_BUF_LIST, *PWSK_BUF_LIST;

typedef struct _WSK_DATA_INDICATION {
    struct _WSK_DATA_INDICATION *Next;
    WSK_BUF Buffer;
} WSK_DATA_INDICATION, *PWSK_DATA_INDICATION;

typedef struct _WSK_DATAGRAM_INDICATION {
    struct _WSK_DATAGRAM_INDICATION *Next;
    WSK_BUF Buffer;
    PCMSGHDR ControlInfo;
    ULONG ControlInfoLength;
    PSOCKADDR RemoteAddress;
} WSK_DATAGRAM_INDICATION, *PWSK_DATAGRAM_INDICATION;

typedef struct _WSK_INSPECT_ID {
    ULONG_PTR Key;
    ULONG SerialNumber;
} WSK_INSPECT_ID, *PWSK_INSPECT_ID;

/* --- what the client provides --- */
struct _WSK_CLIENT_CONNECTION_DISPATCH;
typedef NTSTATUS NTAPI WSK_RECEIVE_FROM_EVENT(PVOID SocketContext, ULONG Flags,
                                              PWSK_DATAGRAM_INDICATION DataIndication);
typedef WSK_RECEIVE_FROM_EVENT *PFN_WSK_RECEIVE_FROM_EVENT;
typedef NTSTATUS NTAPI WSK_RECEIVE_EVENT(PVOID SocketContext, ULONG Flags,
                                         PWSK_DATA_INDICATION DataIndication, SIZE_T BytesIndicated,
                                         SIZE_T *BytesAccepted);
typedef WSK_RECEIVE_EVENT *PFN_WSK_RECEIVE_EVENT;
typedef NTSTATUS NTAPI WSK_DISCONNECT_EVENT(PVOID SocketContext, ULONG Flags);
typedef WSK_DISCONNECT_EVENT *PFN_WSK_DISCONNECT_EVENT;
typedef NTSTATUS NTAPI WSK_SEND_BACKLOG_EVENT(PVOID SocketContext, SIZE_T IdealBacklogSize);
typedef WSK_SEND_BACKLOG_EVENT *PFN_WSK_SEND_BACKLOG_EVENT;
typedef NTSTATUS NTAPI WSK_ACCEPT_EVENT(PVOID SocketContext, ULONG Flags, PSOCKADDR LocalAddress,
                                        PSOCKADDR RemoteAddress, PWSK_SOCKET AcceptSocket,
                                        PVOID *AcceptSocketContext,
                                        const struct _WSK_CLIENT_CONNECTION_DISPATCH **AcceptSocketDispatch);
typedef WSK_ACCEPT_EVENT *PFN_WSK_ACCEPT_EVENT;
typedef WSK_INSPECT_ACTION NTAPI WSK_INSPECT_EVENT(PVOID SocketContext, PSOCKADDR LocalAddress,
                                                   PSOCKADDR RemoteAddress, PWSK_INSPECT_ID InspectID);
typedef WSK_INSPECT_EVENT *PFN_WSK_INSPECT_EVENT;
typedef NTSTATUS NTAPI WSK_ABORT_EVENT(PVOID SocketContext, PWSK_INSPECT_ID InspectID);
typedef WSK_ABORT_EVENT *PFN_WSK_ABORT_EVENT;
typedef NTSTATUS NTAPI WSK_CLIENT_EVENT(PVOID ClientContext, ULONG EventType, PVOID Information,
                                        SIZE_T InformationLength);
typedef WSK_CLIENT_EVENT *PFN_WSK_CLIENT_EVENT;

typedef struct _WSK_CLIENT_DATAGRAM_DISPATCH {
    PFN_WSK_RECEIVE_FROM_EVENT WskReceiveFromEvent;
} WSK_CLIENT_DATAGRAM_DISPATCH, *PWSK_CLIENT_DATAGRAM_DISPATCH;

typedef struct _WSK_CLIENT_CONNECTION_DISPATCH {
    PFN_WSK_RECEIVE_EVENT WskReceiveEvent;
    PFN_WSK_DISCONNECT_EVENT WskDisconnectEvent;
    PFN_WSK_SEND_BACKLOG_EVENT WskSendBacklogEvent;
} WSK_CLIENT_CONNECTION_DISPATCH, *PWSK_CLIENT_CONNECTION_DISPATCH;

typedef struct _WSK_CLIENT_LISTEN_DISPATCH {
    PFN_WSK_ACCEPT_EVENT WskAcceptEvent;
    PFN_WSK_INSPECT_EVENT WskInspectEvent;
    PFN_WSK_ABORT_EVENT WskAbortEvent;
} WSK_CLIENT_LISTEN_DISPATCH, *PWSK_CLIENT_LISTEN_DISPATCH;

typedef struct _WSK_CLIENT_DISPATCH {
    USHORT Version;
    USHORT Reserved;
    PFN_WSK_CLIENT_EVENT WskClientEvent;
} WSK_CLIENT_DISPATCH, *PWSK_CLIENT_DISPATCH;

typedef struct _WSK_CLIENT_NPI {
    PVOID ClientContext;
    const WSK_CLIENT_DISPATCH *Dispatch;
} WSK_CLIENT_NPI, *PWSK_CLIENT_NPI;

typedef const GUID *PNPIID;
typedef struct _WSK_EVENT_CALLBACK_CONTROL {
    PNPIID NpiId;
    ULONG EventMask;
} WSK_EVENT_CALLBACK_CONTROL, *PWSK_EVENT_CALLBACK_CONTROL;

/* NPI_WSK_INTERFACE_ID: the NpiId of the above. */
static const GUID NPI_WSK_INTERFACE_ID
    __attribute__((unused)) = {0x2227e803, 0x8d8b, 0x11d4, {0xab, 0xad, 0x00, 0x90, 0x27, 0x71, 0x9e, 0x09}};

typedef struct _WSK_TRANSPORT {
    USHORT Version;
    USHORT SocketType;
    ULONG Protocol;
    ADDRESS_FAMILY AddressFamily;
    GUID ProviderId;
} WSK_TRANSPORT, *PWSK_TRANSPORT;

/* --- what the provider offers --- */
typedef NTSTATUS NTAPI WSK_CONTROL_SOCKET(PWSK_SOCKET Socket, WSK_CONTROL_SOCKET_TYPE RequestType,
                                          ULONG ControlCode, ULONG Level, SIZE_T InputSize, PVOID InputBuffer,
                                          SIZE_T OutputSize, PVOID OutputBuffer, SIZE_T *OutputSizeReturned,
                                          PIRP Irp);
typedef WSK_CONTROL_SOCKET *PFN_WSK_CONTROL_SOCKET;
typedef NTSTATUS NTAPI WSK_CLOSE_SOCKET(PWSK_SOCKET Socket, PIRP Irp);
typedef WSK_CLOSE_SOCKET *PFN_WSK_CLOSE_SOCKET;
typedef NTSTATUS NTAPI WSK_BIND(PWSK_SOCKET Socket, PSOCKADDR LocalAddress, ULONG Flags, PIRP Irp);
typedef WSK_BIND *PFN_WSK_BIND;
typedef NTSTATUS NTAPI WSK_SEND_TO(PWSK_SOCKET Socket, PWSK_BUF Buffer, ULONG Flags, PSOCKADDR RemoteAddress,
                                   ULONG ControlInfoLength, PCMSGHDR ControlInfo, PIRP Irp);
typedef WSK_SEND_TO *PFN_WSK_SEND_TO;
typedef NTSTATUS NTAPI WSK_SEND_MESSAGES(PWSK_SOCKET Socket, PWSK_BUF_LIST BufferList, ULONG Flags,
                                         PSOCKADDR RemoteAddress, ULONG ControlInfoLength,
                                         PCMSGHDR ControlInfo, PIRP Irp);
typedef WSK_SEND_MESSAGES *PFN_WSK_SEND_MESSAGES;
typedef NTSTATUS NTAPI WSK_RECEIVE_FROM(PWSK_SOCKET Socket, PWSK_BUF Buffer, ULONG Flags,
                                        PSOCKADDR RemoteAddress, PULONG ControlLength, PCMSGHDR ControlInfo,
                                        PULONG ControlFlags, PIRP Irp);
typedef WSK_RECEIVE_FROM *PFN_WSK_RECEIVE_FROM;
typedef NTSTATUS NTAPI WSK_RELEASE_DATAGRAM_INDICATION_LIST(PWSK_SOCKET Socket,
                                                            PWSK_DATAGRAM_INDICATION DatagramIndication);
typedef WSK_RELEASE_DATAGRAM_INDICATION_LIST *PFN_WSK_RELEASE_DATAGRAM_INDICATION_LIST;
typedef NTSTATUS NTAPI WSK_RELEASE_DATA_INDICATION_LIST(PWSK_SOCKET Socket,
                                                        PWSK_DATA_INDICATION DataIndication);
typedef WSK_RELEASE_DATA_INDICATION_LIST *PFN_WSK_RELEASE_DATA_INDICATION_LIST;
typedef NTSTATUS NTAPI WSK_GET_LOCAL_ADDRESS(PWSK_SOCKET Socket, PSOCKADDR LocalAddress, PIRP Irp);
typedef WSK_GET_LOCAL_ADDRESS *PFN_WSK_GET_LOCAL_ADDRESS;
typedef NTSTATUS NTAPI WSK_GET_REMOTE_ADDRESS(PWSK_SOCKET Socket, PSOCKADDR RemoteAddress, PIRP Irp);
typedef WSK_GET_REMOTE_ADDRESS *PFN_WSK_GET_REMOTE_ADDRESS;
typedef NTSTATUS NTAPI WSK_CONNECT(PWSK_SOCKET Socket, PSOCKADDR RemoteAddress, ULONG Flags, PIRP Irp);
typedef WSK_CONNECT *PFN_WSK_CONNECT;
typedef NTSTATUS NTAPI WSK_SEND(PWSK_SOCKET Socket, PWSK_BUF Buffer, ULONG Flags, PIRP Irp);
typedef WSK_SEND *PFN_WSK_SEND;
typedef NTSTATUS NTAPI WSK_RECEIVE(PWSK_SOCKET Socket, PWSK_BUF Buffer, ULONG Flags, PIRP Irp);
typedef WSK_RECEIVE *PFN_WSK_RECEIVE;
typedef NTSTATUS NTAPI WSK_DISCONNECT(PWSK_SOCKET Socket, PWSK_BUF Buffer, ULONG Flags, PIRP Irp);
typedef WSK_DISCONNECT *PFN_WSK_DISCONNECT;

typedef struct _WSK_PROVIDER_BASIC_DISPATCH {
    PFN_WSK_CONTROL_SOCKET WskControlSocket;
    PFN_WSK_CLOSE_SOCKET WskCloseSocket;
} WSK_PROVIDER_BASIC_DISPATCH, *PWSK_PROVIDER_BASIC_DISPATCH;

typedef struct _WSK_PROVIDER_DATAGRAM_DISPATCH {
    PFN_WSK_CONTROL_SOCKET WskControlSocket;
    PFN_WSK_CLOSE_SOCKET WskCloseSocket;
    PFN_WSK_BIND WskBind;
    PFN_WSK_SEND_TO WskSendTo;
    PFN_WSK_RECEIVE_FROM WskReceiveFrom;
    PFN_WSK_RELEASE_DATAGRAM_INDICATION_LIST WskRelease;
    PFN_WSK_GET_LOCAL_ADDRESS WskGetLocalAddress;
    PFN_WSK_SEND_MESSAGES WskSendMessages;
} WSK_PROVIDER_DATAGRAM_DISPATCH, *PWSK_PROVIDER_DATAGRAM_DISPATCH;

/* The Ex functions (Windows 8 and later, TCP only) are not declared: their slots are. */
typedef struct _WSK_PROVIDER_CONNECTION_DISPATCH {
    PFN_WSK_CONTROL_SOCKET WskControlSocket;
    PFN_WSK_CLOSE_SOCKET WskCloseSocket;
    PFN_WSK_BIND WskBind;
    PFN_WSK_CONNECT WskConnect;
    PFN_WSK_GET_LOCAL_ADDRESS WskGetLocalAddress;
    PFN_WSK_GET_REMOTE_ADDRESS WskGetRemoteAddress;
    PFN_WSK_SEND WskSend;
    PFN_WSK_RECEIVE WskReceive;
    PFN_WSK_DISCONNECT WskDisconnect;
    PFN_WSK_RELEASE_DATA_INDICATION_LIST WskRelease;
    PVOID WskConnectEx;
    PVOID WskSendEx;
    PVOID WskReceiveEx;
} WSK_PROVIDER_CONNECTION_DISPATCH, *PWSK_PROVIDER_CONNECTION_DISPATCH;

typedef struct _ADDRINFOEXW ADDRINFOEXW, *PADDRINFOEXW;

typedef NTSTATUS NTAPI WSK_SOCKET_FUNCTION(PWSK_CLIENT Client, ADDRESS_FAMILY AddressFamily,
                                           USHORT SocketType, ULONG Protocol, ULONG Flags,
                                           PVOID SocketContext, const VOID *Dispatch, PEPROCESS OwningProcess,
                                           PETHREAD OwningThread, PSECURITY_DESCRIPTOR SecurityDescriptor,
                                           PIRP Irp);
typedef WSK_SOCKET_FUNCTION *PFN_WSK_SOCKET;
typedef NTSTATUS NTAPI WSK_SOCKET_CONNECT(PWSK_CLIENT Client, USHORT SocketType, ULONG Protocol,
                                          PSOCKADDR LocalAddress, PSOCKADDR RemoteAddress, ULONG Flags,
                                          PVOID SocketContext, const WSK_CLIENT_CONNECTION_DISPATCH *Dispatch,
                                          PEPROCESS OwningProcess, PETHREAD OwningThread,
                                          PSECURITY_DESCRIPTOR SecurityDescriptor, PIRP Irp);
typedef WSK_SOCKET_CONNECT *PFN_WSK_SOCKET_CONNECT;
typedef NTSTATUS NTAPI WSK_CONTROL_CLIENT(PWSK_CLIENT Client, ULONG ControlCode, SIZE_T InputSize,
                                          PVOID InputBuffer, SIZE_T OutputSize, PVOID OutputBuffer,
                                          SIZE_T *OutputSizeReturned, PIRP Irp);
typedef WSK_CONTROL_CLIENT *PFN_WSK_CONTROL_CLIENT;
typedef NTSTATUS NTAPI WSK_GET_ADDRESS_INFO(PWSK_CLIENT Client, PUNICODE_STRING NodeName,
                                            PUNICODE_STRING ServiceName, ULONG NameSpace, GUID *Provider,
                                            PADDRINFOEXW Hints, PADDRINFOEXW *Result, PEPROCESS OwningProcess,
                                            PETHREAD OwningThread, PIRP Irp);
typedef WSK_GET_ADDRESS_INFO *PFN_WSK_GET_ADDRESS_INFO;
typedef VOID NTAPI WSK_FREE_ADDRESS_INFO(PWSK_CLIENT Client, PADDRINFOEXW AddrInfo);
typedef WSK_FREE_ADDRESS_INFO *PFN_WSK_FREE_ADDRESS_INFO;
typedef NTSTATUS NTAPI WSK_GET_NAME_INFO(PWSK_CLIENT Client, PSOCKADDR SockAddr, ULONG SockAddrLength,
                                         PUNICODE_STRING NodeName, PUNICODE_STRING ServiceName, ULONG Flags,
                                         PEPROCESS OwningProcess, PETHREAD OwningThread, PIRP Irp);
typedef WSK_GET_NAME_INFO *PFN_WSK_GET_NAME_INFO;

typedef struct _WSK_PROVIDER_DISPATCH {
    USHORT Version;
    USHORT Reserved;
    PFN_WSK_SOCKET WskSocket;
    PFN_WSK_SOCKET_CONNECT WskSocketConnect;
    PFN_WSK_CONTROL_CLIENT WskControlClient;
    PFN_WSK_GET_ADDRESS_INFO WskGetAddressInfo;
    PFN_WSK_FREE_ADDRESS_INFO WskFreeAddressInfo;
    PFN_WSK_GET_NAME_INFO WskGetNameInfo;
} WSK_PROVIDER_DISPATCH, *PWSK_PROVIDER_DISPATCH;

typedef struct _WSK_PROVIDER_NPI {
    PWSK_CLIENT Client;
    const WSK_PROVIDER_DISPATCH *Dispatch;
} WSK_PROVIDER_NPI, *PWSK_PROVIDER_NPI;

typedef struct _WSK_PROVIDER_CHARACTERISTICS {
    USHORT HighestVersion;
    USHORT LowestVersion;
} WSK_PROVIDER_CHARACTERISTICS, *PWSK_PROVIDER_CHARACTERISTICS;

typedef struct _WSK_REGISTRATION {
    ULONGLONG ReservedRegistrationState;
    PVOID ReservedRegistrationContext;
    KSPIN_LOCK ReservedRegistrationLock;
} WSK_REGISTRATION, *PWSK_REGISTRATION;

NTKERNELAPI NTSTATUS NTAPI WskRegister(PWSK_CLIENT_NPI WskClientNpi, PWSK_REGISTRATION WskRegistration);
NTKERNELAPI VOID NTAPI WskDeregister(PWSK_REGISTRATION WskRegistration);
/* WaitTimeout in ms; a driver does not wait without limit in DriverEntry (boot deadlocks). */
NTKERNELAPI NTSTATUS NTAPI WskCaptureProviderNPI(PWSK_REGISTRATION WskRegistration, ULONG WaitTimeout,
                                                 PWSK_PROVIDER_NPI WskProviderNpi);
NTKERNELAPI VOID NTAPI WskReleaseProviderNPI(PWSK_REGISTRATION WskRegistration);
NTKERNELAPI NTSTATUS NTAPI WskQueryProviderCharacteristics(
    PWSK_REGISTRATION WskRegistration, PWSK_PROVIDER_CHARACTERISTICS WskProviderCharacteristics);

#endif
