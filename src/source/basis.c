/* The list of what a table rests on, and the one comparison.
 *
 * Most members have the plain rule: another value has the member's effect. The others are the functions below, which see both bases whole, since
 * some facts only mean something together (a type's change rewrote the rows if the storage is new as well).
 */
#include "source/basis.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct comparison {
    const struct dm_basis *stored, *present;
    const struct dm_basis_look *look;
};
/* was NULL: the stored basis has no such fact. */
typedef enum dm_basis_effect (*judge_fn)(const struct comparison *c, const struct dm_basis_fact *was,
                                         const struct dm_basis_fact *is);

static bool has(const struct dm_basis *b, enum dm_basis_member member)
{
    for (size_t i = 0; i < b->n; i++)
        if (b->facts[i].member == member)
            return true;
    return false;
}

static bool differs(const struct comparison *c, enum dm_basis_member member)
{
    const char *was = dm_basis_get(c->stored, member, NULL), *is = dm_basis_get(c->present, member, NULL);
    return was != NULL && is != NULL && strcmp(was, is) != 0;
}

/* ---- rules of their own ---- */

/* "1@23456,2": the number of the present timeline stands last. */
static unsigned long present_timeline(const char *history)
{
    const char *last = strrchr(history, ',');
    return strtoul(last != NULL ? last + 1 : history, NULL, 10);
}

/* A server that was promoted has the log of the one before up to where the timelines part; the lake must not have come further. */
static enum dm_basis_effect judge_timeline(const struct comparison *c, const struct dm_basis_fact *was,
                                           const struct dm_basis_fact *is)
{
    if (was == NULL)
        return DM_BASIS_NOTHING;
    unsigned long lake = present_timeline(was->value);
    for (const char *at = is->value; *at != '\0';) {
        char *end;
        unsigned long timeline = strtoul(at, &end, 10);
        if (timeline == lake)
            return *end != '@' || strtoull(end + 1, NULL, 10) >= c->look->at ? DM_BASIS_NOTHING
                                                                             : DM_BASIS_STOP;
        end += strcspn(end, ",");
        at = *end == ',' ? end + 1 : end;
    }
    return DM_BASIS_STOP;
}

static enum dm_basis_effect judge_log_end(const struct comparison *c, const struct dm_basis_fact *was,
                                          const struct dm_basis_fact *is)
{
    (void)was;
    return strtoull(is->value, NULL, 10) < c->look->at ? DM_BASIS_STOP : DM_BASIS_NOTHING;
}

static enum dm_basis_effect judge_slot(const struct comparison *c, const struct dm_basis_fact *was,
                                       const struct dm_basis_fact *is)
{
    (void)was;
    return c->look->at != 0 && strcmp(is->value, "none") == 0 ? DM_BASIS_STOP : DM_BASIS_NOTHING;
}

/* The stream says from which row on a key holds by the columns that old rows carry; with whole rows it says nothing. */
static bool key_is_told(const struct dm_basis *b)
{
    const char *identity = dm_basis_get(b, DM_BASIS_IDENTITY, NULL);
    return identity != NULL && (strcmp(identity, "key") == 0 || strcmp(identity, "index") == 0);
}

static enum dm_basis_effect judge_key(const struct comparison *c, const struct dm_basis_fact *was,
                                      const struct dm_basis_fact *is)
{
    if (was == NULL || strcmp(was->value, is->value) == 0)
        return DM_BASIS_NOTHING;
    return key_is_told(c->stored) && key_is_told(c->present) ? DM_BASIS_REKEY : DM_BASIS_COPY;
}

/* Without the constraint two rows may have had one key for a while. (A new key brings its own.) */
static enum dm_basis_effect judge_guard(const struct comparison *c, const struct dm_basis_fact *was,
                                        const struct dm_basis_fact *is)
{
    return was != NULL && strcmp(was->value, is->value) != 0 && !differs(c, DM_BASIS_KEY) ? DM_BASIS_COPY
                                                                                          : DM_BASIS_NOTHING;
}

