#include "source/postgres/pg_decoder.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "source/postgres/pg_charset.h"
#include "source/postgres/pg_datetime.h"

#define MAX_COLUMNS 1664 /* of a PostgreSQL tuple */

/* A message being read: every get checks, and a failed one makes all the later ones fail. */
struct reader {
    const uint8_t *p;
    size_t left;
    bool bad;
};

static const uint8_t *take(struct reader *r, size_t n)
{
    if (n > r->left) {
        r->bad = true;
        r->left = 0;
        return NULL;
    }
    const uint8_t *p = r->p;
    r->p += n;
    r->left -= n;
    return p;
}

static uint8_t take8(struct reader *r)
{
    const uint8_t *p = take(r, 1);
    return p != NULL ? *p : 0;
}

static uint16_t take16(struct reader *r)
{
    const uint8_t *p = take(r, 2);
    return p != NULL ? dm_get_be16(p) : 0;
}

static uint32_t take32(struct reader *r)
{
    const uint8_t *p = take(r, 4);
    return p != NULL ? dm_get_be32(p) : 0;
}

static uint64_t take64(struct reader *r)
{
    const uint8_t *p = take(r, 8);
    return p != NULL ? dm_get_be64(p) : 0;
}

static const char *take_text(struct reader *r)
{
    const uint8_t *end = r->left > 0 ? memchr(r->p, 0, r->left) : NULL;
    if (end == NULL) {
        r->bad = true;
        r->left = 0;
        return "";
    }
    return (const char *)take(r, (size_t)(end - r->p) + 1);
}

static enum dm_status fail_protocol(struct dm_error *err, const char *what)
{
    return dm_fail(err, DM_ERROR_FATAL, NULL, "the stream is not what pgoutput sends: %s", what);
}

/* The server counts from 2000; clamped only against nonsense. */
static int64_t wall_clock(uint64_t since_2000)
{
    int64_t micros = (int64_t)since_2000;
    return micros > INT64_MAX - PG_EPOCH_MICROS ? INT64_MAX : micros + PG_EPOCH_MICROS;
}

/* ---- life ---- */

void pg_decoder_init(struct pg_decoder *d, pg_resolve_fn resolve, void *ctx, dm_position from)
{
    *d = (struct pg_decoder){.resolve = resolve, .resolve_ctx = ctx, .from = from, .position = from};
}

void pg_relation_message_release(struct pg_relation_message *m)
{
    for (size_t i = 0; i < m->n; i++)
        free((char *)(uintptr_t)m->columns[i].name);
    free(m->columns);
    free(m->schema);
    free(m->name);
    *m = (struct pg_relation_message){0};
}

void pg_relation_free(struct pg_relation *r)
{
    if (r == NULL)
        return;
    dm_batch_free(r->scratch);
    dm_table_free(r->table);
    pg_relation_message_release(&r->message);
    free(r->codecs);
    free(r->source);
    free(r);
}

static void told_free(struct pg_told *t)
{
    dm_table_free(t->table);
    free(t);
}

void pg_decoder_release(struct pg_decoder *d)
{
    for (size_t i = 0; i < d->n_relations; i++)
        pg_relation_free(d->relations[i]);
    for (size_t i = 0; i < d->n_told; i++)
        told_free(d->told[i]);
    free(d->relations);
    free(d->told);
    free(d->streamed);
    free(d->new_values);
    free(d->old_values);
    free(d->by_field);
    *d = (struct pg_decoder){0};
}

static void make_room(struct pg_decoder *d, size_t columns)
{
    if (columns <= d->capacity)
        return;
    d->new_values = dm_xrealloc(d->new_values, columns, sizeof *d->new_values);
    d->old_values = dm_xrealloc(d->old_values, columns, sizeof *d->old_values);
    d->by_field = dm_xrealloc(d->by_field, columns, sizeof *d->by_field);
    d->capacity = columns;
}

/* ---- relations ---- */

static struct pg_relation *find_relation(const struct pg_decoder *d, uint32_t oid, uint64_t xid)
{
    for (size_t i = 0; i < d->n_relations; i++)
        if (d->relations[i]->oid == oid && d->relations[i]->xid == xid)
            return d->relations[i];
    return NULL;
}

static void remove_relation(struct pg_decoder *d, struct pg_relation *r)
{
    for (size_t i = 0; i < d->n_relations; i++) {
        if (d->relations[i] == r) {
            d->relations[i] = d->relations[--d->n_relations];
            break;
        }
    }
    d->last = NULL;
    pg_relation_free(r);
}

