/* The Windows version that the host presents: Windows 10 22H2. */
#include "nt/ke.h"
#include "nt/rtl.h"

#include <stdbool.h>
#include <stdint.h>

#define MAJOR_VERSION 10u
#define MINOR_VERSION 0u
#define BUILD_NUMBER  19045u
#define PLATFORM_NT   2u

NTSTATUS NTAPI RtlGetVersion(PRTL_OSVERSIONINFOW lpVersionInformation)
{
    lpVersionInformation->dwMajorVersion = MAJOR_VERSION;
    lpVersionInformation->dwMinorVersion = MINOR_VERSION;
    lpVersionInformation->dwBuildNumber = BUILD_NUMBER;
    lpVersionInformation->dwPlatformId = PLATFORM_NT;
    lpVersionInformation->szCSDVersion[0] = 0;
    /* RTL_OSVERSIONINFOEXW continues with service pack (2 x 16 bits), suite mask, product type, reserved. */
    if (lpVersionInformation->dwOSVersionInfoSize == sizeof *lpVersionInformation + 8) {
        UCHAR *extended = (UCHAR *)(lpVersionInformation + 1);
        __builtin_memset(extended, 0, 8);
        extended[5] = 0x01; /* VER_SUITE_SINGLEUSERTS (0x100), little endian */
        extended[6] = 1;    /* VER_NT_WORKSTATION */
    }
    return STATUS_SUCCESS;
}

/* The processor's features that the system has switched on: XCR0, as user space may read it. */
ULONG64 NTAPI RtlGetEnabledExtendedFeatures(ULONG64 FeatureMask)
{
    uint32_t eax, ebx, ecx, edx;
    __asm__("cpuid" : "=a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx) : "a"(1), "c"(0));
    if (!(ecx & (1u << 27))) /* OSXSAVE */
        return FeatureMask & XSTATE_MASK_LEGACY;
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (((uint64_t)high << 32) | low) & FeatureMask;
}
