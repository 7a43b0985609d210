/* Queue and worker; also run under the thread sanitizer. */
#include "../column/random_values.h"

#include <signal.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/thread.h"

enum { ITEMS = 20000, PUSHERS = 3, POPPERS = 3 };

struct shared {
    struct dm_queue q;
    int items[PUSHERS][ITEMS];
    atomic_int next_pusher;
    atomic_int popped;
    atomic_int out_of_order;
};

static enum dm_status push_all(void *ctx, struct dm_error *err)
{
    struct shared *s = ctx;
    (void)err;
    int me = atomic_fetch_add(&s->next_pusher, 1);
    for (int i = 0; i < ITEMS; i++) {
        s->items[me][i] = i + 1;
        if (dm_queue_push(&s->q, &s->items[me][i]) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

/* Items of one pusher come out in its order, each once. */
static enum dm_status pop_all(void *ctx, struct dm_error *err)
{
    struct shared *s = ctx;
    (void)err;
    int last[PUSHERS] = {0};
    void *item;
    enum dm_status status;
    while ((status = dm_queue_pop(&s->q, &item, DM_FOREVER)) == DM_OK) {
        int *at = item;
        int pusher = (int)((at - &s->items[0][0]) / ITEMS);
        if (*at <= last[pusher])
            atomic_fetch_add(&s->out_of_order, 1);
        last[pusher] = *at;
        *at = 0;
        atomic_fetch_add(&s->popped, 1);
    }
    return status;
}

static void many_threads(void **state)
{
    (void)state;
    static struct shared s;
    struct dm_error err = {0};
    struct dm_thread pushers[PUSHERS], poppers[POPPERS];
    dm_queue_init(&s.q, 7);
    for (int i = 0; i < POPPERS; i++)
        assert_ok(dm_thread_start(&poppers[i], "pop", pop_all, &s, &err), &err);
    for (int i = 0; i < PUSHERS; i++)
        assert_ok(dm_thread_start(&pushers[i], "push", push_all, &s, &err), &err);
    for (int i = 0; i < PUSHERS; i++)
        assert_ok(dm_thread_join(&pushers[i], &err), &err);
    dm_queue_close(&s.q);
    for (int i = 0; i < POPPERS; i++)
        assert_int_equal(dm_thread_join(&poppers[i], &err), DM_END); /* drained, then ended */
    assert_int_equal(s.popped, PUSHERS * ITEMS);
    assert_int_equal(s.out_of_order, 0);
    for (int p = 0; p < PUSHERS; p++)
        for (int i = 0; i < ITEMS; i++)
            assert_int_equal(s.items[p][i], 0);
    dm_queue_release(&s.q, NULL);
}

static size_t n_dropped;

static void count_drop(void *item)
{
    assert_non_null(item);
    n_dropped++;
}

static void timeouts_and_close(void **state)
{
    (void)state;
    struct dm_queue q;
    int a = 1, b = 2, c = 3;
    void *item = NULL;
    dm_queue_init(&q, 2);
    assert_int_equal(dm_queue_pop(&q, &item, 0), DM_TIMEOUT);
    int64_t start = dm_clock_monotonic_us();
    assert_int_equal(dm_queue_pop(&q, &item, 30), DM_TIMEOUT);
    assert_true(dm_clock_monotonic_us() - start >= 29000);
    assert_int_equal(dm_queue_push(&q, &a), DM_OK);
    assert_int_equal(dm_queue_push(&q, &b), DM_OK);
    assert_int_equal(dm_queue_push_within(&q, &c, 0), DM_TIMEOUT);
    assert_int_equal(dm_queue_push_within(&q, &c, 20), DM_TIMEOUT);
    assert_int_equal(dm_queue_length(&q), 2);
    assert_int_equal(dm_queue_pop(&q, &item, 0), DM_OK);
    assert_ptr_equal(item, &a);
    assert_int_equal(dm_queue_push(&q, &c), DM_OK); /* goes round the end of the ring */
    dm_queue_close(&q);
    dm_queue_close(&q);
    assert_int_equal(dm_queue_push(&q, &a), DM_END);
    assert_int_equal(dm_queue_pop(&q, &item, DM_FOREVER), DM_OK);
    assert_ptr_equal(item, &b);
    n_dropped = 0;
    dm_queue_release(&q, count_drop);
    assert_int_equal(n_dropped, 1);
}

static enum dm_status blocked_push(void *ctx, struct dm_error *err)
{
    static int item;
    (void)err;
    return dm_queue_push(ctx, &item);
}

static enum dm_status blocked_pop(void *ctx, struct dm_error *err)
{
    void *item;
    (void)err;
    return dm_queue_pop(ctx, &item, DM_FOREVER);
}

static void close_wakes_waiters(void **state)
{
    (void)state;
    struct dm_error err = {0};
    for (int round = 0; round < 20; round++) {
        struct dm_queue full, empty;
        struct dm_thread pusher, popper;
        int item;
        dm_queue_init(&full, 1);
        dm_queue_init(&empty, 1);
        assert_int_equal(dm_queue_push(&full, &item), DM_OK);
        assert_ok(dm_thread_start(&pusher, "push", blocked_push, &full, &err), &err);
        assert_ok(dm_thread_start(&popper, "pop", blocked_pop, &empty, &err), &err);
        dm_clock_sleep_ms((int64_t)random_below(3));
        dm_queue_close(&full);
        dm_queue_close(&empty);
        assert_int_equal(dm_thread_join(&pusher, &err), DM_END);
        assert_int_equal(dm_thread_join(&popper, &err), DM_END);
        assert_int_equal(dm_queue_length(&full), 1);
        dm_queue_release(&full, NULL);
        dm_queue_release(&empty, NULL);
    }
}

static enum dm_status look_around(void *ctx, struct dm_error *err)
{
    char *name = ctx;
    pthread_getname_np(pthread_self(), name, 32);
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    if (!sigismember(&blocked, SIGTERM) || !sigismember(&blocked, SIGINT))
        return DM_OK;
    return dm_fail(err, DM_ERROR_CONFIG, "a hint", "said by %s", name);
}

static void worker_has_name_and_error(void **state)
{
    (void)state;
    struct dm_error err = {0};
    struct dm_thread t = {0};
    char name[32];
    assert_int_equal(dm_thread_join(&t, &err), DM_OK); /* never started */
    assert_ok(dm_thread_start(&t, "a-name-that-is-too-long", look_around, name, &err), &err);
    assert_int_equal(dm_thread_join(&t, &err), DM_FAIL);
    assert_string_equal(err.message, "said by a-name-that-is-");
    assert_int_equal(err.class, DM_ERROR_CONFIG);
    assert_string_equal(err.hint, "a hint");
    assert_int_equal(dm_thread_join(&t, &err), DM_OK); /* joined already */
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    assert_false(sigismember(&blocked, SIGTERM));
}

int main(void)
{
    random_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_threads),
        cmocka_unit_test(timeouts_and_close),
        cmocka_unit_test(close_wakes_waiters),
        cmocka_unit_test(worker_has_name_and_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
