/* The reference page of mirror.yaml, made of the declaration in options.c: docs/configuration.md is this text. */
#include <string.h>

#include "config/config.h"
#include "config/config_value.h"
#include "config/options.h"

static const char opening[] =
    "# Configuration\n\n"
    "<!-- Made by `datamirror help --reference` from src/config/options.c: change it there. -->\n\n"
    "Data Mirror reads one YAML file, `mirror.yaml` unless `-c` names another. `datamirror init` writes a "
    "starter.\n"
    "Unknown options, wrong kinds of value and options given twice are errors with file and line.\n\n"
    "- `${NAME}` in any value takes the environment variable NAME; it is an error when it is not set. A "
    "plain `${` is\n"
    "  written `$${`. Keep secrets out of the file this way; they are never printed or logged.\n"
    "- Sizes: `512MiB`, `1GiB`, `64KB`; without a unit, bytes. Units: B, KiB, MiB, GiB, TiB and KB, MB, GB, "
    "TB.\n"
    "- Durations: `500ms`, `1s`, `10m`, `2h`, `7d`.\n\n"
    "```yaml\n"
    "lake: ./lake\n"
    "sources:\n"
    "  shop:\n"
    "    type: postgres\n"
    "    url: postgresql://mirror:${SHOP_PASSWORD}@db.example/shop\n"
    "    tables:\n"
    "      - name: public.events\n"
    "        append_only: true\n"
    "      - \"public.*\"\n"
    "    exclude: [\"*.tmp_*\"]\n"
    "```\n";

static const char *kind_text(const struct dm_option *o)
{
    switch (o->kind) {
    case DM_OPTION_TEXT: return "text";
    case DM_OPTION_CHOICE: return "one of";
    case DM_OPTION_BOOL:
    case DM_OPTION_TRISTATE: return "`true` or `false`";
    case DM_OPTION_INT: return "whole number";
    case DM_OPTION_SIZE: return "size";
    case DM_OPTION_DURATION: return "duration";
    case DM_OPTION_LIST: return "list of texts";
    case DM_OPTION_SOURCES: return "map of sources";
    case DM_OPTION_TABLES: return "list of globs or maps";
    case DM_OPTION_DECIMALS: return "map of columns";
    }
    return "";
}

static enum dm_status write_limits(struct dm_buffer *out, const struct dm_option *o, struct dm_error *err)
{
    char low[32], high[32];
    switch (o->kind) {
    case DM_OPTION_CHOICE:
        for (size_t i = 0; o->choices[i] != NULL; i++)
            if (dm_buffer_printf(out, err, "%s `%s`", i ? "," : "", o->choices[i]) != DM_OK)
                return DM_FAIL;
        return DM_OK;
    case DM_OPTION_INT:
        if (o->min == o->max)
            return dm_buffer_printf(out, err, ", must be %d", (int)o->min);
        return dm_buffer_printf(out, err, ", %d to %d", (int)o->min, (int)o->max);
    case DM_OPTION_SIZE:
        return dm_buffer_printf(out, err, ", %s to %s", dm_value_size_text((uint64_t)o->min, low, sizeof low),
                                dm_value_size_text((uint64_t)o->max, high, sizeof high));
    case DM_OPTION_DURATION:
        return dm_buffer_printf(out, err, ", %s to %s",
                                o->min == 0 ? "0" : dm_value_duration_text(o->min, low, sizeof low),
                                dm_value_duration_text(o->max, high, sizeof high));
    default: return DM_OK;
    }
}

static enum dm_status write_option(struct dm_buffer *out, const struct dm_option *o, struct dm_error *err)
{
    if (dm_buffer_printf(out, err, "\n### `%s`\n\n%s", o->name, kind_text(o)) != DM_OK ||
        write_limits(out, o, err) != DM_OK)
        return DM_FAIL;
    if (o->required && dm_buffer_printf(out, err, "; required") != DM_OK)
        return DM_FAIL;
    if (o->fallback != NULL && dm_buffer_printf(out, err, "; default `%s`", o->fallback) != DM_OK)
        return DM_FAIL;
    if (o->only != NULL && dm_buffer_printf(out, err, "; %s only", o->only) != DM_OK)
        return DM_FAIL;
    if (o->secret && dm_buffer_printf(out, err, "; never shown in full") != DM_OK)
        return DM_FAIL;
    if (dm_buffer_printf(out, err, "\n\n%s\n", o->help) != DM_OK)
        return DM_FAIL;
    return o->example == NULL ? DM_OK : dm_buffer_printf(out, err, "\n```yaml\n%s\n```\n", o->example);
}

static enum dm_status write_section(struct dm_buffer *out, const struct dm_option_section *section,
                                    struct dm_error *err)
{
    if (dm_buffer_printf(out, err, "\n## %s\n\n%s\n", section->title, section->intro) != DM_OK)
        return DM_FAIL;
    for (size_t i = 0; i < section->n; i++)
        if (write_option(out, &section->options[i], err) != DM_OK)
            return DM_FAIL;
    return DM_OK;
}

enum dm_status dm_config_reference(struct dm_buffer *out, struct dm_error *err)
{
    if (dm_buffer_append(out, opening, sizeof opening - 1, err) != DM_OK ||
        write_section(out, &dm_options_top, err) != DM_OK ||
        write_section(out, &dm_options_source, err) != DM_OK)
        return DM_FAIL;
    return write_section(out, &dm_options_table, err);
}
