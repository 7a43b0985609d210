/* Rows into data files by threads: each row stands where its place says, whatever the number of files; a failure leaves nothing. */
#include "version_fixture.h"

static struct dm_batch *wide_rows(struct world *w, uint32_t n)
{
    static char note[1000];
    memset(note, 'n', sizeof note);
    struct dm_batch *b = dm_batch_new(w->t->schema);
    for (uint32_t i = 0; i < n; i++) {
        int32_t region = (int32_t)i;
        int64_t amount = i;
        dm_column_append_fixed(&b->columns[REGION], &region);
        add_text(w, &b->columns[NAME], "x");
        add_version(w, &b->columns[VER], i);
        must(dm_column_append_bytes(&b->columns[NOTE], note, sizeof note, &w->err));
        dm_column_append_fixed(&b->columns[AMOUNT], &amount);
        dm_batch_end_row(b, DM_OP_UPDATE);
    }
    return b;
}

struct seen {
    const struct dm_place *places;
    size_t rows;
};

static enum dm_status check_places(void *ctx, const struct dm_batch *batch, const uint32_t *files,
                                   const uint32_t *positions, struct dm_error *err)
{
    (void)err;
    struct seen *seen = ctx;
    for (size_t i = 0; i < batch->rows; i++) {
        struct dm_place place = seen->places[dm_column_int32(&batch->columns[REGION], i)];
        assert_int_equal(place.file, files[i]);
        assert_int_equal(place.position, positions[i]);
    }
    seen->rows += batch->rows;
    return DM_OK;
}

/* Every third row is left out; enough of them make several files. */
static void write_and_check(struct world *w, uint32_t rows)
{
    struct dm_batch *b = wide_rows(w, rows);
    uint32_t *selection = dm_xalloc(rows * sizeof *selection);
    struct dm_place *places = dm_xzalloc(rows, sizeof *places);
    size_t n = 0;
    for (uint32_t i = 0; i < rows; i++)
        if (i % 3 != 1)
            selection[n++] = i;
    struct dm_file_writes *writes;
    begin(w);
    must(dm_commit_remove_all(w->a.commit, "test", "t", &w->err));
    must(dm_file_writes_begin(&w->a, "test", "t", b, selection, n, places, &writes, &w->err));
    must(dm_file_writes_leave(writes, DM_OK, &b, &w->err));
    publish(w);
    const struct dm_dataset *d = dataset_of(w, "t");
    assert_in_range(d->n_files, 1, 4);
    struct dm_scan_file files[4];
    for (size_t i = 0; i < d->n_files; i++)
        files[i] = (struct dm_scan_file){
            .path = d->files[i].path, .number = d->files[i].number, .rows = d->files[i].rows};
    struct seen seen = {.places = places};
    struct dm_scan_options options = {0};
    must(dm_parquet_scan(w->m.engine, files, d->n_files, d->schema, &options, check_places, &seen, &w->err));
    assert_int_equal(seen.rows, n);
    dm_batch_free(b);
    free(selection);
    free(places);
}

static void rows_stand_where_their_places_say(void **state)
{
    (void)state;
    struct world *w = new_world(dm_type_of(DM_INT64));
    write_and_check(w, 10);    /* at once */
    write_and_check(w, 3000);  /* one file, one thread */
    write_and_check(w, 60000); /* 40 MB: several files */
    free_world(w);
}

static void no_rows_are_nothing(void **state)
{
    (void)state;
    struct world *w = new_world(dm_type_of(DM_INT64));
    struct dm_batch *b = wide_rows(w, 1);
    struct dm_file_writes *writes = (void *)w;
    begin(w);
    must(dm_file_writes_begin(&w->a, "test", "t", b, NULL, 0, NULL, &writes, &w->err));
    assert_null(writes);
    must(dm_file_writes_leave(writes, DM_OK, &b, &w->err));
    publish(w);
    dm_batch_free(b);
    free_world(w);
}

static struct dm_batch *bad_rows(struct world *w, uint32_t rows)
{
    struct dm_batch *b = wide_rows(w, rows);
    b->columns[NOTE].bytes.data[b->columns[NOTE].bytes.len - 1] = 0xff; /* no UTF-8 */
    return b;
}

