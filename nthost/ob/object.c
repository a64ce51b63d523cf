/* Object headers and reference counts.  Microsoft's page titles: "ObReferenceObject", "ObDereferenceObject",
 * "ObReferenceObjectByPointer". */
#include "object.h"

#include "exports.h"
#include "host.h"
#include "verify/verify.h"

#include <stdlib.h>
#include <string.h>

#define OBJECT_MAGIC 0x4a424f6eu /* in front of every living body */
#define OBJECT_DEAD  0xdeadbeefu

struct header {
    _Alignas(16) int64_t references;
    OBJECT_TYPE *type;
    uint32_t magic;
};

static struct header *header_of(const void *body, const char *function)
{
    struct header *header = (struct header *)((char *)(uintptr_t)body - sizeof(struct header));
    if (body == NULL || header->magic != OBJECT_MAGIC) {
        if (host_options.verify)
            verify_report(RULE_OBJECT_REFERENCE, "%s: %p is not an object%s", function, body,
                          body != NULL && header->magic == OBJECT_DEAD ? " any more" : "");
        KeBugCheckEx(0x18 /* REFERENCE_BY_POINTER */, 0, (ULONG_PTR)body, 0, 0);
    }
    return header;
}

void *ob_create(OBJECT_TYPE *type, size_t bytes)
{
    size_t size = (sizeof(struct header) + bytes + 15) & ~(size_t)15;
    struct header *header = aligned_alloc(16, size);
    if (header == NULL)
        return NULL;
    memset(header, 0, size);
    header->references = 1;
    header->type = type;
    header->magic = OBJECT_MAGIC;
    return header + 1;
}

static int64_t reference(void *body, const char *function)
{
    int64_t before = __atomic_fetch_add(&header_of(body, function)->references, 1, __ATOMIC_RELAXED);
    if (before <= 0)
        KeBugCheckEx(0x18 /* REFERENCE_BY_POINTER */, 0, (ULONG_PTR)body, 1, (ULONG_PTR)before);
    return before + 1;
}

static int64_t dereference(void *body, const char *function)
{
    struct header *header = header_of(body, function);
    int64_t left = __atomic_sub_fetch(&header->references, 1, __ATOMIC_ACQ_REL);
    if (left < 0)
        KeBugCheckEx(0x18 /* REFERENCE_BY_POINTER */, 0, (ULONG_PTR)body, 2, (ULONG_PTR)left);
    if (left == 0) {
        if (header->type->destroy != NULL)
            header->type->destroy(body);
        header->magic = OBJECT_DEAD;
        free(header);
    }
    return left;
}

void ob_reference(void *body)
{
    reference(body, "ob_reference");
}

void ob_dereference(void *body)
{
    dereference(body, "ob_dereference");
}

void ob_reference_for_driver(void *body)
{
    reference(body, "ob_reference_for_driver");
    host_count_add(HOST_OBJECT_REF, 1);
}

OBJECT_TYPE *ob_type(const void *body)
{
    return header_of(body, "ob_type")->type;
}

int64_t ob_reference_count(const void *body)
{
    return __atomic_load_n(&header_of(body, "ob_reference_count")->references, __ATOMIC_RELAXED);
}

LONG_PTR FASTCALL ObfReferenceObject(PVOID Object)
{
    int64_t count = reference(Object, "ObReferenceObject");
    host_count_add(HOST_OBJECT_REF, 1);
    return count;
}

LONG_PTR FASTCALL ObfDereferenceObject(PVOID Object)
{
    int64_t left = dereference(Object, "ObDereferenceObject");
    host_count_add(HOST_OBJECT_REF, -1);
    return left;
}

LONG_PTR FASTCALL ObfReferenceObjectWithTag(PVOID Object, ULONG Tag)
{
    return ObfReferenceObject(Object);
}

LONG_PTR FASTCALL ObfDereferenceObjectWithTag(PVOID Object, ULONG Tag)
{
    return ObfDereferenceObject(Object);
}

VOID NTAPI ObDereferenceObjectDeferDelete(PVOID Object)
{
    ObfDereferenceObject(Object);
}

VOID NTAPI ObDereferenceObjectDeferDeleteWithTag(PVOID Object, ULONG Tag)
{
    ObfDereferenceObject(Object);
}

NTSTATUS NTAPI ObReferenceObjectByPointer(PVOID Object, ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType,
                                          KPROCESSOR_MODE AccessMode)
{
    if (ObjectType != NULL && ob_type(Object) != ObjectType)
        return STATUS_OBJECT_TYPE_MISMATCH;
    ObfReferenceObject(Object);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI ObReferenceObjectByPointerWithTag(PVOID Object, ACCESS_MASK DesiredAccess,
                                                 POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode,
                                                 ULONG Tag)
{
    return ObReferenceObjectByPointer(Object, DesiredAccess, ObjectType, AccessMode);
}

POBJECT_TYPE NTAPI ObGetObjectType(PVOID Object)
{
    return ob_type(Object);
}
