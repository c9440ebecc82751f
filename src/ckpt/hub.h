/* hub -- from a model's name to a directory. A name is a directory, or ORG/NAME in one of the caches that the
 * Hugging Face tools fill; nothing is downloaded. In a cache:
 *
 *     models--ORG--NAME/refs/REVISION          the hash that a branch or tag names
 *     models--ORG--NAME/snapshots/HASH/...     links to the files
 *
 * Old names without an organisation mean today's (gpt2: openai-community/gpt2) and the other way round. */
#ifndef PLAIT_CKPT_HUB_H
#define PLAIT_CKPT_HUB_H

#include "base/str.h"

struct hub_options {
    const char *cache_dir; /* --cache_dir, looked in first; NULL: none */
    const char *revision;  /* branch, tag or hash; NULL: "main" */
};

/* *directory: freed by the caller, NULL when there is none. Then `places` (may be NULL) has been appended a
 * list of where it was looked for, in words. */
int hub_find(const char *name, const struct hub_options *o, char **directory, struct str *places);
/* The same, but ERR_OPEN, naming the places, when there is none. */
int hub_resolve(const char *name, const struct hub_options *o, char **directory);

#endif
