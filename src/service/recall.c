/* See recall.h. */
#include "recall.h"

#include <stdlib.h>
#include <string.h>

struct memory {
    struct memory *next;
    struct endpoint endpoint;
    char host[]; /* as in the configuration */
};

static struct memory *memories;
static bool only_memories;

static struct memory *find(const char *host)
{
    struct memory *memory = memories;
    while (memory && strcmp(memory->host, host) != 0)
        memory = memory->next;
    return memory;
}

/* Without memory it is not remembered. */
static void keep(const char *host, const struct endpoint *endpoint)
{
    struct memory *memory = find(host);
    if (!memory) {
        size_t length = strlen(host) + 1;
        memory = malloc(sizeof *memory + length);
        if (!memory)
            return;
        memcpy(memory->host, host, length);
        memory->next = memories;
        memories = memory;
    }
    memory->endpoint = *endpoint;
}

void recall_only(bool only)
{
    only_memories = only;
}

bool recall_resolve(const char *host, uint16_t port, struct endpoint *endpoint, struct failure *failure)
{
    const struct memory *memory = find(host);
    if (!(memory && only_memories) && endpoint_resolve(host, port, endpoint, failure)) {
        keep(host, endpoint);
        return true;
    }
    if (!memory)
        return false;
    *endpoint = memory->endpoint;
    endpoint->port = port;
    return true;
}

void recall_forget(void)
{
    while (memories) {
        struct memory *next = memories->next;
        free(memories);
        memories = next;
    }
    only_memories = false;
}
