/* wyrm.dll with adapters that work:
 *   bridge_dll.exe                  the functions and their errors
 *   bridge_dll.exe --faults         what the system can refuse (takes half a minute: two of them are waited
 * for) bridge_dll.exe --cycles N NAME  creates and closes an adapter N times; several may run at once
 *   bridge_dll.exe --hold           creates an adapter, follows its log and waits to be killed
 *   bridge_dll.exe --tunnel CONFIG STOP  creates an adapter with a configuration (the bytes of the file), up,
 * until the file STOP exists */
#include "lib/report.h"
#include "lib/wyrm_dll.h"

/* Needs windows.h before it. */
#include <psapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum { WAIT_MS = 30000, BUFFER_BYTES = 4096, PORT = 47211, IF_TYPE = 53 };

static const GUID first_guid = {0x11f2c8a0, 0x30b1, 0x4c61, {0x9d, 0x0a, 0x51, 0x6f, 0x25, 0x7b, 0x01, 0x01}};
static const GUID held_guid = {0x11f2c8a0, 0x30b1, 0x4c61, {0x9d, 0x0a, 0x51, 0x6f, 0x25, 0x7b, 0x01, 0x02}};

static struct wyrm_dll dll;
static LONG lines, errors, prefixed, installed, replaced;

static VOID CALLBACK logger(WIREGUARD_LOGGER_LEVEL level, DWORD64 timestamp, LPCWSTR message)
{
    const wchar_t *rest = message;

    InterlockedIncrement(&lines);
    if (level == WIREGUARD_LOG_ERR) {
        InterlockedIncrement(&errors);
    }
    installed += wcscmp(message, L"Installing the driver") == 0;
    replaced += wcscmp(message, L"Replacing the driver by a newer one") == 0;
    while (*rest >= L'0' && *rest <= L'9') {
        rest++;
    }
    if (rest > message && wcsncmp(rest, L": ", 2) == 0) {
        InterlockedIncrement(&prefixed);
    }
    printf("  log %d: %ls\n", (int)level, message);
    if (timestamp < 130000000000000000ull) { /* the year 2012 */
        check(false, "a line has its time");
    }
}

static bool wait_for_more(const LONG *counter, LONG than)
{
    for (int i = 0; i < WAIT_MS / 50 && *counter <= than; i++) {
        Sleep(50);
    }
    return *counter > than;
}

static DWORD write_config(BYTE *buffer, DWORD bytes)
{
    wyrm_writer writer;
    WIREGUARD_INTERFACE *head = wyrm_write_begin(&writer, buffer, bytes);
    WIREGUARD_PEER *peer = wyrm_write_peer(&writer);
    WIREGUARD_ALLOWED_IP *allowed = wyrm_write_allowed_ip(&writer);

    head->Flags = WIREGUARD_INTERFACE_HAS_PRIVATE_KEY | WIREGUARD_INTERFACE_HAS_LISTEN_PORT |
                  WIREGUARD_INTERFACE_REPLACE_PEERS;
    head->ListenPort = PORT;
    memset(head->PrivateKey, 0x48, sizeof(head->PrivateKey));
    peer->Flags = WIREGUARD_PEER_HAS_PUBLIC_KEY | WIREGUARD_PEER_HAS_PERSISTENT_KEEPALIVE;
    memset(peer->PublicKey, 0x09, sizeof(peer->PublicKey));
    peer->PersistentKeepalive = 25;
    allowed->AddressFamily = AF_INET;
    allowed->Cidr = 24;
    memcpy(&allowed->Address.V4, "\x0a\x01\x02", 3);
    return (DWORD)writer.used;
}

