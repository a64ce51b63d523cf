/* doctor.h on Windows. */
#include "doctor.h"
#include "library.h"
#include "win/dns_client.h"
#include "win/netio.h"

#include <stdio.h>
#include <string.h>

static bool elevated(void)
{
    HANDLE token;
    TOKEN_ELEVATION elevation = {0};
    DWORD size;
    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token))
        return false;
    bool known = GetTokenInformation(token, TokenElevation, &elevation, sizeof elevation, &size);
    CloseHandle(token);
    return known && elevation.TokenIsElevated;
}

static BOOL CALLBACK examine_adapter(const WYRM_ADAPTER_INFORMATION *information, void *context)
{
    struct examination *examination = context;
    char name[DEVICE_NAME_BYTES];
    if (!utf8_of(information->Name, name, sizeof name))
        strcpy(name, "?");
    if (!information->Present)
        doctor_note(examination, WARNING, name, "nothing: the next adapter that is made removes it",
                    "its program ended without removing it");
    else if (information->ProblemCode)
        doctor_note(
            examination, WRONG, name,
            "look at the device in the Device Manager; 52 is a signature that this Windows does not trust",
            "its device has problem %lu", information->ProblemCode);
    else if (!information->Started)
        doctor_note(examination, WRONG, name, "wait, or restart the program that made it",
                    "its device is not started");
    return TRUE;
}

/* Other products' services that filter or carry all traffic are a common cause of tunnels that carry none. */
static void examine_services(struct examination *examination)
{
    static const struct {
        const WCHAR *service;
        const char *product;
    } others[] = {{L"WireGuardManager", "WireGuard for Windows"},
                  {L"OpenVPNService", "OpenVPN"},
                  {L"NordVPN-Service", "NordVPN"},
                  {L"MullvadVPN", "Mullvad VPN"},
                  {L"Tailscale", "Tailscale"},
                  {L"ZeroTierOneService", "ZeroTier"}};
    SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT);
    for (size_t i = 0; manager && i < sizeof others / sizeof *others; i++) {
        SC_HANDLE service = OpenServiceW(manager, others[i].service, SERVICE_QUERY_STATUS);
        SERVICE_STATUS status;
        if (service && QueryServiceStatus(service, &status) && status.dwCurrentState == SERVICE_RUNNING)
            doctor_note(examination, WARNING, "other software",
                        "if packets are lost, look at its routes, ports and kill switch, or stop it",
                        "%s is running", others[i].product);
        if (service)
            CloseServiceHandle(service);
    }
    if (manager)
        CloseServiceHandle(manager);
}

static void examine_interface(void *context, const WCHAR *alias, uint8_t family, bool forwards,
                              bool weak_host)
{
    char name[DEVICE_NAME_BYTES], remedy[200];
    if (!utf8_of(alias, name, sizeof name))
        strcpy(name, "?");
    snprintf(remedy, sizeof remedy,
             "if this machine is no router: netsh interface ipv%u set interface \"%.100s\" %s=disabled",
             family, name, forwards ? "forwarding" : "weakhostsend");
    doctor_note(context, WARNING, name, remedy,
                forwards ? "IPv%u forwards packets between interfaces, past a tunnel as well"
                         : "IPv%u sends from addresses of other interfaces, past a tunnel as well",
                family);
}

/* Settings of Windows that make tunnels leak, or names not resolve. */
static void examine_settings(struct examination *examination)
{
    if (dns_client_disabled())
        doctor_note(examination, WARNING, "DNS client",
                    "set the start type of the service Dnscache to automatic, and restart Windows",
                    "it is disabled: a tunnel's DNS servers and domains may not be used");
    /* Where the settings cannot be asked for (Wine) they are not judged. */
    netio_risky_interfaces(examine_interface, examination);
}

void doctor_system(struct examination *examination)
{
    struct failure failure;
    bool full = elevated();
    doctor_note(examination, full ? GOOD : WARNING, "permissions",
                "run it as administrator: what only administrators can see is not examined",
                full ? "administrator" : "not elevated");
    const struct library *library = library_load(&failure);
    if (!library) {
        doctor_note(examination, WRONG, "wyrm.dll", "install it anew: it stands beside this program", "%s",
                    failure.text);
        return;
    }
    DWORD version = library->version();
    if (version)
        doctor_note(examination, GOOD, "driver", "", "version %lu.%lu is running", version >> 16,
                    version & 0xFFFF);
    else
        doctor_note(examination, GOOD, "driver", "", "not running; the first tunnel starts it");
    if (!library->enumerate(examine_adapter, examination))
        doctor_note(examination, WRONG, "adapters", DOCTOR_ELEVATE, "they cannot be listed (code %lu)",
                    GetLastError());
    examine_services(examination);
    examine_settings(examination);
}

static bool luid_of(const char *name, NET_LUID *luid)
{
    struct failure failure;
    const struct library *library = library_load(&failure);
    WIREGUARD_ADAPTER_HANDLE adapter = library ? library_open(library, name, &failure) : NULL;
    if (!adapter)
        return false;
    library->luid(adapter, luid);
    library->close(adapter);
    return true;
}

void doctor_link(struct examination *examination, const struct device *device, bool ipv6)
{
    struct failure failure;
    const struct library *library = library_load(&failure);
    WIREGUARD_ADAPTER_HANDLE adapter = library ? library_open(library, device->name, &failure) : NULL;
    WIREGUARD_ADAPTER_STATE state;
    NET_LUID luid;
    uint32_t mtu;
    if (!adapter)
        return;
    if (library->get_state(adapter, &state)) {
        bool up = state == WIREGUARD_ADAPTER_STATE_UP;
        doctor_note(examination, up ? GOOD : WRONG, device->name,
                    "the program that made it has to bring it up",
                    up ? "the adapter is up" : "the adapter is down");
    }
    library->luid(adapter, &luid);
    library->close(adapter);
    if (netio_get_mtu(&luid, ipv6 ? 6 : 4, &mtu) == 0) {
        bool low = ipv6 && mtu < MINIMUM_MTU_IPV6;
        doctor_note(examination, low ? WRONG : GOOD, device->name,
                    "IPv6 needs an MTU of 1280: set MTU, or take the IPv6 prefixes out of AllowedIPs",
                    "MTU %u", mtu);
    }
}

void doctor_way(struct examination *examination, const struct device *device, const struct device_peer *peer,
                const char *who)
{
    SOCKADDR_INET to = {0};
    NET_LUID own, through;
    uint32_t mtu;
    to.si_family = peer->endpoint.family == 4 ? AF_INET : AF_INET6;
    if (peer->endpoint.family == 4)
        memcpy(&to.Ipv4.sin_addr, peer->endpoint.address, 4);
    else
        memcpy(&to.Ipv6.sin6_addr, peer->endpoint.address, 16);
    if (!luid_of(device->name, &own))
        return;
    /* The driver itself passes its own interface over. */
    DWORD code = netio_way_to(&to, &own, &through, &mtu);
    if (code == ERROR_NETWORK_UNREACHABLE)
        doctor_note(examination, WRONG, who, "connect to a network, or correct Endpoint",
                    "there is no route to its endpoint outside the tunnel");
}
