/* Change capture inside a SQLite file.
 *
 * THE PROBLEM. SQLite has no log that another process could read: the WAL holds pages and is overwritten.
 * What it has are triggers, which run inside the writer's transaction, so what they write commits or
 * vanishes together with the change. Triggers have three holes, and the design is shaped by them:
 *   1. Rows that INSERT OR REPLACE or UPDATE OR REPLACE remove to make room fire no delete trigger (unless
 *      the writer's connection has recursive_triggers on, which is off by default and not ours to set).
 *   2. Triggers of one table run in no defined order. When a user's trigger changes the row again, an image
 *      taken from NEW by a trigger that runs later is already stale, yet it stands last in the log.
 *   3. A trigger names columns. One that names all of them misses a column added later, and forbids
 *      dropping one.
 *
 * THE IDEA. The log does not say how a row changed. It says which KEY may have changed, and the row itself
 * is read from its table in the same snapshot in which the log is read. Any number of entries for one key,
 * in any order, lead to the row as it is, or to its absence. An entry too many costs one lookup and harms
 * nothing, so doubtful cases are simply logged: hole 1 is closed by logging, before the write, the keys of
 * the rows that stand in its way; hole 2 and 3 do not exist, since no image is taken and only key columns
 * are named. The row image delivered is the row itself: storage class, NUL bytes, large integers,
 * everything, without a second copy in the file. A writer pays one append of a few bytes per changed row.
 *
 * FORMAT. All in the main file, readable with any SQLite tool:
 *   _datamirror_log(seq INTEGER PRIMARY KEY, t INTEGER, op INTEGER, stamp INTEGER, k1, k2, …): One entry per
 *       changed row. t: table id. op: enum dm_sqlite_op. stamp: a random number. k1…: the key's values; these columns have no type, so values
 *       keep their storage class. One log for all tables, because seq must order changes across tables, and
 *       because one append-only b-tree is what costs writers least. No constraint but seq: the conflict
 *       policy of the writer's statement (OR IGNORE) rules inside triggers too, and would silently skip an
 *       entry that breaks one.
 *   _datamirror_tables(id, name, state, sql, signature, images_from, seen): What capture knows of each
 *       table. sql: CREATE TABLE when last looked at. signature: its unique constraints. seen: greatest seq
 *       when last looked at. state: 1 captured, 0 dropped or no longer selected.
 *   _datamirror_capture(id): One row, a random number: which capture this is.
 *   _datamirror_columns(t, ref, name, type, key): Numbers of columns. A number belongs to a column for life,
 *       through renames, and is never given again.
 *   _datamirror_image_<id>(seq INTEGER PRIMARY KEY, c<ref>, …): Only for tables with `history: true` or
 *       `append_only: true`: the row as it stood right after the change with this seq, read from the table
 *       by the trigger (not from NEW: hole 2). For every other table intermediate states within one poll
 *       are nobody's business.
 *   triggers _datamirror_<id>_insert, _update, _delete (AFTER; they log), _conflict_insert,
 *       _conflict_update (BEFORE; they log the keys of rows that a REPLACE would remove), _columns (never
 *       fires; ALTER TABLE RENAME COLUMN rewrites its text, which tells us the rename).
 *
 * SEQUENCE. seq is greatest seq + 1 (plain INTEGER PRIMARY KEY; AUTOINCREMENT would cost writers a second
 * b-tree, and fixtures like to empty sqlite_sequence). So the greatest entry is never deleted. The first
 * entry (op BEGIN) stands at the clock in microseconds. A number alone tells nothing, though: a file that lost
 * its last transactions gives the same ones out again. See VALIDITY.
 *
 * POSITIONS. Position p means: all entries with seq < p. A transaction unit that ends with entry L has
 * visible_at L and position L + 1; a copy taken when the greatest seq is M stands at M + 1 and holds
 * exactly the units with visible_at < M + 1. 0 is "from the oldest entry".
 *
 * TRANSACTIONS. SQLite serialises writers, and a reader sees whole transactions only. Everything that one
 * read snapshot shows above the stream's position is therefore a whole number of transactions, and is
 * delivered as one unit: begin … commit. Where transactions lie close together, several share a unit; none
 * is ever split. SQLite keeps no commit time: the unit's is when the snapshot was taken.
 *
 * READING A UNIT (sqlite_stream.c), in one read transaction: notes (op >= 5) in order; then images in
 * order, for tables that keep them; then, for all keys in [position, M] grouped, the row of each. Present:
 * INSERT if the key's first entry is an insert, else UPDATE. Absent: DELETE. An update of a key is thus a
 * DELETE and an INSERT. Keys compare as the lake compares them, by bytes, also where the table's collation
 * does not: 'a' updated to 'A' under NOCASE deletes 'a' and inserts 'A'. A key whose last entry has a valid
 * image was delivered by the images already and is left out.
 *
 * SCHEMA CHANGES. Each poll compares PRAGMA schema_version. When it moved, dm_sqlite_capture_sync looks at
 * all tables under the write lock, mends triggers, and notes in the log what the stream must tell, so it is
 * told in order, and again after a crash:
 *   - column added: rows are read as they are, nothing was missed. With a default, or generated, all stored
 *     rows have a value that no change announced: REWRITTEN.
 *   - column or table renamed: SCHEMA; numbers and id stay. Column dropped: SCHEMA.
 *   - triggers gone (the table was dropped and made again, the usual way to do what ALTER TABLE cannot):
 *     same id, REWRITTEN.
 *   - a UNIQUE constraint was added, or the key changed, while rows changed: a REPLACE may have gone
 *     unseen: REWRITTEN.
 *   - CREATE TABLE text changed without visible reason (a column dropped and made again under its name):
 *     REWRITTEN.
 *   - images of a table between an ALTER and the sync lack the new columns: images_from says which are
 *     valid; before it, only the final state of a key is delivered.
 *
 * VALIDITY. The lake remembers with its position p the capture's id and the stamp of entry p - 1, the last one
 * that was read. Whatever happens to the file (power cuts, backups put back, copies that live on, other databases
 * in its place) an entry comes with everything that was committed before it, or not at all; and no other entry has its
 * stamp. So a stream may go on at p exactly if entry p - 1 is there with that stamp (log_check.c). Cleaning keeps
 * the last entry below the acknowledged position, so the rule holds for everybody who acknowledged, and fails for a
 * second mirror on the same file instead of letting it skip. It is checked at the start, before anything is
 * written, and again in the snapshot of each unit. docs/sqlite.md has the table of what can have happened.
 */
