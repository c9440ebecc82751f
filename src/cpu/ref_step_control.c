/* Reference of step_control: the only kernel of it, as it handles a handful of numbers. */
#include "cpu/ref.h"
#include "ops/ops.h"

void ref_step_control(const struct kernel_args *a)
{
    const struct view *settings = &a->in[STEP_CONTROL_SETTINGS];
    double count = ref_load(&a->in[STEP_CONTROL_COUNT], 0);
    double loss = ref_load(&a->in[STEP_CONTROL_LOSS], 0) / count;
    double norm = sqrt(ref_load(&a->in[STEP_CONTROL_SUMSQ], 0)) / count;
    double max_norm = ref_load(settings, SETTING_MAX_NORM);
    double clip = max_norm > 0 ? fmin(1, max_norm / (norm + 1e-6)) : 1;
    bool apply = count > 0 && isfinite(loss) && isfinite(norm);

    ref_store(&a->out[0], CONTROL_APPLY, apply);
    ref_store(&a->out[0], CONTROL_SCALE, apply ? clip / count : 0);
    ref_store(&a->out[0], CONTROL_GRAD_NORM, count > 0 ? norm : 0);
    ref_store(&a->out[0], CONTROL_LOSS, count > 0 ? loss : 0);
    ref_store(&a->out[0], CONTROL_LEARNING_RATE, ref_load(settings, SETTING_LEARNING_RATE));
    ref_store(&a->out[0], CONTROL_STEP, ref_load(settings, SETTING_STEP));
}
