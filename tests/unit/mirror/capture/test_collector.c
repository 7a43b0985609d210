/* The collector turns source events into commit units: boundaries, order, what a copy already holds, transactions in progress. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../../temp_folder.h"
#include "base/memory.h"
#include "mirror/capture/collector.h"

enum { max_units = 256 };

struct fixture {
    struct dm_collector *c;
    const struct dm_sink *sink;
    struct dm_target *target;
    struct dm_table *table;
    size_t n_units;
    struct dm_unit *units[max_units];
    char folder[64];
};

static struct dm_error err;

static enum dm_status take_unit(void *ctx, struct dm_unit *unit, struct dm_error *e)
{
    struct fixture *f = ctx;
    (void)e;
    assert_true(f->n_units < max_units);
    f->units[f->n_units++] = unit;
    return DM_OK;
}

static enum dm_status find_target(void *ctx, const struct dm_table *table, struct dm_target **target,
                                  struct dm_error *e)
{
    struct fixture *f = ctx;
    (void)e;
    *target = table->id == 7 ? f->target : NULL;
    return DM_OK;
}

static struct dm_schema *two_columns(bool with_ids)
{
    struct dm_schema *s = dm_schema_new();
    dm_schema_add(s, "id", dm_type_of(DM_INT64));
    s->fields[0].required = true;
    dm_schema_add(s, "v", dm_type_of(DM_STRING));
    for (int i = 0; i < 2; i++) {
        s->fields[i].source_ref = i + 1;
        s->fields[i].id = with_ids ? i + 1 : 0;
    }
    dm_schema_add_key(s, 0);
    return s;
}

static int setup(void **state)
{
    struct fixture *f = dm_xzalloc(1, sizeof *f);
    f->table = dm_table_new("public", "t");
    f->table->id = 7;
    f->table->default_namespace = true;
    dm_schema_unref(f->table->columns);
    f->table->columns = two_columns(false);
    f->target = dm_target_new();
    f->target->state = (struct dm_dataset_state){.id = 1,
                                                 .namespace = dm_xstrdup("s"),
                                                 .name = dm_xstrdup("t"),
                                                 .source = dm_xstrdup("s"),
                                                 .source_schema = dm_xstrdup("public"),
                                                 .source_table = dm_xstrdup("t"),
                                                 .source_id = 7,
                                                 .state = dm_xstrdup("streaming")};
    f->target->schema = two_columns(true);
    f->target->last_column_id = 2;
    f->target->phase = DM_PHASE_STREAMING;
    memcpy(f->folder, "/tmp/dm-collector-XXXXXX", 25);
    assert_true(temp_folder_make(f->folder));
    struct dm_collector_options options = {.spool_folder = f->folder,
                                           .unit_bytes = 1 << 20,
                                           .commit_interval_ms = 3600 * 1000,
                                           .push = take_unit,
                                           .find = find_target,
                                           .ctx = f};
    f->c = dm_collector_new(&options, 0);
    f->sink = dm_collector_sink(f->c);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    dm_collector_free(f->c);
    for (size_t i = 0; i < f->n_units; i++)
        dm_unit_free(f->units[i]);
    dm_target_free(f->target);
    dm_table_free(f->table);
    enum dm_status removed = dm_file_remove_tree(f->folder, NULL);
    free(f);
    return removed == DM_OK ? 0 : -1;
}

static void *handle_of(struct fixture *f)
{
    void *handle = NULL;
    assert_int_equal(f->sink->table(f->sink->ctx, f->table, &handle, &err), DM_OK);
    assert_non_null(handle);
    return handle;
}

static void row(struct fixture *f, void *handle, enum dm_op op, int64_t id, const char *v)
{
    struct dm_batch *b = NULL;
    assert_int_equal(f->sink->rows(f->sink->ctx, handle, &b, &err), DM_OK);
    dm_column_append_fixed(&b->columns[0], &id);
    assert_int_equal(dm_column_append_bytes(&b->columns[1], v, strlen(v), &err), DM_OK);
    dm_batch_end_row(b, op);
}

static void begin(struct fixture *f, uint64_t xid, dm_position at)
{
    struct dm_txn txn = {.xid = xid, .visible_at = at};
    assert_int_equal(f->sink->begin(f->sink->ctx, &txn, &err), DM_OK);
}

static void commit(struct fixture *f, uint64_t xid, dm_position at)
{
    struct dm_txn txn = {
        .xid = xid, .visible_at = at, .position = at + 1, .commit_time_us = 1000000 + (int64_t)at};
    assert_int_equal(f->sink->commit(f->sink->ctx, &txn, &err), DM_OK);
}

static size_t rows_of(const struct fixture *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n_units; i++)
        for (size_t k = 0; k < f->units[i]->n_steps; k++)
            if (f->units[i]->steps[k].kind == DM_STEP_ROWS)
                n += f->units[i]->steps[k].batch->rows;
    return n;
}

static void unit_closes_at_a_boundary_only(void **state)
{
    struct fixture *f = *state;
    void *h = handle_of(f);
    begin(f, 1, 10);
    row(f, h, DM_OP_INSERT, 1, "a");
    assert_int_equal(dm_collector_close_unit(f->c, false, &err), DM_TIMEOUT); /* inside a transaction */
    commit(f, 1, 10);
    assert_int_equal(f->n_units, 0); /* neither old nor large */
    assert_int_equal(dm_collector_close_unit(f->c, false, &err), DM_OK);
    assert_int_equal(f->n_units, 1);
    assert_true(f->units[0]->closes);
    assert_int_equal(f->units[0]->position, 11);
    assert_int_equal(f->units[0]->commit_time_us, 1000010);
    assert_int_equal(f->units[0]->txns[0].position, 11); /* filled in at the commit */
    assert_int_equal(rows_of(f), 1);
}

