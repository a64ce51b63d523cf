/* Completion of WSK requests.  The caller's completion routine sits in the IRP's next stack location; it may
 * free the IRP, so nothing is touched after completion. Fast mode completes inline. Verify mode rolls dice
 * between completing inline and returning the status, completing inline and returning STATUS_PENDING, and
 * completing later on the loop thread, at PASSIVE_LEVEL or DISPATCH_LEVEL. */
#include "io/request.h"
#include "nt/io.h"
#include "sched/sim.h"
#include "wsk_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

void wsk_irp_accept(IRP *irp, const char *function)
{
    if (!host_options.verify)
        return;
    if (!irp)
        verify_report(RULE_IRP_STACK_LOCATION, "%s: no IRP", function);
    if (irp->StackCount < 1 || irp->CurrentLocation <= 1)
        verify_report(RULE_IRP_STACK_LOCATION, "%s: IRP %p has no free stack location (%d of %d)", function,
                      (void *)irp, irp->CurrentLocation - 1, irp->StackCount);
    if (!IoGetNextIrpStackLocation(irp)->CompletionRoutine)
        verify_report(RULE_IRP_STACK_LOCATION, "%s: IRP %p has no completion routine", function, (void *)irp);
    if (irp->AllocationFlags & IRP_FROM_DRIVER)
        ledger_move(HOST_IRP, irp, OWNER_DRIVER, OWNER_WSK, RULE_IRP_NOT_OWNED);
}

void wsk_irp_complete(IRP *irp, NTSTATUS status, ULONG_PTR information)
{
    if (host_options.verify && (irp->AllocationFlags & IRP_FROM_DRIVER))
        ledger_move(HOST_IRP, irp, OWNER_WSK, OWNER_DRIVER, RULE_IRP_NOT_OWNED);
    IoSetNextIrpStackLocation(irp);
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IofCompleteRequest(irp, 0);
}

void wsk_irp_pend(IRP *irp)
{
    IoGetNextIrpStackLocation(irp)->Control |= SL_PENDING_RETURNED;
    host_count_add(HOST_IRP_PENDING, 1);
}

void wsk_irp_complete_pended(IRP *irp, NTSTATUS status, ULONG_PTR information)
{
    host_count_add(HOST_IRP_PENDING, -1);
    wsk_irp_complete(irp, status, information);
}

#define LATE_NS 50000

struct late_completion {
    IRP *irp;
    NTSTATUS status;
    ULONG_PTR information;
    bool raised;
};

static void complete_late(void *context)
{
    struct late_completion *late = context;
    /* This thread may have taken the caller's processor at once: sometimes the caller is to go on first. */
    if (!sim_active && dice_chance(8))
        nanosleep(&(struct timespec){.tv_nsec = LATE_NS}, NULL);
    uint8_t irql = late->raised ? sched_irql_raise(SCHED_DISPATCH) : 0;

    wsk_irp_complete_pended(late->irp, late->status, late->information);
    if (late->raised)
        sched_irql_lower(irql);
    free(late);
}

NTSTATUS wsk_irp_result(IRP *irp, NTSTATUS status, ULONG_PTR information)
{
    struct late_completion *late;

    if (!host_options.verify || dice_chance(3)) {
        wsk_irp_complete(irp, status, information);
        return status;
    }
    late = dice_chance(2) ? malloc(sizeof *late) : NULL;
    wsk_irp_pend(irp);
    if (late) {
        *late = (struct late_completion){irp, status, information, dice_chance(2)};
        loop_post(complete_late, late);
    } else {
        wsk_irp_complete_pended(irp, status, information);
    }
    return STATUS_PENDING;
}

NTSTATUS wsk_status_of(int error)
{
    switch (-error) {
    case 0:
        return STATUS_SUCCESS;
    case ENOMEM:
    case ENOBUFS:
        return STATUS_INSUFFICIENT_RESOURCES;
    case EADDRINUSE:
        return STATUS_ADDRESS_ALREADY_EXISTS;
    case EADDRNOTAVAIL:
        return STATUS_INVALID_ADDRESS_COMPONENT;
    case EACCES:
    case EPERM:
        return STATUS_ACCESS_DENIED;
    case ENETUNREACH:
    case ENETDOWN:
        return STATUS_NETWORK_UNREACHABLE;
    case EHOSTUNREACH:
    case EHOSTDOWN:
        return STATUS_HOST_UNREACHABLE;
    case EMSGSIZE:
        return STATUS_INVALID_BUFFER_SIZE;
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
    case EOPNOTSUPP:
        return STATUS_NOT_SUPPORTED;
    case EINVAL:
        return STATUS_INVALID_PARAMETER;
    default:
        return STATUS_UNSUCCESSFUL;
    }
}
