/* JSON lines: cells, and rows of ids. See cuts.h. */
#include "cuts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return compare_cuts(&source_jsonl, data, size);
}
