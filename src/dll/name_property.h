/* The device property that holds the connection's name, and GUIDs as text. */
#pragma once

#include "wyrm/wireguard.h"

/* Needs windows.h before it. */
#include <devpropdef.h>

#include <stdbool.h>

/* The key's GUID are the bytes of the vendor's name, filled up with '-' to nine, and of "NameKey"; its ID
 * is 3. */
DEVPROPKEY name_property_key(void);

/* "{XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX}" with its zero. */
enum { GUID_TEXT_UNITS = 39 };
void guid_to_text(const GUID *guid, wchar_t text[GUID_TEXT_UNITS]);
bool guid_from_text(const wchar_t *text, GUID *guid);