#include "source/sqlite/sqlite_capture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "source/sqlite/capture_columns.h"
#include "source/sqlite/capture_triggers.h"

/* ---- the tables of the capture ---- */

bool dm_sqlite_capture_exists(sqlite3 *db)
{
    struct dm_error ignored = {0};
    int64_t n = 0;
    return dm_sqlite_int(db, 0, &n, &ignored,
                         "SELECT count(*) FROM sqlite_schema WHERE name = '_datamirror_log'") == DM_OK &&
           n > 0;
}

enum dm_status dm_sqlite_capture_position(sqlite3 *db, dm_position *out, struct dm_error *err)
{
    int64_t last = 0;
    if (dm_sqlite_int(db, 0, &last, err, "SELECT max(seq) FROM \"_datamirror_log\"") != DM_OK)
        return DM_FAIL;
    *out = (dm_position)last + 1;
    return DM_OK;
}

static enum dm_status column_there(sqlite3 *db, const char *table, const char *column, bool *there,
                                   struct dm_error *err)
{
    int64_t n = 0;
    enum dm_status status = dm_sqlite_int(
        db, 0, &n, err, "SELECT count(*) FROM pragma_table_info(%Q) WHERE name = %Q", table, column);
    *there = n > 0;
    return status;
}

/* The entry that a log begins with: there is always one, and its number is the clock's. */
static enum dm_status begin_log(sqlite3 *db, struct dm_error *err)
{
    return dm_sqlite_exec(
        db, err,
        "INSERT INTO \"_datamirror_log\"(seq, t, op, stamp) SELECT max(%lld, coalesce((SELECT max(seq) FROM"
        " \"_datamirror_log\"), 0) + 1), 0, %d, random()",
        (long long)dm_clock_wall_us(), (int)DM_SQLITE_BEGIN);
}

