/* boot.h — which start of this machine we are in.
 *
 * What was written since the last start may be read back although it never reached the disk; after the next start it may be gone.
 *
 *     char boot[DM_BOOT_SIZE];
 *     dm_boot_id(boot);   // "" when the system does not say
 */
#ifndef DM_BASE_BOOT_H
#define DM_BASE_BOOT_H

enum { DM_BOOT_SIZE = 64 };

void dm_boot_id(char out[DM_BOOT_SIZE]);

#endif
