/* Two adapters of one driver on real TUN devices: each gets its own packets, and outlives the other. */
#include "check.h"
#include "linux_side.h"
#include "ndis/adapter.h"
#include "test_network.h"
#include "two_adapters.h"

static bool has_packet(void *which)
{
    return __atomic_load_n(&two_ports[(uintptr_t)which].mine, __ATOMIC_ACQUIRE) > 0;
}

/* A datagram through adapter `which`, reflected to a socket of ours. */
static void exchange(unsigned which)
{
    char from[16], to[16], data[8];
    uint16_t port = 0;
    int fd;

    snprintf(from, sizeof from, "10.8.%u.1", which);
    snprintf(to, sizeof to, "10.8.%u.2", which);
    two_ports[which].mine = 0;
    fd = side_udp(from, &port, false);
    CHECK(fd >= 0 && side_udp_send(fd, to, port, "mine", 4)); /* same port: the reflection comes back here */
    CHECK(side_wait(has_packet, (void *)(uintptr_t)which, 5000));
    CHECK(side_udp_receive(fd, data, sizeof data, 5000, &port) == 4 && memcmp(data, "mine", 4) == 0);
    CHECK(two_ports[0].foreign == 0 && two_ports[1].foreign == 0);
    side_close(fd);
}

void test_two_adapters(void)
{
    struct ndis_adapter *adapters[2] = {0};

    if (!two_adapters_make(adapters)) {
        CHECK(!"two adapters of one driver can be made");
        return;
    }
    for (unsigned i = 0; i < 2; i++)
        CHECK(side_command("ip addr add 10.8.%u.1/24 dev two%u && ip link set two%u up", i, i, i));
    two_adapters_check(adapters);
    exchange(0);
    exchange(1);
    two_adapters_remove(adapters[0], 0);
    exchange(1);
    two_adapters_remove(adapters[1], 1);
    two_adapters_end();
    checks_hand_over();
}
