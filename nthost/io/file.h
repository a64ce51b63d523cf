/* How the host's fronts use a device of the driver: open, control, cancel, close, PnP and power - what the
 * I/O manager does on behalf of a process.  Any adopted thread at PASSIVE_LEVEL. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct _DEVICE_OBJECT;
struct io_file;
struct io_request;

/* Who asks; decides access checks. */
struct io_token {
    bool system;        /* S-1-5-18 */
    bool administrator; /* member of S-1-5-32-544 */
    uint32_t integrity; /* mandatory level RID: 0x1000 low, 0x2000 medium, 0x3000 high, 0x4000 system */
    bool process32;     /* a 32-bit process on 64-bit Windows */
};
extern const struct io_token io_token_system;

/* All return NTSTATUS values. */
int32_t io_file_open(struct _DEVICE_OBJECT *device, const struct io_token *token, struct io_file **file);
/* The handle goes to another process: later requests are made by `token`. */
void io_file_pass(struct io_file *file, const struct io_token *token);
/* Sends IRP_MJ_DEVICE_CONTROL and waits.  Buffers are the caller's "user memory"; `out` is both read and
 * written according to the transfer method.  `information` = IoStatus.Information. */
int32_t io_file_control(struct io_file *file, uint32_t code, const void *in, uint32_t in_length, void *out,
                        uint32_t out_length, uint64_t *information);
/* The same without waiting: `done(context, status, information)` is called exactly once, from any thread. */
struct io_request *io_file_control_async(struct io_file *file, uint32_t code, const void *in,
                                         uint32_t in_length, void *out, uint32_t out_length,
                                         void (*done)(void *context, int32_t status, uint64_t information),
                                         void *context);
void io_request_cancel(struct io_request *request);  /* no effect when it is already complete */
void io_request_release(struct io_request *request); /* the handle returned by control_async */
/* IRP_MJ_CLEANUP, then IRP_MJ_CLOSE when the last request is back. */
void io_file_close(struct io_file *file);

/* Sends IRP_MJ_PNP / IRP_MJ_POWER with this minor code to the top of the device's stack and waits. `state` of
 * a power request is a DEVICE_POWER_STATE (1 = D0 ... 4 = D3). */
int32_t io_pnp(struct _DEVICE_OBJECT *device, uint8_t minor);
int32_t io_power(struct _DEVICE_OBJECT *device, uint8_t minor, uint32_t state);
