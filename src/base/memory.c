#include "base/memory.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void dm_memory_setup(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 8 << 20);
}

static void *or_die(void *p, size_t bytes)
{
    if (p == NULL) {
        fprintf(stderr, "datamirror: out of memory allocating %zu bytes\n", bytes);
        abort();
    }
    return p;
}

void *dm_xalloc(size_t bytes)
{
    return or_die(malloc(bytes ? bytes : 1), bytes);
}

void *dm_xzalloc(size_t count, size_t size)
{
    return or_die(calloc(count ? count : 1, size ? size : 1), count * size);
}

void *dm_xrealloc(void *old, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return or_die(NULL, SIZE_MAX);
    return or_die(realloc(old, bytes ? bytes : 1), bytes);
}

char *dm_xstrndup(const char *text, size_t len)
{
    char *copy = dm_xalloc(len + 1);
    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

char *dm_xstrdup(const char *text)
{
    return text ? dm_xstrndup(text, strlen(text)) : NULL;
}

char *dm_xasprintf(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *out = NULL;
    int n = vasprintf(&out, fmt, args);
    va_end(args);
    return n < 0 ? or_die(NULL, 0) : out;
}
