#include "registry/type_words.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/nearest_word.h"

/* What the numbers in parentheses mean, and what becomes of the type. */
enum word_kind {
    PLAIN,          /* the type as it is; numbers (display widths) mean nothing */
    FRACTION,       /* a time: digits of the second */
    LENGTH,         /* text with a maximum */
    NUMBER,         /* precision and scale */
    AS_TEXT,        /* no counterpart: kept as the text that the file brings */
    TIMESTAMP_WORD, /* dialects disagree about the zone */
    NUMBER_38,      /* an integer of 38 digits (Snowflake) or 64 bits */
    BIT_WORD,
    ZONED_NANOS, /* Iceberg has it, and we cannot write it (column/type.h) */
};

struct type_word {
    const char *words;
    uint8_t kind;
    uint8_t type;
};

static const struct type_word words[] = {
    {"bool", PLAIN, DM_BOOL},
    {"boolean", PLAIN, DM_BOOL},
    {"logical", PLAIN, DM_BOOL},
    {"tinyint", PLAIN, DM_INT32},
    {"smallint", PLAIN, DM_INT32},
    {"mediumint", PLAIN, DM_INT32},
    {"byteint", PLAIN, DM_INT32},
    {"int2", PLAIN, DM_INT32},
    {"int4", PLAIN, DM_INT32},
    {"int16", PLAIN, DM_INT32},
    {"int32", PLAIN, DM_INT32},
    {"short", PLAIN, DM_INT32},
    {"byte", PLAIN, DM_INT32},
    {"year", PLAIN, DM_INT32},
    {"smallserial", PLAIN, DM_INT32},
    {"serial2", PLAIN, DM_INT32},
    {"int", NUMBER_38, DM_INT32},
    {"integer", NUMBER_38, DM_INT32},
    {"serial", PLAIN, DM_INT32},
    {"serial4", PLAIN, DM_INT32},
    {"tinyint unsigned", PLAIN, DM_INT32},
    {"smallint unsigned", PLAIN, DM_INT32},
    {"mediumint unsigned", PLAIN, DM_INT32},
    {"int unsigned", PLAIN, DM_INT64},
    {"integer unsigned", PLAIN, DM_INT64},
    {"bigint", NUMBER_38, DM_INT64},
    {"int8", PLAIN, DM_INT64},
    {"int64", PLAIN, DM_INT64},
    {"long", PLAIN, DM_INT64},
    {"bigserial", PLAIN, DM_INT64},
    {"serial8", PLAIN, DM_INT64},
    {"oid", PLAIN, DM_INT64},
    {"real", PLAIN, DM_FLOAT32},
    {"float4", PLAIN, DM_FLOAT32},
    {"float32", PLAIN, DM_FLOAT32},
    {"float", PLAIN, DM_FLOAT64},
    {"float8", PLAIN, DM_FLOAT64},
    {"float64", PLAIN, DM_FLOAT64},
    {"double", PLAIN, DM_FLOAT64},
    {"double precision", PLAIN, DM_FLOAT64},
    {"numeric", NUMBER, DM_DECIMAL},
    {"decimal", NUMBER, DM_DECIMAL},
    {"dec", NUMBER, DM_DECIMAL},
    {"fixed", NUMBER, DM_DECIMAL},
    {"number", NUMBER, DM_DECIMAL},
    {"bigdecimal", NUMBER, DM_DECIMAL},
    {"bignumeric", NUMBER, DM_DECIMAL},
    {"money", AS_TEXT, DM_STRING},
    {"date", PLAIN, DM_DATE},
    {"time", FRACTION, DM_TIME},
    {"time without time zone", FRACTION, DM_TIME},
    {"time with time zone", AS_TEXT, DM_STRING},
    {"timetz", AS_TEXT, DM_STRING},
    {"timestamp", TIMESTAMP_WORD, DM_TIMESTAMP},
    {"timestamp without time zone", FRACTION, DM_TIMESTAMP},
    {"timestamp with time zone", FRACTION, DM_TIMESTAMPTZ},
    {"timestamp with local time zone", FRACTION, DM_TIMESTAMPTZ},
    {"timestamptz", FRACTION, DM_TIMESTAMPTZ},
    {"timestamp_tz", FRACTION, DM_TIMESTAMPTZ},
    {"timestamp_ltz", FRACTION, DM_TIMESTAMPTZ},
    {"timestamp_ntz", FRACTION, DM_TIMESTAMP},
    {"timestampltz", FRACTION, DM_TIMESTAMPTZ},
    {"timestampntz", FRACTION, DM_TIMESTAMP},
    {"datetime", FRACTION, DM_TIMESTAMP},
    {"datetime2", FRACTION, DM_TIMESTAMP},
    {"datetimeoffset", FRACTION, DM_TIMESTAMPTZ},
    {"date-time", FRACTION, DM_TIMESTAMPTZ},
    {"timestamp_ns", PLAIN, DM_TIMESTAMP_NS},
    {"timestamptz_ns", ZONED_NANOS, DM_TIMESTAMPTZ},
    {"timestamp_tz_ns", ZONED_NANOS, DM_TIMESTAMPTZ},
    {"interval", AS_TEXT, DM_STRING},
    {"string", LENGTH, DM_STRING},
    {"str", LENGTH, DM_STRING},
    {"text", LENGTH, DM_STRING},
    {"varchar", LENGTH, DM_STRING},
    {"varchar2", LENGTH, DM_STRING},
    {"nvarchar", LENGTH, DM_STRING},
    {"nvarchar2", LENGTH, DM_STRING},
    {"char", LENGTH, DM_STRING},
    {"nchar", LENGTH, DM_STRING},
    {"bpchar", LENGTH, DM_STRING},
    {"character", LENGTH, DM_STRING},
    {"character varying", LENGTH, DM_STRING},
    {"char varying", LENGTH, DM_STRING},
    {"national character varying", LENGTH, DM_STRING},
    {"tinytext", PLAIN, DM_STRING},
    {"mediumtext", PLAIN, DM_STRING},
    {"longtext", PLAIN, DM_STRING},
    {"clob", PLAIN, DM_STRING},
    {"name", PLAIN, DM_STRING},
    {"citext", PLAIN, DM_STRING},
    {"enum", PLAIN, DM_STRING},
    {"set", AS_TEXT, DM_STRING},
    {"uuid", PLAIN, DM_UUID},
    {"uniqueidentifier", PLAIN, DM_UUID},
    {"bytea", PLAIN, DM_BINARY},
    {"bytes", PLAIN, DM_BINARY},
    {"binary", PLAIN, DM_BINARY},
    {"varbinary", PLAIN, DM_BINARY},
    {"binary varying", PLAIN, DM_BINARY},
    {"blob", PLAIN, DM_BINARY},
    {"tinyblob", PLAIN, DM_BINARY},
    {"mediumblob", PLAIN, DM_BINARY},
    {"longblob", PLAIN, DM_BINARY},
    {"bit", BIT_WORD, DM_STRING},
    {"bit varying", AS_TEXT, DM_STRING},
    {"varbit", AS_TEXT, DM_STRING},
    {"json", AS_TEXT, DM_STRING},
    {"jsonb", AS_TEXT, DM_STRING},
    {"variant", AS_TEXT, DM_STRING},
    {"object", AS_TEXT, DM_STRING},
    {"array", AS_TEXT, DM_STRING},
    {"struct", AS_TEXT, DM_STRING},
    {"map", AS_TEXT, DM_STRING},
    {"xml", AS_TEXT, DM_STRING},
    {"hstore", AS_TEXT, DM_STRING},
    {"ltree", AS_TEXT, DM_STRING},
    {"inet", AS_TEXT, DM_STRING},
    {"cidr", AS_TEXT, DM_STRING},
    {"macaddr", AS_TEXT, DM_STRING},
    {"macaddr8", AS_TEXT, DM_STRING},
    {"tsvector", AS_TEXT, DM_STRING},
    {"tsquery", AS_TEXT, DM_STRING},
    {"geography", AS_TEXT, DM_STRING},
    {"geometry", AS_TEXT, DM_STRING},
    {"point", AS_TEXT, DM_STRING},
    {"polygon", AS_TEXT, DM_STRING},
    {"linestring", AS_TEXT, DM_STRING},
    {"line", AS_TEXT, DM_STRING},
    {"box", AS_TEXT, DM_STRING},
    {"path", AS_TEXT, DM_STRING},
    {"circle", AS_TEXT, DM_STRING},
    {"int4range", AS_TEXT, DM_STRING},
    {"int8range", AS_TEXT, DM_STRING},
    {"numrange", AS_TEXT, DM_STRING},
    {"daterange", AS_TEXT, DM_STRING},
    {"tsrange", AS_TEXT, DM_STRING},
    {"tstzrange", AS_TEXT, DM_STRING},
};
enum { n_words = sizeof words / sizeof *words };

