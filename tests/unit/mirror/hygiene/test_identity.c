/* Documented identities as keys and conditions of datasets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "mirror/hygiene/identity.h"

static void add(struct dm_relational_schemas *all, const char *name, const char *key, const char *column)
{
    struct dm_relational_schema *s = dm_relational_schema_new(name);
    dm_relational_schema_add(s, "id", dm_type_of(DM_INT64))->required = true;
    dm_relational_schema_add(s, "v", dm_type_of(DM_INT64))->required = true;
    if (column != NULL)
        dm_relational_schema_add(s, column, dm_type_of(DM_STRING));
    if (key != NULL)
        dm_names_add(&s->key, key);
    s->version = strdup("v");
    dm_relational_schemas_add(all, s);
}

static struct dm_relational_schemas schemas(void)
{
    struct dm_relational_schemas all = {0};
    add(&all, "s.people", "id", "E_Mail");
    add(&all, "s.pairs", "id", "e\"mail");
    dm_names_add(&all.items[1]->key, "v");
    add(&all, "s.draft", NULL, "E_Mail");
    add(&all, "shop.log", NULL, "e_mail"); /* a mirrored table without key */
    free(all.items[3]->origin);
    all.items[3]->origin = strdup("shop");
    return all;
}

/* The targets as text; or the error's message behind "!". malloc'ed. */
static char *read_as(const char *body_text, const char *dataset, char **notes_text)
{
    struct dm_relational_schemas all = schemas();
    const struct dm_relational_schema *only =
        dataset != NULL ? dm_relational_schemas_find(&all, dataset) : NULL;
    json_t *body = json_loads(body_text, 0, NULL), *targets = NULL, *notes = NULL;
    assert_non_null(body);
    struct dm_error err = {0};
    char *text = NULL;
    if (dm_identities_to_targets(&all, only, body, &targets, &notes, &err) == DM_OK) {
        text = json_dumps(targets, JSON_COMPACT);
        if (notes_text != NULL)
            *notes_text = json_dumps(notes, JSON_COMPACT);
    } else {
        assert_int_equal(err.class, DM_ERROR_CONFIG);
        assert_null(targets);
        text = malloc(sizeof err.message + 1);
        text[0] = '!';
        memcpy(text + 1, err.message, sizeof err.message);
    }
    json_decref(targets);
    json_decref(notes);
    json_decref(body);
    dm_relational_schemas_release(&all);
    return text;
}

static void gives(const char *body, const char *dataset, const char *expected)
{
    char *text = read_as(body, dataset, NULL);
    assert_string_equal(text, expected);
    free(text);
}

static void refused(const char *body, const char *dataset, const char *words)
{
    char *text = read_as(body, dataset, NULL);
    if (text[0] != '!' || strstr(text, words) == NULL)
        fail_msg("%s: %s", body, text);
    free(text);
}

#define ONE(namespace, id) "{\"identities\":[{" namespace "\"id\":" id "}]}"
#define CODE(code) "\"namespace\":{\"code\":\"" code "\"},"

static void of_one_dataset(void **state)
{
    (void)state;
    static const char key[] = "[{\"dataset\":\"s.people\",\"keys\":[\"7\"]}]";
    gives(ONE(CODE("id"), "\"7\""), "s.people", key);
    gives(ONE(CODE("ID"), "7"), "s.people", key);
    gives(ONE(CODE("primaryKey"), "\"7\""), "s.people", key);
    gives(ONE("", "\"7\""), "s.people", key);
    gives(ONE("\"namespace\":\"id\",", "\"7\""), "s.people", key);
    gives(ONE("", "\"7,1\""), "s.pairs", "[{\"dataset\":\"s.pairs\",\"keys\":[\"7,1\"]}]");
    gives(ONE(CODE("id"), "\"7\""), "s.pairs", /* one of two key columns is no key */
          "[{\"dataset\":\"s.pairs\",\"where\":\"CAST(\\\"id\\\" AS VARCHAR) IN ('7')\"}]");
    gives(ONE(CODE("e-mail"), "\"o'x\""), "s.people",
          "[{\"dataset\":\"s.people\",\"where\":\"CAST(\\\"E_Mail\\\" AS VARCHAR) IN ('o''x')\"}]");
    gives(ONE(CODE("e\\\"mail"), "\"x\""), "s.pairs",
          "[{\"dataset\":\"s.pairs\",\"where\":\"CAST(\\\"e\\\"\\\"mail\\\" AS VARCHAR) IN ('x')\"}]");
    gives("{\"namespacesIdentities\":[{\"namespace\":{\"code\":\"e_mail\"},\"IDs\":[\"a\",\"b\"]},{"
          "\"namespace\":{\"code\":\"E_MAIL\"},\"IDs\":"
          "[\"c\"]},{\"namespace\":{\"code\":\"id\"},\"IDs\":[1]}]}",
          "s.people",
          "[{\"dataset\":\"s.people\",\"where\":\"CAST(\\\"E_Mail\\\" AS VARCHAR) IN ('a', 'b', "
          "'c')\"},{\"dataset\":\"s.people\",\"keys\":[\"1\"]}]");
    refused(ONE(CODE("ECID"), "\"7\""), "s.people", "namespace \"ECID\": s.people has no such column");
}

static void of_all_datasets(void **state)
{
    (void)state;
    char *notes = NULL;
    char *text = read_as(ONE(CODE("e_mail"), "\"a\""), NULL, &notes);
    assert_string_equal(
        text, "[{\"dataset\":\"s.people\",\"where\":\"CAST(\\\"E_Mail\\\" AS VARCHAR) IN ('a')\"}]");
    assert_string_equal(notes, "[\"shop.log has a column e_mail and no key: its rows stay\"]");
    free(text);
    free(notes);
    text = read_as("{\"identities\":[{\"namespace\":{\"code\":\"id\"},\"id\":\"1\"},{\"namespace\":{\"code\":"
                   "\"ECID\"},\"id\":\"1\"}]}",
                   NULL, &notes);
    assert_non_null(strstr(text, "s.people"));
    assert_non_null(strstr(text, "s.pairs"));
    assert_null(strstr(text, "s.draft"));
    assert_non_null(strstr(notes, "no dataset has a column \\\"ECID\\\""));
    free(text);
    free(notes);
    refused(ONE(CODE("ECID"), "\"1\""), NULL, "nothing could be deleted");
    refused(ONE("", "\"1\""), NULL, "needs a namespace");
    refused(ONE(CODE("primaryKey"), "\"1\""), NULL, "needs a namespace");
}

static void shapes(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}",
        "{\"identities\":[]}",
        "{\"identities\":{}}",
        "{\"identities\":[\"a\"]}",
        "{\"identities\":[5]}",
        "{\"identities\":[{}]}",
        "{\"identities\":[{\"id\":\"\"}]}",
        "{\"identities\":[{\"id\":null}]}",
        "{\"identities\":[{\"id\":{\"a\":1}}]}",
        "{\"identities\":[{\"namespace\":{},\"id\":\"1\"}]}",
        "{\"identities\":[{\"namespace\":7,\"id\":\"1\"}]}",
        "{\"namespacesIdentities\":[{\"namespace\":{\"code\":\"id\"},\"IDs\":[]}]}",
        "{\"namespacesIdentities\":[{\"namespace\":{\"code\":\"id\"},\"IDs\":[true]}]}",
        "{\"namespacesIdentities\":[{\"namespace\":{\"code\":\"id\"},\"IDs\":\"1\"}]}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(bad[i], "s.people", "dentities");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_one_dataset),
        cmocka_unit_test(of_all_datasets),
        cmocka_unit_test(shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
