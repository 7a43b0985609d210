/* JSON as changes: objects into cells, members matched by name, Debezium's envelopes unwrapped. */
#include <stdlib.h>

#include "base/json_scan.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "engine/change_debezium.h"
#include "engine/change_envelope.h"
#include "engine/change_format.h"
#include "engine/change_json_split.h"

enum { KEYS_MAX = 1024, RAW_CUT = 999, DECODED_BYTES = 72 };

/* What a member is beyond the fields and the control column: parts of an envelope, unless the dataset has such columns. */
enum { PART_BEFORE, PART_AFTER, PART_OP, PART_PAYLOAD, PART_SCHEMA, PARTS };
enum { TARGET_PART = -16 }; /* TARGET_PART - part */

/* A member's name, seen before. */
struct known {
    char *name;
    size_t n;
    int target;
    enum dm_change_control control;
    bool wrapper; /* met around rows, not in them */
};

struct json {
    struct dm_json_split split;
    struct known *keys; /* in the order they were met, which is the order of most rows */
    size_t n_keys, n_noted;
    size_t expected;
    struct known passing; /* a name beyond KEYS_MAX */
    struct dm_buffer scratch;
    struct dm_json_slice parts[PARTS]; /* of the present row; kind 0: absent */
    struct dm_debezium debezium;
    struct dm_change_envelope envelope;
    bool wrapped;   /* the present row is in one */
    bool flattened; /* rows with "__op" or "__deleted" were met */
    bool encoded;   /* … with a schema that says how its values are encoded */
    uint64_t tombstones;
};

static void json_close(struct dm_change_reader *r)
{
    struct json *j = r->state;
    for (size_t i = 0; i < j->n_keys; i++)
        free(j->keys[i].name);
    free(j->keys);
    dm_buffer_release(&j->scratch);
    dm_debezium_release(&j->debezium);
    dm_change_envelope_release(&j->envelope);
    dm_json_split_release(&j->split);
    free(j);
}

/* ---- members ---- */

static int target_of(const struct dm_schema *schema, const char *name, size_t n,
                     enum dm_change_control *control)
{
    static const char *const parts[PARTS] = {"before", "after", "op", "payload", "schema"};
    int target = dm_change_column(schema, name, n, control);
    for (int i = 0; i < PARTS && target == DM_COLUMN_LEFT_OUT; i++)
        if (strlen(parts[i]) == n && memcmp(parts[i], name, n) == 0)
            target = TARGET_PART - i;
    return target;
}

static const struct known *find_key(struct json *j, const struct dm_schema *schema, const char *name,
                                    size_t n)
{
    if (j->expected < j->n_keys && j->keys[j->expected].n == n &&
        memcmp(j->keys[j->expected].name, name, n) == 0)
        return &j->keys[j->expected++];
    for (size_t i = 0; i < j->n_keys; i++)
        if (j->keys[i].n == n && memcmp(j->keys[i].name, name, n) == 0) {
            j->expected = i + 1;
            return &j->keys[i];
        }
    struct known key = {.n = n, .control = DM_CONTROL_NONE, .wrapper = !j->wrapped};
    key.target = target_of(schema, name, n, &key.control);
    if (j->n_keys == KEYS_MAX) {
        j->passing = key;
        return &j->passing;
    }
    key.name = dm_xstrndup(name, n);
    j->keys = dm_xrealloc(j->keys, j->n_keys + 1, sizeof *j->keys);
    j->keys[j->n_keys] = key;
    return &j->keys[j->n_keys++];
}

