#include "mirror/hygiene/lake_secret.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "lake/catalog/catalog_sql.h"

enum { secret_bytes = 32 };

/* The file: the secret, and behind it the seed of an older version. */
struct contents {
    size_t n; /* 0: there is no file */
    uint8_t bytes[secret_bytes + DM_OLD_SEED_BYTES];
};

/* ---- catalog.db ---- */

/* One value; *found false: no row, or no such table. */
static enum dm_status get_blob(struct sqlite3 *db, const char *table, const char *sql, void *out, size_t size,
                               bool *found, struct dm_error *err)
{
    sqlite3_stmt *st;
    *found = false;
    if (sqlite3_prepare_v2(db, "SELECT 1 FROM sqlite_master WHERE name = ?", -1, &st, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "looking for suppressed keys", err);
    sqlite3_bind_text(st, 1, table, -1, SQLITE_STATIC);
    int code = sqlite3_step(st);
    sqlite3_finalize(st);
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, "looking for suppressed keys", err);
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "looking for suppressed keys", err);
    code = sqlite3_step(st);
    enum dm_status status = DM_OK;
    *found = code == SQLITE_ROW;
    if (*found && (size_t)sqlite3_column_bytes(st, 0) == size)
        memcpy(out, sqlite3_column_blob(st, 0), size);
    else if (*found)
        status = dm_fail(err, DM_ERROR_FATAL, "restore catalog.db from a backup",
                         "catalog.db: what is known of the secret of suppressed keys is damaged");
    else if (code != SQLITE_DONE)
        status = dm_sql_fail(db, "looking for suppressed keys", err);
    sqlite3_finalize(st);
    return status;
}

static enum dm_status run(struct sqlite3 *db, const char *sql, struct dm_error *err)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? DM_OK
               : dm_sql_fail(db, "keeping the secret of suppressed keys", err);
}

static void check_value(const struct dm_lake_secret *s, uint8_t out[DM_SHA256_BYTES])
{
    dm_hmac(&s->key, "", 0, out);
}

static enum dm_status put_check(struct sqlite3 *db, const struct dm_lake_secret *s, struct dm_error *err)
{
    uint8_t check[DM_SHA256_BYTES];
    sqlite3_stmt *st;
    check_value(s, check);
    if (run(db,
            "CREATE TABLE IF NOT EXISTS dm_suppression_check(id INTEGER PRIMARY KEY, value BLOB NOT NULL)",
            err) != DM_OK)
        return DM_FAIL;
    if (sqlite3_prepare_v2(db, "INSERT OR REPLACE INTO dm_suppression_check(id, value) VALUES(1, ?)", -1, &st,
                           NULL) != SQLITE_OK)
        return dm_sql_fail(db, "keeping the secret of suppressed keys", err);
    sqlite3_bind_blob(st, 1, check, sizeof check, SQLITE_STATIC);
    int code = sqlite3_step(st);
    sqlite3_finalize(st);
    return code == SQLITE_DONE ? DM_OK : dm_sql_fail(db, "keeping the secret of suppressed keys", err);
}

/* ---- the file ---- */

static char *path_of(const char *lake)
{
    return dm_xasprintf("%s/.secret", lake);
}

static enum dm_status read_file(const char *lake, struct contents *out, struct dm_error *err)
{
    char *path = path_of(lake);
    struct dm_buffer bytes;
    dm_buffer_init(&bytes, sizeof out->bytes);
    enum dm_status status = DM_OK;
    out->n = 0;
    if (dm_file_exists(path))
        status = dm_file_read(path, &bytes, err);
    if (status == DM_OK && bytes.len != 0 && bytes.len != secret_bytes && bytes.len != sizeof out->bytes)
        status = dm_fail(err, DM_ERROR_CONFIG, "restore it from a backup of the lake", "%s is damaged", path);
    if (status == DM_OK && bytes.len > 0) {
        memcpy(out->bytes, bytes.data, bytes.len);
        out->n = bytes.len;
    }
    dm_buffer_release(&bytes);
    free(path);
    return status;
}

