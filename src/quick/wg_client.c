/* See wg_client.h.  Everything that holds keys is in wiped buffers. */
#include "wg_client.h"

#include "key_codec.h"
#include "secure_buffer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define DEFAULT_DIRECTORY "/var/run/wireguard"
#define RESOLVE_ATTEMPTS  6  /* one second apart */
#define PATIENCE_S        60 /* for an engine that takes in thousands of peers */

static bool send_all(int fd, const uint8_t *data, size_t length)
{
    for (size_t at = 0; at < length;) {
        ssize_t put = send(fd, data + at, length - at, MSG_NOSIGNAL);
        if (put < 0)
            return false;
        at += (size_t)put;
    }
    return true;
}

union endpoint_address *endpoints_resolve(const struct config *config, char *error, size_t error_size)
{
    union endpoint_address *addresses = calloc(config->peer_count + 1, sizeof *addresses);
    if (!addresses) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < config->peer_count; i++) {
        const struct config_peer *peer = &config->peers[i];
        struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV}, *found;
        char port[8];
        int problem = EAI_AGAIN;
        if (!peer->endpoint_host)
            continue;
        snprintf(port, sizeof port, "%u", peer->endpoint_port);
        for (unsigned attempt = 0; problem == EAI_AGAIN && attempt < RESOLVE_ATTEMPTS; attempt++) {
            if (attempt)
                sleep(1);
            problem = getaddrinfo(peer->endpoint_host, port, &hints, &found);
        }
        if (problem) {
            snprintf(error, error_size, "the endpoint %s of the [Peer] in line %u cannot be resolved: %s",
                     peer->endpoint_host, peer->line, gai_strerror(problem));
            free(addresses);
            return NULL;
        }
        if (found->ai_addrlen <= sizeof addresses[i])
            memcpy(&addresses[i], found->ai_addr, found->ai_addrlen);
        freeaddrinfo(found);
    }
    return addresses;
}

/* ---- the conversation ---- */

/* Sends `request` and collects the answer up to its empty line. 0 or -1 with `error`.  A signal ends it: the
 * user wants to have done with an engine that does not answer. */
static int converse(const char *directory, const char *name, const struct secure_buffer *request,
                    struct secure_buffer *answer, char *error, size_t error_size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = PATIENCE_S};
    int result = -1;
    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s.sock",
             directory ? directory : DEFAULT_DIRECTORY, name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        snprintf(error, error_size, "%s cannot be reached: %s", address.sun_path, strerror(errno));
        goto leave;
    }
    if (!send_all(fd, (const uint8_t *)request->data, request->length))
        goto broken;
    while (answer->length < 2 || memcmp(answer->data + answer->length - 2, "\n\n", 2) != 0) {
        errno = ENOMEM;
        if (!secure_buffer_reserve(answer, 65536))
            goto broken;
        ssize_t got = read(fd, answer->data + answer->length, 65536);
        if (got == 0)
            errno = EPIPE;
        if (got <= 0)
            goto broken;
        answer->length += (size_t)got;
    }
    answer->data[--answer->length] = 0; /* a string now, without the empty line */
    const char *status = memmem(answer->data, answer->length, "errno=", 6);
    for (const char *next; status && (next = strstr(status + 1, "\nerrno="));)
        status = next + 1;
    if (!status) {
        snprintf(error, error_size, "%s: the answer has no errno", address.sun_path);
        goto leave;
    }
    int number = abs(atoi(status + strlen("errno="))); /* implementations differ in the sign */
    if (!number)
        result = 0;
    else
        snprintf(error, error_size, "the driver refused the configuration: %s (errno %d)", strerror(number),
                 number);
    goto leave;
broken:
    if (errno == EAGAIN)
        snprintf(error, error_size, "%s does not answer within %d s", address.sun_path, PATIENCE_S);
    else
        snprintf(error, error_size, "%s: the connection broke: %s", address.sun_path, strerror(errno));
leave:
    if (fd >= 0)
        close(fd);
    return result;
}

/* ---- set ---- */

