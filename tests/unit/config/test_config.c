/* mirror.yaml: what is read, what is refused, and what the refusal says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/options.h"

static struct dm_config *parse(const char *text)
{
    struct dm_config *config = NULL;
    struct dm_error err = {0};
    if (dm_config_parse(text, strlen(text), "conf/mirror.yaml", &config, &err) != DM_OK)
        fail_msg("%s", err.message);
    return config;
}

/* The text must be refused as CONFIG with these words in message and hint. */
static void refused(const char *text, const char *message, const char *hint)
{
    struct dm_config *config = NULL;
    struct dm_error err = {0};
    if (dm_config_parse(text, strlen(text), "mirror.yaml", &config, &err) == DM_OK) {
        dm_config_free(config);
        fail_msg("accepted: %s", text);
    }
    assert_null(config);
    assert_int_equal(err.class, DM_ERROR_CONFIG);
    if (strstr(err.message, message) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.message, message);
    if (hint != NULL && strstr(err.hint, hint) == NULL)
        fail_msg("hint \"%s\" lacks \"%s\"", err.hint, hint);
}

static void test_defaults(void **state)
{
    (void)state;
    struct dm_config *c = parse("sources:\n  shop:\n    type: postgres\n    url: postgresql:///shop\n");
    assert_string_equal(c->lake, "conf/lake");
    assert_string_equal(c->catalog_name, "datamirror");
    assert_int_equal(c->format_version, 3);
    assert_int_equal(c->commit_interval_ms, 1000);
    assert_int_equal(c->commit_bytes, 64 << 20);
    assert_int_equal(c->memory_limit, 512 << 20);
    assert_int_equal(c->target_file_bytes, 128 << 20);
    assert_string_equal(c->compression, "zstd");
    assert_int_equal(c->metadata_versions, 100);
    assert_int_equal(c->snapshot_retention_ms, INT64_C(7) * 24 * 3600 * 1000);
    assert_int_equal(c->retry_max_ms, 60000);
    assert_int_equal(c->n_sources, 1);
    const struct dm_source_config *s = dm_config_source(c, "shop");
    assert_non_null(s);
    assert_null(dm_config_source(c, "sho"));
    assert_string_equal(s->slot, "datamirror_shop");
    assert_string_equal(s->publication, "datamirror_shop");
    assert_true(s->publish_via_root);
    assert_false(s->failover);
    assert_false(s->history);
    assert_int_equal(s->heartbeat_interval_ms, 10000);
    assert_int_equal(s->copy_workers, 2);
    assert_string_equal(s->time_as, "time");
    assert_int_equal(s->n_tables, 1);
    assert_int_equal(s->tables[0].history, -1);
    assert_non_null(dm_config_table(s, "sales", "orders"));
    dm_config_free(c);
}

static void test_without_databases(void **state)
{
    (void)state;
    static const char *const texts[] = {"lake: x\n", "sources:\n", "sources: {}\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct dm_config *c = parse(texts[i]);
        assert_int_equal(c->n_sources, 0);
        dm_config_free(c);
    }
    struct dm_config *c =
        parse("sources:\n  a: {type: files, path: in, dataset: sales.orders}\n"
              "  b: {type: files, path: in, dataset: sales.items, pattern: '*.gz', format: json,\n"
              "      poll_interval: 5s, on_bad_file: skip, strict_columns: true, null_text: '-'}\n");
    const struct dm_source_config *a = dm_config_source(c, "a");
    assert_string_equal(a->path, "conf/in");
    assert_string_equal(a->dataset, "sales.orders");
    assert_string_equal(a->pattern, "*");
    assert_string_equal(a->format, "auto");
    assert_string_equal(a->on_bad_file, "stop");
    assert_null(a->null_text);
    assert_false(a->strict_columns);
    assert_int_equal(a->poll_interval_ms, 2000);
    assert_int_equal(a->n_tables, 0);
    const struct dm_source_config *b = dm_config_source(c, "b");
    assert_string_equal(b->pattern, "*.gz");
    assert_string_equal(b->format, "json");
    assert_string_equal(b->on_bad_file, "skip");
    assert_string_equal(b->null_text, "-");
    assert_true(b->strict_columns);
    assert_int_equal(b->poll_interval_ms, 5000);
    dm_config_free(c);
}

