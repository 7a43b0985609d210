#include "mirror/relationship/relationship_sql.h"

enum family {
    FAMILY_NONE,
    FAMILY_BOOL,
    FAMILY_EXACT, /* integers and decimals */
    FAMILY_FLOAT,
    FAMILY_DATE,
    FAMILY_TIME,
    FAMILY_TIMESTAMP,
    FAMILY_TIMESTAMPTZ,
    FAMILY_TEXT, /* texts and UUIDs */
    FAMILY_BINARY,
};

static enum family family_of(struct dm_type type)
{
    switch ((enum dm_type_id)type.id) {
    case DM_BOOL: return FAMILY_BOOL;
    case DM_INT32:
    case DM_INT64:
    case DM_DECIMAL: return FAMILY_EXACT;
    case DM_FLOAT32:
    case DM_FLOAT64: return FAMILY_FLOAT;
    case DM_DATE: return FAMILY_DATE;
    case DM_TIME: return FAMILY_TIME;
    case DM_TIMESTAMP:
    case DM_TIMESTAMP_NS: return FAMILY_TIMESTAMP;
    case DM_TIMESTAMPTZ: return FAMILY_TIMESTAMPTZ;
    case DM_STRING:
    case DM_UUID: return FAMILY_TEXT;
    case DM_BINARY: return FAMILY_BINARY;
    case DM_LIST: break;
    }
    return FAMILY_NONE;
}

bool dm_join_can_compare(struct dm_type a, struct dm_type b)
{
    enum family x = family_of(a), y = family_of(b);
    bool numbers = (x == FAMILY_EXACT || x == FAMILY_FLOAT) && (y == FAMILY_EXACT || y == FAMILY_FLOAT);
    bool moments = (x == FAMILY_DATE || x == FAMILY_TIMESTAMP) && (y == FAMILY_DATE || y == FAMILY_TIMESTAMP);
    return x != FAMILY_NONE && (x == y || numbers || moments);
}

/* A date or timestamp as a number: DuckDB would convert the other side to TIMESTAMP_NS, and fail outside the years 1677 to 2262. */
static enum dm_status in_nanoseconds(struct dm_buffer *sql, const char *alias, const char *name,
                                     struct dm_type type, struct dm_error *err)
{
    if (dm_buffer_printf(sql, err, "CASE WHEN isfinite(%s.%s) THEN ", alias, name) != DM_OK)
        return DM_FAIL;
    enum dm_status status =
        type.id == DM_TIMESTAMP_NS ? dm_buffer_printf(sql, err, "epoch_ns(%s.%s)::HUGEINT", alias, name)
        : type.id == DM_DATE
            ? dm_buffer_printf(sql, err, "(%s.%s - DATE 'epoch')::HUGEINT * 86400000000000", alias, name)
            : dm_buffer_printf(sql, err, "epoch_us(%s.%s)::HUGEINT * 1000", alias, name);
    if (status != DM_OK)
        return status;
    return dm_buffer_printf(
        sql, err, " WHEN %s.%s > 'epoch' THEN 1e30::HUGEINT WHEN %s.%s < 'epoch' THEN -1e30::HUGEINT END",
        alias, name, alias, name);
}

/* Column `name` of `alias`, of type `type`, in the form in which it is compared with one of type `other`. */
static enum dm_status comparable(struct dm_buffer *sql, const char *alias, const char *name,
                                 struct dm_type type, struct dm_type other, struct dm_error *err)
{
    bool decimal = type.id == DM_DECIMAL || other.id == DM_DECIMAL;
    bool exact = family_of(type) == FAMILY_EXACT && family_of(other) == FAMILY_EXACT;
    if (decimal && exact && !dm_type_equal(type, other)) {
        /* By value; a number that this form cannot hold equals none of the other side's that it can. */
        unsigned scale = type.scale > other.scale ? type.scale : other.scale;
        return dm_buffer_printf(sql, err, "TRY_CAST(%s.%s AS DECIMAL(38, %u))", alias, name, scale);
    }
    if (type.id != other.id && (type.id == DM_TIMESTAMP_NS || other.id == DM_TIMESTAMP_NS))
        return in_nanoseconds(sql, alias, name, type, err);
    if (type.id != other.id && type.id == DM_UUID)
        return dm_buffer_printf(sql, err, "%s.%s::VARCHAR", alias, name);
    if (type.id != other.id && type.id == DM_STRING)
        return dm_buffer_printf(sql, err, "lower(%s.%s)", alias, name);
    return dm_buffer_printf(sql, err, "%s.%s", alias, name);
}

static enum dm_status child_value(struct dm_buffer *sql, const struct dm_join *j, size_t i, const char *alias,
                                  struct dm_error *err)
{
    const struct dm_join_column *c = &j->columns[i];
    return comparable(sql, alias, c->child, c->child_type, c->parent_type, err);
}

