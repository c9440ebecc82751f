/* heads -- what stands on the trunk. A model's build function ends with hidden states, the weights of a
 * projection and, where transformers has something in between (BERT's transform of masked rows, a pooler), a
 * function that makes it on any rows. So that work is done for rows with labels alone, wherever logits of
 * others are not asked for. */
#include <stdio.h>

#include "models/model.h"

void trunk_begin(struct builder *b, const struct model_inputs *in, const char *name)
{
    if (in->head != HEAD_NONE)
        scope_begin(b, name);
}

void trunk_end(struct builder *b, const struct model_inputs *in, const char *name)
{
    if (in->head != HEAD_NONE)
        scope_end(b, name);
}

struct head projection_head(struct builder *b, const char *name, const struct projection *p)
{
    struct head head = { .out_first = true };

    scope_begin(b, name);
    head.weight = embedding_table(b, "weight", p->size, p->width, p->init);
    if (p->bias)
        head.bias = vector_param(b, "bias", p->size, INIT_ZERO);
    scope_end(b, name);
    return head;
}

struct head causal_head(struct builder *b, const struct model_inputs *in, struct tensor *tokens, bool tied,
                        double init)
{
    struct projection p = { .init = init };

    if (!tokens || in->head == HEAD_NONE) /* no tokens: the builder has failed */
        return (struct head){ 0 };
    p.width = tokens->dims[1].size;
    p.size = in->head == HEAD_CAUSAL ? tokens->dims[0].size : in->labels;
    if (in->head == HEAD_CAUSAL && tied)
        return (struct head){ .weight = tokens, .out_first = true };
    return projection_head(b, in->head == HEAD_CAUSAL ? "lm_head" : "score", &p);
}

struct tensor *head_input(struct builder *b, const struct head *head, struct tensor *x, struct tensor *rows,
                          struct tensor *place)
{
    if (!x) /* the builder has failed */
        return NULL;
    if (rows) {
        x = embedding(b, x, rows);
        if (head->prepare && b->training)
            place = embedding(b, place, rows);
    }
    return head->prepare ? head->prepare(b, head->config, x, place) : x;
}

struct tensor *head_logits(struct builder *b, const struct head *head, struct tensor *x)
{
    return x ? linear(b, x, head->weight, head->bias, 1, head->out_first) : NULL;
}
