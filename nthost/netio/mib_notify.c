/* IP helper: change notifications.  rtnetlink tells the loop thread; callbacks run at PASSIVE_LEVEL on a
 * thread of their own, because they may wait for locks of the driver. The thread lives while something is
 * registered. Changes that come faster than callbacks run are merged per interface. A row names the interface
 * only. */
#include "mib_internal.h"
#include "sched/sched.h"
#include "verify/verify.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PENDING_MAX     16u
#define CANCEL_LIMIT_NS (30ull * 1000000000)
#define CANCEL_POLL_NS  1000000ull

enum kind { KIND_ROUTE, KIND_INTERFACE, KIND_ADDRESS };

struct registration {
    struct registration *next;
    enum kind kind;
    ADDRESS_FAMILY family;
    void *callback;
    void *context;
    bool initial; /* MibInitialNotification is still due */
    bool running;
    unsigned pending; /* entries of ifindex[] */
    uint32_t ifindex[PENDING_MAX];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct registration *registrations;
static bool subscribed; /* to the edge; once, for good */

struct notifier { /* the thread that calls */
    struct sched_thread *thread;
    bool stopping;
};
static struct notifier *notifier;

static void call(const struct registration *r, bool initial, uint32_t ifindex)
{
    MIB_NOTIFICATION_TYPE type = initial ? MibInitialNotification : MibParameterNotification;
    struct host_callback cb;
    uint16_t link_type = 0;
    NET_LUID luid = {0};

    if (!initial && ifindex && mib_link_type(ifindex, &link_type))
        luid = mib_luid(ifindex, link_type);
    host_callback_begin(&cb, "MIB change callback");
    switch (r->kind) {
    case KIND_ROUTE: {
        MIB_IPFORWARD_ROW2 row = {.InterfaceLuid = luid, .InterfaceIndex = ifindex};

        ((PIPFORWARD_CHANGE_CALLBACK)r->callback)(r->context, initial ? NULL : &row, type);
        break;
    }
    case KIND_INTERFACE: {
        MIB_IPINTERFACE_ROW row = {.Family = r->family, .InterfaceLuid = luid, .InterfaceIndex = ifindex};

        if (row.Family == AF_UNSPEC)
            row.Family = AF_INET;
        ((PIPINTERFACE_CHANGE_CALLBACK)r->callback)(r->context, initial ? NULL : &row, type);
        break;
    }
    case KIND_ADDRESS: {
        MIB_UNICASTIPADDRESS_ROW row = {.InterfaceLuid = luid, .InterfaceIndex = ifindex};

        ((PUNICAST_IPADDRESS_CHANGE_CALLBACK)r->callback)(r->context, initial ? NULL : &row, type);
        break;
    }
    }
    host_callback_end(&cb);
}

/* Takes the next due callback; NULL if there is none. The caller holds the lock. */
static struct registration *take_due(bool *initial, uint32_t *ifindex)
{
    for (struct registration *r = registrations; r; r = r->next) {
        if (r->initial) {
            r->initial = false;
            *initial = true;
            *ifindex = 0;
            return r;
        }
        if (r->pending) {
            *initial = false;
            *ifindex = r->ifindex[0];
            memmove(r->ifindex, r->ifindex + 1, --r->pending * sizeof *r->ifindex);
            return r;
        }
    }
    return NULL;
}

static void notify_thread(void *context)
{
    const struct notifier *self = context;

    for (;;) {
        struct registration *r;
        uint32_t ifindex;
        bool initial;

        pthread_mutex_lock(&lock);
        if (self->stopping) {
            pthread_mutex_unlock(&lock);
            return;
        }
        r = take_due(&initial, &ifindex);
        if (r)
            r->running = true;
        pthread_mutex_unlock(&lock);
        if (!r) {
            sched_block(SCHED_FOREVER);
            continue;
        }
        call(r, initial, ifindex);
        pthread_mutex_lock(&lock);
        r->running = false; /* Cancel, which frees it, waits for this */
        pthread_mutex_unlock(&lock);
    }
}

static void add_pending(struct registration *r, uint32_t ifindex)
{
    for (unsigned i = 0; i < r->pending; i++)
        if (r->ifindex[i] == ifindex)
            return;
    if (r->pending < PENDING_MAX)
        r->ifindex[r->pending++] = ifindex;
}

/* On the loop thread. */
static void changed(void *context, unsigned mask, uint32_t ifindex)
{
    static const unsigned interests[] = {
        [KIND_ROUTE] = NET_CHANGED_ROUTE | NET_CHANGED_LINK | NET_CHANGED_ADDRESS, /* routes go with them */
        [KIND_INTERFACE] = NET_CHANGED_LINK,
        [KIND_ADDRESS] = NET_CHANGED_ADDRESS,
    };
    bool due = false;

    pthread_mutex_lock(&lock);
    for (struct registration *r = registrations; r; r = r->next)
        if (mask & interests[r->kind]) {
            add_pending(r, ifindex);
            due = true;
        }
    if (due && notifier)
        sched_wake(notifier->thread);
    pthread_mutex_unlock(&lock);
}

/* The caller holds the lock. */
static struct notifier *notifier_start(void)
{
    struct notifier *new = calloc(1, sizeof *new);

