/* Handles: opening, closing, and the removal of what dead processes left behind. */
#include "adapter.h"
#include "device.h"
#include "lock.h"
#include "log.h"

/* Needs windows.h before it. */
#include <cfgmgr32.h>

#include <stdlib.h>
#include <wchar.h>

static HMODULE this_module;

BOOL WINAPI DllMain(HINSTANCE instance, DWORD reason, LPVOID reserved);

BOOL WINAPI DllMain(HINSTANCE instance, DWORD reason, LPVOID reserved)
{
    if (reason == DLL_PROCESS_ATTACH) {
        this_module = instance;
        DisableThreadLibraryCalls(instance);
    }
    /* At the end of the process the system closes everything itself. */
    if (reason == DLL_PROCESS_DETACH && !reserved)
        machine_lock_forget();
    return TRUE;
}

bool adapter_read_identity(WIREGUARD_ADAPTER_HANDLE adapter, const wchar_t *instance_id,
                           wchar_t *interface_path)
{
    struct device device;
    adapter->interface_path = interface_path;
    adapter->instance_id = _wcsdup(instance_id);
    if (!adapter->instance_id)
        return log_failure(ERROR_NOT_ENOUGH_MEMORY, L"No memory for an adapter");
    if (!device_find(&device, instance_id))
        return log_failure(GetLastError(), L"The adapter's device %s disappeared", instance_id);
    bool found = device_identity(&device, &adapter->guid, &adapter->luid);
    DWORD error = GetLastError();
    SetupDiDestroyDeviceInfoList(device.set);
    return found || log_failure(error, L"The driver's registry key of %s does not say which interface it is",
                                instance_id);
}

WIREGUARD_ADAPTER_HANDLE adapter_new(struct machine_lock *lock)
{
    WIREGUARD_ADAPTER_HANDLE adapter = calloc(1, sizeof(*adapter));
    if (!adapter) {
        log_failure(ERROR_NOT_ENOUGH_MEMORY, L"No memory for an adapter");
    } else if (!machine_lock_take(lock, LOCK_WAIT_MS)) {
        adapter_free(adapter);
        adapter = NULL;
    }
    return adapter;
}

void adapter_free(WIREGUARD_ADAPTER_HANDLE adapter)
{
    if (!adapter)
        return;
    DWORD error = GetLastError();
    free(adapter->instance_id);
    free(adapter->interface_path);
    free(adapter);
    SetLastError(error);
}

/* Sets `instance_id` to the present device that has the name. */
static bool find_by_name(const wchar_t *name, wchar_t instance_id[INSTANCE_ID_UNITS])
{
    struct device_list list;
    struct device device;
    wchar_t candidate[WIREGUARD_MAX_ADAPTER_NAME];
    bool found = false;
    if (!device_list_open(&list))
        return false;
    while (!found && device_list_next(&list, &device))
        if (device_name(&device, candidate) &&
            CompareStringOrdinal(candidate, -1, name, -1, TRUE) == CSTR_EQUAL &&
            device_status(&device).present) {
            wcscpy(instance_id, device.instance_id);
            found = true;
        }
    device_list_close(&list);
    return found || log_failure(ERROR_NOT_FOUND, L"There is no adapter named %s", name);
}

WIREGUARD_ADAPTER_HANDLE WINAPI WireGuardOpenAdapter(LPCWSTR Name)
{
    struct machine_lock lock;
    wchar_t instance_id[INSTANCE_ID_UNITS];
    if (!Name || !*Name) {
        log_failure(ERROR_INVALID_PARAMETER, L"An adapter to open needs a name");
        return NULL;
    }
    if (wcslen(Name) >= WIREGUARD_MAX_ADAPTER_NAME) {
        log_failure(ERROR_BUFFER_OVERFLOW, L"An adapter's name has at most %d units",
                    WIREGUARD_MAX_ADAPTER_NAME - 1);
        return NULL;
    }
    WIREGUARD_ADAPTER_HANDLE adapter = adapter_new(&lock);
    if (!adapter)
        return NULL;
    wchar_t *path = NULL;
    bool opened = find_by_name(Name, instance_id) &&
                  (path = device_wait_for_interface(instance_id, DEVICE_START_MS, WAIT_TIMEOUT)) != NULL &&
                  adapter_read_identity(adapter, instance_id, path);
    machine_lock_release(&lock);
    if (!opened) {
        adapter_free(adapter);
        adapter = NULL;
    }
    DWORD error = GetLastError();
    orphans_remove_later();
    SetLastError(error);
    return adapter;
}

/* What Windows remembers of the device that this handle owned.  Left to orphans_remove_later() it would stay
 * as long as other processes keep the lock busy.  The caller holds the lock. */
static void remove_own_device(const wchar_t *instance_id)
{
    struct device device;
    if (!device_find(&device, instance_id))
        return;
    if (optional()->CM_Get_DevNode_Status && !device_status(&device).present)
        device_remove(&device);
    SetupDiDestroyDeviceInfoList(device.set);
}

VOID WINAPI WireGuardCloseAdapter(WIREGUARD_ADAPTER_HANDLE Adapter)
{
    struct machine_lock lock;
    if (!Adapter)
        return;
    DWORD error = GetLastError();
    follow_stop(Adapter);
    if (Adapter->software_device) {
        /* Removal goes on without the lock: a process that hangs must not keep an adapter alive. */
        bool locked = machine_lock_take(&lock, LOCK_WAIT_MS);
        optional()->SwDeviceClose(Adapter->software_device);
        if (locked) {
            remove_own_device(Adapter->instance_id);
            machine_lock_release(&lock);
        }
    }
    adapter_free(Adapter);
    orphans_remove_later();
    SetLastError(error);
}

static bool device_is_orphan(const struct device *device)
{
    struct device_status status = device_status(device);
    /* A disabled device was disabled by somebody, and its owner lives. */
    return optional()->CM_Get_DevNode_Status &&
           (!status.present || (status.problem && status.problem != CM_PROB_DISABLED));
}

void orphans_remove(void)
{
    struct device_list list;
    struct device device;
    wchar_t name[WIREGUARD_MAX_ADAPTER_NAME];
    if (!device_list_open(&list))
        return;
    while (device_list_next(&list, &device)) {
        if (!device_is_orphan(&device))
            continue;
        if (!device_name(&device, name))
            wcscpy(name, L"without a name");
        if (device_remove(&device))
            log_line(WIREGUARD_LOG_INFO, L"Removed the adapter %s, which a process left behind", name);
    }
    device_list_close(&list);
}

static LONG removal_runs;

static DWORD WINAPI remove_orphans(void *module)
{
    struct machine_lock lock;
    /* Who has the lock now looks for orphans itself when it is done. */
    if (machine_lock_take(&lock, 0)) {
        orphans_remove();
        machine_lock_release(&lock);
    }
    InterlockedExchange(&removal_runs, 0);
    FreeLibraryAndExitThread(module, 0);
    return 0;
}

void orphans_remove_later(void)
{
    HMODULE module;
    if (InterlockedExchange(&removal_runs, 1))
        return;
    /* The thread keeps the DLL loaded while it runs. */
    if (GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, (const wchar_t *)&this_module, &module)) {
        HANDLE thread = CreateThread(NULL, 0, remove_orphans, module, 0, NULL);
        if (thread) {
            CloseHandle(thread);
            return;
        }
        FreeLibrary(module);
    }
    InterlockedExchange(&removal_runs, 0);
}
