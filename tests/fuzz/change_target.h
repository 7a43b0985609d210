/* change_target.h — for the fuzz targets of the change readers only: any bytes as a file of changes.
 *
 * Whatever comes: rows in the order of their lines, bad rows with a reason and a raw content that is JSON in UTF-8, or a DATA error. The first byte
 * chooses options. A bad row's raw content, read alone, may not crash either.
 */
#ifndef DM_FUZZ_CHANGE_TARGET_H
#define DM_FUZZ_CHANGE_TARGET_H

#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"
#include "base/utf8.h"
#include "engine/change_reader.h"

struct change_run {
    const struct dm_schema *schema;
    const struct dm_change_options *options;
    uint64_t line;
    bool nested; /* reading the raw content of a bad row */
};

static inline void require(bool good)
{
    if (!good)
        abort();
}

static inline void change_run(struct change_run *run, const void *bytes, size_t n,
                              enum dm_change_format format);

static inline enum dm_status change_bad_row(void *ctx, uint64_t line, const struct dm_bad_row *row,
                                            struct dm_error *err)
{
    struct change_run *run = ctx;
    (void)err;
    require(line >= run->line && line > 0);
    run->line = line;
    require(row->reason != NULL && row->message != NULL && row->message[0] != '\0' && row->raw != NULL);
    size_t n = strlen(row->raw);
    require(dm_utf8_valid((const uint8_t *)row->message, strlen(row->message)));
    require(dm_utf8_valid((const uint8_t *)row->raw, n));
    struct dm_json_scan s = dm_json_scan_of(row->raw, n);
    struct dm_json_slice v;
    require(dm_json_scan_value(&s, &v) && dm_json_scan_finish(&s));
    if (!run->nested) {
        struct change_run again = {.schema = run->schema, .options = run->options, .nested = true};
        change_run(&again, row->raw, n, DM_CHANGES_JSON);
    }
    return DM_OK;
}

static inline void change_run(struct change_run *run, const void *bytes, size_t n,
                              enum dm_change_format format)
{
    struct dm_change_options options = *run->options;
    options.format = format;
    struct dm_change_reader *r;
    struct dm_error err = {0};
    if (dm_change_reader_open_memory("fuzz", bytes, n, run->schema, &options, &r, &err) != DM_OK) {
        require((err.class == DM_ERROR_DATA || err.class == DM_ERROR_CONFIG) && err.message[0] != '\0');
        return;
    }
    struct dm_batch *batch = dm_batch_new(run->schema);
    enum dm_status status;
    do {
        dm_batch_clear(batch);
        uint64_t before = run->line;
        status = dm_change_reader_next(r, batch, 7, 1 << 12, change_bad_row, run, &err);
        require(status == DM_OK || status == DM_END || (status == DM_FAIL && err.class == DM_ERROR_DATA));
        for (size_t i = 0; i < batch->rows; i++) {
            require(batch->subxids[i] >= before);
            before = batch->subxids[i];
            require(batch->columns[0].state[i] == DM_VALID); /* the key */
            for (size_t c = 0; c < batch->n_columns; c++)
                require(batch->columns[c].length == batch->rows);
        }
        if (batch->rows != 0 && batch->subxids[batch->rows - 1] > run->line)
            run->line = batch->subxids[batch->rows - 1];
    } while (status == DM_OK);
    size_t notes;
    (void)dm_change_reader_notes(r, &notes);
    dm_batch_free(batch);
    dm_change_reader_close(r);
}

static inline int change_target(const uint8_t *data, size_t size, enum dm_change_format format)
{
    if (size == 0)
        return 0;
    struct dm_schema *s = dm_schema_new();
    dm_schema_add(s, "id", dm_type_of(DM_INT64))->required = true;
    dm_schema_add(s, "v", dm_type_of(DM_INT32))->required = true;
    dm_schema_add(s, "s", dm_type_of(DM_STRING));
    dm_schema_add(s, "d", dm_type_decimal(10, 2));
    dm_schema_add(s, "t", dm_type_of(DM_TIMESTAMPTZ));
    dm_schema_add(s, "l", dm_type_list(dm_type_of(DM_STRING)));
    dm_schema_add(s, "b", dm_type_of(DM_BINARY));
    dm_schema_add(s, "__source_lsn", dm_type_of(DM_INT64)); /* of an envelope */
    dm_schema_add(s, "n\xc3\xb6", dm_type_list(dm_type_of(DM_INT32)));
    dm_schema_add_key(s, 0);
    char allowed_a[] = "a", allowed_b[] = "b";
    char *const allowed[] = {allowed_a, allowed_b};
    struct dm_column_rule rules[9] = {
        [2] = {.n_allowed = data[0] & 1 ? 2 : 0, .allowed = allowed, .max_length = 20}};
    struct dm_change_options options = {.version_field = data[0] & 2 ? 1 : -1,
                                        .rules = rules,
                                        .null_text = data[0] & 4 ? "NULL" : NULL,
                                        .strict_columns = (data[0] & 8) != 0,
                                        .unavailable = data[0] & 32 ? "?" : NULL,
                                        .delimiter = data[0] & 16 ? ';' : '\0',
                                        .max_row_bytes = 1024};
    struct change_run run = {.schema = s, .options = &options};
    change_run(&run, data + 1, size - 1, format);
    dm_schema_unref(s);
    return 0;
}

#endif
