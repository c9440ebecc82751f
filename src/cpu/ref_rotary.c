/* References of rotary_table and rotary. */
#include "cpu/ref.h"
#include "ops/ops.h"

static float frequency(const struct kernel_args *a, int64_t i, int64_t longest)
{
    const struct view *f = &a->in[ROTARY_TABLE_FREQUENCIES];

    if ((double)longest <= a->node->attr[ROTARY_TABLE_ORIGINAL])
        return (float)ref_load(f, i);
    return f->dim[0] == 2 ? (float)ref_load(f, f->dim[1] + i) : rotary_grown(a->node, i, longest);
}

void ref_rotary_table(const struct kernel_args *a)
{
    const struct view *positions = &a->in[ROTARY_TABLE_POSITIONS];
    const int32_t *longest = input_data(a, ROTARY_TABLE_LONGEST);
    int64_t half = a->out[0].dim[1] / 2;
    double attention = a->node->attr[ROTARY_TABLE_ATTENTION];

    for (int64_t i = 0; i < half; i++) {
        for (int64_t n = 0; n < positions->dim[0]; n++) {
            float angle = (float)ref_load(positions, n) * frequency(a, i, longest ? longest[n] : 0);
            ref_put(a, 0, n * 2 * half + i, attention * cos(angle));
            ref_put(a, 0, n * 2 * half + half + i, attention * sin(angle));
        }
    }
}

static void rotate_head(const struct kernel_args *a, int64_t n, int64_t head, int64_t features)
{
    const struct view *x = &a->in[ROTARY_X], *table = &a->in[ROTARY_TABLE];
    int64_t half = table->dim[1] / 2;
    double sign = a->node->attr[ROTARY_INVERSE] != 0 ? -1 : 1;

    for (int64_t i = 0; i < half; i++) {
        double c = ref_load(table, n * 2 * half + i), s = sign * ref_load(table, n * 2 * half + half + i);
        double one = ref_load(x, head * features + i), other = ref_load(x, head * features + half + i);
        ref_put(a, 0, head * features + i, one * c - other * s);
        ref_put(a, 0, head * features + half + i, other * c + one * s);
    }
}

void ref_rotary(const struct kernel_args *a)
{
    const struct view *x = &a->in[ROTARY_X];
    int64_t heads = x->dim[2], features = x->dim[3], rotated = a->in[ROTARY_TABLE].dim[1];

    for (int64_t n = 0; n < x->dim[0]; n++) {
        for (int64_t h = 0; h < x->dim[1] * heads; h++) {
            int64_t head = n * x->dim[1] * heads + h, from = 0;
            if ((double)(h / heads) < a->node->attr[ROTARY_PARTS]) {
                rotate_head(a, n, head, features);
                from = rotated;
            }
            for (int64_t i = head * features + from; i < (head + 1) * features; i++)
                ref_put(a, 0, i, ref_load(x, i));
        }
    }
}
