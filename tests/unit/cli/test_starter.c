/* The starter mirror.yaml: what it says, that it parses, and that no password is in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "cli/starter.h"

static struct dm_table *table(const char *schema, const char *name, const char *key)
{
    struct dm_table *t = dm_table_new(schema, name);
    (void)dm_schema_add(t->columns, key, dm_type_of(DM_INT64));
    dm_schema_add_key(t->columns, 0);
    t->estimated_rows = 1234;
    return t;
}

static struct dm_foreign_key *foreign_key(const char *column, const char *target)
{
    struct dm_foreign_key *f = dm_xzalloc(1, sizeof *f);
    f->name = dm_xstrdup("fk");
    f->n_columns = 1;
    f->columns = dm_xzalloc(1, sizeof *f->columns);
    f->columns[0] = dm_xstrdup(column);
    f->target_schema = dm_xstrdup("public");
    f->target_table = dm_xstrdup(target);
    f->target_columns = dm_xzalloc(1, sizeof *f->target_columns);
    f->target_columns[0] = dm_xstrdup("id");
    return f;
}

static struct dm_table_list tables(void)
{
    struct dm_table_list list = {0};
    struct dm_table *orders = table("public", "orders", "id");
    orders->n_foreign_keys = 1;
    orders->foreign_keys = foreign_key("customer_id", "customers");
    dm_table_list_add(&list, orders);
    dm_table_list_add(&list, table("sales.eu", "odd'\nname: *x", "k"));
    struct dm_table *events = table("public", "events", "x");
    events->problem = dm_xstrdup("has no primary key");
    events->hint = dm_xstrdup("add a unique index");
    dm_table_list_add(&list, events);
    return list;
}

/* The file's text; the caller frees it. */
static char *starter_text(const char *source, const struct dm_table_list *list, char **variable)
{
    struct dm_starter s;
    struct dm_error err = {0};
    struct dm_buffer out;
    dm_buffer_init(&out, 1 << 20);
    assert_int_equal(dm_starter_init(&s, source, NULL, &err), DM_OK);
    assert_int_equal(dm_starter_write(&s, "./lake", list, &out, &err), DM_OK);
    char *text = dm_xstrdup(dm_buffer_text(&out));
    if (variable != NULL)
        *variable = dm_xstrdup(s.password_variable);
    dm_buffer_release(&out);
    dm_starter_release(&s);
    return text;
}

static struct dm_config *parsed(const char *text)
{
    struct dm_config *config = NULL;
    struct dm_error err = {0};
    if (dm_config_parse(text, strlen(text), "mirror.yaml", &config, &err) != DM_OK)
        fail_msg("%s\n%s", err.message, text);
    return config;
}

static void test_password_stays_out(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        const char *name;
    } cases[] = {
        {"postgresql://me:hunter2@host:5433/Web-Shop?sslmode=require", "web_shop"},
        {"host=h password='hunter2' dbname='Web-Shop'", "web_shop"},
        {"dbname=web_shop password=hunter2", "web_shop"},
        {"postgres://host/web_shop?user=me&password=hunter2", "web_shop"},
    };
    setenv("WEB_SHOP_PASSWORD", "hunter2", 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dm_table_list list = tables();
        char *variable = NULL;
        char *text = starter_text(cases[i].source, &list, &variable);
        assert_null(strstr(text, "hunter2"));
        assert_string_equal(variable, "WEB_SHOP_PASSWORD");
        struct dm_config *config = parsed(text);
        assert_string_equal(config->sources[0].name, cases[i].name);
        assert_string_equal(config->sources[0].url,
                            cases[i].source); /* the variable brings the very URL back */
        dm_config_free(config);
        free(variable);
        free(text);
        dm_table_list_release(&list);
    }
}

static void test_tables_are_listed(void **state)
{
    (void)state;
    struct dm_table_list list = tables();
    char *text = starter_text("postgresql:///shop", &list, NULL);
    assert_non_null(strstr(text, "orders                   ~1,234 rows, key (id)"));
    assert_non_null(strstr(text, "customer_id -> customers (id)"));
    assert_non_null(strstr(text, "# - name: 'public.events'   # it has no primary key"));
    assert_non_null(strstr(text, "(add a unique index)"));
    struct dm_config *config = parsed(text); /* names with line breaks and quotes did no harm */
    assert_int_equal(config->sources[0].n_tables, 2);
    assert_non_null(dm_config_table(&config->sources[0], "public", "orders"));
    assert_non_null(dm_config_table(&config->sources[0], "sales.eu", "odd'\nname: *x"));
    assert_null(dm_config_table(&config->sources[0], "other", "x"));
    dm_config_free(config);

    /* A way out, with its "# " taken away, is good too. */
    char *problem = strstr(text, "      # - name: 'public.events'");
    memmove(problem + 6, problem + 8, strlen(problem + 8) + 1);
    char *way_out = strstr(text, "      #   append_only: true");
    memmove(way_out + 6, way_out + 8, strlen(way_out + 8) + 1);
    config = parsed(text);
    assert_true(dm_config_table(&config->sources[0], "public", "events")->append_only);
    dm_config_free(config);
    free(text);
    dm_table_list_release(&list);
}

static void test_sqlite(void **state)
{
    (void)state;
    struct dm_table_list list = {0};
    dm_table_list_add(&list, table("", "orders", "id"));
    static const char *const sources[] = {"data/it's ${x}.db", "sqlite:data/it's ${x}.db"};
    for (size_t i = 0; i < 2; i++) {
        char *text = starter_text(sources[i], &list, NULL);
        struct dm_config *config = parsed(text);
        assert_string_equal(config->sources[0].type, "sqlite");
        assert_string_equal(config->sources[0].path, "data/it's ${x}.db");
        assert_string_equal(config->sources[0].name, "it_s_x");
        assert_non_null(dm_config_table(&config->sources[0], "", "orders"));
        dm_config_free(config);
        free(text);
    }
    dm_table_list_release(&list);
}

static void test_no_tables_and_bad_sources(void **state)
{
    (void)state;
    struct dm_table_list none = {0};
    char *text = starter_text("postgresql://host", &none, NULL);
    struct dm_config *config = parsed(text);
    assert_string_equal(config->sources[0].name, "source");
    dm_config_free(config);
    free(text);
    struct dm_starter s;
    struct dm_error err = {0};
    assert_int_equal(dm_starter_init(&s, "mysql://u:hunter2@h/db", NULL, &err), DM_FAIL);
    assert_null(strstr(err.message, "hunter2"));
    assert_int_equal(dm_starter_init(&s, "", NULL, &err), DM_FAIL);
    assert_int_equal(dm_starter_init(&s, "a\nb", NULL, &err), DM_FAIL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_password_stays_out),
        cmocka_unit_test(test_tables_are_listed),
        cmocka_unit_test(test_sqlite),
        cmocka_unit_test(test_no_tables_and_bad_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
