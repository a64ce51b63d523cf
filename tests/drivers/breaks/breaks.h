/*
 * One driver image, many drivers: it is loaded under the name of the rule break that it is to do (the
 * service's name in RegistryPath, which is the file's name) and is a correct little miniport apart from that.
 * A break fills in the moments at which it acts; every other moment behaves well.
 */
#pragma once

#include <nt/ex.h>
#include <nt/io.h>
#include <nt/ke.h>
#include <nt/mm.h>
#include <nt/ndis.h>
#include <nt/ob_ps_se.h>
#include <nt/rtl.h>

#define BREAKS_TAG 0x6b617242u /* "Brak" */
/* The function that breaks the rule has to be seen on the stack. */
#define BREAKS __attribute__((noinline, disable_tail_calls))

struct adapter {
    NDIS_HANDLE handle;
    ULONG packet_filter;
    BOOLEAN running;
};

struct rule_break {
    const char *name;
    /* At PASSIVE_LEVEL in MiniportRestart. */
    VOID (*passive)(struct adapter *adapter);
    /* Instead of the right registration of attributes. */
    NDIS_STATUS (*initialize)(struct adapter *adapter);
    /* TRUE: the chain was taken care of. */
    BOOLEAN (*send)(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags);
    VOID (*returned)(struct adapter *adapter, PNET_BUFFER_LIST chain);
    NDIS_STATUS (*restart)(struct adapter *adapter); /* after `passive` */
    NDIS_STATUS (*pause)(struct adapter *adapter);
    /* TRUE: *status is the answer. */
    BOOLEAN (*oid)(struct adapter *adapter, PNDIS_OID_REQUEST request, NDIS_STATUS *status);
    VOID (*halt)(struct adapter *adapter);
    VOID (*unload)(VOID);
    /* An IRP_MJ_DEVICE_CONTROL, at its start not yet completed. */
    NTSTATUS (*control)(PDEVICE_OBJECT device, PIRP irp);
};

extern const struct rule_break pool_breaks[], irql_breaks[], lock_breaks[], object_breaks[], irp_breaks[],
    ndis_breaks[], offload_breaks[], wsk_breaks[];

extern PDRIVER_OBJECT breaks_driver;
extern NDIS_HANDLE breaks_ndis;

NDIS_STATUS set_registration_attributes(struct adapter *adapter);
NDIS_STATUS set_general_attributes(struct adapter *adapter);
NTSTATUS complete_irp(PIRP irp, NTSTATUS status, ULONG_PTR information);
VOID complete_chain(struct adapter *adapter, PNET_BUFFER_LIST chain, ULONG flags);
VOID sleep_ms(LONG ms);
/* Called by optimisers never: keeps a value from being thrown away. */
static inline VOID keep(const volatile void *value)
{
    __asm__ volatile("" : : "r"(value) : "memory");
}
/* Code that only DriverEntry may call. */
ULONG init_only(ULONG value);
extern ULONG (*volatile init_only_pointer)(ULONG value);
