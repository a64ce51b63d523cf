/* The event loop: file descriptors, posted functions, kicks, and waits on its own thread. */
#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

static int pipe_ends[2];
static unsigned readable;
static char last_byte;
static KEVENT nested_event, callback_done;
static bool was_nested, right_level;

static void on_readable(void *context, uint32_t events)
{
    EXPECT(loop_is_self() && (events & EPOLLIN) != 0 && context == &readable);
    EXPECT(KeGetCurrentIrql() == PASSIVE_LEVEL && KeGetCurrentProcessorNumberEx(NULL) == 0);
    EXPECT(read(pipe_ends[0], &last_byte, 1) == 1);
    readable++;
    KeSetEvent(&callback_done, 0, FALSE);
}

static void on_posted(void *context)
{
    was_nested = loop_is_nested();
    right_level = KeGetCurrentIrql() == PASSIVE_LEVEL;
    KeSetEvent(context, 0, FALSE);
}

/* A wait on the loop's thread serves the loop: what sets the event is a posted function, a timer, a
 * descriptor. */
void test_loop(void)
{
    KEVENT event;
    KTIMER timer;
    EXPECT(loop_is_self() && !loop_is_nested());
    KeInitializeEvent(&event, SynchronizationEvent, FALSE);
    KeInitializeEvent(&callback_done, SynchronizationEvent, FALSE);
    loop_post(on_posted, &event);
    EXPECT(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    EXPECT(!was_nested && right_level);
    KeInitializeTimer(&timer);
    KeSetTimer(&timer, relative_ms(10), NULL);
    EXPECT(KeWaitForSingleObject(&timer, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    EXPECT(pipe(pipe_ends) == 0);
    EXPECT(loop_add(pipe_ends[0], EPOLLIN, on_readable, &readable) == 0);
    EXPECT(loop_add(pipe_ends[0], EPOLLIN, on_readable, &readable) == -EEXIST);
    EXPECT(write(pipe_ends[1], "a", 1) == 1);
    EXPECT(KeWaitForSingleObject(&callback_done, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    EXPECT(readable == 1 && last_byte == 'a');
    LARGE_INTEGER soon = relative_ms(10);
    KIRQL irql = KfRaiseIrql(APC_LEVEL); /* a wait at APC_LEVEL: callbacks still see PASSIVE_LEVEL */
    loop_post(on_posted, &event);
    EXPECT(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &soon) == STATUS_SUCCESS);
    EXPECT(right_level && KeGetCurrentIrql() == APC_LEVEL);
    KeLowerIrql(irql);
    EXPECT(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &soon) == STATUS_TIMEOUT);
}

/* ---- from other threads, while loop_run() serves ---- */

static unsigned posts_run, next_post;
static bool posts_in_order = true;

static void count_post(void *context)
{
    unsigned number = (unsigned)(uintptr_t)context;
    if (number != 0) { /* one thread's posts keep their order */
        posts_in_order &= number == next_post + 1;
        next_post = number;
    }
    __atomic_add_fetch(&posts_run, 1, __ATOMIC_RELEASE);
}

static VOID NTAPI post_many(PVOID context)
{
    for (unsigned i = 1; i <= 2000; i++)
        loop_post(count_post, (void *)(uintptr_t)(context == NULL ? i : 0));
}

/* Waits inside a callback: the loop goes on, the waiting descriptor's callback is not entered again. */
static unsigned waiting_entries;
static int other_ends[2];

static void on_waiting_readable(void *context, uint32_t events)
{
    char byte;
    waiting_entries++;
    EXPECT(read(other_ends[0], &byte, 1) == 1);
    if (waiting_entries == 1) {
        EXPECT(write(other_ends[1], "y", 1) == 1); /* readable again, while this callback waits */
        loop_post(on_posted, &nested_event);
        EXPECT(KeWaitForSingleObject(&nested_event, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
        sleep_ms(5);
        EXPECT(was_nested && waiting_entries == 1);
    } else {
        KeSetEvent(&callback_done, 0, FALSE);
    }
}

void test_loop_other(void)
{
    EXPECT(!loop_is_self());
    readable = 0;
    for (unsigned i = 0; i < 200; i++) {
        EXPECT(write(pipe_ends[1], "b", 1) == 1);
        KeWaitForSingleObject(&callback_done, Executive, KernelMode, FALSE, NULL);
    }
    EXPECT(readable == 200 && last_byte == 'b');
    loop_remove(pipe_ends[0]);
    EXPECT(write(pipe_ends[1], "c", 1) == 1);
    sleep_ms(5);
    EXPECT(readable == 200);
    EXPECT(loop_modify(pipe_ends[0], EPOLLIN) == -ENOENT);
    close(pipe_ends[0]);
    close(pipe_ends[1]);

    KeInitializeEvent(&nested_event, SynchronizationEvent, FALSE);
    EXPECT(pipe(other_ends) == 0);
    EXPECT(loop_add(other_ends[0], EPOLLIN, on_waiting_readable, NULL) == 0);
    EXPECT(write(other_ends[1], "x", 1) == 1);
    EXPECT(KeWaitForSingleObject(&callback_done, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    EXPECT(waiting_entries == 2);
    loop_remove(other_ends[0]);
    close(other_ends[0]);
    close(other_ends[1]);

    crew_run(3, post_many);
    for (uint64_t end = now_ms() + 5000;
         __atomic_load_n(&posts_run, __ATOMIC_ACQUIRE) < 6000 && now_ms() < end;)
        sleep_ms(1);
    EXPECT(posts_run == 6000 && posts_in_order);

    uint8_t one[300] = {0}, two[300] = {0};
    sched_random(one, sizeof(one));
    sched_random(two, sizeof(two));
    EXPECT(__builtin_memcmp(one, two, sizeof(one)) != 0);
    unsigned tail = 0;
    for (unsigned i = 256; i < 300; i++)
        tail |= one[i];
    EXPECT(tail != 0);
}
