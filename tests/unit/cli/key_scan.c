/* Preloaded into a program (tests/integration/cli_memory.py): when it ends normally, looks through all memory
 * that it could write for the keys in WYRM_KEY_SCAN, and exits with 99 if one is left.  The variable is a
 * comma-separated list of patterns in hexadecimal, each byte XORed with 0x5A, so that the environment itself
 * is none of them. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATTERNS_MAX = 8, PATTERN_BYTES_MAX = 64, CHUNK_BYTES = 1 << 16, MASK = 0x5A, FOUND = 99 };

struct pattern {
    uint8_t bytes[PATTERN_BYTES_MAX]; /* masked */
    size_t length;
};

static size_t read_patterns(const char *text, struct pattern *patterns)
{
    size_t count = 0;
    unsigned byte;
    while (count < PATTERNS_MAX && *text) {
        struct pattern *pattern = &patterns[count++];
        for (; pattern->length < PATTERN_BYTES_MAX && sscanf(text, "%2x", &byte) == 1; text += 2)
            pattern->bytes[pattern->length++] = (uint8_t)byte;
        text += *text == ',';
    }
    return count;
}

static bool stands_at(const uint8_t *at, const struct pattern *pattern)
{
    for (size_t i = 0; i < pattern->length; i++)
        if ((at[i] ^ MASK) != pattern->bytes[i])
            return false;
    return true;
}

static bool scan(int memory, unsigned long begin, unsigned long end, const char *where,
                 const struct pattern *patterns, size_t count)
{
    static uint8_t chunk[CHUNK_BYTES];
    bool found = false;
    /* Chunks overlap, so that no pattern lies across two. */
    for (unsigned long at = begin; at < end; at += CHUNK_BYTES - PATTERN_BYTES_MAX) {
        ssize_t got = pread(memory, chunk, end - at < CHUNK_BYTES ? end - at : CHUNK_BYTES, (off_t)at);
        for (size_t i = 0; i < count; i++)
            for (ssize_t k = 0; k + (ssize_t)patterns[i].length <= got; k++)
                if (stands_at(chunk + k, &patterns[i])) {
                    fprintf(stderr, "key_scan: pattern %zu is left at %lx %s\n", i, at + (unsigned long)k,
                            where);
                    found = true;
                }
    }
    return found;
}

__attribute__((destructor)) static void scan_all(void)
{
    static struct pattern patterns[PATTERNS_MAX];
    const char *text = getenv("WYRM_KEY_SCAN");
    size_t count = text ? read_patterns(text, patterns) : 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    bool found = !maps || memory < 0 || !count;
    char line[512];
    while (maps && fgets(line, sizeof line, maps)) {
        unsigned long begin, end;
        char access[8], where[256] = "";
        if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %255s", &begin, &end, access, where) >= 3 &&
            access[1] == 'w')
            found = scan(memory, begin, end, where, patterns, count) || found;
    }
    if (maps)
        fclose(maps);
    if (memory >= 0)
        close(memory);
    if (found)
        _exit(FOUND);
}
