/* types -- every component there is; components.c lists them by kind. */
#ifndef PLAIT_TOK_TYPES_H
#define PLAIT_TOK_TYPES_H

#include "tok/component.h"

extern const struct component_type normalizer_nfc, normalizer_nfd, normalizer_nfkc, normalizer_nfkd,
    normalizer_lowercase, normalizer_sequence, normalizer_strip, normalizer_strip_accents, normalizer_nmt,
    normalizer_bert, normalizer_replace, normalizer_prepend, normalizer_byte_level, normalizer_precompiled;
extern const struct component_type pre_tokenizer_byte_level, pre_tokenizer_sequence, pre_tokenizer_split,
    pre_tokenizer_whitespace, pre_tokenizer_whitespace_split, pre_tokenizer_punctuation, pre_tokenizer_bert,
    pre_tokenizer_digits, pre_tokenizer_delimiter, pre_tokenizer_fixed_length, pre_tokenizer_scripts,
    pre_tokenizer_metaspace;
extern const struct component_type model_bpe, model_unigram, model_wordpiece, model_wordlevel;
extern const struct component_type post_processor_byte_level, post_processor_roberta, post_processor_template,
    post_processor_sequence, post_processor_bert;
extern const struct component_type decoder_byte_level, decoder_sequence, decoder_word_piece,
    decoder_metaspace, decoder_bpe, decoder_byte_fallback, decoder_fuse, decoder_strip, decoder_replace,
    decoder_ctc;

/* Takes white space off the spans of what p covers. */
void byte_level_trim(const struct process *p, bool add_prefix_space);

#endif
