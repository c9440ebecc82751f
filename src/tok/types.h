/* types -- every component there is; components.c lists them by kind. */
#ifndef PLAIT_TOK_TYPES_H
#define PLAIT_TOK_TYPES_H

#include "tok/component.h"

extern const struct component_type normalizer_nfc, normalizer_nfd, normalizer_nfkc, normalizer_nfkd,
    normalizer_lowercase, normalizer_sequence;
extern const struct component_type pre_tokenizer_byte_level, pre_tokenizer_sequence;
extern const struct component_type model_bpe, model_unigram, model_wordpiece, model_wordlevel;
extern const struct component_type post_processor_byte_level, post_processor_roberta, post_processor_template,
    post_processor_sequence;
extern const struct component_type decoder_byte_level, decoder_sequence;

/* Takes white space off the spans of what p covers. */
void byte_level_trim(const struct process *p, bool add_prefix_space);

#endif
