/* bert -- what BERT and RoBERTa share: config, trunk and pieces of heads. They differ in position ids, in
 * which rows of tables get no gradient, and in the names and forms of their heads. */
#ifndef PLAIT_MODELS_BERT_H
#define PLAIT_MODELS_BERT_H

#include "models/model.h"

struct bert {
    int64_t vocab, positions, types, width, layers, heads, inner, pad;
    double eps, init_range, hidden_dropout, attention_dropout, classifier_dropout;
    bool tied, decoder; /* decoder: rows attend to earlier rows only */
    int act;
};

extern const struct field bert_refused[];
int bert_check(const void *config);
void bert_sizes(const void *config, struct model_sizes *out);

/* Embeddings and encoder, within the scope of the trunk. position_padding: a position id whose row gets no
 * gradient, INT_NONE: none. *table: of the tokens. */
struct tensor *bert_trunk(struct builder *b, const struct bert *c, const struct model_inputs *in,
                          int64_t position_padding, struct tensor **table);
struct tensor *bert_dense(struct builder *b, const struct bert *c, const char *name, struct tensor *x,
                          int64_t from, int64_t to);
/* tanh(dense(x)) of rows that stand for their sequences; the scope is "bert.pooler" or so. */
struct tensor *bert_pool(struct builder *b, const struct bert *c, const char *scope, struct tensor *x);
double bert_classifier_dropout(const struct bert *c);
/* The projection of a masked-LM head: the token table when tied, `decoder` else. Tied, the bias is named
 * `bias`; else there is a parameter of that name too, which nothing reads, as in transformers. */
struct head bert_decoder(struct builder *b, const struct bert *c, struct tensor *table, const char *decoder,
                         const char *bias);

#endif
