/* What `wyrm doctor` examines: the adapters' configurations everywhere (command_doctor.c), the rest by system
 * (doctor_linux.c, windows/doctor_windows.c).  Nothing is changed. */
#pragma once

#include "device.h"
#include "output.h"

#include <stdbool.h>

#define MINIMUM_MTU_IPV6 1280

#ifdef _WIN32
#define DOCTOR_ELEVATE "run it as administrator"
#else
#define DOCTOR_ELEVATE "run it with sudo"
#endif

enum grade { GOOD, WARNING, WRONG };

struct examination {
    struct output output;
    bool json;
    unsigned count, wrong;
};

/* One line of the report: of what, how it is, and (unless it is good) what to do. */
void doctor_note(struct examination *examination, enum grade grade, const char *subject, const char *remedy,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Permissions, programs and drivers, and what tunnels left behind. */
void doctor_system(struct examination *examination);
/* The interface of an adapter; `ipv6`: some peer has IPv6 prefixes. */
void doctor_link(struct examination *examination, const struct device *device, bool ipv6);
/* The way to a peer's endpoint. `who`: the line's subject. */
void doctor_way(struct examination *examination, const struct device *device, const struct device_peer *peer,
                const char *who);
