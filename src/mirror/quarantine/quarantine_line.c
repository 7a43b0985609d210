#include "mirror/quarantine/quarantine_line.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/csv_field.h"
#include "base/json_quote.h"
#include "base/json_scan.h"
#include "base/memory.h"
#include "column/row_json.h"

static enum dm_status text(struct dm_buffer *out, const char *s, struct dm_error *err)
{
    return dm_buffer_append(out, s, strlen(s), err);
}

static enum dm_status json_text(struct dm_buffer *out, const char *s, struct dm_error *err)
{
    return dm_json_quote(out, s, strlen(s), err);
}

/* Is the whole text one JSON object, and does it have a member of this name? */
static bool is_object(const char *raw, const char *member, bool *has)
{
    *has = false;
    struct dm_json_scan s = dm_json_scan_of(raw, strlen(raw));
    dm_json_scan_space(&s);
    bool first = true, more = true;
    if (!dm_json_scan_open(&s, '{'))
        return false;
    while (more) {
        struct dm_json_slice key, value;
        if (!dm_json_scan_member(&s, &first, &more, &key, &value))
            return false;
        if (more && key.n == strlen(member) && memcmp(key.text, member, key.n) == 0)
            *has = true;
    }
    return dm_json_scan_finish(&s);
}

static enum dm_status why_members(struct dm_buffer *out, const struct dm_quarantine_row *row,
                                  struct dm_error *err)
{
    if (dm_buffer_printf(out, err,
                         "\"_quarantine_id\": %lld, \"_quarantine_reason\": ", (long long)row->id) != DM_OK ||
        json_text(out, row->reason, err) != DM_OK || text(out, ", \"_quarantine_message\": ", err) != DM_OK ||
        json_text(out, row->message, err) != DM_OK)
        return DM_FAIL;
    return text(out, ", ", err);
}

/* An object's inside, in one line: a line end in valid JSON is always space between tokens. */
static enum dm_status in_one_line(struct dm_buffer *out, const char *s, struct dm_error *err)
{
    size_t before = out->len;
    if (text(out, s, err) != DM_OK)
        return DM_FAIL;
    for (size_t i = before; i < out->len; i++)
        if (out->data[i] == '\n' || out->data[i] == '\r')
            out->data[i] = ' ';
    return DM_OK;
}

bool dm_quarantine_line_is_row(const struct dm_quarantine_row *row)
{
    bool ignored;
    return row->raw != NULL && row->raw_bytes == 0 && is_object(row->raw, DM_CHANGE_TYPE_COLUMN, &ignored);
}

enum dm_status dm_quarantine_line_json(struct dm_buffer *out, const struct dm_quarantine_row *row, bool why,
                                       struct dm_error *err)
{
    const char *raw = row->raw != NULL ? row->raw : "";
    bool has = false;
    enum dm_status status = dm_buffer_append_byte(out, '{', err);
    if (status == DM_OK && why)
        status = why_members(out, row, err);
    if (status == DM_OK && row->raw_bytes == 0 && is_object(raw, DM_CHANGE_TYPE_COLUMN, &has)) {
        bool empty = raw[strspn(raw, " \t\r\n{")] == '}';
        if (row->op == DM_OP_DELETE && !has)
            status = dm_buffer_printf(out, err, "\"%s\": \"d\"%s", DM_CHANGE_TYPE_COLUMN, empty ? "" : ", ");
        if (status == DM_OK)
            status = in_one_line(out, strchr(raw, '{') + 1, err);
    } else if (status == DM_OK) {
        status = text(out, "\"_raw\": ", err);
        if (status == DM_OK)
            status = json_text(out, raw, err);
        if (status == DM_OK)
            status = dm_buffer_append_byte(out, '}', err);
    }
    return status == DM_OK ? dm_buffer_append_byte(out, '\n', err) : status;
}

/* ---- CSV ---- */

enum dm_status dm_quarantine_line_csv_header(struct dm_buffer *out, const struct dm_schema *schema, bool why,
                                             bool sheet, struct dm_error *err)
{
    enum dm_status status =
        why ? text(out, "_quarantine_id,_quarantine_reason,_quarantine_message,", err) : DM_OK;
    for (size_t i = 0; i < schema->n_fields && status == DM_OK; i++) {
        status = dm_csv_field(out, schema->fields[i].name, strlen(schema->fields[i].name), sheet, err);
        if (status == DM_OK)
            status = dm_buffer_append_byte(out, ',', err);
    }
    return status == DM_OK ? text(out, DM_CHANGE_TYPE_COLUMN "\r\n", err) : status;
}

