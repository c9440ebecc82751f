/* log -- what goes to stderr beside results. One line a call; the prefix "plait: " is added for warnings and
 * notes. A progress bar on a terminal registers its redraw so that lines do not tear it. Levels: LOG_ERROR
 * shows none of these, LOG_WARNING shows warn, LOG_INFO (the default) also note and inform, LOG_DEBUG all. */
#ifndef PLAIT_BASE_LOG_H
#define PLAIT_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);
void warn(const char *format, ...) __attribute__((format(printf, 1, 2))); /* "plait: warning: ..." */
void note(const char *format, ...)
    __attribute__((format(printf, 1, 2))); /* "plait: note: ..." once for each text */
void inform(const char *format, ...) __attribute__((format(printf, 1, 2))); /* plain line, LOG_INFO */
void debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Called before a line is printed (clear = true) and after (clear = false), on the thread that logs. NULL
 * removes it. Set and remove it while no other thread logs. */
void log_set_status_line(void (*draw)(void *context, bool clear), void *context);

#endif
