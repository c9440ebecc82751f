/* The frequencies of rotary positions, made in fp32 step by step as transformers' modeling_rope_utils.py
 * does. The ways to a longer context: linear (Chen et al., "Extending Context Window of Large Language Models
 * via Positional Interpolation", 2023), dynamic (grows with each length: ops/rotary.c), llama3 (Llama 3.1),
 * YaRN (Peng et al., 2023), longrope (Ding et al., "LongRoPE", 2024), proportional (turns only the first
 * pairs). */
#include <math.h>

#include "models/rope.h"

static float power(const struct rope *r, int64_t i)
{
    return (float)pow(r->theta, (float)(2 * i) / (float)r->width);
}

static float llama3(const struct rope *r, float inverse)
{
    float factor = (float)r->factor, original = (float)r->original;
    float low = (float)r->low, high = (float)r->high;
    float wavelength = (float)(2 * 3.14159265358979323846) / inverse, smooth;

    if (wavelength < original / high)
        return inverse;
    if (wavelength > original / low)
        return inverse / factor;
    smooth = (original / wavelength - low) / (high - low);
    return (1 - smooth) * inverse / factor + smooth * inverse;
}

/* Between i = low and i = high from the default to linear. */
static float yarn(const struct rope *r, int64_t i)
{
    float low = (float)r->low, high = (float)r->high, ramp = ((float)i - low) / (high - low), kept;

    kept = 1 - (ramp < 0 ? 0 : ramp > 1 ? 1 : ramp);
    return 1 / ((float)r->factor * power(r, i)) * (1 - kept) + 1 / power(r, i) * kept;
}

static float frequency(const struct rope *r, int64_t i, int is_long)
{
    switch (r->kind) {
    case ROPE_LINEAR: return 1 / power(r, i) / (float)r->factor;
    case ROPE_LLAMA3: return llama3(r, 1 / power(r, i));
    case ROPE_YARN: return yarn(r, i);
    case ROPE_LONGROPE: return 1 / (r->factors[is_long][i] * power(r, i));
    case ROPE_PROPORTIONAL: return i < r->turned ? 1 / power(r, i) / (float)r->factor : 0;
    case ROPE_DEFAULT:
    case ROPE_DYNAMIC:
    case ROPE_KINDS: break;
    }
    return 1 / power(r, i);
}

struct tensor *rope_table(struct builder *b, const struct model_inputs *in, const struct rope *r)
{
    int64_t half = r->width / 2;
    int rows = r->kind == ROPE_LONGROPE ? 2 : 1;
    float *values = mem_alloc_array((size_t)(rows * half), sizeof(values[0]));
    struct tensor *frequencies;

    for (int row = 0; row < rows; row++)
        for (int64_t i = 0; i < half; i++)
            values[row * half + i] = frequency(r, i, row);
    frequencies = graph_constant(b, "rotary_frequencies", rows, half, values);
    mem_free(values);
    return rotary_table(
        b, in->rows.positions, frequencies,
        r->kind == ROPE_DYNAMIC || r->kind == ROPE_LONGROPE ? in->rows.longest : NULL,
        &(struct rotary_options){
            .attention = r->attention, .original = r->original, .theta = r->theta, .factor = r->factor });
}
