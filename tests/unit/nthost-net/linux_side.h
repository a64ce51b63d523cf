/* The other side of the tests: plain Linux sockets and commands in the test's namespace.  No NT names here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

bool side_enter_namespace(void); /* a network namespace of our own, loopback up; false: not root */
bool side_command(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint32_t side_ifindex(const char *name);

/* A UDP socket bound to `address` (text), any port; returns fd, *port in host order. */
int side_udp(const char *address, uint16_t *port, bool coalesce);
/* Sends `count` datagrams of `size` bytes filled with their number as one segmented send (false: refused). */
bool side_udp_send_run(int fd, const char *to, uint16_t port, uint32_t size, uint32_t count);
bool side_udp_send(int fd, const char *to, uint16_t port, const void *data, uint32_t length);
/* Receives for at most `ms` until `count` datagrams came; checks content; returns how many came right. */
uint32_t side_udp_receive_run(int fd, uint32_t size, uint32_t count, int ms, uint32_t *calls);
/* One datagram, with the sender's port (host order); -1 on time-out. */
int side_udp_receive(int fd, void *data, uint32_t size, int ms, uint16_t *port);
void side_close(int fd);

/* A server on `server`:port and a client that connects to `via`:port; `bytes` one way, checked. False: lost,
 * changed or not within 20 s. */
bool side_tcp(const char *server, const char *via, uint16_t port, uint64_t bytes, double *seconds);
/* Waits until `condition(context)` or the limit. */
bool side_wait(bool (*condition)(void *context), void *context, int ms);
void side_sleep_ms(int ms);
double side_now(void);
/* Runs this program again with these arguments; true if it ends with `status` and prints `text`. */
bool side_again(const char *mode, int status, const char *text);
