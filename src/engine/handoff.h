/* handoff.h — inside engine/ only: tells ThreadSanitizer what it cannot see of DuckDB, which is built without it.
 *
 * DuckDB runs our functions (see chunk_source.h, scan_filter.h) on its own threads. It orders them with the query that asked for
 * them, but through atomics of its own. So both sides say so: who fills an object before a query gives it, who uses it on a
 * thread of DuckDB takes it first and gives it when done, and who goes on with it after the query takes it back. And memory
 * of DuckDB's vectors is used again by other threads, without a word to anybody: what we write there is left unwatched.
 * Without ThreadSanitizer all of this is nothing.
 *
 *     c->source = &source;
 *     dm_handoff_give(&source);
 *     … run the query: next() does dm_handoff_take(source), its work, dm_handoff_give(source) …
 *     dm_handoff_take(&source);
 */
#ifndef DM_ENGINE_HANDOFF_H
#define DM_ENGINE_HANDOFF_H

#ifdef __SANITIZE_THREAD__
#define DM_HANDOFF_WATCHED
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DM_HANDOFF_WATCHED
#endif
#endif

#ifdef DM_HANDOFF_WATCHED
#include <sanitizer/tsan_interface.h>

void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);

#define dm_handoff_give(object) __tsan_release((void *)(object))
#define dm_handoff_take(object) __tsan_acquire((void *)(object))
#define dm_vector_write_begin() AnnotateIgnoreWritesBegin(__FILE__, __LINE__)
#define dm_vector_write_end() AnnotateIgnoreWritesEnd(__FILE__, __LINE__)
#else
#define dm_handoff_give(object) ((void)(object))
#define dm_handoff_take(object) ((void)(object))
#define dm_vector_write_begin() ((void)0)
#define dm_vector_write_end() ((void)0)
#endif

#endif
