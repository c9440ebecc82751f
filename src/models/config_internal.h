/* config_internal -- what config.c and the files beside it share. */
#ifndef PLAIT_MODELS_CONFIG_INTERNAL_H
#define PLAIT_MODELS_CONFIG_INTERNAL_H

#include "models/config.h"

void config_put_key(struct config *c, const char *key, const char *json, size_t length);
/* Reads a JSON object's members into keys; those there already take the new value. */
int config_read_keys(struct config *c, const char *bytes, size_t length);
/* From keys to everything else of c. On failure c->values and what belongs to them may be half new: the
 * caller releases c or reads again. */
int config_read_values(struct config *c);
/* The field of the architecture with this key or alias; NULL when there is none. */
const struct field *config_find_field(const struct model_def *def, const char *key);

#endif