static enum dm_status create_capture(sqlite3 *db, struct dm_error *err)
{
    if (dm_sqlite_exec(
            db, err,
            "CREATE TABLE \"_datamirror_log\"(seq INTEGER PRIMARY KEY, t INTEGER, op INTEGER, stamp INTEGER, "
            "k1);"
            "CREATE TABLE \"_datamirror_tables\"(id INTEGER PRIMARY KEY, name TEXT, state INTEGER, sql TEXT, "
            "signature TEXT,"
            " images_from INTEGER, seen INTEGER);"
            "CREATE TABLE \"_datamirror_columns\"(t INTEGER, ref INTEGER, name TEXT, type TEXT, key INTEGER,"
            " PRIMARY KEY (t, ref)) WITHOUT ROWID;"
            "CREATE TABLE \"_datamirror_capture\"(id INTEGER);"
            "INSERT INTO \"_datamirror_capture\" SELECT random()") != DM_OK)
        return DM_FAIL;
    return begin_log(db, err);
}

/* A log of an older version has no stamps, and somebody may have emptied one: neither is one to begin with. */
static enum dm_status mend_log(sqlite3 *db, bool *changed, struct dm_error *err)
{
    bool stamps;
    int64_t last = 0;
    if (column_there(db, "_datamirror_log", "stamp", &stamps, err) != DM_OK ||
        dm_sqlite_int(db, 0, &last, err, "SELECT max(seq) FROM \"_datamirror_log\"") != DM_OK)
        return DM_FAIL;
    if (stamps && last > 0)
        return DM_OK;
    *changed = true;
    if (!stamps && dm_sqlite_exec(db, err,
                                  "ALTER TABLE \"_datamirror_log\" ADD COLUMN stamp INTEGER;"
                                  "CREATE TABLE \"_datamirror_capture\"(id INTEGER);"
                                  "INSERT INTO \"_datamirror_capture\" SELECT random()") != DM_OK)
        return DM_FAIL;
    return begin_log(db, err);
}

/* ---- ids and numbers ---- */

/* Ids by trigger first, since triggers follow a renamed table; then by name, for tables whose triggers are
 * gone. */
enum dm_status dm_sqlite_capture_identify(sqlite3 *db, struct dm_sqlite_tables *set, struct dm_error *err)
{
    if (!dm_sqlite_capture_exists(db))
        return DM_OK;
    sqlite3_stmt *row = NULL;
    if (dm_sqlite_prepare(db, &row, err,
                          "SELECT m.id, s.tbl_name, 0 FROM \"_datamirror_tables\" m JOIN sqlite_schema s ON "
                          "s.type = 'trigger'"
                          " AND s.name = '_datamirror_' || m.id || '_columns' UNION ALL"
                          " SELECT id, name, 1 FROM \"_datamirror_tables\" ORDER BY 3, 1") != DM_OK)
        return DM_FAIL;
    enum dm_status status;
    while ((status = dm_sqlite_step(row, err)) == DM_OK) {
        struct dm_sqlite_table *t = dm_sqlite_tables_named(set, (const char *)sqlite3_column_text(row, 1));
        uint64_t id = (uint64_t)sqlite3_column_int64(row, 0);
        if (t != NULL && t->table->id == 0 && dm_sqlite_tables_find(set, id) == NULL)
            t->table->id = id;
    }
    (void)sqlite3_finalize(row);
    if (status == DM_FAIL)
        return DM_FAIL;
    for (size_t i = 0; i < set->n; i++) {
        struct dm_schema *columns = set->tables[i]->table->columns;
        if (dm_sqlite_prepare(
                db, &row, err,
                "SELECT ref, name FROM \"_datamirror_columns\" WHERE t = %lld AND name IS NOT NULL",
                (long long)set->tables[i]->table->id) != DM_OK)
            return DM_FAIL;
        while ((status = dm_sqlite_step(row, err)) == DM_OK) {
            int f = dm_schema_find(columns, (const char *)sqlite3_column_text(row, 1));
            if (f >= 0)
                columns->fields[f].source_ref = sqlite3_column_int(row, 0);
        }
        (void)sqlite3_finalize(row);
        if (status == DM_FAIL)
            return DM_FAIL;
    }
    return DM_OK;
}