/* A rewrite comes with the stream, in its place, while it runs. */
static enum dm_basis_effect told_rewrite(const struct comparison *c)
{
    return c->look->when == DM_BASIS_AT_LOOK ? DM_BASIS_EVOLVE : DM_BASIS_COPY;
}

static enum dm_basis_effect judge_type(const struct comparison *c, const struct dm_basis_fact *was,
                                       const struct dm_basis_fact *is)
{
    if (was == NULL || strcmp(was->value, is->value) == 0)
        return DM_BASIS_NOTHING;
    return differs(c, DM_BASIS_STORAGE) ? told_rewrite(c) : DM_BASIS_EVOLVE;
}

/* Its rows had values all along, which no event has told. */
static enum dm_basis_effect judge_generated(const struct comparison *c, const struct dm_basis_fact *was,
                                            const struct dm_basis_fact *is)
{
    (void)c;
    return was != NULL && strcmp(was->value, "generated") == 0 && strcmp(is->value, "generated") != 0
               ? DM_BASIS_COPY
               : DM_BASIS_NOTHING;
}

/* A column that is new. */
static enum dm_basis_effect judge_fill(const struct comparison *c, const struct dm_basis_fact *was,
                                       const struct dm_basis_fact *is)
{
    if (was != NULL || !has(c->stored, DM_BASIS_FILL))
        return DM_BASIS_NOTHING;
    bool filled = strcmp(is->value, "unsaid") == 0 ||
                  (strcmp(is->value, "itself") == 0 && differs(c, DM_BASIS_STORAGE));
    return filled ? told_rewrite(c) : DM_BASIS_NOTHING;
}

/* A column that was left out has a past. Under a subject that is a name it may have got another one. */
static enum dm_basis_effect judge_taken(const struct comparison *c, const struct dm_basis_fact *was,
                                        const struct dm_basis_fact *is)
{
    bool taken = strcmp(is->value, "taken") == 0;
    if (was != NULL)
        return strcmp(was->value, is->value) == 0 ? DM_BASIS_NOTHING
               : taken                            ? DM_BASIS_COPY
                                                  : DM_BASIS_EVOLVE;
    for (size_t i = 0; taken && i < c->stored->n; i++) {
        const struct dm_basis_fact *f = &c->stored->facts[i];
        if (f->member == DM_BASIS_TAKEN && strcmp(f->value, "left out") == 0 &&
            dm_basis_get(c->present, DM_BASIS_TAKEN, f->subject) == NULL)
            return DM_BASIS_COPY;
    }
    return DM_BASIS_NOTHING;
}

/* A lake of before there were any has a dataset that is not divided. */
static enum dm_basis_effect judge_timestamp(const struct comparison *c, const struct dm_basis_fact *was,
                                            const struct dm_basis_fact *is)
{
    (void)c;
    return strcmp(was != NULL ? was->value : "none", is->value) == 0 ? DM_BASIS_NOTHING : DM_BASIS_COPY;
}

/* While the mirror runs the stream tells of TRUNCATE, and a look at the types tells a rewrite from a VACUUM FULL. */
static enum dm_basis_effect judge_storage(const struct comparison *c, const struct dm_basis_fact *was,
                                          const struct dm_basis_fact *is)
{
    return was != NULL && strcmp(was->value, is->value) != 0 && c->look->when == DM_BASIS_AT_START
               ? DM_BASIS_COPY
               : DM_BASIS_NOTHING;
}

static enum dm_basis_effect judge_readable(const struct comparison *c, const struct dm_basis_fact *was,
                                           const struct dm_basis_fact *is)
{
    (void)c;
    (void)was;
    return strcmp(is->value, "yes") == 0 ? DM_BASIS_NOTHING : DM_BASIS_REFUSE;
}

static enum dm_basis_effect judge_row_security(const struct comparison *c, const struct dm_basis_fact *was,
                                               const struct dm_basis_fact *is)
{
    (void)c;
    (void)was;
    return strcmp(is->value, "off") == 0 ? DM_BASIS_NOTHING : DM_BASIS_REFUSE;
}

