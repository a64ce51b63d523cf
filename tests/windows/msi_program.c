/* Stands for wyrm.exe in the installers of suite 72-package: appends the text of the README.txt beside it and
 * its argument as a line to C:\actions.txt; fails when there is a C:\fail.txt. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>
#include <windows.h>

int main(int argc, char **argv)
{
    wchar_t path[MAX_PATH + 16];
    char line[200] = "without a README";
    DWORD length = GetModuleFileNameW(NULL, path, MAX_PATH), count = 0;
    while (length && path[length - 1] != L'\\')
        length--;
    wcscpy(path + length, L"README.txt");
    HANDLE readme = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    if (readme != INVALID_HANDLE_VALUE && ReadFile(readme, line, 100, &count, NULL))
        line[count] = 0;
    CloseHandle(readme);
    snprintf(line + strlen(line), 90, " %.80s\n", argc == 2 ? argv[1] : "?");
    HANDLE file = CreateFileW(L"C:\\actions.txt", FILE_APPEND_DATA, 0, NULL, OPEN_ALWAYS, 0, NULL);
    bool done = WriteFile(file, line, (DWORD)strlen(line), &count, NULL);
    CloseHandle(file);
    return !done || GetFileAttributesW(L"C:\\fail.txt") != INVALID_FILE_ATTRIBUTES;
}
