/* The summary of a snapshot: Iceberg's counters and where the source stood. Source: Iceberg spec, "Optional Snapshot Summary Fields". */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "lake/commit_internal.h"

enum { MAX_PAIRS = 40 };

struct summary {
    size_t n;
    struct dm_snapshot_pair pairs[MAX_PAIRS];
    char numbers[MAX_PAIRS][24];
};

static void add_text(struct summary *s, const char *key, const char *value)
{
    if (value != NULL && s->n < MAX_PAIRS)
        s->pairs[s->n++] = (struct dm_snapshot_pair){key, value};
}

static void add_total(struct summary *s, const char *key, uint64_t value)
{
    if (s->n == MAX_PAIRS)
        return;
    (void)snprintf(s->numbers[s->n], sizeof s->numbers[s->n], "%" PRIu64, value);
    add_text(s, key, s->numbers[s->n]);
}

static void add_count(struct summary *s, const char *key, uint64_t value)
{
    if (value > 0)
        add_total(s, key, value);
}

static const char *operation(const struct table_commit *t, const struct snapshot_counts *n)
{
    bool deletes = n->removed_files > 0 || n->added_vectors > 0;
    if (t->expire) /* the visible rows stay; files were rewritten, if anything */
        return "replace";
    if (!deletes)
        return t->marked && n->added_files == 0 ? "replace" : "append";
    return n->added_files > 0 ? "overwrite" : "delete";
}

static void add_counters(struct summary *s, const struct snapshot_counts *n, int format_version)
{
    add_count(s, "added-data-files", n->added_files);
    add_count(s, "deleted-data-files", n->removed_files);
    add_count(s, "added-records", n->added_rows);
    add_count(s, "deleted-records", n->removed_rows);
    add_count(s, "added-files-size", n->added_bytes);
    add_count(s, "removed-files-size", n->removed_bytes);
    add_count(s, "added-delete-files", n->added_vectors);
    add_count(s, "removed-delete-files", n->removed_vectors);
    add_count(s, format_version >= 3 ? "added-dvs" : "added-position-delete-files", n->added_vectors);
    add_count(s, format_version >= 3 ? "removed-dvs" : "removed-position-delete-files", n->removed_vectors);
    add_count(s, "added-position-deletes", n->added_positions);
    add_count(s, "removed-position-deletes", n->removed_positions);
    add_total(s, "changed-partition-count", n->changed_partitions);
    add_total(s, "total-records", n->total_rows);
    add_total(s, "total-files-size", n->total_bytes);
    add_total(s, "total-data-files", n->total_files);
    add_total(s, "total-delete-files", n->total_vectors);
    add_total(s, "total-position-deletes", n->total_positions);
    add_total(s, "total-equality-deletes", 0);
}

enum dm_status lake_snapshot_add(struct table_commit *t, const struct snapshot_counts *n,
                                 const char *manifest_list, int64_t first_row_id,
                                 const struct dm_commit_summary *summary, struct dm_error *err)
{
    struct summary s = {0};
    char moment[40];
    add_text(&s, "operation", operation(t, n));
    add_counters(&s, n, t->meta->format_version);
    add_text(&s, "engine-name", "Data Mirror");
    add_text(&s, "engine-version", DM_VERSION);
    if (summary != NULL) {
        add_text(&s, "datamirror.source", summary->source);
        add_text(&s, "datamirror.position", summary->position);
        if (summary->commit_time_us != 0)
            add_text(&s, "datamirror.source-commit-time",
                     dm_clock_format_us(summary->commit_time_us, moment, sizeof moment));
    }
    struct dm_snapshot_new snapshot = {.id = t->snapshot_id,
                                       .parent_id = t->meta->current_snapshot_id,
                                       .sequence_number = t->meta->last_sequence_number + 1,
                                       .timestamp_ms = t->meta->last_updated_ms,
                                       .manifest_list = manifest_list,
                                       .first_row_id = first_row_id,
                                       .added_rows =
                                           first_row_id >= 0 ? t->meta->next_row_id - first_row_id : 0,
                                       .n_summary = s.n,
                                       .summary = s.pairs};
    return dm_metadata_add_snapshot(t->meta, &snapshot, err);
}