/* Names of the rows so far that are nothing here: noted, or refused. */
static enum dm_status note_keys(struct dm_change_reader *r, struct dm_error *err)
{
    struct json *j = r->state;
    for (; j->n_noted < j->n_keys; j->n_noted++) {
        const struct known *key = &j->keys[j->n_noted];
        if (key->target == DM_COLUMN_CONTROL || key->target == DM_COLUMN_DELETED)
            dm_change_note(&r->notes, "column \"%.200s\" tells the kind of change and is not stored",
                           key->name);
        if (key->target >= 0 || key->target == DM_COLUMN_CONTROL || key->target == DM_COLUMN_DELETED ||
            (key->wrapper && j->wrapped))
            continue;
        if (j->flattened && key->target == DM_COLUMN_LEFT_OUT && dm_change_is_metadata(key->name, key->n)) {
            dm_change_note_metadata(&r->notes);
            continue;
        }
        if (r->options.strict_columns) {
            (void)dm_fail(err, DM_ERROR_DATA, NULL, "line %llu: column \"%.200s\" is not in the schema",
                          (unsigned long long)j->split.line, key->name);
            dm_change_hint_columns(r->row.schema, err);
            return DM_FAIL;
        }
        dm_change_note_left_out(&r->notes, key->name, key->n);
    }
    return DM_OK;
}

/* The slice's characters; escaped ones in `scratch`, which was made large enough for the row. */
static bool plain_text(struct json *j, struct dm_json_slice *v)
{
    if (!v->escaped)
        return true;
    char *out = (char *)j->scratch.data + j->scratch.len;
    size_t n;
    if (!dm_json_unescape(v, out, &n))
        return false;
    v->text = out;
    v->n = n;
    v->escaped = false;
    j->scratch.len += n;
    return true;
}

/* What is wrong with a row. */
struct trouble {
    const char *reason;
    const char *message;
};

static bool trouble(struct trouble *t, const char *reason, const char *message)
{
    *t = (struct trouble){reason, message};
    return false;
}

static bool take_member(struct dm_change_reader *r, struct dm_json_slice *key, struct dm_json_slice *v,
                        struct trouble *t)
{
    struct json *j = r->state;
    if (!plain_text(j, key))
        return trouble(t, "invalid_utf8", "a name holds half of a surrogate pair");
    const struct known *known = find_key(j, r->row.schema, key->text, key->n);
    if (known->target == DM_COLUMN_LEFT_OUT)
        return true;
    if (known->target <= TARGET_PART) {
        j->parts[TARGET_PART - known->target] = *v;
        return true;
    }
    struct dm_change_cell *cell = known->target >= 0                   ? &r->row.cells[known->target]
                                  : known->target == DM_COLUMN_DELETED ? &r->row.deleted
                                                                       : &r->row.control;
    if (known->target == DM_COLUMN_CONTROL)
        r->row.control_kind = known->control;
    j->flattened |= known->control == DM_CONTROL_DEBEZIUM || known->control == DM_CONTROL_DELETED;
    if (cell->kind != DM_CELL_ABSENT)
        return trouble(t, "corrupt_row",
                       known->target >= 0 ? "a column stands there twice"
                                          : "two columns tell the kind of change");
    if (!plain_text(j, v))
        return trouble(t, "invalid_utf8", "a text holds half of a surrogate pair");
    *cell = (struct dm_change_cell){
        .text = v->text, .n = v->n, .kind = v->kind == DM_JSON_NULL ? DM_CELL_NULL : DM_CELL_TEXT};
    return true;
}

static bool take_object(struct dm_change_reader *r, const char *text, size_t n, struct trouble *t)
{
    struct json *j = r->state;
    dm_change_row_clear(&r->row);
    dm_buffer_clear(&j->scratch);
    memset(j->parts, 0, sizeof j->parts);
    j->expected = 0;
    struct dm_json_scan s = dm_json_scan_of(text, n);
    struct dm_json_slice key, v;
    bool first = true, more = true, good = dm_json_scan_open(&s, '{');
    while (good && (good = dm_json_scan_member(&s, &first, &more, &key, &v)) && more)
        if (!take_member(r, &key, &v, t))
            return false;
    if (!good || !dm_json_scan_finish(&s))
        return trouble(t, "corrupt_row", s.problem);
    return true;
}

/* ---- envelopes ---- */

static bool is_event(const struct json *j)
{
    return j->parts[PART_OP].kind == DM_JSON_STRING &&
           (j->parts[PART_AFTER].kind != 0 || j->parts[PART_BEFORE].kind != 0);
}

