#ifndef _STDIO_H
#define _STDIO_H

#include <stddef.h>

int printf(const char *restrict format, ...) __attribute__((format(printf, 1, 2)));
int dprintf(int fd, const char *restrict format, ...) __attribute__((format(printf, 2, 3)));
int puts(const char *text);

#endif
