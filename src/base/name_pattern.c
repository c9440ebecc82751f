#include "base/name_pattern.h"

#include <stdio.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum { STEPS = 100000 }; /* a search that takes more finds nothing: no name is that long */

bool name_pattern_init(struct name_pattern *p, const char *text, char why[NAME_PATTERN_WHY])
{
    int error;
    PCRE2_SIZE at;
    PCRE2_UCHAR what[120] = "";

    p->code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, 0, &error, &at, NULL);
    if (p->code)
        return true;
    pcre2_get_error_message(error, what, sizeof(what));
    snprintf(why, NAME_PATTERN_WHY, "no regular expression (found \"%.40s\"): %.100s at character %zu", text,
             (const char *)what, (size_t)at + 1);
    return false;
}

void name_pattern_release(struct name_pattern *p)
{
    pcre2_code_free(p->code);
    p->code = NULL;
}

bool name_pattern_matches(const struct name_pattern *p, const char *name)
{
    pcre2_match_context *limits;
    pcre2_match_data *match;
    bool found;

    if (!p->code)
        return false;
    limits = pcre2_match_context_create(NULL);
    match = pcre2_match_data_create(1, NULL);
    pcre2_set_match_limit(limits, STEPS);
    found = pcre2_match(p->code, (PCRE2_SPTR)name, strlen(name), 0, 0, match, limits) >= 0;
    pcre2_match_data_free(match);
    pcre2_match_context_free(limits);
    return found;
}
