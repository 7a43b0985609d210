/* Parquet files with values of every physical and logical type, extreme ones above all, into columns of every type (parquet_maker.h): every row comes in, within
 * the bounds of its column's type, or goes to the bad rows with its content as JSON, or the file is refused in words. Then a query over the file prints what
 * DuckDB makes of it. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/json_scan.h"
#include "base/utf8.h"
#include "engine/change_reader.h"
#include "engine/change_table.h"
#include "parquet_maker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
    if (!good)
        abort();
}

static struct dm_engine *engine;
static char path[64];

static void remove_file(void)
{
    unlink(path);
    dm_engine_close(engine);
}

static void open_engine(void)
{
    static const struct dm_engine_options options = {
        .memory_limit = 256u << 20, .threads = 1, .temp_folder = "/tmp"};
    struct dm_error err = {0};
    if (engine != NULL)
        return;
    require(dm_engine_open(&options, &engine, &err) == DM_OK);
    (void)snprintf(path, sizeof path, "/tmp/dm-fuzz-%d.parquet", (int)getpid());
    atexit(remove_file);
}

static void write_file(const struct out *file)
{
    unlink(path); /* another file, for DuckDB may remember the one that was there */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    require(fd >= 0 && write(fd, file->data, file->n) == (ssize_t)file->n && close(fd) == 0);
}

/* A type that has something in common with the column's, mostly: else the whole file would be refused each time. */
static enum dm_type_id draw_type(struct source *s, const struct maker_column *c)
{
    static const enum dm_type_id all[] = {DM_STRING,      DM_BOOL,      DM_INT32,  DM_INT64, DM_FLOAT32,
                                          DM_FLOAT64,     DM_DECIMAL,   DM_STRING, DM_DATE,  DM_TIMESTAMP_NS,
                                          DM_TIMESTAMPTZ, DM_TIMESTAMP, DM_TIME,   DM_UUID,  DM_BINARY};
    unsigned what = draw(s), said = c->logical != 0 ? c->logical : 0;
    bool stamp = said == 8 || (said == 0 && (c->converted == 9 || c->converted == 10)) || c->physical == 3;
    bool text =
        said == 1 || said == 4 || said == 12 || (said == 0 && (c->converted == 0 || c->converted == 19));
    if (what >= 0xf0 || text)
        return all[what % (sizeof all / sizeof all[0])];
    if (stamp)
        return c->flag ? all[9 + what % 2] : all[7 + what % 5];
    if (said == 6 || (said == 0 && c->converted == 6))
        return all[7 + what % 5];
    if (said == 7 || (said == 0 && (c->converted == 7 || c->converted == 8)))
        return what & 1 ? DM_TIME : DM_STRING;
    if (said == 14)
        return what & 1 ? DM_UUID : DM_STRING;
    if (c->physical == 0)
        return what & 1 ? DM_BOOL : DM_STRING;
    bool decimal = said == 5 || (said == 0 && c->converted == 5);
    return c->physical >= 6 && !decimal && said != 15 ? DM_BINARY : all[what % 7];
}

static struct dm_schema *draw_schema(struct source *s, const struct maker_column *columns, unsigned n)
{
    struct dm_schema *schema = dm_schema_new();
    dm_schema_add(schema, "id", dm_type_of(DM_INT64))->required = true;
    for (unsigned i = 1; i <= n; i++) {
        enum dm_type_id id = draw_type(s, &columns[i]);
        unsigned precision = 1 + draw_below(s, 38);
        struct dm_type type = id == DM_DECIMAL
                                  ? dm_type_decimal((int)precision, (int)draw_below(s, precision + 1))
                                  : dm_type_of(id);
        dm_schema_add(schema, columns[i].name, columns[i].repeated ? dm_type_list(type) : type);
    }
    dm_schema_add_key(schema, 0);
    return schema;
}

static enum dm_status bad_row(void *ctx, uint64_t line, const struct dm_bad_row *row, struct dm_error *err)
{
    (void)err;
    require(line > 0 && row->reason != NULL && row->message != NULL && row->message[0] != '\0' &&
            row->raw != NULL);
    size_t n = strlen(row->raw);
    require(dm_utf8_valid((const uint8_t *)row->message, strlen(row->message)));
    require(dm_utf8_valid((const uint8_t *)row->raw, n));
    struct dm_json_scan s = dm_json_scan_of(row->raw, n);
    struct dm_json_slice v;
    require(dm_json_scan_value(&s, &v) && dm_json_scan_finish(&s));
    ++*(size_t *)ctx;
    return DM_OK;
}

static void check_batch(const struct dm_batch *batch)
{
    for (size_t c = 0; c < batch->n_columns; c++) {
        const struct dm_column *column = &batch->columns[c];
        require(column->length == batch->rows && dm_table_bounded(column, 0, batch->rows));
        for (size_t i = 0; i < batch->rows && column->type.id == DM_STRING; i++) {
            size_t n = 0;
            const uint8_t *bytes = column->state[i] == DM_VALID ? dm_column_bytes_at(column, i, &n) : NULL;
            require(n == 0 || dm_utf8_valid(bytes, n));
        }
    }
}

static void take_in(const struct dm_schema *schema, size_t rows)
{
    static const struct dm_change_options options = {.format = DM_CHANGES_PARQUET, .version_field = -1};
    struct dm_change_reader *r;
    struct dm_error err = {0};
    if (dm_change_reader_open(engine, path, schema, &options, &r, &err) != DM_OK) {
        require(err.class == DM_ERROR_DATA && err.message[0] != '\0');
        return;
    }
    struct dm_batch *batch = dm_batch_new(schema);
    size_t good = 0, bad = 0;
    enum dm_status status;
    do {
        dm_batch_clear(batch);
        status = dm_change_reader_next(r, batch, 3, 1 << 12, bad_row, &bad, &err);
        require(status != DM_FAIL || err.class == DM_ERROR_DATA);
        check_batch(batch);
        good += batch->rows;
    } while (status == DM_OK);
    require(status == DM_FAIL || good + bad == rows);
    dm_batch_free(batch);
    dm_change_reader_close(r);
}

static void print(enum dm_sql_format format)
{
    struct dm_sql *sql = NULL;
    struct dm_error err = {0};
    char query[128];
    FILE *null = fopen("/dev/null", "w");
    (void)snprintf(query, sizeof query, "FROM read_parquet('%s')", path);
    require(null != NULL && dm_sql_open(engine, &sql, &err) == DM_OK);
    enum dm_status status = dm_sql_print(sql, query, format, null, NULL, &err);
    require(status == DM_OK || err.message[0] != '\0');
    dm_sql_close(sql);
    (void)fclose(null);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    open_engine();
    struct source s = {data, data + size};
    struct out file = {0};
    unsigned how = draw(&s);
    size_t rows;
    struct maker_column columns[MAKER_COLUMNS + 1] = {0};
    unsigned n = make_parquet(&s, &file, columns, &rows);
    write_file(&file);
    struct dm_schema *schema = draw_schema(&s, columns, n);
    take_in(schema, rows);
    if ((how & 3) == 0)
        print((enum dm_sql_format)(how >> 2 & 1 ? DM_SQL_JSON : DM_SQL_CSV));
    dm_schema_unref(schema);
    free(file.data);
    return 0;
}