static const struct type_word *find_word(const char *text)
{
    for (size_t i = 0; i < n_words; i++)
        if (strcmp(words[i].words, text) == 0)
            return &words[i];
    return NULL;
}

static void note(struct dm_type_reading *r, const char *fmt, ...) DM_PRINTF(2, 3);
static void note(struct dm_type_reading *r, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(r->note, sizeof r->note, fmt, args);
    va_end(args);
}

static bool decimal_of(int64_t precision, int64_t scale, struct dm_type_reading *r)
{
    if (precision < 1 || scale < -84 || scale > 127) {
        note(r, "a precision is 1 to 38, and a scale 0 to the precision");
        return false;
    }
    /* The smallest decimal that holds all values of numeric(5,-2) and numeric(3,5) (PostgreSQL, Snowflake have them). */
    if (scale < 0) {
        precision -= scale;
        scale = 0;
    }
    if (scale > precision)
        precision = scale;
    if (precision > 38) {
        r->type = dm_type_of(DM_STRING);
        note(r, "numbers of more than 38 digits are kept as text");
        return true;
    }
    r->type = dm_type_decimal((int)precision, (int)scale);
    return true;
}

/* NUMERIC without numbers: as many different meanings as there are dialects. */
static bool bare_number(const char *word, enum dm_ddl_dialect dialect, struct dm_type_reading *r)
{
    bool big = strncmp(word, "big", 3) == 0; /* bignumeric, bigdecimal: (76,38) */
    switch (dialect) {
    case DM_DIALECT_SNOWFLAKE: return decimal_of(38, 0, r);
    case DM_DIALECT_MYSQL:
    case DM_DIALECT_DATABRICKS: return decimal_of(10, 0, r);
    case DM_DIALECT_BIGQUERY: return big ? decimal_of(76, 38, r) : decimal_of(38, 9, r);
    default:
        r->type = dm_type_of(DM_STRING);
        note(r, "%s without precision is kept as text; write %s(38,9) for a decimal", word, word);
        return true;
    }
}

