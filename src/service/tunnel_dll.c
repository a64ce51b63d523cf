/* wyrm-tunnel.dll, for programs that bring their own service: they are started by the service control
 * manager, and hand the whole process to a tunnel.  wyrm.dll is looked for beside this DLL. */
#include "crypto/secure_memory.h"
#include "crypto/x25519.h"
#include "failure.h"
#include "library.h"
#include "platform.h"
#include "scm.h"

#include <wyrm/tunnel.h>

#define PATH_BYTES 4096

BOOL WINAPI WireGuardTunnelService(LPCWSTR config_path)
{
    char path[PATH_BYTES];
    if (!config_path || !utf8_of(config_path, path, sizeof path)) {
        SetLastError(ERROR_INVALID_PARAMETER);
        return FALSE;
    }
    return scm_serve(path);
}

BOOL WINAPI WireGuardGenerateKeypair(BYTE public_key[WYRM_TUNNEL_KEY_BYTES],
                                     BYTE private_key[WYRM_TUNNEL_KEY_BYTES])
{
    struct failure failure;
    if (!public_key || !private_key) {
        SetLastError(ERROR_INVALID_PARAMETER);
        return FALSE;
    }
    if (!platform_random(private_key, WYRM_TUNNEL_KEY_BYTES, &failure)) {
        secure_zero(private_key, WYRM_TUNNEL_KEY_BYTES);
        SetLastError(ERROR_GEN_FAILURE);
        return FALSE;
    }
    x25519_clamp(private_key);
    x25519_base(public_key, private_key);
    return TRUE;
}

BOOL WINAPI DllMain(HINSTANCE instance, DWORD reason, LPVOID reserved)
{
    return TRUE;
}
