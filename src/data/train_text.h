/* train_text -- the documents of data files, as what a tokenizer is trained on: lines of text as tokenizers'
 * trainers read them, or a column of rows. */
#ifndef PLAIT_DATA_TRAIN_TEXT_H
#define PLAIT_DATA_TRAIN_TEXT_H

#include "data/source.h"
#include "tok/tok.h"

/* Feeds all files to the trainer, on all threads; o->corpus has to be set. What sources say, or ERR_DATA for
 * text that is not UTF-8. */
int train_text_feed(struct tok_trainer *t, const struct source_options *o);

#endif
