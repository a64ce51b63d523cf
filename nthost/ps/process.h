/* Processes and threads as objects.  There is one process: System. */
#pragma once

#include "ob/object.h"

struct _KTHREAD;

extern OBJECT_TYPE ps_thread_type, ps_process_type;
/* A thread object for the calling thread; its reference belongs to the scheduler's thread record. */
struct _KTHREAD *ps_thread_allocate(void);
