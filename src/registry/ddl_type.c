/* The type of a column: one or more words, numbers in parentheses, arrays in three spellings. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "registry/ddl_parser.h"
#include "registry/type_words.h"

void dm_ddl_type_release(struct dm_ddl_type *t)
{
    dm_names_release(&t->allowed);
}

static void append_word(struct dm_type_spelling *s, const struct dm_ddl_token *t)
{
    size_t len = strlen(s->words);
    if (len + t->n + 2 > sizeof s->words)
        return; /* not a type then */
    if (len > 0)
        s->words[len++] = ' ';
    for (size_t i = 0; i < t->n; i++)
        s->words[len++] = (char)tolower((unsigned char)t->text[i]);
    s->words[len] = '\0';
}

/* The words that may follow a type's first, each behind the one before it. */
static bool continues(const char *words, const struct dm_ddl_token *t)
{
    static const struct {
        const char *after, *word;
    } pairs[] = {
        {"double", "precision"},
        {"character", "varying"},
        {"char", "varying"},
        {"national", "character"},
        {"national", "char"},
        {"national", "varchar"},
        {"national character", "varying"},
        {"national char", "varying"},
        {"bit", "varying"},
        {"binary", "varying"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (strcmp(pairs[i].after, words) == 0 && dm_ddl_is(t, pairs[i].word))
            return true;
    return false;
}

/* with [local] time zone | without time zone, behind time or timestamp (and its digits) */
static void read_zone(struct dm_ddl_parser *p, struct dm_type_spelling *s)
{
    struct dm_ddl_token next = dm_ddl_peek(p);
    if (strcmp(s->words, "time") != 0 && strcmp(s->words, "timestamp") != 0)
        return;
    if (!(dm_ddl_word(p, "without") && dm_ddl_is(&next, "time")) &&
        !(dm_ddl_word(p, "with") && (dm_ddl_is(&next, "time") || dm_ddl_is(&next, "local"))))
        return;
    append_word(s, &p->token);
    dm_ddl_advance(p);
    while (dm_ddl_word(p, "local") || dm_ddl_word(p, "time") || dm_ddl_word(p, "zone")) {
        append_word(s, &p->token);
        dm_ddl_advance(p);
    }
}

/* (12), (12,2), (255 char), (max), (*, 0) */
static void read_numbers(struct dm_ddl_parser *p, struct dm_type_spelling *s)
{
    int sign = 1;
    dm_ddl_advance(p);
    while (p->token.kind != DM_DDL_END && !dm_ddl_sign(p, ')') && !dm_ddl_sign(p, ';')) {
        if (dm_ddl_sign(p, '(')) {
            dm_ddl_skip_group(p);
            continue;
        }
        if (p->token.kind == DM_DDL_NUMBER && s->n_numbers < 2) {
            char digits[20];
            (void)snprintf(digits, sizeof digits, "%.*s", (int)(p->token.n < 18 ? p->token.n : 18),
                           p->token.text);
            s->numbers[s->n_numbers++] = sign * strtoll(digits, NULL, 10);
        } else if (dm_ddl_sign(p, '*') && s->n_numbers < 2) {
            s->numbers[s->n_numbers++] = 38;
        }
        sign = dm_ddl_sign(p, '-') ? -1 : 1;
        dm_ddl_advance(p);
    }
    (void)dm_ddl_accept_sign(p, ')');
}

/* At "<": to behind its ">". */
static void skip_angles(struct dm_ddl_parser *p)
{
    size_t depth = 0;
    do {
        if (dm_ddl_sign(p, '<'))
            depth++;
        else if (dm_ddl_sign(p, '>'))
            depth--;
        dm_ddl_advance(p);
    } while (depth > 0 && p->token.kind != DM_DDL_END && !dm_ddl_sign(p, ';'));
}

static enum dm_status unknown_type(const struct dm_ddl_parser *p, size_t line, const char *column,
                                   const char *words, const char *note, struct dm_error *err)
{
    const char *near = dm_type_words_near(words);
    if (note[0] != '\0')
        return dm_ddl_fail(p, line, err, note, "column \"%.100s\": \"%.60s\" is not a good type", column,
                           words);
    (void)dm_ddl_fail(p, line, err,
                      "types of the file's own must be created before the table (CREATE TYPE … AS ENUM)",
                      "column \"%.100s\": there is no type \"%.60s\"", column, words);
    if (near != NULL)
        dm_error_hint(err, "did you mean \"%s\"?", near);
    return DM_FAIL;
}

static const struct dm_ddl_named_type *find_named(const struct dm_ddl_parser *p, const char *name)
{
    for (size_t i = p->n_types; i > 0; i--)
        if (strcasecmp(p->types[i - 1].name, name) == 0)
            return &p->types[i - 1];
    return NULL;
}

static void take_named(const struct dm_ddl_named_type *named, struct dm_ddl_type *out)
{
    out->type = named->type;
    out->max_length = named->max_length;
    for (size_t i = 0; i < named->allowed.n; i++)
        dm_names_add(&out->allowed, named->allowed.items[i]);
}

/* ARRAY<STRING>; arrays of anything else than a scalar are kept as text. */
static enum dm_status read_generic(struct dm_ddl_parser *p, const char *words, const char *column,
                                   struct dm_ddl_type *out, struct dm_error *err)
{
    struct dm_ddl_token inner = dm_ddl_peek(p);
    bool nested = dm_ddl_is(&inner, "array") || dm_ddl_is(&inner, "struct") || dm_ddl_is(&inner, "map");
    if (strcmp(words, "array") != 0 || nested) {
        skip_angles(p);
        out->type = dm_type_of(DM_STRING);
        dm_ddl_note(p, "column %s: %s is kept as text", column, words);
        return DM_OK;
    }
    dm_ddl_advance(p);
    struct dm_ddl_type element = {0};
    enum dm_status status = dm_ddl_read_type(p, column, &element, err);
    if (status == DM_OK)
        out->type = element.type.id == DM_LIST ? dm_type_of(DM_STRING) : dm_type_list(element.type);
    dm_ddl_type_release(&element);
    while (status == DM_OK && p->token.kind != DM_DDL_END && !dm_ddl_sign(p, '>') && !dm_ddl_sign(p, ';'))
        dm_ddl_advance(p); /* NOT NULL of the elements */
    (void)dm_ddl_accept_sign(p, '>');
    return status;
}

/* text[], text[3][], integer ARRAY[4] */
static void read_brackets(struct dm_ddl_parser *p, struct dm_ddl_type *out)
{
    struct dm_ddl_token next = dm_ddl_peek(p);
    bool list = dm_ddl_word(p, "array") && p->dialect != DM_DIALECT_SNOWFLAKE && next.kind != DM_DDL_WORD;
    if (list)
        dm_ddl_advance(p);
    while (dm_ddl_sign(p, '[')) {
        list = true;
        while (p->token.kind != DM_DDL_END && !dm_ddl_sign(p, ']') && !dm_ddl_sign(p, ';'))
            dm_ddl_advance(p);
        if (!dm_ddl_accept_sign(p, ']'))
            break;
    }
    if (!list || out->type.id == DM_LIST)
        return;
    out->type = dm_type_list(out->type);
    out->max_length = 0;
    dm_names_release(&out->allowed);
}

static bool is_interval_field(const struct dm_ddl_parser *p)
{
    static const char *const fields[] = {"year", "month", "day", "hour", "minute", "second", "to"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (dm_ddl_word(p, fields[i]))
            return true;
    return false;
}

/* Words, numbers and zone of a type that the table of words may know. */
static void read_spelling(struct dm_ddl_parser *p, struct dm_type_spelling *s)
{
    append_word(s, &p->token);
    dm_ddl_advance(p);
    while (p->token.kind == DM_DDL_WORD && continues(s->words, &p->token)) {
        append_word(s, &p->token);
        dm_ddl_advance(p);
    }
    read_zone(p, s);
    if (dm_ddl_sign(p, '('))
        read_numbers(p, s);
    read_zone(p, s);
    while (strcmp(s->words, "interval") == 0 && is_interval_field(p)) { /* interval day to second(3) */
        dm_ddl_advance(p);
        if (dm_ddl_sign(p, '('))
            dm_ddl_skip_group(p);
    }
    while (dm_ddl_word(p, "unsigned") || dm_ddl_word(p, "signed") || dm_ddl_word(p, "zerofill")) {
        struct dm_ddl_token unsigned_word = p->token;
        if (!dm_ddl_word(p, "signed") && strstr(s->words, "unsigned") == NULL) {
            unsigned_word.text = "unsigned"; /* ZEROFILL says UNSIGNED, too */
            unsigned_word.n = strlen("unsigned");
            append_word(s, &unsigned_word);
        }
        dm_ddl_advance(p);
    }
}

static enum dm_status read_known(struct dm_ddl_parser *p, const char *column, struct dm_ddl_type *out,
                                 struct dm_error *err)
{
    struct dm_type_spelling s = {0};
    struct dm_type_reading r;
    size_t line = p->token.line;
    struct dm_ddl_token next = dm_ddl_peek(p);
    if ((dm_ddl_word(p, "enum") || dm_ddl_word(p, "set")) && next.kind == DM_DDL_SIGN && next.sign == '(') {
        bool set = dm_ddl_word(p, "set");
        dm_ddl_advance(p);
        out->type = dm_type_of(DM_STRING);
        struct dm_names values = {0};
        enum dm_status status = dm_ddl_read_strings(p, &values, err);
        if (set) /* a set's value is any combination of them */
            dm_names_release(&values);
        out->allowed = values;
        return status;
    }
    read_spelling(p, &s);
    if (dm_ddl_sign(p, '<'))
        return read_generic(p, s.words, column, out, err);
    const struct dm_ddl_named_type *named = find_named(p, s.words);
    if (named != NULL) {
        take_named(named, out);
        return DM_OK;
    }
    if (!dm_type_words_find(&s, p->dialect, &r))
        return unknown_type(p, line, column, s.words, r.note, err);
    out->type = r.type;
    out->max_length = r.max_length;
    if (r.note[0] != '\0')
        dm_ddl_note(p, "column %s: %s", column, r.note);
    return DM_OK;
}

/* "public"."order_status": a type by a name in quotes or with a schema in front. */
static enum dm_status read_qualified(struct dm_ddl_parser *p, const char *column, struct dm_ddl_type *out,
                                     struct dm_error *err)
{
    size_t line = p->token.line;
    char *name = NULL;
    enum dm_status status = dm_ddl_read_table_name(p, &name, err);
    if (status != DM_OK)
        return status;
    const char *last = strrchr(name, '.') != NULL ? strrchr(name, '.') + 1 : name;
    const struct dm_ddl_named_type *named = find_named(p, last);
    struct dm_type_spelling s = {0};
    struct dm_type_reading r = {0};
    (void)snprintf(s.words, sizeof s.words, "%.60s", last);
    if (dm_ddl_sign(p, '('))
        read_numbers(p, &s);
    if (named != NULL) {
        take_named(named, out);
    } else if (dm_type_words_find(&s, p->dialect, &r)) { /* pg_catalog.int4, "text" */
        out->type = r.type;
        out->max_length = r.max_length;
    } else {
        status = unknown_type(p, line, column, last, r.note, err);
    }
    free(name);
    return status;
}

enum dm_status dm_ddl_read_type(struct dm_ddl_parser *p, const char *column, struct dm_ddl_type *out,
                                struct dm_error *err)
{
    struct dm_ddl_token next = dm_ddl_peek(p);
    bool qualified = p->token.kind == DM_DDL_QUOTED || (next.kind == DM_DDL_SIGN && next.sign == '.');
    if (p->token.kind != DM_DDL_WORD && p->token.kind != DM_DDL_QUOTED)
        return dm_ddl_fail(p, p->token.line, err, "every column needs its type behind its name",
                           "column \"%.100s\" has no type", column);
    if ((qualified ? read_qualified(p, column, out, err) : read_known(p, column, out, err)) != DM_OK)
        return DM_FAIL;
    read_brackets(p, out);
    return DM_OK;
}
