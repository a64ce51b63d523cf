/* What every part of the host shares: the mode, the outstanding-object counters, and the gate through which
 * the host calls into the driver.  Plain C types only, so that NT-facing and Linux-facing files can both
 * include it (those two worlds define the same names differently and never meet in one translation unit). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Set once before the image is loaded, read everywhere. */
struct host_options {
    bool verify;             /* imports go through checking thunks, pool has guard pages, ledgers are kept */
    unsigned cpus;           /* virtual CPUs, 1..64 */
    bool trace;              /* DbgPrint of the driver and state changes go to stderr */
    uint64_t fault_seed;     /* verify mode: 0 = no fault injection */
    const char *report_file; /* reports and final counters are appended to it as well; NULL = stderr only */
};
extern struct host_options host_options;

/* Objects that must all be gone after unload, counted in both modes (verify mode keeps ledgers as well). */
enum host_object {
    HOST_POOL,          /* pool allocations */
    HOST_NBL_SENT,      /* NET_BUFFER_LISTs handed to MiniportSendNetBufferLists, not yet completed */
    HOST_NBL_INDICATED, /* NET_BUFFER_LISTs indicated by the driver, not yet returned to it */
    HOST_NBL_POOL,      /* NBL/NB pools */
    HOST_NBL_OWN,       /* NBLs and NBs allocated from the driver's pools */
    HOST_DATAGRAM,      /* WSK datagram indications kept by the driver (STATUS_PENDING), not yet released */
    HOST_IRP,           /* IRPs allocated by the driver (IoAllocateIrp) */
    HOST_IRP_PENDING,   /* IRPs pending in a provider or in the driver */
    HOST_MDL,           /* MDLs allocated by the driver */
    HOST_TIMER,         /* timers in the queue */
    HOST_DPC,           /* DPCs queued */
    HOST_WORK_ITEM,     /* work items queued or allocated */
    HOST_THREAD,        /* system threads created by the driver and alive */
    HOST_HANDLE,        /* handles */
    HOST_OBJECT_REF,    /* references taken by ObReferenceObject* and not dropped */
    HOST_SOCKET,        /* WSK sockets */
    HOST_WSK_CLIENT,    /* WSK registrations and captured provider NPIs */
    HOST_NOTIFICATION,  /* MIB change notifications, processor and power callbacks */
    HOST_MIB_TABLE,     /* tables to be freed with FreeMibTable */
    HOST_DEVICE,        /* device objects and symbolic links made by the driver */
    HOST_OBJECT_KINDS
};

/* A snapshot of one kind: how many ever, how many now, the most at one time. */
struct host_count {
    uint64_t total;
    int64_t now;
    int64_t peak;
};

void host_count_add(enum host_object kind, int64_t delta); /* +n / -n; relaxed atomics, any thread */
struct host_count host_count_read(enum host_object kind);
const char *host_object_name(enum host_object kind);
/* Prints every kind that is not zero to stderr; returns how many kinds leak. */
unsigned host_count_report_leaks(void);

/* The gate: every call from the host into the driver stands between host_callback_begin and
 * host_callback_end. In fast mode they are one predictable branch.  In verify mode they record name and entry
 * state and check, on the way out, that the IRQL is what it was and that no lock acquired inside is still
 * held. */
struct host_callback {
    const char *name;
    struct host_callback *outer;
    uint64_t start_ns; /* of the thread's processor time, when entered at DISPATCH_LEVEL */
    uintptr_t stack;   /* where the driver's part of the stack begins */
    uint32_t locks_held;
    uint8_t irql;
};
void host_callback_begin_checked(struct host_callback *cb, const char *name);
void host_callback_end_checked(struct host_callback *cb);

static inline void host_callback_begin(struct host_callback *cb, const char *name)
{
    if (__builtin_expect(host_options.verify, 0))
        host_callback_begin_checked(cb, name);
}

static inline void host_callback_end(struct host_callback *cb)
{
    if (__builtin_expect(host_options.verify, 0))
        host_callback_end_checked(cb);
}

/* Messages of the host itself (stderr, one line, prefix "nthost: ").  Never used for secrets. */
void host_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void host_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints and ends the process with status 1; for start-up errors only. */
_Noreturn void host_fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));
