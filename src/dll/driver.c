/* Installing, replacing and removing the driver's package. */
#include "driver.h"
#include "adapter.h"
#include "device.h"
#include "device_change.h"
#include "driver_files.h"
#include "lock.h"
#include "log.h"
#include "names.h"
#include "running.h"

/* Need windows.h before them; the GUIDs themselves, not only their declarations. */
#include <initguid.h>

#include <devguid.h>
#include <newdev.h>
#include <stdlib.h>
#include <wchar.h>

enum { UNLOAD_MS = 30000 };

struct saved_adapter {
    struct saved_adapter *next;
    wchar_t instance_id[INSTANCE_ID_UNITS];
    WIREGUARD_INTERFACE *config; /* NULL: could not be read */
    DWORD config_bytes, state;
    bool state_known;
};

typedef bool (*package_visitor)(const wchar_t *inf, void *context);

/* Calls `visit` with the full path of each installed INF for our hardware ID, until it returns false.  Logs.
 */
static bool visit_packages(package_visitor visit, void *context)
{
    SP_DEVINFO_DATA device = {.cbSize = sizeof(device)};
    SP_DEVINSTALL_PARAMS_W parameters = {.cbSize = sizeof(parameters)};
    HDEVINFO set = SetupDiCreateDeviceInfoList(&GUID_DEVCLASS_NET, NULL);
    if (set == INVALID_HANDLE_VALUE)
        return log_failure(GetLastError(), L"Cannot look for installed drivers");
    bool done =
        SetupDiCreateDeviceInfoW(set, VENDOR_NAME, &GUID_DEVCLASS_NET, NULL, NULL, DICD_GENERATE_ID,
                                 &device) &&
        SetupDiSetDeviceRegistryPropertyW(set, &device, SPDRP_HARDWAREID, (const BYTE *)(HARDWARE_ID L"\0"),
                                          sizeof(HARDWARE_ID L"\0")) &&
        SetupDiBuildDriverInfoList(set, &device, SPDIT_COMPATDRIVER);
    DWORD error = GetLastError();
    for (DWORD i = 0; done; i++) {
        SP_DRVINFO_DATA_W driver = {.cbSize = sizeof(driver)};
        struct {
            SP_DRVINFO_DETAIL_DATA_W detail;
            BYTE more[2048];
        } buffer = {.detail.cbSize = sizeof(SP_DRVINFO_DETAIL_DATA_W)};
        if (!SetupDiEnumDriverInfoW(set, &device, SPDIT_COMPATDRIVER, i, &driver))
            break;
        if ((SetupDiGetDriverInfoDetailW(set, &device, &driver, &buffer.detail, sizeof(buffer), NULL) ||
             GetLastError() == ERROR_INSUFFICIENT_BUFFER) &&
            buffer.detail.InfFileName[0] && !visit(buffer.detail.InfFileName, context))
            break;
    }
    SetupDiDestroyDeviceInfoList(set);
    return done || log_failure(error, L"Cannot look for installed drivers");
}

struct survey {
    struct driver_age own;
    bool have_good, have_older;
};

static bool survey_package(const wchar_t *inf, void *context)
{
    struct survey *survey = context;
    if (driver_age_compare(driver_age_of(inf), survey->own) >= 0)
        survey->have_good = true;
    else
        survey->have_older = true;
    return true;
}

/* Uninstalls one package; `force`: even if a device refers to it. */
static bool uninstall(const wchar_t *inf, bool force)
{
    const wchar_t *name = wcsrchr(inf, L'\\');
    name = name ? name + 1 : inf;
    log_line(WIREGUARD_LOG_INFO, L"Removing the driver package %s", name);
    if (process_is_emulated())
        return pnputil(L"/delete-driver", name, force ? L"/force" : L"");
    return SetupUninstallOEMInfW(name, force ? SUOI_FORCEDELETE : 0, NULL) ||
           log_failure(GetLastError(), L"Cannot remove the driver package %s; close the tunnels that use it",
                       name);
}

static bool uninstall_older(const wchar_t *inf, void *context)
{
    const struct survey *survey = context;
    if (driver_age_compare(driver_age_of(inf), survey->own) < 0)
        uninstall(inf, true); /* an old package that stays does no harm: the newer one ranks before it */
    return true;
}

/* Remembers what a running adapter does. */
static void remember(struct saved_adapter *saved)
{
    wchar_t *path = device_interface_path(saved->instance_id);
    HANDLE device = path ? control_open(path, false) : INVALID_HANDLE_VALUE;
    if (device != INVALID_HANDLE_VALUE) {
        saved->config = control_get_all(device, &saved->config_bytes);
        saved->state_known = control_get_state(device, &saved->state);
        CloseHandle(device);
    }
    free(path);
    if (!saved->config || !saved->state_known)
        log_line(WIREGUARD_LOG_WARN,
                 L"Cannot read what the adapter %s does: it must be configured anew after the "
                 L"driver is replaced",
                 saved->instance_id);
}

