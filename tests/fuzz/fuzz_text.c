/* Text: lines of a data set, and lines as trainers of tokenizers read them. See cuts.h. */
#include "cuts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    compare_cuts(&source_text, data, size);
    return compare_cuts(&source_lines, data, size);
}