static void check_configuration(WIREGUARD_ADAPTER_HANDLE adapter)
{
    static WYRM_ABI_ALIGN BYTE config[BUFFER_BYTES], result[BUFFER_BYTES];
    const WIREGUARD_INTERFACE *head = (void *)result;
    const WIREGUARD_PEER *peer;
    wyrm_reader reader;
    DWORD size = write_config(config, sizeof(config)), bytes = sizeof(result);
    WIREGUARD_INTERFACE *changed = (void *)config;

    check(dll.set(adapter, (void *)config, size), "WireGuardSetConfiguration");
    check(dll.get(adapter, (void *)result, &bytes) && bytes == size, "WireGuardGetConfiguration (%lu bytes)",
          bytes);
    wyrm_read_begin(&reader, result, bytes);
    peer = wyrm_read_peer(&reader);
    check(head->ListenPort == PORT && (head->Flags & WIREGUARD_INTERFACE_HAS_PUBLIC_KEY) && peer &&
              peer->PublicKey[9] == 0x09 && peer->PersistentKeepalive == 25 &&
              wyrm_read_allowed_ip(&reader)->Cidr == 24,
          "the configuration as it was set");
    bytes = sizeof(*head);
    check(!dll.get(adapter, (void *)result, &bytes) && GetLastError() == ERROR_MORE_DATA && bytes == size,
          "too small a buffer: ERROR_MORE_DATA, %lu bytes", bytes);
    bytes = 0;
    check(!dll.get(adapter, NULL, &bytes) && GetLastError() == ERROR_MORE_DATA && bytes == size,
          "no buffer: the same");
    check(!dll.get(adapter, (void *)result, NULL) && GetLastError() == ERROR_INVALID_PARAMETER, "no length");
    check(!dll.set(adapter, NULL, 0) && GetLastError() == ERROR_INVALID_PARAMETER, "set nothing");
    check(!dll.set(adapter, (void *)config, size - 1) && GetLastError() == ERROR_INVALID_PARAMETER,
          "set too little");
    changed->ListenPort = PORT + 1;
    changed->PeersCount = 2;
    check(!dll.set_atomically(adapter, (void *)config, size) && GetLastError() == ERROR_INVALID_PARAMETER,
          "all or nothing: a wrong buffer");
    bytes = sizeof(result);
    check(dll.get(adapter, (void *)result, &bytes) && head->ListenPort == PORT, "and nothing has changed");
    changed->PeersCount = 1;
    check(dll.set_atomically(adapter, (void *)config, size), "all or nothing: a right one");
    bytes = sizeof(result);
    check(dll.get(adapter, (void *)result, &bytes) && head->ListenPort == PORT + 1, "and all has changed");
}

static void check_state(WIREGUARD_ADAPTER_HANDLE adapter)
{
    WIREGUARD_ADAPTER_STATE state = 7;

    check(dll.get_state(adapter, &state) && state == WIREGUARD_ADAPTER_STATE_DOWN, "down at first");
    check(dll.set_state(adapter, WIREGUARD_ADAPTER_STATE_UP), "WireGuardSetAdapterState: up");
    check(dll.set_state(adapter, WIREGUARD_ADAPTER_STATE_UP), "up again");
    check(dll.get_state(adapter, &state) && state == WIREGUARD_ADAPTER_STATE_UP,
          "WireGuardGetAdapterState: up");
    check(dll.set_state(adapter, WIREGUARD_ADAPTER_STATE_DOWN), "down");
    check(!dll.set_state(adapter, 2) && GetLastError() == ERROR_INVALID_PARAMETER, "no such state");
}

static void check_logging(WIREGUARD_ADAPTER_HANDLE adapter)
{
    LONG before;

    check(!dll.set_logging(adapter, 3) && GetLastError() == ERROR_INVALID_PARAMETER,
          "no such state of logging");
    check(dll.set_logging(adapter, WIREGUARD_ADAPTER_LOG_ON_WITH_PREFIX), "WireGuardSetAdapterLogging");
    before = prefixed;
    dll.set_state(adapter, WIREGUARD_ADAPTER_STATE_UP);
    check(wait_for_more(&prefixed, before), "the driver's lines come, with their prefix");
    check(dll.set_logging(adapter, WIREGUARD_ADAPTER_LOG_OFF), "logging off");
    before = lines;
    dll.set_state(adapter, WIREGUARD_ADAPTER_STATE_DOWN);
    Sleep(300);
    check(lines == before, "no line after it");
    check(dll.set_logging(adapter, WIREGUARD_ADAPTER_LOG_ON) && wait_for_more(&lines, before),
          "on again: lines again");
}

static DWORD64 drop_count(const WYRM_DROP_COUNTER *counters, DWORD count, const char *name)
{
    for (DWORD i = 0; i < count; i++) {
        if (strcmp(counters[i].Name, name) == 0) {
            return counters[i].Value;
        }
    }
    return UINT64_MAX;
}

