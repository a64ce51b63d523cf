/* Names of the tunnel service at run time; all follow from the vendor's (src/dll/names.h). */
#pragma once

#define SERVICE_PROGRAM WYRM_VENDOR_FILE "-service"
/* The service of the tunnel NAME is "WyrmTunnel$NAME"; the event log's source is the part before. */
#define SERVICE_SOURCE  L"" WYRM_VENDOR_NAME L"Tunnel"
#define SERVICE_PREFIX  SERVICE_SOURCE L"$"
#define SERVICE_DISPLAY L"" WYRM_VENDOR_NAME L" Tunnel: "
#define SETTINGS_KEY    L"Software\\" WYRM_VENDOR_NAME
/* Below %ProgramData%. */
#define DATA_FOLDER L"\\" WYRM_VENDOR_NAME
/* The engine's pipes are below the same folder under every vendor's name (docs/engine.md). */
#define ENGINE_PIPES   L"\\\\.\\pipe\\ProtectedPrefix\\Administrators\\Wyrm\\"
#define HANDOVER_PIPES L"\\\\.\\pipe\\ProtectedPrefix\\Administrators\\" WYRM_VENDOR_NAME L"Handover\\"

/* LocalSystem and administrators, for nobody else; for what is in a folder, too. */
#define PRIVATE_FOLDER_SDDL L"D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"
#define PRIVATE_PIPE_SDDL   L"O:BAD:P(A;;GA;;;SY)(A;;GA;;;BA)"

enum { TUNNEL_NAME_BYTES = 33, PATH_UNITS = 1024, SERVICE_NAME_UNITS = 64 };
