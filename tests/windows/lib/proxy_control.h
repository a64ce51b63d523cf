/* How tests tell the proxy driver (tests/windows/proxy) which adapters there are: DeviceIoControl on
 * \\.\WyrmBridge. */
#pragma once

#include "linux_socket.h"

#include <stdint.h>

enum {
    PROXY_LINK_UNITS = 200,
    /* CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800 + n, METHOD_BUFFERED, FILE_ANY_ACCESS); in: struct proxy_adapter */
    PROXY_IOCTL_ADD = 0x222000,    /* also when the link exists: it leads to the new socket from then on */
    PROXY_IOCTL_REMOVE = 0x222004, /* open files stay as they are, new ones find nothing */
};

/* The process that the driver believes to talk to, as in OPEN of docs/control-socket.md. */
struct proxy_token {
    uint8_t system;
    uint8_t administrator;
    uint8_t wow64;
    uint8_t zero;
    uint32_t integrity;
};

struct proxy_adapter {
    uint16_t
        link[PROXY_LINK_UNITS]; /* what stands after \\?\ in the interface's path, UTF-16, zero at the end */
    char socket[LINUX_PATH_BYTES]; /* of nthost's raw control socket */
    struct proxy_token token;
};