static void check_drops(WIREGUARD_ADAPTER_HANDLE adapter)
{
    WYRM_DROP_COUNTER counters[64] = {0};
    DWORD count = 0, needed;

    check(!dll.drops(adapter, NULL, &count) && GetLastError() == ERROR_MORE_DATA && count == 36,
          "drop counters: there are %lu", count);
    needed = count--;
    check(!dll.drops(adapter, counters, &count) && GetLastError() == ERROR_MORE_DATA && count == needed &&
              counters[0].Name[0] == 0,
          "too few: ERROR_MORE_DATA and nothing written");
    count = sizeof(counters) / sizeof(counters[0]);
    check(dll.drops(adapter, counters, &count) && count == needed &&
              drop_count(counters, count, "tx-no-peer") == 0 &&
              drop_count(counters, count, "hs-memory") == 0 && counters[count].Name[0] == 0,
          "WyrmGetDropCounters");
    check(!dll.drops(adapter, NULL, NULL) && GetLastError() == ERROR_INVALID_PARAMETER, "no count");
}

struct waiting_reader {
    WYRM_EVENTS_HANDLE events;
    DWORD error;
};

static DWORD WINAPI wait_for_event(void *parameter)
{
    struct waiting_reader *reader = parameter;
    WYRM_EVENT event;
    DWORD count = 1;

    reader->error =
        dll.read_events(reader->events, &event, &count, NULL, INFINITE) ? ERROR_SUCCESS : GetLastError();
    return 0;
}

static bool is_state(const WYRM_EVENT *event, DWORD state)
{
    return event->Kind == WYRM_EVENT_KIND_ADAPTER_STATE && event->Value == state &&
           event->Timestamp > 130000000000000000ull;
}

/* The adapter is down before and after. */
static void check_events(WIREGUARD_ADAPTER_HANDLE adapter)
{
    WYRM_EVENT events[4] = {0};
    DWORD count = 4;
    DWORD64 lost = 7;
    struct waiting_reader waiting;
    WYRM_EVENTS_HANDLE now = dll.open_events(adapter, WYRM_EVENTS_AFTER_NOW), later;
    HANDLE thread;

    if (!check(now != NULL, "WyrmOpenEvents")) {
        return;
    }
    check(!dll.read_events(now, events, &count, &lost, 50) && GetLastError() == WAIT_TIMEOUT && count == 0,
          "nothing has happened yet: WAIT_TIMEOUT");
    dll.set_state(adapter, WIREGUARD_ADAPTER_STATE_UP);
    dll.set_state(adapter, WIREGUARD_ADAPTER_STATE_DOWN);
    count = 1;
    check(dll.read_events(now, events, &count, &lost, WAIT_MS) && count == 1 && lost == 0 &&
              is_state(&events[0], WIREGUARD_ADAPTER_STATE_UP),
          "WyrmReadEvents: up");
    count = 4;
    check(dll.read_events(now, events + 1, &count, &lost, WAIT_MS) && count == 1 &&
              is_state(&events[1], WIREGUARD_ADAPTER_STATE_DOWN) &&
              events[1].Sequence == events[0].Sequence + 1,
          "and down");
    later = dll.open_events(adapter, events[0].Sequence);
    count = 4;
    check(later && dll.read_events(later, events + 2, &count, NULL, 0) && count == 1 &&
              events[2].Sequence == events[1].Sequence,
          "another reader has the same event after the first");
    count = 0;
    check(!dll.read_events(later, events, &count, NULL, 0) && GetLastError() == ERROR_INVALID_PARAMETER,
          "no room for an event");
    check(!dll.open_events(adapter, 1000000) && GetLastError() == ERROR_INVALID_PARAMETER,
          "after one that has not happened");

    waiting.events = later;
    thread = CreateThread(NULL, 0, wait_for_event, &waiting, 0, NULL);
    Sleep(200);
    dll.close_events(later);
    check(WaitForSingleObject(thread, WAIT_MS) == WAIT_OBJECT_0 && waiting.error == ERROR_OPERATION_ABORTED,
          "WyrmCloseEvents ends a wait (error %lu)", waiting.error);
    CloseHandle(thread);
    dll.close_events(now);
    dll.close_events(NULL);
}

struct census {
    const GUID *guid;
    int all, present, of_guid;
};

static BOOL CALLBACK count_adapter(const WYRM_ADAPTER_INFORMATION *information, void *context)
{
    struct census *census = context;

    census->all++;
    census->present += information->Present;
    if (information->Present && memcmp(&information->Guid, census->guid, sizeof(GUID)) == 0) {
        census->of_guid++;
        check(census->guid != &first_guid ||
                  (information->Started && wcscmp(information->Name, L"Bridge one") == 0 &&
                   wcscmp(information->Type, L"Bridge Tunnel") == 0),
              "enumeration: name and type (%ls, %ls, %d)", information->Name, information->Type,
              information->Started);
    }
    return TRUE;
}

