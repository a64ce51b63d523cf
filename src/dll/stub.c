#define WYRM_IMPORT
#include "wyrm/wireguard.h"
BOOL WINAPI DllMain(HINSTANCE instance, DWORD reason, LPVOID reserved);
BOOL WINAPI DllMain(HINSTANCE instance, DWORD reason, LPVOID reserved)
{
    return TRUE;
}
#define NO                                                                                                   \
    {                                                                                                        \
        SetLastError(ERROR_CALL_NOT_IMPLEMENTED);                                                            \
        return 0;                                                                                            \
    }
WIREGUARD_ADAPTER_HANDLE WINAPI WireGuardCreateAdapter(
    LPCWSTR Name, LPCWSTR TunnelType, const GUID *RequestedGUID) NO WIREGUARD_ADAPTER_HANDLE WINAPI
    WireGuardOpenAdapter(LPCWSTR Name) NO VOID WINAPI WireGuardCloseAdapter(WIREGUARD_ADAPTER_HANDLE Adapter)
{
}
VOID WINAPI WireGuardGetAdapterLUID(WIREGUARD_ADAPTER_HANDLE Adapter, NET_LUID *Luid)
{
    Luid->Value = 0;
}
BOOL WINAPI WireGuardSetAdapterState(WIREGUARD_ADAPTER_HANDLE Adapter,
                                     WIREGUARD_ADAPTER_STATE State) NO BOOL WINAPI
    WireGuardGetAdapterState(WIREGUARD_ADAPTER_HANDLE Adapter, WIREGUARD_ADAPTER_STATE *State) NO BOOL WINAPI
    WireGuardSetConfiguration(WIREGUARD_ADAPTER_HANDLE Adapter, const WIREGUARD_INTERFACE *Config,
                              DWORD Bytes) NO BOOL WINAPI
    WireGuardGetConfiguration(WIREGUARD_ADAPTER_HANDLE Adapter, WIREGUARD_INTERFACE *Config,
                              DWORD *Bytes) NO DWORD WINAPI WireGuardGetRunningDriverVersion(VOID)
NO BOOL WINAPI WireGuardDeleteDriver(VOID)
NO VOID WINAPI WireGuardSetLogger(WIREGUARD_LOGGER_CALLBACK NewLogger)
{
}
BOOL WINAPI WireGuardSetAdapterLogging(WIREGUARD_ADAPTER_HANDLE Adapter,
                                       WIREGUARD_ADAPTER_LOG_STATE LogState) NO BOOL WINAPI
    WyrmEnumerateAdapters(WYRM_ENUMERATE_CALLBACK Callback, void *Context) NO BOOL WINAPI
    WyrmSetConfigurationAtomically(WIREGUARD_ADAPTER_HANDLE Adapter, const WIREGUARD_INTERFACE *Config,
                                   DWORD Bytes) NO BOOL WINAPI
    WyrmGetDropCounters(WIREGUARD_ADAPTER_HANDLE Adapter, WYRM_DROP_COUNTER *Counters,
                        DWORD *Count) NO BOOL WINAPI
    WyrmCheckConfiguration(const WIREGUARD_INTERFACE *Config, DWORD Bytes) NO