static void test_everything(void **state)
{
    (void)state;
    setenv("DM_TEST_PASSWORD", "s: #e\"cret", 1);
    struct dm_config *c = parse("lake: /srv/lake\n"
                                "commit_interval: 250ms\n"
                                "memory_limit: 1GiB\n"
                                "compression: snappy\n"
                                "format_version: 3\n"
                                "sources:\n"
                                "  a:\n"
                                "    type: postgres\n"
                                "    url: postgresql://u:${DM_TEST_PASSWORD}@h/$${x}\n"
                                "    history: true\n"
                                "    heartbeat_interval: 0\n"
                                "    exclude: \"*.tmp_*\"\n"
                                "    time_as: string\n"
                                "    tables:\n"
                                "      - name: sales.*\n"
                                "        key: [region, number]\n"
                                "        columns: [region, number, price]\n"
                                "        filter: price > 0\n"
                                "        history: false\n"
                                "        decimals: {price: \"38,10\"}\n"
                                "      - \"*.*\"\n"
                                "  b:\n"
                                "    type: sqlite\n"
                                "    path: ./b.db\n");
    assert_string_equal(c->lake, "/srv/lake");
    assert_int_equal(c->commit_interval_ms, 250);
    const struct dm_source_config *a = &c->sources[0];
    assert_string_equal(a->url, "postgresql://u:s%3A%20%23e%22cret@h/${x}");
    assert_int_equal(a->heartbeat_interval_ms, 0);
    assert_int_equal(a->n_exclude, 1);
    assert_string_equal(a->time_as, "string");
    assert_string_equal(a->exclude[0], "*.tmp_*");
    const struct dm_table_config *t = dm_config_table(a, "sales", "x");
    assert_ptr_equal(t, &a->tables[0]);
    assert_int_equal(t->n_key, 2);
    assert_string_equal(t->key[1], "number");
    assert_int_equal(t->history, 0);
    assert_string_equal(t->filter, "price > 0");
    assert_int_equal(t->n_decimals, 1);
    assert_int_equal(t->decimals[0].precision, 38);
    assert_int_equal(t->decimals[0].scale, 10);
    assert_ptr_equal(dm_config_table(a, "public", "x"), &a->tables[1]);
    assert_string_equal(c->sources[1].path, "conf/b.db");
    assert_null(c->sources[1].slot);
    assert_non_null(dm_config_table(&c->sources[1], "", "any.thing"));
    dm_config_free(c);
}

#define GOOD "sources: {shop: {type: sqlite, path: shop.db}}\n"

static void test_refusals(void **state)
{
    (void)state;
    refused("", "mirror.yaml:1: the configuration is empty", "init");
    refused(GOOD "\n\ncommit_intervall: 1s\n", "mirror.yaml:4: unknown option \"commit_intervall\"",
            "did you mean \"commit_interval\"?");
    refused(GOOD "commit_interval: soon\n", "mirror.yaml:2: commit_interval cannot be \"soon\"", "ms, s, m");
    refused(GOOD "commit_interval: 1000\n", "commit_interval cannot be \"1000\"", NULL);
    refused(GOOD "memory_limit: -1\n", "memory_limit cannot be \"-1\"; it is a size between 128MiB", NULL);
    refused(GOOD "memory_limit: 99999999999999999999\n", "memory_limit cannot be", NULL);
    refused(GOOD "compression: zstandard\n", "allowed are: zstd, snappy, uncompressed", NULL);
    refused(GOOD "compression: snapy\n", "compression cannot be \"snapy\"", "did you mean \"snappy\"?");
    refused(GOOD "format_version: 4\n", "format_version cannot be \"4\"; it must be 3", NULL);
    refused(GOOD "metadata_versions: 0\n", "it is a whole number from 1 to 100000", NULL);
    refused(GOOD "lake: a\nlake: b\n", "mirror.yaml:3: lake is given twice; the first is in line 2",
            "keep one");
    refused(GOOD "lake: [a]\n", "lake wants a single value, not a list", NULL);
    refused(GOOD "lake:\n", "lake has no value", NULL);
    refused(GOOD "lake: \"\"\n", "lake is empty", NULL);
    refused(GOOD "lake: s3://bucket/prefix\n", "only local paths work", NULL);
    refused(GOOD "lake: !!binary abcd\n", "YAML tag", NULL);
    refused(GOOD "lake: \"a\\0b\"\n", "NUL character", NULL);
    refused(GOOD "---\nlake: b\n", "second YAML document", NULL);
    refused(GOOD "lake: \"unclosed\n", "this is not YAML", NULL);
    refused(GOOD "commit_bytes: 400MiB\n", "at most 256MiB are allowed", NULL);
    refused(GOOD "lake: ${DM_TEST_UNSET}/x\n",
            "mirror.yaml:2: the environment variable DM_TEST_UNSET is not set", "export");
    refused(GOOD "lake: ${}\n", "not followed by the name", NULL);
    refused(GOOD "lake: ${A\n", "not followed by the name", NULL);
    refused("sources: [shop]\n", "sources wants sources by name", NULL);
    refused("sources: {a: {type: files, path: in}}\n", "has no \"dataset\"", "dataset:");
    refused("sources: {a: {type: files, path: in, dataset: x, tables: [t]}}\n",
            "tables is an option of postgres, sqlite sources", NULL);
    refused("sources: {a: {type: sqlite, path: x.db, pattern: t}}\n", "pattern is an option of files sources",
            NULL);
    refused("sources: {a: {type: files, path: in, dataset: x, delimiter: ab}}\n", "it is one character",
            NULL);
}

