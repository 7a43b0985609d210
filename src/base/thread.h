/* thread.h — a bounded blocking queue of pointers, and worker threads that have a name and give back a status.
 *
 * Queue: any number of pushing and popping threads. Closing wakes everybody: pushes then answer DM_END at once; pops hand
 * out what is still there and then answer DM_END. The queue does not own what its items point to, except that dm_queue_release
 * passes what was left to `drop`. A queue must outlive the threads that use it.
 *
 * Thread: start and join by one owner. The worker runs with all signals but faults blocked, so that the main thread gets them.
 * dm_thread_join gives the worker's status and error; a struct dm_thread that was not started joins with DM_OK.
 *
 *     struct dm_queue q;
 *     dm_queue_init(&q, 4);
 *     dm_thread_start(&t, "decode", decode, &q, err);    // enum dm_status decode(void *ctx, struct dm_error *err)
 *     while ((status = dm_queue_pop(&q, &item, 100)) == DM_OK) ...
 *     dm_queue_close(&q);
 *     status = dm_thread_join(&t, err);
 *     dm_queue_release(&q, free_item);
 */
#ifndef DM_BASE_THREAD_H
#define DM_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define DM_FOREVER ((int64_t)-1) /* as a timeout */

struct dm_queue {
    pthread_mutex_t lock;
    pthread_cond_t not_empty;
    pthread_cond_t not_full;
    size_t capacity;
    size_t n;
    size_t head; /* the oldest item */
    void **items;
    bool closed;
};

void dm_queue_init(struct dm_queue *q, size_t capacity); /* capacity >= 1 items */
/* No thread may use it any more. `drop` (may be NULL) is called for each item that nobody popped. */
void dm_queue_release(struct dm_queue *q, void (*drop)(void *item));
/* Waits for room. DM_OK, or DM_END when the queue is closed (the item stays the caller's). */
enum dm_status dm_queue_push(struct dm_queue *q, void *item) DM_MUST_USE;
/* As push, but waits no longer than timeout_ms (0: not at all, DM_FOREVER): DM_TIMEOUT. */
enum dm_status dm_queue_push_within(struct dm_queue *q, void *item, int64_t timeout_ms) DM_MUST_USE;
/* The oldest item. Waits up to timeout_ms (0, DM_FOREVER likewise): DM_TIMEOUT. DM_END: closed and empty. */
enum dm_status dm_queue_pop(struct dm_queue *q, void **item, int64_t timeout_ms) DM_MUST_USE;
void dm_queue_close(struct dm_queue *q); /* may be called again */
size_t dm_queue_length(struct dm_queue *q);

typedef enum dm_status (*dm_thread_fn)(void *ctx, struct dm_error *err);

struct dm_thread {
    bool started;
    pthread_t id;
    char name[16]; /* as the system shows it */
    dm_thread_fn fn;
    void *ctx;
    enum dm_status status;
    struct dm_error error;
};

/* `t` must stay where it is until it is joined. Names are cut to 15 bytes. */
enum dm_status dm_thread_start(struct dm_thread *t, const char *name, dm_thread_fn fn, void *ctx,
                               struct dm_error *err) DM_MUST_USE;
/* Waits for the worker's end; its status, and its error when it failed. */
enum dm_status dm_thread_join(struct dm_thread *t, struct dm_error *err) DM_MUST_USE;

#endif
