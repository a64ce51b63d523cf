/* Names and numbers of interfaces for the portable files, by POSIX's name: iphlpapi.dll has the same two
 * functions (Microsoft, "if_nametoindex function (netioapi.h)"). */
#pragma once

#include <stdint.h>

#ifndef IF_NAMESIZE
#define IF_NAMESIZE 257 /* IF_MAX_STRING_SIZE and its zero */
#endif

__declspec(dllimport) unsigned long __stdcall if_nametoindex(const char *name);
__declspec(dllimport) char *__stdcall if_indextoname(unsigned long index, char *name);
