/* The native cfgmgr32.dll: software devices as documented, found by SetupAPI, with the real driver behind
 * their interface. bridge_device.exe          the checks bridge_device.exe --hold   makes a device and waits
 * to be killed */
#include "lib/report.h"
#include "lib/swdevice.h"

#include <wyrm/control.h>

#include <setupapi.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>
/* Needs the types of setupapi.h. */
#include <cfgmgr32.h>

#define GUID_TEXT  L"{0f3c2a9e-5a55-4a51-9a0c-6d1a2b7f0c01}"
#define HELD_TEXT  L"{0f3c2a9e-5a55-4a51-9a0c-6d1a2b7f0c02}"
#define ENUMERATOR L"WyrmTest"

enum { WAIT_MILLISECONDS = 30000, PROBLEM = 0x1c };

static const GUID class_net = {0x4d36e972, 0xe325, 0x11ce, {0xbf, 0xc1, 0x08, 0x00, 0x2b, 0xe1, 0x03, 0x18}};
static const GUID interface_net = {
    0xcac88484, 0x7515, 0x4c03, {0x82, 0xe6, 0x71, 0xa8, 0x7a, 0xba, 0xc3, 0x61}};
static const DEVPROPKEY name_key = {
    {0x65726957, 0x7547, 0x7261, {0x64, 0x4e, 0x61, 0x6d, 0x65, 0x4b, 0x65, 0x79}}, 3};

/* Loaded as the DLL does it, so that the test starts without the stand-in and says so. */
static HRESULT(WINAPI *create_device)(PCWSTR, PCWSTR, const SW_DEVICE_CREATE_INFO *, ULONG,
                                      const SW_PROPERTY *, SW_DEVICE_CREATE_CALLBACK, void *, HSWDEVICE *);
static void(WINAPI *close_device)(HSWDEVICE);
static CONFIGRET(WINAPI *node_status)(ULONG *, ULONG *, DEVINST, ULONG);

struct result {
    HANDLE event;
    HRESULT result;
    wchar_t instance[200];
};

static void WINAPI created(HSWDEVICE device, HRESULT result, void *context, PCWSTR instance)
{
    struct result *answer = context;

    (void)device;
    answer->result = result;
    wcscpy(answer->instance, instance);
    SetEvent(answer->event);
}

/* The HRESULT of the call or of the callback; E_PENDING: the callback was not called. */
static HRESULT create(const wchar_t *guid, const wchar_t *hardware_id, HSWDEVICE *device, wchar_t *instance)
{
    wchar_t name[] = L"Bridge one";
    SW_PROPERTY property = {{name_key, 0, NULL}, DEVPROP_TYPE_STRING, sizeof(name), name};
    SW_DEVICE_CREATE_INFO info = {.cbSize = sizeof(info),
                                  .pszInstanceId = guid,
                                  .pszzHardwareIds = hardware_id,
                                  .CapabilityFlags = SWDeviceCapabilitiesSilentInstall,
                                  .pszDeviceDescription = L"Bridge Tunnel"};
    struct result answer = {.event = CreateEventW(NULL, TRUE, FALSE, NULL), .result = E_PENDING};
    HRESULT result;

    *device = NULL;
    result = create_device(ENUMERATOR, L"HTREE\\ROOT\\0", &info, 1, &property, created, &answer, device);
    if (SUCCEEDED(result)) {
        WaitForSingleObject(answer.event, WAIT_MILLISECONDS / 30);
        result = answer.result;
    }
    if (instance) {
        wcscpy(instance, answer.instance);
    }
    CloseHandle(answer.event);
    return result;
}

/* Whether SetupAPI lists the device; status and problem of its node, or the CONFIGRET as problem with status
 * 0. */
static bool listed(const wchar_t *guid, ULONG *status, ULONG *problem, wchar_t *name)
{
    HDEVINFO set = SetupDiGetClassDevsW(&class_net, L"SWD\\" ENUMERATOR, NULL, 0);
    SP_DEVINFO_DATA data = {.cbSize = sizeof(data)};
    bool found = false;

    for (DWORD i = 0; !found && SetupDiEnumDeviceInfo(set, i, &data); i++) {
        wchar_t instance[200];
        DEVPROPTYPE type;
        CONFIGRET result;
        found = SetupDiGetDeviceInstanceIdW(set, &data, instance, ARRAYSIZE(instance), NULL) &&
                _wcsicmp(wcsrchr(instance, L'\\') + 1, guid) == 0;
        if (!found) {
            continue;
        }
        if (name && !SetupDiGetDevicePropertyW(set, &data, &name_key, &type, (BYTE *)name, 100, NULL, 0)) {
            *name = 0;
        }
        if (status) {
            result = node_status(status, problem, data.DevInst, 0);
            if (result != CR_SUCCESS) {
                *status = 0;
                *problem = result;
            }
        }
    }
    SetupDiDestroyDeviceInfoList(set);
    return found;
}

