/*
 * NDIS 6: includes the miniport's subjects and adds NDIS's own services (configuration, memory, timers,
 * events, work items, spin locks, error log).
 */
#ifndef NT_NDIS_H
#define NT_NDIS_H

#include "ndis_miniport.h"
#include "ndis_nbl.h"
#include "ndis_offload.h"
#include "ndis_oid.h"

NTKERNELAPI UINT NTAPI NdisGetVersion(VOID);

/* --- configuration (the adapter's registry keys) --- */
typedef UNICODE_STRING NDIS_STRING, *PNDIS_STRING;

typedef enum _NDIS_PARAMETER_TYPE {
    NdisParameterInteger = 0,
    NdisParameterHexInteger = 1,
    NdisParameterString = 2,
    NdisParameterMultiString = 3,
    NdisParameterBinary = 4,
} NDIS_PARAMETER_TYPE;
typedef NDIS_PARAMETER_TYPE *PNDIS_PARAMETER_TYPE;

typedef struct _BINARY_DATA {
    USHORT Length;
    PVOID Buffer;
} BINARY_DATA;

typedef struct _NDIS_CONFIGURATION_PARAMETER {
    NDIS_PARAMETER_TYPE ParameterType;
    union {
        ULONG IntegerData;
        NDIS_STRING StringData;
        BINARY_DATA BinaryData;
    } ParameterData;
} NDIS_CONFIGURATION_PARAMETER, *PNDIS_CONFIGURATION_PARAMETER;

#define NDIS_CONFIGURATION_OBJECT_REVISION_1        1
#define NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1 0x14
typedef struct _NDIS_CONFIGURATION_OBJECT {
    NDIS_OBJECT_HEADER Header;
    NDIS_HANDLE NdisHandle;
    ULONG Flags;
} NDIS_CONFIGURATION_OBJECT, *PNDIS_CONFIGURATION_OBJECT;

NTKERNELAPI NDIS_STATUS NTAPI NdisOpenConfigurationEx(PNDIS_CONFIGURATION_OBJECT ConfigObject,
                                                      PNDIS_HANDLE ConfigurationHandle);
NTKERNELAPI VOID NTAPI NdisReadConfiguration(PNDIS_STATUS Status,
                                             PNDIS_CONFIGURATION_PARAMETER *ParameterValue,
                                             NDIS_HANDLE ConfigurationHandle, PNDIS_STRING Keyword,
                                             NDIS_PARAMETER_TYPE ParameterType);
NTKERNELAPI VOID NTAPI NdisReadNetworkAddress(PNDIS_STATUS Status, PVOID *NetworkAddress,
                                              PUINT NetworkAddressLength, NDIS_HANDLE ConfigurationHandle);
NTKERNELAPI VOID NTAPI NdisCloseConfiguration(NDIS_HANDLE ConfigurationHandle);

/* --- error log --- */
typedef ULONG NDIS_ERROR_CODE, *PNDIS_ERROR_CODE;
NTKERNELAPI VOID NTAPIV NdisWriteErrorLogEntry(NDIS_HANDLE NdisAdapterHandle, NDIS_ERROR_CODE ErrorCode,
                                               ULONG NumberOfErrorValues, ...);

/* --- memory --- */
NTKERNELAPI PVOID NTAPI NdisAllocateMemoryWithTagPriority(NDIS_HANDLE NdisHandle, UINT Length, ULONG Tag,
                                                          EX_POOL_PRIORITY Priority);
NTKERNELAPI VOID NTAPI NdisFreeMemory(PVOID VirtualAddress, UINT Length, UINT MemoryFlags);

/* --- timers: DueTime in 100 ns, negative = relative --- */
typedef VOID NTAPI NDIS_TIMER_FUNCTION(PVOID SystemSpecific1, PVOID FunctionContext, PVOID SystemSpecific2,
                                       PVOID SystemSpecific3);
