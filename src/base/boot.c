#include "base/boot.h"

#include <string.h>

#include "base/buffer.h"
#include "base/file.h"

void dm_boot_id(char out[DM_BOOT_SIZE])
{
    struct dm_buffer text;
    dm_buffer_init(&text, DM_BOOT_SIZE - 1);
    out[0] = '\0';
    if (dm_file_read("/proc/sys/kernel/random/boot_id", &text, NULL) == DM_OK) {
        memcpy(out, text.data, text.len);
        out[text.len] = '\0';
        out[strcspn(out, " \r\n")] = '\0';
    }
    dm_buffer_release(&text);
}
