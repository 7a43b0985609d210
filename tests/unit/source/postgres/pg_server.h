/* pg_server.h — a PostgreSQL server of one's own for a test: temporary folder, unix socket only, gone afterwards
 * (at the latest when the test program ends).
 *
 *     struct pg_server server;
 *     if (!pg_server_start(&server, "extra = setting\n")) skip();
 *     … server.url …
 *     pg_server_stop(&server);
 */
#ifndef TESTS_PG_SERVER_H
#define TESTS_PG_SERVER_H

#include <dirent.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../temp_folder.h"

struct pg_server {
    char folder[64];
    char bin[128];
    char url[160];
    const char *as_user; /* "runuser -u postgres -- " as root */
};

static struct pg_server *pg_server_running;

/* The newest of /usr/lib/postgresql/<n>/bin; false when there is none. */
static inline bool pg_server_find(char *out, size_t size)
{
    int newest = 0;
    DIR *dir = opendir("/usr/lib/postgresql");
    for (struct dirent *e = dir != NULL ? readdir(dir) : NULL; e != NULL; e = readdir(dir))
        if (atoi(e->d_name) > newest)
            newest = atoi(e->d_name);
    if (dir != NULL)
        closedir(dir);
    (void)snprintf(out, size, "/usr/lib/postgresql/%d/bin", newest);
    return newest > 0;
}

static inline int pg_server_command(const struct pg_server *s, const char *command)
{
    char line[1024];
    (void)snprintf(line, sizeof line, "cd %s && %s%s/%s >>%s/commands.log 2>&1", s->folder, s->as_user,
                   s->bin, command, s->folder);
    return system(line);
}

static inline bool pg_server_launch(struct pg_server *s)
{
    char command[512];
    (void)snprintf(command, sizeof command, "pg_ctl -D %s/data -l %s/server.log -w -t 60 start", s->folder,
                   s->folder);
    return pg_server_command(s, command) == 0;
}

static inline void pg_server_halt(struct pg_server *s, const char *mode)
{
    char command[256];
    (void)snprintf(command, sizeof command, "pg_ctl -D %s/data -m %s -w stop", s->folder, mode);
    (void)pg_server_command(s, command);
}

static inline void pg_server_stop(struct pg_server *s)
{
    pg_server_halt(s, "immediate");
    pg_server_running = NULL;
    char line[128];
    (void)snprintf(line, sizeof line, "rm -rf %s", s->folder);
    (void)!system(line);
}

static inline void pg_server_stop_running(void)
{
    if (pg_server_running != NULL)
        pg_server_stop(pg_server_running);
}

static inline bool pg_server_start(struct pg_server *s, const char *settings)
{
    *s = (struct pg_server){.as_user = geteuid() == 0 ? "runuser -u postgres -- " : ""};
    if (!pg_server_find(s->bin, sizeof s->bin))
        return false;
    (void)snprintf(s->folder, sizeof s->folder, "/tmp/dm_pg_XXXXXX");
    if (!temp_folder_make(s->folder))
        return false;
    const struct passwd *owner = geteuid() == 0 ? getpwnam("postgres") : NULL;
    if (owner != NULL && chown(s->folder, owner->pw_uid, owner->pw_gid) != 0)
        return false;
    char command[512];
    (void)snprintf(command, sizeof command,
                   "initdb -D %s/data -A trust -U postgres -E UTF8 --locale=C --no-sync", s->folder);
    if (pg_server_command(s, command) != 0)
        return false;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/data/postgresql.conf", s->folder);
    FILE *conf = fopen(path, "a");
    if (conf == NULL)
        return false;
    fprintf(conf,
            "\nlisten_addresses = ''\nunix_socket_directories = '%s'\nwal_level = logical\nfsync = off\n"
            "max_wal_senders = 10\nmax_replication_slots = 10\nmax_prepared_transactions = 5\n%s",
            s->folder, settings);
    (void)fclose(conf);
    (void)snprintf(s->url, sizeof s->url, "host=%s user=postgres dbname=postgres", s->folder);
    if (!pg_server_launch(s))
        return false;
    pg_server_running = s;
    return atexit(pg_server_stop_running) == 0;
}

/* Runs SQL; on a failure prints it and ends the test program. */
static inline void pg_server_sql(PGconn *conn, const char *sql)
{
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fprintf(stderr, "%s\n%s", sql, PQerrorMessage(conn));
        exit(1);
    }
    PQclear(result);
}

#endif
