/* A real driver image through the host's own interface: load, open, each transfer method, pending requests
 * that are released, cancelled and cleaned up, PnP and power, access by token, unload without leaks. */
#include "exec_control.h"
#include "executive.h"
#include "host.h"
#include "io/device.h"
#include "io/driver.h"
#include "io/file.h"
#include "loader/image.h"
#include "nt/io.h"
#include "nt/rtl.h"
#include "sched/sched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static UNICODE_STRING device_name = RTL_CONSTANT_STRING(u"\\??\\NthostExec");

static const struct io_token user = {.integrity = 0x2000};
static const struct io_token admin = {.administrator = true, .integrity = 0x3000, .process32 = true};
static const struct io_token filtered = {.administrator = true, .integrity = 0x2000};

static void test_buffered(struct io_file *file)
{
    uint8_t in[64], out[80];
    uint64_t information;
    for (unsigned length = 0; length <= sizeof in; length++) {
        for (unsigned i = 0; i < length; i++)
            in[i] = (uint8_t)i;
        memset(out, 0x77, sizeof out);
        CHECK(io_file_control(file, EXEC_REVERSE, in, length, out, sizeof out, &information) ==
              STATUS_SUCCESS);
        CHECK(information == length);
        for (unsigned i = 0; i < length; i++)
            CHECK(out[i] == length - 1 - i);
        CHECK(out[length] == 0x77); /* only Information bytes come back */
    }
    memset(out, 0x77, sizeof out);
    CHECK(io_file_control(file, EXEC_REVERSE, in, 8, out, 3, &information) == STATUS_BUFFER_OVERFLOW);
    CHECK(information == 3 && out[0] == 7 && out[2] == 5 && out[3] == 0x77); /* a warning copies */
    out[0] = 0x77;
    CHECK(io_file_control(file, EXEC_FAIL, in, 4, out, 4, &information) == STATUS_UNSUCCESSFUL &&
          out[0] == 0x77);
    CHECK(io_file_control(file, EXEC_NO_BUFFER, NULL, 0, NULL, 0, &information) == STATUS_SUCCESS);
    CHECK(io_file_control(file, EXEC_NO_BUFFER, NULL, 0, out, 4, &information) == STATUS_UNSUCCESSFUL);
    CHECK(io_file_control(file, 0x12345678, NULL, 0, NULL, 0, &information) == STATUS_INVALID_DEVICE_REQUEST);
}

static void test_direct(struct io_file *file)
{
    uint8_t in[4] = {1, 2, 3, 4}, out[100];
    uint64_t information;
    memset(out, 1, sizeof out);
    CHECK(io_file_control(file, EXEC_IN_DIRECT, NULL, 0, out, sizeof out, &information) == STATUS_SUCCESS);
    CHECK(information == (100ull << 32 | 100u << 8 | 1u));
    CHECK(io_file_control(file, EXEC_IN_DIRECT, in, 4, out, 10, &information) == STATUS_SUCCESS);
    CHECK(information == (10ull << 32 | 4u << 24 | 10u << 8 | 3u));
    CHECK(io_file_control(file, EXEC_IN_DIRECT, NULL, 0, NULL, 0, &information) == STATUS_SUCCESS &&
          information == 0);
    CHECK(io_file_control(file, EXEC_OUT_DIRECT, in, 4, out, sizeof out, &information) == STATUS_SUCCESS);
    CHECK(information == (4u << 24 | 100u << 8 | 3u));
    for (unsigned i = 0; i < sizeof out; i++)
        CHECK(out[i] == (uint8_t)(i * 7));
    CHECK(io_file_control(file, EXEC_NEITHER, in, 4, out, 4, &information) == STATUS_SUCCESS &&
          information == 4);
    CHECK(memcmp(in, out, 4) == 0);
}

struct result {
    int calls;
    int32_t status;
    uint64_t information;
};

static void done(void *context, int32_t status, uint64_t information)
{
    struct result *result = context;
    result->status = status;
    result->information = information;
    __atomic_fetch_add(&result->calls, 1, __ATOMIC_SEQ_CST);
}

static void test_pending(struct io_file *file, struct io_file *other)
{
    uint32_t word[3] = {0};
    struct result results[4] = {{0}};
    struct io_request *requests[4];
    uint64_t information;
    CHECK(io_file_control(file, EXEC_RELEASE, NULL, 0, NULL, 0, &information) == STATUS_NO_MORE_ENTRIES);
    for (unsigned i = 0; i < 3; i++)
        requests[i] = io_file_control_async(file, EXEC_PEND, NULL, 0, &word[i], 4, done, &results[i]);
    requests[3] = io_file_control_async(other, EXEC_PEND, NULL, 0, NULL, 0, done, &results[3]);
    CHECK(results[0].calls == 0 && results[3].calls == 0);
    CHECK(io_file_control(other, EXEC_RELEASE, NULL, 0, NULL, 0, &information) == STATUS_SUCCESS);
    CHECK(results[0].calls == 1 && results[0].status == STATUS_SUCCESS && results[0].information == 4);
    CHECK(word[0] == 0x12345678 && word[1] == 0);
    io_request_cancel(requests[0]); /* complete already */
    io_request_cancel(requests[1]);
    CHECK(results[1].calls == 1 && results[1].status == STATUS_CANCELLED && word[1] == 0);
    io_request_cancel(requests[1]);
    CHECK(results[0].calls == 1 && results[1].calls == 1 && results[2].calls == 0 && results[3].calls == 0);
    io_file_close(file); /* IRP_MJ_CLEANUP cancels this file's requests, not the other's */
    CHECK(results[2].calls == 1 && results[2].status == STATUS_CANCELLED && results[3].calls == 0);
    CHECK(host_count_read(HOST_IRP_PENDING).now == 1);
    io_request_cancel(requests[3]);
    CHECK(results[3].calls == 1 && results[3].status == STATUS_CANCELLED);
    for (unsigned i = 0; i < 4; i++)
        io_request_release(requests[i]);
}

