/* change_json_split.h — inside engine/ only: a file of JSON into its values, with their lines.
 *
 * Three shapes are told apart by the beginning of the file: one value a line (NDJSON), where a bad line costs nothing but itself, or several
 * on one line without anything between them (delivery streams write so, at times a whole file on one line); an array of values; and values one after the other, each over any number of lines (a single object is the simplest case). In the last two
 * nobody can tell where the next value begins behind one that is not JSON, so that fails the file.
 * Why not DuckDB's read_json: numbers go through double even into a DECIMAL column, a line that is not JSON becomes a row of nulls, and no lines
 * are named. 1 M rows of 8 columns: 0.55 s of processor time there, 0.4 s here.
 *
 * Values point into the window until the next call. One thread.
 */
#ifndef DM_ENGINE_CHANGE_JSON_SPLIT_H
#define DM_ENGINE_CHANGE_JSON_SPLIT_H

#include "base/buffer.h"
#include "engine/change_input.h"

enum dm_json_shape { DM_JSON_LINES, DM_JSON_ARRAY_OF, DM_JSON_VALUES };

struct dm_json_split {
    struct dm_change_input *in;
    enum dm_json_shape shape;
    size_t max_row;
    uint64_t line;    /* where the present value begins */
    uint64_t nth;     /* it is the n-th of several on its line; 0: it is alone there */
    const char *text; /* the present value (lines: with space around it); too large: its first bytes */
    size_t n;
    /* what follows is the splitter's own */
    uint64_t next_line;
    size_t pending;        /* bytes from `begin` to behind the present value */
    bool line_done;        /* lines: the present value ends its line */
    size_t line_seen;      /* lines: bytes from `begin` that are known to hold no line break */
    int state;             /* arrays: what comes next */
    struct dm_buffer head; /* of a value that is too large */
};

enum dm_json_result {
    DM_JSON_VALUE,
    DM_JSON_TOO_LARGE,
    DM_JSON_END,
    DM_JSON_FAILED, /* err */
};

/* Looks at the beginning. */
enum dm_status dm_json_split_init(struct dm_json_split *s, struct dm_change_input *in, size_t max_row,
                                  struct dm_error *err) DM_MUST_USE;
void dm_json_split_release(struct dm_json_split *s);
enum dm_json_result dm_json_split_next(struct dm_json_split *s, struct dm_error *err);

#endif
