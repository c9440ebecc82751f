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

bool config_is_null(const char *json);                     /* or absent */
bool config_is_string(const char *json, const char *text); /* the JSON of this text */
/* "config.json: $.n_head: wrong value (found 0, expected an integer from 1 to 1048576)": ERR_DATA */
int config_wrong(const struct config *c, const char *key, const char *json, const char *expected);
/* "... not supported (found "x", expected "a", "b")": ERR_CONFIG */
int config_unsupported(const struct config *c, const char *key, const char *json, const struct str *known);

/* ---- config_head.c ---- */
int config_read_head(struct config *c); /* which class it is, its labels and its problem */

#endif
