/* name_pattern -- a regular expression (PCRE2, which reads what Python's re does) searched in names. */
#ifndef PLAIT_BASE_NAME_PATTERN_H
#define PLAIT_BASE_NAME_PATTERN_H

#include <stdbool.h>

struct name_pattern {
    void *code; /* NULL: matches nothing */
};

enum { NAME_PATTERN_WHY = 200 };
/* false: text is no expression, and why says so; then nothing has to be released. */
bool name_pattern_init(struct name_pattern *p, const char *text, char why[NAME_PATTERN_WHY]);
void name_pattern_release(struct name_pattern *p);
bool name_pattern_matches(const struct name_pattern *p, const char *name);

#endif