static struct census count_adapters(const GUID *guid)
{
    struct census census = {.guid = guid};

    check(dll.enumerate(count_adapter, &census), "WyrmEnumerateAdapters");
    return census;
}

static void check_adapter(void)
{
    WIREGUARD_ADAPTER_HANDLE adapter, other;
    WIREGUARD_ADAPTER_STATE state;
    NET_LUID luid = {0}, second = {0};
    DWORD version;

    check(!dll.version() && GetLastError() == ERROR_FILE_NOT_FOUND, "no driver runs at first");
    adapter = dll.create(L"Bridge one", L"Bridge", &first_guid);
    if (!check(adapter != NULL, "WireGuardCreateAdapter")) {
        return;
    }
    version = dll.version();
    check(version != 0, "WireGuardGetRunningDriverVersion: %lu.%lu", version >> 16, version & 0xffff);
    dll.luid(adapter, &luid);
    check(luid.Info.IfType == IF_TYPE && luid.Info.NetLuidIndex != 0, "WireGuardGetAdapterLUID");
    check(count_adapters(&first_guid).of_guid == 1, "it is enumerated");
    check_state(adapter);
    check_configuration(adapter);
    check_logging(adapter);
    dll.set_logging(adapter, WIREGUARD_ADAPTER_LOG_OFF);
    dll.set_state(adapter, WIREGUARD_ADAPTER_STATE_DOWN);
    check_events(adapter);
    check_drops(adapter);

    other = dll.open(L"bridge ONE");
    check(other != NULL, "WireGuardOpenAdapter, in other letters");
    dll.luid(other, &second);
    check(second.Value == luid.Value && dll.get_state(other, &state), "is the same adapter");
    check(!dll.create(L"Bridge two", L"Bridge", &first_guid) && GetLastError() == ERROR_ALREADY_EXISTS,
          "the same GUID again: ERROR_ALREADY_EXISTS");
    check(!dll.open(L"Bridge two") && GetLastError() == ERROR_NOT_FOUND,
          "no adapter of this name: ERROR_NOT_FOUND");
    dll.close(adapter);
    check(!dll.get_state(other, &state), "after its creator closed it, it is gone (error %lu)",
          GetLastError());
    dll.close(other);
    check(!dll.open(L"Bridge one") && GetLastError() == ERROR_NOT_FOUND, "and not found");
    check(count_adapters(&first_guid).present == 0, "nor present");
    adapter = dll.create(L"Bridge one", L"Bridge", NULL);
    check(adapter != NULL, "without GUID");
    dll.close(adapter);
}

/* Another process is killed while its adapter exists; what it left behind is repaired. */
static void check_death(void)
{
    wchar_t image[MAX_PATH], command[MAX_PATH + 16];
    STARTUPINFOW startup = {.cb = sizeof(startup)};
    PROCESS_INFORMATION process;
    HANDLE ready = CreateEventW(NULL, TRUE, FALSE, L"wyrm-bridge-dll");
    WIREGUARD_ADAPTER_HANDLE adapter;

    GetModuleFileNameW(NULL, image, MAX_PATH);
    swprintf(command, ARRAYSIZE(command), L"\"%ls\" --hold", image);
    if (!check(CreateProcessW(image, command, NULL, NULL, FALSE, 0, NULL, NULL, &startup, &process),
               "a second process")) {
        return;
    }
    check(WaitForSingleObject(ready, WAIT_MS) == WAIT_OBJECT_0, "it has an adapter");
    adapter = dll.open(L"Bridge held");
    check(adapter != NULL, "which this process opens");
    dll.close(adapter);
    check(!dll.create(L"Bridge one", L"Bridge", &held_guid) && GetLastError() == ERROR_ALREADY_EXISTS,
          "but cannot create: a living process has it");
    TerminateProcess(process.hProcess, 9);
    WaitForSingleObject(process.hProcess, WAIT_MS);
    CloseHandle(process.hProcess);
    CloseHandle(process.hThread);
    CloseHandle(ready);
    for (int i = 0; i < WAIT_MS / 100 && count_adapters(&held_guid).of_guid; i++) {
        Sleep(100); /* PnP takes a moment, too */
    }
    adapter = dll.create(L"Bridge one", L"Bridge", &held_guid);
    check(adapter != NULL, "when it is killed the adapter can be made again");
    dll.close(adapter);
}

