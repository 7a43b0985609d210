#include "mirror/intake/push_queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"

enum { jobs_at_once = 64, jobs_waiting = 256 };

/* One waiting pusher; lives on its stack. */
struct waiter {
    struct dm_intake_job *job;
    bool done;
    enum dm_status status;
    struct dm_error error;
};

struct dm_push_queue {
    struct dm_mirror *mirror;
    struct dm_queue queue;
    struct dm_thread thread;
    pthread_mutex_t lock; /* of `done` of all waiters */
    pthread_cond_t answered;
};

static bool same_text(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* A request that was sent twice must find the receipt of the first, so both cannot be in one commit. */
static bool has_twin(struct waiter *const *batch, size_t n, const struct waiter *w)
{
    for (size_t i = 0; i < n; i++)
        if (same_text(batch[i]->job->receipt_key, w->job->receipt_key) &&
            same_text(batch[i]->job->dataset, w->job->dataset))
            return true;
    return false;
}

/* When the lake failed half way, some may be in already. */
static void answer(struct dm_push_queue *q, struct waiter **batch, size_t n, enum dm_status status,
                   const struct dm_error *err)
{
    (void)pthread_mutex_lock(&q->lock);
    for (size_t i = 0; i < n; i++) {
        batch[i]->status = batch[i]->job->done ? DM_OK : status;
        batch[i]->error = *err;
        batch[i]->done = true;
    }
    (void)pthread_cond_broadcast(&q->answered);
    (void)pthread_mutex_unlock(&q->lock);
}

static void commit(struct dm_push_queue *q, struct waiter **batch, size_t n)
{
    struct dm_intake_job jobs[jobs_at_once];
    struct dm_error err = {0};
    for (size_t i = 0; i < n; i++)
        jobs[i] = *batch[i]->job;
    enum dm_status status = dm_intake(q->mirror, jobs, n, NULL, NULL, &err);
    for (size_t i = 0; i < n; i++)
        *batch[i]->job = jobs[i];
    answer(q, batch, n, status, &err);
}

static enum dm_status work(void *ctx, struct dm_error *err)
{
    (void)err;
    struct dm_push_queue *q = ctx;
    struct waiter *batch[jobs_at_once];
    struct waiter *held = NULL;
    for (;;) {
        size_t n = 0;
        void *item = held;
        if (held == NULL && dm_queue_pop(&q->queue, &item, DM_FOREVER) != DM_OK)
            return DM_OK;
        held = NULL;
        batch[n++] = item;
        while (n < jobs_at_once && dm_queue_pop(&q->queue, &item, 0) == DM_OK) {
            if (has_twin(batch, n, item)) {
                held = item;
                break;
            }
            batch[n++] = item;
        }
        commit(q, batch, n);
    }
}

enum dm_status dm_push_queue_start(struct dm_mirror *m, struct dm_push_queue **out, struct dm_error *err)
{
    struct dm_push_queue *q = dm_xzalloc(1, sizeof *q);
    q->mirror = m;
    dm_queue_init(&q->queue, jobs_waiting);
    (void)pthread_mutex_init(&q->lock, NULL);
    (void)pthread_cond_init(&q->answered, NULL);
    if (dm_thread_start(&q->thread, "push", work, q, err) != DM_OK) {
        dm_push_queue_stop(q);
        return DM_FAIL;
    }
    *out = q;
    return DM_OK;
}

enum dm_status dm_push(struct dm_push_queue *q, struct dm_intake_job *job, struct dm_error *err)
{
    struct waiter w = {.job = job};
    if (dm_queue_push(&q->queue, &w) != DM_OK)
        return dm_fail(err, DM_ERROR_TRANSIENT, "send it again when the mirror is back",
                       "the mirror is ending");
    (void)pthread_mutex_lock(&q->lock);
    while (!w.done)
        (void)pthread_cond_wait(&q->answered, &q->lock);
    (void)pthread_mutex_unlock(&q->lock);
    if (w.status != DM_OK)
        *err = w.error;
    return w.status;
}

void dm_push_queue_stop(struct dm_push_queue *q)
{
    if (q == NULL)
        return;
    struct dm_error err = {0};
    dm_queue_close(&q->queue);
    if (dm_thread_join(&q->thread, &err) != DM_OK)
        dm_log_error(DM_LOG_WARN, "push", &err);
    dm_queue_release(&q->queue, NULL);
    (void)pthread_cond_destroy(&q->answered);
    (void)pthread_mutex_destroy(&q->lock);
    free(q);
}
