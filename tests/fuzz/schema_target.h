/* schema_target.h — what the fuzz targets of the readers of schemas share: the text is read, resolved and checked; what passes is compared, written as JSON and
 * read back, which must give the same; and printed. */
#ifndef DM_FUZZ_SCHEMA_TARGET_H
#define DM_FUZZ_SCHEMA_TARGET_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "registry/schema_diff.h"
#include "registry/schema_json.h"
#include "registry/schema_print.h"
#include "registry/schema_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void print(const struct dm_relational_schemas *list)
{
    struct dm_buffer b;
    struct dm_error err = {0};
    dm_buffer_init(&b, 64 << 20);
    for (size_t i = 0; i < list->n; i++)
        if (dm_schema_print_ddl(list->items[i], (enum dm_ddl_dialect)(i % 6), &b, &err) != DM_OK)
            break;
    if (dm_schemas_print_mermaid(list, &b, &err) != DM_OK && err.message[0] == '\0')
        abort();
    dm_buffer_release(&b);
}

static inline void there_and_back(const struct dm_relational_schemas *list)
{
    struct dm_relational_schemas back = {0};
    struct dm_schema_read_options o = {.file = "back"};
    struct dm_error err = {0};
    json_t *document = dm_schemas_to_json(list);
    if (dm_schemas_from_json(document, &o, &back, &err) != DM_OK ||
        dm_schemas_resolve(&back, NULL, &err) != DM_OK || back.n != list->n)
        abort();
    for (size_t i = 0; i < list->n; i++) {
        struct dm_schema_changes changes;
        dm_schema_diff(list->items[i], back.items[i], &changes);
        if (changes.n > 0)
            abort();
        dm_schema_changes_release(&changes);
    }
    json_decref(document);
    dm_relational_schemas_release(&back);
}

static inline int read_any(const uint8_t *data, size_t size, enum dm_schema_format format)
{
    struct dm_relational_schemas list = {0};
    struct dm_names notes = {0};
    struct dm_error err = {0};
    struct dm_schema_read_options o = {.file = "fuzz",
                                       .format = format,
                                       .dialect = format == DM_SCHEMA_DDL && size > 0 ? data[0] % 6
                                                                                      : DM_DIALECT_AUTO,
                                       .version = "v",
                                       .timestamp = "t"};
    if (size > 65536) /* long names make the comparisons slow, and find nothing new */
        return 0;
    enum dm_status status = dm_schema_text_read((const char *)data, size, &o, &list, &notes, &err);
    if (status == DM_OK)
        status = dm_schemas_resolve(&list, NULL, &err);
    if (status == DM_OK)
        status = dm_schemas_check(&list, NULL, &err);
    if (status == DM_OK) {
        there_and_back(&list);
        print(&list);
    } else if (err.class != DM_ERROR_CONFIG || err.message[0] == '\0') {
        abort();
    }
    dm_relational_schemas_release(&list);
    dm_names_release(&notes);
    return 0;
}

#endif
