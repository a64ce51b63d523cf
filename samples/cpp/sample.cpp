// Makes an adapter, configures it, brings it up and reads its configuration back, with handles that close
// themselves.  Run it as an elevated administrator with wyrm.dll beside it.  C++17, any compiler:
//     clang++ -std=c++17 -I include samples/cpp/sample.cpp -lbcrypt
//     cl /std:c++17 /I include samples\cpp\sample.cpp bcrypt.lib
#define WYRM_NO_PROTOTYPES
#include <wyrm/wireguard.h>

// Needs windows.h before it.
#include <bcrypt.h>
#include <stdio.h>
#include <string.h>

namespace
{

// The DLL with the functions that this sample uses.
class Library
{
public:
    Library()
        : module(LoadLibraryExW(L"wyrm.dll", nullptr,
                                LOAD_LIBRARY_SEARCH_APPLICATION_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32)),
          create(look_up<WIREGUARD_CREATE_ADAPTER_FUNC>("WireGuardCreateAdapter")),
          close(look_up<WIREGUARD_CLOSE_ADAPTER_FUNC>("WireGuardCloseAdapter")),
          set_state(look_up<WIREGUARD_SET_ADAPTER_STATE_FUNC>("WireGuardSetAdapterState")),
          set(look_up<WIREGUARD_SET_CONFIGURATION_FUNC>("WireGuardSetConfiguration")),
          get(look_up<WIREGUARD_GET_CONFIGURATION_FUNC>("WireGuardGetConfiguration"))
    {
    }
    Library(const Library &) = delete;
    Library &operator=(const Library &) = delete;
    ~Library()
    {
        if (module)
            FreeLibrary(module);
    }
    explicit operator bool() const { return create && close && set_state && set && get; }

private:
    template <typename Function> Function *look_up(const char *name) const
    {
        Function *function = nullptr;
        const FARPROC address = module ? GetProcAddress(module, name) : nullptr;
        memcpy(&function, &address, sizeof(function));
        return function;
    }
    HMODULE module; // first: the others are initialized from it

public:
    WIREGUARD_CREATE_ADAPTER_FUNC *create;
    WIREGUARD_CLOSE_ADAPTER_FUNC *close;
    WIREGUARD_SET_ADAPTER_STATE_FUNC *set_state;
    WIREGUARD_SET_CONFIGURATION_FUNC *set;
    WIREGUARD_GET_CONFIGURATION_FUNC *get;
};

// Lives as long as this object.
class Adapter
{
public:
    Adapter(const Library &from, const wchar_t *name)
        : library(from), handle(from.create(name, L"Sample", nullptr))
    {
    }
    Adapter(const Adapter &) = delete;
    Adapter &operator=(const Adapter &) = delete;
    ~Adapter() { library.close(handle); }
    explicit operator bool() const { return handle != nullptr; }
    bool up() { return library.set_state(handle, WIREGUARD_ADAPTER_STATE_UP); }
    bool set(const void *config, size_t bytes)
    {
        return library.set(handle, static_cast<const WIREGUARD_INTERFACE *>(config), static_cast<DWORD>(bytes));
    }
    bool get(void *config, DWORD &bytes)
    {
        return library.get(handle, static_cast<WIREGUARD_INTERFACE *>(config), &bytes);
    }

private:
    const Library &library;
    WIREGUARD_ADAPTER_HANDLE handle;
};

// Room for a configuration; private keys do not stay in memory.
struct Buffer {
    alignas(8) BYTE bytes[65536] = {};
    Buffer() = default;
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;
    ~Buffer() { SecureZeroMemory(bytes, sizeof(bytes)); }
};

bool configure(Adapter &adapter)
{
    constexpr WORD port = 51820;
    Buffer buffer;
    wyrm_writer writer;
    auto *config = wyrm_write_begin(&writer, buffer.bytes, sizeof(buffer.bytes));
    auto *peer = wyrm_write_peer(&writer);
    auto *allowed = wyrm_write_allowed_ip(&writer);

    if (!config || !peer || !allowed ||
        BCryptGenRandom(nullptr, config->PrivateKey, WIREGUARD_KEY_LENGTH, BCRYPT_USE_SYSTEM_PREFERRED_RNG) < 0)
        return false;
    config->Flags = WIREGUARD_INTERFACE_HAS_PRIVATE_KEY | WIREGUARD_INTERFACE_HAS_LISTEN_PORT |
                    WIREGUARD_INTERFACE_REPLACE_PEERS;
    config->ListenPort = port;
    peer->Flags = WIREGUARD_PEER_HAS_PUBLIC_KEY | WIREGUARD_PEER_HAS_ENDPOINT |
                  WIREGUARD_PEER_HAS_PERSISTENT_KEEPALIVE | WIREGUARD_PEER_REPLACE_ALLOWED_IPS;
    memset(peer->PublicKey, 0x42, WIREGUARD_KEY_LENGTH); // the key that the peer's owner told you
    peer->PersistentKeepalive = 25;
    peer->Endpoint.Ipv4.sin_family = AF_INET;
    peer->Endpoint.Ipv4.sin_port = static_cast<USHORT>(port << 8 | port >> 8); // network byte order
    memcpy(&peer->Endpoint.Ipv4.sin_addr, "\xc0\x00\x02\x01", 4);              // 192.0.2.1
    allowed->AddressFamily = AF_INET;
    allowed->Cidr = 24;
    memcpy(&allowed->Address.V4, "\x0a\x48\x00\x00", 4); // 10.72.0.0/24
    return adapter.set(buffer.bytes, writer.used);
}

bool show(Adapter &adapter)
{
    Buffer buffer;
    DWORD bytes = sizeof(buffer.bytes);
    wyrm_reader reader;

    if (!adapter.get(buffer.bytes, bytes))
        return false; // ERROR_MORE_DATA: again with a buffer of `bytes` bytes
    const auto *config = wyrm_read_begin(&reader, buffer.bytes, bytes);
    printf("port %u, %lu peers\n", config->ListenPort, config->PeersCount);
    while (const auto *peer = wyrm_read_peer(&reader)) {
        printf("peer %02x...: keepalive %u s, %llu bytes sent, %llu received\n", peer->PublicKey[0],
               peer->PersistentKeepalive, static_cast<unsigned long long>(peer->TxBytes),
               static_cast<unsigned long long>(peer->RxBytes));
        while (const auto *allowed = wyrm_read_allowed_ip(&reader)) {
            BYTE address[4];
            memcpy(address, &allowed->Address.V4, sizeof(address));
            if (allowed->AddressFamily == AF_INET)
                printf("  allowed %u.%u.%u.%u/%u\n", address[0], address[1], address[2], address[3],
                       allowed->Cidr);
        }
    }
    return true;
}

int fail(const char *what)
{
    fprintf(stderr, "%s: error %lu\n", what, GetLastError());
    return 1;
}

} // namespace

int main(int, char **)
{
    Library library;
    if (!library)
        return fail("wyrm.dll cannot be used");
    Adapter adapter(library, L"Sample");
    if (!adapter)
        return fail("no adapter");
    if (!configure(adapter) || !adapter.up())
        return fail("the adapter cannot be configured");
    return show(adapter) ? 0 : fail("the configuration cannot be read");
}