static void stop_adapters(struct driver_upgrade *upgrade)
{
    struct device_list list;
    struct device device;
    if (!device_list_open(&list))
        return;
    while (device_list_next(&list, &device)) {
        struct device_status status = device_status(&device);
        struct saved_adapter *saved = status.present && !status.problem ? calloc(1, sizeof(*saved)) : NULL;
        if (!saved)
            continue;
        wcscpy(saved->instance_id, device.instance_id);
        remember(saved);
        saved->next = upgrade->saved;
        upgrade->saved = saved;
        device_enable(&device, false);
    }
    device_list_close(&list);
}

static void wait_until_unloaded(void)
{
    for (int waited = 0; waited < UNLOAD_MS; waited += 50) {
        if (!running_driver_loaded())
            return;
        if (waited == 3000)
            log_line(WIREGUARD_LOG_INFO, L"Waiting for the older driver to be unloaded, for at most %d s",
                     UNLOAD_MS / 1000);
        Sleep(50);
    }
    log_line(WIREGUARD_LOG_WARN,
             L"The older driver is still loaded; the new one takes over when Windows is restarted");
}

static bool copy_package(const wchar_t *inf)
{
    if (process_is_emulated())
        return pnputil(L"/add-driver", inf, L"");
    return SetupCopyOEMInfW(inf, NULL, SPOST_NONE, 0, NULL, 0, NULL, NULL) ||
           log_failure(GetLastError(),
                       L"Cannot install the driver %s; is it signed, and are you an elevated administrator?",
                       inf);
}

/* Gives the stopped adapters the new driver. */
static void update_devices(const wchar_t *inf)
{
    BOOL reboot = FALSE;
    if (process_is_emulated()
            ? pnputil(L"/add-driver", inf, L"/install")
            : UpdateDriverForPlugAndPlayDevicesW(NULL, HARDWARE_ID, inf, INSTALLFLAG_NONINTERACTIVE, &reboot))
        return;
    if (GetLastError() != ERROR_NO_SUCH_DEVINST && GetLastError() != ERROR_NO_MORE_ITEMS)
        log_warning(GetLastError(), L"Cannot give the adapters that exist the new driver");
}

bool driver_install(struct driver_upgrade *upgrade)
{
    struct driver_files files;
    struct survey survey = {0};
    bool have_files = driver_files_get(&files);
    if (!have_files && GetLastError() != ERROR_FILE_NOT_FOUND)
        return false;
    if (have_files)
        survey.own = driver_age_of(files.inf);
    bool done = visit_packages(survey_package, &survey);
    if (done && !survey.have_good && !have_files)
        done = log_failure(ERROR_FILE_NOT_FOUND,
                           L"No driver is installed, and " INF_FILE L" is neither in the DLL nor "
                           L"beside it; install the package");
    if (done && !survey.have_good) {
        log_line(WIREGUARD_LOG_INFO,
                 survey.have_older ? L"Replacing the driver by a newer one" : L"Installing the driver");
        /* First the new package: when that fails the older one still works. */
        done = copy_package(files.inf);
        if (done && survey.have_older) {
            stop_adapters(upgrade);
            wait_until_unloaded();
            if (upgrade->saved)
                update_devices(files.inf);
            visit_packages(uninstall_older, &survey);
        }
    }
    if (have_files)
        driver_files_remove(&files);
    return done;
}

static void start_again(struct saved_adapter *saved)
{
    struct device device;
    if (!device_find(&device, saved->instance_id))
        return; /* its owner closed it meanwhile */
    device_enable(&device, true);
    SetupDiDestroyDeviceInfoList(device.set);
    wchar_t *path = device_wait_for_interface(saved->instance_id, DEVICE_START_MS, WAIT_TIMEOUT);
    HANDLE control = path ? control_open(path, true) : INVALID_HANDLE_VALUE;
    if (control != INVALID_HANDLE_VALUE) {
        if (saved->config && !control_set(control, saved->config, saved->config_bytes))
            log_warning(GetLastError(), L"Cannot restore the configuration of the adapter %s",
                        saved->instance_id);
        if (saved->state_known && !control_set_state(control, saved->state))
            log_warning(GetLastError(), L"Cannot restore the state of the adapter %s", saved->instance_id);
        CloseHandle(control);
    }
    free(path);
}

void driver_upgrade_finish(struct driver_upgrade *upgrade)
{
    while (upgrade->saved) {
        struct saved_adapter *saved = upgrade->saved;
        upgrade->saved = saved->next;
        start_again(saved);
        secure_free(saved->config, saved->config ? saved->config_bytes : 0);
        free(saved);
    }
}

struct removal {
    DWORD error; /* the first */
};

static bool uninstall_any(const wchar_t *inf, void *context)
{
    struct removal *removal = context;
    if (!uninstall(inf, false) && !removal->error)
        removal->error = GetLastError();
    return true;
}

BOOL WINAPI WireGuardDeleteDriver(VOID)
{
    struct machine_lock lock;
    struct removal removal = {0};
    if (!machine_lock_take(&lock, LOCK_WAIT_MS))
        return FALSE;
    orphans_remove();
    bool done = visit_packages(uninstall_any, &removal);
    machine_lock_release(&lock);
    if (removal.error) {
        SetLastError(removal.error);
        return FALSE;
    }
    return done;
}
