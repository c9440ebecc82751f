/* labels -- what a column of labels says: the name of a class, a JSON array of several, or numbers. Which of
 * these is known after a look at all of them; a name's class is its place in alphabetical order, as in
 * Hugging Face's scripts, unless the model has the names already. */
#ifndef PLAIT_DATA_LABELS_H
#define PLAIT_DATA_LABELS_H

#include "base/map.h"
#include "data/source.h"

enum label_kind { LABEL_CLASS, LABEL_CLASSES, LABEL_NUMBERS };

struct label_set {
    enum label_kind kind;
    struct map classes; /* name -> class */
    int64_t count;      /* classes, or numbers of a sample */
};

/* Reads the column of labels of all files. ERR_DATA where they are none; bad records are left to those who
 * read the documents. */
int label_set_collect(struct label_set *l, const struct source_options *o);
void label_set_release(struct label_set *l);
/* 32-bit words that a sample's labels take: the class, or `count` floats. */
int64_t label_set_words(const struct label_set *l);
int label_set_read(const struct label_set *l, const struct cell *cell, int32_t *words);
uint64_t label_set_hash(const struct label_set *l);

#endif