typedef NDIS_TIMER_FUNCTION *PNDIS_TIMER_FUNCTION;
#define NDIS_TIMER_CHARACTERISTICS_REVISION_1        1
#define NDIS_SIZEOF_TIMER_CHARACTERISTICS_REVISION_1 0x18
typedef struct _NDIS_TIMER_CHARACTERISTICS {
    NDIS_OBJECT_HEADER Header;
    ULONG AllocationTag;
    PNDIS_TIMER_FUNCTION TimerFunction;
    PVOID FunctionContext;
} NDIS_TIMER_CHARACTERISTICS, *PNDIS_TIMER_CHARACTERISTICS;

NTKERNELAPI NDIS_STATUS NTAPI NdisAllocateTimerObject(NDIS_HANDLE NdisHandle,
                                                      PNDIS_TIMER_CHARACTERISTICS TimerCharacteristics,
                                                      PNDIS_HANDLE pTimerObject);
NTKERNELAPI BOOLEAN NTAPI NdisSetTimerObject(NDIS_HANDLE TimerObject, LARGE_INTEGER DueTime,
                                             LONG MillisecondsPeriod, PVOID FunctionContext);
NTKERNELAPI BOOLEAN NTAPI NdisCancelTimerObject(NDIS_HANDLE TimerObject);
NTKERNELAPI VOID NTAPI NdisFreeTimerObject(NDIS_HANDLE TimerObject);

/* --- spin locks: Microsoft's NDIS 6 headers inline these over Ke functions; ndis.sys exports them as well
 * --- */
typedef struct _NDIS_SPIN_LOCK {
    KSPIN_LOCK SpinLock;
    KIRQL OldIrql;
} NDIS_SPIN_LOCK, *PNDIS_SPIN_LOCK;
NTKERNELAPI VOID NTAPI NdisAllocateSpinLock(PNDIS_SPIN_LOCK SpinLock);
NTKERNELAPI VOID NTAPI NdisFreeSpinLock(PNDIS_SPIN_LOCK SpinLock);
NTKERNELAPI VOID NTAPI NdisAcquireSpinLock(PNDIS_SPIN_LOCK SpinLock);
NTKERNELAPI VOID NTAPI NdisReleaseSpinLock(PNDIS_SPIN_LOCK SpinLock);
NTKERNELAPI VOID NTAPI NdisDprAcquireSpinLock(PNDIS_SPIN_LOCK SpinLock);
NTKERNELAPI VOID NTAPI NdisDprReleaseSpinLock(PNDIS_SPIN_LOCK SpinLock);

/* --- events and sleeping --- */
typedef struct _NDIS_EVENT {
    KEVENT Event;
} NDIS_EVENT, *PNDIS_EVENT;
NTKERNELAPI VOID NTAPI NdisInitializeEvent(PNDIS_EVENT Event);
NTKERNELAPI VOID NTAPI NdisSetEvent(PNDIS_EVENT Event);
NTKERNELAPI VOID NTAPI NdisResetEvent(PNDIS_EVENT Event);
NTKERNELAPI BOOLEAN NTAPI NdisWaitEvent(PNDIS_EVENT Event, UINT MsToWait);
NTKERNELAPI VOID NTAPI NdisMSleep(ULONG MicrosecondsToSleep);

/* --- work items --- */
typedef VOID NTAPI NDIS_IO_WORKITEM(PVOID WorkItemContext, NDIS_HANDLE NdisIoWorkItemHandle);
typedef NDIS_IO_WORKITEM *NDIS_IO_WORKITEM_ROUTINE;
NTKERNELAPI NDIS_HANDLE NTAPI NdisAllocateIoWorkItem(NDIS_HANDLE NdisObjectHandle);
NTKERNELAPI VOID NTAPI NdisQueueIoWorkItem(NDIS_HANDLE NdisIoWorkItemHandle, NDIS_IO_WORKITEM_ROUTINE Routine,
                                           PVOID WorkItemContext);
NTKERNELAPI VOID NTAPI NdisFreeIoWorkItem(NDIS_HANDLE NdisIoWorkItemHandle);

#endif