/* ---- the list ---- */

static const struct {
    struct dm_basis_rule rule;
    judge_fn judge; /* NULL: another value has the effect */
} rules[DM_BASIS_MEMBERS] = {
    [DM_BASIS_SYSTEM] = {{"system", "the server", DM_SCOPE_SERVER, DM_BASIS_STOP}, NULL},
    [DM_BASIS_TIMELINE] = {{"timeline", "the server's timeline", DM_SCOPE_SERVER, DM_BASIS_STOP},
                           judge_timeline},
    [DM_BASIS_DATABASE] = {{"database", "the database", DM_SCOPE_SERVER, DM_BASIS_STOP}, NULL},
    [DM_BASIS_ENCODING] = {{"encoding", "the database's encoding", DM_SCOPE_SERVER, DM_BASIS_STOP}, NULL},
    [DM_BASIS_LOG_END] = {{"log-end", "the end of the source's log", DM_SCOPE_SERVER, DM_BASIS_STOP},
                          judge_log_end},
    [DM_BASIS_SLOT] = {{"slot", "the replication slot", DM_SCOPE_SERVER, DM_BASIS_STOP}, judge_slot},
    [DM_BASIS_PUBLISHED] = {{"published", "its entry in the publication", DM_SCOPE_PUBLICATION,
                             DM_BASIS_COPY},
                            NULL},
    [DM_BASIS_OPERATIONS] = {{"operations", "what the publication publishes", DM_SCOPE_PUBLICATION,
                              DM_BASIS_COPY},
                             NULL},
    [DM_BASIS_ROW_FILTER] = {{"row-filter", "the publication's row filter", DM_SCOPE_PUBLICATION,
                              DM_BASIS_COPY},
                             NULL},
    [DM_BASIS_COLUMN_LIST] = {{"column-list", "the publication's column list", DM_SCOPE_PUBLICATION,
                               DM_BASIS_COPY},
                              NULL},
    [DM_BASIS_VIA_ROOT] = {{"via-root", "publish_via_partition_root", DM_SCOPE_PUBLICATION, DM_BASIS_COPY},
                           NULL},
    [DM_BASIS_IDENTITY] = {{"identity", "its replica identity", DM_SCOPE_IDENTITY, DM_BASIS_EVOLVE}, NULL},
    [DM_BASIS_KEY] = {{"key", "its key", DM_SCOPE_IDENTITY, DM_BASIS_COPY}, judge_key},
    [DM_BASIS_GUARD] = {{"guard", "the constraint behind its key", DM_SCOPE_IDENTITY, DM_BASIS_COPY},
                        judge_guard},
    [DM_BASIS_NAME] = {{"name", "the name of column", DM_SCOPE_COLUMNS, DM_BASIS_EVOLVE}, NULL},
    [DM_BASIS_TYPE] = {{"type", "the type of column", DM_SCOPE_COLUMNS, DM_BASIS_COPY}, judge_type},
    [DM_BASIS_GENERATED] = {{"generated", "the expression of column", DM_SCOPE_COLUMNS, DM_BASIS_COPY},
                            judge_generated},
    [DM_BASIS_FILL] = {{"fill", "what older rows hold in column", DM_SCOPE_COLUMNS, DM_BASIS_COPY},
                       judge_fill},
    [DM_BASIS_BENEATH] = {{"beneath", "the attributes of type", DM_SCOPE_COLUMNS, DM_BASIS_COPY}, NULL},
    [DM_BASIS_LABEL] = {{"label", "the label of type", DM_SCOPE_COLUMNS, DM_BASIS_COPY}, NULL},
    [DM_BASIS_STORAGE] = {{"storage", "its storage", DM_SCOPE_STORAGE, DM_BASIS_COPY}, judge_storage},
    [DM_BASIS_READABLE] = {{"readable", "the right to read it", DM_SCOPE_SECURITY, DM_BASIS_REFUSE},
                           judge_readable},
    [DM_BASIS_ROW_SECURITY] = {{"row-security", "its row security", DM_SCOPE_SECURITY, DM_BASIS_REFUSE},
                               judge_row_security},
    [DM_BASIS_TAKEN] = {{"taken", "columns: or exclude_columns: for column", DM_SCOPE_CONFIGURATION,
                         DM_BASIS_COPY},
                        judge_taken},
    [DM_BASIS_FILTER] = {{"filter", "filter:", DM_SCOPE_CONFIGURATION, DM_BASIS_COPY}, NULL},
    [DM_BASIS_DECIMALS] = {{"decimals", "decimals:", DM_SCOPE_CONFIGURATION, DM_BASIS_COPY}, NULL},
    [DM_BASIS_TIMESTAMP] = {{"timestamp", "timestamp:", DM_SCOPE_CONFIGURATION, DM_BASIS_COPY},
                            judge_timestamp},
    [DM_BASIS_TIME_AS] = {{"time-as", "time_as:", DM_SCOPE_CONFIGURATION, DM_BASIS_COPY}, NULL},
    [DM_BASIS_APPEND_ONLY] = {{"append-only", "append_only:", DM_SCOPE_CONFIGURATION, DM_BASIS_COPY}, NULL},
};

