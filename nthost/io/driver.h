/* The life of a driver: image, DRIVER_OBJECT, DriverEntry, discarded INIT code, DriverUnload. Plain C types,
 * so that main and the control fronts can include it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct image;
struct driver;
struct _DRIVER_OBJECT;

/* Loads the image, makes the driver object, calls DriverEntry on the calling (adopted) thread at
 * PASSIVE_LEVEL, and makes INIT code inaccessible.  On failure returns false, fills `error` (one line), and
 * nothing is left behind. `error` of some KB holds all missing imports. */
bool driver_load(const char *path, struct driver **driver, char *error, size_t error_size);
/* Calls DriverUnload; false and nothing done when the driver has none (it cannot be unloaded). The image
 * stays mapped, so that reports about what is left can name its functions. */
bool driver_stop(struct driver *driver);
/* Unmaps the image and frees the driver object.  No code of the driver may run any more. */
void driver_free(struct driver *driver);
/* driver_stop, then driver_free. */
bool driver_unload(struct driver *driver);

struct image *driver_image(const struct driver *driver);
struct _DRIVER_OBJECT *driver_object(const struct driver *driver);
/* The status that DriverEntry returned. */
int32_t driver_entry_status(const struct driver *driver);
