/* Where the event loop's thread runs while there is little to do: on one processor that all quiet loops
 * share, as a network card's interrupts and NDIS's receive DPCs stay on one.  The system's scheduler would
 * rather take an idle processor for each wake, which must be woken from its halt by an interrupt between
 * processors, has cold caches, and leaves the next one as cold.
 *
 * Once a window of enough events (looking is a system call) it is looked at how long the thread ran or waited
 * for its processor (Linux, Documentation/scheduler/sched-stats.rst, /proc/PID/schedstat): above QUIET_MAX it
 * goes where the scheduler wants it. */
#include "internal.h"

#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_NS  10000000u
#define EVENTS_MIN 16u
#define QUIET_MIN  8u /* below an eighth of the window: quiet */
#define QUIET_MAX  4u /* above a quarter: busy; between: as before */
#define STATS_SIZE 96

static cpu_set_t allowed; /* what the process was started with */
static bool allowed_known;
static int quiet_cpu = -1, stats_fd = -1;
static bool staying;
static uint64_t window_start, window_used;
static unsigned window_events;

/* Nanoseconds that the thread ran or wanted to run. */
static bool read_used(uint64_t *used)
{
    char text[STATS_SIZE], *end;
    ssize_t length = pread(stats_fd, text, sizeof text - 1, 0);

    if (length <= 0)
        return false;
    text[length] = '\0';
    uint64_t ran = strtoull(text, &end, 10);
    if (end == text || *end != ' ')
        return false;
    *used = ran + strtoull(end, NULL, 10);
    return true;
}

static void stay(bool wanted)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET((unsigned)quiet_cpu, &one);
    /* refused (the processor went offline, another mask was forced on us): as if there were no such wish */
    staying = sched_setaffinity(0, sizeof one, wanted ? &one : &allowed) == 0 && wanted;
}

void idle_cpu_event(void)
{
    uint64_t now, used;

    if (quiet_cpu < 0 || ++window_events < EVENTS_MIN)
        return;
    now = sched_time_ns();
    if (now - window_start < WINDOW_NS || !read_used(&used))
        return;
    uint64_t share = used - window_used, window = now - window_start;
    window_start = now;
    window_used = used;
    window_events = 0;
    if (staying ? share > window / QUIET_MAX : share < window / QUIET_MIN)
        stay(!staying);
}

int sched_idle_cpu(int cpu)
{
    if (cpu == SCHED_IDLE_CPU_NONE)
        return 0;
    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0)
        return -errno;
    allowed_known = true;
    if (cpu == SCHED_IDLE_CPU_FIRST)
        for (cpu = 0; cpu < CPU_SETSIZE - 1 && !CPU_ISSET((unsigned)cpu, &allowed);)
            cpu++;
    if (cpu < 0 || cpu >= CPU_SETSIZE || !CPU_ISSET((unsigned)cpu, &allowed))
        return -EINVAL;
    stats_fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    if (stats_fd < 0)
        return 0; /* a kernel without these statistics: the scheduler decides, as ever */
    window_start = sched_time_ns();
    if (read_used(&window_used))
        quiet_cpu = cpu;
    return 0;
}

void idle_cpu_exempt(pthread_attr_t *attributes)
{
    if (allowed_known)
        pthread_attr_setaffinity_np(attributes, sizeof allowed, &allowed);
}

void idle_cpu_close(void)
{
    if (staying)
        stay(false);
    quiet_cpu = -1;
    allowed_known = false;
    if (stats_fd >= 0)
        close(stats_fd);
    stats_fd = -1;
}