static void add_relation(struct pg_decoder *d, struct pg_relation *r)
{
    struct pg_relation *old = find_relation(d, r->oid, r->xid);
    if (old != NULL)
        remove_relation(d, old);
    d->relations = dm_xrealloc(d->relations, d->n_relations + 1, sizeof *d->relations);
    d->relations[d->n_relations++] = r;
    d->last = NULL;
}

/* The transaction's own view of the relation, else the committed one. */
static struct pg_relation *current_relation(struct pg_decoder *d, uint32_t oid)
{
    if (d->last != NULL && d->last->oid == oid)
        return d->last;
    struct pg_relation *r = d->in_block ? find_relation(d, oid, d->txn.xid) : NULL;
    if (r == NULL)
        r = find_relation(d, oid, 0);
    d->last = r;
    return r;
}

/* At the end of a streamed transaction its views become everybody's, or nobody's. */
static void end_streamed_relations(struct pg_decoder *d, uint64_t xid, bool committed)
{
    d->last = NULL;
    for (size_t i = d->n_relations; i-- > 0;) {
        struct pg_relation *r = d->relations[i];
        if (r->xid != xid)
            continue;
        struct pg_told *told = pg_decoder_told(d, r->oid);
        if (told != NULL)
            told->version = ++d->versions;
        if (!committed) {
            remove_relation(d, r);
            continue;
        }
        struct pg_relation *base = find_relation(d, r->oid, 0);
        r->xid = 0;
        r->message.uncommitted = false;
        if (base != NULL) {
            r->table->rewritten = r->table->rewritten || base->table->rewritten;
            remove_relation(d, base);
            i = d->n_relations; /* the order changed: look through all again */
        }
    }
}

static bool same_message(const struct pg_relation_message *a, const struct pg_relation_message *b)
{
    if (a->n != b->n || a->identity != b->identity || strcmp(a->schema, b->schema) != 0 ||
        strcmp(a->name, b->name) != 0)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->columns[i].type != b->columns[i].type || a->columns[i].modifier != b->columns[i].modifier ||
            a->columns[i].identity != b->columns[i].identity ||
            strcmp(a->columns[i].name, b->columns[i].name) != 0)
            return false;
    return true;
}

static enum dm_status read_relation(const struct pg_decoder *d, struct reader *r,
                                    struct pg_relation_message *m, struct dm_error *err)
{
    m->oid = take32(r);
    const char *schema = take_text(r);
    m->schema = pg_charset_name(d->charset,
                                schema[0] != '\0' ? schema : "pg_catalog"); /* the protocol's short form */
    m->name = pg_charset_name(d->charset, take_text(r));
    m->identity = (char)take8(r);
    size_t n = take16(r);
    if (r->bad || n > MAX_COLUMNS)
        return fail_protocol(err, "Relation");
    m->columns = dm_xzalloc(n + 1, sizeof *m->columns);
    for (; m->n < n && !r->bad; m->n++) {
        struct pg_message_column *c = &m->columns[m->n];
        c->identity = (take8(r) & 1) != 0;
        c->name = pg_charset_name(d->charset, take_text(r));
        c->type = take32(r);
        c->modifier = (int32_t)take32(r);
    }
    return r->bad ? fail_protocol(err, "Relation") : DM_OK;
}

/* Takes `rel`, which has its message and nothing else yet. */
static enum dm_status describe(struct pg_decoder *d, struct pg_relation *rel,
                               const struct pg_relation *previous, struct dm_error *err)
{
    rel->n_message = rel->message.n;
    make_room(d, rel->n_message + 1);
    if (d->resolve(d->resolve_ctx, &rel->message, previous, rel, err) != DM_OK) {
        pg_relation_free(rel);
        return DM_FAIL;
    }
    /* What was not said of the relation yet (nothing but skipped changes since) is not forgotten with its old message. */
    if (previous != NULL && previous->xid == rel->xid)
        rel->table->rewritten = rel->table->rewritten || previous->table->rewritten;
    add_relation(d, rel);
    return DM_OK;
}