enum dm_status dm_sqlite_capture_remembered(sqlite3 *db, uint64_t id, struct dm_table **out,
                                            struct dm_error *err)
{
    *out = NULL;
    sqlite3_stmt *row = NULL;
    if (dm_sqlite_prepare(db, &row, err,
                          "SELECT m.name, c.name, c.type, c.ref, c.key FROM \"_datamirror_tables\" m JOIN "
                          "\"_datamirror_columns\" c"
                          " ON c.t = m.id WHERE m.id = %lld AND c.name IS NOT NULL ORDER BY c.ref",
                          (long long)id) != DM_OK)
        return DM_FAIL;
    enum dm_status status;
    while ((status = dm_sqlite_step(row, err)) == DM_OK) {
        if (*out == NULL) {
            *out = dm_table_new("", (const char *)sqlite3_column_text(row, 0));
            (*out)->id = id;
            (*out)->default_namespace = true;
        }
        struct dm_sqlite_rule rule = dm_sqlite_rule_of((const char *)sqlite3_column_text(row, 2), false);
        struct dm_field *f =
            dm_schema_add((*out)->columns, (const char *)sqlite3_column_text(row, 1), rule.type);
        f->source_ref = sqlite3_column_int(row, 3);
        if (sqlite3_column_int(row, 4)) {
            f->required = true;
            dm_schema_add_key((*out)->columns, (uint32_t)(*out)->columns->n_fields - 1);
        }
    }
    (void)sqlite3_finalize(row);
    return status == DM_FAIL ? DM_FAIL : DM_OK;
}

/* ---- sync ---- */

/* One table while it is compared with what the capture knows. */
struct review {
    struct dm_sqlite_table *t;
    bool known; /* it was captured before */
    bool renamed;
    bool columns_moved; /* added, dropped or renamed columns */
    bool rewritten;
    bool triggers_missing;
    bool mended;       /* something was written */
    bool images_moved; /* older images lack columns */
    char *old_sql, *old_signature;
    int64_t seen;
};

static enum dm_status note(sqlite3 *db, uint64_t id, enum dm_sqlite_op op, struct dm_error *err)
{
    return dm_sqlite_exec(db, err,
                          "INSERT INTO \"_datamirror_log\"(t, op, stamp) VALUES (%lld, %d, random())",
                          (long long)id, (int)op);
}

static enum dm_status review_known(sqlite3 *db, struct review *r, struct dm_error *err)
{
    sqlite3_stmt *row = NULL;
    if (dm_sqlite_prepare(
            db, &row, err,
            "SELECT name, sql, signature, seen, state FROM \"_datamirror_tables\" WHERE id = %lld",
            (long long)r->t->table->id) != DM_OK)
        return DM_FAIL;
    enum dm_status status = dm_sqlite_step(row, err);
    if (status == DM_OK) {
        r->known = true;
        r->renamed = strcmp((const char *)sqlite3_column_text(row, 0), r->t->table->name) != 0;
        r->old_sql = dm_sqlite_text(row, 1);
        r->old_signature = dm_sqlite_text(row, 2);
        r->seen = sqlite3_column_int64(row, 3);
        r->triggers_missing = sqlite3_column_int(row, 4) == 0;
    }
    (void)sqlite3_finalize(row);
    return status == DM_FAIL ? DM_FAIL : DM_OK;
}

static enum dm_status has_trigger(sqlite3 *db, const struct dm_trigger *trigger, const char *table,
                                  bool *there, bool *same, struct dm_error *err)
{
    *there = *same = false;
    sqlite3_stmt *row = NULL;
    if (dm_sqlite_prepare(
            db, &row, err,
            "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = %Q AND tbl_name = %Q",
            trigger->name, table) != DM_OK)
        return DM_FAIL;
    enum dm_status status = dm_sqlite_step(row, err);
    if (status == DM_OK) {
        *there = true;
        *same = strcmp((const char *)sqlite3_column_text(row, 0), trigger->sql) == 0;
    }
    (void)sqlite3_finalize(row);
    return status == DM_FAIL ? DM_FAIL : DM_OK;
}

