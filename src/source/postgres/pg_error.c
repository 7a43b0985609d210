/* What went wrong, in the server's or libpq's words, with class and remedy: SQLSTATE decides, where texts say no more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "source/postgres/pg_connection.h"

/* In hints <user> and <database> are replaced by the connection's, quoted as SQL wants them. */
struct state_rule {
    const char *state; /* a SQLSTATE, or its first two letters for the whole class */
    enum dm_error_class class;
    const char *hint;
};

static const struct state_rule state_rules[] = {
    {"28P01", DM_ERROR_CONFIG,
     "check user and password in url: (or in ~/.pgpass); a value of ${NAME} in it is taken as it is, not "
     "percent-encoded"},
    {"28", DM_ERROR_CONFIG,
     "allow the user in the server's pg_hba.conf; replication needs its own line: host replication <user> "
     "<address> scram-sha-256 (a logical connection is matched by its database name)"},
    {"3D000", DM_ERROR_CONFIG, "check the database name in url:"},
    {"42501", DM_ERROR_CONFIG,
     "give the mirror's user what is missing: ALTER ROLE <user> REPLICATION; GRANT CREATE ON DATABASE "
     "<database> "
     "TO <user>; GRANT SELECT ON the tables TO <user>; publications need the owner of the tables"},
    {"42704", DM_ERROR_CONFIG, NULL},
    {"42", DM_ERROR_CONFIG, NULL},
    {"53400", DM_ERROR_CONFIG,
     "all replication slots are in use: raise max_replication_slots (a copy needs one more than the stream) "
     "or drop unused slots"},
    {"53300", DM_ERROR_TRANSIENT, "too many connections: raise max_connections or max_wal_senders"},
    {"53", DM_ERROR_TRANSIENT, NULL},
    {"08", DM_ERROR_TRANSIENT, NULL},
    {"40", DM_ERROR_TRANSIENT, NULL},
    {"55006", DM_ERROR_TRANSIENT,
     "another process uses it: stop the other mirror, or wait until the server notices "
     "that a dead connection is gone (wal_sender_timeout)"},
    {"55P03", DM_ERROR_TRANSIENT, NULL},
    {"55", DM_ERROR_CONFIG, NULL},
    {"57", DM_ERROR_TRANSIENT, NULL},
    {"58", DM_ERROR_TRANSIENT, NULL},
    {"XX", DM_ERROR_TRANSIENT, NULL},
    {"22", DM_ERROR_CONFIG, NULL},
    {"25006", DM_ERROR_CONFIG,
     "the server is a standby, or default_transaction_read_only is on for <user>: a mirror makes a slot and "
     "publications, on the primary"},
    {"25", DM_ERROR_TRANSIENT, NULL},
};

/* Texts that say more than their SQLSTATE (they are looked for in English; elsewhere the SQLSTATE decides). */
struct text_rule {
    const char *text;
    const char *also; /* NULL: the one is enough */
    struct state_rule rule;
};

#define TEXT(text, also, class, hint) \
    { \
        text, also, \
        { \
            NULL, class, hint \
        } \
    }