static enum dm_status on_relation(struct pg_decoder *d, struct reader *r, struct dm_error *err)
{
    struct pg_relation *rel = dm_xzalloc(1, sizeof *rel);
    rel->xid = d->in_block ? d->txn.xid : 0;
    if (read_relation(d, r, &rel->message, err) != DM_OK) {
        pg_relation_free(rel);
        return DM_FAIL;
    }
    rel->oid = rel->message.oid;
    rel->message.uncommitted = d->in_block;
    rel->message.xid = (uint32_t)d->txn.xid;
    d->last = NULL;
    struct pg_relation *previous = current_relation(d, rel->oid);
    if (previous != NULL && !previous->table->uncertain && same_message(&previous->message, &rel->message)) {
        pg_relation_free(rel); /* sent again after an invalidation that changed nothing */
        return DM_OK;
    }
    return describe(d, rel, previous, err);
}

/* The message still holds in the transaction that is open now, and the catalog may tell more than when it came. */
static enum dm_status describe_again(struct pg_decoder *d, struct pg_relation **rel, struct dm_error *err)
{
    struct pg_relation *old = *rel, *anew = dm_xzalloc(1, sizeof *anew);
    anew->oid = old->oid;
    anew->message = old->message;
    anew->message.uncommitted = false;
    anew->message.xid = (uint32_t)d->txn.xid;
    old->message = (struct pg_relation_message){0};
    old->table->uncertain = true; /* so the answer does not lean on it */
    enum dm_status status = describe(d, anew, old, err);
    *rel = status == DM_OK ? anew : NULL;
    return status;
}

/* ---- what the sink knows ---- */

bool pg_same_table(const struct dm_table *a, const struct dm_table *b)
{
    const struct dm_schema *x = a->columns, *y = b->columns;
    if (strcmp(a->schema, b->schema) != 0 || strcmp(a->name, b->name) != 0 || a->uncertain != b->uncertain ||
        x->n_fields != y->n_fields || x->n_keys != y->n_keys || (a->problem == NULL) != (b->problem == NULL))
        return false;
    for (size_t i = 0; i < x->n_fields; i++)
        if (strcmp(x->fields[i].name, y->fields[i].name) != 0 ||
            x->fields[i].source_ref != y->fields[i].source_ref ||
            x->fields[i].required != y->fields[i].required ||
            !dm_type_equal(x->fields[i].type, y->fields[i].type))
            return false;
    return x->n_keys == 0 || memcmp(x->keys, y->keys, x->n_keys * sizeof *x->keys) == 0;
}

bool pg_made_again(const struct dm_table *before, const struct dm_table *now)
{
    for (size_t i = 0; i < now->columns->n_fields; i++) {
        int old = dm_schema_find(before->columns, now->columns->fields[i].name);
        if (old >= 0 && before->columns->fields[old].source_ref != now->columns->fields[i].source_ref)
            return true;
    }
    return false;
}

struct pg_told *pg_decoder_told(const struct pg_decoder *d, uint32_t oid)
{
    if (d->last_told != NULL && d->last_told->oid == oid)
        return d->last_told;
    for (size_t i = 0; i < d->n_told; i++)
        if (d->told[i]->oid == oid)
            return d->told[i];
    return NULL;
}

enum dm_status pg_decoder_tell(struct pg_decoder *d, const struct dm_sink *sink, const struct dm_table *table,
                               struct dm_error *err)
{
    struct pg_told *told = pg_decoder_told(d, (uint32_t)table->id);
    void *handle = NULL;
    enum dm_status status = sink->table(sink->ctx, table, &handle, err);
    if (status != DM_OK)
        return status;
    if (told == NULL) {
        told = dm_xzalloc(1, sizeof *told);
        told->oid = (uint32_t)table->id;
        d->told = dm_xrealloc(d->told, d->n_told + 1, sizeof *d->told);
        d->told[d->n_told++] = told;
    }
    dm_table_free(told->table);
    told->table = dm_table_copy(table);
    told->handle = handle;
    told->asked = d->serial;
    told->version = ++d->versions;
    return DM_OK;
}

enum dm_status pg_decoder_drop(struct pg_decoder *d, const struct dm_sink *sink, uint32_t oid,
                               struct dm_error *err)
{
    struct pg_told *told = pg_decoder_told(d, oid);
    if (told == NULL)
        return DM_OK;
    void *handle = told->handle;
    for (size_t i = 0; i < d->n_told; i++)
        if (d->told[i] == told)
            d->told[i] = d->told[--d->n_told];
    d->last_told = NULL;
    told_free(told);
    for (size_t i = d->n_relations; i-- > 0;)
        if (d->relations[i]->oid == oid) {
            remove_relation(d, d->relations[i]);
            i = d->n_relations;
        }
    return handle != NULL ? sink->dropped(sink->ctx, handle, err) : DM_OK;
}