static enum dm_status make_file(const char *lake, const uint8_t *seed, struct contents *out,
                                struct dm_error *err)
{
    if (getrandom(out->bytes, secret_bytes, 0) != (ssize_t)secret_bytes)
        return dm_fail_errno(err, "cannot get random bytes");
    if (seed != NULL)
        memcpy(out->bytes + secret_bytes, seed, DM_OLD_SEED_BYTES);
    out->n = seed != NULL ? sizeof out->bytes : secret_bytes;
    char *path = path_of(lake);
    enum dm_status status = dm_file_replace_private(path, out->bytes, out->n, err);
    free(path);
    return status;
}

/* ---- older lakes ---- */

static void hash_again(sqlite3_context *ctx, int n, sqlite3_value **values)
{
    (void)n;
    const struct dm_lake_secret *s = sqlite3_user_data(ctx);
    uint8_t digest[DM_SHA256_BYTES];
    dm_hmac(&s->key, sqlite3_value_blob(values[0]), (size_t)sqlite3_value_bytes(values[0]), digest);
    sqlite3_result_blob(ctx, digest, DM_KEY_HASH_BYTES, SQLITE_TRANSIENT);
}

/* Orders that are still erasing have their own list of hashes, in lakes of all but the oldest versions. */
static enum dm_status rehash(struct sqlite3 *db, struct dm_error *err)
{
    int orders = 0;
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db, "SELECT count(*) FROM sqlite_master WHERE name = 'dm_work_order_key'", -1, &st,
                           NULL) != SQLITE_OK)
        return dm_sql_fail(db, "converting suppressed keys", err);
    if (sqlite3_step(st) == SQLITE_ROW)
        orders = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    enum dm_status status = run(db, "UPDATE dm_suppression SET hash = dm_hash_again(hash)", err);
    if (status == DM_OK && orders > 0)
        status = run(db, "UPDATE dm_work_order_key SET hash = dm_hash_again(hash)", err);
    return status == DM_OK ? run(db, "DROP TABLE dm_suppression_secret", err) : DM_FAIL;
}

