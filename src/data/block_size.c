#include "data/block_size.h"

#include <stdio.h>

#include "base/err.h"
#include "base/log.h"

enum { USUAL = 1024 };

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void warn_of_length(int64_t tokenizer, int64_t picked)
{
    char length[40] = "1000000000000000019884624838656"; /* int(1e30), which stands for "none" in Python */
    if (tokenizer != INT64_MAX)
        snprintf(length, sizeof(length), "%lld", (long long)tokenizer);
    warn("The tokenizer picked seems to have a very large `model_max_length` (%s). Picking %lld instead. "
         "You can change that default value by passing --block_size xxx.",
         length, (long long)picked);
}

int block_size_choose(int64_t wanted, int64_t tokenizer, int64_t model, int64_t *block_size)
{
    int64_t most = smaller(tokenizer, model), size = wanted;
    if (wanted < 0 || wanted == 1)
        return fail(ERR_USAGE, "block_size is %lld (expected at least 2)", (long long)wanted);
    if (wanted > most) {
        size = most;
        warn("The block_size passed (%lld) is larger than the maximum length for the model(%lld). Using "
             "block_size=%lld.",
             (long long)wanted, (long long)most, (long long)most);
    } else if (wanted == 0) {
        size = tokenizer;
        if (tokenizer > model || tokenizer == INT64_MAX) {
            size = smaller(USUAL, model);
            warn_of_length(tokenizer, size);
        }
    }
    if (size < 2)
        return fail(ERR_CONFIG, "the model takes %lld tokens (expected at least 2)", (long long)size);
    *block_size = size;
    return OK;
}