static void a_large_transaction_comes_in_parts_and_closes_at_its_end(void **state)
{
    struct fixture *f = *state;
    void *h = handle_of(f);
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    begin(f, 1, 10);
    for (int i = 0; i < 8000; i++) { /* every second row belongs to the one before */
        row(f, h, DM_OP_REKEY, i, "");
        row(f, h, DM_OP_UPDATE, i + 100000, text);
    }
    commit(f, 1, 10);
    assert_true(f->n_units > 3);
    for (size_t i = 0; i < f->n_units; i++) {
        assert_int_equal(f->units[i]->closes, i + 1 == f->n_units);
        for (size_t k = 0; k < f->units[i]->n_steps; k++) {
            const struct dm_batch *b = f->units[i]->steps[k].batch;
            assert_int_equal(b->ops[0], DM_OP_REKEY); /* never cut between the two */
            assert_int_equal(b->ops[b->rows - 1], DM_OP_UPDATE);
        }
    }
    assert_int_equal(rows_of(f), 16000);
    assert_int_equal(f->units[f->n_units - 1]->position, 11);
}

static void what_the_copy_holds_is_skipped(void **state)
{
    struct fixture *f = *state;
    f->target->copied_at = 20;
    void *h = handle_of(f);
    begin(f, 1, 19);
    row(f, h, DM_OP_INSERT, 1, "in the copy");
    commit(f, 1, 19);
    begin(f, 2, 20);
    row(f, h, DM_OP_INSERT, 2, "not in the copy");
    commit(f, 2, 20);
    assert_int_equal(dm_collector_close_unit(f->c, false, &err), DM_OK);
    assert_int_equal(rows_of(f), 1);
}

static void in_progress(struct fixture *f, void *h, uint64_t xid, uint32_t subxid, int64_t id, const char *v)
{
    assert_int_equal(f->sink->stream_start(f->sink->ctx, xid, subxid, &err), DM_OK);
    row(f, h, DM_OP_INSERT, id, v);
    assert_int_equal(f->sink->stream_stop(f->sink->ctx, &err), DM_OK);
}

