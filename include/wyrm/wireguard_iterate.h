/** @file
 * @brief Reading and writing configuration buffers without pointer arithmetic; part of wireguard.h.
 *
 * Everything is checked against the buffer's length: no count in a buffer, however wrong, makes these
 * functions leave it. */
#ifndef WYRM_WIREGUARD_ITERATE_H
#define WYRM_WIREGUARD_ITERATE_H

/** Where a reader stands in a configuration.  The fields are the functions' own. */
typedef struct wyrm_reader {
    const BYTE *next;  /**< first byte not read */
    size_t bytes;      /**< bytes from there to the end */
    DWORD peers;       /**< peers not read */
    DWORD allowed_ips; /**< prefixes of the present peer not read */
    BOOL damaged;      /**< the counts want more than the buffer has */
} wyrm_reader;

/* Takes `bytes` off the reader; NULL and damaged when there are not so many. */
static inline const void *wyrm_reader_take(wyrm_reader *reader, size_t bytes)
{
    const BYTE *at = reader->next;
    if (reader->damaged || reader->bytes < bytes) {
        reader->damaged = TRUE;
        return NULL;
    }
    reader->next = at + bytes;
    reader->bytes -= bytes;
    return at;
}

/** Begins reading.
 * @param reader  any
 * @param buffer  the configuration, aligned to 8 bytes
 * @param bytes   its length
 * @return the interface, or NULL if the buffer is too short for one */
static inline const WIREGUARD_INTERFACE *wyrm_read_begin(wyrm_reader *reader, const void *buffer,
                                                         size_t bytes)
{
    const WIREGUARD_INTERFACE *config;
    reader->next = (const BYTE *)buffer;
    reader->bytes = buffer ? bytes : 0;
    reader->peers = 0;
    reader->allowed_ips = 0;
    reader->damaged = FALSE;
    config = (const WIREGUARD_INTERFACE *)wyrm_reader_take(reader, sizeof(*config));
    if (config)
        reader->peers = config->PeersCount;
    return config;
}

/** The next prefix of the peer that was read last.
 * @return NULL: no more, or the buffer is damaged (reader->damaged) */
static inline const WIREGUARD_ALLOWED_IP *wyrm_read_allowed_ip(wyrm_reader *reader)
{
    if (!reader->allowed_ips)
        return NULL;
    reader->allowed_ips--;
    return (const WIREGUARD_ALLOWED_IP *)wyrm_reader_take(reader, sizeof(WIREGUARD_ALLOWED_IP));
}

/** The next peer; prefixes of the one before that were not read are passed over.
 * @return NULL: no more, or the buffer is damaged (reader->damaged) */
static inline const WIREGUARD_PEER *wyrm_read_peer(wyrm_reader *reader)
{
    const WIREGUARD_PEER *peer;
    while (reader->allowed_ips && !reader->damaged)
        wyrm_read_allowed_ip(reader);
    if (!reader->peers || reader->damaged)
        return NULL;
    reader->peers--;
    peer = (const WIREGUARD_PEER *)wyrm_reader_take(reader, sizeof(*peer));
    if (peer)
        reader->allowed_ips = peer->AllowedIPsCount;
    return peer;
}

/** A configuration being written.  The fields are the functions' own, but `used` may be read: the length so
 * far, or, after a structure found no room, the length needed. */
typedef struct wyrm_writer {
    BYTE *buffer;                /**< the whole, aligned to 8 bytes */
    size_t bytes;                /**< its length */
    size_t used;                 /**< bytes written, or needed */
    WIREGUARD_INTERFACE *config; /**< the interface; NULL: no room */
    WIREGUARD_PEER *peer;        /**< the last peer; NULL: none, or no room */
} wyrm_writer;

/* Room for `bytes`, all zero; NULL: there is none (used counts on, so that the length needed comes out). */
static inline void *wyrm_writer_add(wyrm_writer *writer, size_t bytes)
{
    BYTE *at = NULL;
    size_t i;
    if (writer->buffer && writer->used <= writer->bytes && writer->bytes - writer->used >= bytes) {
        at = writer->buffer + writer->used;
        for (i = 0; i < bytes; i++)
            at[i] = 0;
    }
    writer->used += bytes;
    return at;
}

/** Begins writing.
 * @param writer  any
 * @param buffer  where to, aligned to 8 bytes; may be NULL to learn the length needed
 * @param bytes   its length
 * @return the interface, all zero, to be filled in (PeersCount counts by itself); NULL: no room */
static inline WIREGUARD_INTERFACE *wyrm_write_begin(wyrm_writer *writer, void *buffer, size_t bytes)
{
    writer->buffer = (BYTE *)buffer;
    writer->bytes = bytes;
    writer->used = 0;
    writer->peer = NULL;
    writer->config = (WIREGUARD_INTERFACE *)wyrm_writer_add(writer, sizeof(WIREGUARD_INTERFACE));
    return writer->config;
}

/** Adds a peer.
 * @return the peer, all zero, to be filled in (AllowedIPsCount counts by itself); NULL: no room */
static inline WIREGUARD_PEER *wyrm_write_peer(wyrm_writer *writer)
{
    writer->peer = (WIREGUARD_PEER *)wyrm_writer_add(writer, sizeof(WIREGUARD_PEER));
    if (writer->peer)
        writer->config->PeersCount++;
    return writer->peer;
}

/** Adds a prefix to the last peer.
 * @return the prefix, all zero, to be filled in; NULL: no room */
static inline WIREGUARD_ALLOWED_IP *wyrm_write_allowed_ip(wyrm_writer *writer)
{
    WIREGUARD_ALLOWED_IP *allowed = (WIREGUARD_ALLOWED_IP *)wyrm_writer_add(writer, sizeof(*allowed));
    if (allowed && writer->peer)
        writer->peer->AllowedIPsCount++;
    return allowed;
}

#endif
