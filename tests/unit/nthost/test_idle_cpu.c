/* The processor that the event loop stays on while there is little to do (sched_idle_cpu). */
#include "support.h"

#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define EVENTS  400u
#define BUSY_US 2000u

static int event_fd;
static cpu_set_t loop_set, thread_set;
static unsigned busy_us;
static KEVENT callback_done;

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void on_event(void *context, uint32_t events)
{
    uint64_t value, end = now_us() + busy_us;
    EXPECT(read(event_fd, &value, sizeof(value)) == sizeof(value));
    while (now_us() < end)
        ;
    EXPECT(sched_getaffinity(0, sizeof(loop_set), &loop_set) == 0);
    KeSetEvent(&callback_done, 0, FALSE);
}

static void one_event(void)
{
    uint64_t one = 1;
    EXPECT(write(event_fd, &one, sizeof(one)) == sizeof(one));
    EXPECT(KeWaitForSingleObject(&callback_done, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
}

/* Events of `us` each until the loop's thread may run on `processors`, with a pause between quiet ones. */
static bool becomes(unsigned us, int processors)
{
    busy_us = us;
    for (unsigned i = 0; i < EVENTS; i++) {
        one_event();
        if (CPU_COUNT(&loop_set) == processors)
            return true;
        if (us == 0)
            sleep_ms(1);
    }
    return false;
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

void test_idle_cpu(void)
{
    cpu_set_t all;
    EXPECT(sched_getaffinity(0, sizeof(all), &all) == 0);
    int processors = CPU_COUNT(&all);
    if (processors < 2) {
        printf("idle cpu: one processor: nothing to choose\n");
        return;
    }
    KeInitializeEvent(&callback_done, SynchronizationEvent, FALSE);
    event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    EXPECT(event_fd >= 0 && loop_add(event_fd, EPOLLIN, on_event, NULL) == 0);
    EXPECT(becomes(0, 1));
    unsigned first = 0;
    while (!CPU_ISSET(first, &all))
        first++;
    EXPECT(CPU_ISSET(first, &loop_set));
    /* what the loop starts meanwhile does not stay there */
    loop_post(start_thread, NULL);
    EXPECT(KeWaitForSingleObject(&callback_done, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    crew_join(&started);
    EXPECT(CPU_EQUAL(&thread_set, &all));
    EXPECT(becomes(BUSY_US, processors));
    EXPECT(CPU_EQUAL(&loop_set, &all));
    EXPECT(becomes(0, 1));
    loop_remove(event_fd);
    close(event_fd);
}

/* On the loop's thread, before it serves. */
void test_idle_cpu_choice(void)
{
    cpu_set_t all;
    unsigned outside = 0;
    EXPECT(sched_getaffinity(0, sizeof(all), &all) == 0);
    while (outside < CPU_SETSIZE - 1 && CPU_ISSET(outside, &all))
        outside++;
    EXPECT(sched_idle_cpu((int)outside) == -EINVAL);
    EXPECT(sched_idle_cpu(-3) == -EINVAL && sched_idle_cpu(CPU_SETSIZE) == -EINVAL);
    EXPECT(sched_idle_cpu(SCHED_IDLE_CPU_NONE) == 0);
    EXPECT(sched_idle_cpu(SCHED_IDLE_CPU_FIRST) == 0);
}