static void transactions_in_progress_take_effect_in_commit_order(void **state)
{
    struct fixture *f = *state;
    void *h = handle_of(f);
    in_progress(f, h, 100, 100, 1, "first part");
    in_progress(f, h, 200, 200, 2, "aborted as a whole");
    in_progress(f, h, 100, 101, 3, "aborted savepoint");
    begin(f, 1, 10);
    row(f, h, DM_OP_INSERT, 4, "a small one between");
    commit(f, 1, 10);
    in_progress(f, h, 100, 102, 5, "kept savepoint");
    assert_int_equal(f->sink->stream_abort(f->sink->ctx, 100, 101, &err), DM_OK);
    assert_int_equal(f->sink->stream_abort(f->sink->ctx, 200, 200, &err), DM_OK);
    commit(f, 100, 30);
    assert_int_equal(dm_collector_close_unit(f->c, false, &err), DM_OK);
    assert_int_equal(f->n_units, 1);
    int64_t ids[8];
    size_t n = 0;
    for (size_t k = 0; k < f->units[0]->n_steps; k++)
        for (size_t i = 0; i < f->units[0]->steps[k].batch->rows; i++)
            ids[n++] = dm_column_int64(&f->units[0]->steps[k].batch->columns[0], i);
    assert_int_equal(n, 3);
    assert_int_equal(ids[0], 4);
    assert_int_equal(ids[1], 1);
    assert_int_equal(ids[2], 5);
    assert_int_equal(f->units[0]->position, 31);
}

static void an_added_column_is_a_step_before_its_rows(void **state)
{
    struct fixture *f = *state;
    void *h = handle_of(f);
    begin(f, 1, 10);
    row(f, h, DM_OP_INSERT, 1, "two columns");
    struct dm_schema *wide = dm_schema_copy(f->table->columns);
    dm_schema_add(wide, "w", dm_type_of(DM_INT32))->source_ref = 3;
    dm_schema_unref(f->table->columns);
    f->table->columns = wide;
    h = handle_of(f);
    struct dm_batch *b = NULL;
    assert_int_equal(f->sink->rows(f->sink->ctx, h, &b, &err), DM_OK);
    assert_int_equal(b->n_columns, 3);
    int64_t id = 2;
    dm_column_append_fixed(&b->columns[0], &id);
    dm_column_append_null(&b->columns[1]);
    dm_column_append_null(&b->columns[2]);
    dm_batch_end_row(b, DM_OP_INSERT);
    commit(f, 1, 10);
    assert_int_equal(dm_collector_close_unit(f->c, false, &err), DM_OK);
    const struct dm_unit *u = f->units[0];
    assert_int_equal(u->n_steps, 3);
    assert_int_equal(u->steps[0].kind, DM_STEP_ROWS);
    assert_int_equal(u->steps[1].kind, DM_STEP_SCHEMA);
    assert_int_equal(u->steps[1].schema->fields[2].id, 3);
    assert_int_equal(u->steps[2].kind, DM_STEP_ROWS);
    assert_int_equal(u->steps[2].batch->schema->n_fields, 3);
}

static void an_aborted_definition_leaves_no_trace(void **state)
{
    struct fixture *f = *state;
    void *h = handle_of(f);
    struct dm_schema *narrow = dm_schema_new(); /* v dropped in a savepoint that is rolled back */
    dm_schema_add(narrow, "id", dm_type_of(DM_INT64))->source_ref = 1;
    dm_schema_add_key(narrow, 0);
    struct dm_table *dropped = dm_table_copy(f->table);
    dm_schema_unref(dropped->columns);
    dropped->columns = narrow;
    in_progress(f, h, 100, 100, 1, "before");
    assert_int_equal(f->sink->stream_start(f->sink->ctx, 100, 101, &err), DM_OK);
    void *other = NULL;
    assert_int_equal(f->sink->table(f->sink->ctx, dropped, &other, &err), DM_OK);
    struct dm_batch *b = NULL;
    assert_int_equal(f->sink->rows(f->sink->ctx, other, &b, &err), DM_OK);
    assert_int_equal(b->n_columns, 1);
    int64_t id = 2;
    dm_column_append_fixed(&b->columns[0], &id);
    dm_batch_end_row(b, DM_OP_INSERT);
    assert_int_equal(f->sink->stream_stop(f->sink->ctx, &err), DM_OK);
    assert_int_equal(f->sink->stream_abort(f->sink->ctx, 100, 101, &err), DM_OK);
    h = handle_of(f);
    in_progress(f, h, 100, 100, 3, "after");
    commit(f, 100, 30);
    assert_int_equal(dm_collector_close_unit(f->c, false, &err), DM_OK);
    for (size_t k = 0; k < f->units[0]->n_steps; k++)
        assert_int_equal(f->units[0]->steps[k].kind, DM_STEP_ROWS); /* no SCHEMA step */
    assert_int_equal(rows_of(f), 2);
    dm_table_free(dropped);
}