static const struct text_rule text_rules[] = {
    TEXT("can no longer get changes from replication slot", NULL, DM_ERROR_CONFLICT,
         "the server removed log that the mirror had not read yet (max_slot_wal_keep_size): run datamirror "
         "resync "
         "--all"),
    TEXT("can no longer access replication slot", NULL, DM_ERROR_CONFLICT,
         "the slot was invalidated: run datamirror resync --all"),
    TEXT("publication \"", "does not exist", DM_ERROR_CONFLICT,
         "the publication was made after the log that the slot still has to read: run datamirror resync "
         "--all"),
    TEXT("invalid memory alloc request size", NULL, DM_ERROR_CONFIG,
         "a row's text is longer than the server can send (1 GB): leave its column out with exclude_columns, "
         "then run datamirror resync --all"),
    TEXT("invalid snapshot identifier", NULL, DM_ERROR_TRANSIENT,
         "the exported snapshot is gone (its connection was lost); the copy starts again"),
    TEXT("wal_level", NULL, DM_ERROR_CONFIG,
         "set wal_level = logical in postgresql.conf and restart the server"),
    TEXT("number of requested standby connections", NULL, DM_ERROR_TRANSIENT, "raise max_wal_senders"),
    TEXT("must be superuser or replication role", NULL, DM_ERROR_CONFIG, "ALTER ROLE <user> REPLICATION"),
    TEXT("permission denied to start WAL sender", NULL, DM_ERROR_CONFIG, "ALTER ROLE <user> REPLICATION"),
    TEXT("permission denied to use replication slots", NULL, DM_ERROR_CONFIG,
         "ALTER ROLE <user> REPLICATION"),
    TEXT("permission denied for database", NULL, DM_ERROR_CONFIG,
         "GRANT CONNECT ON DATABASE <database> TO <user>; to create publications also GRANT CREATE"),
    TEXT("row-level security", NULL, DM_ERROR_CONFIG,
         "row security would hide rows from the mirror: ALTER ROLE <user> BYPASSRLS, or disable row security "
         "on the "
         "table"),
    TEXT("affected by row-level", NULL, DM_ERROR_CONFIG, "ALTER ROLE <user> BYPASSRLS"),
    TEXT("password authentication failed", NULL, DM_ERROR_CONFIG,
         "check user and password in url: (or in ~/.pgpass); a value of ${NAME} in it is taken as it is, not "
         "percent-encoded"),
    TEXT("no password supplied", NULL, DM_ERROR_CONFIG, "give a password in url: (or in ~/.pgpass)"),
    TEXT("role \"", "does not exist", DM_ERROR_CONFIG,
         "check the user in url:, or make the role: CREATE ROLE <user> LOGIN REPLICATION"),
    TEXT("is not permitted to log in", NULL, DM_ERROR_CONFIG, "ALTER ROLE <user> LOGIN"),
    TEXT("no pg_hba.conf entry", "no encryption", DM_ERROR_CONFIG,
         "allow the user in the server's pg_hba.conf; where its lines are of type hostssl, set "
         "sslmode=require in url:"),
    TEXT("no pg_hba.conf entry", NULL, DM_ERROR_CONFIG, "allow the user in the server's pg_hba.conf"),
    TEXT("SSL was required", NULL, DM_ERROR_CONFIG,
         "the server speaks no TLS, and sslmode in url: wants it: turn on ssl in postgresql.conf, or lower "
         "sslmode"),
    TEXT("GSSAPI encryption required", NULL, DM_ERROR_CONFIG, "lower gssencmode in url:"),
    TEXT("root certificate", NULL, DM_ERROR_CONFIG,
         "sslmode in url: wants the server's certificate checked: name the file of the authority with "
         "sslrootcert="),
    TEXT("certificate verify failed", NULL, DM_ERROR_CONFIG,
         "the server's certificate is of no authority in sslrootcert: it is the wrong file, or not the right "
         "server"),
    TEXT("does not match host name", NULL, DM_ERROR_CONFIG,
         "sslmode=verify-full wants the host in url: to be one that the server's certificate names"),
    TEXT("certificate file", NULL, DM_ERROR_CONFIG, "check sslcert and sslkey in url:"),
    TEXT("private key file", NULL, DM_ERROR_CONFIG, "check sslcert, sslkey and sslpassword in url:"),
    TEXT("sslmode value", NULL, DM_ERROR_CONFIG,
         "sslmode is disable, allow, prefer, require, verify-ca or verify-full"),
    TEXT("invalid port number", NULL, DM_ERROR_CONFIG, "check the port in url:"),
    TEXT("invalid integer value", NULL, DM_ERROR_CONFIG, "check the port and the times in url:"),
    TEXT("service file", NULL, DM_ERROR_CONFIG, "check service in url: and the file ~/.pg_service.conf"),
    TEXT("definition of service", NULL, DM_ERROR_CONFIG,
         "check service in url: and the file ~/.pg_service.conf"),
    TEXT("could not translate host name", NULL, DM_ERROR_TRANSIENT, "check the host name in url:"),
};

static const struct state_rule *rule_of(const char *state, const char *message)
{
    for (size_t i = 0; i < sizeof text_rules / sizeof *text_rules; i++)
        if (strstr(message, text_rules[i].text) != NULL &&
            (text_rules[i].also == NULL || strstr(message, text_rules[i].also) != NULL))
            return &text_rules[i].rule;
    for (size_t i = 0; state != NULL && i < sizeof state_rules / sizeof *state_rules; i++)
        if (strncmp(state, state_rules[i].state, strlen(state_rules[i].state)) == 0)
            return &state_rules[i];
    return NULL;
}

