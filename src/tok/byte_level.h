/* byte_level -- GPT-2's printable form of bytes (Radford et al., "Language models are unsupervised multitask
 * learners", 2019, and its published encoder): each byte stands for one character, itself where it is
 * printable in Latin-1, else U+0100 and up in order. */
#ifndef PLAIT_TOK_BYTE_LEVEL_H
#define PLAIT_TOK_BYTE_LEVEL_H

#include "tok/component.h"

uint32_t byte_level_char(uint8_t byte);  /* the character of a byte, U+0021 .. U+0143 */
int byte_level_byte(uint32_t character); /* -1: stands for no byte */
/* The piece in its printable form, in scratch. */
struct piece byte_level_form(const struct piece *p, struct text *scratch);

#endif