static void test_source_refusals(void **state)
{
    (void)state;
    refused("sources: {shop: {path: x}}\n", "a source has no \"type\"", NULL);
    refused("sources: {shop: {type: sqlite}}\n", "a source has no \"path\"", "path: shop.db");
    refused("sources: {shop: {type: postgres}}\n", "a source has no \"url\"", NULL);
    refused("sources:\n  shop:\n    type: sqlite\n    path: a\n    slot: x\n",
            "mirror.yaml:5: slot is an option of postgres sources, and this one is sqlite", NULL);
    refused("sources: {shop: {type: postgress, url: x}}\n", "type cannot be", "did you mean \"postgres\"?");
    refused("sources: {Shop: {type: sqlite, path: x}}\n", "cannot be named \"Shop\"", NULL);
    refused("sources: {a: {type: sqlite, path: x}, a: {type: sqlite, path: y}}\n", "\"a\" is given twice",
            NULL);
    refused("sources: {a: {type: sqlite, path: x}, b: {type: sqlite, path: x}}\n", "are the same file", NULL);
    refused("sources: {a: {type: postgres, url: x}, a_b: {type: sqlite, path: x}}\n", "may clash", NULL);
    refused("sources: {a: {type: postgres, url: x, slot: A-b}}\n", "slot cannot be", NULL);
    refused("sources: {a: {type: sqlite, path: x, tables: []}}\n", "tables is empty", NULL);
    refused("sources: {a: {type: sqlite, path: x, tables: all}}\n", "tables wants a list", "[\"public.*\"]");
    refused("sources: {a: {type: sqlite, path: x, tables: [{key: a}]}}\n", "a table has no \"name\"", NULL);
    refused("sources: {a: {type: sqlite, path: x, tables: [{name: t, key: a, append_only: true}]}}\n",
            "both key and append_only", NULL);
    refused("sources: {a: {type: sqlite, path: x, tables: [{name: t, key: a, columns: b}]}}\n",
            "not among columns", NULL);
    refused("sources: {a: {type: sqlite, path: x, tables: [{name: t, key: a, exclude_columns: a}]}}\n",
            "is in exclude_columns", NULL);
    refused("sources: {a: {type: sqlite, path: x, tables: [{name: t, key: [a, a]}]}}\n",
            "key names \"a\" twice", NULL);
    refused("sources: {a: {type: sqlite, path: x, tables: [{name: t, decimals: {p: \"39,1\"}}]}}\n",
            "cannot be \"39,1\"", NULL);
    refused("sources: {a: {type: sqlite, path: x, tables: [{name: t, decimals: {p: 10,2}}]}}\n",
            "cannot be \"10\"", "\"38,10\"");
    refused("sources: {a: {type: sqlite, path: x, copy_workers: 0}}\n", "from 1 to 64", NULL);
    refused("sources: {a: {type: postgres, url: x, time_as: text}}\n", "string", NULL);
    refused("sources: {a: {type: sqlite, path: x, time_as: string}}\n", "an option of postgres sources",
            NULL);
}

