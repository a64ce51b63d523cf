/* The formatter of log lines: a small, bounded printf subset that works at DISPATCH_LEVEL and knows socket
 * addresses. */
#pragma once

#include <stdarg.h>
#include <stddef.h>

/* Conversions: %s %c %u %d %x (32 bit), %llu %llx, %% and %pI (const SOCKADDR_INET *, "192.0.2.1:51820" or
 * "[2001:db8::1]:51820").  An unknown conversion is copied as it stands.  Always NUL-terminated within `size`
 * bytes; returns the length without the NUL. Any IRQL. */
size_t log_format(char *out, size_t size, const char *format, va_list arguments);