static enum dm_status mend_triggers(sqlite3 *db, struct review *r, struct dm_error *err)
{
    struct dm_trigger_list list = {0};
    dm_capture_triggers(r->t, &list);
    bool guards = r->known && strstr(r->old_signature, DM_SIGNATURE_SEPARATOR) != NULL;
    enum dm_status status = DM_OK;
    for (size_t i = 0; status == DM_OK && i < list.n; i++) {
        bool there, same;
        status = has_trigger(db, &list.items[i], r->t->table->name, &there, &same, err);
        if (status != DM_OK || same)
            continue;
        r->mended = true;
        r->triggers_missing =
            r->triggers_missing || (!there && (list.items[i].essential || (guards && list.items[i].guard)));
        status = dm_sqlite_exec(db, err, "DROP TRIGGER IF EXISTS \"%w\"", list.items[i].name);
        if (status == DM_OK)
            status = dm_sqlite_exec(db, err, "%s", list.items[i].sql);
    }
    /* A trigger that is no longer wanted: the last unique constraint is gone. */
    if (status == DM_OK && r->t->n_uniques == 0)
        status = dm_sqlite_exec(db, err,
                                "DROP TRIGGER IF EXISTS \"_datamirror_%lld_conflict_insert\";"
                                "DROP TRIGGER IF EXISTS \"_datamirror_%lld_conflict_update\"",
                                (long long)r->t->table->id, (long long)r->t->table->id);
    dm_trigger_list_release(&list);
    return status;
}

/* Columns of the log and of the image table grow with what is captured, and never shrink. */
static enum dm_status widen(sqlite3 *db, struct review *r, struct dm_error *err)
{
    char name[64], column[32];
    bool there;
    for (size_t i = 0; i < r->t->n_identity; i++) {
        (void)snprintf(column, sizeof column, "k%zu", i + 1);
        if (column_there(db, "_datamirror_log", column, &there, err) != DM_OK ||
            (!there &&
             dm_sqlite_exec(db, err, "ALTER TABLE \"_datamirror_log\" ADD COLUMN %s", column) != DM_OK))
            return DM_FAIL;
    }
    (void)snprintf(name, sizeof name, "_datamirror_image_%lld", (long long)r->t->table->id);
    if (!r->t->images)
        return dm_sqlite_exec(db, err, "DROP TABLE IF EXISTS \"%w\"", name);
    if (dm_sqlite_exec(db, err, "CREATE TABLE IF NOT EXISTS \"%w\"(seq INTEGER PRIMARY KEY)", name) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < r->t->table->columns->n_fields; i++) {
        (void)snprintf(column, sizeof column, "c%d", r->t->table->columns->fields[i].source_ref);
        if (column_there(db, name, column, &there, err) != DM_OK ||
            (!there && dm_sqlite_exec(db, err, "ALTER TABLE \"%w\" ADD COLUMN %s", name, column) != DM_OK))
            return DM_FAIL;
        r->images_moved = r->images_moved || !there;
    }
    return DM_OK;
}

/* Constraints changed while rows changed: a REPLACE may have removed rows that nobody logged. */
static enum dm_status conflicts_unseen(sqlite3 *db, struct review *r, const char *signature,
                                       dm_position since, struct dm_error *err)
{
    if (!r->known || dm_capture_signature_covers(r->old_signature, signature))
        return DM_OK;
    int64_t from = r->seen + 1 > (int64_t)since ? r->seen + 1 : (int64_t)since, n = 0;
    if (dm_sqlite_int(db, 0, &n, err,
                      "SELECT 1 FROM \"_datamirror_log\" WHERE seq >= %lld AND t = %lld LIMIT 1",
                      (long long)from, (long long)r->t->table->id) != DM_OK)
        return DM_FAIL;
    r->rewritten = r->rewritten || n > 0;
    return DM_OK;
}