static void a_copy_is_attached_with_what_came_after_its_snapshot(void **state)
{
    struct fixture *f = *state;
    dm_collector_spool(f->c, f->target);
    void *h = handle_of(f);
    begin(f, 1, 10);
    row(f, h, DM_OP_INSERT, 1, "the snapshot at 15 has it");
    commit(f, 1, 10);
    begin(f, 2, 20);
    row(f, h, DM_OP_UPDATE, 1, "it has not");
    commit(f, 2, 20);
    in_progress(f, h, 300, 300, 9, "in progress while copying");
    commit(f, 300, 25);
    assert_int_equal(dm_collector_close_unit(f->c, false, &err), DM_OK);
    assert_int_equal(rows_of(f), 0);
    struct dm_copied_table *copied = dm_xzalloc(1, sizeof *copied);
    copied->schema = two_columns(true);
    copied->last_column_id = 2;
    copied->at = 15;
    assert_int_equal(dm_collector_attach(f->c, f->target, copied, f->table, &err), DM_OK);
    assert_int_equal(dm_collector_close_unit(f->c, false, &err), DM_OK);
    const struct dm_unit *u = f->units[f->n_units - 1];
    assert_int_equal(u->steps[0].kind, DM_STEP_ATTACH);
    assert_int_equal(rows_of(f), 2);
    assert_int_equal(u->steps[1].batch->ops[0], DM_OP_UPDATE);
    assert_int_equal(f->target->phase, DM_PHASE_STREAMING);
    assert_int_equal(f->target->copied_at, 15);
}

static bool says_copying(const struct dm_unit *u)
{
    for (size_t i = 0; i < u->n_steps; i++)
        if (u->steps[i].kind == DM_STEP_STATE && strcmp(u->steps[i].state, "copying") == 0)
            return true;
    return false;
}

static void attach(struct fixture *f, dm_position at)
{
    struct dm_copied_table *copied = dm_xzalloc(1, sizeof *copied);
    copied->schema = two_columns(true);
    copied->last_column_id = 2;
    copied->at = at;
    assert_int_equal(dm_collector_attach(f->c, f->target, copied, f->table, &err), DM_OK);
    assert_int_equal(dm_collector_close_unit(f->c, false, &err), DM_OK);
}

/* The table with a column more. */
static struct dm_table *wider(const struct fixture *f)
{
    struct dm_table *t = dm_table_copy(f->table);
    struct dm_schema *wide = dm_schema_copy(t->columns);
    dm_schema_add(wide, "w", dm_type_of(DM_INT32))->source_ref = 3;
    dm_schema_unref(t->columns);
    t->columns = wide;
    return t;
}

/* A row of `wider` in a block of the streamed transaction 100; handle NULL: the definition is told first. */
static void *wide_row(struct fixture *f, const struct dm_table *wide, void *handle, int64_t id)
{
    assert_int_equal(f->sink->stream_start(f->sink->ctx, 100, 100, &err), DM_OK);
    if (handle == NULL)
        assert_int_equal(f->sink->table(f->sink->ctx, wide, &handle, &err), DM_OK);
    struct dm_batch *b = NULL;
    assert_int_equal(f->sink->rows(f->sink->ctx, handle, &b, &err), DM_OK);
    assert_int_equal(b->n_columns, 3);
    dm_column_append_fixed(&b->columns[0], &id);
    dm_column_append_null(&b->columns[1]);
    dm_column_append_null(&b->columns[2]);
    dm_batch_end_row(b, DM_OP_INSERT);
    assert_int_equal(f->sink->stream_stop(f->sink->ctx, &err), DM_OK);
    return handle;
}

