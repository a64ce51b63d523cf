/* The machine-wide lock that serialises everything that creates, removes or searches devices and drivers.
 *
 * A mutex in a private namespace, whose boundary is the Administrators group alone: SYSTEM is a member of it
 * too, so that services and administrators' programs share one lock, and nobody else can take, squat or see
 * it. */
#pragma once

#include "wyrm/wireguard.h"

#include <stdbool.h>

enum { LOCK_WAIT_MS = 60000 };

struct machine_lock {
    HANDLE mutex;
};

/* Waits at most `wait_ms` (0: does not wait and logs nothing).  Logs what it waits for after a while.  A lock
 * whose owner died is taken.  False: last error is WAIT_TIMEOUT, ERROR_GEN_FAILURE or ERROR_ACCESS_DENIED. */
bool machine_lock_take(struct machine_lock *lock, DWORD wait_ms);
/* Keeps the last error. */
void machine_lock_release(struct machine_lock *lock);
/* Closes the namespace, which otherwise would stay open when the DLL is unloaded and be in the way when it is
 * loaded again. */
void machine_lock_forget(void);