static bool add_endpoint(struct secure_buffer *text, const union endpoint_address *endpoint)
{
    char address[INET6_ADDRSTRLEN];
    if (endpoint->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &endpoint->ipv4.sin_addr, address, sizeof address);
        return secure_buffer_printf(text, "endpoint=%s:%u\n", address, ntohs(endpoint->ipv4.sin_port));
    }
    if (endpoint->any.sa_family != AF_INET6)
        return true;
    inet_ntop(AF_INET6, &endpoint->ipv6.sin6_addr, address, sizeof address);
    unsigned port = ntohs(endpoint->ipv6.sin6_port);
    return endpoint->ipv6.sin6_scope_id ? secure_buffer_printf(text, "endpoint=[%s%%%u]:%u\n", address,
                                                               endpoint->ipv6.sin6_scope_id, port)
                                        : secure_buffer_printf(text, "endpoint=[%s]:%u\n", address, port);
}

static bool add_peer(struct secure_buffer *text, const struct config_peer *peer,
                     const union endpoint_address *endpoint)
{
    bool done = secure_buffer_key_line(text, "public_key", peer->public_key);
    if (peer->has_preshared_key)
        done = done && secure_buffer_key_line(text, "preshared_key", peer->preshared_key);
    done = done && add_endpoint(text, endpoint);
    if (peer->has_keepalive)
        done = done && secure_buffer_printf(text, "persistent_keepalive_interval=%u\n", peer->keepalive);
    done = done && secure_buffer_printf(text, "replace_allowed_ips=true\n");
    for (size_t i = 0; done && i < peer->allowed_ips.count; i++) {
        char prefix[CONFIG_PREFIX_TEXT];
        config_prefix_format(&peer->allowed_ips.items[i], true, prefix);
        done = secure_buffer_printf(text, "allowed_ip=%s\n", prefix);
    }
    return done;
}

int wg_client_configure(const char *directory, const char *name, const struct config *config,
                        const union endpoint_address *endpoints, uint32_t fwmark, char *error,
                        size_t error_size)
{
    struct secure_buffer request = {0}, answer = {0};
    int result = -1;
    bool done = secure_buffer_printf(&request, "set=1\n");
    if (config->has_private_key)
        done = done && secure_buffer_key_line(&request, "private_key", config->private_key);
    if (config->has_listen_port)
        done = done && secure_buffer_printf(&request, "listen_port=%u\n", config->listen_port);
    if (fwmark)
        done = done && secure_buffer_printf(&request, "fwmark=%u\n", fwmark);
    done = done && secure_buffer_printf(&request, "replace_peers=true\n");
    for (size_t i = 0; done && i < config->peer_count; i++)
        done = add_peer(&request, &config->peers[i], &endpoints[i]);
    if (!done || !secure_buffer_printf(&request, "\n"))
        snprintf(error, error_size, "out of memory");
    else
        result = converse(directory, name, &request, &answer, error, error_size);
    secure_buffer_free(&request);
    secure_buffer_free(&answer);
    return result;
}

/* ---- save ---- */

static bool save_strings(struct secure_buffer *text, const char *key, const struct config_strings *list)
{
    bool done = true;
    for (size_t i = 0; done && i < list->count; i++)
        done = secure_buffer_printf(text, "%s = %s\n", key, list->items[i]);
    return done;
}

/* What only the file knows. */
static bool save_interface(struct secure_buffer *text, const struct config *old)
{
    bool done = secure_buffer_printf(text, "[Interface]\n");
    for (size_t i = 0; done && i < old->addresses.count; i++) {
        char prefix[CONFIG_PREFIX_TEXT];
        config_prefix_format(&old->addresses.items[i], false, prefix);
        done = secure_buffer_printf(text, "Address = %s\n", prefix);
    }
    done =
        done && save_strings(text, "DNS", &old->dns_servers) && save_strings(text, "DNS", &old->dns_domains);
    if (old->mtu)
        done = done && secure_buffer_printf(text, "MTU = %u\n", old->mtu);
    if (old->has_table && old->table != CONFIG_TABLE_NUMBER)
        done = done &&
               secure_buffer_printf(text, "Table = %s\n", old->table == CONFIG_TABLE_OFF ? "off" : "auto");
    else if (old->has_table)
        done = done && secure_buffer_printf(text, "Table = %u\n", old->table_number);
    if (old->has_fwmark)
        done = done && secure_buffer_printf(text, "FwMark = 0x%x\n", old->fwmark);
    if (old->has_save)
        done = done && secure_buffer_printf(text, "SaveConfig = %s\n", old->save ? "true" : "false");
    return done && save_strings(text, "PreUp", &old->pre_up) && save_strings(text, "PostUp", &old->post_up) &&
           save_strings(text, "PreDown", &old->pre_down) && save_strings(text, "PostDown", &old->post_down);
}

