/* See key_text.h. */
#include "key_text.h"

#include "crypto/secure_memory.h"
#include "platform.h"

#include <string.h>

#define KEY_FILE_LIMIT_BYTES 256u

static bool is_white(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool key_text_read(const char *path, uint8_t key[KEY_LENGTH], bool *empty, struct failure *failure)
{
    struct secure_buffer text = {0};
    memset(key, 0, KEY_LENGTH);
    bool done = platform_read_secret(path, KEY_FILE_LIMIT_BYTES, &text, failure);
    /* What was meant as a name may be a key with a character too many. */
    if (!done && strlen(path) >= 40 && !strchr(path, '.') && key_may_be_in(path, strlen(path)))
        fail(failure, failure->status,
             "the file of a key cannot be read (its name is not repeated here: it may be a key)");
    size_t begin = 0, end = text.length;
    while (done && begin < end && is_white(text.data[begin]))
        begin++;
    while (done && begin < end && is_white(text.data[end - 1]))
        end--;
    *empty = begin == end;
    if (done && !*empty && !key_from_base64(key, (const char *)text.data + begin, end - begin))
        done = fail(failure, EXIT_INVALID,
                    "%.200s holds no key: want 44 base64 characters, as `wyrm genkey` prints them",
                    strcmp(path, "-") ? path : "standard input");
    secure_buffer_free(&text);
    return done;
}