static bool read_number(const struct dm_type_spelling *s, enum dm_ddl_dialect dialect,
                        struct dm_type_reading *r)
{
    if (s->n_numbers == 0)
        return bare_number(s->words, dialect, r);
    if (s->n_numbers > 2) {
        note(r, "%s takes a precision and a scale", s->words);
        return false;
    }
    return decimal_of(s->numbers[0], s->n_numbers == 2 ? s->numbers[1] : 0, r);
}

static bool read_length(const struct dm_type_spelling *s, struct dm_type_reading *r)
{
    if (s->n_numbers > 1 || (s->n_numbers == 1 && (s->numbers[0] < 1 || s->numbers[0] > UINT32_MAX))) {
        note(r, "the length of %s is one number from 1", s->words);
        return false;
    }
    if (s->n_numbers == 1)
        r->max_length = (uint32_t)s->numbers[0];
    /* CHAR alone is CHAR(1) in standard SQL. */
    else if (strcmp(s->words, "char") == 0 || strcmp(s->words, "character") == 0 ||
             strcmp(s->words, "nchar") == 0)
        r->max_length = 1;
    return true;
}

static bool read_fraction(const struct dm_type_spelling *s, struct dm_type_reading *r)
{
    if (s->n_numbers > 1 || (s->n_numbers == 1 && (s->numbers[0] < 0 || s->numbers[0] > 9))) {
        note(r, "the digits of a second are one number from 0 to 9");
        return false;
    }
    if (s->n_numbers == 0 || s->numbers[0] <= 6)
        return true;
    if (r->type.id == DM_TIMESTAMP) {
        r->type = dm_type_of(DM_TIMESTAMP_NS);
        note(
            r,
            "%s(%d) is timestamp_ns, which holds the years 1677 to 2262; %s(6) holds all, to the microsecond",
            s->words, (int)s->numbers[0], s->words);
    } else if (r->type.id == DM_TIMESTAMPTZ) {
        note(r, "moments are kept to microseconds, and finer ones go to quarantine; timestamp_ns holds them "
                "(in UTC), to the nanosecond");
    } else {
        note(r, "times are kept to microseconds; values with more digits go to quarantine");
    }
    return true;
}

