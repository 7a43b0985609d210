/* Any text as a value of any type: a value, or a refusal that leaves the column as it was and says why in valid UTF-8. The two first bytes choose
 * the type. A value's own spelling must read back as the same value. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "column/key.h"
#include "column/value_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good)
{
    if (!good)
        abort();
}

/* Types whose spelling by dm_key_text is one that is accepted (floats are spelled as short as possible, which is not always exact). */
static bool reads_back(enum dm_type_id id)
{
    return id != DM_STRING && id != DM_BINARY && id != DM_LIST && id != DM_FLOAT32 && id != DM_FLOAT64;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    enum dm_type_id id = (enum dm_type_id)(DM_BOOL + data[0] % (DM_UUID - DM_BOOL + 1));
    struct dm_type type = dm_type_of(id);
    if (id == DM_DECIMAL) {
        int precision = 1 + data[1] % 38;
        type = dm_type_decimal(precision, data[1] / 38 % (precision + 1));
    }
    if (data[0] >= 128)
        type = dm_type_list(type);
    struct dm_schema *schema = dm_schema_new();
    dm_schema_add(schema, "v", type);
    dm_schema_add_key(schema, 0);
    struct dm_batch *b = dm_batch_new(schema);
    struct dm_column *c = &b->columns[0];
    struct dm_value_problem problem = {0};
    if (dm_value_parse(c, (const char *)data + 2, size - 2, &problem)) {
        require(c->length == 1 && c->state[0] == DM_VALID);
        dm_batch_end_row(b, DM_OP_UPDATE);
        char text[256];
        (void)dm_key_text(b, 0, text, sizeof text);
        if (reads_back((enum dm_type_id)type.id) && (text[0] != '-' || id != DM_TIMESTAMP)) {
            bool wide = strlen(text) > 5 && text[0] >= '1' && text[0] <= '9' && text[4] != '-' &&
                        (id == DM_DATE || id == DM_TIMESTAMP || id == DM_TIMESTAMPTZ);
            if (!wide) { /* years of five digits are spelled without the sign that reading wants */
                require(dm_value_parse(c, text, strlen(text), &problem));
                require(c->length == 2 && dm_column_value_equal(c, 0, c, 1));
            }
        }
    } else {
        require(c->length == 0 && (c->child == NULL || c->child->length == 0) && c->bytes.len == 0);
        require(problem.reason != NULL && problem.message[0] != '\0');
        size_t n = strlen(problem.message);
        require(n < sizeof problem.message - 1 && dm_utf8_valid((const uint8_t *)problem.message, n));
    }
    dm_batch_free(b);
    dm_schema_unref(schema);
    return 0;
}
