/* train_log -- train_log.jsonl: one JSON object a line, in the order of steps, written at once. */
#ifndef PLAIT_TRAIN_TRAIN_LOG_H
#define PLAIT_TRAIN_TRAIN_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"

#define TRAIN_LOG_NAME "train_log.jsonl"

struct train_log {
    int fd; /* -1: closed */
    char *path;
    int64_t evaluated; /* step of the last line with an eval_loss; -1: none */
    bool failed;       /* a line could not be written, and that has been said */
};

/* Opens the file of a directory, or makes it. What was logged after `step`, and a last line that is cut off,
 * goes. ERR_CREATE, ERR_IO. */
int train_log_open(struct train_log *l, const char *directory, int64_t step);
void train_log_close(struct train_log *l);
/* One line. A full disk does not end a run: the first failure is warned of. */
void train_log_write(struct train_log *l, const struct str *line);

#endif