static bool interface_path(const wchar_t *guid, wchar_t *path, DWORD units)
{
    wchar_t instance[200];
    HDEVINFO set;
    SP_DEVICE_INTERFACE_DATA data = {.cbSize = sizeof(data)};
    union {
        SP_DEVICE_INTERFACE_DETAIL_DATA_W detail;
        BYTE bytes[1024];
    } buffer = {.detail = {.cbSize = sizeof(SP_DEVICE_INTERFACE_DETAIL_DATA_W)}};
    bool good;

    swprintf(instance, ARRAYSIZE(instance), L"SWD\\" ENUMERATOR L"\\%ls", guid);
    set = SetupDiGetClassDevsW(&interface_net, instance, NULL, DIGCF_DEVICEINTERFACE | DIGCF_PRESENT);
    good = SetupDiEnumDeviceInterfaces(set, NULL, &interface_net, 0, &data) && (data.Flags & SPINT_ACTIVE) &&
           SetupDiGetDeviceInterfaceDetailW(set, &data, &buffer.detail, sizeof(buffer), NULL, NULL);
    if (good) {
        swprintf(path, units, L"%ls", buffer.detail.DevicePath);
    }
    SetupDiDestroyDeviceInfoList(set);
    return good;
}

static bool query_state(const wchar_t *path, uint32_t *state)
{
    HANDLE adapter = CreateFileW(path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
                                 OPEN_EXISTING, 0, NULL);
    uint32_t verb = WYRM_ADAPTER_QUERY;
    DWORD bytes, error;
    bool good;

    good = adapter != INVALID_HANDLE_VALUE && DeviceIoControl(adapter, WYRM_IOCTL_STATE, &verb, sizeof(verb),
                                                              state, sizeof(*state), &bytes, NULL);
    error = GetLastError();
    if (adapter != INVALID_HANDLE_VALUE) {
        CloseHandle(adapter);
    }
    SetLastError(error);
    return good;
}

static void check_device(void)
{
    HSWDEVICE device, second;
    wchar_t instance[200], path[400], name[100];
    ULONG status = 0, problem = 0;
    uint32_t state = 77;
    HRESULT result = create(GUID_TEXT, L"Wyrm\0", &device, instance);

    check(result == S_OK, "SwDeviceCreate (%08lx)", result);
    check(_wcsicmp(instance, L"SWD\\" ENUMERATOR L"\\" GUID_TEXT) == 0, "the instance's name");
    check(listed(GUID_TEXT, &status, &problem, name), "SetupAPI lists the device");
    check((status & DN_STARTED) && !problem, "its node is started (%lx, %lx)", status, problem);
    check(wcscmp(name, L"Bridge one") == 0, "its property was set");
    check(interface_path(GUID_TEXT, path, ARRAYSIZE(path)), "its interface is enabled");
    check(query_state(path, &state) && state == WYRM_ADAPTER_DOWN, "the real driver answers");
    check(create(GUID_TEXT, L"Wyrm\0", &second, NULL) == HRESULT_FROM_WIN32(ERROR_ALREADY_EXISTS),
          "a second one of this name: ERROR_ALREADY_EXISTS");
    close_device(second);
    check(listed(GUID_TEXT, NULL, NULL, NULL), "and the first one is still there");
    close_device(device);
    check(listed(GUID_TEXT, &status, &problem, NULL) && !status && problem == CR_NO_SUCH_DEVNODE,
          "after SwDeviceClose it is a phantom (%lx, %lx)", status, problem);
    check(!query_state(path, &state), "its interface does not open");
    check(!interface_path(GUID_TEXT, path, ARRAYSIZE(path)), "its interface is not enabled");
}