static bool save_key(struct secure_buffer *text, const char *name, const char *hex)
{
    uint8_t key[KEY_LENGTH];
    char base64[KEY_BASE64_LENGTH + 1] = "";
    bool done = key_from_hex(key, hex, strlen(hex));
    if (done)
        key_to_base64(base64, key);
    done = done && secure_buffer_printf(text, "%s = %s\n", name, base64);
    explicit_bzero(key, sizeof key);
    explicit_bzero(base64, sizeof base64);
    return done;
}

/* One line "key=value" of the answer to get. */
static bool save_line(struct secure_buffer *text, const char *key, const char *value)
{
    if (!strcmp(key, "private_key"))
        return save_key(text, "PrivateKey", value);
    if (!strcmp(key, "listen_port"))
        return secure_buffer_printf(text, "ListenPort = %s\n", value);
    if (!strcmp(key, "public_key"))
        return secure_buffer_printf(text, "\n[Peer]\n") && save_key(text, "PublicKey", value);
    if (!strcmp(key, "preshared_key")) {
        static const char zero[] = "0000000000000000000000000000000000000000000000000000000000000000";
        return !strcmp(value, zero) || save_key(text, "PresharedKey", value);
    }
    if (!strcmp(key, "endpoint"))
        return secure_buffer_printf(text, "Endpoint = %s\n", value);
    if (!strcmp(key, "allowed_ip"))
        return secure_buffer_printf(text, "AllowedIPs = %s\n", value);
    if (!strcmp(key, "persistent_keepalive_interval"))
        return !strcmp(value, "0") || secure_buffer_printf(text, "PersistentKeepalive = %s\n", value);
    return true;
}

static int write_file(const char *path, const struct secure_buffer *text, char *error, size_t error_size)
{
    char *temporary;
    if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
        snprintf(error, error_size, "out of memory");
        return -1;
    }
    int fd = mkstemp(temporary); /* mode 0600 */
    bool done = fd >= 0;
    for (size_t at = 0; done && at < text->length;) {
        ssize_t put = write(fd, text->data + at, text->length - at);
        done = put > 0;
        at += done ? (size_t)put : 0;
    }
    done = done && fsync(fd) == 0 && rename(temporary, path) == 0;
    if (!done) {
        snprintf(error, error_size, "%s cannot be written: %s", path, strerror(errno));
        if (fd >= 0)
            unlink(temporary);
    }
    if (fd >= 0)
        close(fd);
    free(temporary);
    return done ? 0 : -1;
}

int wg_client_save(const char *directory, const char *name, const struct config *old, const char *path,
                   char *error, size_t error_size)
{
    struct secure_buffer request = {0}, answer = {0}, text = {0};
    int result = -1;
    if (!secure_buffer_printf(&request, "get=1\n\n") ||
        converse(directory, name, &request, &answer, error, error_size))
        goto leave;
    bool done = save_interface(&text, old);
    char *next = (char *)answer.data, *line;
    while (done && (line = strsep(&next, "\n")) && *line) {
        char *equals = strchr(line, '=');
        if (equals) {
            *equals = 0;
            done = save_line(&text, line, equals + 1);
        }
    }
    if (done)
        result = write_file(path, &text, error, error_size);
    else
        snprintf(error, error_size, "out of memory, or the driver's answer is damaged");
leave:
    secure_buffer_free(&request);
    secure_buffer_free(&answer);
    secure_buffer_free(&text);
    return result;
}