/* The file is durable already; what is freed is overwritten, and the log, which has the old pages, emptied. */
static enum dm_status convert(struct sqlite3 *db, struct dm_lake_secret *s, struct dm_error *err)
{
    if (sqlite3_create_function(db, "dm_hash_again", 1, SQLITE_UTF8, s, hash_again, NULL, NULL) != SQLITE_OK)
        return dm_sql_fail(db, "converting suppressed keys", err);
    enum dm_status status = run(db, "PRAGMA secure_delete = ON; BEGIN IMMEDIATE", err);
    if (status == DM_OK) {
        status = rehash(db, err);
        if (status == DM_OK)
            status = put_check(db, s, err);
        if (status == DM_OK)
            status = run(db, "COMMIT", err);
        else
            (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
    (void)sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
    (void)sqlite3_create_function(db, "dm_hash_again", 1, SQLITE_UTF8, NULL, NULL, NULL, NULL);
    if (status == DM_OK)
        dm_log(DM_LOG_INFO,
               "suppressed keys are kept in the present form now; their secret is the file .secret");
    return status;
}

/* ---- opening ---- */

/* Names of files and keys of requests are kept as hashes, too. */
static bool has_receipts(struct sqlite3 *db)
{
    sqlite3_stmt *st;
    bool any = false;
    if (sqlite3_prepare_v2(db, "SELECT 1 FROM dm_receipt LIMIT 1", -1, &st, NULL) == SQLITE_OK)
        any = sqlite3_step(st) == SQLITE_ROW;
    sqlite3_finalize(st);
    return any;
}

static void take(const struct contents *file, struct dm_lake_secret *s)
{
    s->keyed = true;
    dm_hmac_key_init(&s->key, file->bytes, secret_bytes);
    s->chained = file->n > secret_bytes;
    if (s->chained)
        memcpy(s->seed, file->bytes + secret_bytes, DM_OLD_SEED_BYTES);
}

static enum dm_status missing(const char *lake, const char *what, struct dm_error *err)
{
    return dm_fail(
        err, DM_ERROR_CONFIG,
        "put it back from a backup of the lake; without it nothing could keep deleted keys out, or tell "
        "which files were taken in",
        "%s/.secret %s", lake, what);
}

/* What there is of it. */
struct present {
    bool old;   /* the catalog has the seed of an older version */
    bool known; /* the catalog has a check value */
    bool used;  /* there are suppressed keys */
    uint8_t seed[DM_OLD_SEED_BYTES], check[DM_SHA256_BYTES];
    struct contents file;
};

static enum dm_status look_into_catalog(struct sqlite3 *db, struct present *p, struct dm_error *err)
{
    uint8_t any[DM_KEY_HASH_BYTES];
    bool marked = false;
    if (get_blob(db, "dm_suppression_secret", "SELECT secret FROM dm_suppression_secret WHERE id = 1",
                 p->seed, sizeof p->seed, &p->old, err) != DM_OK ||
        get_blob(db, "dm_suppression_check", "SELECT value FROM dm_suppression_check WHERE id = 1", p->check,
                 sizeof p->check, &p->known, err) != DM_OK ||
        get_blob(db, "dm_suppression", "SELECT hash FROM dm_suppression LIMIT 1", any, sizeof any, &p->used,
                 err) != DM_OK ||
        get_blob(db, "dm_suppression_marked", "SELECT hash FROM dm_suppression_marked LIMIT 1", any,
                 sizeof any, &marked, err) != DM_OK)
        return DM_FAIL;
    p->used |= marked;
    return DM_OK;
}

static bool is_of_check(const struct present *p)
{
    struct dm_lake_secret s = {0};
    uint8_t expected[DM_SHA256_BYTES];
    take(&p->file, &s);
    check_value(&s, expected);
    return p->known && memcmp(p->check, expected, sizeof expected) == 0;
}

/* Reads the file; an error: the lake needs a secret, and this is not it. */
static enum dm_status look_at_file(struct sqlite3 *db, const char *lake, struct present *p,
                                   struct dm_error *err)
{
    bool needed = p->used || (p->known && has_receipts(db)), foreign = false;
    if (read_file(lake, &p->file, err) != DM_OK)
        return DM_FAIL;
    if (p->file.n == 0)
        return needed && !p->old ? missing(lake, "is not there", err) : DM_OK;
    if (p->old)
        foreign = p->used && (p->file.n != sizeof p->file.bytes ||
                              memcmp(p->seed, p->file.bytes + secret_bytes, sizeof p->seed) != 0);
    else
        foreign = needed && p->known && !is_of_check(p);
    return foreign ? missing(lake, "is another lake's", err) : DM_OK;
}

enum dm_status dm_lake_secret_check(struct sqlite3 *db, const char *lake, struct dm_error *err)
{
    struct present p = {0};
    return look_into_catalog(db, &p, err) == DM_OK ? look_at_file(db, lake, &p, err) : DM_FAIL;
}

enum dm_status dm_lake_secret_open(struct sqlite3 *db, const char *lake, bool create,
                                   struct dm_lake_secret *s, struct dm_error *err)
{
    struct present p = {0};
    *s = (struct dm_lake_secret){0};
    if (look_into_catalog(db, &p, err) != DM_OK)
        return DM_FAIL;
    if (!create && p.old) {
        memcpy(s->seed, p.seed, sizeof s->seed);
        return DM_OK;
    }
    if (!create && !p.used) { /* nothing is compared with what the lake has */
        if (getrandom(p.file.bytes, secret_bytes, 0) != (ssize_t)secret_bytes)
            return dm_fail_errno(err, "cannot get random bytes");
        p.file.n = secret_bytes;
        take(&p.file, s);
        return DM_OK;
    }
    if (look_at_file(db, lake, &p, err) != DM_OK)
        return DM_FAIL;
    if (p.file.n == 0 && make_file(lake, p.old && p.used ? p.seed : NULL, &p.file, err) != DM_OK)
        return DM_FAIL;
    take(&p.file, s);
    if (p.old)
        return convert(db, s, err);
    return is_of_check(&p) || !create ? DM_OK : put_check(db, s, err);
}

void dm_lake_secret_hash(const struct dm_lake_secret *s, const uint8_t *key, size_t n,
                         uint8_t out[DM_KEY_HASH_BYTES])
{
    uint8_t digest[DM_SHA256_BYTES];
    XXH128_canonical_t inner;
    if (s->chained || !s->keyed) {
        XXH128_canonicalFromHash(&inner, XXH3_128bits_withSecret(key, n, s->seed, sizeof s->seed));
        key = inner.digest;
        n = sizeof inner.digest;
    }
    if (s->keyed)
        dm_hmac(&s->key, key, n, digest);
    memcpy(out, s->keyed ? digest : key, DM_KEY_HASH_BYTES);
}
