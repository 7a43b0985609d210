/* Net effect against a naive oracle that keeps every row's full values, and the named hard cases one by one. */
#include "../column/random_values.h"

#include "apply/key_sort.h"
#include "apply/net_effect.h"
#include "base/memory.h"

enum { N_KEYS = 24, N_VALUES = 3, NO_VALUE = -1, UNCHANGED = -2 };

/* A row as the oracle sees it: one small number a column, NO_VALUE for null. */
struct row {
    bool live;
    int values[N_VALUES];
};

static struct dm_schema *make_schema(bool text_key)
{
    struct dm_schema *s = dm_schema_new();
    dm_schema_add(s, "id", dm_type_of(text_key ? DM_STRING : DM_INT64))->required = true;
    dm_schema_add(s, "n", dm_type_of(DM_INT32));
    dm_schema_add(s, "t", dm_type_of(DM_STRING));
    dm_schema_add(s, "l", dm_type_list(dm_type_of(DM_STRING)));
    dm_schema_add_key(s, 0);
    return s;
}

static void append_key(struct dm_column *c, int key)
{
    struct dm_error err = {0};
    int64_t id = key;
    char text[64];
    int n = snprintf(text, sizeof text, "%.*s%d", key % 3 * 10, "prefix-that-is-shared-by-many", key);
    if (key < 0)
        dm_column_append_null(c);
    else if (c->width != 0)
        dm_column_append_fixed(c, &id);
    else
        assert_ok(dm_column_append_bytes(c, text, (size_t)n, &err), &err);
}

static void append_number(struct dm_column *c, int v)
{
    struct dm_error err = {0};
    int32_t number = v;
    char text[32];
    if (v == NO_VALUE) {
        dm_column_append_null(c);
    } else if (v == UNCHANGED) {
        dm_column_append_unchanged(c);
    } else if (c->width != 0) {
        dm_column_append_fixed(c, &number);
    } else if (c->child == NULL) {
        int n = snprintf(text, sizeof text, "%d-%.*s", v, v % 7, "-------");
        assert_ok(dm_column_append_bytes(c, text, (size_t)n, &err), &err);
    } else {
        for (int i = 0; i < v % 4; i++) {
            if (i == 1)
                dm_column_append_null(c->child);
            else
                append_number(c->child, v + i);
        }
        dm_column_close_list(c);
    }
}

static void append(struct dm_batch *b, enum dm_op op, int key, int n, int t, int l)
{
    append_key(&b->columns[0], key);
    append_number(&b->columns[1], n);
    append_number(&b->columns[2], t);
    append_number(&b->columns[3], l);
    dm_batch_end_row(b, op);
}

static void assert_values(const struct dm_batch *b, size_t row, const int *values)
{
    for (size_t c = 0; c < N_VALUES; c++) {
        struct dm_column expected;
        dm_column_init(&expected, b->columns[c + 1].type);
        append_number(&expected, values[c]);
        if (!dm_column_value_equal(&b->columns[c + 1], row, &expected, 0))
            fail_msg("row %zu column %zu is not %d", row, c, values[c]);
        dm_column_release(&expected);
    }
}

/* Key index of `key` in a batch row; the row of `stored` with these key bytes, or -1. */
static int find_key(const struct dm_key_list *keys, const uint8_t *key, size_t n)
{
    for (size_t i = 0; i < keys->n; i++)
        if (keys->offsets[i + 1] - keys->offsets[i] == n &&
            memcmp(keys->bytes.data + keys->offsets[i], key, n) == 0)
            return (int)i;
    return -1;
}

/* Fetches what is missing from `stored` (whose rows are distinct keys). */
static void fill_all(struct dm_net_effect *net, struct dm_batch *b, const struct dm_batch *stored)
{
    struct dm_error err = {0};
    struct dm_key_list keys = {0};
    assert_ok(dm_key_list_encode(&keys, stored, &err), &err);
    for (size_t i = 0; i < net->n_missing; i++) {
        int at = find_key(&keys, net->missing[i].key, net->missing[i].key_len);
        assert_true(at >= 0);
        assert_true(i == 0 || net->missing[i - 1].row < net->missing[i].row);
        assert_ok(dm_net_effect_fill(net, b, net->missing[i].row, stored, (size_t)at, &err), &err);
    }
    dm_key_list_release(&keys);
    assert_ok(dm_net_effect_finish(net, b, &err), &err);
}

/* ---- the oracle ---- */

struct world {
    struct row now[N_KEYS];
    bool touched[N_KEYS];
    bool fresh[N_KEYS];
    bool seen_delete[N_KEYS];
    size_t applied;
    size_t n_rows;
    struct row *expected; /* per batch row; live: it is an upsert that took effect */
};

