/* What a program under Wine does to have the bridge: the proxy driver as a service, adapters told to it. */
#pragma once

#include "proxy_control.h"

#include <stdbool.h>
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

/* Starts the service of the proxy driver, made if it is not there; the image stands in system32\drivers. */
bool bridge_start_driver(void);

/* PROXY_IOCTL_ADD or PROXY_IOCTL_REMOVE. */
bool bridge_tell(DWORD code, const wchar_t *link, const char *socket, const struct proxy_token *token);
