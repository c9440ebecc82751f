/* Reference of adamw. */
#include "cpu/ref.h"
#include "ops/ops.h"

static void update_group(const struct kernel_args *a, const struct view *group)
{
    const struct view *control = &a->in[ADAMW_CONTROL];
    double b1 = a->node->attr[ADAMW_BETA1], b2 = a->node->attr[ADAMW_BETA2];
    double rate = ref_load(control, CONTROL_LEARNING_RATE), t = ref_load(control, CONTROL_STEP);
    double shrink = 1 - rate * a->node->attr[ADAMW_DECAY];

    for (int64_t i = 0; i < view_count(&group[ADAMW_PARAM]); i++) {
        double g = ref_load(&group[ADAMW_GRAD], i) * ref_load(control, CONTROL_SCALE);
        double m = b1 * ref_load(&group[ADAMW_M], i) + (1 - b1) * g;
        double v = b2 * ref_load(&group[ADAMW_V], i) + (1 - b2) * g * g;
        double step = m / (1 - pow(b1, t)) / (sqrt(v / (1 - pow(b2, t))) + a->node->attr[ADAMW_EPS]);
        ref_store(&group[ADAMW_PARAM], i, ref_load(&group[ADAMW_PARAM], i) * shrink - rate * step);
        ref_store(&group[ADAMW_M], i, m);
        ref_store(&group[ADAMW_V], i, v);
    }
}

void ref_adamw(const struct kernel_args *a)
{
    if (ref_load(&a->in[ADAMW_CONTROL], CONTROL_APPLY) == 0)
        return;
    for (int i = ADAMW_FIRST; i + ADAMW_GROUP <= a->node->nin; i += ADAMW_GROUP)
        update_group(a, &a->in[i]);
}
