/* error.h — status codes and the error that explains them.
 *
 * Every function that can fail returns `enum dm_status` and takes a caller-owned `struct dm_error *`.
 * On DM_FAIL the error is filled; on any other status it is untouched. Each layer may add context with
 * dm_error_prefix; only one place (cli/, or the retry loop in mirror/) logs it. No memory is owned.
 * Thread use: one dm_error belongs to one thread at a time.
 *
 *     struct dm_error err = {0};
 *     if (dm_file_read(path, &buf, &err) != DM_OK) {
 *         dm_error_prefix(&err, "configuration");
 *         return DM_FAIL;
 *     }
 */
#ifndef DM_BASE_ERROR_H
#define DM_BASE_ERROR_H

#define DM_MUST_USE __attribute__((warn_unused_result))
#define DM_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

enum dm_status {
    DM_OK = 0,
    DM_FAIL = 1,    /* struct dm_error says why */
    DM_END = 2,     /* no more data, a normal end */
    DM_TIMEOUT = 3, /* nothing happened within the time given */
};

/* What kind of failure it is decides what mirror/ does about it. */
enum dm_error_class {
    DM_ERROR_NONE = 0,
    DM_ERROR_TRANSIENT, /* try again after a wait: network, server restart, lock, disk full */
    DM_ERROR_MEMORY, /* it did not fit into memory_limit: worth a few tries, since others may have taken much of it */
    DM_ERROR_DATA,     /* this row or this dataset cannot be applied; others go on */
    DM_ERROR_CONFIG,   /* a person must change something: setting, privilege, syntax */
    DM_ERROR_CONFLICT, /* somebody else changed what we own: second instance, taken slot */
    DM_ERROR_FATAL,    /* our own bug, or damage that we cannot mend */
};

struct dm_error {
    enum dm_error_class class;
    char message[1024]; /* what happened, with the place */
    char hint[512];     /* what to do about it; empty when there is nothing to say */
};

/* Fills the error and returns DM_FAIL, so that `return dm_fail(...)` reads well. `hint` may be NULL. */
enum dm_status dm_fail(struct dm_error *err, enum dm_error_class class, const char *hint, const char *fmt,
                       ...) DM_PRINTF(4, 5);

/* As dm_fail for a failed system call: appends strerror(errno); ENOSPC, EAGAIN, EINTR, EIO count as transient. */
enum dm_status dm_fail_errno(struct dm_error *err, const char *fmt, ...) DM_PRINTF(2, 3);

/* As dm_fail for a failed allocation of `bytes`. */
enum dm_status dm_fail_memory(struct dm_error *err, unsigned long long bytes);

/* Puts "context: " in front of the message. */
void dm_error_prefix(struct dm_error *err, const char *fmt, ...) DM_PRINTF(2, 3);

/* Sets the hint, printf style. */
void dm_error_hint(struct dm_error *err, const char *fmt, ...) DM_PRINTF(2, 3);

const char *dm_error_class_name(enum dm_error_class class);

#endif