static NTSTATUS access_as(DEVICE_OBJECT *device, const struct io_token *token, bool *is32)
{
    struct io_file *file;
    uint64_t information = 0;
    CHECK(io_file_open(device, token, &file) == STATUS_SUCCESS);
    CHECK(io_file_control(file, EXEC_IS_32BIT, NULL, 0, NULL, 0, &information) == STATUS_SUCCESS);
    *is32 = information != 0;
    NTSTATUS status = io_file_control(file, EXEC_ACCESS, NULL, 0, NULL, 0, &information);
    io_file_close(file);
    return status;
}

static void test_life(const char *path)
{
    char error[4096];
    struct driver *driver;
    struct io_file *file, *other;
    struct exec_self_test report;
    uint64_t information;
    bool is32;
    if (!driver_load(path, &driver, error, sizeof error)) {
        CHECK_MSG(false, "%s", error);
        return;
    }
    DEVICE_OBJECT *device = device_by_name(&device_name);
    CHECK(device != NULL && driver_object(driver)->DeviceObject == device);
    if (!device)
        return;
    CHECK(!(device->Flags & DO_DEVICE_INITIALIZING));
    bool discarded = false;
    CHECK(image_section_name(image_entry(driver_image(driver)), &discarded) && discarded);

    CHECK(io_file_open(device, &io_token_system, &file) == STATUS_SUCCESS);
    CHECK(io_file_open(device, &io_token_system, &other) == STATUS_SUCCESS);
    test_buffered(file);
    test_direct(file);
    test_pending(file, other);
    CHECK(access_as(device, &io_token_system, &is32) == STATUS_SUCCESS && !is32);
    CHECK(access_as(device, &admin, &is32) == STATUS_SUCCESS && is32);
    CHECK(access_as(device, &filtered, &is32) == STATUS_ACCESS_DENIED);
    CHECK(access_as(device, &user, &is32) == STATUS_ACCESS_DENIED);
    CHECK(io_pnp(device, IRP_MN_QUERY_REMOVE_DEVICE) == STATUS_UNSUCCESSFUL);
    CHECK(io_pnp(device, IRP_MN_CANCEL_REMOVE_DEVICE) == STATUS_SUCCESS);
    CHECK(io_power(device, IRP_MN_SET_POWER, PowerDeviceD3) == STATUS_SUCCESS);
    CHECK(io_file_control(other, EXEC_SELF_TEST, NULL, 0, &report, sizeof report, &information) ==
          STATUS_SUCCESS);
    CHECK_MSG(!report.calls && !report.memory && !report.work_item && !report.thread,
              "calls %u, memory %u, work item %u, thread %u", report.calls, report.memory, report.work_item,
              report.thread);
    CHECK(report.opens == 6 && report.cleanups == 5 && report.closes == 5 && report.cancelled == 2);
    CHECK(report.pnp_minor == IRP_MN_CANCEL_REMOVE_DEVICE && report.power_state == PowerDeviceD3);
    io_file_close(other);
    CHECK(driver_unload(driver));
    CHECK(device_by_name(&device_name) == NULL);
}

void test_driver(const char *path)
{
    for (unsigned i = 0; i < 5; i++)
        test_life(path);
}

void test_break(const char *path, unsigned number)
{
    char error[4096];
    struct driver *driver;
    struct io_file *file;
    uint32_t word = number;
    uint8_t out[8];
    uint64_t information;
    if (!driver_load(path, &driver, error, sizeof error)) {
        fprintf(stderr, "%s\n", error);
        exit(1);
    }
    if (io_file_open(device_by_name(&device_name), &io_token_system, &file) != STATUS_SUCCESS)
        exit(1);
    io_file_control(file, EXEC_BREAK, &word, sizeof word, out, sizeof out, &information);
    fprintf(stderr, "rule %u was broken and nothing was reported\n", number);
    exit(3);
}

void test_faults(const char *path)
{
    char error[4096];
    struct driver *driver;
    struct io_file *file;
    struct exec_self_test report;
    uint64_t information;
    for (unsigned i = 0; i < 4; i++) { /* each stack fails at most once: the last rounds succeed */
        if (!driver_load(path, &driver, error, sizeof error)) {
            CHECK_MSG(strstr(error, "DriverEntry returned 0xC000009A") && i < 3, "%s", error);
            continue;
        }
        CHECK(io_file_open(device_by_name(&device_name), &io_token_system, &file) == STATUS_SUCCESS);
        for (unsigned j = 0; j < 8; j++)
            CHECK(io_file_control(file, EXEC_SELF_TEST, NULL, 0, &report, sizeof report, &information) ==
                  STATUS_SUCCESS);
        CHECK(!report.calls && !report.memory && !report.work_item && !report.thread);
        io_file_close(file);
        CHECK(driver_unload(driver));
    }
}
