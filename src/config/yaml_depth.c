#include <yaml.h>

#include "config/config_value.h"

enum { deepest = 64 };

bool dm_yaml_is_shallow(const char *text, size_t n, size_t *line)
{
    yaml_parser_t parser;
    yaml_event_t event;
    int depth = 0;
    bool more = true;
    if (!yaml_parser_initialize(&parser))
        return true;
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    while (more && depth <= deepest && yaml_parser_parse(&parser, &event)) {
        depth += event.type == YAML_SEQUENCE_START_EVENT || event.type == YAML_MAPPING_START_EVENT;
        depth -= event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT;
        more = event.type != YAML_STREAM_END_EVENT;
        *line = event.start_mark.line + 1;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return depth <= deepest;
}