static enum dm_status write_review(sqlite3 *db, struct review *r, const char *signature, struct dm_error *err)
{
    bool sql_moved = r->known && strcmp(r->old_sql, r->t->sql) != 0;
    if (sql_moved && !r->columns_moved && !r->renamed)
        r->rewritten = true; /* the same columns, but made anew */
    if (r->known && r->triggers_missing)
        r->rewritten = true;
    bool changed = r->mended || r->columns_moved || r->renamed || r->rewritten || sql_moved ||
                   r->images_moved || !r->known || strcmp(r->old_signature, signature) != 0;
    if (!changed)
        return DM_OK;
    r->mended = true;
    long long id = (long long)r->t->table->id;
    if (!r->known || r->rewritten || r->columns_moved || r->renamed) {
        if (note(db, r->t->table->id, r->known && r->rewritten ? DM_SQLITE_REWRITTEN : DM_SQLITE_SCHEMA,
                 err) != DM_OK)
            return DM_FAIL;
    }
    if (r->known && (r->images_moved || r->columns_moved) &&
        dm_sqlite_exec(db, err,
                       "UPDATE \"_datamirror_tables\" SET images_from = (SELECT max(seq) + 1 FROM "
                       "\"_datamirror_log\") WHERE id = %lld",
                       id) != DM_OK)
        return DM_FAIL;
    return dm_sqlite_exec(db, err,
                          "UPDATE \"_datamirror_tables\" SET name = %Q, state = 1, sql = %Q, signature = %Q, "
                          "seen = (SELECT max(seq) FROM"
                          " \"_datamirror_log\") WHERE id = %lld",
                          r->t->table->name, r->t->sql, signature, id);
}

static enum dm_status review_table(sqlite3 *db, struct dm_sqlite_table *t, dm_position since, bool *changed,
                                   struct dm_error *err)
{
    struct review r = {.t = t};
    enum dm_status status = DM_OK;
    if (t->table->id != 0)
        status = review_known(db, &r, err);
    if (status == DM_OK && !r.known) {
        status = dm_sqlite_exec(
            db, err,
            "INSERT INTO \"_datamirror_tables\"(name, state, images_from, seen) VALUES (%Q, 1, 0, 0)",
            t->table->name);
        t->table->id = (uint64_t)sqlite3_last_insert_rowid(db);
    }
    if (status == DM_OK)
        status = dm_capture_number_columns(db, t, &r.columns_moved, &r.rewritten, err);
    char *signature = dm_capture_signature(t);
    if (status == DM_OK)
        status = widen(db, &r, err);
    if (status == DM_OK)
        status = mend_triggers(db, &r, err);
    if (status == DM_OK)
        status = conflicts_unseen(db, &r, signature, since, err);
    if (status == DM_OK)
        status = write_review(db, &r, signature, err);
    *changed = *changed || r.mended;
    free(signature);
    free(r.old_sql);
    free(r.old_signature);
    if (status != DM_OK)
        dm_error_prefix(err, "table %s", t->table->name);
    return status;
}