static int random_value(void)
{
    return random_below(6) == 0 ? NO_VALUE : (int)random_below(1000);
}

static void touch(struct world *w, int key, enum dm_op op)
{
    if (!w->touched[key])
        w->fresh[key] = op == DM_OP_INSERT;
    w->touched[key] = true;
    w->applied++;
}

static void emit(struct world *w, struct dm_batch *b, enum dm_op op, int key, const int *sent,
                 const struct row *state)
{
    append(b, op, key, sent[0], sent[1], sent[2]);
    w->expected = dm_xrealloc(w->expected, b->rows, sizeof *w->expected);
    w->expected[b->rows - 1] = state != NULL ? *state : (struct row){0};
}

/* New values from old ones: some columns stay, and are then mostly not sent. */
static void change(struct row *r, int *sent)
{
    for (size_t c = 0; c < N_VALUES; c++) {
        sent[c] = random_below(2) ? UNCHANGED : random_value();
        if (sent[c] != UNCHANGED)
            r->values[c] = sent[c];
    }
}

static const int nothing[N_VALUES] = {NO_VALUE, NO_VALUE, NO_VALUE};

static void emit_full(struct world *w, struct dm_batch *b, enum dm_op op, int key)
{
    struct row r = {.live = true, .values = {random_value(), random_value(), random_value()}};
    w->now[key] = r;
    touch(w, key, op);
    emit(w, b, op, key, r.values, &r);
}

static void emit_update(struct world *w, struct dm_batch *b, int key, int new_key)
{
    int sent[N_VALUES];
    struct row r = w->now[key];
    if (new_key != key) {
        touch(w, key, DM_OP_REKEY);
        emit(w, b, DM_OP_REKEY, key, nothing, NULL);
        w->now[key].live = false;
    }
    change(&r, sent);
    w->now[new_key] = r;
    touch(w, new_key, DM_OP_UPDATE);
    emit(w, b, DM_OP_UPDATE, new_key, sent, &r);
}

static void emit_aborted(struct world *w, struct dm_batch *b, const uint32_t *aborted, size_t n)
{
    static const int unchanged[N_VALUES] = {UNCHANGED, 1, UNCHANGED};
    static const enum dm_op ops[] = {DM_OP_INSERT, DM_OP_UPDATE, DM_OP_DELETE, DM_OP_REKEY};
    b->subxid = aborted[random_below(n)];
    emit(w, b, ops[random_below(4)], (int)random_below(N_KEYS + 1) - 1, unchanged, NULL);
    b->subxid = 0;
}

static void emit_random(struct world *w, struct dm_batch *b, const uint32_t *aborted, size_t n_aborted)
{
    int key = (int)random_below(N_KEYS), other = (int)random_below(N_KEYS);
    b->subxid = random_below(3) == 0 ? 8 : 0; /* a subtransaction that was kept */
    switch (random_below(6)) {
    case 0: emit_aborted(w, b, aborted, n_aborted); return;
    case 1: emit_full(w, b, DM_OP_COPY, key); return;
    case 2:
        touch(w, key, DM_OP_DELETE); /* also of keys that are not there */
        w->now[key].live = false;
        emit(w, b, DM_OP_DELETE, key, nothing, NULL);
        return;
    default:
        if (!w->now[key].live)
            emit_full(w, b, DM_OP_INSERT, key);
        else
            emit_update(w, b, key, w->now[other].live ? key : other);
    }
}

static void check_world(const struct world *w, const struct dm_net_effect *net, const struct dm_batch *b,
                        bool all)
{
    struct dm_error err = {0};
    struct dm_batch *names = dm_batch_new(b->schema);
    for (int k = 0; k < N_KEYS; k++)
        append(names, DM_OP_COPY, k, 0, 0, 0);
    struct dm_key_list keys = {0};
    assert_ok(dm_key_list_encode(&keys, names, &err), &err);
    size_t touched = 0, live = 0;
    for (int k = 0; k < N_KEYS; k++) {
        touched += w->touched[k];
        live += w->touched[k] && w->now[k].live;
    }
    assert_int_equal(net->n_changes, touched);
    assert_int_equal(net->n_upserts, live);
    assert_int_equal(net->n_deletes, touched - live);
    assert_int_equal(net->n_superseded, w->applied - touched);
    for (size_t i = 0; i < net->n_changes; i++) {
        const struct dm_net_change *c = &net->changes[i];
        int k = find_key(&keys, c->key, c->key_len);
        assert_true(k >= 0 && w->touched[k]);
        assert_int_equal(c->live, w->now[k].live);
        assert_int_equal(c->fresh, w->fresh[k]);
        if (c->live)
            assert_values(b, c->row, w->now[k].values);
        else
            assert_true(b->ops[c->row] == DM_OP_DELETE || b->ops[c->row] == DM_OP_REKEY);
        if (i > 0)
            assert_true(dm_key_compare(c[-1].key, c[-1].key_len, c->key, c->key_len) < 0);
    }
    for (size_t r = 0; all && r < b->rows; r++)
        if (w->expected[r].live)
            assert_values(b, r, w->expected[r].values);
    dm_key_list_release(&keys);
    dm_batch_free(names);
}

