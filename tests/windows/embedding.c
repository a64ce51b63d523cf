/* A program that brings its own service, with wyrm-tunnel.dll: `embedding keys` prints a pair of keys in
 * hexadecimal; `embedding FILE`, started by the service control manager, serves that tunnel. */
#include <wyrm/tunnel.h>

#include <stdio.h>
#include <string.h>

static void print(const char *name, const BYTE *key)
{
    printf("%s ", name);
    for (int i = 0; i < WYRM_TUNNEL_KEY_BYTES; i++)
        printf("%02x", key[i]);
    printf("\n");
}

int main(int argc, char **argv)
{
    WIREGUARD_TUNNEL_SERVICE_FUNC *serve;
    WIREGUARD_GENERATE_KEYPAIR_FUNC *generate;
    BYTE public_key[WYRM_TUNNEL_KEY_BYTES], private_key[WYRM_TUNNEL_KEY_BYTES];
    wchar_t path[MAX_PATH];
    HMODULE module = LoadLibraryW(L"wyrm-tunnel.dll");
    if (argc != 2 || !module || !MultiByteToWideChar(CP_UTF8, 0, argv[1], -1, path, MAX_PATH))
        return 2;
    FARPROC function = GetProcAddress(module, "WireGuardTunnelService");
    memcpy(&serve, &function, sizeof serve);
    function = GetProcAddress(module, "WireGuardGenerateKeypair");
    memcpy(&generate, &function, sizeof generate);
    if (!serve || !generate)
        return 3;
    if (strcmp(argv[1], "keys") != 0)
        return serve(path) ? 0 : 1;
    if (generate(NULL, private_key) || !generate(public_key, private_key))
        return 1;
    print("public", public_key);
    print("private", private_key);
    return 0;
}
