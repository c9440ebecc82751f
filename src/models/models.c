#include <string.h>

#include "models/model.h"

extern const struct model_def model_bert, model_gpt2, model_roberta;

const struct model_def *const model_table[] = {
    &model_gpt2,
    &model_bert,
    &model_roberta,
    NULL,
};

const struct model_def *model_find(const char *model_type)
{
    for (int i = 0; model_table[i]; i++)
        if (strcmp(model_table[i]->name, model_type) == 0)
            return model_table[i];
    return NULL;
}
