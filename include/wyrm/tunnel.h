/** @file
 * @brief wyrm-tunnel.dll: a tunnel as the service of a program of one's own.
 *
 * Names, signatures and calling convention are those of the reference's embeddable DLL. */
#ifndef WYRM_TUNNEL_H
#define WYRM_TUNNEL_H

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WYRM_TUNNEL_KEY_BYTES 32

/** Serves the tunnel of a configuration file until the service control manager stops it.
 *
 * To be called by the process that the service control manager has started for a service of the type
 * SERVICE_WIN32_OWN_PROCESS, on its first thread, once; it connects to the manager and takes its controls.
 * The service should depend on Nsi and TcpIp, have an unrestricted SID, and run as LocalSystem.
 *
 * @param config_path  NAME.conf (wg-quick's format), or NAME.conf.dpapi as the tunnel service stores it; NAME
 * is the adapter's
 * @return FALSE if the tunnel failed, or the process was not started as a service (GetLastError()) */
BOOL WINAPI WireGuardTunnelService(LPCWSTR config_path);
/** Its type. */
typedef BOOL(WINAPI WIREGUARD_TUNNEL_SERVICE_FUNC)(LPCWSTR config_path);

/** Makes a pair of keys.  The caller wipes the private one.
 * @param[out] public_key   32 bytes
 * @param[out] private_key  32 bytes, clamped (RFC 7748 section 5)
 * @return FALSE without random numbers from the system, or for NULL */
BOOL WINAPI WireGuardGenerateKeypair(BYTE public_key[WYRM_TUNNEL_KEY_BYTES],
                                     BYTE private_key[WYRM_TUNNEL_KEY_BYTES]);
/** Its type. */
typedef BOOL(WINAPI WIREGUARD_GENERATE_KEYPAIR_FUNC)(BYTE public_key[WYRM_TUNNEL_KEY_BYTES],
                                                     BYTE private_key[WYRM_TUNNEL_KEY_BYTES]);

#ifdef __cplusplus
}
#endif

#endif
