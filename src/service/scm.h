/* The process as a service of the service control manager. */
#pragma once

#include <stdbool.h>

/* The word after the service's name with which it is started to store a configuration (runner_store()). */
#define SCM_STORE_WORD L"--store"

/* Serves the tunnel of a configuration's file as the service that this process was started as, until it is
 * stopped.  false: it failed, or this process is no service (GetLastError()). */
bool scm_serve(const char *path);
