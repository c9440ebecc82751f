/* sample -- what a run is made of: a row of tokens with labels, found by its number. A data set is a source
 * of them (dataset.h); a caller of the library may bring its own. */
#ifndef PLAIT_DATA_SAMPLE_H
#define PLAIT_DATA_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

struct sample {
    int32_t *ids, *labels; /* room for max_length of the source, to be filled in */
    int64_t length;        /* 1 .. max_length */
    bool labelled;         /* labels were filled in, beside ids: -100 no loss. Else the ids are the labels */
};

struct sample_source {
    int64_t count;      /* samples of an epoch, at least 1 */
    int64_t max_length; /* tokens of a sample, at most: T */
    /* Fills in sample `index` (0 .. count-1): the same one whenever it is asked for. */
    int (*read)(void *context, int64_t index, struct sample *s);
    void *context;
};

#endif