static void read_timestamp(enum dm_ddl_dialect dialect, struct dm_type_reading *r)
{
    /* MySQL stores UTC, Databricks and BigQuery mean a moment; PostgreSQL and Snowflake mean a reading of a clock. */
    if (dialect == DM_DIALECT_MYSQL || dialect == DM_DIALECT_DATABRICKS || dialect == DM_DIALECT_BIGQUERY)
        r->type = dm_type_of(DM_TIMESTAMPTZ);
}

static bool read_kind(const struct type_word *w, const struct dm_type_spelling *s,
                      enum dm_ddl_dialect dialect, struct dm_type_reading *r)
{
    switch ((enum word_kind)w->kind) {
    case NUMBER: return read_number(s, dialect, r);
    case LENGTH: return read_length(s, r);
    case TIMESTAMP_WORD: read_timestamp(dialect, r); return read_fraction(s, r);
    case FRACTION: return read_fraction(s, r);
    case NUMBER_38:
        if (dialect == DM_DIALECT_SNOWFLAKE)
            return decimal_of(38, 0, r);
        if (dialect == DM_DIALECT_BIGQUERY)
            r->type = dm_type_of(DM_INT64);
        return true;
    case BIT_WORD:
        if (dialect == DM_DIALECT_MYSQL)
            r->type = dm_type_of(s->n_numbers == 0 || s->numbers[0] == 1 ? DM_BOOL : DM_BINARY);
        else
            note(r, "bit is kept as text");
        return true;
    case ZONED_NANOS:
        note(r, "write timestamp_ns: nanoseconds without zone, where a value with one is converted to UTC");
        return false;
    case AS_TEXT: note(r, "%s is kept as text", s->words); return true;
    case PLAIN:
        /* float(24) is a float, float(53) a double (standard SQL, MySQL). */
        if (strcmp(s->words, "float") == 0 && s->n_numbers == 1 && s->numbers[0] <= 24 &&
            dialect != DM_DIALECT_SNOWFLAKE)
            r->type = dm_type_of(DM_FLOAT32);
        if (strcmp(s->words, "float") == 0 && dialect == DM_DIALECT_DATABRICKS)
            r->type = dm_type_of(DM_FLOAT32);
        if (strcmp(s->words, "real") == 0 && (dialect == DM_DIALECT_MYSQL || dialect == DM_DIALECT_SNOWFLAKE))
            r->type = dm_type_of(DM_FLOAT64);
        return true;
    }
    return true;
}

bool dm_type_words_find(const struct dm_type_spelling *s, enum dm_ddl_dialect dialect,
                        struct dm_type_reading *r)
{
    *r = (struct dm_type_reading){0};
    const struct type_word *w = find_word(s->words);
    size_t n = strlen(s->words);
    if (w == NULL && strcmp(s->words, "bigint unsigned") == 0)
        return decimal_of(20, 0, r);
    if (w == NULL && n > 9 &&
        strcmp(s->words + n - 9, " unsigned") == 0) { /* decimal unsigned, float unsigned */
        struct dm_type_spelling plain = *s;
        plain.words[n - 9] = '\0';
        return dm_type_words_find(&plain, dialect, r);
    }
    if (w == NULL)
        return false;
    r->type = dm_type_of(w->type);
    return read_kind(w, s, dialect, r);
}

/* ---- one text, as in YAML ---- */

