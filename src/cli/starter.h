/* starter.h — the text of a starter mirror.yaml, made of what a source has. Pure: no files, no connections.
 *
 *     struct dm_starter s;
 *     dm_starter_init(&s, "postgresql://me:pw@host/shop", NULL, err);   // what kind, which name, where the password goes
 *     dm_starter_write(&s, "./lake", &tables, &text, err);              // SHOP_PASSWORD instead of pw
 *     dm_starter_release(&s);
 */
#ifndef DM_CLI_STARTER_H
#define DM_CLI_STARTER_H

#include "base/buffer.h"
#include "source/source.h"

struct dm_starter {
    char *name;              /* of the source; lower-case letters, digits, _ */
    const char *type;        /* postgres or sqlite */
    char *place;             /* URL or path as given: to connect with */
    char *written;           /* as it stands in the file: the password is ${…} */
    char *password_variable; /* "SHOP_PASSWORD"; NULL: no password in the URL */
};

/* `source` is a PostgreSQL URL or keyword string, a path of a SQLite file, or sqlite:PATH. `name` NULL: made of the database's name. */
enum dm_status dm_starter_init(struct dm_starter *s, const char *source, const char *name,
                               struct dm_error *err) DM_MUST_USE;
void dm_starter_release(struct dm_starter *s);
/* A configuration of this source alone, with defaults, to connect with. Freed with dm_config_free. */
enum dm_status dm_starter_config(const struct dm_starter *s, struct dm_config **out,
                                 struct dm_error *err) DM_MUST_USE;
/* Appends the whole file. `tables` may hold tables with problems; NULL: nothing was looked at. */
enum dm_status dm_starter_write(const struct dm_starter *s, const char *lake,
                                const struct dm_table_list *tables, struct dm_buffer *out,
                                struct dm_error *err) DM_MUST_USE;

#endif
