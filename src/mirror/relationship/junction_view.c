#include "mirror/relationship/junction_view.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/memory.h"
#include "engine/field_names.h"
#include "mirror/relationship/junction.h"
#include "mirror/relationship/relationship_sql.h"
#include "registry/registry.h"

enum { VIEW_TEXT_MAX = 1 << 20 };

/* One of the three tables. */
struct side {
    const struct dm_dataset *dataset;
    char *relation; /* SQL: "school"."students" */
    char **names;   /* of its columns in the session */
    char *prefix;
};

struct view {
    const struct dm_junction *junction;
    struct side middle, left, right;
    struct dm_names columns; /* given so far */
    struct dm_buffer sql;
};

static void side_release(struct side *s)
{
    if (s->dataset != NULL)
        dm_field_names_free(s->names, s->dataset->schema->n_fields);
    free(s->relation);
    free(s->prefix);
}

/* Appends "text" with quotes doubled. */
static enum dm_status quoted(struct dm_buffer *sql, const char *text, struct dm_error *err)
{
    enum dm_status status = dm_buffer_append_byte(sql, '"', err);
    for (const char *c = text; *c != '\0' && status == DM_OK; c++) {
        status = *c == '"' ? dm_buffer_append_byte(sql, '"', err) : DM_OK;
        if (status == DM_OK)
            status = dm_buffer_append_byte(sql, (uint8_t)*c, err);
    }
    return status == DM_OK ? dm_buffer_append_byte(sql, '"', err) : status;
}

static char *quoted_copy(const char *text, struct dm_error *err)
{
    struct dm_buffer b;
    dm_buffer_init(&b, VIEW_TEXT_MAX);
    char *copy = NULL;
    if (quoted(&b, text, err) == DM_OK && dm_buffer_text(&b) != NULL)
        copy = dm_xstrdup((const char *)b.data);
    dm_buffer_release(&b);
    return copy;
}

/* DM_END: the dataset is not in the session. */
static enum dm_status open_side(struct dm_lake *lake, struct dm_sql *sql,
                                const struct dm_relational_schema *s, struct side *out, struct dm_error *err)
{
    char *namespace, *table;
    dm_relational_schema_split(s->name, &namespace, &table);
    enum dm_status status = dm_lake_dataset(lake, namespace, table, &out->dataset, err);
    const char *view = dm_sql_view_of(sql, namespace, table);
    if (status == DM_OK && (out->dataset == NULL || view == NULL))
        status = DM_END;
    if (status == DM_OK) {
        struct dm_buffer relation;
        dm_buffer_init(&relation, VIEW_TEXT_MAX);
        if (quoted(&relation, namespace, err) != DM_OK ||
            dm_buffer_append_byte(&relation, '.', err) != DM_OK || quoted(&relation, view, err) != DM_OK ||
            dm_buffer_text(&relation) == NULL)
            status = DM_FAIL;
        else
            out->relation = dm_xstrdup((const char *)relation.data);
        dm_buffer_release(&relation);
        out->names = dm_field_names_new(out->dataset->schema);
        out->prefix = dm_xstrdup(table);
    }
    free(namespace);
    free(table);
    return status;
}

/* Both parents are one table: "follower_id" tells them apart as "follower". */
static void prefix_by_column(struct side *side, const struct dm_relationship *r)
{
    free(side->prefix);
    side->prefix = dm_xstrdup(r->columns.items[0]);
    size_t n = strlen(side->prefix);
    if (n > 3 && strcasecmp(side->prefix + n - 3, "_id") == 0)
        side->prefix[n - 3] = '\0';
}

static bool name_is_taken(const struct dm_names *names, const char *name)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcasecmp(names->items[i], name) == 0)
            return true;
    return false;
}

/* alias."column" AS "prefix_column" */
static enum dm_status give_column(struct view *v, const char *alias, const char *column, const char *prefix,
                                  struct dm_error *err)
{
    char *wanted = prefix != NULL ? dm_xasprintf("%s_%s", prefix, column) : dm_xstrdup(column);
    char *name = dm_xstrdup(wanted);
    for (unsigned next = 2; name_is_taken(&v->columns, name); next++) {
        free(name);
        name = dm_xasprintf("%s_%u", wanted, next);
    }
    enum dm_status status =
        dm_buffer_printf(&v->sql, err, "%s%s.", v->columns.n > 0 ? ", " : "SELECT ", alias);
    if (status == DM_OK)
        status = quoted(&v->sql, column, err);
    if (status == DM_OK)
        status = dm_buffer_printf(&v->sql, err, " AS ");
    if (status == DM_OK)
        status = quoted(&v->sql, name, err);
    dm_names_add(&v->columns, name);
    free(wanted);
    free(name);
    return status;
}

static enum dm_status give_parent(struct view *v, const char *alias, const struct side *side,
                                  struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < side->dataset->schema->n_fields && status == DM_OK; i++)
        status = give_column(v, alias, side->names[i], side->prefix, err);
    return status;
}

