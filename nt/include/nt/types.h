/*
 * The base types of the NT kernel API with fixed widths, so that the driver (MSVC target) and nthost (Linux)
 * compile the same declarations.  Every layout below nt/include/nt is checked by tests/nt-abi against
 * nt/facts. Source of the names: Microsoft Learn, "Windows kernel-mode" reference.
 */
#ifndef NT_TYPES_H
#define NT_TYPES_H

#include <stddef.h>
#include <stdint.h>

/* Calling convention of the NT kernel.  Native on MSVC targets; nthost is compiled with the System V ABI by
 * default. */
#if defined(_WIN32)
#if defined(__i386__)
#define NTAPI    __attribute__((stdcall))
#define FASTCALL __attribute__((fastcall))
#else
#define NTAPI
#define FASTCALL
#endif
#define NTAPIV      /* functions with "..." */
#define NTKERNELAPI __declspec(dllimport)
#elif defined(__x86_64__)
#define NTAPI    __attribute__((ms_abi))
#define FASTCALL __attribute__((ms_abi))
#define NTAPIV   __attribute__((ms_abi))
#define NTKERNELAPI
#else
#define NTAPI
#define FASTCALL
#define NTAPIV
#define NTKERNELAPI
#endif

/* On x86 these functions have other names, which begin with Kf, Kef or Interlocked, and take their arguments
 * in registers (Microsoft's headers have macros as well). */
#if defined(_WIN32) && defined(__i386__)
#define NT_X86_FASTCALL               __attribute__((fastcall))
#define KeLowerIrql                   KfLowerIrql
#define KeAcquireSpinLockRaiseToDpc   KfAcquireSpinLock
#define KeReleaseSpinLock             KfReleaseSpinLock
#define KeAcquireSpinLockAtDpcLevel   KefAcquireSpinLockAtDpcLevel
#define KeReleaseSpinLockFromDpcLevel KefReleaseSpinLockFromDpcLevel
#define ExpInterlockedPushEntrySList  InterlockedPushEntrySList
#define ExpInterlockedPopEntrySList   InterlockedPopEntrySList
#define ExpInterlockedFlushSList      InterlockedFlushSList
#else
#define NT_X86_FASTCALL NTAPI
#endif

/* Code that runs only while DriverEntry does; its section is discarded afterwards. */
#if defined(_WIN32)
#define NT_INIT_CODE __attribute__((section("INIT"), noinline))
#else
#define NT_INIT_CODE
#endif

/* MEMORY_ALLOCATION_ALIGNMENT: what DECLSPEC_ALIGN(MEMORY_ALLOCATION_ALIGNMENT) means in Microsoft's headers.
 */
#if UINTPTR_MAX > 0xffffffffu
#define MEMORY_ALLOCATION_ALIGNMENT 16
#else
#define MEMORY_ALLOCATION_ALIGNMENT 8
#endif
#define NT_ALLOCATION_ALIGNED _Alignas(MEMORY_ALLOCATION_ALIGNMENT)

#define VOID  void
#define TRUE  1
#define FALSE 0
#ifndef CONST
#define CONST const
#endif

/* Exact, checked at compile time by tests/nt-abi. */
typedef char CHAR, *PCHAR, CCHAR, *PSTR;
typedef const char *PCSTR, *PCSZ;
typedef unsigned char UCHAR, *PUCHAR, BOOLEAN, *PBOOLEAN, BYTE;
typedef int16_t SHORT, *PSHORT, CSHORT;
typedef uint16_t USHORT, *PUSHORT, WORD;
typedef uint16_t WCHAR, *PWCHAR, *PWSTR, *PWCH;
typedef const uint16_t *PCWSTR, *PCWCH;
typedef int32_t INT, LONG, *PLONG;
typedef uint32_t UINT, *PUINT, ULONG, *PULONG, DWORD;
typedef int64_t LONGLONG, *PLONGLONG, LONG64, *PLONG64, INT64;
typedef uint64_t ULONGLONG, *PULONGLONG, ULONG64, *PULONG64, UINT64;
typedef uint8_t UINT8, *PUINT8;
typedef uint16_t UINT16, *PUINT16;
typedef uint32_t UINT32, *PUINT32;
typedef intptr_t LONG_PTR, *PLONG_PTR, SSIZE_T, *PSSIZE_T, INT_PTR;
typedef uintptr_t ULONG_PTR, *PULONG_PTR, SIZE_T, *PSIZE_T, UINT_PTR;
typedef void *PVOID, *HANDLE, **PHANDLE;
typedef const void *PCVOID;
typedef uint32_t ACCESS_MASK, *PACCESS_MASK, SECURITY_INFORMATION, *PSECURITY_INFORMATION;
typedef int32_t NTSTATUS, *PNTSTATUS;
typedef uint8_t KIRQL, *PKIRQL;
typedef CHAR KPROCESSOR_MODE;
typedef LONG KPRIORITY;
typedef ULONG_PTR KAFFINITY, *PKAFFINITY, PFN_NUMBER, *PPFN_NUMBER;
typedef ULONG_PTR KSPIN_LOCK, *PKSPIN_LOCK;
typedef PVOID PSID, PSECURITY_DESCRIPTOR, PACCESS_TOKEN;

