/* A native cfgmgr32.dll for programs under Wine: software devices and the state of device nodes, as
 * documented, with the adapters of nthost behind them.  The suite starts and ends the adapters
 * (tests/windows/hosts.py) and is reached over the AF_UNIX socket that WYRM_BRIDGE_SOCKET names.
 *
 * WYRM_BRIDGE_FAIL makes calls fail: words with a comma between them, read at each call:
 *   create=HRESULT     SwDeviceCreate returns it (hexadecimal, as all numbers here)
 *   result=HRESULT     the callback gets it
 *   silent             the callback is never called
 *   nointerface        the device starts, but its interface is never enabled
 *   problem=CODE       the device does not start: its node has this CM_PROB_ code
 *   status=CR          CM_Get_DevNode_Status returns it
 *   locate=CR          CM_Locate_DevNodeW returns it */
#pragma once

#include "../lib/swdevice.h"

#include <setupapi.h>
#include <stdbool.h>

enum { INSTANCE_UNITS = 200, REPLY_BYTES = 256 };

/* Whether WYRM_BRIDGE_FAIL has the word; its number, or 0. */
bool fault(const wchar_t *word, ULONG *number);

/* ---- host.c: the suite's end ---- */
/* Sends a line, receives one; false: there is no suite, or it ended the connection. */
bool host_ask(int connection, const char *line, char *reply);
int host_connect(void);
/* "gone", "started SOCKET INDEX" or "problem CODE" of an instance. */
bool host_query(const wchar_t *instance, char *reply);

/* ---- device.c: SetupAPI's side of a device ---- */
struct device {
    HDEVINFO set;
    SP_DEVINFO_DATA data;
};

/* Makes or opens the device's entry; ERROR_* or 0. */
DWORD device_open(struct device *device, const wchar_t *instance, bool make);
void device_release(struct device *device);
/* Writes what NDIS writes to the driver key: NetCfgInstanceId (as suggested by SuggestedInstanceId),
 * NetLuidIndex, *IfType. */
DWORD device_write_driver_key(struct device *device, const wchar_t *instance, ULONG luid_index);
/* Enables the NET interface; the proxy leads it to `socket`. */
DWORD device_enable_interface(struct device *device, const wchar_t *instance, const char *socket);
void device_disable_interface(const wchar_t *instance);
/* Removes what Wine's DIF_REMOVE leaves behind: the interface's key and the driver key. */
void device_forget(HDEVINFO set, SP_DEVINFO_DATA *data);

/* ---- class_installer.c ---- */
/* Replaces what is missing in Wine's setupapi.dll, for the whole process. */
bool class_installer_hook(void);