const struct dm_basis_rule *dm_basis_rule(enum dm_basis_member member)
{
    return &rules[member].rule;
}

const char *dm_basis_effect_name(enum dm_basis_effect effect)
{
    static const char *const names[] = {"nothing", "evolve", "re-key", "copy again", "refuse", "stop"};
    return names[effect];
}

/* ---- facts ---- */

void dm_basis_release(struct dm_basis *b)
{
    for (size_t i = 0; i < b->n; i++) {
        free(b->facts[i].subject);
        free(b->facts[i].value);
    }
    free(b->facts);
    *b = (struct dm_basis){0};
}

static struct dm_basis_fact *add(struct dm_basis *b, enum dm_basis_member member, const char *subject)
{
    if ((b->n & (b->n - 1)) == 0) /* a power of two (or none): double the room */
        b->facts = dm_xrealloc(b->facts, b->n == 0 ? 1 : b->n * 2, sizeof *b->facts);
    struct dm_basis_fact *f = &b->facts[b->n++];
    *f = (struct dm_basis_fact){.member = member, .subject = dm_xstrdup(subject != NULL ? subject : "")};
    return f;
}

struct dm_basis dm_basis_copy(const struct dm_basis *b)
{
    struct dm_basis copy = {0};
    for (size_t i = 0; i < b->n; i++)
        add(&copy, b->facts[i].member, b->facts[i].subject)->value = dm_xstrdup(b->facts[i].value);
    return copy;
}

void dm_basis_add(struct dm_basis *b, enum dm_basis_member member, const char *subject, const char *fmt, ...)
{
    struct dm_basis_fact *f = add(b, member, subject);
    va_list args;
    va_start(args, fmt);
    if (vasprintf(&f->value, fmt, args) < 0)
        f->value = dm_xstrdup("");
    va_end(args);
}

/* Two bases of one table mostly have their facts in the same order, so the search goes on where the last one ended. */
static const struct dm_basis_fact *find(const struct dm_basis *b, enum dm_basis_member member,
                                        const char *subject, size_t *next)
{
    for (size_t i = 0; i < b->n; i++) {
        const struct dm_basis_fact *f = &b->facts[(*next + i) % b->n];
        if (f->member == member && strcmp(f->subject, subject) == 0) {
            *next = (*next + i + 1) % b->n;
            return f;
        }
    }
    return NULL;
}

const char *dm_basis_get(const struct dm_basis *b, enum dm_basis_member member, const char *subject)
{
    size_t from = 0;
    const struct dm_basis_fact *f = find(b, member, subject != NULL ? subject : "", &from);
    return f != NULL ? f->value : NULL;
}

bool dm_basis_equal(const struct dm_basis *a, const struct dm_basis *b)
{
    size_t next = 0;
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        const struct dm_basis_fact *f = find(b, a->facts[i].member, a->facts[i].subject, &next);
        if (f == NULL || strcmp(f->value, a->facts[i].value) != 0)
            return false;
    }
    return true;
}