typedef enum _EVENT_TYPE {
    NotificationEvent = 0,
    SynchronizationEvent = 1,
} EVENT_TYPE;
typedef EVENT_TYPE *PEVENT_TYPE;

typedef enum _TIMER_TYPE {
    NotificationTimer = 0,
    SynchronizationTimer = 1,
} TIMER_TYPE;
typedef TIMER_TYPE *PTIMER_TYPE;

typedef enum _WAIT_TYPE {
    WaitAll = 0,
    WaitAny = 1,
    WaitNotification = 2,
    WaitDequeue = 3,
    WaitDpc = 4,
} WAIT_TYPE;
typedef WAIT_TYPE *PWAIT_TYPE;

typedef enum _MODE {
    KernelMode = 0,
    UserMode = 1,
    MaximumMode = 2,
} MODE;
typedef MODE *PMODE;

typedef union _LARGE_INTEGER {
    struct {
        ULONG LowPart;
        LONG HighPart;
    };
    struct {
        ULONG LowPart;
        LONG HighPart;
    } u;
    LONGLONG QuadPart;
} LARGE_INTEGER, *PLARGE_INTEGER, PHYSICAL_ADDRESS, *PPHYSICAL_ADDRESS;

typedef union _ULARGE_INTEGER {
    struct {
        ULONG LowPart;
        ULONG HighPart;
    };
    struct {
        ULONG LowPart;
        ULONG HighPart;
    } u;
    ULONGLONG QuadPart;
} ULARGE_INTEGER, *PULARGE_INTEGER;

typedef struct _LUID {
    ULONG LowPart;
    LONG HighPart;
} LUID, *PLUID;

typedef struct _GUID {
    ULONG Data1;
    USHORT Data2;
    USHORT Data3;
    UCHAR Data4[8];
} GUID, *LPGUID;
typedef const GUID *LPCGUID;

/* Length and MaximumLength are in bytes, without a terminator. */
typedef struct _UNICODE_STRING {
    USHORT Length;
    USHORT MaximumLength;
    PWCH Buffer;
} UNICODE_STRING, *PUNICODE_STRING;
typedef const UNICODE_STRING *PCUNICODE_STRING;

typedef struct _STRING {
    USHORT Length;
    USHORT MaximumLength;
    PCHAR Buffer;
} STRING, *PSTRING, ANSI_STRING, *PANSI_STRING;

typedef struct _LIST_ENTRY {
    struct _LIST_ENTRY *Flink;
    struct _LIST_ENTRY *Blink;
} LIST_ENTRY, *PLIST_ENTRY;

typedef struct _SINGLE_LIST_ENTRY {
    struct _SINGLE_LIST_ENTRY *Next;
} SINGLE_LIST_ENTRY, *PSINGLE_LIST_ENTRY;

typedef struct _PROCESSOR_NUMBER {
    USHORT Group;
    UCHAR Number;
    UCHAR Reserved;
} PROCESSOR_NUMBER, *PPROCESSOR_NUMBER;

typedef struct _GROUP_AFFINITY {
    KAFFINITY Mask;
    USHORT Group;
    USHORT Reserved[3];
} GROUP_AFFINITY, *PGROUP_AFFINITY;

/* IF_LUID is the user-mode name of the same union.  Fields of Info are NET_LUID_* bits of Info.Bits. */
typedef union _NET_LUID_LH {
    ULONG64 Value;
    struct {
        ULONG64 Bits;
    } Info;
} NET_LUID_LH, *PNET_LUID_LH, NET_LUID, *PNET_LUID, IF_LUID, *PIF_LUID;
#define NET_LUID_NET_LUID_INDEX       0x0000FFFFFF000000ULL
#define NET_LUID_NET_LUID_INDEX_SHIFT 24
#define NET_LUID_IF_TYPE              0xFFFF000000000000ULL
#define NET_LUID_IF_TYPE_SHIFT        48

typedef ULONG NET_IFINDEX, *PNET_IFINDEX, IF_INDEX, *PIF_INDEX;
typedef UINT16 NET_IFTYPE, *PNET_IFTYPE;
typedef ULONG NET_IF_COMPARTMENT_ID, *PNET_IF_COMPARTMENT_ID;
typedef GUID NET_IF_NETWORK_GUID, *PNET_IF_NETWORK_GUID;

/* Opaque kernel objects. */
typedef struct _KTHREAD *PKTHREAD, *PETHREAD;
typedef struct _KPROCESS *PKPROCESS, *PEPROCESS;
typedef struct _OBJECT_TYPE *POBJECT_TYPE;
typedef struct _DRIVER_OBJECT *PDRIVER_OBJECT;
typedef struct _DEVICE_OBJECT *PDEVICE_OBJECT;
typedef struct _FILE_OBJECT *PFILE_OBJECT;
typedef struct _IRP *PIRP;
typedef struct _MDL *PMDL;

#define FIELD_OFFSET(type, field)               ((LONG)offsetof(type, field))
#define CONTAINING_RECORD(address, type, field) ((type *)((PCHAR)(address) - offsetof(type, field)))
#define RTL_NUMBER_OF(array)                    (sizeof(array) / sizeof((array)[0]))

#endif