static void random_batches_equal_the_oracle(void **state)
{
    (void)state;
    static const uint32_t aborted[] = {3, 7, 9, 4000000000U};
    struct dm_error err = {0};
    struct dm_net_effect net = {0}; /* reused, as the mirror does */
    for (int round = 0; round < 1500; round++) {
        struct dm_schema *s = make_schema(round % 2 == 0);
        struct dm_batch *stored = dm_batch_new(s), *b = dm_batch_new(s);
        struct world w = {0};
        for (int k = 0; k < N_KEYS; k++)
            if (random_below(2)) {
                w.now[k] =
                    (struct row){.live = true, .values = {random_value(), random_value(), random_value()}};
                append(stored, DM_OP_COPY, k, w.now[k].values[0], w.now[k].values[1], w.now[k].values[2]);
            }
        for (size_t n = random_below(120); n > 0; n--)
            emit_random(&w, b, aborted, 4);
        net.resolve_all = random_below(2) != 0;
        assert_ok(dm_net_effect_compute(&net, b, aborted, 4, &err), &err);
        fill_all(&net, b, stored);
        assert_false(net.needs_finish);
        check_world(&w, &net, b, net.resolve_all);
        free(w.expected);
        dm_batch_free(stored);
        dm_batch_free(b);
        dm_schema_unref(s);
    }
    dm_net_effect_release(&net);
}

/* ---- the named cases ---- */

struct fixture {
    struct dm_schema *schema;
    struct dm_batch *batch, *stored;
    struct dm_net_effect net;
};

static int setup(void **state)
{
    struct fixture *f = dm_xzalloc(1, sizeof *f);
    f->schema = make_schema(false);
    f->batch = dm_batch_new(f->schema);
    f->stored = dm_batch_new(f->schema);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    dm_net_effect_release(&f->net);
    dm_batch_free(f->batch);
    dm_batch_free(f->stored);
    dm_schema_unref(f->schema);
    free(f);
    return 0;
}

/* a -> temp, b -> a, temp -> b: each row keeps its own unchanged values. */
static void keys_swapped_in_one_transaction(void **state)
{
    struct fixture *f = *state;
    struct dm_error err = {0};
    append(f->stored, DM_OP_COPY, 1, 10, 11, 12);
    append(f->stored, DM_OP_COPY, 2, 20, 21, 22);
    append(f->batch, DM_OP_REKEY, 1, NO_VALUE, NO_VALUE, NO_VALUE);
    append(f->batch, DM_OP_UPDATE, 99, 10, UNCHANGED, UNCHANGED);
    append(f->batch, DM_OP_REKEY, 2, NO_VALUE, NO_VALUE, NO_VALUE);
    append(f->batch, DM_OP_UPDATE, 1, 20, UNCHANGED, UNCHANGED);
    append(f->batch, DM_OP_REKEY, 99, NO_VALUE, NO_VALUE, NO_VALUE);
    append(f->batch, DM_OP_UPDATE, 2, 10, UNCHANGED, 7);
    assert_ok(dm_net_effect_compute(&f->net, f->batch, NULL, 0, &err), &err);
    assert_int_equal(f->net.n_missing, 2);
    assert_int_equal(f->net.missing[0].row, 1);
    assert_int_equal(f->net.missing[1].row, 3);
    fill_all(&f->net, f->batch, f->stored);
    assert_int_equal(f->net.n_changes, 3);
    assert_int_equal(f->net.changes[0].row, 3); /* key 1 */
    assert_values(f->batch, 3, (int[]){20, 21, 22});
    assert_int_equal(f->net.changes[1].row, 5); /* key 2 */
    assert_values(f->batch, 5, (int[]){10, 11, 7});
    assert_false(f->net.changes[2].live); /* 99 */
}

