/* err -- trouble has four words.
 *
 *   BUG   our own mistake: prints place and sentence, aborts.
 *   fail  somebody else's mistake: records one complete sentence for this thread and returns a status.
 *   warn  worth a line on stderr, work goes on (base/log.h).
 *   die   print the record and leave: only the program (src/cli) may.
 *
 * A sentence reads "WHERE: WHAT (found X, expected Y)" without a trailing full stop, for example
 *   "m.safetensors: tensor \"w\": data ends at 1600 (found 1200 bytes, expected 1600)".
 * The first failure wins until error_clear(): callers add nothing and just return the status; error_prefix()
 * may put the name of a file before a sentence made by code that does not know it. Control characters in a
 * sentence become '?' and one longer than 4095 bytes is cut with "...", so that text from outside cannot
 * steer a terminal. */
#ifndef PLAIT_BASE_ERR_H
#define PLAIT_BASE_ERR_H

#include <stddef.h>

enum {
    OK = 0,
#define ERROR(name, exit_code, text) ERR_##name = -(exit_code),
#include "base/errors.def"
#undef ERROR
};

/* Records the sentence and returns `status` (an ERR_ value, never OK). The name stands in brackets because
 * cmocka.h has a macro of that name; a test that calls it says #undef fail. */
int(fail)(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds the one line of advice that may follow an error. No effect when nothing has failed. */
void error_hint(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Puts text before the recorded sentence: error_prefix("%s: ", path). Returns the recorded status. */
int error_prefix(const char *format, ...) __attribute__((format(printf, 1, 2)));

const char *error_message(void);   /* "" when nothing failed; valid until this thread's next fail or clear */
const char *error_hint_text(void); /* "" when there is none */
int error_status(void);
void error_clear(void);
int error_exit_code(int status); /* 0 for OK, else the sysexits value */

void bug_at(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));

/* For base/mem.c: says in one line that `bytes` more are not to be had and exits with code 71. */
void out_of_memory(size_t bytes) __attribute__((noreturn));

#define BUG(...) bug_at(__FILE__, __LINE__, __VA_ARGS__)
#define TRY(call)                 \
    do {                          \
        int try_status_ = (call); \
        if (try_status_ != OK)    \
            return try_status_;   \
    } while (0)

#endif
