/* split -- GPT-2's pre-tokenizer without a regular-expression engine:
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
#ifndef PLAIT_TOK_SPLIT_H
#define PLAIT_TOK_SPLIT_H

/* The end of the word that begins at p < end. */
const char *split_gpt2(const char *p, const char *end);

#endif