/* ---- comparison ---- */

static enum dm_basis_effect judge(const struct comparison *c, const struct dm_basis_fact *was,
                                  const struct dm_basis_fact *is)
{
    if (rules[is->member].judge != NULL)
        return rules[is->member].judge(c, was, is);
    return was != NULL && strcmp(was->value, is->value) != 0 ? rules[is->member].rule.effect
                                                             : DM_BASIS_NOTHING;
}

static void say(struct dm_basis_verdict *out, const struct dm_basis_fact *was, const struct dm_basis_fact *is)
{
    const char *words = rules[is->member].rule.words, *space = is->subject[0] != '\0' ? " " : "";
    if (was != NULL)
        (void)snprintf(out->text, sizeof out->text, "%s%s%s changed from \"%.120s\" to \"%.120s\"", words,
                       space, is->subject, was->value, is->value);
    else
        (void)snprintf(out->text, sizeof out->text, "%s%s%s is \"%.120s\"", words, space, is->subject,
                       is->value);
}

void dm_basis_compare(const struct dm_basis *stored, const struct dm_basis *present,
                      const struct dm_basis_look *look, struct dm_basis_verdict *out)
{
    const struct comparison c = {stored, present, look};
    size_t next = 0;
    *out = (struct dm_basis_verdict){0};
    for (size_t i = 0; i < present->n; i++) {
        const struct dm_basis_fact *is = &present->facts[i];
        if (look->when == DM_BASIS_IN_STREAM && is->member != DM_BASIS_TYPE && is->member != DM_BASIS_FILL)
            continue; /* those are seen at a look */
        const struct dm_basis_fact *was = find(stored, is->member, is->subject, &next);
        enum dm_basis_effect effect = judge(&c, was, is);
        if (effect <= out->effect)
            continue;
        out->effect = effect;
        out->member = is->member;
        say(out, was, is);
    }
}

/* ---- as text ---- */

char *dm_basis_print(const struct dm_basis *b)
{
    json_t *all = json_object();
    for (size_t i = 0; i < b->n; i++) {
        const struct dm_basis_fact *f = &b->facts[i];
        const char *name = rules[f->member].rule.name;
        json_t *value = json_string(f->value);
        if (value == NULL) /* not UTF-8: an SQL_ASCII name */
            continue;
        json_t *of = json_object_get(all, name);
        if (f->subject[0] == '\0') {
            (void)json_object_set_new(all, name, value);
            continue;
        }
        if (of == NULL) {
            (void)json_object_set_new(all, name, json_object());
            of = json_object_get(all, name);
        }
        (void)json_object_set_new(of, f->subject, value);
    }
    char *text = json_dumps(all, JSON_COMPACT);
    json_decref(all);
    return text != NULL ? text : dm_xstrdup("{}");
}

static void read_member(struct dm_basis *out, enum dm_basis_member member, json_t *value)
{
    const char *subject;
    json_t *one;
    if (json_is_string(value))
        add(out, member, NULL)->value = dm_xstrdup(json_string_value(value));
    json_object_foreach(value, subject, one) if (json_is_string(one)) add(out, member, subject)->value =
        dm_xstrdup(json_string_value(one));
}

enum dm_status dm_basis_parse(const char *text, struct dm_basis *out, struct dm_error *err)
{
    json_error_t why;
    *out = (struct dm_basis){0};
    json_t *all = json_loads(text, 0, &why);
    if (!json_is_object(all)) {
        json_decref(all);
        return dm_fail(err, DM_ERROR_DATA, NULL,
                       "what a dataset rests on is stored as text that cannot be read: %s",
                       all == NULL ? why.text : "not an object");
    }
    for (int m = 0; m < DM_BASIS_MEMBERS; m++)
        read_member(out, (enum dm_basis_member)m, json_object_get(all, rules[m].rule.name));
    json_decref(all);
    return DM_OK;
}
