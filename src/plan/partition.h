/* partition -- where the user wants parameters to lie, in place of the search: --partition_rules.
 *
 *     [{"pattern": "attn\\.c_attn\\.weight", "placement": [null, "tp"]},
 *      {"pattern": "wte",                    "placement": ["tp", null]}]
 *
 * A rule speaks of the parameters whose names its pattern has a match in; the first rule that does counts.
 * A placement has a word for each dim of the tensor in files: the axis that deals it out, or null; null
 * alone stands for as many as there are. An axis that it does not name holds the parameter REPLICATEd.
 * Where a dim of the file is heads times head width, or q, k and v of such, heads are dealt out.
 *
 * On tp nodes take a parameter as it lies where they have a rule for that, and gather it where they have
 * none, so every placement can be; the result is the same, the time is not. What dp deals out is gathered
 * for each use, and its gradient and moments are dealt out alike, as at stage 3 of ZeRO. */
#ifndef PLAIT_PLAN_PARTITION_H
#define PLAIT_PLAN_PARTITION_H

#include "core/graph.h"

struct partition_rules;

/* ERR_OPEN, ERR_DATA for what is no JSON, ERR_CONFIG. The caller frees. name: for messages. */
int partition_rules_load(const char *path, struct partition_rules **out);
int partition_rules_parse(const char *name, const char *bytes, size_t length, struct partition_rules **out);
void partition_rules_free(struct partition_rules *r); /* NULL is fine */
/* ERR_CONFIG for a pattern that no parameter of g has a match of, or a placement that is not one of all that
 * the rule speaks of. r NULL: OK. */
int partition_rules_check(const struct partition_rules *r, const struct graph *g);
/* Notes which of the axes that they name have one rank in this mesh. */
void partition_rules_tell_idle(const struct partition_rules *r, const struct mesh *mesh);
/* Where they put t on an axis; false: nothing is said of it. */
bool partition_rules_find(const struct partition_rules *r, const struct tensor *t, enum axis axis,
                          struct placement *out);

#endif
