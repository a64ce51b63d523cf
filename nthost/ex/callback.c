/* Callback objects.  A registration that is being removed waits for its running call, as on Windows.
 * Microsoft's page titles: "Callback Objects", "ExCreateCallback", "ExUnregisterCallback". */
#include "callback.h"

#include "ke/dispatcher.h"
#include "nt/ex.h"
#include "ob/object.h"

#include "host.h"

#include <stdlib.h>
#include <string.h>

#define NAME_CHARACTERS 128u
#define POLL_NS         100000u /* while waiting for a running call at its end */

struct registration {
    struct registration *next;
    struct _CALLBACK_OBJECT *object;
    PCALLBACK_FUNCTION function;
    PVOID context;
    uint32_t running;
    bool removed;
};

struct _CALLBACK_OBJECT {
    struct _CALLBACK_OBJECT *next; /* of the named ones */
    struct registration *registrations;
    bool allow_multiple;
    bool named;
    USHORT name_length; /* characters */
    WCHAR name[NAME_CHARACTERS];
};

static void destroy(void *body);
static OBJECT_TYPE callback_type = {.name = "Callback", .destroy = destroy};
static struct _CALLBACK_OBJECT *named_objects;
static uint32_t callbacks_lock;

static void lock(void)
{
    unsigned spins = 0;
    while (__atomic_exchange_n(&callbacks_lock, 1, __ATOMIC_ACQUIRE) != 0)
        sched_spin(&spins);
}

static void unlock(void)
{
    __atomic_store_n(&callbacks_lock, 0, __ATOMIC_RELEASE);
}

static void destroy(void *body)
{
    struct _CALLBACK_OBJECT *object = body;
    lock();
    for (struct _CALLBACK_OBJECT **at = &named_objects; *at != NULL; at = &(*at)->next) {
        if (*at == object) {
            *at = object->next;
            break;
        }
    }
    unlock();
}

static WCHAR fold(WCHAR character)
{
    return character >= 'a' && character <= 'z' ? (WCHAR)(character - 'a' + 'A') : character;
}

/* The lock is held.  Objects on their way out (no reference left) are not found. */
static struct _CALLBACK_OBJECT *find(const WCHAR *name, unsigned length)
{
    for (struct _CALLBACK_OBJECT *object = named_objects; object != NULL; object = object->next) {
        unsigned i = 0;
        if (object->name_length != length || ob_reference_count(object) == 0)
            continue;
        while (i < length && fold(object->name[i]) == fold(name[i]))
            i++;
        if (i == length)
            return object;
    }
    return NULL;
}

NTSTATUS NTAPI ExCreateCallback(PCALLBACK_OBJECT *CallbackObject, POBJECT_ATTRIBUTES ObjectAttributes,
                                BOOLEAN Create, BOOLEAN AllowMultipleCallbacks)
{
    const UNICODE_STRING *name = ObjectAttributes != NULL ? ObjectAttributes->ObjectName : NULL;
    unsigned length = name != NULL ? name->Length / sizeof(WCHAR) : 0;
    if (length > NAME_CHARACTERS)
        return STATUS_OBJECT_NAME_INVALID;
    struct _CALLBACK_OBJECT *made = NULL;
    if (Create) {
        made = ob_create(&callback_type, sizeof(*made));
        if (made == NULL)
            return STATUS_INSUFFICIENT_RESOURCES;
        made->allow_multiple = AllowMultipleCallbacks;
        made->name_length = (USHORT)length;
        if (length != 0)
            memcpy(made->name, name->Buffer, length * sizeof(WCHAR));
    }
    lock();
    struct _CALLBACK_OBJECT *object = length != 0 ? find(name->Buffer, length) : NULL;
    if (object != NULL) {
        ob_reference_for_driver(object);
    } else if (made != NULL) {
        object = made;
        made = NULL;
        if (length != 0) {
            object->named = true;
            object->next = named_objects;
            named_objects = object;
        }
        host_count_add(HOST_OBJECT_REF, 1); /* the first reference is the driver's */
    }
    unlock();
    if (made != NULL)
        ob_dereference(made);
    if (object == NULL)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    *CallbackObject = object;
    return STATUS_SUCCESS;
}

PVOID NTAPI ExRegisterCallback(PCALLBACK_OBJECT CallbackObject, PCALLBACK_FUNCTION CallbackFunction,
                               PVOID CallbackContext)
{
    struct registration *registration = calloc(1, sizeof(*registration));
    if (registration == NULL)
        return NULL;
    registration->object = CallbackObject;
    registration->function = CallbackFunction;
    registration->context = CallbackContext;
    ob_reference(CallbackObject);
    lock();
    bool refused = CallbackObject->registrations != NULL && !CallbackObject->allow_multiple;
    struct registration **at = &CallbackObject->registrations;
    while (*at != NULL) /* called in order of registration */
        at = &(*at)->next;
    if (!refused)
        *at = registration;
    unlock();
    if (refused) {
        ob_dereference(CallbackObject);
        free(registration);
        return NULL;
    }
    host_count_add(HOST_NOTIFICATION, 1);
    return registration;
}

VOID NTAPI ExUnregisterCallback(PVOID CallbackRegistration)
{
    struct registration *registration = CallbackRegistration;
    struct _CALLBACK_OBJECT *object = registration->object;
    lock();
    registration->removed = true;
    while (registration->running != 0) {
        unlock();
        sched_block(sched_time_ns() + POLL_NS);
        lock();
    }
    struct registration **at = &object->registrations;
    while (*at != registration)
        at = &(*at)->next;
    *at = registration->next;
    unlock();
    free(registration);
    ob_dereference(object);
    host_count_add(HOST_NOTIFICATION, -1);
}

VOID NTAPI ExNotifyCallback(PVOID CallbackObject, PVOID Argument1, PVOID Argument2)
{
    struct _CALLBACK_OBJECT *object = CallbackObject;
    lock();
    for (struct registration *registration = object->registrations; registration != NULL;) {
        if (registration->removed) {
            registration = registration->next;
            continue;
        }
        registration->running++;
        unlock();
        struct host_callback gate;
        host_callback_begin(&gate, "callback object");
        registration->function(registration->context, Argument1, Argument2);
        host_callback_end(&gate);
        lock();
        struct registration *next = registration->next;
        registration->running--;
        registration = next;
    }
    unlock();
}

void callback_notify(const char *name, void *argument1, void *argument2)
{
    WCHAR wide[NAME_CHARACTERS];
    unsigned length = 0;
    while (name[length] != '\0' && length < NAME_CHARACTERS) {
        wide[length] = (unsigned char)name[length];
        length++;
    }
    lock();
    struct _CALLBACK_OBJECT *object = find(wide, length);
    if (object != NULL)
        ob_reference(object);
    unlock();
    if (object == NULL)
        return;
    ExNotifyCallback(object, argument1, argument2);
    ob_dereference(object);
}