/* The row inside an event. */
static bool take_event(struct dm_change_reader *r, const char *text, size_t n, struct trouble *t)
{
    struct json *j = r->state;
    struct dm_json_slice op = j->parts[PART_OP];
    bool delete = op.n == 1 && *op.text == 'd';
    struct dm_json_slice image = j->parts[delete ? PART_BEFORE : PART_AFTER];
    if (op.n != 1 || (!delete &&*op.text != 'c' && *op.text != 'r' && *op.text != 'u'))
        return trouble(t, "unknown_change_type", "\"op\" is none of c, r, u, d");
    if (image.kind != DM_JSON_OBJECT)
        return trouble(t, delete ? "null_key" : "corrupt_row",
                       delete ? "the event has no \"before\", which tells the key"
                              : "the event has no \"after\", which is the row");
    if (!take_object(r, image.text, image.n, t))
        return false;
    if (j->envelope.n > 0)
        dm_change_envelope_fill(&j->envelope, text, n, r->row.cells);
    if (delete) {
        r->row.control_kind = DM_CONTROL_REQUEST;
        r->row.control = (struct dm_change_cell){.text = "d", .n = 1, .kind = DM_CELL_TEXT};
    }
    return true;
}

/* What is in "payload": an event, or the row itself when a schema stands beside it (flattened events). */
static bool take_payload(struct dm_change_reader *r, const struct dm_json_slice *payload, bool typed,
                         struct trouble *t)
{
    struct json *j = r->state;
    size_t met = j->n_keys;
    if (!take_object(r, payload->text, payload->n, t))
        return false;
    j->wrapped = typed || is_event(j);
    for (size_t i = met; i < j->n_keys && !is_event(j); i++)
        j->keys[i].wrapper = false;
    return true;
}

/* The cells of the row, out of whatever it is wrapped in. *nothing: a tombstone, which follows the event that deleted the row. */
static bool take_row(struct dm_change_reader *r, const char *text, size_t n, bool *nothing, struct trouble *t)
{
    struct json *j = r->state;
    j->wrapped = j->encoded = false;
    if (!take_object(r, text, n, t))
        return false;
    struct dm_json_slice schema = j->parts[PART_SCHEMA], payload = j->parts[PART_PAYLOAD];
    bool typed = schema.kind == DM_JSON_OBJECT || schema.kind == DM_JSON_NULL;
    *nothing = payload.kind == DM_JSON_NULL && typed;
    if (*nothing)
        return true;
    if (payload.kind == DM_JSON_OBJECT) {
        if (!take_payload(r, &payload, typed, t))
            return false;
        if (!j->wrapped &&
            !take_object(r, text, n, t)) /* a column of that name, which is not the dataset's */
            return false;
    }
    if (is_event(j)) {
        bool inside = payload.kind == DM_JSON_OBJECT && j->wrapped;
        j->wrapped = true;
        if (!take_event(r, inside ? payload.text : text, inside ? payload.n : n, t))
            return false;
    }
    j->encoded = j->wrapped && schema.kind == DM_JSON_OBJECT;
    if (j->encoded)
        dm_debezium_learn(&j->debezium, r->row.schema, &schema);
    return true;
}

/* ---- rows ---- */

/* The row as it is, when it is JSON. */
static enum dm_status write_row(void *ctx, struct dm_buffer *out, struct dm_error *err)
{
    const struct json *j = ctx;
    struct dm_json_scan s = dm_json_scan_of(j->split.text, j->split.n);
    struct dm_json_slice v;
    bool json = dm_json_scan_value(&s, &v) && dm_json_scan_finish(&s) &&
                dm_utf8_valid((const uint8_t *)j->split.text, j->split.n);
    if (!json) {
        size_t n = j->split.n;
        n -= n > 0 && j->split.text[n - 1] == '\r';
        return dm_raw_string(out, j->split.text, n, SIZE_MAX, err);
    }
    bool quoted = v.kind == DM_JSON_STRING;
    return dm_buffer_append(out, v.text - quoted, v.n + 2 * (size_t)quoted, err);
}

