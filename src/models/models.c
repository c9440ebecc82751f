#include "models/model.h"

extern const struct model_def model_bert, model_gpt2, model_gpt_neo, model_llama, model_roberta, model_t5;

const struct model_def *const model_table[] = {
    &model_gpt2, &model_gpt_neo, &model_llama, &model_bert, &model_roberta, &model_t5, NULL,
};

int64_t model_position_limit(const struct model_sizes *s)
{
    return s->any_position ? INT32_MAX : s->positions;
}
