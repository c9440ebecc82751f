/* sample -- what a run is made of: a row of tokens with what is to be learned from it, found by its number. A
 * data set is a source of them (dataset.h); a caller of the library may bring its own. What a model is shown
 * of a sample is the objective's business (objective.h). */
#ifndef PLAIT_DATA_SAMPLE_H
#define PLAIT_DATA_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

struct sample {
    int32_t *ids, *labels; /* room for max_length of the source, to be filled in */
    int64_t length;        /* 1 .. max_length */
    bool labelled;         /* labels were filled in, beside ids: -100 no loss. Else the ids are the labels */
    int32_t *types;        /* room for max_length: token types; typed: they were filled in */
    bool typed;
    int32_t *starts;     /* room for max_length: where documents begin, from 0 on */
    int64_t start_count; /* 0: all is one document */
    int32_t *target;     /* room for max_target: what is to be written when ids are read */
    int64_t target_length;
    int32_t class;  /* of the sample as a whole; -1: none */
    float *numbers; /* room for number_count: in place of a class; of_labels: for as many with each label */
    bool of_labels;
};

struct sample_source {
    int64_t count;          /* samples of an epoch, at least 1 */
    int64_t max_length;     /* tokens of a sample, at most: T */
    int64_t max_target;     /* of its target; 0: there are none */
    int64_t longest;        /* tokens of the longest sample there is; 0: not known, max_length */
    int64_t longest_target; /* the same of targets */
    int64_t tokens;         /* of all samples and targets; 0: not known */
    int64_t number_count;   /* 0: there are none */
    bool of_labels;         /* the numbers go with labels, so many with each, for a loss that asks for them */
    /* Fills in sample `index` (0 .. count-1): the same one whenever it is asked for. Beside ids and length
     * everything is set to none before. */
    int (*read)(void *context, int64_t index, struct sample *s);
    /* Tokens of a sample, without reading it; NULL: not known, or all have as many. */
    int64_t (*length)(void *context, int64_t index);
    void *context;
};

/* Samples of a source are no longer than that. */
int64_t sample_longest(const struct sample_source *source);
int64_t sample_longest_target(const struct sample_source *source);
/* Room for any sample of a source. */
void sample_init(struct sample *s, const struct sample_source *source);
void sample_release(struct sample *s);
struct sample_limits {
    int64_t vocab, types; /* ids and labels, and token types, are below; 0: not checked */
};
/* Reads one and checks what of it can be out of bounds. ERR_DATA naming the sample, or what the source
 * says. */
int sample_read(const struct sample_source *source, int64_t index, const struct sample_limits *limits,
                struct sample *s);

#endif