/* " JOIN parent AS alias ON …"; DM_END: the columns cannot be joined. */
static enum dm_status join_parent(struct view *v, const char *alias, const struct side *side,
                                  const struct dm_relationship *r, const struct dm_relational_schema *parent,
                                  struct dm_error *err)
{
    const struct dm_names *targets = r->target_columns.n > 0 ? &r->target_columns : &parent->key;
    const struct dm_schema *child = v->middle.dataset->schema, *other = side->dataset->schema;
    if (targets->n != r->columns.n)
        return DM_END;
    struct dm_join_column *columns = dm_xzalloc(r->columns.n, sizeof *columns);
    char **texts = dm_xzalloc(2 * r->columns.n, sizeof *texts);
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < r->columns.n && status == DM_OK; i++) {
        int a = dm_schema_find(child, r->columns.items[i]), b = dm_schema_find(other, targets->items[i]);
        if (a < 0 || b < 0 || !dm_join_can_compare(child->fields[a].type, other->fields[b].type)) {
            status = DM_END;
            continue;
        }
        texts[2 * i] = quoted_copy(v->middle.names[a], err);
        texts[2 * i + 1] = quoted_copy(side->names[b], err);
        if (texts[2 * i] == NULL || texts[2 * i + 1] == NULL)
            status = DM_FAIL;
        columns[i] = (struct dm_join_column){.child = texts[2 * i],
                                             .parent = texts[2 * i + 1],
                                             .child_type = child->fields[a].type,
                                             .parent_type = other->fields[b].type};
    }
    struct dm_join join = {.n = r->columns.n, .columns = columns};
    if (status == DM_OK)
        status = dm_buffer_printf(&v->sql, err, " JOIN %s AS %s ON ", side->relation, alias);
    if (status == DM_OK)
        status = dm_join_condition(&v->sql, &join, "j", alias, err);
    for (size_t i = 0; i < 2 * r->columns.n; i++)
        free(texts[i]);
    free(texts);
    free(columns);
    return status;
}

static enum dm_status write_select(struct view *v, struct dm_error *err)
{
    const struct dm_junction *j = v->junction;
    if (strcasecmp(v->left.prefix, v->right.prefix) == 0) {
        prefix_by_column(&v->left, j->left);
        prefix_by_column(&v->right, j->right);
    }
    if (give_parent(v, "l", &v->left, err) != DM_OK || give_parent(v, "r", &v->right, err) != DM_OK)
        return DM_FAIL;
    const struct dm_schema *s = v->middle.dataset->schema;
    for (size_t i = 0; i < s->n_fields; i++)
        if (dm_names_find(&j->schema->key, s->fields[i].name) < 0 &&
            give_column(v, "j", v->middle.names[i], NULL, err) != DM_OK)
            return DM_FAIL;
    if (dm_buffer_printf(&v->sql, err, " FROM %s AS j", v->middle.relation) != DM_OK)
        return DM_FAIL;
    enum dm_status status = join_parent(v, "l", &v->left, j->left, j->left_parent, err);
    if (status == DM_OK)
        status = join_parent(v, "r", &v->right, j->right, j->right_parent, err);
    return status;
}

static enum dm_status add_view(struct dm_lake *lake, struct dm_sql *sql, const struct dm_junction *j,
                               struct dm_error *err)
{
    struct view v = {.junction = j};
    dm_buffer_init(&v.sql, VIEW_TEXT_MAX);
    enum dm_status status = open_side(lake, sql, j->schema, &v.middle, err);
    if (status == DM_OK)
        status = open_side(lake, sql, j->left_parent, &v.left, err);
    if (status == DM_OK)
        status = open_side(lake, sql, j->right_parent, &v.right, err);
    if (status == DM_OK)
        status = write_select(&v, err);
    const char *select = status == DM_OK ? dm_buffer_text(&v.sql) : NULL;
    if (select != NULL) {
        char *namespace, *table;
        dm_relational_schema_split(j->schema->name, &namespace, &table);
        status = dm_sql_add_view(sql, namespace, j->view, select, err);
        free(namespace);
        free(table);
    }
    side_release(&v.middle);
    side_release(&v.left);
    side_release(&v.right);
    dm_names_release(&v.columns);
    dm_buffer_release(&v.sql);
    return status == DM_END ? DM_OK : status;
}

enum dm_status dm_junction_views_add(void *ctx, struct dm_sql *sql, struct dm_error *err)
{
    struct dm_lake *lake = ctx;
    struct dm_relational_schemas all = {0};
    if (dm_registry_list(dm_lake_sqlite(lake), &all, err) != DM_OK)
        return DM_FAIL;
    struct dm_junctions junctions;
    dm_junctions_find(&all, &junctions);
    for (size_t i = 0; i < junctions.n; i++) {
        struct dm_error ignored = {0}; /* the datasets can be queried without it */
        if (add_view(lake, sql, &junctions.items[i], &ignored) != DM_OK)
            dm_log(DM_LOG_DEBUG, "no view of %s: %s", junctions.items[i].schema->name, ignored.message);
    }
    dm_junctions_release(&junctions);
    dm_relational_schemas_release(&all);
    return DM_OK;
}
