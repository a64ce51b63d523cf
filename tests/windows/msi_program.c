/* Stands for the programs in the installers of suite 72-package: appends the text of the README.txt beside
 * it, its name and its arguments as a line to C:\actions.txt; fails when there is a C:\fail.txt. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>
#include <windows.h>

int main(int argc, char **argv)
{
    wchar_t path[MAX_PATH + 16];
    char line[400] = "without a README", name[64] = "";
    DWORD length = GetModuleFileNameW(NULL, path, MAX_PATH), count = 0;
    while (length && path[length - 1] != L'\\')
        length--;
    WideCharToMultiByte(CP_UTF8, 0, path + length, -1, name, sizeof name, NULL, NULL);
    wcscpy(path + length, L"README.txt");
    HANDLE readme = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    if (readme != INVALID_HANDLE_VALUE && ReadFile(readme, line, 100, &count, NULL))
        line[count] = 0;
    CloseHandle(readme);
    snprintf(line + strlen(line), 80, " %.*s", (int)strcspn(name, "."), name);
    for (int i = 1; i < argc && i < 4; i++)
        snprintf(line + strlen(line), 60, " %.50s", argv[i]);
    strcat(line, "\n");
    HANDLE file = CreateFileW(L"C:\\actions.txt", FILE_APPEND_DATA, 0, NULL, OPEN_ALWAYS, 0, NULL);
    bool done = WriteFile(file, line, (DWORD)strlen(line), &count, NULL);
    CloseHandle(file);
    return !done || GetFileAttributesW(L"C:\\fail.txt") != INVALID_FILE_ATTRIBUTES;
}
