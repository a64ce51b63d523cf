/* The driver that is loaded, as the service manager knows it: a documented way that every user may go. */
#pragma once

#include <stdbool.h>

bool running_driver_loaded(void);