/* A secret from the environment must not come back in a message. */
static void test_no_secret_in_messages(void **state)
{
    (void)state;
    setenv("DM_TEST_SECRET", "hunter2", 1);
    struct dm_config *config = NULL;
    struct dm_error err = {0};
    static const char *const texts[] = {
        GOOD "compression: ${DM_TEST_SECRET}\n",
        GOOD "commit_interval: ${DM_TEST_SECRET}\n",
        ("sources: {a: {type: postgres, url: \"${DM_TEST_SECRET}\", slot: x, publication: y},"
         " b: {type: postgres, url: \"${DM_TEST_SECRET}\", slot: x, publication: z}}\n"),
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(dm_config_parse(texts[i], strlen(texts[i]), "m", &config, &err), DM_FAIL);
        assert_null(strstr(err.message, "hunter2"));
        assert_null(strstr(err.hint, "hunter2"));
    }
}

/* A small file must not become a large amount of work through aliases. */
static void test_alias_bomb(void **state)
{
    (void)state;
    char text[8192];
    size_t n = (size_t)snprintf(text, sizeof text, "sources:\n  a0: {type: sqlite, path: p, exclude: &x [");
    for (int i = 0; i < 1000; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%sa", i ? "," : "");
    n += (size_t)snprintf(text + n, sizeof text - n, "]}\n");
    for (int i = 1; i < 110; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "  b%d: {type: sqlite, path: p%d, exclude: *x}\n", i,
                              i);
    refused(text, "more than 100000 values", NULL);
}

static void test_defaults_of_declaration_are_good(void **state)
{
    (void)state;
    const struct dm_option_section *sections[] = {&dm_options_top, &dm_options_source, &dm_options_table};
    for (size_t s = 0; s < 3; s++)
        for (size_t i = 0; i < sections[s]->n; i++) {
            const struct dm_option *o = &sections[s]->options[i];
            assert_non_null(o->help);
            assert_non_null(o->example); /* the error of a missing option shows it */
            if (o->kind == DM_OPTION_LIST)
                assert_true(o->count_offset > 0);
            if (o->fallback == NULL || strstr(o->fallback, "<name>") != NULL ||
                sections[s] != &dm_options_top)
                continue;
            char text[400];
            (void)snprintf(text, sizeof text, "%s%s: %s\n", GOOD, o->name, o->fallback);
            dm_config_free(parse(text));
        }
}

static void test_reference_names_every_option(void **state)
{
    (void)state;
    struct dm_buffer b;
    struct dm_error err = {0};
    dm_buffer_init(&b, 1 << 20);
    assert_int_equal(dm_config_reference(&b, &err), DM_OK);
    const char *text = dm_buffer_text(&b);
    const struct dm_option_section *sections[] = {&dm_options_top, &dm_options_source, &dm_options_table};
    for (size_t s = 0; s < 3; s++)
        for (size_t i = 0; i < sections[s]->n; i++) {
            char heading[80];
            (void)snprintf(heading, sizeof heading, "\n### `%s`\n", sections[s]->options[i].name);
            assert_non_null(strstr(text, heading));
        }
    assert_non_null(strstr(text, "whole number, must be 3"));
    dm_buffer_release(&b);
}

static void test_missing_file(void **state)
{
    (void)state;
    struct dm_config *config = NULL;
    struct dm_error err = {0};
    assert_int_equal(dm_config_load("/nonexistent/mirror.yaml", &config, &err), DM_FAIL);
    assert_int_equal(err.class, DM_ERROR_CONFIG);
    assert_non_null(strstr(err.message, "/nonexistent/mirror.yaml"));
    assert_non_null(strstr(err.hint, "init"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_without_databases),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_source_refusals),
        cmocka_unit_test(test_no_secret_in_messages),
        cmocka_unit_test(test_alias_bomb),
        cmocka_unit_test(test_defaults_of_declaration_are_good),
        cmocka_unit_test(test_reference_names_every_option),
        cmocka_unit_test(test_missing_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
