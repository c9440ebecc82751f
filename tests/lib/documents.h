/* documents -- reads data files with no more than sources and collects what they hand over. */
#ifndef PLAIT_TESTS_DOCUMENTS_H
#define PLAIT_TESTS_DOCUMENTS_H

#include "base/str.h"
#include "data/source.h"

/* A document_fn: appends |text|, <source<, >target>, =label= or [ids/labels:types] to the struct str that is
 * the context. */
int documents_tell(void *context, const struct document *d);
/* All documents of all files, to emit; the first failure. */
int documents_read(const struct source_options *o, document_fn *emit, void *context);
/* The documents of one file as documents_tell says them; the caller frees it. */
char *documents_of(const char *path, bool drop_linebreaks);
/* The same with options of the caller's, whose patterns are ignored. */
char *documents_with(const struct source_options *o, const char *path);
/* Reading the file fails with the status and a sentence that has these words in it. */
void assert_documents_fail(const char *path, int expected, const char *words);
void assert_documents_fail_with(const struct source_options *o, const char *path, int expected,
                                const char *words);

#endif