/* ---- transactions at the sink: opened by the first change ---- */

static bool is_streamed(const struct pg_decoder *d, uint64_t xid)
{
    for (size_t i = 0; i < d->n_streamed; i++)
        if (d->streamed[i] == xid)
            return true;
    return false;
}

static bool forget_streamed(struct pg_decoder *d, uint64_t xid)
{
    for (size_t i = 0; i < d->n_streamed; i++) {
        if (d->streamed[i] == xid) {
            d->streamed[i] = d->streamed[--d->n_streamed];
            return true;
        }
    }
    return false;
}

static enum dm_status open_transaction(struct pg_decoder *d, const struct dm_sink *sink, struct dm_error *err)
{
    enum dm_status status = DM_OK;
    if (!d->in_block) {
        if (!d->open)
            status = sink->begin(sink->ctx, &d->txn, err);
    } else if (!d->open) {
        status = sink->stream_start(sink->ctx, d->txn.xid, d->message_xid, err);
        d->subxid = d->message_xid;
        if (status == DM_OK && !is_streamed(d, d->txn.xid)) {
            d->streamed = dm_xrealloc(d->streamed, d->n_streamed + 1, sizeof *d->streamed);
            d->streamed[d->n_streamed++] = d->txn.xid;
        }
    } else if (d->subxid != d->message_xid) {
        status = sink->subtransaction(sink->ctx, d->message_xid, err);
        d->subxid = d->message_xid;
    }
    d->open = status == DM_OK;
    return status;
}

/* Nothing more may come to say which column is which, so once a transaction the catalog is asked. */
static bool doubtful(const struct pg_decoder *d, const struct pg_relation *rel, const struct pg_told *told)
{
    if (rel->xid != 0 || rel->message.xid == (uint32_t)d->txn.xid)
        return false;
    return rel->table->uncertain || (told != NULL && told->table->columns != rel->table->columns &&
                                     pg_made_again(told->table, rel->table));
}

/* Relation, handle and open transaction for a change. *handle NULL: nobody wants it. */
static enum dm_status approach(struct pg_decoder *d, const struct dm_sink *sink,
                               struct pg_relation **relation, void **handle, struct dm_error *err)
{
    struct pg_told *told = pg_decoder_told(d, (*relation)->oid);
    d->last_told = told;
    if (doubtful(d, *relation, told) && describe_again(d, relation, err) != DM_OK)
        return DM_FAIL;
    struct pg_relation *rel = *relation;
    bool same = told != NULL && told->table->columns == rel->table->columns;
    if (told != NULL && !same && pg_same_table(told->table, rel->table)) {
        dm_table_free(told->table); /* share the columns: the next comparison is one of pointers */
        told->table = dm_table_copy(rel->table);
        same = true;
    }
    /* A table that was not wanted may have become wanted since; ask once a transaction, so that no change is
     * missed. */
    if (same && told->handle == NULL && told->asked != d->serial)
        same = false;
    /* The columns may be as before although their values are not (ALTER TYPE … USING): that is to be said too. */
    if (rel->table->rewritten)
        same = false;
    *handle = same ? told->handle : NULL;
    if (same && told->handle == NULL)
        return DM_OK;
    enum dm_status status = open_transaction(d, sink, err);
    if (status == DM_OK && !same) {
        status = pg_decoder_tell(d, sink, rel->table, err);
        rel->table->rewritten = false; /* said once */
        if (status == DM_OK)
            *handle = pg_decoder_told(d, rel->oid)->handle;
    }
    return status;
}

/* ---- changes ---- */

static enum dm_status read_tuple(struct reader *r, const struct pg_relation *rel, struct pg_raw_value *values,
                                 struct dm_error *err)
{
    size_t n = take16(r);
    if (r->bad || n != rel->n_message)
        return fail_protocol(err, "number of columns");
    for (size_t i = 0; i < n; i++) {
        struct pg_raw_value *v = &values[i];
        *v = (struct pg_raw_value){.kind = (enum pg_kind)take8(r)};
        if (v->kind == PG_KIND_TEXT || v->kind == PG_KIND_BINARY) {
            v->n = take32(r);
            v->bytes = take(r, v->n);
        } else if (v->kind != PG_KIND_NULL && v->kind != PG_KIND_UNCHANGED) {
            return fail_protocol(err, "kind of a value");
        }
        if (r->bad)
            return fail_protocol(err, "length of a value");
    }
    return DM_OK;
}

