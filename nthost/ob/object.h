/* Objects with a reference count, and handles to them: what the host's other parts use.  The driver's verbs
 * (ObfReferenceObject ...) additionally count HOST_OBJECT_REF, so that a reference that the driver forgets is
 * seen. */
#pragma once

#include "nt/ob_ps_se.h"

#include <stdbool.h>
#include <stddef.h>

/* One per kind of object; static. */
struct _OBJECT_TYPE {
    const char *name;
    /* The last reference is gone; the body is freed afterwards.  IRQL <= DISPATCH_LEVEL. May be NULL. */
    void (*destroy)(void *body);
};
typedef struct _OBJECT_TYPE OBJECT_TYPE;

/* A zeroed body of `bytes`, 16-byte aligned, with one reference that belongs to the caller. NULL: no memory.
 */
void *ob_create(OBJECT_TYPE *type, size_t bytes);
/* The host's own references: not counted as the driver's. */
void ob_reference(void *body);
void ob_dereference(void *body);
/* A reference that the host hands to the driver, which must drop it with ObDereferenceObject. */
void ob_reference_for_driver(void *body);
OBJECT_TYPE *ob_type(const void *body);
int64_t ob_reference_count(const void *body);

/* A new handle, with its own reference to the body.  `attributes` as in OBJECT_ATTRIBUTES
 * (OBJ_KERNEL_HANDLE). */
NTSTATUS ob_open_handle(void *body, ULONG attributes, HANDLE *handle);
/* The body with a reference for the caller (the host's own kind). */
NTSTATUS ob_reference_handle(HANDLE handle, OBJECT_TYPE *type, KPROCESSOR_MODE mode, void **body);
