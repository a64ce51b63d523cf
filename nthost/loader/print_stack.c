/* Stacks for people: each frame with its function, source line and what was inlined there.  llvm-symbolizer
 * reads the image's DWARF; without it the symbol table's names remain. */
#include "loader/image_private.h"

#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_BATCH    32u         /* frames per run of the symbolizer */
#define MAX_OUTPUT   (64u << 10) /* bytes of its answer that are read */
#define ADDRESS_SIZE 24u

static const char *find_symbolizer(void)
{
    static const char *const paths[] = {"/usr/bin/llvm-symbolizer-19", "/usr/bin/llvm-symbolizer"};
    for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++) {
        if (access(paths[i], X_OK) == 0)
            return paths[i];
    }
    return NULL;
}

static void print_name(FILE *out, const void *address)
{
    const struct image *image = image_find(address);
    const char *name;
    size_t offset;
    if (image_symbol(address, &name, &offset))
        fprintf(out, "%s!%s+0x%zx", image->name, name, offset);
    else if (image)
        fprintf(out, "%s+0x%zx", image->name, (size_t)((const uint8_t *)address - image->base));
    else
        fprintf(out, "%p", address);
}

void image_print_stack_names(FILE *out, const uint64_t *frames, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        fprintf(out, "    ");
        print_name(out, (const void *)(uintptr_t)frames[i]);
        fputc('\n', out);
    }
}

/* Runs the symbolizer on addresses of one image; its whole output, or NULL. The caller frees it. */
static char *symbolize(const char *symbolizer, const struct image *image, const uint64_t *frames,
                       unsigned count, bool innermost)
{
    static char object[4096 + 8];
    char numbers[MAX_BATCH][ADDRESS_SIZE];
    char *arguments[MAX_BATCH + 6] = {(char *)(uintptr_t)symbolizer, object, "--inlines", "--functions=short",
                                      "--basenames"};
    char *environment[] = {NULL};
    int output[2];
    pid_t child;
    snprintf(object, sizeof object, "--obj=%s", image->path);
    for (unsigned i = 0; i < count; i++) {
        /* The line of the call, not of what follows it: return addresses are looked up one byte before. */
        uint64_t address = frames[i] - !(innermost && i == 0);
        snprintf(numbers[i], sizeof numbers[i], "0x%" PRIx64,
                 address - (uint64_t)(uintptr_t)image->base + image->pe.image_base);
        arguments[5 + i] = numbers[i];
    }
    char *text = malloc(MAX_OUTPUT);
    if (!text || pipe(output) != 0) {
        free(text);
        return NULL;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", 1 /* O_WRONLY */, 0);
    posix_spawn_file_actions_addclose(&actions, output[0]);
    int failed = posix_spawn(&child, symbolizer, &actions, NULL, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    close(output[1]);
    size_t used = 0;
    ssize_t got;
    while (!failed && used < MAX_OUTPUT - 1 &&
           (got = read(output[0], text + used, MAX_OUTPUT - 1 - used)) > 0)
        used += (size_t)got;
    close(output[0]);
    if (!failed)
        waitpid(child, NULL, 0);
    text[used] = 0;
    return text;
}

/* One frame's answer: pairs of lines (function, file:line:column), innermost inlined function first, then an
 * empty line.  Prints the frame and returns what follows. */
static const char *print_frame(FILE *out, const void *address, const char *answer)
{
    while (answer && *answer && *answer != '\n') {
        size_t name = strcspn(answer, "\n");
        const char *place = answer + name + (answer[name] == '\n');
        size_t length = strcspn(place, "\n");
        const char *next = place + length + (place[length] == '\n');
        fprintf(out, "    ");
        if (*next && *next != '\n')
            fprintf(out, "%.*s (inlined)", (int)name, answer);
        else
            print_name(out, address);
        if (length && *place != '?')
            fprintf(out, " %.*s", (int)length, place);
        fputc('\n', out);
        answer = next;
    }
    return answer && *answer == '\n' ? answer + 1 : answer;
}

void image_print_stack(FILE *out, const uint64_t *frames, unsigned count)
{
    const char *symbolizer = find_symbolizer();
    for (unsigned i = 0; i < count;) {
        const struct image *image = image_find((const void *)(uintptr_t)frames[i]);
        unsigned batch = 1;
        while (i + batch < count && batch < MAX_BATCH &&
               image_find((const void *)(uintptr_t)frames[i + batch]) == image)
            batch++;
        char *text = symbolizer && image ? symbolize(symbolizer, image, frames + i, batch, i == 0) : NULL;
        if (text && *text) {
            const char *answer = text;
            for (unsigned j = 0; j < batch; j++)
                answer = print_frame(out, (const void *)(uintptr_t)frames[i + j], answer);
        } else {
            image_print_stack_names(out, frames + i, batch);
        }
        free(text);
        i += batch;
    }
}
