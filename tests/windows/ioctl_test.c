/* The driver's control codes by way of CreateFile and DeviceIoControl:
 *   bridge_ioctl.exe SOCKET     the checks, against the nthost of this raw control socket
 *   bridge_ioctl.exe --hold     opens the adapter, reads its log and waits to be killed */
#include "lib/bridge.h"
#include "lib/report.h"

#include <wyrm/control.h>

#include <stdio.h>
#include <string.h>
#include <wchar.h>

#define LINK L"SWD#Wyrm#{5d3a1fb0-6f0e-4ea2-9c53-1b0f4f2f6a11}#{cac88484-7515-4c03-82e6-71a87abac361}"
#define PATH L"\\\\?\\" LINK

enum { BYTES = 1024, WAIT_MILLISECONDS = 20000 };

static HANDLE open_adapter(DWORD flags)
{
    return CreateFileW(PATH, GENERIC_READ | GENERIC_WRITE,
                       FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, OPEN_EXISTING, flags,
                       NULL);
}

static bool control(HANDLE adapter, DWORD code, void *in, DWORD in_bytes, void *out, DWORD out_bytes,
                    DWORD *bytes)
{
    *bytes = 0xdead;
    SetLastError(0xdead);
    return DeviceIoControl(adapter, code, in, in_bytes, out, out_bytes, bytes, NULL);
}

static void fill_config(uint8_t *config, uint16_t port)
{
    struct wyrm_ioctl_interface *interface = (void *)config;
    struct wyrm_ioctl_peer *peer = (void *)(interface + 1);
    struct wyrm_ioctl_allowed_ip *allowed = (void *)(peer + 1);

    memset(config, 0, BYTES);
    interface->flags =
        WYRM_INTERFACE_HAS_PRIVATE_KEY | WYRM_INTERFACE_HAS_LISTEN_PORT | WYRM_INTERFACE_REPLACE_PEERS;
    memset(interface->private_key, 0x48, sizeof(interface->private_key));
    interface->listen_port = port;
    interface->peers_count = 1;
    peer->flags =
        WYRM_PEER_HAS_PUBLIC_KEY | WYRM_PEER_HAS_PERSISTENT_KEEPALIVE | WYRM_PEER_REPLACE_ALLOWED_IPS;
    memset(peer->public_key, 0x09, sizeof(peer->public_key));
    peer->persistent_keepalive = 25;
    peer->allowed_ips_count = 1;
    allowed->family = WYRM_FAMILY_IPV4;
    allowed->cidr = 24;
    memcpy(allowed->address, "\x0a\x01\x02", 3);
}

static void check_configuration(HANDLE adapter)
{
    enum {
        FULL = sizeof(struct wyrm_ioctl_interface) + sizeof(struct wyrm_ioctl_peer) +
               sizeof(struct wyrm_ioctl_allowed_ip)
    };
    static _Alignas(8) uint8_t config[BYTES], result[BYTES];
    const struct wyrm_ioctl_interface *interface = (void *)result;
    const struct wyrm_ioctl_peer *peer = (const void *)(interface + 1);
    const struct wyrm_ioctl_allowed_ip *allowed = (const void *)(peer + 1);
    DWORD bytes;

    fill_config(config, 47111);
    check(control(adapter, WYRM_IOCTL_SET, NULL, 0, config, FULL, &bytes), "SET takes a configuration");
    memset(result, 0xaa, sizeof(result));
    check(control(adapter, WYRM_IOCTL_GET, NULL, 0, result, sizeof(result), &bytes), "GET");
    check(bytes == FULL, "GET: %lu bytes of %u", bytes, FULL);
    check(interface->listen_port == 47111 && interface->peers_count == 1 &&
              (interface->flags & WYRM_INTERFACE_HAS_PUBLIC_KEY) && interface->private_key[3] == 0x48,
          "GET: the interface as it was set");
    check(peer->public_key[31] == 0x09 && peer->persistent_keepalive == 25 && allowed->cidr == 24 &&
              allowed->address[2] == 2,
          "GET: the peer as it was set");
    check(!(peer->flags & WYRM_PEER_HAS_ENDPOINT) && ((const uint8_t *)&peer->endpoint)[5] == 0xaa,
          "GET leaves bytes of the program's buffer that have no value");
    check(result[FULL] == 0xaa, "GET writes nothing behind");

    memset(result, 0xaa, sizeof(result));
    check(!control(adapter, WYRM_IOCTL_GET, NULL, 0, result, sizeof(*interface), &bytes) &&
              GetLastError() == ERROR_MORE_DATA,
          "GET with too small a buffer: ERROR_MORE_DATA");
    check(bytes == FULL, "GET with too small a buffer: needs %lu", bytes);
    check(interface->listen_port == 47111 && result[sizeof(*interface)] == 0xaa,
          "GET: filled as far as it fits");
    check(!control(adapter, WYRM_IOCTL_GET, NULL, 0, NULL, 0, &bytes) && GetLastError() == ERROR_MORE_DATA &&
              bytes == FULL,
          "GET without a buffer: ERROR_MORE_DATA, needs %lu", bytes);

    ((struct wyrm_ioctl_interface *)(void *)config)->peers_count = 9;
    check(!control(adapter, WYRM_IOCTL_SET, NULL, 0, config, FULL, &bytes) &&
              GetLastError() == ERROR_INVALID_PARAMETER,
          "SET with fewer peers than it says: ERROR_INVALID_PARAMETER");
    check(!control(adapter, WYRM_IOCTL_CODE(400, 0), NULL, 0, NULL, 0, &bytes), "an unknown code is refused");
}

