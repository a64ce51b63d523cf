/* The counters and messages that every part of the host shares (host.h).  A counter is two monotonic numbers,
 * so that the hot path pays one uncontended atomic addition per change; "now" is their difference. */
#include "host.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct host_options host_options = {.cpus = 1};

static struct {
    _Alignas(64) uint64_t added;
    uint64_t removed;
    int64_t peak;
} counters[HOST_OBJECT_KINDS];

static const char *const names[HOST_OBJECT_KINDS] = {
    [HOST_POOL] = "pool allocations",
    [HOST_NBL_SENT] = "NBLs in the driver's send path",
    [HOST_NBL_INDICATED] = "indicated NBLs not returned",
    [HOST_NBL_POOL] = "NBL and NB pools",
    [HOST_NBL_OWN] = "NBLs and NBs of the driver",
    [HOST_DATAGRAM] = "kept datagram indications",
    [HOST_IRP] = "IRPs",
    [HOST_IRP_PENDING] = "pending IRPs",
    [HOST_MDL] = "MDLs",
    [HOST_TIMER] = "queued timers",
    [HOST_DPC] = "queued DPCs",
    [HOST_WORK_ITEM] = "work items",
    [HOST_THREAD] = "system threads",
    [HOST_HANDLE] = "handles",
    [HOST_OBJECT_REF] = "object references",
    [HOST_SOCKET] = "WSK sockets",
    [HOST_WSK_CLIENT] = "WSK registrations",
    [HOST_NOTIFICATION] = "registered notifications",
    [HOST_MIB_TABLE] = "MIB tables",
    [HOST_DEVICE] = "devices and symbolic links",
};

/* The pool of fast mode is malloc, and the data path's blocks (tens of kilobytes) come and go.  By default
 * the C library maps, or trims and faults in again, such memory each time; a driver that allocated per batch
 * lost more than half of its throughput to that. */
__attribute__((constructor)) static void keep_freed_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 32 << 20); /* the most that the C library accepts */
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    mallopt(M_TOP_PAD, 1 << 20);
}

void host_count_add(enum host_object kind, int64_t delta)
{
    if (delta < 0) {
        __atomic_fetch_add(&counters[kind].removed, (uint64_t)-delta, __ATOMIC_RELAXED);
        return;
    }
    uint64_t added = __atomic_add_fetch(&counters[kind].added, (uint64_t)delta, __ATOMIC_RELAXED);
    int64_t now = (int64_t)(added - __atomic_load_n(&counters[kind].removed, __ATOMIC_RELAXED));
    int64_t peak = __atomic_load_n(&counters[kind].peak, __ATOMIC_RELAXED);
    while (now > peak && !__atomic_compare_exchange_n(&counters[kind].peak, &peak, now, true,
                                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

struct host_count host_count_read(enum host_object kind)
{
    /* removed first: a concurrent add/remove pair may then be seen half, but never as a negative number */
    uint64_t removed = __atomic_load_n(&counters[kind].removed, __ATOMIC_ACQUIRE);
    uint64_t added = __atomic_load_n(&counters[kind].added, __ATOMIC_ACQUIRE);
    return (struct host_count){.total = added,
                               .now = (int64_t)(added - removed),
                               .peak = __atomic_load_n(&counters[kind].peak, __ATOMIC_RELAXED)};
}

const char *host_object_name(enum host_object kind)
{
    return kind < HOST_OBJECT_KINDS ? names[kind] : "unknown";
}

unsigned host_count_report_leaks(void)
{
    unsigned kinds = 0;
    for (unsigned kind = 0; kind < HOST_OBJECT_KINDS; kind++) {
        struct host_count count = host_count_read(kind);
        if (count.now == 0)
            continue;
        host_warn("left behind: %lld %s (%llu in all, at most %lld at a time)", (long long)count.now,
                  names[kind], (unsigned long long)count.total, (long long)count.peak);
        kinds++;
    }
    return kinds;
}

/* One write() per line, so that lines of several threads do not mix. */
__attribute__((format(printf, 1, 0))) static void print_line(const char *format, va_list arguments)
{
    static const char prefix[] = "nthost: ";
    char line[1024];
    size_t length = sizeof(prefix) - 1;
    __builtin_memcpy(line, prefix, length);
    int wanted = vsnprintf(line + length, sizeof(line) - length - 1, format, arguments);
    if (wanted > 0)
        length += (size_t)wanted < sizeof(line) - length - 1 ? (size_t)wanted : sizeof(line) - length - 2;
    line[length++] = '\n';
    for (size_t at = 0; at < length;) {
        ssize_t written = write(STDERR_FILENO, line + at, length - at);
        if (written <= 0)
            break;
        at += (size_t)written;
    }
}

void host_info(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_line(format, arguments);
    va_end(arguments);
}

void host_warn(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_line(format, arguments);
    va_end(arguments);
}

_Noreturn void host_fatal(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_line(format, arguments);
    va_end(arguments);
    exit(1);
}
