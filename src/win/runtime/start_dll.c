/* Entry point of our DLLs.  ucrtbase.dll prepares itself; our code has no constructors, so DllMain is all. */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

BOOL WINAPI win_dll_start(HINSTANCE instance, DWORD reason, LPVOID reserved);
BOOL WINAPI DllMain(HINSTANCE instance, DWORD reason, LPVOID reserved);

BOOL WINAPI win_dll_start(HINSTANCE instance, DWORD reason, LPVOID reserved)
{
    return DllMain(instance, reason, reserved);
}