static void trim(char *text)
{
    for (size_t n = strlen(text); n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '); n--)
        text[n - 1] = '\0';
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\n')
            *c = ' ';
}

/* Every `what` in the text by `with`, into a new one. */
static char *replaced(const char *text, const char *what, const char *with)
{
    size_t n = 0, step = strlen(what);
    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + step, what))
        n++;
    char *out = dm_xzalloc(strlen(text) + n * strlen(with) + 1, 1), *o = out;
    for (const char *at = text, *next; *at != '\0'; at = next + step) {
        next = strstr(at, what);
        if (next == NULL) {
            memcpy(o, at, strlen(at));
            break;
        }
        memcpy(o, at, (size_t)(next - at));
        o += next - at;
        memcpy(o, with, strlen(with));
        o += strlen(with);
    }
    return out;
}

static void replace(char **text, const char *what, const char *with)
{
    char *next = replaced(*text, what, with);
    free(*text);
    *text = next;
}

static char *hint_for(PGconn *conn, const char *hint)
{
    char *out = dm_xstrdup(hint != NULL ? hint : "");
    char *user = pg_quote(PQuser(conn) != NULL ? PQuser(conn) : "?"),
         *database = pg_quote(PQdb(conn) != NULL ? PQdb(conn) : "?");
    replace(&out, "<user>", user);
    replace(&out, "<database>", database);
    free(user);
    free(database);
    return out;
}

/* No message has a reason to hold a secret; should one, it goes no further. */
static char *without_secrets(PGconn *conn, const char *text)
{
    char *out = dm_xstrdup(text);
    PQconninfoOption *options = PQconninfo(conn);
    for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
        if (strstr(o->keyword, "password") != NULL && o->val != NULL && strlen(o->val) >= 4)
            replace(&out, o->val, "***");
    PQconninfoFree(options);
    return out;
}

static enum dm_status fail(struct dm_error *err, PGconn *conn, enum dm_error_class class, const char *hint,
                           const char *what, const char *message, const char *state)
{
    char *text = without_secrets(conn, message), *for_us = hint_for(conn, hint);
    enum dm_status status = dm_fail(err, class, for_us, "%s: %s%s%s%s", what, text, state != NULL ? " [" : "",
                                    state != NULL ? state : "", state != NULL ? "]" : "");
    free(text);
    free(for_us);
    return status;
}

enum dm_status pg_fail(struct dm_error *err, PGconn *conn, const PGresult *result, const char *what)
{
    const char *state = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *text = result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    if (text == NULL)
        text = result != NULL && PQresultErrorMessage(result)[0] != '\0' ? PQresultErrorMessage(result)
                                                                         : PQerrorMessage(conn);
    const char *detail = result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL) : NULL;
    char message[700];
    (void)snprintf(message, sizeof message, "%s%s%s%s%s", text, detail != NULL ? " (" : "",
                   detail != NULL ? detail : "", detail != NULL ? ")" : "",
                   text[0] == '\0' ? "the connection was closed" : "");
    trim(message);
    const struct state_rule *rule = rule_of(state, message);
    /* a broken connection is always worth another try, whatever was being said */
    bool broken = PQstatus(conn) == CONNECTION_BAD;
    enum dm_error_class class = rule != NULL              ? rule->class
                                : broken || state == NULL ? DM_ERROR_TRANSIENT
                                                          : DM_ERROR_FATAL;
    return fail(err, conn, class, rule != NULL ? rule->hint : NULL, what, message, state);
}

/* Before the first query there is no result, only text: "FATAL:  28P01: password …" thanks to verbose errors. */
enum dm_status pg_fail_connect(struct dm_error *err, PGconn *conn)
{
    char message[700], state[6] = "";
    (void)snprintf(message, sizeof message, "%s", PQerrorMessage(conn));
    trim(message);
    const char *fatal = strstr(message, "FATAL:  ");
    if (fatal != NULL && strlen(fatal) > 13 && fatal[13] == ':')
        (void)snprintf(state, sizeof state, "%.5s", fatal + 8);
    char *location = strstr(message, " LOCATION:");
    if (location != NULL)
        *location = '\0';
    const struct state_rule *rule = rule_of(state[0] != '\0' ? state : NULL, message);
    return fail(err, conn, rule != NULL ? rule->class : DM_ERROR_TRANSIENT,
                rule != NULL && rule->hint != NULL
                    ? rule->hint
                    : "check that the server runs and that host and port in url: are right",
                "cannot connect", message, NULL);
}
