#include "mirror/hygiene/condition.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "config/config_value.h"
#include "mirror/hygiene/record_delete_parts.h"

extern char **environ;

enum { look_every_ms = 50, memory_sixteenths = 2, frame_max = 4 << 20, read_bytes = 1 << 16 };

struct asking {
    struct dm_mirror *m;
    const struct dm_condition *c;
    const struct dm_order_hooks *hooks;
    struct dm_batch *out;
    char *folder; /* its own, removed in the end: job, spilled rows */
    char *job;
    pid_t pid; /* 0: not started, or ended */
    int fd;    /* its stdout; -1 */
    int64_t deadline_us;
    struct dm_buffer bytes; /* told, and not taken yet */
    bool ended;             /* it said so */
};

/* ---- is it wanted any longer? ---- */

static enum dm_status check_wanted(const struct asking *a, struct dm_error *err)
{
    const struct dm_order_hooks *h = a->hooks;
    char text[32];
    if (h != NULL && h->progress != NULL)
        h->progress(h->ctx, 0, 0, 0);
    if (*a->m->stop > 0 || a->m->ending)
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "the mirror ends");
    if (h != NULL && ((h->stop != NULL && *h->stop > 0) || (h->gone != NULL && h->gone(h->ctx))))
        return dm_fail(err, DM_ERROR_TRANSIENT, NULL, "nobody waits for the answer any more");
    if (dm_clock_monotonic_us() > a->deadline_us)
        return dm_fail(err, DM_ERROR_CONFIG,
                       "let it read less, give keys instead, or raise condition_timeout",
                       "it took longer than %s and was ended",
                       dm_value_duration_text(a->m->config->condition_timeout_ms, text, sizeof text));
    return DM_OK;
}

/* One at a time, for each has memory of its own. */
static enum dm_status take_turn(const struct asking *a, struct dm_error *err)
{
    int64_t nobody = 0;
    while (!atomic_compare_exchange_strong(&a->m->condition_since_us, &nobody, dm_clock_monotonic_us())) {
        nobody = 0;
        if (check_wanted(a, err) != DM_OK) {
            if (err->class == DM_ERROR_CONFIG)
                return dm_fail(err, DM_ERROR_TRANSIENT, NULL,
                               "another condition is being answered all the time");
            return DM_FAIL;
        }
        dm_clock_sleep_ms(look_every_ms);
    }
    return DM_OK;
}

/* ---- the process ---- */

static enum dm_status write_job(struct asking *a, struct dm_error *err)
{
    const struct dm_config *config = a->m->config;
    json_t *keys = json_array();
    for (size_t i = 0; i < a->c->keys->n_fields; i++)
        json_array_append_new(keys, json_string(a->c->keys->fields[i].name));
    json_t *job = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:o}", "lake", config->lake, "catalog",
                            config->catalog_name, "namespace", a->c->namespace, "name", a->c->name, "where",
                            a->c->where, "temp_folder", a->folder, "memory",
                            (json_int_t)dm_mirror_portion(a->m, memory_sixteenths), "temp_limit",
                            (json_int_t)config->memory_limit, "keys", keys);
    int code = job != NULL ? json_dump_file(job, a->job, JSON_COMPACT) : -1;
    json_decref(job);
    return code == 0 ? DM_OK
                     : dm_fail(err, DM_ERROR_CONFIG, NULL,
                               "it is not text, or there is no room for it on the disk");
}

static enum dm_status make_folder(struct asking *a, struct dm_error *err)
{
    char *parent = dm_xasprintf("%s/.spill", a->m->config->lake);
    a->folder = dm_xasprintf("%s/condition-XXXXXX", parent);
    enum dm_status status = dm_file_make_folders(parent, err);
    free(parent);
    if (status == DM_OK && mkdtemp(a->folder) == NULL) {
        a->folder[0] = '\0';
        return dm_fail_errno(err, "cannot make a folder in %s/.spill", a->m->config->lake);
    }
    a->job = dm_xasprintf("%s/job.json", a->folder);
    return status;
}

