/* data_files -- the files that a run's options name: lists of patterns to train and to evaluate on. */
#ifndef PLAIT_TRAIN_DATA_FILES_H
#define PLAIT_TRAIN_DATA_FILES_H

#include "base/mem.h"
#include "train/options.h"

struct data_files {
    struct option_list train, validation; /* count 0: none */
    struct arena memory;
};

struct data_wishes {
    const struct input_options *in;
    const char *cache_dir; /* where dataset_name is looked for; may be NULL */
    bool train, evaluate;  /* what data is wanted for */
};

/* ERR_USAGE when there are none for what is wanted, ERR_OPEN for a dataset_name that is not found. */
int data_files_find(struct data_files *f, const struct data_wishes *w);
void data_files_release(struct data_files *f);

#endif
