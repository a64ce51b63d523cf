/* MmGetSystemRoutineAddress: exports of the kernel and hal by name, as a driver asks for them at run time. */
#include "imports/imports.h"
#include "io/text.h"
#include "nt/mm.h"

PVOID NTAPI MmGetSystemRoutineAddress(PUNICODE_STRING SystemRoutineName)
{
    char name[128];
    if (SystemRoutineName->Length / sizeof(WCHAR) >= sizeof name)
        return NULL;
    text_from_unicode(SystemRoutineName, name, sizeof name);
    const struct import_entry *entry = import_find("ntoskrnl.exe", name);
    return entry ? import_bind(entry) : NULL;
}
