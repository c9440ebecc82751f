#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/options.h"
#include "base/err.h"
#include "base/file.h"

int parse_bytes(const char *option, const char *text, uint64_t *bytes)
{
    static const struct {
        const char *unit;
        double factor;
    } units[] = {
        { "", 1 },         { "B", 1 },    { "K", 1e3 },      { "KB", 1e3 },     { "KiB", 1024.0 },
        { "M", 1e6 },      { "MB", 1e6 }, { "MiB", 0x1p20 }, { "G", 1e9 },      { "GB", 1e9 },
        { "GiB", 0x1p30 }, { "T", 1e12 }, { "TB", 1e12 },    { "TiB", 0x1p40 },
    };
    size_t digits = strspn(text, "0123456789.");
    char *end;
    double v = digits ? strtod(text, &end) : NAN;

    for (size_t i = 0; digits && end == text + digits && i < sizeof(units) / sizeof(units[0]); i++) {
        double size = v * units[i].factor;
        if (strcasecmp(end + (*end == ' '), units[i].unit) != 0 || !(size >= 1 && size < 0x1p62))
            continue;
        *bytes = (uint64_t)size;
        return OK;
    }
    return fail(ERR_USAGE,
                "--%s: no size (found \"%.60s\", expected a number and KB, MB, GB or TB, such as 5GB)",
                option, text);
}

int require_text(const char *option, const char *value)
{
    if (value && *value)
        return OK;
    return fail(ERR_USAGE, "--%s is missing", option);
}

int write_text(const char *path, const struct str *text)
{
    return file_write(path ? path : "-", text->data, text->length);
}