static int spawn(struct asking *a, int out)
{
    char name[] = "datamirror", argument[] = DM_CONDITION_ARGUMENT;
    char *arguments[] = {name, argument, a->job, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&actions, out, 1);
    (void)posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setsigdefault(&attributes, &all);
    (void)posix_spawnattr_setpgroup(&attributes, 0); /* Ctrl-C is for the mirror, which ends it */
    (void)posix_spawnattr_setflags(&attributes,
                                   POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    int code = posix_spawn(&a->pid, "/proc/self/exe", &actions, &attributes, arguments, environ);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (code != 0)
        a->pid = 0;
    return code;
}

static enum dm_status start(struct asking *a, struct dm_error *err)
{
    int ends[2];
    if (make_folder(a, err) != DM_OK || write_job(a, err) != DM_OK)
        return DM_FAIL;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return dm_fail_errno(err, "cannot make a pipe");
    a->fd = ends[0];
    int code = spawn(a, ends[1]);
    (void)close(ends[1]);
    errno = code;
    return code == 0 ? DM_OK : dm_fail_errno(err, "cannot start a process");
}

static void end(struct asking *a)
{
    struct dm_error ignored = {0};
    if (a->fd >= 0)
        (void)close(a->fd);
    if (a->pid > 0) {
        (void)kill(a->pid, SIGKILL);
        while (waitpid(a->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    if (a->folder != NULL && a->folder[0] != '\0' && dm_file_remove_tree(a->folder, &ignored) != DM_OK)
        ignored.class = DM_ERROR_NONE; /* the next start tries again */
    free(a->job);
    free(a->folder);
    dm_buffer_release(&a->bytes);
}

/* ---- what it says ---- */

/* The next `n` texts after `at`; false: they have not arrived yet. *at: behind them. */
static bool take_texts(const struct dm_buffer *b, size_t *at, const char **texts, size_t n)
{
    size_t from = *at;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *zero = from < b->len ? memchr(b->data + from, 0, b->len - from) : NULL;
        if (zero == NULL)
            return false;
        texts[i] = (const char *)b->data + from;
        from = (size_t)(zero - b->data) + 1;
    }
    *at = from;
    return true;
}

static enum dm_status take_error(const char *const *texts, struct dm_error *err)
{
    long class = strtol(texts[0], NULL, 10);
    bool known = class > DM_ERROR_NONE && class <= DM_ERROR_FATAL;
    /* another version's message about a lake is nobody's fault here: what else fails is told as it is */
    return dm_fail(err, known ? (enum dm_error_class) class : DM_ERROR_FATAL,
                   texts[1][0] != '\0' ? texts[1] : NULL, "%s", texts[2]);
}

static enum dm_status take_row(struct asking *a, const char **texts, struct dm_error *err)
{
    size_t n = a->c->keys->n_fields;
    for (size_t i = 0; i < n; i++)
        texts[i] = texts[i][0] == '+' ? texts[i] + 1 : NULL;
    if (dm_delete_take_key(a->out, n, texts, err) != DM_OK)
        return DM_FAIL;
    if (dm_batch_bytes(a->out) > dm_mirror_portion(a->m, memory_sixteenths))
        return dm_fail(err, DM_ERROR_CONFIG, "delete in several orders, or raise memory_limit",
                       "it hits more rows than fit into the memory for one order");
    return DM_OK;
}

static enum dm_status take_frames(struct asking *a, struct dm_error *err)
{
    size_t at = 0, n = a->c->keys->n_fields;
    const char **texts = dm_xzalloc(n + 3, sizeof *texts);
    enum dm_status status = DM_OK;
    while (at < a->bytes.len && status == DM_OK && !a->ended) {
        size_t next = at + 1;
        uint8_t kind = a->bytes.data[at];
        a->ended = kind != 'R' && (kind == 'D' || take_texts(&a->bytes, &next, texts, 3));
        if (kind == 'R' && take_texts(&a->bytes, &next, texts, n))
            status = take_row(a, texts, err);
        else if (!a->ended)
            break;
        else if (kind == 'E')
            status = take_error(texts, err);
        at = next;
    }
    if (at > 0)
        memmove(a->bytes.data, a->bytes.data + at, a->bytes.len - at);
    a->bytes.len -= at;
    free(texts);
    return status;
}

/* It ended without having said so: it was out of memory, somebody killed it, or it crashed. */
static enum dm_status ended_badly(struct asking *a, struct dm_error *err)
{
    int code = 0;
    pid_t pid;
    do
        pid = waitpid(a->pid, &code, 0);
    while (pid < 0 && errno == EINTR);
    a->pid = 0;
    return dm_fail(
        err, DM_ERROR_CONFIG, "let it hold less at a time, or raise memory_limit",
        "the process that answered it ended before it was done (%s %d): most likely it was out of memory",
        WIFSIGNALED(code) ? "signal" : "code", WIFSIGNALED(code) ? WTERMSIG(code) : WEXITSTATUS(code));
}

static enum dm_status listen_to(struct asking *a, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    while (status == DM_OK && !a->ended) {
        struct pollfd fd = {.fd = a->fd, .events = POLLIN};
        int ready = poll(&fd, 1, look_every_ms);
        status = check_wanted(a, err);
        if (ready <= 0 || status != DM_OK)
            continue;
        uint8_t bytes[read_bytes];
        ssize_t n = read(a->fd, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ended_badly(a, err);
        status = dm_buffer_append(&a->bytes, bytes, (size_t)n, err);
        if (status == DM_OK)
            status = take_frames(a, err);
    }
    return status;
}

enum dm_status dm_condition_answer(struct dm_mirror *m, const struct dm_condition *c,
                                   const struct dm_order_hooks *hooks, struct dm_batch *out,
                                   struct dm_error *err)
{
    struct asking a = {.m = m,
                       .c = c,
                       .hooks = hooks,
                       .out = out,
                       .fd = -1,
                       .deadline_us = dm_clock_monotonic_us() + m->config->condition_timeout_ms * 1000};
    dm_buffer_init(&a.bytes, frame_max + read_bytes);
    enum dm_status status = take_turn(&a, err);
    bool mine = status == DM_OK;
    a.deadline_us = dm_clock_monotonic_us() + m->config->condition_timeout_ms * 1000;
    if (status == DM_OK)
        status = start(&a, err);
    if (status == DM_OK)
        status = listen_to(&a, err);
    end(&a);
    if (mine)
        m->condition_since_us = 0;
    if (status != DM_OK)
        dm_error_prefix(err, "the condition on %s.%s", c->namespace, c->name);
    return status;
}
