/* Exports of the process manager that nt/ does not declare (our driver does not use them; other authors'
 * may). */
#pragma once

#include "nt/ob_ps_se.h"

extern PEPROCESS PsInitialSystemProcess;
HANDLE NTAPI PsGetThreadId(PETHREAD Thread);
HANDLE NTAPI PsGetThreadProcessId(PETHREAD Thread);
PEPROCESS NTAPI PsGetThreadProcess(PETHREAD Thread);
HANDLE NTAPI PsGetProcessId(PEPROCESS Process);
BOOLEAN NTAPI PsIsSystemThread(PETHREAD Thread);
BOOLEAN NTAPI PsIsThreadTerminating(PETHREAD Thread);
NTSTATUS NTAPI PsGetThreadExitStatus(PETHREAD Thread);
LONGLONG NTAPI PsGetThreadCreateTime(PETHREAD Thread);
