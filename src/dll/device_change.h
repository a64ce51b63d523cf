/* Changing devices and drivers from an emulated process (32-bit on 64-bit Windows, x64 on arm64), which
 * SetupAPI refuses: the system's own pnputil.exe of the machine's architecture does it (Microsoft, "PnPUtil
 * Command Syntax"; its device commands came with Windows 10 2004). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Runs "pnputil.exe COMMAND "OBJECT" OPTIONS" natively and hidden, for at most a minute.  False: last error
 * is the program's exit status or the error of starting it.  Logs. */
bool pnputil(const wchar_t *command, const wchar_t *object, const wchar_t *options);