static enum dm_status on_change(struct pg_decoder *d, const struct dm_sink *sink, struct reader *r,
                                enum dm_op op, struct dm_error *err)
{
    uint32_t oid = take32(r);
    if (r->bad || !(d->in_transaction || d->in_block))
        return fail_protocol(err, "a change outside a transaction");
    if (d->skipping)
        return DM_OK;
    struct pg_relation *rel = current_relation(d, oid);
    if (rel == NULL)
        return fail_protocol(err, "a change of a relation that was not described");
    void *handle;
    enum dm_status status = approach(d, sink, &rel, &handle, err);
    if (status != DM_OK || handle == NULL)
        return status;
    enum pg_old_kind old = PG_OLD_NONE;
    uint8_t part = take8(r);
    if ((part == 'K' || part == 'O') && op != DM_OP_INSERT) {
        old = (enum pg_old_kind)part;
        if (read_tuple(r, rel, d->old_values, err) != DM_OK)
            return DM_FAIL;
        part = op == DM_OP_UPDATE ? take8(r) : 'N';
    }
    if (part != 'N' || (op == DM_OP_DELETE && old == PG_OLD_NONE))
        return fail_protocol(err, "kind of a tuple");
    if (op != DM_OP_DELETE && read_tuple(r, rel, d->new_values, err) != DM_OK)
        return DM_FAIL;
    status = pg_deliver_change(d, sink, rel, handle, op, old, err);
    return status;
}

static enum dm_status on_truncate(struct pg_decoder *d, const struct dm_sink *sink, struct reader *r,
                                  struct dm_error *err)
{
    uint32_t n = take32(r);
    (void)take8(r); /* CASCADE, RESTART IDENTITY: the server already named every table */
    if (r->bad || n > r->left / 4 || !(d->in_transaction || d->in_block))
        return fail_protocol(err, "Truncate");
    for (uint32_t i = 0; i < n && !d->skipping; i++) {
        struct pg_relation *rel = current_relation(d, take32(r));
        void *handle = NULL;
        enum dm_status status = rel != NULL ? approach(d, sink, &rel, &handle, err) : DM_OK;
        if (status == DM_OK && handle != NULL) {
            status = sink->truncate(sink->ctx, handle, err);
            /* of one in progress the position is yet to come: no later than it is, so as not to excuse what comes after it */
            pg_decoder_told(d, rel->oid)->truncated_at = d->in_block ? d->position : d->txn.visible_at;
            d->changes++;
        }
        if (status != DM_OK)
            return status;
    }
    return DM_OK;
}

/* ---- transactions ---- */

static enum dm_status on_begin(struct pg_decoder *d, struct reader *r, struct dm_error *err)
{
    dm_position final = take64(r);
    int64_t time = wall_clock(take64(r));
    uint32_t xid = take32(r);
    if (r->bad || d->in_transaction || d->in_block)
        return fail_protocol(err, "Begin");
    d->txn = (struct dm_txn){.xid = xid, .visible_at = final, .commit_time_us = time};
    d->in_transaction = true;
    d->serial++;
    d->open = false;
    d->message_xid = 0;
    d->last = NULL;
    d->skipping = final < d->from;
    return DM_OK;
}

/* The transaction is over at the server: at the sink too, when it was ever opened there. */
static enum dm_status finish(struct pg_decoder *d, const struct dm_sink *sink, bool known,
                             struct dm_error *err)
{
    d->boundary = true;
    if (d->txn.position > d->position)
        d->position = d->txn.position;
    d->commit_time_us = d->txn.commit_time_us;
    if (known)
        return sink->commit(sink->ctx, &d->txn, err);
    return d->skipping ? DM_OK : sink->idle(sink->ctx, d->position, err);
}

static enum dm_status on_commit(struct pg_decoder *d, const struct dm_sink *sink, struct reader *r,
                                struct dm_error *err)
{
    (void)take8(r);
    d->txn.visible_at = take64(r);
    d->txn.position = take64(r);
    d->txn.commit_time_us = wall_clock(take64(r));
    if (r->bad || !d->in_transaction)
        return fail_protocol(err, "Commit");
    bool known = d->open;
    d->in_transaction = d->open = false;
    enum dm_status status = finish(d, sink, known, err);
    d->skipping = false;
    return status;
}

