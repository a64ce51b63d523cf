/* The processor that the event loop stays on while there is little to do (sched_idle_cpu).  The thread's
 * statistics are made up, so that a busy machine changes nothing; that the real ones grow is looked at once.
 */
#include "sched/internal.h"
#include "support.h"

#include "check.h"

#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define WAKES 100

static int event_fd;
static cpu_set_t all, loop_set, thread_set, chosen;
static uint64_t made_up_used, made_up_at;
static unsigned percent; /* of the time that passes, the thread is said to run */
static KEVENT callback_done;
static bool (*real_used)(uint64_t *used);

static bool made_up(uint64_t *used)
{
    uint64_t now = sched_time_ns();
    made_up_used += (now - made_up_at) * percent / 100;
    made_up_at = now;
    *used = made_up_used;
    return true;
}

static void on_event(void *context, uint32_t events)
{
    uint64_t value;
    EXPECT(read(event_fd, &value, sizeof(value)) == sizeof(value));
    EXPECT(sched_getaffinity(0, sizeof(loop_set), &loop_set) == 0);
    KeSetEvent(&callback_done, 0, FALSE);
}

/* Wakes the loop while it has so much to do, for several windows; then its processors are in loop_set. */
static void wake_often(unsigned percent_of_time)
{
    uint64_t one = 1;
    percent = percent_of_time;
    for (unsigned i = 0; i < WAKES; i++) {
        EXPECT(write(event_fd, &one, sizeof(one)) == sizeof(one));
        EXPECT(KeWaitForSingleObject(&callback_done, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
        sleep_ms(1);
    }
}

static void on_loop(void (*function)(void *context))
{
    loop_post(function, NULL);
    EXPECT(KeWaitForSingleObject(&callback_done, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
}

static VOID NTAPI look_around(PVOID context)
{
    EXPECT(sched_getaffinity(0, sizeof(thread_set), &thread_set) == 0);
}

static struct crew started;

static void start_thread(void *context)
{
    crew_start(&started, 1, look_around, NULL);
    KeSetEvent(&callback_done, 0, FALSE);
}

static void set_affinity(void *context)
{
    EXPECT(sched_setaffinity(0, sizeof(chosen), &chosen) == 0);
    KeSetEvent(&callback_done, 0, FALSE);
}

static void choose_again(void *context)
{
    EXPECT(sched_idle_cpu(SCHED_IDLE_CPU_FIRST) == 0);
    KeSetEvent(&callback_done, 0, FALSE);
}

static cpu_set_t only(bool last)
{
    cpu_set_t set;
    unsigned found = CPU_SETSIZE;
    for (unsigned i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &all) && (last || found == CPU_SETSIZE))
            found = i;
    CPU_ZERO(&set);
    CPU_SET(found, &set);
    return set;
}

/* On the loop's thread, before it serves. */
void test_idle_cpu_choice(void)
{
    unsigned outside = 0;
    uint64_t before, after;
    EXPECT(sched_getaffinity(0, sizeof(all), &all) == 0);
    while (outside < CPU_SETSIZE - 1 && CPU_ISSET(outside, &all))
        outside++;
    EXPECT(!sched_idle_cpu_allowed((int)outside) && !sched_idle_cpu_allowed(CPU_SETSIZE));
    EXPECT(sched_idle_cpu((int)outside) == -EINVAL);
    EXPECT(sched_idle_cpu(-3) == -EINVAL && sched_idle_cpu(CPU_SETSIZE) == -EINVAL);
    EXPECT(sched_idle_cpu(SCHED_IDLE_CPU_NONE) == 0);
    EXPECT(sched_idle_cpu(SCHED_IDLE_CPU_FIRST) == 0);
    EXPECT(idle_cpu_used(&before));
    for (uint64_t end = now_ms() + 50; now_ms() < end;)
        ;
    EXPECT(idle_cpu_used(&after) && after > before + 10000000u); /* ran or waited, what else */
    real_used = idle_cpu_used;
    idle_cpu_used = made_up;
    made_up_at = sched_time_ns();
    EXPECT(sched_idle_cpu(SCHED_IDLE_CPU_FIRST) == 0);
}

void test_idle_cpu(void)
{
    if (CPU_COUNT(&all) < 2) {
        check_skipped++; /* nothing to choose */
        return;
    }
    cpu_set_t one = only(false);
    KeInitializeEvent(&callback_done, SynchronizationEvent, FALSE);
    event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    EXPECT(event_fd >= 0 && loop_add(event_fd, EPOLLIN, on_event, NULL) == 0);
    wake_often(40);
    EXPECT(CPU_EQUAL(&loop_set, &all));
    wake_often(18); /* neither quiet nor busy: as before */
    EXPECT(CPU_EQUAL(&loop_set, &all));
    wake_often(5);
    EXPECT(CPU_EQUAL(&loop_set, &one));
    wake_often(18);
    EXPECT(CPU_EQUAL(&loop_set, &one));
    on_loop(start_thread); /* what the loop starts meanwhile does not stay there */
    crew_join(&started);
    EXPECT(CPU_EQUAL(&thread_set, &all));
    wake_often(40);
    EXPECT(CPU_EQUAL(&loop_set, &all));
    wake_often(5);
    EXPECT(CPU_EQUAL(&loop_set, &one));

    /* an administrator's choice stands, whatever there is to do */
    chosen = only(true);
    on_loop(set_affinity);
    wake_often(40);
    EXPECT(CPU_EQUAL(&loop_set, &chosen));
    wake_often(5);
    EXPECT(CPU_EQUAL(&loop_set, &chosen));
    chosen = all;
    on_loop(set_affinity);
    on_loop(choose_again);
    wake_often(5);
    EXPECT(CPU_EQUAL(&loop_set, &one)); /* and is freed at the end, by sched_shutdown() */
    loop_remove(event_fd);
    close(event_fd);
    idle_cpu_used = real_used;
}
