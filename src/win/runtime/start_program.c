/* Entry point of our programs: main(argc, argv) gets the command line as UTF-8, whatever the system's code
 * page is; printf and fputs of UTF-8 reach a console right, whose code page is set for the life of the
 * process. */
#include <stdlib.h>
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

int main(int argc, char **argv);
void win_program_start(void);
void __main(void);

/* From ucrtbase.dll (corecrt_startup.h). */
enum { CRT_CONSOLE_APP = 1, CRT_ARGV_UNEXPANDED = 1 };
__declspec(dllimport) void __cdecl _set_app_type(int type);
__declspec(dllimport) int __cdecl _configure_wide_argv(int mode);
__declspec(dllimport) int *__cdecl __p___argc(void);
__declspec(dllimport) wchar_t ***__cdecl __p___wargv(void);
__declspec(dllimport) int __cdecl _initialize_wide_environment(void);
__declspec(dllimport) int __cdecl _crt_atexit(void(__cdecl *function)(void));

/* The compiler calls it at the beginning of main; there are no constructors. */
void __main(void)
{
}

int __cdecl atexit(void(__cdecl *function)(void))
{
    return _crt_atexit(function);
}

static UINT console_code_page;

static void __cdecl restore_code_page(void)
{
    SetConsoleOutputCP(console_code_page);
}

static void use_utf8_console(void)
{
    console_code_page = GetConsoleOutputCP();
    if (console_code_page && console_code_page != CP_UTF8 && SetConsoleOutputCP(CP_UTF8))
        atexit(restore_code_page);
}

/* NULL: no memory. */
static char **arguments(int count, wchar_t **wide)
{
    char **argv = calloc((size_t)count + 1, sizeof(*argv));
    for (int i = 0; argv && i < count; i++) {
        int bytes = WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, NULL, 0, NULL, NULL);
        argv[i] = malloc((size_t)bytes + 1);
        if (!argv[i] || !WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, argv[i], bytes, NULL, NULL))
            return NULL;
    }
    return argv;
}

void win_program_start(void)
{
    _set_app_type(CRT_CONSOLE_APP);
    _configure_wide_argv(CRT_ARGV_UNEXPANDED);
    _initialize_wide_environment();
    int argc = *__p___argc();
    char **argv = arguments(argc, *__p___wargv());
    if (!argv)
        ExitProcess(ERROR_NOT_ENOUGH_MEMORY);
    use_utf8_console();
    exit(main(argc, argv));
}