static enum dm_status on_stream_start(struct pg_decoder *d, struct reader *r, struct dm_error *err)
{
    uint32_t xid = take32(r);
    (void)take8(r); /* first block or not: the sink is told by our own list */
    if (r->bad || d->in_transaction || d->in_block)
        return fail_protocol(err, "Stream Start");
    d->txn = (struct dm_txn){.xid = xid};
    d->in_block = true;
    d->serial++;
    d->open = d->skipping = false;
    d->last = NULL;
    return DM_OK;
}

static enum dm_status on_stream_stop(struct pg_decoder *d, const struct dm_sink *sink, struct dm_error *err)
{
    if (!d->in_block)
        return fail_protocol(err, "Stream Stop");
    bool known = d->open;
    d->in_block = d->open = false;
    d->last = NULL;
    d->boundary = true;
    return known ? sink->stream_stop(sink->ctx, err) : DM_OK;
}

static enum dm_status on_stream_commit(struct pg_decoder *d, const struct dm_sink *sink, struct reader *r,
                                       struct dm_error *err)
{
    d->txn = (struct dm_txn){.xid = take32(r)};
    (void)take8(r);
    d->txn.visible_at = take64(r);
    d->txn.position = take64(r);
    d->txn.commit_time_us = wall_clock(take64(r));
    if (r->bad || d->in_transaction || d->in_block)
        return fail_protocol(err, "Stream Commit");
    end_streamed_relations(d, d->txn.xid, true);
    bool known = forget_streamed(d, d->txn.xid);
    if (d->txn.visible_at < d->from) { /* was committed before: what came of it now is void */
        d->boundary = true;
        return known ? sink->stream_abort(sink->ctx, d->txn.xid, (uint32_t)d->txn.xid, err) : DM_OK;
    }
    return finish(d, sink, known, err);
}

static enum dm_status on_stream_abort(struct pg_decoder *d, const struct dm_sink *sink, struct reader *r,
                                      struct dm_error *err)
{
    uint32_t xid = take32(r), subxid = take32(r);
    if (r->bad || d->in_transaction || d->in_block)
        return fail_protocol(err, "Stream Abort");
    bool known = is_streamed(d, xid);
    if (xid == subxid) {
        end_streamed_relations(d, xid, false);
        (void)forget_streamed(d, xid);
        d->boundary = true;
    }
    return known ? sink->stream_abort(sink->ctx, xid, subxid, err) : DM_OK;
}

enum dm_status pg_decoder_feed(struct pg_decoder *d, const struct dm_sink *sink, const uint8_t *bytes,
                               size_t n, struct dm_error *err)
{
    struct reader r = {bytes, n, false};
    uint8_t kind = take8(&r);
    d->boundary = false;
    if (d->in_block && memchr("RYIUDTM", kind, 7) != NULL)
        d->message_xid = take32(&r);
    switch (kind) {
    case 'I': return on_change(d, sink, &r, DM_OP_INSERT, err);
    case 'U': return on_change(d, sink, &r, DM_OP_UPDATE, err);
    case 'D': return on_change(d, sink, &r, DM_OP_DELETE, err);
    case 'B': return on_begin(d, &r, err);
    case 'C': return on_commit(d, sink, &r, err);
    case 'R': return on_relation(d, &r, err);
    case 'T': return on_truncate(d, sink, &r, err);
    case 'S': return on_stream_start(d, &r, err);
    case 'E': return on_stream_stop(d, sink, err);
    case 'c': return on_stream_commit(d, sink, &r, err);
    case 'A': return on_stream_abort(d, sink, &r, err);
    case 'Y': /* types are looked up in the catalog */
    case 'O': /* where a transaction came from does not matter */
    case 'M': /* somebody's logical message, or our own heartbeat */ return DM_OK;
    default: return fail_protocol(err, "an unknown message");
    }
}

enum dm_status pg_decoder_keepalive(struct pg_decoder *d, const struct dm_sink *sink, dm_position end,
                                    struct dm_error *err)
{
    if (d->in_transaction || d->in_block || end <= d->position)
        return DM_OK;
    d->position = end;
    return sink->idle(sink->ctx, end, err);
}
