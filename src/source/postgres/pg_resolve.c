/* Relation messages with the help of the catalog: attribute numbers, codecs, key, defaults. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "source/postgres/pg_charset.h"
#include "source/postgres/pg_control.h"
#include "source/postgres/pg_leaves.h"
#include "source/postgres/pg_source.h"

/* Transaction ids wrap around; the first three are older than everything. */
static bool younger(uint32_t xid, uint32_t than)
{
    return xid >= 3 && than >= 3 && (int32_t)(xid - than) > 0;
}

/* The column's name and type before: as the previous message had them, else as the catalog was when the stream
 * began. */
static void remember(struct pg_attribute *a, const struct pg_relation *previous, const struct pg_table *known)
{
    for (size_t f = 0; previous != NULL && f < previous->table->columns->n_fields; f++) {
        if (previous->table->columns->fields[f].source_ref != a->attnum)
            continue;
        a->name_before = previous->table->columns->fields[f].name;
        a->type_before = previous->message.columns[previous->source[f]].type;
    }
    const struct pg_column *column =
        previous == NULL && known != NULL ? pg_table_column(known, a->attnum) : NULL;
    if (column != NULL) {
        a->name_before = column->name;
        a->type_before = column->type;
    }
}

/* All attributes by number, dropped ones too. */
static enum dm_status read_attributes(struct pg_control *c, const struct pg_relation_message *m,
                                      const struct pg_relation *previous, PGresult **rows,
                                      struct pg_attribute **out, size_t *n, struct dm_error *err)
{
    if (pg_query(c->conn, rows, err,
                 "SELECT attnum, attname, atttypid, attisdropped, xmin FROM pg_attribute WHERE attrelid = %u "
                 "AND attnum > 0"
                 " AND attgenerated = '' ORDER BY attnum",
                 m->oid) != DM_OK)
        return DM_FAIL;
    const struct pg_table *known = pg_control_known(c, m->oid)->catalog;
    *n = (size_t)PQntuples(*rows);
    *out = dm_xzalloc(*n + 1, sizeof **out);
    for (size_t i = 0; i < *n; i++) {
        struct pg_attribute *a = &(*out)[i];
        a->attnum = (int32_t)pg_cell_int(*rows, (int)i, 0);
        a->type_now = (uint32_t)pg_cell_int(*rows, (int)i, 2);
        if (!pg_cell_bool(*rows, (int)i, 3))
            a->name_now = pg_cell(*rows, (int)i, 1);
        a->changed_since = younger((uint32_t)pg_cell_int(*rows, (int)i, 4), m->xid);
        remember(a, previous, known);
    }
    return DM_OK;
}

/* Without a catalog entry (dropped since): as before by name, else by place. */
static void place_without_catalog(const struct pg_relation_message *m, const struct pg_relation *previous,
                                  int32_t *attnums)
{
    for (size_t i = 0; i < m->n; i++) {
        int field = previous != NULL ? dm_schema_find(previous->table->columns, m->columns[i].name) : -1;
        attnums[i] = field >= 0 ? previous->table->columns->fields[field].source_ref : (int32_t)i + 1;
    }
}

static enum dm_status spell_type(struct pg_control *c, const struct pg_message_column *column, char **out,
                                 struct dm_error *err)
{
    PGresult *rows;
    if (pg_query(c->conn, &rows, err, "SELECT format_type(%u, %d)", column->type, column->modifier) != DM_OK)
        return DM_FAIL;
    *out = pg_charset_name(&pg_charset_ascii, pg_cell(rows, 0, 0));
    PQclear(rows);
    return DM_OK;
}

static enum dm_status add_field(struct pg_control *c, const struct dm_table_config *config,
                                const struct pg_message_column *column, int32_t attnum, uint32_t index,
                                const struct pg_table *now, struct pg_relation *out, struct dm_error *err)
{
    struct dm_type decimal;
    bool configured = pg_configured_decimal(config, column->name, &decimal);
    struct pg_codec codec;
    char *spelled = NULL;
    if (pg_type_map(&c->types, c->conn, column->type, column->modifier, configured ? &decimal : NULL, &codec,
                    err) != DM_OK ||
        spell_type(c, column, &spelled, err) != DM_OK)
        return DM_FAIL;
    struct dm_schema *columns = out->table->columns;
    struct dm_field *f = dm_schema_add(columns, column->name, codec.type);
    f->source_ref = attnum;
    f->source_type = spelled;
    out->codecs[columns->n_fields - 1] = codec;
    out->source[columns->n_fields - 1] = index;
    /* the default that older rows show is the catalog's to say, for the same column of the same type */
    const struct pg_column *known = now != NULL ? pg_table_column(now, attnum) : NULL;
    int field = known != NULL && known->mirrored && known->type == column->type
                    ? dm_schema_find(now->table->columns, known->name)
                    : -1;
    if (field >= 0) {
        f->default_json = dm_xstrdup(now->table->columns->fields[field].default_json);
        f->filled = now->table->columns->fields[field].filled;
    }
    return DM_OK;
}