/* Where the members of the row's object stand: one slice a column, and the change type last. kind 0: not there. */
static bool find_members(const char *raw, const struct dm_schema *schema, struct dm_json_slice *slices)
{
    struct dm_json_scan s = dm_json_scan_of(raw, strlen(raw));
    dm_json_scan_space(&s);
    bool first = true, more = true;
    if (!dm_json_scan_open(&s, '{'))
        return false;
    char *name = dm_xalloc(strlen(raw) + 1);
    bool good = true;
    while (good && more) {
        struct dm_json_slice key, value;
        size_t n = 0;
        good = dm_json_scan_member(&s, &first, &more, &key, &value);
        if (!good || !more || !dm_json_unescape(&key, name, &n))
            continue;
        name[n] = '\0';
        int field = dm_schema_find(schema, name);
        if (field < 0 && strcmp(name, DM_CHANGE_TYPE_COLUMN) == 0)
            field = (int)schema->n_fields;
        if (field >= 0)
            slices[field] = value;
    }
    free(name);
    return good && dm_json_scan_finish(&s);
}

/* The byte that a \\udcXX stands for, which is how the content of a row keeps what is not UTF-8; -1: it is another escape. */
static int kept_byte(const char *at, const char *end)
{
    static const char digits[] = "0123456789abcdef";
    if (end - at < 6 || strncasecmp(at, "\\udc", 4) != 0)
        return -1;
    const char *high = strchr(digits, at[4] | 0x20), *low = strchr(digits, at[5] | 0x20);
    int byte = high != NULL && low != NULL ? (int)(high - digits) * 16 + (int)(low - digits) : -1;
    return byte >= 0x80 ? byte : -1;
}

static bool is_high_surrogate(const char *at, const char *end)
{
    return end - at >= 12 && strncasecmp(at, "\\ud", 3) == 0 && strchr("89abAB", at[3]) != NULL;
}

/* As dm_json_unescape, with the bytes that were no UTF-8 as they came. */
static bool unescape_bytes(const struct dm_json_slice *v, char *out, size_t *n)
{
    const char *end = v->text + v->n, *from = v->text;
    *n = 0;
    for (const char *at = v->text; at <= end;) {
        int byte = at < end ? kept_byte(at, end) : -1;
        if (at == end || byte >= 0) {
            const struct dm_json_slice plain = {
                .text = from, .n = (size_t)(at - from), .kind = DM_JSON_STRING, .escaped = true};
            size_t len = 0;
            if (!dm_json_unescape(&plain, out + *n, &len))
                return false;
            *n += len;
        }
        if (byte >= 0) {
            out[(*n)++] = (char)byte;
            from = at + 6;
        }
        at += at == end ? 1 : byte >= 0 ? 6 : is_high_surrogate(at, end) ? 12 : *at == '\\' ? 2 : 1;
    }
    return true;
}

static enum dm_status csv_value(struct dm_buffer *out, const struct dm_json_slice *v, bool sheet,
                                struct dm_error *err)
{
    if (v->text == NULL || v->kind == DM_JSON_NULL)
        return DM_OK;
    if (v->kind != DM_JSON_STRING)
        return dm_csv_field(out, v->text, v->n, sheet, err);
    char *plain = dm_xalloc(v->n + 1);
    size_t n = 0;
    enum dm_status status = unescape_bytes(v, plain, &n) ? dm_csv_field(out, plain, n, sheet, err)
                                                         : dm_csv_field(out, v->text, v->n, sheet, err);
    free(plain);
    return status;
}

enum dm_status dm_quarantine_line_csv(struct dm_buffer *out, const struct dm_quarantine_row *row,
                                      const struct dm_schema *schema, bool why, bool sheet, bool *no_object,
                                      struct dm_error *err)
{
    struct dm_json_slice *slices = dm_xzalloc(schema->n_fields + 1, sizeof *slices);
    *no_object = row->raw == NULL || row->raw_bytes != 0 || !find_members(row->raw, schema, slices);
    enum dm_status status = DM_OK;
    if (!*no_object && why) {
        status = dm_buffer_printf(out, err, "%lld,", (long long)row->id);
        if (status == DM_OK)
            status = dm_csv_field(out, row->reason, strlen(row->reason), sheet, err);
        if (status == DM_OK)
            status = dm_buffer_append_byte(out, ',', err);
        if (status == DM_OK)
            status = dm_csv_field(out, row->message, strlen(row->message), sheet, err);
        if (status == DM_OK)
            status = dm_buffer_append_byte(out, ',', err);
    }
    for (size_t i = 0; i < schema->n_fields && status == DM_OK && !*no_object; i++) {
        status = csv_value(out, &slices[i], sheet, err);
        if (status == DM_OK)
            status = dm_buffer_append_byte(out, ',', err);
    }
    if (status == DM_OK && !*no_object)
        status = slices[schema->n_fields].text != NULL ? csv_value(out, &slices[schema->n_fields], sheet, err)
                 : row->op == DM_OP_DELETE             ? text(out, "d", err)
                                                       : DM_OK;
    if (status == DM_OK && !*no_object)
        status = text(out, "\r\n", err);
    free(slices);
    return status;
}
