/* difference -- how far a layout's tensor is from one rank's, after a step from the same values. Private to
 * src/train. */
#ifndef PLAIT_TRAIN_DIFFERENCE_H
#define PLAIT_TRAIN_DIFFERENCE_H

#include <stdint.h>

struct difference {
    const float *expected, *found, *before;
    const float
        *second; /* of an update: the second moment, which tells what is well determined; NULL: all is */
    int64_t count;
    double least_root, least_change; /* below: not compared; compared with this */
};

/* The difference against the change that the step has made, as root mean squares; INFINITY: not a number. */
double difference_of(const struct difference *d);

/* The root of the largest entry. */
double largest_root(const float *second, int64_t count);

#endif
