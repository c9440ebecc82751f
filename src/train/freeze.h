/* freeze -- which parameters are not trained: those with a match of a regular expression in their name. */
#ifndef PLAIT_TRAIN_FREEZE_H
#define PLAIT_TRAIN_FREEZE_H

#include "base/name_pattern.h"
#include "models/config.h"

struct freeze {
    struct name_pattern pattern;
    int64_t frozen, trained; /* elements */
};

/* pattern NULL: none. ERR_USAGE when it is no expression, has no match, or leaves nothing to train. */
int freeze_init(struct freeze *f, const char *pattern, const struct config *c);
void freeze_release(struct freeze *f);
/* As compile_options wants it. */
bool freeze_matches(const char *param, void *freeze);

#endif
