#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum dm_status dm_fail(struct dm_error *err, enum dm_error_class class, const char *hint, const char *fmt,
                       ...)
{
    if (err == NULL)
        return DM_FAIL;
    va_list args;
    va_start(args, fmt);
    err->class = class;
    (void)vsnprintf(err->message, sizeof err->message, fmt, args);
    va_end(args);
    (void)snprintf(err->hint, sizeof err->hint, "%s", hint ? hint : "");
    return DM_FAIL;
}

static enum dm_error_class errno_class(int code)
{
    switch (code) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EAGAIN:
    case EINTR:
    case EIO:
    case EMFILE:
    case ENFILE:
    case ENOMEM: return DM_ERROR_TRANSIENT;
    case EACCES:
    case EPERM:
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case ENAMETOOLONG:
    case ELOOP:
    case EROFS: return DM_ERROR_CONFIG;
    default: return DM_ERROR_FATAL;
    }
}

static const char *errno_hint(int code)
{
    switch (code) {
    case ENOSPC:
    case EDQUOT:
        return "the disk is full: free some room; nothing was acknowledged, the mirror goes on when there is "
               "room";
    case EACCES:
    case EPERM: return "check the owner and the permissions of the path";
    case ENOENT:
    case ENOTDIR:
    case EISDIR: return "check the path: each part but the last must be a folder that exists";
    case EFBIG: return "raise the limit of the size of files (ulimit -f)";
    case EMFILE: return "raise the limit of open files (ulimit -n)";
    default: return "";
    }
}

enum dm_status dm_fail_errno(struct dm_error *err, const char *fmt, ...)
{
    int code = errno;
    if (err == NULL)
        return DM_FAIL;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(err->message, sizeof err->message, fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof err->message)
        (void)snprintf(err->message + n, sizeof err->message - (size_t)n, ": %s", strerror(code));
    err->class = errno_class(code);
    (void)snprintf(err->hint, sizeof err->hint, "%s", errno_hint(code));
    return DM_FAIL;
}

enum dm_status dm_fail_memory(struct dm_error *err, unsigned long long bytes)
{
    return dm_fail(err, DM_ERROR_TRANSIENT, "give the machine more memory or lower memory_limit",
                   "out of memory allocating %llu bytes", bytes);
}

void dm_error_prefix(struct dm_error *err, const char *fmt, ...)
{
    if (err == NULL)
        return;
    char old[sizeof err->message];
    memcpy(old, err->message, sizeof old);
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(err->message, sizeof err->message, fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof err->message)
        (void)snprintf(err->message + n, sizeof err->message - (size_t)n, ": %s", old);
}

void dm_error_hint(struct dm_error *err, const char *fmt, ...)
{
    if (err == NULL)
        return;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(err->hint, sizeof err->hint, fmt, args);
    va_end(args);
}

const char *dm_error_class_name(enum dm_error_class class)
{
    switch (class) {
    case DM_ERROR_NONE: return "none";
    case DM_ERROR_TRANSIENT: return "transient";
    case DM_ERROR_MEMORY: return "memory";
    case DM_ERROR_DATA: return "data";
    case DM_ERROR_CONFIG: return "config";
    case DM_ERROR_CONFLICT: return "conflict";
    case DM_ERROR_FATAL: return "fatal";
    }
    return "unknown";
}
