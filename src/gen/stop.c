#include "gen/stop.h"

#include <string.h>

/* A token stands for one byte of text or more, so a match begins within as many tokens as the text has bytes.
 * Tokens without text (special ones that decode to nothing never do so here) would only make the window too
 * small. */
static int64_t window(const struct stop_strings *s)
{
    size_t longest = 0;

    for (size_t i = 0; i < s->count; i++)
        longest = strlen(s->texts[i]) > longest ? strlen(s->texts[i]) : longest;
    return (int64_t)longest + 1;
}

static size_t common_prefix(const struct str *a, const struct str *b)
{
    size_t n = 0;

    while (n < a->length && n < b->length && a->data[n] == b->data[n])
        n++;
    return n;
}

/* Whether `needle` occurs in text so that it ends after `from`. */
static bool occurs_after(const struct str *text, const char *needle, size_t from)
{
    size_t length = strlen(needle), begin = from + 1 > length ? from + 1 - length : 0;

    return begin <= text->length && memmem(text->data + begin, text->length - begin, needle, length) != NULL;
}

bool stop_matches(const struct stop_strings *s, const int32_t *ids, int64_t length)
{
    struct str before, after;
    int64_t first;
    size_t old;
    bool found = false;

    if (s->count == 0 || !s->tokenizer || length == 0)
        return false;
    first = length > window(s) ? length - window(s) : 0;
    str_init(&before);
    str_init(&after);
    if (tokenizer_decode(s->tokenizer, ids + first, (size_t)(length - 1 - first), false, &before) == 0 &&
        tokenizer_decode(s->tokenizer, ids + first, (size_t)(length - first), false, &after) == 0) {
        old = common_prefix(&before, &after);
        for (size_t i = 0; i < s->count && !found; i++)
            found = occurs_after(&after, s->texts[i], old);
    }
    str_release(&before);
    str_release(&after);
    return found;
}