static size_t steps_of(const struct fixture *f, enum dm_step_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n_units; i++)
        for (size_t k = 0; k < f->units[i]->n_steps; k++)
            n += f->units[i]->steps[k].kind == kind;
    return n;
}

static void what_was_told_during_the_copy_is_attached_when_it_was_committed_behind_the_snapshot(void **state)
{
    struct fixture *f = *state;
    struct dm_table *wide = wider(f);
    void *h = NULL;
    dm_collector_spool(f->c, f->target);
    assert_int_equal(f->sink->idle(f->sink->ctx, 20, &err), DM_OK);
    assert_int_equal(f->sink->table(f->sink->ctx, wide, &h, &err), DM_OK); /* and no row follows */
    /* told later, in a transaction that is rolled back */
    assert_int_equal(f->sink->stream_start(f->sink->ctx, 100, 100, &err), DM_OK);
    assert_int_equal(f->sink->table(f->sink->ctx, f->table, &h, &err), DM_OK);
    row(f, h, DM_OP_INSERT, 1, "narrow");
    assert_int_equal(f->sink->stream_stop(f->sink->ctx, &err), DM_OK);
    assert_int_equal(f->sink->stream_abort(f->sink->ctx, 100, 100, &err), DM_OK);
    attach(f, 15);
    assert_int_equal(steps_of(f, DM_STEP_SCHEMA), 1);
    assert_int_equal(f->target->schema->n_fields, 3);
    dm_table_free(wide);
}

static void the_shape_of_a_transaction_in_progress_is_its_own_when_a_copy_is_attached(void **state)
{
    struct fixture *f = *state;
    struct dm_table *wide = wider(f);
    (void)handle_of(f);
    dm_collector_spool(f->c, f->target);
    assert_int_equal(f->sink->idle(f->sink->ctx, 10, &err), DM_OK);
    void *h = wide_row(f, wide, NULL, 1);
    assert_int_equal(f->sink->idle(f->sink->ctx, 20, &err), DM_OK);
    attach(f, 15);
    assert_int_equal(steps_of(f, DM_STEP_SCHEMA), 0);
    (void)wide_row(f, wide, h, 2); /* of that shape still */
    commit(f, 100, 30);
    assert_int_equal(dm_collector_close_unit(f->c, false, &err), DM_OK);
    assert_int_equal(steps_of(f, DM_STEP_SCHEMA), 1);
    assert_int_equal(rows_of(f), 2);
    dm_table_free(wide);
}

/* As the sources do: the definition says so once. */
static void *rewritten(struct fixture *f)
{
    f->table->rewritten = true;
    void *h = handle_of(f);
    f->table->rewritten = false;
    return h;
}

static void rows_left_out_for_a_copy_are_remembered_by_their_commit(void **state)
{
    struct fixture *f = *state;
    begin(f, 1, 10);
    void *h = rewritten(f);
    row(f, h, DM_OP_INSERT, 1, "the copy will have it");
    commit(f, 1, 10);
    assert_int_equal(dm_collector_close_unit(f->c, false, &err), DM_OK);
    assert_int_equal(rows_of(f), 0);
    assert_true(f->target->copy_again);
    assert_int_equal(f->units[0]->position, 11); /* so a run after a crash would not see the row again */
    assert_true(says_copying(f->units[0]));
}

static void a_rewrite_before_the_copy_asks_for_one_copy(void **state)
{
    struct fixture *f = *state;
    begin(f, 1, 10);
    void *h = rewritten(f);
    commit(f, 1, 10);
    dm_collector_spool(f->c, f->target);
    begin(f, 2, 20);
    row(f, h, DM_OP_INSERT, 2, "after the snapshot");
    commit(f, 2, 20);
    attach(f, 15);
    assert_false(f->target->copy_again);
    assert_int_equal(rows_of(f), 1);
}

