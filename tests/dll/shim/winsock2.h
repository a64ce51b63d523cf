/* Windows' types as far as wyrm/wireguard.h uses them, for compilers without Windows' headers: the layout,
 * the iterators and the text of the header are then checked for the MSVC targets and natively, under
 * sanitizers. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __linux__
#define __declspec(attribute)
#define WINAPI
#define CALLBACK
#else
#define WINAPI   __stdcall
#define CALLBACK __stdcall
#endif
#define VOID     void
#define TRUE     1
#define FALSE    0
#define AF_INET  2
#define AF_INET6 23
typedef int BOOL;
typedef char CHAR;
typedef uint8_t BYTE;
typedef uint16_t WORD, ADDRESS_FAMILY;
typedef uint64_t DWORD64;
#ifdef __linux__
typedef uint32_t DWORD;
typedef uint16_t WCHAR;
#else
typedef unsigned long DWORD;
typedef wchar_t WCHAR;
#endif
typedef const WCHAR *LPCWSTR;

typedef struct {
    uint32_t Data1;
    uint16_t Data2, Data3;
    uint8_t Data4[8];
} GUID;
typedef union {
    uint64_t Value;
} NET_LUID;
typedef struct {
    uint8_t bytes[4];
} IN_ADDR;
typedef struct {
    uint8_t bytes[16];
} IN6_ADDR;
typedef union {
    uint32_t words[7];
    ADDRESS_FAMILY si_family;
} SOCKADDR_INET;