static enum dm_status parent_value(struct dm_buffer *sql, const struct dm_join *j, size_t i,
                                   const char *alias, struct dm_error *err)
{
    const struct dm_join_column *c = &j->columns[i];
    return comparable(sql, alias, c->parent, c->parent_type, c->child_type, err);
}

enum dm_status dm_join_condition(struct dm_buffer *sql, const struct dm_join *j, const char *child,
                                 const char *parent, struct dm_error *err)
{
    for (size_t i = 0; i < j->n; i++) {
        if ((i > 0 && dm_buffer_printf(sql, err, " AND ") != DM_OK) ||
            child_value(sql, j, i, child, err) != DM_OK || dm_buffer_printf(sql, err, " = ") != DM_OK ||
            parent_value(sql, j, i, parent, err) != DM_OK)
            return DM_FAIL;
    }
    return DM_OK;
}

/* "(c.x IS NULL OR c.y IS NULL)" */
static enum dm_status any_null(struct dm_buffer *sql, const struct dm_join *j, bool child, const char *alias,
                               struct dm_error *err)
{
    enum dm_status status = dm_buffer_printf(sql, err, "(");
    for (size_t i = 0; i < j->n && status == DM_OK; i++)
        status = dm_buffer_printf(sql, err, "%s%s.%s IS NULL", i > 0 ? " OR " : "", alias,
                                  child ? j->columns[i].child : j->columns[i].parent);
    return status == DM_OK ? dm_buffer_printf(sql, err, ")") : status;
}

/* The plain columns: "c.x, c.y" */
static enum dm_status columns(struct dm_buffer *sql, const struct dm_join *j, bool child, const char *alias,
                              struct dm_error *err)
{
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < j->n && status == DM_OK; i++)
        status = dm_buffer_printf(sql, err, "%s%s.%s", i > 0 ? ", " : "", alias,
                                  child ? j->columns[i].child : j->columns[i].parent);
    return status;
}

/* The parents' values as k0, k1, … in the compared form, each combination once. */
static enum dm_status parent_keys(struct dm_buffer *sql, const struct dm_join *j, struct dm_error *err)
{
    enum dm_status status = dm_buffer_printf(sql, err, "(SELECT %s", j->parent_unique ? "" : "DISTINCT ");
    for (size_t i = 0; i < j->n && status == DM_OK; i++) {
        status = parent_value(sql, j, i, "q", err);
        if (status == DM_OK)
            status = dm_buffer_printf(sql, err, " AS k%zu, ", i);
    }
    return status == DM_OK ? dm_buffer_printf(sql, err, "true AS hit FROM %s q)", j->parent) : status;
}

/* "c LEFT JOIN (parents) p ON …": p.hit is null where there is no parent. */
static enum dm_status children_and_parents(struct dm_buffer *sql, const struct dm_join *j,
                                           struct dm_error *err)
{
    if (dm_buffer_printf(sql, err, " FROM %s c LEFT JOIN ", j->child) != DM_OK ||
        parent_keys(sql, j, err) != DM_OK || dm_buffer_printf(sql, err, " p ON ") != DM_OK)
        return DM_FAIL;
    enum dm_status status = DM_OK;
    for (size_t i = 0; i < j->n && status == DM_OK; i++) {
        status = i > 0 ? dm_buffer_printf(sql, err, " AND ") : DM_OK;
        if (status == DM_OK)
            status = child_value(sql, j, i, "c", err);
        if (status == DM_OK)
            status = dm_buffer_printf(sql, err, " = p.k%zu", i);
    }
    return status;
}

enum dm_status dm_join_sql_children(struct dm_buffer *sql, const struct dm_join *j, struct dm_error *err)
{
    if (dm_buffer_printf(sql, err, "SELECT count(*), count(*) FILTER (WHERE ") != DM_OK ||
        any_null(sql, j, true, "c", err) != DM_OK ||
        dm_buffer_printf(sql, err, "), count(*) FILTER (WHERE p.hit IS NULL AND NOT ") != DM_OK ||
        any_null(sql, j, true, "c", err) != DM_OK || dm_buffer_printf(sql, err, ")") != DM_OK)
        return DM_FAIL;
    return children_and_parents(sql, j, err);
}

/* "SELECT x, y, count(*) AS n FROM … t WHERE NOT (null) GROUP BY ALL HAVING count(*) > 1" */
static enum dm_status repeated(struct dm_buffer *sql, const struct dm_join *j, bool child,
                               struct dm_error *err)
{
    if (dm_buffer_printf(sql, err, "SELECT ") != DM_OK || columns(sql, j, child, "t", err) != DM_OK ||
        dm_buffer_printf(sql, err, ", count(*) AS n FROM %s t WHERE NOT ", child ? j->child : j->parent) !=
            DM_OK ||
        any_null(sql, j, child, "t", err) != DM_OK)
        return DM_FAIL;
    return dm_buffer_printf(sql, err, " GROUP BY ALL HAVING count(*) > 1");
}

