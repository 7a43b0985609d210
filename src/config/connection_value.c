/* Values of variables within a connection string: where one stands decides how it is spelled, so that no sign in it means anything. */
#include <ctype.h>
#include <string.h>

#include "config/config_value.h"

static const char *after_scheme(const char *text)
{
    static const char *const schemes[] = {"postgresql://", "postgres://"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncmp(text, schemes[i], strlen(schemes[i])) == 0)
            return text + strlen(schemes[i]);
    return NULL;
}

/* scheme://user:password@host:port,host/path?name=value&… */
static enum dm_connection_spelling in_url(const char *authority, const char *at)
{
    const char *hosts = authority, *credentials = authority + strcspn(authority, "@/");
    if (*credentials == '@')
        hosts = credentials + 1;
    const char *path = hosts + strcspn(hosts, "/?"), *query = path + strcspn(path, "?");
    if (at < authority)
        return DM_SPELL_AS_IS;
    if (at < hosts || (at > path && at < query))
        return DM_SPELL_PERCENT;
    if (at < path)
        return DM_SPELL_AS_IS;
    const char *parameter = at;
    while (parameter > query && *parameter != '&')
        parameter--;
    return memchr(parameter, '=', (size_t)(at - parameter)) != NULL ? DM_SPELL_PERCENT : DM_SPELL_AS_IS;
}

/* name=value name = 'quoted \' value' */
static enum dm_connection_spelling in_keywords(const char *text, const char *at)
{
    enum { NAME, BEFORE_VALUE, VALUE, QUOTED } state = NAME;
    for (const char *c = text; c < at; c++) {
        bool space = isspace((unsigned char)*c) != 0;
        switch (state) {
        case NAME: state = *c == '=' ? BEFORE_VALUE : NAME; break;
        case BEFORE_VALUE: state = space ? BEFORE_VALUE : *c == '\'' ? QUOTED : VALUE; break;
        case VALUE: state = space ? NAME : VALUE; break;
        case QUOTED: state = *c == '\'' ? NAME : QUOTED; break;
        }
        if (*c == '\\' && (state == VALUE || state == QUOTED) && c + 1 < at)
            c++;
    }
    return state != NAME ? DM_SPELL_KEYWORD : DM_SPELL_AS_IS;
}

enum dm_connection_spelling dm_connection_spelling_at(const char *text, const char *at)
{
    const char *authority = after_scheme(text);
    return authority != NULL ? in_url(authority, at) : in_keywords(text, at);
}

enum dm_status dm_connection_spell(enum dm_connection_spelling how, const char *value, struct dm_buffer *out,
                                   struct dm_error *err)
{
    enum dm_status status = DM_OK;
    if (how == DM_SPELL_AS_IS)
        return dm_buffer_append(out, value, strlen(value), err);
    for (const unsigned char *c = (const unsigned char *)value; *c != '\0' && status == DM_OK; c++) {
        bool plain = isalnum(*c) || strchr("-._~", *c) != NULL;
        if (how == DM_SPELL_PERCENT && !plain)
            status = dm_buffer_printf(out, err, "%%%02X", (unsigned)*c);
        else if (how == DM_SPELL_KEYWORD && (*c == '\\' || *c == '\'' || isspace(*c)))
            status = dm_buffer_printf(out, err, "\\%c", *c);
        else
            status = dm_buffer_append_byte(out, *c, err);
    }
    return status;
}
