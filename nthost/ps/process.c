/* The one process, System: all of the driver's threads belong to it.  Microsoft's page titles:
 * "PsGetCurrentProcessId", "PsInitialSystemProcess". */
#include "process.h"

#include "exports.h"
#include "host.h"
#include "ke/dispatcher.h"

#define SYSTEM_PROCESS_ID ((HANDLE)(uintptr_t)4)

struct _KPROCESS {
    DISPATCHER_HEADER header; /* signalled at the process' end: never */
};

OBJECT_TYPE ps_process_type = {.name = "Process"};
static POBJECT_TYPE process_type = &ps_process_type;
POBJECT_TYPE *PsProcessType = &process_type;
PEPROCESS PsInitialSystemProcess;

__attribute__((constructor)) static void make_system_process(void)
{
    PsInitialSystemProcess = ob_create(&ps_process_type, sizeof(*PsInitialSystemProcess));
    if (PsInitialSystemProcess == NULL)
        host_fatal("out of memory for the system process");
    dispatcher_header_initialize(&PsInitialSystemProcess->header, OBJECT_PROCESS, 0);
}

PEPROCESS NTAPI IoGetCurrentProcess(VOID)
{
    return PsInitialSystemProcess;
}

HANDLE NTAPI PsGetCurrentProcessId(VOID)
{
    return SYSTEM_PROCESS_ID;
}

HANDLE NTAPI PsGetProcessId(PEPROCESS Process)
{
    return SYSTEM_PROCESS_ID;
}

PEPROCESS NTAPI PsGetThreadProcess(PETHREAD Thread)
{
    return PsInitialSystemProcess;
}

HANDLE NTAPI PsGetThreadProcessId(PETHREAD Thread)
{
    return SYSTEM_PROCESS_ID;
}
