/* Which dialect a DDL text is in, by the words that only one of them uses. */
#include "registry/ddl_parser.h"
#include "registry/ddl_token.h"

enum { tokens_max = 200000, least_score = 3 };

struct clue {
    const char *word;
    int score[6]; /* by enum dm_ddl_dialect */
};

static const struct clue clues[] = {
    /*                      auto, postgres, mysql, snowflake, databricks, bigquery */
    {"engine", {0, 0, 5, 0, 0, 0}},       {"auto_increment", {0, 0, 5, 0, 0, 0}},
    {"unsigned", {0, 0, 5, 0, 0, 0}},     {"mediumtext", {0, 0, 4, 0, 0, 0}},
    {"longtext", {0, 0, 4, 0, 0, 0}},     {"mediumint", {0, 0, 4, 0, 0, 0}},
    {"charset", {0, 0, 4, 0, 0, 0}},      {"enum", {0, 1, 3, 0, 0, 0}},
    {"datetime", {0, 0, 2, 1, 0, 1}},     {"serial", {0, 4, 1, 0, 0, 0}},
    {"bigserial", {0, 5, 0, 0, 0, 0}},    {"jsonb", {0, 5, 0, 0, 0, 0}},
    {"timestamptz", {0, 3, 0, 1, 0, 0}},  {"bytea", {0, 5, 0, 0, 0, 0}},
    {"varying", {0, 3, 0, 0, 0, 0}},      {"regclass", {0, 5, 0, 0, 0, 0}},
    {"owner", {0, 2, 0, 0, 0, 0}},        {"variant", {0, 0, 0, 4, 1, 0}},
    {"number", {0, 0, 0, 4, 0, 0}},       {"timestamp_ltz", {0, 0, 0, 4, 1, 0}},
    {"timestamp_tz", {0, 0, 0, 5, 0, 0}}, {"timestamp_ntz", {0, 0, 0, 2, 2, 0}},
    {"transient", {0, 0, 0, 5, 0, 0}},    {"autoincrement", {0, 0, 0, 5, 0, 0}},
    {"delta", {0, 0, 0, 0, 5, 0}},        {"tblproperties", {0, 0, 0, 0, 6, 0}},
    {"string", {0, 0, 0, 1, 2, 2}},       {"bigint", {0, 1, 1, 1, 1, 0}},
    {"int64", {0, 0, 0, 0, 0, 6}},        {"float64", {0, 0, 0, 0, 0, 6}},
    {"bignumeric", {0, 0, 0, 0, 0, 6}},   {"bytes", {0, 0, 0, 0, 0, 4}},
    {"bool", {0, 1, 0, 0, 0, 1}},         {"options", {0, 0, 0, 0, 0, 4}},
    {"struct", {0, 0, 0, 0, 2, 2}},
};

enum dm_ddl_dialect dm_ddl_guess(const char *text, size_t n)
{
    struct dm_ddl_lexer lexer = {.text = text, .end = text + n, .line = 1};
    int score[6] = {0};
    struct dm_ddl_token t;
    for (size_t k = 0; k < tokens_max && (t = dm_ddl_next(&lexer)).kind != DM_DDL_END; k++) {
        if (t.kind == DM_DDL_QUOTED && t.sign == '`') {
            score[DM_DIALECT_MYSQL]++;
            score[DM_DIALECT_DATABRICKS]++;
            score[DM_DIALECT_BIGQUERY]++;
        }
        for (size_t i = 0; t.kind == DM_DDL_WORD && i < sizeof clues / sizeof *clues; i++)
            for (int d = 0; d < 6 && dm_ddl_is(&t, clues[i].word); d++)
                score[d] += clues[i].score[d];
    }
    int best = 0, second = 0;
    for (int d = 1; d < 6; d++) {
        if (score[d] > score[best]) {
            second = score[best];
            best = d;
        } else if (score[d] > second) {
            second = score[d];
        }
    }
    return score[best] >= least_score && score[best] > second ? (enum dm_ddl_dialect)best : DM_DIALECT_AUTO;
}
