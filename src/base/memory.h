/* memory.h — allocation that cannot be ignored.
 *
 * A process that mirrors databases cannot continue a half-made row, and Linux overcommits, so small
 * allocations abort with a message when they fail (`dm_xalloc`); everything sized by input goes through
 * struct dm_buffer or dm_arena, which have a maximum and report an error instead.
 * Memory from these functions is released with free().
 */
#ifndef DM_BASE_MEMORY_H
#define DM_BASE_MEMORY_H

#include <stddef.h>

/* Once, before anything large is allocated: what is large goes back to the system when it is freed. The C library would learn from the
 * first large block that such blocks come again, and keep them all, up to 32 MiB each. */
void dm_memory_setup(void);

void *dm_xalloc(size_t bytes);                           /* never NULL, contents undefined */
void *dm_xzalloc(size_t count, size_t size);             /* never NULL, zeroed, overflow checked */
void *dm_xrealloc(void *old, size_t count, size_t size); /* never NULL, overflow checked */
char *dm_xstrdup(const char *text);                      /* NULL in, NULL out */
char *dm_xstrndup(const char *text, size_t len);
char *dm_xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
