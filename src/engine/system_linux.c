/* Time, randomness and messages on Linux; the host's messages (host.h), which the edges write, go the same
 * way.
 */
#include "system.h"

#include "host.h"
#include "protocol/constants.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

/* Between 1601 and 1970 (Microsoft, "Converting a time_t value to a FILETIME"). */
#define UNIX_EPOCH_100NS UINT64_C(116444736000000000)

uint64_t system_time_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec + 1;
}

uint64_t system_utc_100ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return UNIX_EPOCH_100NS + (uint64_t)now.tv_sec * 10000000 + (uint64_t)now.tv_nsec / 100;
}

void system_random(void *buffer, size_t bytes)
{
    for (uint8_t *at = buffer; bytes;) {
        ssize_t got = getrandom(at, bytes, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            host_fatal("no randomness: getrandom: %s", strerror(errno));
        at += got;
        bytes -= (size_t)got;
    }
}

uint32_t system_jitter(void)
{
    uint32_t bits;
    system_random(&bits, sizeof(bits));
    return bits;
}

/* Limits of locked memory do not hold for whoever has CAP_IPC_LOCK (capabilities(7)). */
static bool may_lock_all(void)
{
    const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    return setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0 ||
           (syscall(SYS_capget, &header, data) == 0 && (data[0].effective & 1u << CAP_IPC_LOCK));
}

void system_protect_memory(void)
{
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    /* Within a limit, memory asked for later would fail: then rather nothing is locked. */
    if (may_lock_all())
        mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

/* ---- messages ---- */

bool log_verbose;
static bool detached;

void log_detached(void)
{
    openlog("wyrm-engine", LOG_PID, LOG_DAEMON);
    detached = true;
}

static void write_line(int priority, const char *format, va_list arguments)
{
    char line[512];
    vsnprintf(line, sizeof(line), format, arguments);
    if (detached)
        syslog(priority, "%s", line);
    else
        fprintf(stderr, "wyrm-engine: %s\n", line);
}

#define WRITE_LINE(priority, format)                                                                         \
    do {                                                                                                     \
        va_list arguments;                                                                                   \
        va_start(arguments, format);                                                                         \
        write_line(priority, format, arguments);                                                             \
        va_end(arguments);                                                                                   \
    } while (0)

void log_error(const char *format, ...)
{
    WRITE_LINE(LOG_ERR, format);
}

void log_info(const char *format, ...)
{
    if (log_verbose)
        WRITE_LINE(LOG_INFO, format);
}

void host_warn(const char *format, ...)
{
    WRITE_LINE(LOG_WARNING, format);
}

void host_fatal(const char *format, ...)
{
    WRITE_LINE(LOG_CRIT, format);
    exit(1);
}
