/* The adapter by the driver: see backend.h. */
#include "backend.h"

#include "transport.h"

#include <string.h>

struct driver_backend {
    struct backend common;
    const struct library *library;
    WIREGUARD_ADAPTER_HANDLE adapter;
    WIREGUARD_LOGGER_CALLBACK logger; /* NULL: none */
};

/* The same name gets the same GUID each time, so that Windows knows the network again. */
static GUID guid_of(const char *name)
{
    /* FNV-1a over the name, twice; no secret and no protection: other names only should get other GUIDs. */
    uint64_t low = 0xcbf29ce484222325u, high = 0x84222325cbf29ce4u;
    GUID guid;
    for (; *name; name++) {
        low = (low ^ (uint8_t)*name) * 0x100000001b3u;
        high = (high ^ (uint8_t)*name) * 0x100000001b3u + 0x9e37u;
    }
    memcpy(&guid, &low, 8);
    memcpy((uint8_t *)&guid + 8, &high, 8);
    guid.Data3 =
        (uint16_t)((guid.Data3 & 0x0FFF) | 0x8000); /* RFC 9562 section 5.8: made to one's own rules */
    guid.Data4[0] = (uint8_t)((guid.Data4[0] & 0x3F) | 0x80);
    return guid;
}

static struct driver_backend *driver_of(struct backend *backend)
{
    return (struct driver_backend *)backend;
}

static bool driver_open(struct backend *backend, const char *name, NET_LUID *luid, struct failure *failure)
{
    struct driver_backend *driver = driver_of(backend);
    WCHAR wide[WIREGUARD_MAX_ADAPTER_NAME];
    GUID guid = guid_of(name);
    driver->library = library_load(failure);
    if (!driver->library)
        return false;
    if (!utf16_of(name, wide, WIREGUARD_MAX_ADAPTER_NAME))
        return fail(failure, EXIT_USAGE,
                    "\"%.60s\" cannot be the name of an adapter: use 1 to 127 characters", name);
    if (driver->logger)
        driver->library->set_logger(driver->logger);
    driver->adapter = driver->library->create(wide, L"" WYRM_VENDOR_NAME, &guid);
    if (!driver->adapter)
        return fail_windows(failure, GetLastError(), "%.100s: the adapter cannot be created", name);
    driver->library->luid(driver->adapter, luid);
    /* A log that cannot be followed keeps no tunnel down; the DLL says so. */
    if (driver->logger)
        driver->library->set_logging(driver->adapter, WIREGUARD_ADAPTER_LOG_ON);
    backend->name = name;
    return true;
}

static bool driver_get(struct backend *backend, struct device *device, struct failure *failure)
{
    return transport_get(backend->name, device, failure);
}

static bool driver_set(struct backend *backend, const struct change *change, struct failure *failure)
{
    return transport_set(backend->name, change, failure);
}

static bool driver_up(struct backend *backend, struct failure *failure)
{
    struct driver_backend *driver = driver_of(backend);
    return driver->library->set_state(driver->adapter, WIREGUARD_ADAPTER_STATE_UP) ||
           fail_windows(failure, GetLastError(), "%.100s: the adapter cannot be brought up", backend->name);
}

static bool driver_alive(struct backend *backend)
{
    const struct driver_backend *driver = driver_of(backend);
    WIREGUARD_ADAPTER_STATE state;
    return driver->library->get_state(driver->adapter, &state);
}

static void driver_close(struct backend *backend)
{
    struct driver_backend *driver = driver_of(backend);
    driver->library->close(driver->adapter);
    driver->adapter = NULL;
}

struct backend *backend_driver(WIREGUARD_LOGGER_CALLBACK logger)
{
    static struct driver_backend driver = {.common = {.open = driver_open,
                                                      .get = driver_get,
                                                      .set = driver_set,
                                                      .up = driver_up,
                                                      .alive = driver_alive,
                                                      .close = driver_close}};
    driver.logger = logger;
    return &driver.common;
}