static enum dm_status write_head(void *ctx, struct dm_buffer *out, struct dm_error *err)
{
    const struct json *j = ctx;
    return dm_raw_string(out, j->split.text, j->split.n, RAW_CUT, err);
}

static bool is_null(const char *text, size_t n)
{
    struct dm_json_scan s = dm_json_scan_of(text, n);
    struct dm_json_slice v;
    dm_json_scan_space(&s);
    return s.at < s.end && *s.at == 'n' && dm_json_scan_value(&s, &v) && v.kind == DM_JSON_NULL &&
           dm_json_scan_finish(&s);
}

static enum dm_status take_value(struct dm_change_reader *r, struct dm_batch *batch, struct dm_error *err)
{
    struct json *j = r->state;
    const char *text = j->split.text;
    size_t n = j->split.n;
    r->row.write_raw = write_row;
    if (!dm_utf8_valid((const uint8_t *)text, n))
        return dm_change_row_bad(&r->row, "invalid_utf8", false, 0, err, "the row is not valid UTF-8");
    /* Decoded values and unescaped texts are never longer than this, so nothing moves while cells point to it. */
    dm_buffer_clear(&j->scratch);
    if (dm_buffer_reserve(&j->scratch, 3 * n + r->row.schema->n_fields * DECODED_BYTES, err) != DM_OK)
        return DM_FAIL;
    struct trouble t = {0};
    bool nothing =
        n < 64 && is_null(text, n); /* a tombstone; the event that it follows may be in another file */
    if (!nothing && !take_row(r, text, n, &nothing, &t))
        return dm_change_row_bad(&r->row, t.reason, false, 0, err, "%s", t.message);
    j->tombstones += nothing;
    if (nothing)
        return DM_OK;
    if (j->n_noted < j->n_keys && note_keys(r, err) != DM_OK)
        return DM_FAIL;
    if (j->encoded && dm_debezium_decode(&j->debezium, &r->row, &j->scratch, err) != DM_OK)
        return DM_FAIL;
    return dm_change_row_add(&r->row, batch, err);
}

static enum dm_status json_next(struct dm_change_reader *r, struct dm_batch *batch,
                                struct dm_change_limits limits, struct dm_error *err)
{
    struct json *j = r->state;
    size_t end = batch->rows + limits.rows, bytes = 0;
    while (batch->rows < end && bytes < limits.bytes) {
        enum dm_json_result result = dm_json_split_next(&j->split, err);
        r->row.line = j->split.line;
        r->row.nth = j->split.nth;
        enum dm_status status = DM_OK;
        switch (result) {
        case DM_JSON_VALUE: status = take_value(r, batch, err); break;
        case DM_JSON_TOO_LARGE:
            r->row.write_raw = write_head;
            status = dm_change_row_bad(&r->row, "row_too_large", false, 0, err,
                                       "the row is longer than %zu bytes", j->split.max_row);
            break;
        case DM_JSON_END:
            if (j->tombstones != 0)
                dm_change_note(&r->notes, "%llu tombstones (null events) hold nothing and were passed over",
                               (unsigned long long)j->tombstones);
            return DM_END;
        case DM_JSON_FAILED: return DM_FAIL;
        }
        if (status != DM_OK)
            return status;
        bytes += j->split.n + 1;
    }
    return DM_OK;
}

enum dm_status dm_change_json_open(struct dm_change_reader *r, struct dm_error *err)
{
    static const struct dm_change_format_type type = {.next = json_next, .close = json_close};
    struct json *j = dm_xzalloc(1, sizeof *j);
    r->format = &type;
    r->state = j;
    r->row.raw_ctx = j;
    dm_buffer_init(&j->scratch, SIZE_MAX);
    dm_change_envelope_init(&j->envelope, r->row.schema);
    return dm_json_split_init(&j->split, &r->input, r->options.max_row_bytes, err);
}
