/* Reference of dropout. */
#include "base/rng.h"
#include "cpu/ref.h"
#include "ops/ops.h"

void ref_dropout(const struct kernel_args *a)
{
    const struct view *x = &a->in[DROPOUT_X];
    const int64_t *place = a->in[DROPOUT_PLACE].data;
    struct rng_key key = { .seed = a->seed, .stream = a->node->stream };
    double p = a->node->attr[DROPOUT_P];
    int64_t width = view_row(x);

    for (int64_t n = 0; n < view_rows(x); n++) {
        for (int64_t f = 0; f < width; f++) {
            uint64_t feature = (uint64_t)view_whole_feature(x, f);
            uint32_t bits[4];
            rng_bits(key, a->step << 40 | (uint64_t)place[n], feature / 4, bits);
            bool keep = bits[feature % 4] >= p * 4294967296.0;
            ref_put(a, 0, n * width + f, keep ? ref_load(x, n * width + f) / (1 - p) : 0);
        }
    }
}
