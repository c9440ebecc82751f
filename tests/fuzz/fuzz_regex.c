/* A pattern, byte 0xFF, then a text. Matches come in order, lie within the text and are found again. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "tok/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MOST = 2000 };

/* Counts the matches. */
static int scan(const struct regex *re, const char *text, size_t length, size_t *count)
{
    struct regex_scan s;
    size_t begin, end, last = 0;
    bool found = true;
    int status = OK;

    *count = 0;
    regex_begin(&s, re, text, length);
    while (status == OK && found) {
        status = regex_next(&s, &found, &begin, &end);
        if (status != OK || !found)
            break;
        if (begin < last || end < begin || end > length)
            BUG("a match from %zu to %zu after %zu of %zu", begin, end, last, length);
        last = end;
        if (++*count > length + 1)
            BUG("more matches than places");
    }
    regex_end(&s);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *pattern = (const char *)data, *cut = size > 0 ? memchr(pattern, 0xFF, size) : NULL;
    size_t length = cut ? (size_t)(cut - pattern) : size, first, second;
    const char *text = cut ? cut + 1 : pattern;
    size_t text_length = cut ? size - length - 1 : size;
    struct regex_error error;
    struct regex *re;

    if (!regex_compile(pattern, length, &re, &error)) {
        if (error.at > length || !error.what)
            BUG("an error at byte %zu of %zu", error.at, length);
        return 0;
    }
    if (text_length > TEXT_MOST)
        text_length = TEXT_MOST;
    if (scan(re, text, text_length, &first) == OK &&
        (scan(re, text, text_length, &second) != OK || first != second))
        BUG("%zu matches, then %zu", first, second);
    regex_free(re);
    error_clear();
    return 0;
}
