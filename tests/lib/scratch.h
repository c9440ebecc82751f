/* scratch -- a directory for a test's files, under TMPDIR. */
#ifndef PLAIT_TESTS_SCRATCH_H
#define PLAIT_TESTS_SCRATCH_H

#include <stddef.h>

/* For cmocka: *state becomes the directory's path; the tear-down removes it with all inside. */
int scratch_create(void **state);
int scratch_remove(void **state);

/* DIRECTORY/NAME; the caller frees it with mem_free. */
char *scratch_path(void **state, const char *name);
/* Plain write, without the code under test. */
void scratch_put(const char *path, const void *bytes, size_t length);

#endif
