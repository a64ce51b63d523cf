/* The data path in memory: a driver runs in fast mode, in real time, on real threads, and both of its edges
 * are memory instead of Linux.  NBLs go in at the top and datagrams come out at the bottom, or the other way
 * round, and what is counted is the time between a call into the driver and its return.  For benchmark
 * programs that are linked with nthost; nothing here knows what the driver does with a packet.
 *
 * The network is one machine with the address PIPELINE_ADDRESS: what a socket sends to it arrives at the
 * socket that is bound to the port.  Datagrams wait there until pipeline_deliver(). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PIPELINE_ADDRESS {192, 0, 2, 1}

struct pipeline_adapter;

enum pipeline_direction {
    PIPELINE_TRANSMIT, /* inside MiniportSendNetBufferLists */
    PIPELINE_RECEIVE,  /* inside WskReceiveFromEvent */
    PIPELINE_DIRECTIONS
};

/* Starts the host and the driver, calls `run(context)` on a thread of its own beside the event loop, unloads,
 * and returns the status of the process: 0, or what went wrong (said on stderr). The calling thread is the
 * loop's. */
int pipeline_main(const char *driver, unsigned cpus, void (*run)(void *context), void *context);
_Noreturn void pipeline_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- on the thread of `run` ---- */
struct pipeline_adapter *pipeline_adapter_create(const char *name);
void pipeline_adapter_destroy(struct pipeline_adapter *adapter);
/* One DeviceIoControl of SYSTEM. NTSTATUS. */
int32_t pipeline_control(struct pipeline_adapter *adapter, uint32_t code, const void *in, uint32_t in_length,
                         void *out, uint32_t out_length);
/* Calls `function(context)` on the event loop's thread and waits for its end. */
void pipeline_on_loop(void (*function)(void *context), void *context);
/* The same on `count` threads at a time, one for each virtual CPU from 0 on: context = contexts[cpu]. */
void pipeline_on_cpus(unsigned count, void (*function)(void *context), void *const *contexts);

/* ---- on the loop's thread or one of pipeline_on_cpus ---- */
struct pipeline_packet {
    uint8_t *data;
    uint32_t length;
    uint16_t segment; /* 0: one packet; else a TCP super-segment with so many bytes of payload a packet */
};
/* One burst: one chain of NBLs, one call into the driver unless the host has to cut. */
void pipeline_send(struct pipeline_adapter *adapter, const struct pipeline_packet *packets, unsigned count);
/* The driver holds so much that a host would send no more now (back-pressure). */
bool pipeline_holds_too_much(const struct pipeline_adapter *adapter);
/* Gives everything that waits at an IPv4 port (host order) to the driver, one call for at most 4 coalesced
 * runs.  Returns how many datagrams that were. */
uint32_t pipeline_deliver(uint16_t port);
/* Datagrams for that port are only counted from now on (true), or kept for pipeline_deliver(). */
void pipeline_discard(uint16_t port, bool discard);
/* How many datagrams were sent to that port, and their bytes of UDP payload. */
uint64_t pipeline_datagrams(uint16_t port, uint64_t *bytes);
/* How many packets the adapter indicated, and in how many pieces they came out after coalescing. */
uint64_t pipeline_packets(const struct pipeline_adapter *adapter, uint64_t *bytes, uint64_t *writes);
/* Cycles of the time-stamp counter that the calling thread has spent in the driver and in the host functions
 * that the driver called, without the edges. */
uint64_t pipeline_cycles(enum pipeline_direction direction);
uint64_t pipeline_tsc(void);

/* ---- where the time goes: instruction pointers of the loop's thread, taken at a rate ---- */
struct pipeline_sample {
    const char *function; /* of the driver; "" when its name is not known; NULL: a function of the host */
    uint64_t hits[PIPELINE_DIRECTIONS];
};
void pipeline_sample_start(unsigned hertz);
/* One entry a function, the host's in one; returns their number, the array is the caller's to free. */
unsigned pipeline_sample_stop(struct pipeline_sample **samples);
