/* A stand-in for wintun.dll in tests: its public functions (src/engine/windows/wintun.h) over a UDP socket.
 * Packets that the engine sends go to 127.0.0.1, port WYRM_WINTUN_PORT, one a datagram; what comes from there
 * can be received; "end" from there ends the adapter, as if somebody had removed it. Its rules are checked: a
 * packet that is released twice, in other memory, or not at all, ends the process with status 99. */
#define WIN32_LEAN_AND_MEAN
#include <winsock2.h>
#include <ws2ipdef.h>

#include <iphlpapi.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS         128 /* as many as the engine reads at once: those of before have to be released */
#define PACKET_BYTES  65536
#define STATUS_MISUSE 99

struct slot {
    DWORD bytes;
    BOOL held;
    uint8_t data[PACKET_BYTES];
};

struct session {
    SOCKET socket;
    WSAEVENT readable;
    BOOL ended;
    struct slot in[SLOTS];
    struct slot out;
};

static int adapter; /* its address is the adapter's handle */

static void misuse(void)
{
    ExitProcess(STATUS_MISUSE);
}

BOOL WINAPI DllMain(HINSTANCE instance, DWORD reason, LPVOID reserved);
void *WINAPI WintunCreateAdapter(const wchar_t *name, const wchar_t *type, const GUID *requested);
void WINAPI WintunCloseAdapter(void *handle);
void WINAPI WintunGetAdapterLUID(void *handle, NET_LUID *luid);
void *WINAPI WintunStartSession(void *handle, DWORD capacity);
void WINAPI WintunEndSession(struct session *session);
HANDLE WINAPI WintunGetReadWaitEvent(struct session *session);
uint8_t *WINAPI WintunReceivePacket(struct session *session, DWORD *bytes);
void WINAPI WintunReleaseReceivePacket(struct session *session, const uint8_t *packet);
uint8_t *WINAPI WintunAllocateSendPacket(struct session *session, DWORD bytes);
void WINAPI WintunSendPacket(struct session *session, const uint8_t *packet);

BOOL WINAPI DllMain(HINSTANCE instance, DWORD reason, LPVOID reserved)
{
    return TRUE;
}

/* The name "taken" is. */
void *WINAPI WintunCreateAdapter(const wchar_t *name, const wchar_t *type, const GUID *requested)
{
    if (wcscmp(name, L"taken") == 0) {
        SetLastError(ERROR_ALREADY_EXISTS);
        return NULL;
    }
    return &adapter;
}

void WINAPI WintunCloseAdapter(void *handle)
{
    if (handle != &adapter)
        misuse();
}

/* Of no interface that the system knows. */
void WINAPI WintunGetAdapterLUID(void *handle, NET_LUID *luid)
{
    luid->Value = UINT64_C(0x35000012345600);
}

void *WINAPI WintunStartSession(void *handle, DWORD capacity)
{
    const char *port = getenv("WYRM_WINTUN_PORT");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((u_short)(port ? atoi(port) : 0))};
    WSADATA data;
    if (handle != &adapter || capacity < 0x20000 || capacity > 0x4000000 || capacity & (capacity - 1))
        misuse();
    WSAStartup(MAKEWORD(2, 2), &data);
    struct session *session = calloc(1, sizeof(*session));
    if (!session)
        return NULL;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    session->socket = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    session->readable = WSACreateEvent();
    if (connect(session->socket, (struct sockaddr *)&to, sizeof(to)) != 0 ||
        WSAEventSelect(session->socket, session->readable, FD_READ) != 0)
        return NULL;
    send(session->socket, "", 0, 0); /* whoever listens learns where packets come from */
    return session;
}

void WINAPI WintunEndSession(struct session *session)
{
    for (unsigned i = 0; i < SLOTS; i++)
        if (session->in[i].held)
            misuse();
    send(session->socket, "end", 3, 0);
    closesocket(session->socket);
    WSACloseEvent(session->readable);
    free(session);
}

HANDLE WINAPI WintunGetReadWaitEvent(struct session *session)
{
    return session->readable;
}

/* The event is reset only when nothing is there, and then it is looked once more. */
uint8_t *WINAPI WintunReceivePacket(struct session *session, DWORD *bytes)
{
    WSANETWORKEVENTS events;
    for (unsigned i = 0; i < SLOTS; i++) {
        struct slot *slot = &session->in[i];
        if (slot->held)
            continue;
        int got = recv(session->socket, (char *)slot->data, PACKET_BYTES, 0);
        if (got <= 0) {
            WSAEnumNetworkEvents(session->socket, session->readable, &events);
            got = recv(session->socket, (char *)slot->data, PACKET_BYTES, 0);
        }
        if (got <= 0)
            break;
        session->ended = got == 3 && memcmp(slot->data, "end", 3) == 0;
        if (session->ended)
            break;
        slot->held = TRUE;
        *bytes = (DWORD)got;
        return slot->data;
    }
    SetLastError(session->ended ? ERROR_HANDLE_EOF : ERROR_NO_MORE_ITEMS);
    return NULL;
}

void WINAPI WintunReleaseReceivePacket(struct session *session, const uint8_t *packet)
{
    for (unsigned i = 0; i < SLOTS; i++)
        if (session->in[i].data == packet && session->in[i].held) {
            session->in[i].held = FALSE;
            return;
        }
    misuse();
}

uint8_t *WINAPI WintunAllocateSendPacket(struct session *session, DWORD bytes)
{
    if (session->out.held || !bytes || bytes > 0xFFFF)
        misuse();
    session->out.held = TRUE;
    session->out.bytes = bytes;
    return session->out.data;
}

void WINAPI WintunSendPacket(struct session *session, const uint8_t *packet)
{
    if (packet != session->out.data || !session->out.held)
        misuse();
    send(session->socket, (const char *)packet, (int)session->out.bytes, 0);
    session->out.held = FALSE;
}