static int field_of_attnum(const struct dm_schema *columns, int32_t attnum)
{
    for (size_t i = 0; i < columns->n_fields; i++)
        if (columns->fields[i].source_ref == attnum)
            return (int)i;
    return -1;
}

/* A message says which columns old rows carry from here on. The catalog may be further than the stream: its key is the one of these rows only if
 * they carry it. */
static bool carried(const struct pg_relation_message *m, const struct pg_relation *rel, int field)
{
    return field >= 0 && (m->identity == 'f' || m->columns[rel->source[field]].identity);
}

/* The catalog's key when the message has all of it, else the columns that the message marks. */
static void add_keys(const struct pg_relation_message *m, const struct pg_table *now,
                     const struct pg_relation *previous, struct pg_relation *out)
{
    struct dm_schema *columns = out->table->columns;
    if (out->table->append_only)
        return;
    bool complete = now != NULL && now->n_keys > 0;
    for (size_t i = 0; complete && i < now->n_keys; i++)
        complete = carried(m, out, field_of_attnum(columns, now->keys[i]));
    if (complete) {
        for (size_t i = 0; i < now->n_keys; i++)
            dm_schema_add_key(columns, (uint32_t)field_of_attnum(columns, now->keys[i]));
    } else if (m->identity != 'f') {
        for (size_t f = 0; f < columns->n_fields; f++)
            if (m->columns[out->source[f]].identity)
                dm_schema_add_key(columns, (uint32_t)f);
    } else if (previous != NULL) {
        const struct dm_schema *old = previous->table->columns;
        for (size_t i = 0; i < old->n_keys; i++) {
            int f = field_of_attnum(columns, old->fields[old->keys[i]].source_ref);
            if (f >= 0)
                dm_schema_add_key(columns, (uint32_t)f);
        }
    }
    for (size_t i = 0; i < columns->n_keys; i++)
        columns->fields[columns->keys[i]].required = true;
}

static enum dm_status make_table(struct pg_control *c, const struct pg_relation_message *m,
                                 const int32_t *attnums, const struct pg_table *now,
                                 const struct pg_relation *previous, struct pg_relation *out,
                                 struct dm_error *err)
{
    /* a table renamed out of its glob keeps the settings it had */
    const struct dm_table_config *config = dm_config_table(c->source->config, m->schema, m->name);
    if (config == NULL && now != NULL)
        config = now->config;
    out->table = dm_table_new(m->schema, m->name);
    out->table->id = m->oid;
    out->table->default_namespace = strcmp(m->schema, "public") == 0;
    out->table->append_only =
        config != NULL ? config->append_only : previous != NULL && previous->table->append_only;
    out->codecs = dm_xzalloc(m->n + 1, sizeof *out->codecs);
    out->source = dm_xzalloc(m->n + 1, sizeof *out->source);
    for (size_t i = 0; i < m->n; i++)
        if (pg_column_wanted(config, m->columns[i].name) &&
            add_field(c, config, &m->columns[i], attnums[i], (uint32_t)i, now, out, err) != DM_OK)
            return DM_FAIL;
    add_keys(m, now, previous, out);
    out->table->rekeyable = m->identity == 'd' || m->identity == 'i';
    if (out->table->columns->n_keys == 0 && !out->table->append_only) {
        out->table->problem = dm_xstrdup("has no primary key");
        out->table->hint =
            dm_xstrdup("give it a primary key, REPLICA IDENTITY USING INDEX, key: or append_only: true");
    }
    if (now != NULL) {
        out->table->estimated_rows = now->table->estimated_rows;
        out->table->estimated_bytes = now->table->estimated_bytes;
    }
    return DM_OK;
}

static enum dm_status align(struct pg_control *c, const struct pg_relation_message *m,
                            const struct pg_relation *previous, int32_t *attnums, bool *guessed,
                            struct dm_error *err)
{
    PGresult *rows;
    struct pg_attribute *attributes;
    size_t n;
    if (read_attributes(c, m, previous, &rows, &attributes, &n, err) != DM_OK)
        return DM_FAIL;
    enum dm_status status = DM_OK;
    if (n == 0)
        place_without_catalog(m, previous, attnums);
    else if (!pg_align(m->columns, m->n, attributes, n, m->uncommitted, attnums))
        status = dm_fail(err, DM_ERROR_TRANSIENT, NULL, "%s.%s has fewer columns than the stream says",
                         m->schema, m->name);
    *guessed = status == DM_OK && n > 0 && pg_align_guessed(m->columns, m->n, attributes, n, attnums);
    free(attributes);
    PQclear(rows);
    return status;
}

