/* The event loop of the engine on Windows: what sched/sched.h's loop_add is for file descriptors, for
 * handles. */
#pragma once

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <stdbool.h>

/* Calls `signaled(context)` on the loop's thread whenever the handle is signaled and `enabled`.  The loop's
 * thread only; at most LOOP_HANDLES_MAX.  0 or a negative errno. */
#define LOOP_HANDLES_MAX 16
int loop_add_handle(HANDLE handle, void (*signaled)(void *context), void *context);
void loop_enable_handle(HANDLE handle, bool enabled);
void loop_remove_handle(HANDLE handle);
/* Drops what was posted for `context` and did not run yet: it is about to be freed. */
void loop_forget(void *context);
