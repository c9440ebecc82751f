/* events -- files that TensorBoard reads: TFRecords of Event messages (tensorflow/core/util/event.proto),
 * with scalars as simple_value. */
#ifndef PLAIT_TRAIN_EVENTS_H
#define PLAIT_TRAIN_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct events {
    int fd; /* -1: closed */
    char *path;
    struct str pending; /* records of one flush */
    bool failed;
};

/* A new file in the directory, which is made. step: where this run begins; what older files of the directory
 * hold from there on counts for nothing. ERR_CREATE, ERR_IO. */
int events_open(struct events *e, const char *directory, int64_t step);
void events_close(struct events *e);
void events_scalar(struct events *e, const char *tag, int64_t step, double value);
void events_flush(struct events *e); /* a failure is warned of once */

#endif