/* Without a key at that moment (between the DROP and the ADD of one, say), two rows may have come with one key. */
static bool keyless(const struct pg_relation_message *m, const struct dm_table *t)
{
    bool any = m->identity == 'f' || t->append_only;
    for (size_t i = 0; i < m->n; i++)
        any = any || m->columns[i].identity;
    return !any;
}

static bool as_in_catalog(const struct pg_relation_message *m, const struct pg_table *now)
{
    size_t n = 0;
    for (size_t i = 0; now != NULL && i < now->n_columns; i++) {
        const struct pg_column *c = &now->columns[i];
        if (c->generated || (now->column_list && !c->mirrored))
            continue; /* not in the stream */
        if (n == m->n || strcmp(m->columns[n].name, c->name) != 0 || m->columns[n].type != c->type ||
            m->columns[n].modifier != c->modifier)
            return false;
        n++;
    }
    return now != NULL && n == m->n;
}

/* What a transaction in progress changed itself the catalog does not show: which columns its own are, and what older rows hold in them.
 * From its first difference on, every column may be another one than it seems. */
static bool own_columns(const struct pg_relation_message *m, const struct pg_relation *previous,
                        const struct pg_table *now)
{
    return m->uncommitted && (!as_in_catalog(m, now) || (previous != NULL && previous->message.uncommitted &&
                                                         previous->table->uncertain));
}

/* What of a root comes from a partition holds the old row's columns by the partition's identity as it was when the row was written, and only the message
 * before it says which that was: it may be mended by now. */
static enum dm_status judge_leaf(struct pg_control *c, const struct pg_relation_message *m,
                                 struct dm_error *err)
{
    struct pg_known *root = NULL;
    bool roots = false;
    for (size_t i = 0; i < c->n_known; i++)
        roots = roots || (c->known[i].catalog != NULL && c->known[i].catalog->kind == 'p');
    if (!roots || !c->source->config->publish_via_root)
        return DM_OK;
    PGresult *rows;
    if (pg_query(c->conn, &rows, err, "SELECT pg_partition_root(%u)::oid", m->oid) != DM_OK)
        return DM_FAIL;
    const uint32_t oid = PQgetisnull(rows, 0, 0) ? 0 : (uint32_t)pg_cell_int(rows, 0, 0);
    PQclear(rows);
    for (size_t i = 0; i < c->n_known && oid != m->oid; i++)
        if (c->known[i].oid == oid && c->known[i].catalog != NULL)
            root = &c->known[i];
    if (root == NULL || !pg_leaf_lacks_key(m, root->catalog))
        return DM_OK;
    root->rewritten = root->pending = c->any_pending = true;
    root->told_version = pg_control_told_version(c, root->oid);
    return pg_control_end(c, &root->at, err);
}

enum dm_status pg_control_resolve(void *ctx, const struct pg_relation_message *m,
                                  const struct pg_relation *previous, struct pg_relation *out,
                                  struct dm_error *err)
{
    struct pg_control *c = ctx;
    struct pg_table *now = NULL;
    if (pg_control_settle(c, err) != DM_OK || judge_leaf(c, m, err) != DM_OK ||
        pg_control_look(c, m->oid, &now, err) != DM_OK)
        return DM_FAIL;
    int32_t *attnums = dm_xzalloc(m->n + 1, sizeof *attnums);
    bool guessed = false;
    const struct pg_relation *trusted = previous != NULL && !previous->table->uncertain ? previous : NULL;
    enum dm_status status = align(c, m, trusted, attnums, &guessed, err);
    if (status == DM_OK)
        status = make_table(c, m, attnums, now, previous, out, err);
    free(attnums);
    if (status != DM_OK) {
        pg_table_free(now);
        return status;
    }
    /* A wrong guess would come out with a later message, as a column that goes and another one that comes, without its values. */
    out->table->uncertain = guessed || keyless(m, out->table) || own_columns(m, previous, now) ||
                            (now != NULL && pg_made_again(out->table, now->table));
    if (now == NULL || m->uncommitted) {
        pg_table_free(now);
        return DM_OK;
    }
    /* The look may show what the stream has not reached yet: the sink hears of it when it has. */
    struct pg_known *known = pg_control_known(c, m->oid);
    out->table->rewritten = known->catalog != NULL && pg_table_rewritten(known->catalog, now);
    pg_table_free(known->catalog);
    known->catalog = now;
    known->told_version = pg_control_told_version(c, m->oid);
    known->pending = c->any_pending = true;
    return pg_control_end(c, &known->at, err);
}