static void a_rewrite_during_the_copy_outlives_a_later_definition(void **state)
{
    struct fixture *f = *state;
    (void)handle_of(f);
    dm_collector_spool(f->c, f->target);
    begin(f, 1, 20);
    (void)rewritten(f); /* and no row of the table follows */
    commit(f, 1, 20);
    begin(f, 2, 30);
    struct dm_schema *renamed = dm_schema_copy(f->table->columns);
    free(renamed->fields[1].name);
    renamed->fields[1].name = dm_xstrdup("w");
    struct dm_table *later = dm_table_copy(f->table);
    dm_schema_unref(later->columns);
    later->columns = renamed;
    void *h = NULL;
    assert_int_equal(f->sink->table(f->sink->ctx, later, &h, &err), DM_OK);
    row(f, h, DM_OP_INSERT, 2, "x");
    commit(f, 2, 30);
    attach(f, 15);
    assert_true(f->target->copy_again);
    assert_true(says_copying(f->units[f->n_units - 1]));
    dm_table_free(later);
}

static void a_guessed_definition_is_never_followed(void **state)
{
    struct fixture *f = *state;
    begin(f, 1, 10);
    f->table->uncertain = true;
    void *h = handle_of(f);
    row(f, h, DM_OP_INSERT, 1, "x");
    commit(f, 1, 10);
    assert_true(f->target->copy_again);
    dm_collector_spool(f->c, f->target);
    begin(f, 2, 20);
    row(f, h, DM_OP_INSERT, 2, "y");
    commit(f, 2, 20);
    f->table->uncertain = false; /* as the copy's snapshot has it */
    attach(f, 15);
    assert_true(f->target->copy_again); /* the row at 20 still came by the guess: once more */
    assert_int_equal(rows_of(f), 0);
    dm_collector_spool(f->c, f->target);
    begin(f, 3, 30);
    row(f, handle_of(f), DM_OP_INSERT, 3, "z");
    commit(f, 3, 30);
    attach(f, 25);
    assert_false(f->target->copy_again);
    assert_int_equal(rows_of(f), 1);
}

static void a_pin_closes_exactly_at_its_position(void **state)
{
    struct fixture *f = *state;
    void *h = handle_of(f);
    dm_collector_pin(f->c, 42, 20);
    assert_true(dm_collector_pinned(f->c));
    begin(f, 1, 19);
    row(f, h, DM_OP_INSERT, 1, "before the pin");
    commit(f, 1, 19);
    assert_int_equal(f->n_units, 0);
    begin(f, 2, 20); /* the pinned snapshot does not see this one */
    assert_int_equal(f->n_units, 1);
    assert_int_equal(f->units[0]->n_pins, 1);
    assert_int_equal(f->units[0]->pins[0], 42);
    assert_false(dm_collector_pinned(f->c));
    assert_int_equal(f->units[0]->position, 20);
    row(f, h, DM_OP_INSERT, 2, "after the pin");
    commit(f, 2, 20);
    dm_collector_pin(f->c, 43, 30);
    assert_int_equal(f->sink->idle(f->sink->ctx, 29, &err), DM_OK);
    assert_int_equal(f->n_units, 1);
    assert_int_equal(f->sink->idle(f->sink->ctx, 31, &err), DM_OK);
    assert_int_equal(f->n_units, 2);
    assert_int_equal(f->units[1]->pins[0], 43);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(unit_closes_at_a_boundary_only, setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_transaction_comes_in_parts_and_closes_at_its_end, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_the_copy_holds_is_skipped, setup, teardown),
        cmocka_unit_test_setup_teardown(transactions_in_progress_take_effect_in_commit_order, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_added_column_is_a_step_before_its_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(an_aborted_definition_leaves_no_trace, setup, teardown),
        cmocka_unit_test_setup_teardown(a_copy_is_attached_with_what_came_after_its_snapshot, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            what_was_told_during_the_copy_is_attached_when_it_was_committed_behind_the_snapshot, setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            the_shape_of_a_transaction_in_progress_is_its_own_when_a_copy_is_attached, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_left_out_for_a_copy_are_remembered_by_their_commit, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_rewrite_before_the_copy_asks_for_one_copy, setup, teardown),
        cmocka_unit_test_setup_teardown(a_rewrite_during_the_copy_outlives_a_later_definition, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_guessed_definition_is_never_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pin_closes_exactly_at_its_position, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
