#include "tok/unicode.h"

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