static enum dm_status drop_triggers(sqlite3 *db, uint64_t id, struct dm_error *err)
{
    static const char *const kinds[] = {"insert",          "update",          "delete",
                                        "conflict_insert", "conflict_update", "columns"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (dm_sqlite_exec(db, err, "DROP TRIGGER IF EXISTS \"_datamirror_%lld_%s\"", (long long)id,
                           kinds[i]) != DM_OK)
            return DM_FAIL;
    return DM_OK;
}

/* Captured tables that are dropped, no longer selected, or lost their key. */
static enum dm_status retire(sqlite3 *db, const struct dm_sqlite_tables *set, bool *changed,
                             struct dm_error *err)
{
    sqlite3_stmt *row = NULL;
    if (dm_sqlite_prepare(
            db, &row, err,
            "SELECT id, (SELECT count(*) FROM sqlite_schema s WHERE s.type = 'table' AND s.name = m.name)"
            " FROM \"_datamirror_tables\" m WHERE state = 1") != DM_OK)
        return DM_FAIL;
    enum dm_status status;
    uint64_t *ids = NULL;
    bool *there = NULL;
    size_t n = 0;
    while ((status = dm_sqlite_step(row, err)) == DM_OK) {
        uint64_t id = (uint64_t)sqlite3_column_int64(row, 0);
        struct dm_sqlite_table *t = dm_sqlite_tables_find(set, id);
        if (t != NULL && t->table->problem == NULL)
            continue;
        ids = dm_xrealloc(ids, n + 1, sizeof *ids);
        there = dm_xrealloc(there, n + 1, sizeof *there);
        there[n] = t != NULL || sqlite3_column_int(row, 1) > 0;
        ids[n++] = id;
    }
    (void)sqlite3_finalize(row);
    for (size_t i = 0; status != DM_FAIL && i < n; i++) {
        *changed = true;
        status = drop_triggers(db, ids[i], err);
        if (status == DM_OK)
            status = note(db, ids[i], there[i] ? DM_SQLITE_SCHEMA : DM_SQLITE_DROPPED, err);
        if (status == DM_OK)
            status = dm_sqlite_exec(db, err, "UPDATE \"_datamirror_tables\" SET state = 0 WHERE id = %lld",
                                    (long long)ids[i]);
    }
    free(ids);
    free(there);
    return status == DM_FAIL ? DM_FAIL : DM_OK;
}

enum dm_status dm_sqlite_capture_sync_locked(sqlite3 *db, const struct dm_source_config *config,
                                             dm_position since, bool *changed, struct dm_error *err)
{
    struct dm_sqlite_tables set = {0};
    *changed = !dm_sqlite_capture_exists(db);
    if ((*changed ? create_capture(db, err) : mend_log(db, changed, err)) != DM_OK)
        return DM_FAIL;
    if (dm_sqlite_tables_load(db, config, &set, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = retire(db, &set, changed, err);
    for (size_t i = 0; status == DM_OK && i < set.n; i++)
        if (set.tables[i]->table->problem == NULL)
            status = review_table(db, set.tables[i], since, changed, err);
    dm_sqlite_tables_release(&set);
    return status;
}

enum dm_status dm_sqlite_capture_sync(sqlite3 *db, const struct dm_source_config *config, dm_position since,
                                      int64_t *schema_version, struct dm_error *err)
{
    bool changed = false;
    if (dm_sqlite_exec(db, err, "BEGIN IMMEDIATE") != DM_OK)
        return DM_FAIL;
    enum dm_status status = dm_sqlite_capture_sync_locked(db, config, since, &changed, err);
    if (status == DM_OK && schema_version != NULL)
        status = dm_sqlite_int(db, 0, schema_version, err, "PRAGMA schema_version");
    if (status == DM_OK)
        status = dm_sqlite_exec(db, err, changed ? "COMMIT" : "ROLLBACK");
    if (status != DM_OK)
        dm_sqlite_rollback(db);
    return status;
}

enum dm_status dm_sqlite_capture_forget(sqlite3 *db, struct dm_error *err)
{
    if (dm_sqlite_exec(db, err, "BEGIN IMMEDIATE") != DM_OK)
        return DM_FAIL;
    enum dm_status status = DM_OK;
    char *sql = NULL;
    do { /* one at a time: the schema changes under a running statement otherwise */
        sqlite3_stmt *row = NULL;
        free(sql);
        sql = NULL;
        status = dm_sqlite_prepare(
            db, &row, err,
            "SELECT 'DROP ' || type || ' \"' || replace(name, '\"', '\"\"') || '\"' FROM sqlite_schema"
            " WHERE name GLOB '_datamirror_*' AND type IN ('trigger', 'table') ORDER BY type = 'table' LIMIT "
            "1");
        if (status == DM_OK) {
            status = dm_sqlite_step(row, err);
            if (status == DM_OK)
                sql = dm_sqlite_text(row, 0);
            (void)sqlite3_finalize(row);
        }
        if (sql != NULL)
            status = dm_sqlite_exec(db, err, "%s", sql);
    } while (status == DM_OK);
    free(sql);
    if (status == DM_END)
        status = dm_sqlite_exec(db, err, "COMMIT");
    if (status != DM_OK)
        dm_sqlite_rollback(db);
    return status;
}
