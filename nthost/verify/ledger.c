/* Who owns what now: NET_BUFFER_LISTs, datagrams, IRPs, sockets and all else that goes back and forth between
 * driver and host.  Open hashing under one lock. */
#include "verify/internal.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUCKETS 4096u
#define SHOWN   12u

struct entry {
    struct entry *next;
    enum host_object kind;
    enum ledger_owner owner;
    const void *object;
    const char *what;
    const struct stack *since; /* the driver's stack when it came into the books or last changed hands */
};

static pthread_mutex_t ledger_lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *buckets[BUCKETS];
static uint64_t counts[HOST_OBJECT_KINDS];

static const char *owner_name(enum ledger_owner owner)
{
    switch (owner) {
    case OWNER_DRIVER:
        return "the driver";
    case OWNER_WSK:
        return "Winsock Kernel";
    case OWNER_NDIS:
        return "NDIS";
    case OWNER_STACK:
        return "the protocol stack";
    default:
        return "the host";
    }
}

static struct entry **find(enum host_object kind, const void *object)
{
    struct entry **link = &buckets[((uintptr_t)object >> 4) * 0x9e3779b1u % BUCKETS];
    while (*link && ((*link)->object != object || (*link)->kind != kind))
        link = &(*link)->next;
    return link;
}

void ledger_add(enum host_object kind, const void *object, enum ledger_owner owner, const char *what)
{
    struct entry *entry = malloc(sizeof *entry);
    if (!entry)
        host_fatal("no memory for the ledger");
    const struct stack *since = stack_capture();
    pthread_mutex_lock(&ledger_lock);
    struct entry **link = find(kind, object);
    *entry = (struct entry){*link, kind, owner, object, what, since};
    *link = entry;
    counts[kind]++;
    pthread_mutex_unlock(&ledger_lock);
}

/* `known` is a copy of the entry; `found`: there was one. */
_Noreturn static void not_owned(enum verify_rule rule, enum host_object kind, const void *object, bool found,
                                const struct entry *known)
{
    struct memory_place place;
    struct report_note note;
    if (found) {
        snprintf(note.title, sizeof note.title, "it came to %s", owner_name(known->owner));
        note.stack = known->since;
        report_notes(rule, &note, 1, "%s %p belongs to %s now", known->what, object,
                     owner_name(known->owner));
    }
    if (memory_find(object, &place) && place.state == MEMORY_FREED) {
        snprintf(note.title, sizeof note.title, "%s was freed or given back", place.what);
        note.stack = place.freed;
        report_notes(rule, &note, 1, "%p is not in the books of \"%s\" any more", object,
                     host_object_name(kind));
    }
    verify_report(rule, "%p is not in the books of \"%s\": unknown, or given back before", object,
                  host_object_name(kind));
}

void ledger_move(enum host_object kind, const void *object, enum ledger_owner from, enum ledger_owner to,
                 enum verify_rule rule)
{
    const struct stack *since = stack_capture();
    struct entry known = {0};
    pthread_mutex_lock(&ledger_lock);
    struct entry *entry = *find(kind, object);
    bool good = entry && entry->owner == from;
    if (entry)
        known = *entry;
    if (good) {
        entry->owner = to;
        entry->since = since;
    }
    pthread_mutex_unlock(&ledger_lock);
    if (!good)
        not_owned(rule, kind, object, entry != NULL, &known);
}

void ledger_remove(enum host_object kind, const void *object, enum ledger_owner from, enum verify_rule rule)
{
    struct entry known = {0};
    pthread_mutex_lock(&ledger_lock);
    struct entry **link = find(kind, object), *entry = *link;
    bool found = entry != NULL, good = entry && entry->owner == from;
    if (entry)
        known = *entry;
    if (good) {
        *link = entry->next;
        counts[kind]--;
        free(entry);
    }
    pthread_mutex_unlock(&ledger_lock);
    if (!good)
        not_owned(rule, kind, object, found, &known);
}

void ledger_report(enum host_object kind, const void *object, enum verify_rule rule, const char *format, ...)
{
    char text[512];
    struct entry known = {0};
    struct report_note note;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&ledger_lock);
    const struct entry *entry = *find(kind, object);
    if (entry)
        known = *entry;
    pthread_mutex_unlock(&ledger_lock);
    if (!known.object)
        verify_report(rule, "%s", text);
    snprintf(note.title, sizeof note.title, "%s %p came to %s", known.what, object, owner_name(known.owner));
    note.stack = known.since;
    report_notes(rule, &note, 1, "%s", text);
}

bool ledger_owned_by(enum host_object kind, const void *object, enum ledger_owner owner)
{
    pthread_mutex_lock(&ledger_lock);
    struct entry *entry = *find(kind, object);
    bool owned = entry && entry->owner == owner;
    pthread_mutex_unlock(&ledger_lock);
    return owned;
}

uint64_t ledger_count(enum host_object kind)
{
    return __atomic_load_n(&counts[kind], __ATOMIC_RELAXED);
}

void ledger_check_empty(void)
{
    static struct report_note notes[SHOWN];
    unsigned count = 0;
    const struct entry *first = NULL;
    for (unsigned i = 0; i < BUCKETS; i++) {
        for (const struct entry *entry = buckets[i]; entry; entry = entry->next) {
            if (!first)
                first = entry;
            if (count < SHOWN) {
                snprintf(notes[count].title, sizeof notes[count].title, "%s %p", entry->what, entry->object);
                notes[count].stack = entry->since;
            }
            count++;
        }
    }
    if (first)
        report_notes(RULE_LEFT_AT_UNLOAD, notes, count < SHOWN ? count : SHOWN,
                     "%u objects are left after unload; one is a %s", count, first->what);
}
