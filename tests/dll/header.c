/* The public header alone, as C and as C++ for every target; natively also run, under sanitizers: reader and
 * writer, and a reader on buffers cut at every length and with wrong counts. */
#include "wyrm/wireguard.h"

#ifdef __linux__
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int passed, failed;

static void check(int condition, const char *what)
{
    condition ? passed++ : failed++;
    if (!condition)
        printf("FAILED: %s\n", what);
}

static size_t write_example(void *buffer, size_t bytes)
{
    wyrm_writer writer;
    WIREGUARD_INTERFACE *config = wyrm_write_begin(&writer, buffer, bytes);
    if (config)
        config->ListenPort = 51820;
    for (int i = 0; i < 3; i++) {
        WIREGUARD_PEER *peer = wyrm_write_peer(&writer);
        if (peer)
            peer->PublicKey[0] = (BYTE)i;
        for (int j = 0; j < i; j++) {
            WIREGUARD_ALLOWED_IP *allowed = wyrm_write_allowed_ip(&writer);
            if (allowed)
                allowed->Cidr = (BYTE)(10 * i + j);
        }
    }
    return writer.used;
}

/* Returns 1000 * peers + prefixes, negative when the buffer is damaged. */
static int count(const void *buffer, size_t bytes)
{
    wyrm_reader reader;
    int peers = 0, prefixes = 0;
    if (!wyrm_read_begin(&reader, buffer, bytes))
        return -1;
    while (wyrm_read_peer(&reader)) {
        peers++;
        while (wyrm_read_allowed_ip(&reader))
            prefixes++;
    }
    return reader.damaged ? -1 : 1000 * peers + prefixes;
}

int main(void)
{
    wyrm_reader reader;
    size_t needed = write_example(NULL, 0);
    check(needed == 80 + 3 * 136 + 3 * 24, "the length needed comes out without a buffer");
    BYTE *whole = calloc(1, needed);
    check(whole && write_example(whole, needed) == needed, "a buffer of the length needed suffices");
    check(count(whole, needed) == 3003, "what is written is read");
    wyrm_read_begin(&reader, whole, needed);
    int peers = 0;
    while (wyrm_read_peer(&reader))
        peers++;
    check(peers == 3 && !reader.damaged, "prefixes that were not read are passed over");
    for (size_t length = 0; length < needed; length++) {
        BYTE *cut = malloc(length ? length : 1); /* exactly as long: the sanitizer sees a step beyond */
        if (!cut)
            return 1;
        memcpy(cut, whole, length);
        check(count(cut, length) == -1, "a buffer cut off is damaged");
        write_example(cut, length);
        free(cut);
    }
    ((WIREGUARD_INTERFACE *)whole)->PeersCount = 0xffffffff;
    check(count(whole, needed) == -1, "a wrong count of peers is damage");
    ((WIREGUARD_INTERFACE *)whole)->PeersCount = 3;
    ((WIREGUARD_PEER *)(whole + 80))->AllowedIPsCount = 0xffffffff;
    check(count(whole, needed) == -1, "a wrong count of prefixes is damage");
    free(whole);
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed != 0;
}
#endif