static void superseded_rows_are_not_fetched(void **state)
{
    struct fixture *f = *state;
    struct dm_error err = {0};
    append(f->batch, DM_OP_UPDATE, 1, 1, UNCHANGED, 1);
    append(f->batch, DM_OP_UPDATE, 1, 2, 2, 2);
    append(f->batch, DM_OP_UPDATE, 3, 1, UNCHANGED, 1);
    append(f->batch, DM_OP_DELETE, 3, NO_VALUE, NO_VALUE, NO_VALUE);
    assert_ok(dm_net_effect_compute(&f->net, f->batch, NULL, 0, &err), &err);
    assert_int_equal(f->net.n_missing, 0);
    assert_false(f->net.needs_finish);
    f->net.resolve_all = true;
    assert_ok(dm_net_effect_compute(&f->net, f->batch, NULL, 0, &err), &err);
    assert_int_equal(f->net.n_missing, 2);
    assert_true(f->net.needs_finish);
}

static void values_of_a_deleted_row_are_an_error(void **state)
{
    struct fixture *f = *state;
    struct dm_error err = {0};
    append(f->batch, DM_OP_DELETE, 1, NO_VALUE, NO_VALUE, NO_VALUE);
    append(f->batch, DM_OP_UPDATE, 1, 1, UNCHANGED, 1);
    assert_int_equal(dm_net_effect_compute(&f->net, f->batch, NULL, 0, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_DATA);
    assert_non_null(strstr(err.message, "key 1,"));
}

static void a_missing_row_that_is_not_there_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct dm_error err = {0};
    append(f->batch, DM_OP_UPDATE, 5, 1, UNCHANGED, 1);
    assert_ok(dm_net_effect_compute(&f->net, f->batch, NULL, 0, &err), &err);
    assert_int_equal(dm_net_effect_finish(&f->net, f->batch, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_DATA);
    assert_non_null(strstr(err.message, "key 5,"));
    assert_int_equal(f->batch->columns[2].state[0], DM_UNCHANGED); /* nothing half done */
    append(f->stored, DM_OP_COPY, 5, 0, 42, 0);
    assert_int_equal(dm_net_effect_fill(&f->net, f->batch, 7, f->stored, 0, &err), DM_FAIL);
    fill_all(&f->net, f->batch, f->stored);
    assert_values(f->batch, 0, (int[]){1, 42, 1});
}

static void bad_sequences_are_refused(void **state)
{
    struct fixture *f = *state;
    struct dm_error err = {0};
    append(f->batch, DM_OP_REKEY, 1, NO_VALUE, NO_VALUE, NO_VALUE);
    assert_int_equal(dm_net_effect_compute(&f->net, f->batch, NULL, 0, &err), DM_FAIL);
    append(f->batch, DM_OP_INSERT, 1, 1, 1, 1);
    assert_int_equal(dm_net_effect_compute(&f->net, f->batch, NULL, 0, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_FATAL);
    dm_batch_clear(f->batch);
    append(f->batch, DM_OP_INSERT, -1, 1, 1, 1);
    assert_int_equal(dm_net_effect_compute(&f->net, f->batch, NULL, 0, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_DATA);
    assert_int_equal(f->net.n_changes, 0);
    dm_batch_clear(f->batch);
    assert_ok(dm_net_effect_compute(&f->net, f->batch, NULL, 0, &err), &err);
    assert_int_equal(f->net.n_changes, 0);
}

/* A hot key with a large unchanged value: superseded rows do not get a copy each. */
static void unchanged_values_are_not_multiplied(void **state)
{
    struct fixture *f = *state;
    struct dm_error err = {0};
    append(f->stored, DM_OP_COPY, 1, 0, 5, 6);
    for (int i = 0; i < 10000; i++)
        append(f->batch, DM_OP_UPDATE, 1, i, UNCHANGED, UNCHANGED);
    assert_ok(dm_net_effect_compute(&f->net, f->batch, NULL, 0, &err), &err);
    assert_int_equal(f->net.n_missing, 1);
    fill_all(&f->net, f->batch, f->stored);
    assert_values(f->batch, 9999, (int[]){9999, 5, 6});
    assert_int_equal(f->batch->columns[2].bytes.len, strlen("5------"));
}

int main(void)
{
    random_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_batches_equal_the_oracle),
        cmocka_unit_test_setup_teardown(keys_swapped_in_one_transaction, setup, teardown),
        cmocka_unit_test_setup_teardown(superseded_rows_are_not_fetched, setup, teardown),
        cmocka_unit_test_setup_teardown(values_of_a_deleted_row_are_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_row_that_is_not_there_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_sequences_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(unchanged_values_are_not_multiplied, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