static void check_state(HANDLE adapter)
{
    uint32_t verb = WYRM_ADAPTER_QUERY, state = 77;
    DWORD bytes;

    check(control(adapter, WYRM_IOCTL_STATE, &verb, 4, &state, 4, &bytes) && state == WYRM_ADAPTER_DOWN &&
              bytes == 4,
          "STATE: down (%u)", state);
    verb = WYRM_ADAPTER_UP;
    check(control(adapter, WYRM_IOCTL_STATE, &verb, 4, NULL, 0, &bytes), "STATE: to up");
    check(control(adapter, WYRM_IOCTL_STATE, &verb, 4, NULL, 0, &bytes), "STATE: up again is no error");
    verb = WYRM_ADAPTER_QUERY;
    check(control(adapter, WYRM_IOCTL_STATE, &verb, 4, &state, 4, &bytes) && state == WYRM_ADAPTER_UP,
          "STATE: is up");
    verb = WYRM_ADAPTER_DOWN;
    check(control(adapter, WYRM_IOCTL_STATE, &verb, 4, NULL, 0, &bytes), "STATE: to down");
    verb = 3;
    check(!control(adapter, WYRM_IOCTL_STATE, &verb, 4, NULL, 0, &bytes) &&
              GetLastError() == ERROR_INVALID_PARAMETER,
          "STATE: an unknown one is ERROR_INVALID_PARAMETER");
    check(!control(adapter, WYRM_IOCTL_STATE, &verb, 2, NULL, 0, &bytes), "STATE: two bytes are refused");
}

/* Reads lines until one would have to be waited for; the pended request is in *wait then. */
static unsigned drain(HANDLE adapter, struct wyrm_ioctl_log_entry *entry, OVERLAPPED *wait)
{
    unsigned lines = 0;

    for (;;) {
        DWORD bytes;
        ResetEvent(wait->hEvent);
        if (!DeviceIoControl(adapter, WYRM_IOCTL_LOG, NULL, 0, entry, sizeof(*entry), NULL, wait) &&
            GetLastError() != ERROR_IO_PENDING) {
            return lines;
        }
        if (WaitForSingleObject(wait->hEvent, 500) == WAIT_TIMEOUT) {
            return lines;
        }
        if (!GetOverlappedResult(adapter, wait, &bytes, FALSE) || bytes != sizeof(*entry) ||
            !entry->text[0]) {
            check(false, "a log line");
            return lines;
        }
        lines++;
    }
}

static void check_log(HANDLE other)
{
    HANDLE adapter = open_adapter(FILE_FLAG_OVERLAPPED);
    OVERLAPPED wait = {.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL)};
    struct wyrm_ioctl_log_entry entry;
    uint32_t verb = WYRM_ADAPTER_QUERY, state;
    DWORD bytes;

    check(adapter != INVALID_HANDLE_VALUE, "a second, asynchronous handle");
    check(drain(adapter, &entry, &wait) > 0, "LOG has lines");
    check(control(other, WYRM_IOCTL_STATE, &verb, 4, &state, 4, &bytes),
          "a waiting LOG holds up nobody else");
    verb = WYRM_ADAPTER_UP;
    control(other, WYRM_IOCTL_STATE, &verb, 4, NULL, 0, &bytes);
    check(WaitForSingleObject(wait.hEvent, WAIT_MILLISECONDS) == WAIT_OBJECT_0 &&
              GetOverlappedResult(adapter, &wait, &bytes, FALSE) && bytes == sizeof(entry) && entry.text[0],
          "a waiting LOG gets the next line");
    verb = WYRM_ADAPTER_DOWN;
    control(other, WYRM_IOCTL_STATE, &verb, 4, NULL, 0, &bytes);

    drain(adapter, &entry, &wait);
    check(CancelIoEx(adapter, &wait), "CancelIoEx");
    check(WaitForSingleObject(wait.hEvent, WAIT_MILLISECONDS) == WAIT_OBJECT_0 &&
              !GetOverlappedResult(adapter, &wait, &bytes, FALSE) &&
              GetLastError() == ERROR_OPERATION_ABORTED,
          "a cancelled LOG: ERROR_OPERATION_ABORTED");
    ResetEvent(wait.hEvent);
    DeviceIoControl(adapter, WYRM_IOCTL_LOG, NULL, 0, &entry, sizeof(entry), NULL, &wait);
    check(CloseHandle(adapter), "closing with a waiting LOG");
    CloseHandle(wait.hEvent);
}