static enum dm_status repeated_counts(struct dm_buffer *sql, const struct dm_join *j, bool child,
                                      struct dm_error *err)
{
    if (dm_buffer_printf(sql, err, "SELECT count(*), coalesce(sum(r.n), 0)::BIGINT FROM (") != DM_OK ||
        repeated(sql, j, child, err) != DM_OK)
        return DM_FAIL;
    return dm_buffer_printf(sql, err, ") r");
}

static enum dm_status repeated_samples(struct dm_buffer *sql, const struct dm_join *j, bool child,
                                       size_t limit, struct dm_error *err)
{
    if (repeated(sql, j, child, err) != DM_OK)
        return DM_FAIL;
    return dm_buffer_printf(sql, err, " ORDER BY ALL LIMIT %zu", limit);
}

enum dm_status dm_join_sql_crowded(struct dm_buffer *sql, const struct dm_join *j, struct dm_error *err)
{
    return repeated_counts(sql, j, true, err);
}

enum dm_status dm_join_sql_ambiguous(struct dm_buffer *sql, const struct dm_join *j, struct dm_error *err)
{
    return repeated_counts(sql, j, false, err);
}

enum dm_status dm_join_sql_crowded_samples(struct dm_buffer *sql, const struct dm_join *j, size_t limit,
                                           struct dm_error *err)
{
    return repeated_samples(sql, j, true, limit, err);
}

enum dm_status dm_join_sql_ambiguous_samples(struct dm_buffer *sql, const struct dm_join *j, size_t limit,
                                             struct dm_error *err)
{
    return repeated_samples(sql, j, false, limit, err);
}

/* " FROM parents q ANTI JOIN children c ON …" */
static enum dm_status parents_alone(struct dm_buffer *sql, const struct dm_join *j, struct dm_error *err)
{
    if (dm_buffer_printf(sql, err, " FROM %s q ANTI JOIN %s c ON ", j->parent, j->child) != DM_OK)
        return DM_FAIL;
    return dm_join_condition(sql, j, "c", "q", err);
}

enum dm_status dm_join_sql_childless(struct dm_buffer *sql, const struct dm_join *j, struct dm_error *err)
{
    return dm_buffer_printf(sql, err, "SELECT count(*)") == DM_OK ? parents_alone(sql, j, err) : DM_FAIL;
}

enum dm_status dm_join_sql_childless_samples(struct dm_buffer *sql, const struct dm_join *j, size_t limit,
                                             struct dm_error *err)
{
    if (dm_buffer_printf(sql, err, "SELECT ") != DM_OK || columns(sql, j, false, "q", err) != DM_OK ||
        parents_alone(sql, j, err) != DM_OK)
        return DM_FAIL;
    return dm_buffer_printf(sql, err, " ORDER BY ALL LIMIT %zu", limit);
}

/* "SELECT c.key…, c.reference…" */
static enum dm_status select_children(struct dm_buffer *sql, const struct dm_join *j, struct dm_error *err)
{
    enum dm_status status = dm_buffer_printf(sql, err, "SELECT ");
    for (size_t i = 0; i < j->n_key && status == DM_OK; i++)
        status = dm_buffer_printf(sql, err, "c.%s, ", j->key[i]);
    return status == DM_OK ? columns(sql, j, true, "c", err) : status;
}

enum dm_status dm_join_sql_orphan_samples(struct dm_buffer *sql, const struct dm_join *j, size_t limit,
                                          struct dm_error *err)
{
    if (select_children(sql, j, err) != DM_OK || children_and_parents(sql, j, err) != DM_OK ||
        dm_buffer_printf(sql, err, " WHERE p.hit IS NULL AND NOT ") != DM_OK ||
        any_null(sql, j, true, "c", err) != DM_OK)
        return DM_FAIL;
    return dm_buffer_printf(sql, err, " ORDER BY ALL LIMIT %zu", limit);
}

enum dm_status dm_join_sql_null_samples(struct dm_buffer *sql, const struct dm_join *j, size_t limit,
                                        struct dm_error *err)
{
    if (select_children(sql, j, err) != DM_OK ||
        dm_buffer_printf(sql, err, " FROM %s c WHERE ", j->child) != DM_OK ||
        any_null(sql, j, true, "c", err) != DM_OK)
        return DM_FAIL;
    return dm_buffer_printf(sql, err, " ORDER BY ALL LIMIT %zu", limit);
}
