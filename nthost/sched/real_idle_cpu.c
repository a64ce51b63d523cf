/* Where the event loop's thread runs while there is little to do: on one processor that all quiet loops
 * share, as a network card's interrupts and NDIS's receive DPCs stay on one.  The system's scheduler would
 * rather take an idle processor for each wake, which must be woken from its halt by an interrupt between
 * processors, has cold caches, and leaves the next one as cold.
 *
 * Now and then (looking is a system call) it is looked at how long the thread ran or waited for its processor
 * (Linux, Documentation/scheduler/sched-stats.rst, /proc/PID/schedstat): above QUIET_MAX it goes where the
 * scheduler wants it.  Once somebody else has chosen processors for the thread, that stands. */
#include "internal.h"

#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>

#define WINDOW_NS  10000000u
#define WAKES_MIN  16u
#define QUIET_MIN  8u /* below an eighth of the window: quiet */
#define QUIET_MAX  4u /* above a quarter: busy; between: as before */
#define STATS_SIZE 96

static cpu_set_t anywhere; /* what the process was started with */
static int quiet_cpu = -1, stats_fd = -1;
static bool staying;
static uint64_t window_start, window_used;
static unsigned window_wakes;

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

bool (*idle_cpu_used)(uint64_t *used) = read_used;

static cpu_set_t wanted_set(bool stays)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET((unsigned)quiet_cpu, &one);
    return stays ? one : anywhere;
}

static void stay(bool stays)
{
    cpu_set_t before = wanted_set(staying), after = wanted_set(stays), now;

    if (sched_getaffinity(0, sizeof now, &now) < 0 || !CPU_EQUAL(&now, &before)) {
        host_info("the event loop's processors were chosen by somebody else: --idle-cpu no longer applies");
        staying = false;
        quiet_cpu = -1;
    } else if (sched_setaffinity(0, sizeof after, &after) == 0) {
        staying = stays;
    } /* else refused (the processor went offline): as before, and asked again */
}

void idle_cpu_woken(void)
{
    uint64_t now, used;

    if (quiet_cpu < 0 || ++window_wakes < WAKES_MIN)
        return;
    now = sched_time_ns();
    if (now - window_start < WINDOW_NS || !idle_cpu_used(&used))
        return;
    uint64_t share = used - window_used, window = now - window_start;
    window_start = now;
    window_used = used;
    window_wakes = 0;
    if (staying ? share > window / QUIET_MAX : share < window / QUIET_MIN)
        stay(!staying);
}

bool sched_idle_cpu_allowed(int cpu)
{
    cpu_set_t set;

    return cpu >= 0 && cpu <= SCHED_IDLE_CPU_MAX && sched_getaffinity(0, sizeof set, &set) == 0 &&
           CPU_ISSET((unsigned)cpu, &set);
}

int sched_idle_cpu(int cpu)
{
    if (cpu == SCHED_IDLE_CPU_FIRST)
        for (cpu = 0; cpu <= SCHED_IDLE_CPU_MAX && !sched_idle_cpu_allowed(cpu);)
            cpu++;
    else if (cpu != SCHED_IDLE_CPU_NONE && !sched_idle_cpu_allowed(cpu))
        return -EINVAL;
    idle_cpu_close();
    if (cpu == SCHED_IDLE_CPU_NONE || cpu > SCHED_IDLE_CPU_MAX ||
        sched_getaffinity(0, sizeof anywhere, &anywhere) < 0)
        return 0;
    stats_fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    window_start = sched_time_ns();
    window_wakes = 0;
    /* a kernel without these statistics: the scheduler decides, as ever */
    if (idle_cpu_used(&window_used))
        quiet_cpu = cpu;
    return 0;
}

void idle_cpu_exempt(pthread_attr_t *attributes)
{
    if (loop_is_self() && staying)
        pthread_attr_setaffinity_np(attributes, sizeof anywhere, &anywhere);
}

void idle_cpu_close(void)
{
    if (staying)
        stay(false);
    staying = false;
    quiet_cpu = -1;
    if (stats_fd >= 0)
        close(stats_fd);
    stats_fd = -1;
}