static void check_faults(void)
{
    HSWDEVICE device;
    wchar_t path[400];
    ULONG status, problem;

    SetEnvironmentVariableW(L"WYRM_BRIDGE_FAIL", L"create=80070005");
    check(create(GUID_TEXT, L"Wyrm\0", &device, NULL) == E_ACCESSDENIED && !device,
          "a fault: the call fails");
    SetEnvironmentVariableW(L"WYRM_BRIDGE_FAIL", L"result=80070643");
    check(create(GUID_TEXT, L"Wyrm\0", &device, NULL) == (HRESULT)0x80070643,
          "a fault: the callback's result");
    close_device(device);
    SetEnvironmentVariableW(L"WYRM_BRIDGE_FAIL", L"silent");
    check(create(GUID_TEXT, L"Wyrm\0", &device, NULL) == E_PENDING, "a fault: no callback");
    close_device(device);
    SetEnvironmentVariableW(L"WYRM_BRIDGE_FAIL", L"nointerface");
    check(create(GUID_TEXT, L"Wyrm\0", &device, NULL) == S_OK &&
              !interface_path(GUID_TEXT, path, ARRAYSIZE(path)),
          "a fault: no interface");
    close_device(device);
    SetEnvironmentVariableW(L"WYRM_BRIDGE_FAIL", L"problem=1c,nointerface");
    check(create(GUID_TEXT, L"Wyrm\0", &device, NULL) == S_OK && listed(GUID_TEXT, &status, &problem, NULL) &&
              (status & DN_HAS_PROBLEM) && problem == PROBLEM,
          "a fault: a problem code");
    close_device(device);
    SetEnvironmentVariableW(L"WYRM_BRIDGE_FAIL", NULL);
    check(create_device(ENUMERATOR, NULL, NULL, 0, NULL, created, NULL, &device) == E_INVALIDARG,
          "E_INVALIDARG");
    check(create(L"a\\b", L"Wyrm\0", &device, NULL) == E_INVALIDARG, "E_INVALIDARG: a backslash in the name");
}

/* Only an entry, whose driver key the real device takes over: no driver is started. */
static void check_stub(void)
{
    HSWDEVICE device;
    wchar_t path[400];
    HRESULT result = create(GUID_TEXT, L"\0", &device, NULL);

    check(result == S_OK && !interface_path(GUID_TEXT, path, ARRAYSIZE(path)),
          "without hardware id there is no driver (%08lx)", result);
    close_device(device);
}

static void check_death(void)
{
    wchar_t image[MAX_PATH], command[MAX_PATH + 16], path[400];
    STARTUPINFOW startup = {.cb = sizeof(startup)};
    PROCESS_INFORMATION process;
    HANDLE ready = CreateEventW(NULL, TRUE, FALSE, L"wyrm-bridge-device");
    ULONG status = 1, problem = 0;
    HSWDEVICE device;
    uint32_t state;

    GetModuleFileNameW(NULL, image, MAX_PATH);
    swprintf(command, ARRAYSIZE(command), L"\"%ls\" --hold", image);
    if (!check(CreateProcessW(image, command, NULL, NULL, FALSE, 0, NULL, NULL, &startup, &process),
               "a second process")) {
        return;
    }
    check(WaitForSingleObject(ready, WAIT_MILLISECONDS) == WAIT_OBJECT_0, "it has a device");
    check(interface_path(HELD_TEXT, path, ARRAYSIZE(path)) && query_state(path, &state),
          "which works for us, too");
    TerminateProcess(process.hProcess, 9);
    WaitForSingleObject(process.hProcess, WAIT_MILLISECONDS);
    CloseHandle(process.hProcess);
    CloseHandle(process.hThread);
    CloseHandle(ready);
    for (int i = 0; i < 300 && status; i++) {
        Sleep(100);
        listed(HELD_TEXT, &status, &problem, NULL);
    }
    check(!status && problem == CR_NO_SUCH_DEVNODE, "it is killed: so is its device (%lx)", problem);
    check(!query_state(path, &state), "the interface does not open");
    check(create(HELD_TEXT, L"Wyrm\0", &device, NULL) == S_OK && query_state(path, &state),
          "another process may make it again");
    close_device(device);
}

static int hold(void)
{
    HANDLE ready = OpenEventW(EVENT_MODIFY_STATE, FALSE, L"wyrm-bridge-device");
    HSWDEVICE device;

    if (create(HELD_TEXT, L"Wyrm\0", &device, NULL) == S_OK) {
        SetEvent(ready);
        Sleep(WAIT_MILLISECONDS);
    }
    return 1;
}

int main(int argc, char **argv)
{
    HMODULE module = LoadLibraryW(L"cfgmgr32.dll");

    create_device = (void *)GetProcAddress(module, "SwDeviceCreate");
    close_device = (void *)GetProcAddress(module, "SwDeviceClose");
    node_status = (void *)GetProcAddress(module, "CM_Get_DevNode_Status");
    if (!check(create_device && close_device && node_status, "the stand-in is loaded")) {
        return report();
    }
    if (argc == 2 && strcmp(argv[1], "--hold") == 0) {
        return hold();
    }
    check_device();
    check_stub();
    check_faults();
    check_death();
    return report();
}
