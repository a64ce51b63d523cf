/* The upper edge (edge/edge.h) over wintun.dll: packets are read where they lie in its ring and written
 * straight into the other one.  It has neither super-segments nor unfinished checksums.  All on the loop's
 * thread. */
#include "edge/edge.h"
#include "loop.h"
#include "net.h"
#include "sched/sched.h"
#include "system.h"
#include "wintun.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BURST_PACKETS 128

struct tun {
    const struct wintun_functions *wintun;
    wintun_adapter adapter;
    wintun_session session;
    HANDLE readable;
    tun_receive *receive;
    void *context;
    uint32_t ifindex;
    bool paused, ended;
    NET_LUID luid;
    struct tun_packet packets[BURST_PACKETS];
};

static void read_packets(void *context)
{
    struct tun *tun = context;
    unsigned count = 0;
    DWORD bytes, error = ERROR_SUCCESS;
    if (tun->paused || tun->ended)
        return;
    while (count < BURST_PACKETS) {
        uint8_t *data = tun->wintun->receive_packet(tun->session, &bytes);
        if (!data) {
            error = GetLastError();
            break;
        }
        tun->packets[count++] = (struct tun_packet){.data = data, .length = bytes};
    }
    if (count)
        tun->receive(tun->context, tun->packets, count);
    for (unsigned i = 0; i < count; i++)
        tun->wintun->release_receive_packet(tun->session, tun->packets[i].data);
    if (count == BURST_PACKETS) { /* the event may not tell of what is left: look again, behind others */
        loop_post(read_packets, tun);
    } else if (error != ERROR_NO_MORE_ITEMS) {
        if (error != ERROR_HANDLE_EOF)
            log_error("packets cannot be read from wintun.dll: error %lu", error);
        tun->ended = true;
        loop_enable_handle(tun->readable, false);
        tun->receive(tun->context, NULL, 0);
    }
}

static int describe(DWORD code, const char *name, char *error, size_t error_size)
{
    const char *remedy = "";
    if (code == ERROR_ACCESS_DENIED)
        remedy = "; an administrator must start it";
    else if (code == ERROR_ALREADY_EXISTS || code == ERROR_DUP_NAME)
        remedy = "; another program already serves an adapter of that name";
    snprintf(error, error_size, "cannot make adapter %s: wintun.dll reports error %lu%s", name, code, remedy);
    return code == ERROR_ACCESS_DENIED ? -EACCES : -EIO;
}

int tun_open(const char *name, bool segmentation, tun_receive *receive, void *context, struct tun **out,
             char *error, size_t error_size)
{
    wchar_t wide[128];
    NET_IFINDEX index;
    *out = NULL;
    if (!MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, name, -1, wide, 128)) {
        snprintf(error, error_size, "the name of the adapter is too long");
        return -EINVAL;
    }
    struct tun *tun = calloc(1, sizeof(*tun));
    if (!tun) {
        snprintf(error, error_size, "out of memory");
        return -ENOMEM;
    }
    tun->receive = receive;
    tun->context = context;
    tun->wintun = wintun_load(error, error_size);
    if (!tun->wintun) {
        free(tun);
        return -ENOENT;
    }
    int result = 0;
    tun->adapter = tun->wintun->create_adapter(wide, L"Wyrm", NULL);
    if (tun->adapter)
        tun->session = tun->wintun->start_session(tun->adapter, WINTUN_RING_BYTES);
    if (!tun->session)
        result = describe(GetLastError(), name, error, error_size);
    if (!result) {
        tun->wintun->get_adapter_luid(tun->adapter, &tun->luid);
        tun->ifindex = ConvertInterfaceLuidToIndex(&tun->luid, &index) == NO_ERROR ? index : 0;
        net_set_tunnel(tun->ifindex);
        tun->readable = tun->wintun->get_read_wait_event(tun->session);
        result = loop_add_handle(tun->readable, read_packets, tun);
    }
    if (result) {
        tun_close(tun);
        return result;
    }
    loop_post(read_packets, tun); /* what came before the event was watched */
    *out = tun;
    return 0;
}

void tun_close(struct tun *tun)
{
    if (!tun)
        return;
    loop_remove_handle(tun->readable);
    loop_forget(tun);
    if (tun->session)
        tun->wintun->end_session(tun->session);
    if (tun->adapter)
        tun->wintun->close_adapter(tun->adapter);
    free(tun);
}

/* Of one family; a family that is switched off has none. */
static DWORD set_family_mtu(const struct tun *tun, ADDRESS_FAMILY family, uint32_t mtu)
{
    DWORD(WINAPI * get)(MIB_IPINTERFACE_ROW *);
    DWORD(WINAPI * set)(MIB_IPINTERFACE_ROW *);
    HMODULE module = GetModuleHandleW(L"iphlpapi.dll");
    *(FARPROC *)&get = GetProcAddress(module, "GetIpInterfaceEntry");
    *(FARPROC *)&set = GetProcAddress(module, "SetIpInterfaceEntry");
    MIB_IPINTERFACE_ROW row;
    InitializeIpInterfaceEntry(&row);
    row.Family = family;
    row.InterfaceLuid = tun->luid;
    DWORD code = get && set ? get(&row) : ERROR_NOT_SUPPORTED;
    if (code != NO_ERROR)
        return code;
    row.NlMtu = mtu;
    row.SitePrefixLength = 0; /* IPv4 refuses what GetIpInterfaceEntry says there */
    return set(&row);
}

/* Whoever configures the adapter may set another; so a failure is worth a message, not the end. */
int tun_set_mtu(struct tun *tun, uint32_t mtu)
{
    DWORD code = tun->ifindex ? set_family_mtu(tun, AF_INET, mtu) : ERROR_NOT_FOUND;
    DWORD code6 = tun->ifindex ? set_family_mtu(tun, AF_INET6, mtu) : ERROR_NOT_FOUND;
    if (code != NO_ERROR && code6 != NO_ERROR)
        log_error("the adapter's MTU cannot be set to %u: error %lu", mtu, code);
    return 0;
}

/* The adapter has a link as long as the session lives. */
int tun_set_link(struct tun *tun, bool up)
{
    return tun->ended ? -ENODEV : 0;
}

uint32_t tun_ifindex(const struct tun *tun)
{
    return tun->ifindex;
}

bool tun_accepts_tcp_segments(const struct tun *tun)
{
    return false;
}

bool tun_accepts_udp_segments(const struct tun *tun)
{
    return false;
}

void tun_pause_reading(struct tun *tun, bool paused)
{
    if (tun->paused == paused)
        return;
    tun->paused = paused;
    loop_enable_handle(tun->readable, !paused && !tun->ended);
    if (!paused)
        loop_post(read_packets, tun); /* what came meanwhile may have used up its event */
}

int tun_write(struct tun *tun, const struct tun_packet *header, const struct iovec *iov, unsigned iov_count)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < iov_count; i++)
        bytes += iov[i].iov_len;
    if (bytes > WINTUN_PACKET_BYTES_MAX || header->gso_type != TUN_GSO_NONE)
        return -EMSGSIZE;
    uint8_t *packet = tun->ended ? NULL : tun->wintun->allocate_send_packet(tun->session, (DWORD)bytes);
    if (!packet)
        return -EAGAIN;
    uint8_t *at = packet;
    for (unsigned i = 0; i < iov_count; i++) {
        memcpy(at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    tun->wintun->send_packet(tun->session, packet);
    return 0;
}
