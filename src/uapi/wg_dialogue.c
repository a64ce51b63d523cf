/* See wg_dialogue.h.  A whole `set` is read and checked before anything is changed; keys are wiped from every
 * buffer they passed through. */
#include "wg_dialogue.h"

#include "front_server.h"

#include <errno.h>
#include <string.h>

#define LINE_MAX_BYTES 4096

/* One connection and its half-read lines. */
struct client {
    const struct wg_backend *backend;
    void *context;
    int fd;
    struct secure_buffer input;
    size_t line_length; /* of the line that next_line() returned, with its newline */
};

static int serve_get(struct client *client, struct secure_buffer *answer)
{
    struct secure_buffer config = {0};
    uint32_t fwmark = 0;
    int error = client->backend->get(client->context, &config, &fwmark);
    if (!error)
        error = wg_get_format(answer, config.data, config.length, fwmark);
    secure_buffer_free(&config);
    return error;
}

/* The next line without its newline; valid until the next call. NULL: end of the connection, or a line that
 * is too long to be one. */
static const char *next_line(struct client *client, size_t *length)
{
    struct secure_buffer *input = &client->input;
    secure_buffer_consume(input, client->line_length);
    client->line_length = 0;
    for (size_t searched = 0;;) {
        char *start = (char *)input->data;
        char *newline = start ? memchr(start + searched, '\n', input->length - searched) : NULL;
        if (newline) {
            *length = (size_t)(newline - start);
            client->line_length = *length + 1;
            return start;
        }
        searched = input->length;
        if (input->length >= LINE_MAX_BYTES || !secure_buffer_reserve(input, LINE_MAX_BYTES))
            return NULL;
        size_t got = front_read_some(client->fd, input->data + input->length, LINE_MAX_BYTES);
        if (!got)
            return NULL;
        input->length += got;
    }
}

/* Reads up to the empty line. `set` NULL: there must not be any line. false: the connection ended before. */
static bool read_block(struct client *client, struct wg_set *set, int *error)
{
    size_t length;
    const char *line;
    while ((line = next_line(client, &length)) && length) {
        if (!set)
            *error = EINVAL;
        else if (!*error)
            *error = wg_set_line(set, line, length);
    }
    return line != NULL;
}

static bool is(const char *line, size_t length, const char *word)
{
    return length == strlen(word) && !memcmp(line, word, length);
}

/* One command. false: the connection is to be closed. */
static bool serve_command(struct client *client, const char *line, size_t length)
{
    struct secure_buffer answer = {0};
    struct wg_set set = {0};
    int error = 0;
    bool whole, alive, get = is(line, length, "get=1");
    if (get) {
        whole = read_block(client, NULL, &error);
        if (whole && !error)
            error = serve_get(client, &answer);
    } else if (is(line, length, "set=1")) {
        whole = read_block(client, &set, &error);
        if (whole && !error)
            error = wg_set_finish(&set);
        if (whole && !error)
            error = client->backend->set(client->context, &set);
    } else {
        whole = length == 0 || read_block(client, NULL, &error);
        error = EINVAL;
    }
    if (error)
        secure_buffer_clear(&answer);
    /* Stock `wg` reads the errno of get as a positive number and that of set as a negative one. */
    alive = whole && secure_buffer_printf(&answer, "errno=%d\n\n", get ? error : -error) &&
            front_write_all(client->fd, answer.data, answer.length);
    secure_buffer_free(&answer);
    wg_set_free(&set);
    return alive;
}

void wg_dialogue(const struct wg_backend *backend, void *context, int fd)
{
    struct client client = {.backend = backend, .context = context, .fd = fd};
    size_t length;
    const char *line;
    while ((line = next_line(&client, &length)) && serve_command(&client, line, length))
        ;
    secure_buffer_free(&client.input);
}