static WIREGUARD_ADAPTER_HANDLE create_with(const wchar_t *faults)
{
    WIREGUARD_ADAPTER_HANDLE adapter;
    DWORD error;

    SetEnvironmentVariableW(L"WYRM_BRIDGE_FAIL", faults);
    adapter = dll.create(L"Bridge faults", L"Bridge", NULL);
    error = GetLastError();
    SetEnvironmentVariableW(L"WYRM_BRIDGE_FAIL", NULL);
    SetLastError(error);
    return adapter;
}

static void check_faults(void)
{
    static const struct {
        const wchar_t *faults;
        DWORD error;
        const char *text;
    } cases[] = {
        {L"create=80070005", ERROR_ACCESS_DENIED, "SwDeviceCreate is refused"},
        {L"create=8000ffff", 0x8000ffff, "SwDeviceCreate fails with no Win32 code"},
        {L"result=80070643", ERROR_INSTALL_FAILURE, "the device cannot be installed"},
        {L"problem=34", (DWORD)TRUST_E_NOSIGNATURE, "a problem: the signature"},
        {L"problem=e", ERROR_SUCCESS_REBOOT_REQUIRED, "a problem: a restart is needed"},
        {L"problem=a", ERROR_GEN_FAILURE, "a problem: the driver does not start"},
        {L"problem=1c", ERROR_DEVICE_NOT_AVAILABLE, "a problem: no driver"},
        {L"nointerface", ERROR_DEVICE_NOT_AVAILABLE, "no interface in time"},
        {L"silent", ERROR_TIMEOUT, "no callback in time"},
    };
    LONG before = errors;

    for (size_t i = 0; i < ARRAYSIZE(cases); i++) {
        WIREGUARD_ADAPTER_HANDLE adapter = create_with(cases[i].faults);
        check(!adapter && GetLastError() == cases[i].error, "%s: error %lu", cases[i].text, GetLastError());
        dll.close(adapter);
    }
    check(errors - before >= (LONG)ARRAYSIZE(cases), "each is logged");
    check(count_adapters(&first_guid).present == 0, "nothing is left of them");
}

static void check_driver(const char *what)
{
    WIREGUARD_ADAPTER_HANDLE adapter;
    LONG installed_before = installed, replaced_before = replaced;

    adapter = dll.create(L"Bridge one", L"Bridge", NULL);
    check(adapter != NULL, "the driver is %s", what);
    check(installed - installed_before == (strcmp(what, "installed") == 0), "installed: %ld",
          installed - installed_before);
    check(replaced - replaced_before == (strcmp(what, "replaced") == 0), "replaced: %ld",
          replaced - replaced_before);
    dll.close(adapter);
}

static void check_delete_driver(void)
{
    WIREGUARD_ADAPTER_HANDLE adapter = dll.create(L"Bridge one", L"Bridge", NULL);

    check(adapter && !dll.delete_driver(), "WireGuardDeleteDriver with an adapter: error %lu",
          GetLastError());
    dll.close(adapter);
    check(dll.delete_driver(), "WireGuardDeleteDriver without one");
    check(dll.delete_driver(), "and once more, though there is nothing to delete");
}

/* Wine does not count handles, but gives the lowest free one. */
static DWORD lowest_free_handle(void)
{
    HANDLE handle = CreateEventW(NULL, FALSE, FALSE, NULL);

    CloseHandle(handle);
    return (DWORD)(ULONG_PTR)handle / 4;
}

static SIZE_T private_bytes(void)
{
    PROCESS_MEMORY_COUNTERS counters = {.cb = sizeof(counters)};

    K32GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof(counters));
    return counters.PagefileUsage;
}

