/* See network_watch.h.  Windows' notifications only set an event: cancelling one waits for its callbacks, and
 * these wait for nothing. */
#include "win/network_watch.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <ws2ipdef.h>

#include <iphlpapi.h>
#include <netioapi.h>

#define LONGEST_BURST 10u /* quiet times */

/* X(name in iphlpapi.dll, result, arguments) */
#define FUNCTIONS(X)                                                                                         \
    X(NotifyRouteChange2, DWORD, (ADDRESS_FAMILY, PIPFORWARD_CHANGE_CALLBACK, void *, BOOLEAN, HANDLE *))    \
    X(NotifyIpInterfaceChange, DWORD,                                                                        \
      (ADDRESS_FAMILY, PIPINTERFACE_CHANGE_CALLBACK, void *, BOOLEAN, HANDLE *))                             \
    X(NotifyUnicastIpAddressChange, DWORD,                                                                   \
      (ADDRESS_FAMILY, PUNICAST_IPADDRESS_CHANGE_CALLBACK, void *, BOOLEAN, HANDLE *))                       \
    X(CancelMibChangeNotify2, DWORD, (HANDLE))

#define MEMBER(name, result, arguments) result(WINAPI *name) arguments;
struct functions {
    FUNCTIONS(MEMBER)
};

enum { ROUTES, INTERFACES, ADDRESSES, NOTIFICATIONS };

struct network_watch {
    struct functions ip;
    HANDLE notifications[NOTIFICATIONS];
    HANDLE change; /* auto-reset */
    HANDLE stop;   /* stays set */
    HANDLE thread;
    uint32_t quiet_ms;
    network_changed *changed;
    void *context;
};

static bool look_up(struct functions *ip)
{
    HMODULE module = LoadLibraryExW(L"iphlpapi.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    FARPROC function;
    bool complete = module != NULL;
#define LOOK_UP(name, result, arguments)                                                                     \
    function = complete ? GetProcAddress(module, #name) : NULL;                                              \
    complete = complete && function;                                                                         \
    memcpy(&ip->name, &function, sizeof function);
    FUNCTIONS(LOOK_UP)
    return complete;
}

static void CALLBACK route_changed(void *context, PMIB_IPFORWARD_ROW2 row, MIB_NOTIFICATION_TYPE type)
{
    SetEvent(((struct network_watch *)context)->change);
}

static void CALLBACK interface_changed(void *context, PMIB_IPINTERFACE_ROW row, MIB_NOTIFICATION_TYPE type)
{
    SetEvent(((struct network_watch *)context)->change);
}

static void CALLBACK address_changed(void *context, PMIB_UNICASTIPADDRESS_ROW row, MIB_NOTIFICATION_TYPE type)
{
    SetEvent(((struct network_watch *)context)->change);
}

/* After a change: until it is quiet, or has not been for too long.  false: to stop. */
static bool wait_for_quiet(const struct network_watch *watch)
{
    HANDLE handles[] = {watch->stop, watch->change};
    uint64_t end = GetTickCount64() + (uint64_t)watch->quiet_ms * LONGEST_BURST;
    for (;;) {
        uint64_t now = GetTickCount64();
        if (now >= end)
            return true;
        DWORD wait = end - now < watch->quiet_ms ? (DWORD)(end - now) : watch->quiet_ms;
        DWORD which = WaitForMultipleObjects(2, handles, FALSE, wait);
        if (which == WAIT_TIMEOUT)
            return true;
        if (which != WAIT_OBJECT_0 + 1)
            return false;
    }
}

static DWORD WINAPI run(void *parameter)
{
    const struct network_watch *watch = parameter;
    HANDLE handles[] = {watch->stop, watch->change};
    while (WaitForMultipleObjects(2, handles, FALSE, INFINITE) == WAIT_OBJECT_0 + 1 && wait_for_quiet(watch))
        watch->changed(watch->context);
    return 0;
}

static DWORD subscribe(struct network_watch *watch)
{
    DWORD code =
        watch->ip.NotifyRouteChange2(AF_UNSPEC, route_changed, watch, FALSE, &watch->notifications[ROUTES]);
    if (!code)
        code = watch->ip.NotifyIpInterfaceChange(AF_UNSPEC, interface_changed, watch, FALSE,
                                                 &watch->notifications[INTERFACES]);
    if (!code)
        code = watch->ip.NotifyUnicastIpAddressChange(AF_UNSPEC, address_changed, watch, FALSE,
                                                      &watch->notifications[ADDRESSES]);
    return code;
}

static DWORD start(struct network_watch *watch)
{
    if (!look_up(&watch->ip))
        return ERROR_NOT_SUPPORTED;
    watch->change = CreateEventW(NULL, FALSE, FALSE, NULL);
    watch->stop = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!watch->change || !watch->stop)
        return GetLastError();
    watch->thread = CreateThread(NULL, 0, run, watch, 0, NULL);
    return watch->thread ? subscribe(watch) : GetLastError();
}

DWORD network_watch_start(struct network_watch **watch, uint32_t quiet_ms, network_changed *changed,
                          void *context)
{
    *watch = NULL;
    struct network_watch *made = calloc(1, sizeof *made);
    if (!made)
        return ERROR_NOT_ENOUGH_MEMORY;
    made->quiet_ms = quiet_ms;
    made->changed = changed;
    made->context = context;
    DWORD code = start(made);
    if (code)
        network_watch_stop(made);
    else
        *watch = made;
    return code;
}

void network_watch_stop(struct network_watch *watch)
{
    if (!watch)
        return;
    for (int i = 0; i < NOTIFICATIONS; i++)
        if (watch->notifications[i])
            watch->ip.CancelMibChangeNotify2(watch->notifications[i]);
    if (watch->thread) {
        SetEvent(watch->stop);
        WaitForSingleObject(watch->thread, INFINITE);
        CloseHandle(watch->thread);
    }
    if (watch->change)
        CloseHandle(watch->change);
    if (watch->stop)
        CloseHandle(watch->stop);
    free(watch);
}