/* Begins to write all rows of the batch and leaves it. */
static enum dm_status begin_and_leave(struct world *w, struct dm_batch *b)
{
    uint32_t *selection = dm_xalloc(b->rows * sizeof *selection);
    for (uint32_t row = 0; row < b->rows; row++)
        selection[row] = row;
    struct dm_file_writes *writes;
    enum dm_status status =
        dm_file_writes_begin(&w->a, "test", "t", b, selection, b->rows, NULL, &writes, &w->err);
    if (status == DM_OK)
        status = dm_file_writes_leave(writes, status, &b, &w->err);
    dm_batch_free(b);
    free(selection);
    return status;
}

static void one_batch_goes_on_beside_the_next(void **state)
{
    (void)state;
    enum { rows = 20000 };
    struct world *w = new_world(dm_type_of(DM_INT64));
    begin(w);
    for (int i = 0; i < 3; i++) {
        must(begin_and_leave(w, wide_rows(w, rows)));
        assert_non_null(w->a.writing);
    }
    publish(w); /* settles the last */
    assert_null(w->a.writing);
    uint64_t n = 0;
    const struct dm_dataset *d = dataset_of(w, "t");
    for (size_t i = 0; i < d->n_files; i++)
        n += d->files[i].rows;
    assert_int_equal(n, 3 * rows);
    /* a failure comes out at the next begin, or is forgotten with the commit */
    for (int dropped = 0; dropped < 2; dropped++) {
        begin(w);
        must(begin_and_leave(w, bad_rows(w, rows)));
        if (dropped)
            dm_file_writes_drop(&w->a);
        else
            assert_int_equal(begin_and_leave(w, wide_rows(w, rows)), DM_FAIL);
        assert_null(w->a.writing);
        assert_int_equal(w->err.class, dropped ? DM_ERROR_NONE : DM_ERROR_DATA);
        w->err = (struct dm_error){0};
        dm_keyindex_abort(w->m.index);
        dm_commit_free(w->a.commit);
        w->a.commit = NULL;
    }
    assert_int_equal(dataset_of(w, "t")->n_files, d->n_files);
    free_world(w);
}

static void failures_are_told(void **state)
{
    (void)state;
    struct world *w = new_world(dm_type_of(DM_INT64));
    static const uint32_t sizes[] = {10, 60000};
    for (size_t i = 0; i < 2; i++) {
        struct dm_batch *b = bad_rows(w, sizes[i]);
        uint32_t *selection = dm_xalloc(sizes[i] * sizeof *selection);
        for (uint32_t row = 0; row < sizes[i]; row++)
            selection[row] = row;
        struct dm_file_writes *writes;
        begin(w);
        enum dm_status status =
            dm_file_writes_begin(&w->a, "test", "t", b, selection, sizes[i], NULL, &writes, &w->err);
        if (status == DM_OK) /* large: threads write it, and the failure comes later */
            status = dm_file_writes_leave(writes, DM_OK, &b, &w->err);
        assert_true((b == NULL) == (status == DM_OK) && (b == NULL) == (sizes[i] != 10));
        if (status == DM_OK)
            status = dm_file_writes_settle(&w->a, &w->err);
        assert_int_equal(status, DM_FAIL);
        assert_int_equal(w->err.class, DM_ERROR_DATA);
        /* what the caller failed at comes first */
        w->err = (struct dm_error){0};
        if (b == NULL)
            b = bad_rows(w, sizes[i]);
        if (dm_file_writes_begin(&w->a, "test", "t", b, selection, sizes[i], NULL, &writes, &w->err) == DM_OK)
            assert_int_equal(
                dm_file_writes_leave(writes, dm_fail(&w->err, DM_ERROR_TRANSIENT, NULL, "mine"), &b, &w->err),
                DM_FAIL);
        assert_non_null(b);
        assert_int_equal(w->err.class, sizes[i] == 10 ? DM_ERROR_DATA : DM_ERROR_TRANSIENT);
        dm_keyindex_abort(w->m.index);
        dm_commit_free(w->a.commit);
        w->a.commit = NULL;
        w->err = (struct dm_error){0};
        assert_int_equal(dataset_of(w, "t")->n_files, 0);
        dm_batch_free(b);
        free(selection);
    }
    free_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_stand_where_their_places_say),
        cmocka_unit_test(no_rows_are_nothing),
        cmocka_unit_test(one_batch_goes_on_beside_the_next),
        cmocka_unit_test(failures_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
