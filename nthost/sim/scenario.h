/* What a simulation scenario is written against: a shared object that `nthost sim DRIVER --scenario FILE.so`
 * loads.  The simulated machine has one processor thread, seeded choices and virtual time; the driver under
 * test runs in it unchanged, with any number of adapters, each with an upper edge (IP packets in and out) and
 * UDP sockets on a simulated network.  A scenario plays the users, the applications above the adapters and
 * the peers on the network, and checks what it sees.
 *
 * The object exports `scenario_main`.  It runs on a simulated thread at PASSIVE_LEVEL and may block in
 * virtual time.  Returning means success; fail() ends the run.  Callbacks run on the event loop's simulated
 * thread: they must not block (no sleep, control or join in them).  All randomness comes from random(), so
 * that a run is the same again for the same seed.  All addresses and ports are in network byte order.  Times
 * are nanoseconds of virtual interrupt time unless a name says otherwise. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCENARIO_ABI 2

struct sim_adapter;
struct sim_thread;
struct sim_endpoint;

struct sim_address {
    uint8_t family; /* 4 or 6 */
    uint16_t port;  /* network order */
    uint8_t bytes[16];
};

/* One direction of a path. All zero: perfect and at once. Probabilities are of 2^16. */
struct sim_path {
    uint64_t latency_ns, jitter_ns; /* each datagram: latency + uniform(0, jitter): jitter reorders */
    uint32_t loss, duplicate, corrupt;
    uint32_t mtu; /* longest datagram payload that passes, 0 = any */
    bool down;
};

/* A datagram that left a socket of the driver, before the network does anything to it. */
struct sim_datagram {
    struct sim_adapter *adapter; /* whose socket; NULL if not known */
    struct sim_address from, to;
    const uint8_t *data;
    uint32_t length; /* each segment of a segmented send is one datagram */
};

typedef void sim_packet_callback(void *context, struct sim_adapter *adapter, const uint8_t *packet,
                                 uint32_t length);
typedef void sim_datagram_callback(void *context, const struct sim_datagram *datagram);
typedef void sim_endpoint_callback(void *context, struct sim_endpoint *endpoint,
                                   const struct sim_address *from, const uint8_t *data, uint32_t length);

struct sim_memory_hit {
    const void *address;
    char where[160]; /* "pool, tag 'wyrm', 320 bytes, allocated at ...", "freed pool", "image", "stack" */
};

struct sim {
    uint32_t abi; /* SCENARIO_ABI */
    uint64_t seed;
    uint64_t stall_ns; /* --stall: for how long a thread may stop at an import, now and then */
    int argc;          /* words after `--` on the command line, for the scenario */
    char **argv;

    /* ---- time, randomness, threads ---- */
    uint64_t (*time_ns)(void);
    uint64_t (*system_time_100ns)(void);           /* UTC since 1601 */
    void (*step_system_time)(int64_t delta_100ns); /* somebody sets the clock */
    void (*suspend)(uint64_t duration_ns); /* S3: D3, interrupt time passes, unbiased time does not, D0 */
    void (*sleep)(uint64_t duration_ns);
    /* Calls `function` on the event loop's thread at that time; at once if it is past. Cannot be taken back.
     */
    void (*at)(uint64_t time_ns, void (*function)(void *context), void *context);
    uint64_t (*random)(void);
    struct sim_thread *(*spawn)(const char *name, void (*start)(void *context), void *context);
    void (*join)(struct sim_thread *thread);
    void (*log)(const char *format, ...)
        __attribute__((format(printf, 1, 2))); /* shown with --trace or on failure */
    void (*fail)(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

    /* ---- adapters: what PnP manager, NDIS and users do ---- */
    struct sim_adapter *(*adapter_create)(const char *name); /* NULL: refused (e.g. injected failure) */
    void (*adapter_destroy)(struct sim_adapter *adapter);    /* pause, halt, free */
    int32_t (*adapter_pause)(struct sim_adapter *adapter);
    int32_t (*adapter_restart)(struct sim_adapter *adapter);
    void (*adapter_surprise_remove)(struct sim_adapter *adapter); /* adapter_destroy() must still follow */
    int32_t (*adapter_pnp)(struct sim_adapter *adapter, uint8_t minor);
    int32_t (*adapter_oid)(struct sim_adapter *adapter, bool set, uint32_t oid, void *buffer, uint32_t length,
                           uint32_t *bytes);
    bool (*adapter_link_up)(struct sim_adapter *adapter);
    /* One DeviceIoControl of SYSTEM on a handle opened and closed for it. NTSTATUS. */
    int32_t (*control)(struct sim_adapter *adapter, uint32_t code, const void *in, uint32_t in_length,
                       void *out, uint32_t out_length, uint64_t *information);
    /* IP packets: down from an application, up to `callback`. */
    void (*packet_send)(struct sim_adapter *adapter, const uint8_t *packet, uint32_t length);
    void (*packet_receive)(struct sim_adapter *adapter, sim_packet_callback *callback, void *context);
    void (*set_mtu)(struct sim_adapter *adapter, uint32_t mtu);

    /* ---- the network ---- */
    /* The driver's machine: an address on its one network interface. `up` false removes it. Routes to
     * everywhere exist per family while it has an address of it; changes are notified. */
    void (*machine_address)(const struct sim_address *address, bool up);
    /* The address that the network shows for sockets bound to `port` (a NAT: after every call the mapped port
     * may differ).  Default: the socket's own source address. NULL ends it. */
    void (*translate)(uint16_t port, const struct sim_address *outside);
    /* A scripted peer. Sending from it to a machine address + port reaches the driver's socket there. */
    struct sim_endpoint *(*endpoint_open)(const struct sim_address *address, sim_endpoint_callback *callback,
                                          void *context);
    void (*endpoint_move)(struct sim_endpoint *endpoint, const struct sim_address *address);
    void (*endpoint_send)(struct sim_endpoint *endpoint, const struct sim_address *to, const uint8_t *data,
                          uint32_t length);
    void (*endpoint_close)(struct sim_endpoint *endpoint);
    /* Forged source, straight into the network. */
    void (*inject)(const struct sim_address *from, const struct sim_address *to, const uint8_t *data,
                   uint32_t length);
    /* Conditions for everything that travels to `to` (address and port; port 0: all ports); NULL: the
     * default. */
    void (*path)(const struct sim_address *to, const struct sim_path *conditions);
    void (*tap)(sim_datagram_callback *callback, void *context); /* sees every datagram of the driver */
    /* When the network last refused a segmented send, of which parts may come again, and late; 0: never. */
    uint64_t (*segments_refused_ns)(void);

    /* ---- checking ---- */
    /* Searches all pool memory (freed included), the driver's data and the stacks of its threads. */
    unsigned (*memory_search)(const void *needle, size_t length, struct sim_memory_hit *hits, unsigned max);
    uint64_t (*pool_bytes)(void);
    uint64_t (*pool_bytes_peak)(void);
    /* Allocations fail with probability p of 2^16 (0: never), from now on. */
    void (*fail_allocations)(uint32_t probability);
};

/* Exported by the scenario. */
void scenario_main(const struct sim *sim);