/* "varchar ( 20 )" → words "varchar", numbers 20; false: not of that form. */
static bool split_spelling(const char *text, size_t n, struct dm_type_spelling *out)
{
    *out = (struct dm_type_spelling){0};
    size_t len = 0, i = 0;
    for (; i < n && text[i] != '('; i++) {
        char c = (char)tolower((unsigned char)text[i]);
        if (isspace((unsigned char)c) && (len == 0 || out->words[len - 1] == ' '))
            continue;
        if (len + 1 >= sizeof out->words)
            return false;
        out->words[len++] = isspace((unsigned char)c) ? ' ' : c;
    }
    while (len > 0 && out->words[len - 1] == ' ')
        len--;
    out->words[len] = '\0';
    if (i == n)
        return len > 0;
    for (i++; i < n;) {
        char *end;
        char number[24];
        size_t k = 0;
        while (i < n && isspace((unsigned char)text[i]))
            i++;
        while (i < n && k + 1 < sizeof number &&
               (isdigit((unsigned char)text[i]) || (k == 0 && text[i] == '-')))
            number[k++] = text[i++];
        number[k] = '\0';
        long v = strtol(number, &end, 10);
        if (k == 0 || k > 12 || *end != '\0' || out->n_numbers == 2)
            return false;
        out->numbers[out->n_numbers++] = v;
        while (i < n && isspace((unsigned char)text[i]))
            i++;
        if (i < n && text[i] == ')')
            break;
        if (i >= n || text[i++] != ',')
            return false;
    }
    for (i++; i < n; i++)
        if (!isspace((unsigned char)text[i]))
            return false;
    return len > 0;
}

static bool read_scalar(const char *text, size_t n, struct dm_type_reading *r)
{
    struct dm_type_spelling s;
    *r = (struct dm_type_reading){0};
    if (!split_spelling(text, n, &s))
        return false;
    if (!dm_type_words_find(&s, DM_DIALECT_AUTO, r))
        return false;
    const struct type_word *w = find_word(s.words);
    if (w != NULL && w->kind == NUMBER && s.n_numbers == 0) {
        note(r, "%s needs a precision and a scale: %s(12,2)", s.words, s.words);
        return false;
    }
    bool bad_scale = s.n_numbers == 2 && (s.numbers[1] < 0 || s.numbers[1] > s.numbers[0]);
    if (w != NULL && w->kind == NUMBER && (s.numbers[0] > 38 || bad_scale)) {
        note(r, "a precision is 1 to 38, and a scale 0 to the precision");
        return false;
    }
    return true;
}

bool dm_type_words_read(const char *text, struct dm_type_reading *r)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t n = strlen(text);
    while (n > 0 && isspace((unsigned char)text[n - 1]))
        n--;
    const char *inner = NULL;
    size_t inner_n = 0;
    if (n > 2 && text[n - 2] == '[' && text[n - 1] == ']') {
        inner = text;
        inner_n = n - 2;
    } else if (n > 6 && text[n - 1] == '>' &&
               (strncasecmp(text, "list<", 5) == 0 || strncasecmp(text, "array<", 6) == 0)) {
        inner = strchr(text, '<') + 1;
        inner_n = (size_t)(text + n - 1 - inner);
    }
    if (inner == NULL)
        return read_scalar(text, n, r);
    if (!read_scalar(inner, inner_n, r))
        return false;
    r->type = dm_type_list(r->type);
    r->max_length = 0;
    return true;
}

/* ---- back into words ---- */

const char *dm_type_words_yaml(struct dm_type type, char *out, size_t size)
{
    static const char *const names[] = {
        [DM_BOOL] = "boolean",
        [DM_INT32] = "int32",
        [DM_INT64] = "int64",
        [DM_FLOAT32] = "float32",
        [DM_FLOAT64] = "float64",
        [DM_DATE] = "date",
        [DM_TIME] = "time",
        [DM_TIMESTAMP] = "timestamp",
        [DM_TIMESTAMPTZ] = "timestamptz",
        [DM_STRING] = "string",
        [DM_BINARY] = "binary",
        [DM_UUID] = "uuid",
        [DM_TIMESTAMP_NS] = "timestamp_ns",
    };
    if (type.id == DM_DECIMAL) {
        (void)snprintf(out, size, "decimal(%u, %u)", type.precision, type.scale);
    } else if (type.id == DM_LIST) {
        char element[40];
        (void)snprintf(out, size, "list<%s>",
                       dm_type_words_yaml(dm_type_element(type), element, sizeof element));
    } else {
        (void)snprintf(out, size, "%s",
                       type.id < sizeof names / sizeof *names && names[type.id] ? names[type.id] : "?");
    }
    return out;
}

