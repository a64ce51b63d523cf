#include "name_property.h"
#include "names.h"

/* Needs windows.h before it. */
#include <objbase.h>

#include <string.h>

_Static_assert(sizeof(WYRM_VENDOR_NAME) - 1 <= 9, "the vendor's name has at most nine letters");

DEVPROPKEY name_property_key(void)
{
    static const char tail[] = "NameKey";
    char bytes[sizeof(GUID)];
    memset(bytes, '-', sizeof(bytes));
    memcpy(bytes, WYRM_VENDOR_NAME, sizeof(WYRM_VENDOR_NAME) - 1);
    memcpy(bytes + sizeof(bytes) - (sizeof(tail) - 1), tail, sizeof(tail) - 1);
    DEVPROPKEY key = {.pid = 3};
    memcpy(&key.fmtid, bytes, sizeof(bytes));
    return key;
}

void guid_to_text(const GUID *guid, wchar_t text[GUID_TEXT_UNITS])
{
    StringFromGUID2(guid, text, GUID_TEXT_UNITS);
}

bool guid_from_text(const wchar_t *text, GUID *guid)
{
    return CLSIDFromString(text, guid) == S_OK;
}
