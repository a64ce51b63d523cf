/* What run.c and api.c share. */
#pragma once

#include "sim/run.h"

struct driver;

/* Everything but seed, argc and argv. */
void api_fill(struct sim *sim);
/* For adapters that are created from now on. */
void api_set_driver(struct driver *driver);
/* Destroys the adapters that the scenario left. */
void api_finish(void);

/* The log of the run. */
void run_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Says why, with time and thread, and ends the process. */
void run_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* Seconds of virtual time since the start. */
double run_seconds(void);
