#include "base/thread.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/memory.h"

void dm_queue_init(struct dm_queue *q, size_t capacity)
{
    assert(capacity > 0);
    *q = (struct dm_queue){.capacity = capacity, .items = dm_xzalloc(capacity, sizeof *q->items)};
    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* a set clock must not stretch a timeout */
    pthread_cond_init(&q->not_empty, &attributes);
    pthread_cond_init(&q->not_full, &attributes);
    pthread_condattr_destroy(&attributes);
}

void dm_queue_release(struct dm_queue *q, void (*drop)(void *item))
{
    for (size_t i = 0; i < q->n && drop != NULL; i++)
        drop(q->items[(q->head + i) % q->capacity]);
    pthread_cond_destroy(&q->not_empty);
    pthread_cond_destroy(&q->not_full);
    pthread_mutex_destroy(&q->lock);
    free(q->items);
    *q = (struct dm_queue){0};
}

static struct timespec deadline_in(int64_t ms)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += ms / 1000;
    ts.tv_nsec += ms % 1000 * 1000000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_nsec -= 1000000000;
        ts.tv_sec++;
    }
    return ts;
}

/* Waits with the lock held while the queue is open and holds exactly `n` items (0: empty, capacity: full). */
static enum dm_status wait_while(struct dm_queue *q, pthread_cond_t *changed, size_t n, int64_t timeout_ms)
{
    if (q->n != n || q->closed)
        return DM_OK;
    if (timeout_ms == 0)
        return DM_TIMEOUT;
    struct timespec deadline = deadline_in(timeout_ms > 0 ? timeout_ms : 0);
    while (q->n == n && !q->closed) {
        int rc = timeout_ms < 0 ? pthread_cond_wait(changed, &q->lock)
                                : pthread_cond_timedwait(changed, &q->lock, &deadline);
        if (rc == ETIMEDOUT && q->n == n && !q->closed)
            return DM_TIMEOUT;
    }
    return DM_OK;
}

enum dm_status dm_queue_push_within(struct dm_queue *q, void *item, int64_t timeout_ms)
{
    pthread_mutex_lock(&q->lock);
    enum dm_status status = wait_while(q, &q->not_full, q->capacity, timeout_ms);
    if (q->closed)
        status = DM_END;
    if (status == DM_OK) {
        q->items[(q->head + q->n) % q->capacity] = item;
        q->n++;
        pthread_cond_signal(&q->not_empty);
    }
    pthread_mutex_unlock(&q->lock);
    return status;
}

enum dm_status dm_queue_push(struct dm_queue *q, void *item)
{
    return dm_queue_push_within(q, item, DM_FOREVER);
}

enum dm_status dm_queue_pop(struct dm_queue *q, void **item, int64_t timeout_ms)
{
    pthread_mutex_lock(&q->lock);
    enum dm_status status = wait_while(q, &q->not_empty, 0, timeout_ms);
    if (status == DM_OK && q->n == 0)
        status = DM_END;
    if (status == DM_OK) {
        *item = q->items[q->head];
        q->head = (q->head + 1) % q->capacity;
        q->n--;
        pthread_cond_signal(&q->not_full);
    }
    pthread_mutex_unlock(&q->lock);
    return status;
}

void dm_queue_close(struct dm_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->not_empty);
    pthread_cond_broadcast(&q->not_full);
    pthread_mutex_unlock(&q->lock);
}

size_t dm_queue_length(struct dm_queue *q)
{
    pthread_mutex_lock(&q->lock);
    size_t n = q->n;
    pthread_mutex_unlock(&q->lock);
    return n;
}

static void *run_thread(void *arg)
{
    struct dm_thread *t = arg;
    (void)pthread_setname_np(pthread_self(), t->name);
    t->status = t->fn(t->ctx, &t->error);
    return NULL;
}

enum dm_status dm_thread_start(struct dm_thread *t, const char *name, dm_thread_fn fn, void *ctx,
                               struct dm_error *err)
{
    *t = (struct dm_thread){.fn = fn, .ctx = ctx};
    (void)snprintf(t->name, sizeof t->name, "%s", name);
    sigset_t all, before;
    sigfillset(&all);
    static const int own_faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}; /* always the thread's own */
    for (size_t i = 0; i < sizeof own_faults / sizeof *own_faults; i++)
        sigdelset(&all, own_faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the worker inherits it */
    int rc = pthread_create(&t->id, NULL, run_thread, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        errno = rc;
        return dm_fail_errno(err, "cannot start the thread %s", name);
    }
    t->started = true;
    return DM_OK;
}

enum dm_status dm_thread_join(struct dm_thread *t, struct dm_error *err)
{
    if (!t->started)
        return DM_OK;
    pthread_join(t->id, NULL);
    t->started = false;
    if (t->status == DM_FAIL && err != NULL)
        *err = t->error;
    return t->status;
}