struct reader {
    HANDLE adapter;
    DWORD error;
};

static DWORD WINAPI read_log(void *context)
{
    struct reader *reader = context;
    struct wyrm_ioctl_log_entry entry;
    DWORD bytes;

    while (control(reader->adapter, WYRM_IOCTL_LOG, NULL, 0, &entry, sizeof(entry), &bytes)) {
    }
    reader->error = GetLastError();
    return 0;
}

/* What a logger thread does: blocks in DeviceIoControl until another thread cancels it. */
static void check_synchronous_cancel(void)
{
    struct reader reader = {.adapter = open_adapter(0)};
    HANDLE thread = CreateThread(NULL, 0, read_log, &reader, 0, NULL);
    DWORD waited = WAIT_TIMEOUT;

    for (int i = 0; i < 100 && waited == WAIT_TIMEOUT; i++) {
        waited = WaitForSingleObject(thread, 100);
        if (waited == WAIT_TIMEOUT) {
            CancelSynchronousIo(thread);
        }
    }
    check(waited == WAIT_OBJECT_0 && reader.error == ERROR_OPERATION_ABORTED,
          "CancelSynchronousIo ends a blocked reader (%lu)", reader.error);
    CloseHandle(thread);
    CloseHandle(reader.adapter);
}

static void check_token(const char *socket)
{
    const struct proxy_token user = {0, 0, 0, 0, 0x2000};
    HANDLE adapter;
    uint8_t buffer[BYTES];
    DWORD bytes;

    check(bridge_tell(PROXY_IOCTL_ADD, LINK, socket, &user), "the next handle is an ordinary user's");
    adapter = open_adapter(0);
    check(adapter != INVALID_HANDLE_VALUE &&
              !control(adapter, WYRM_IOCTL_GET, NULL, 0, buffer, sizeof(buffer), &bytes) &&
              GetLastError() == ERROR_ACCESS_DENIED,
          "GET of an ordinary user: ERROR_ACCESS_DENIED");
    CloseHandle(adapter);
    bridge_tell(PROXY_IOCTL_ADD, LINK, socket, NULL);
}

/* Another process with a file and a waiting LOG is killed; the adapter serves on. */
static void check_death(void)
{
    wchar_t image[MAX_PATH], command[MAX_PATH + 16];
    STARTUPINFOW startup = {.cb = sizeof(startup)};
    PROCESS_INFORMATION process;
    HANDLE ready = CreateEventW(NULL, TRUE, FALSE, L"wyrm-bridge-holding"), adapter;
    uint32_t verb = WYRM_ADAPTER_QUERY, state;
    DWORD bytes;

    GetModuleFileNameW(NULL, image, MAX_PATH);
    swprintf(command, MAX_PATH + 16, L"\"%ls\" --hold", image);
    if (!check(CreateProcessW(image, command, NULL, NULL, FALSE, 0, NULL, NULL, &startup, &process),
               "a second process")) {
        return;
    }
    check(WaitForSingleObject(ready, WAIT_MILLISECONDS) == WAIT_OBJECT_0, "it waits for a log line");
    Sleep(100);
    check(TerminateProcess(process.hProcess, 9) &&
              WaitForSingleObject(process.hProcess, WAIT_MILLISECONDS) == WAIT_OBJECT_0,
          "it is killed");
    CloseHandle(process.hProcess);
    CloseHandle(process.hThread);
    CloseHandle(ready);
    adapter = open_adapter(0);
    check(adapter != INVALID_HANDLE_VALUE && control(adapter, WYRM_IOCTL_STATE, &verb, 4, &state, 4, &bytes),
          "the adapter serves on");
    CloseHandle(adapter);
}

static int hold(void)
{
    HANDLE adapter = open_adapter(0), ready = OpenEventW(EVENT_MODIFY_STATE, FALSE, L"wyrm-bridge-holding");
    struct reader reader = {.adapter = adapter};

    SetEvent(ready);
    read_log(&reader);
    return 1;
}

int main(int argc, char **argv)
{
    HANDLE adapter;

    if (argc == 2 && strcmp(argv[1], "--hold") == 0) {
        return hold();
    }
    if (argc != 2 || !check(bridge_start_driver(), "the proxy driver runs") ||
        !check(bridge_tell(PROXY_IOCTL_ADD, LINK, argv[1], NULL), "the proxy driver knows the adapter")) {
        check(argc == 2, "one argument, the raw control socket");
        return report();
    }
    adapter = open_adapter(0);
    if (check(adapter != INVALID_HANDLE_VALUE, "the device interface opens")) {
        check_configuration(adapter);
        check_state(adapter);
        check_log(adapter);
        check_synchronous_cancel();
        check_token(argv[1]);
        check_death();
        CloseHandle(adapter);
    }
    check(bridge_tell(PROXY_IOCTL_REMOVE, LINK, NULL, NULL), "the adapter is taken away");
    check(open_adapter(0) == INVALID_HANDLE_VALUE && GetLastError() == ERROR_FILE_NOT_FOUND,
          "then there is none");
    return report();
}
