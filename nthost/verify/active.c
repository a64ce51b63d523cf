/* Objects that are active inside of memory: armed timers, queued DPCs, held locks.  Freeing or initialising
 * the memory below them is a broken rule.  Kept by page, so that a free looks at few of them. */
#include "verify/internal.h"

#include <pthread.h>
#include <stdlib.h>

#define BUCKETS    4096u
#define PAGE_SHIFT 12

struct active {
    struct active *next;
    const void *object;
    const char *what;
    const struct stack *since;
};

static pthread_mutex_t active_lock = PTHREAD_MUTEX_INITIALIZER;
static struct active *actives[BUCKETS], *spare;

static struct active **bucket_of(uintptr_t page)
{
    return &actives[(page * 0x9e3779b97f4a7c15ull) >> 52];
}

void verify_active_add(const void *object, const char *what)
{
    const struct stack *since = stack_capture();
    pthread_mutex_lock(&active_lock);
    struct active *active = spare;
    if (active)
        spare = active->next;
    else if (!(active = malloc(sizeof *active)))
        host_fatal("no memory for the list of active objects");
    struct active **bucket = bucket_of((uintptr_t)object >> PAGE_SHIFT);
    *active = (struct active){*bucket, object, what, since};
    *bucket = active;
    pthread_mutex_unlock(&active_lock);
}

void verify_active_remove(const void *object)
{
    pthread_mutex_lock(&active_lock);
    struct active **link = bucket_of((uintptr_t)object >> PAGE_SHIFT);
    while (*link && (*link)->object != object)
        link = &(*link)->next;
    struct active *active = *link;
    if (active) {
        *link = active->next;
        active->next = spare;
        spare = active;
    }
    pthread_mutex_unlock(&active_lock);
}

const char *active_find(const void *memory, size_t bytes, const void **object, const struct stack **since)
{
    uintptr_t begin = (uintptr_t)memory, end = begin + bytes;
    const char *what = NULL;
    pthread_mutex_lock(&active_lock);
    for (uintptr_t page = begin >> PAGE_SHIFT; !what && page <= (end - 1) >> PAGE_SHIFT; page++) {
        for (const struct active *active = *bucket_of(page); active; active = active->next) {
            if ((uintptr_t)active->object >= begin && (uintptr_t)active->object < end) {
                what = active->what;
                *object = active->object;
                *since = active->since;
                break;
            }
        }
    }
    pthread_mutex_unlock(&active_lock);
    return what;
}

void verify_active_check(const void *object, const char *function)
{
    struct report_note note;
    const void *found;
    const char *what = active_find(object, 1, &found, &note.stack);
    if (!what)
        return;
    snprintf(note.title, sizeof note.title, "it became a %s", what);
    report_notes(RULE_DOUBLE_INITIALIZE, &note, 1, "%s: %p is a %s", function, object, what);
}

unsigned active_list(struct report_note *notes, unsigned max)
{
    unsigned count = 0;
    pthread_mutex_lock(&active_lock);
    for (unsigned i = 0; i < BUCKETS; i++) {
        for (const struct active *active = actives[i]; active; active = active->next) {
            if (count < max) {
                snprintf(notes[count].title, sizeof notes[count].title, "%s %p", active->what,
                         active->object);
                notes[count].stack = active->since;
            }
            count++;
        }
    }
    pthread_mutex_unlock(&active_lock);
    return count;
}