static void cycles(int count, const wchar_t *name)
{
    enum { WARM_UP = 10, SLACK_BYTES = 1 << 20 };
    DWORD handles = 0, failed = 0;
    SIZE_T bytes = 0;
    int left;

    for (int i = 0; i < WARM_UP + count; i++) {
        WIREGUARD_ADAPTER_HANDLE adapter = dll.create(name, L"Bridge", NULL);
        WIREGUARD_ADAPTER_STATE state;
        if (!adapter || !dll.get_state(adapter, &state)) {
            failed++;
            check(failed > 3, "cycle %d", i);
        }
        dll.close(adapter);
        if (i == WARM_UP) {
            Sleep(500); /* the thread that looks for orphans */
            handles = lowest_free_handle();
            bytes = private_bytes();
        }
    }
    Sleep(500);
    left = count_adapters(&first_guid).all;
    check(!failed, "%d adapters created and closed", count);
    check(left <= 4, "nothing piles up beside another busy process: %d devices are remembered", left);
    /* Wine 8 loses one itself: the key of SetupDiCreateDeviceInfoW with DICD_GENERATE_ID.  What we
     * lost in each cycle would come on top. */
    check(lowest_free_handle() <= handles + (DWORD)(count + count / 10 + 16),
          "no handle is lost: %lu, then %lu", handles, lowest_free_handle());
    check(private_bytes() <= bytes + SLACK_BYTES, "no memory is lost: %zu KB, then %zu", bytes >> 10,
          private_bytes() >> 10);
}

static int hold(void)
{
    HANDLE ready = OpenEventW(EVENT_MODIFY_STATE, FALSE, L"wyrm-bridge-dll");
    WIREGUARD_ADAPTER_HANDLE adapter = dll.create(L"Bridge held", L"Bridge", &held_guid);

    if (adapter && dll.set_logging(adapter, WIREGUARD_ADAPTER_LOG_ON)) {
        SetEvent(ready);
        Sleep(WAIT_MS);
    }
    return 1;
}

static void tunnel(const wchar_t *config_path, const wchar_t *stop_path)
{
    static WYRM_ABI_ALIGN BYTE config[BUFFER_BYTES];
    HANDLE file = CreateFileW(config_path, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    WIREGUARD_ADAPTER_HANDLE adapter;
    const WIREGUARD_PEER *peer;
    wyrm_reader reader;
    DWORD bytes = 0;

    check(ReadFile(file, config, sizeof(config), &bytes, NULL) && bytes, "the configuration is read");
    CloseHandle(file);
    adapter = dll.create(L"Bridge tunnel", L"Bridge", &first_guid);
    if (!check(adapter && dll.set_logging(adapter, WIREGUARD_ADAPTER_LOG_ON) &&
                   dll.set(adapter, (void *)config, bytes) &&
                   dll.set_state(adapter, WIREGUARD_ADAPTER_STATE_UP),
               "the tunnel is up")) {
        return;
    }
    for (int i = 0; i < 4 * WAIT_MS / 100 && GetFileAttributesW(stop_path) == INVALID_FILE_ATTRIBUTES; i++) {
        Sleep(100);
    }
    bytes = sizeof(config);
    check(dll.get(adapter, (void *)config, &bytes), "the counters");
    wyrm_read_begin(&reader, config, bytes);
    peer = wyrm_read_peer(&reader);
    check(peer && peer->TxBytes > 1000000 && peer->RxBytes > 1000000 && peer->LastHandshake,
          "there was traffic both ways: %llu and %llu bytes", peer ? peer->TxBytes : 0,
          peer ? peer->RxBytes : 0);
    dll.close(adapter);
}

int main(int argc, char **argv)
{
    if (!wyrm_dll_load(&dll)) {
        return report();
    }
    dll.set_logger(logger);
    if (argc == 2 && strcmp(argv[1], "--hold") == 0) {
        return hold();
    }
    if (argc == 4 && strcmp(argv[1], "--tunnel") == 0) {
        wchar_t config[MAX_PATH], stop[MAX_PATH];
        MultiByteToWideChar(CP_UTF8, 0, argv[2], -1, config, MAX_PATH);
        MultiByteToWideChar(CP_UTF8, 0, argv[3], -1, stop, MAX_PATH);
        tunnel(config, stop);
    } else if (argc == 4 && strcmp(argv[1], "--cycles") == 0) {
        wchar_t name[64];
        dll.set_logger(NULL);
        swprintf(name, ARRAYSIZE(name), L"%hs", argv[3]);
        cycles(atoi(argv[2]), name);
    } else if (argc == 3 && strcmp(argv[1], "--driver") == 0) {
        check_driver(argv[2]);
    } else if (argc == 2 && strcmp(argv[1], "--faults") == 0) {
        check_faults();
    } else {
        check_adapter();
        check_death();
        check_driver("kept");
        check_delete_driver();
        check_driver("installed");
    }
    dll.set_logger(NULL);
    check(wyrm_dll_unload(&dll), "the DLL unloads");
    return report();
}
