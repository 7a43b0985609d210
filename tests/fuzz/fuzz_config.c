/* Any bytes as mirror.yaml, and as a connection string: an answer or a CONFIG error, never a crash or a leak. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dm_config *config = NULL;
    struct dm_error err = {0};
    if (dm_config_parse((const char *)data, size, "fuzz/mirror.yaml", &config, &err) == DM_OK) {
        for (size_t i = 0; i < config->n_sources; i++)
            (void)dm_config_table(&config->sources[i], "public", "orders");
        dm_config_free(config);
    } else if (err.class != DM_ERROR_CONFIG || err.message[0] == '\0') {
        abort();
    }
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    char out[64];
    dm_url_redact(text, out, sizeof out);
    if (strlen(out) >= sizeof out)
        abort();
    free(text);
    return 0;
}