    if (!new)
        return NULL;
    new->thread = sched_thread_create("mib-notify", notify_thread, new);
    if (!new->thread) {
        free(new);
        return NULL;
    }
    return new;
}

static NTSTATUS add(enum kind kind, ADDRESS_FAMILY family, void *callback, void *context, bool initial,
                    HANDLE *handle)
{
    struct registration *r;
    bool subscribe;

    if (!handle || !callback || mib_family(family) == 0xff)
        return STATUS_INVALID_PARAMETER;
    *handle = NULL;
    r = calloc(1, sizeof *r);
    if (!r)
        return STATUS_INSUFFICIENT_RESOURCES;
    r->kind = kind;
    r->family = family;
    r->callback = callback;
    r->context = context;
    r->initial = initial;
    pthread_mutex_lock(&lock);
    if (!notifier)
        notifier = notifier_start();
    if (!notifier) {
        pthread_mutex_unlock(&lock);
        free(r);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    r->next = registrations;
    registrations = r;
    subscribe = !subscribed;
    subscribed = true;
    sched_wake(notifier->thread);
    pthread_mutex_unlock(&lock);
    /* Not under the lock: changed() takes it while the edge holds its list of subscribers. */
    if (subscribe && net_subscribe(changed, NULL) != 0)
        host_warn("changes of routes and interfaces cannot be watched");
    host_count_add(HOST_NOTIFICATION, 1);
    if (host_options.verify)
        ledger_add(HOST_NOTIFICATION, r, OWNER_DRIVER, "MIB change notification");
    *handle = r;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI NotifyRouteChange2(ADDRESS_FAMILY AddressFamily, PIPFORWARD_CHANGE_CALLBACK Callback,
                                  PVOID CallerContext, BOOLEAN InitialNotification,
                                  HANDLE *NotificationHandle)
{
    return add(KIND_ROUTE, AddressFamily, (void *)Callback, CallerContext, InitialNotification,
               NotificationHandle);
}

NTSTATUS NTAPI NotifyIpInterfaceChange(ADDRESS_FAMILY Family, PIPINTERFACE_CHANGE_CALLBACK Callback,
                                       PVOID CallerContext, BOOLEAN InitialNotification,
                                       HANDLE *NotificationHandle)
{
    return add(KIND_INTERFACE, Family, (void *)Callback, CallerContext, InitialNotification,
               NotificationHandle);
}

NTSTATUS NTAPI NotifyUnicastIpAddressChange(ADDRESS_FAMILY Family,
                                            PUNICAST_IPADDRESS_CHANGE_CALLBACK Callback, PVOID CallerContext,
                                            BOOLEAN InitialNotification, HANDLE *NotificationHandle)
{
    return add(KIND_ADDRESS, Family, (void *)Callback, CallerContext, InitialNotification,
               NotificationHandle);
}

/* Waits for a callback that runs, except when called by it (which on Windows never returns: reported). */
static void wait_idle(struct registration *r)
{
    uint64_t limit = sched_time_ns() + CANCEL_LIMIT_NS;

    for (;;) {
        bool running;

        pthread_mutex_lock(&lock);
        running = r->running;
        pthread_mutex_unlock(&lock);
        if (!running)
            return;
        if (sched_time_ns() > limit) {
            if (host_options.verify)
                verify_report(
                    RULE_NOTIFICATION,
                    "CancelMibChangeNotify2 has waited 30 s for a callback: is a lock held that it takes?");
            limit = SCHED_FOREVER;
        }
        sched_block(sched_time_ns() + CANCEL_POLL_NS);
    }
}

NTSTATUS NTAPI CancelMibChangeNotify2(HANDLE NotificationHandle)
{
    struct registration *r = NotificationHandle, **link;
    struct notifier *ended = NULL;
    bool inside;

    pthread_mutex_lock(&lock);
    for (link = &registrations; *link && *link != r; link = &(*link)->next)
        ;
    if (!r || !*link) {
        pthread_mutex_unlock(&lock);
        if (host_options.verify)
            verify_report(RULE_NOTIFICATION, "CancelMibChangeNotify2: %p is not registered",
                          NotificationHandle);
        return STATUS_INVALID_PARAMETER;
    }
    inside = notifier && notifier->thread == sched_self();
    if (inside && r->running) {
        pthread_mutex_unlock(&lock);
        if (host_options.verify)
            verify_report(RULE_NOTIFICATION, "CancelMibChangeNotify2 inside its own callback waits for ever");
        host_warn("CancelMibChangeNotify2 inside its own callback");
        return STATUS_INVALID_DEVICE_STATE;
    }
    *link = r->next;
    if (!registrations && notifier && !inside) {
        ended = notifier;
        notifier = NULL;
        ended->stopping = true;
        sched_wake(ended->thread);
    }
    pthread_mutex_unlock(&lock);
    wait_idle(r);
    if (ended) {
        sched_thread_join(ended->thread);
        free(ended);
    }
    host_count_add(HOST_NOTIFICATION, -1);
    if (host_options.verify)
        ledger_remove(HOST_NOTIFICATION, r, OWNER_DRIVER, RULE_NOTIFICATION);
    free(r);
    return STATUS_SUCCESS;
}
