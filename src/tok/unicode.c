#include "tok/unicode.h"

#include <stddef.h>

#include <utf8proc.h>

int unicode_run(uint32_t code)
{
    int low = 0, high = UNICODE_RUN_COUNT;

    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (unicode_runs[middle] >> 11 <= code)
            low = middle;
        else
            high = middle;
    }
    return low;
}

uint32_t unicode_lower(uint32_t code)
{
    /* from after Unicode 14: an older utf8proc does not know them */
    static const struct {
        uint32_t first, last;
        int32_t distance;
    } late[] = {
        { 0x1C89, 0x1C89, 1 },    { 0xA7CB, 0xA7CB, -42343 }, { 0xA7CC, 0xA7CC, 1 },
        { 0xA7CE, 0xA7CE, 1 },    { 0xA7D2, 0xA7D2, 1 },      { 0xA7D4, 0xA7D4, 1 },
        { 0xA7DA, 0xA7DA, 1 },    { 0xA7DC, 0xA7DC, -42561 }, { 0x10D50, 0x10D65, 32 },
        { 0x16EA0, 0x16EB8, 27 },
    };

    for (size_t i = 0; code >= late[0].first && i < sizeof(late) / sizeof(late[0]); i++)
        if (code >= late[i].first && code <= late[i].last)
            return (uint32_t)((int32_t)code + late[i].distance);
    return (uint32_t)utf8proc_tolower((utf8proc_int32_t)code);
}