/* By type, then by dialect in the order of enum dm_ddl_dialect from POSTGRES. */
static const char *const ddl_names[][5] = {
    [DM_BOOL] = {"boolean", "boolean", "BOOLEAN", "BOOLEAN", "BOOL"},
    [DM_INT32] = {"integer", "int", "NUMBER(10,0)", "INT", "INT64"},
    [DM_INT64] = {"bigint", "bigint", "NUMBER(19,0)", "BIGINT", "INT64"},
    [DM_FLOAT32] = {"real", "float", "FLOAT", "FLOAT", "FLOAT64"},
    [DM_FLOAT64] = {"double precision", "double", "FLOAT", "DOUBLE", "FLOAT64"},
    [DM_DATE] = {"date", "date", "DATE", "DATE", "DATE"},
    [DM_TIME] = {"time", "time(6)", "TIME(6)", "STRING", "TIME"},
    [DM_TIMESTAMP] = {"timestamp", "datetime(6)", "TIMESTAMP_NTZ(6)", "TIMESTAMP_NTZ", "DATETIME"},
    [DM_TIMESTAMPTZ] = {"timestamptz", "timestamp(6)", "TIMESTAMP_TZ(6)", "TIMESTAMP", "TIMESTAMP"},
    /* PostgreSQL takes a 9 and keeps 6 digits, with a warning; where a 9 is an error, or no word is, the column is a text. */
    [DM_TIMESTAMP_NS] = {"timestamp(9)", "varchar(35)", "TIMESTAMP_NTZ(9)", "STRING", "STRING"},
    [DM_STRING] = {"text", "text", "VARCHAR", "STRING", "STRING"},
    [DM_BINARY] = {"bytea", "longblob", "BINARY", "BINARY", "BYTES"},
    [DM_UUID] = {"uuid", "char(36)", "VARCHAR(36)", "STRING", "STRING"},
};

static void ddl_list(struct dm_type type, enum dm_ddl_dialect dialect, char *out, size_t size)
{
    char element[48];
    (void)dm_type_words_ddl(dm_type_element(type), 0, dialect, element, sizeof element);
    switch (dialect) {
    case DM_DIALECT_MYSQL: (void)snprintf(out, size, "json"); break;
    case DM_DIALECT_SNOWFLAKE: (void)snprintf(out, size, "ARRAY"); break;
    case DM_DIALECT_DATABRICKS:
    case DM_DIALECT_BIGQUERY: (void)snprintf(out, size, "ARRAY<%s>", element); break;
    default: (void)snprintf(out, size, "%s[]", element); break;
    }
}

const char *dm_type_words_ddl(struct dm_type type, uint32_t max_length, enum dm_ddl_dialect dialect,
                              char *out, size_t size)
{
    if (dialect == DM_DIALECT_AUTO)
        dialect = DM_DIALECT_POSTGRES;
    bool upper = dialect >= DM_DIALECT_SNOWFLAKE;
    if (type.id == DM_DECIMAL && dialect == DM_DIALECT_BIGQUERY &&
        (type.scale > 9 || type.precision - type.scale > 29))
        (void)snprintf(out, size, "BIGNUMERIC(%u,%u)", type.precision, type.scale);
    else if (type.id == DM_DECIMAL)
        (void)snprintf(out, size, "%s(%u,%u)", upper ? "NUMERIC" : "numeric", type.precision, type.scale);
    else if (type.id == DM_LIST)
        ddl_list(type, dialect, out, size);
    else if (type.id == DM_STRING && max_length > 0 && dialect != DM_DIALECT_BIGQUERY)
        (void)snprintf(out, size, "%s(%u)", upper ? "VARCHAR" : "varchar", max_length);
    else if (type.id == DM_STRING && max_length > 0)
        (void)snprintf(out, size, "STRING(%u)", max_length);
    else
        (void)snprintf(out, size, "%s", ddl_names[type.id][dialect - DM_DIALECT_POSTGRES]);
    return out;
}

const char *dm_type_words_near(const char *word)
{
    const char *all[n_words];
    for (size_t i = 0; i < n_words; i++)
        all[i] = words[i].words;
    return dm_nearest_word(word, all, n_words);
}
