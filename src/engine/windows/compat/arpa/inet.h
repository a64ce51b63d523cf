/* inet_pton and inet_ntop for the portable files, which include them by POSIX's name: Winsock has the same.
 */
#pragma once

#define WIN32_LEAN_AND_MEAN
#include <winsock2.h>
#include <ws2tcpip.h>
