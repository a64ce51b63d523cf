/* Work items: functions that run soon at PASSIVE_LEVEL on a system worker thread, where they may wait.  Used
 * by IoQueueWorkItem and by NDIS's work items.  Worker threads exist only while there is or was work. */
#pragma once

/* An entry in the queue; the caller's memory, free again as soon as `function` is entered. */
struct work {
    struct work *next;
    void (*function)(void *context);
    void *context;
};

/* Queues `work` (not queued already); any thread, IRQL <= DISPATCH_LEVEL. */
void work_queue(struct work *work);
/* Waits until everything queued so far has run. PASSIVE_LEVEL, not from a work item. */
void work_drain(void);
/* Ends the worker threads after the queue ran empty; before sched_shutdown. */
void work_shutdown(void);
