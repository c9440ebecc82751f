/* dist_case -- the sharding proof. Of every stored case of a family (tests/golden/FAMILY/cases.txt), on
 * meshes of in-process ranks, with stages and without: outputs, loss and gradients are what transformers
 * gave; a step of AdamW, dropout included, is that of one rank; and other names of parameters and scopes
 * give the same plan. */
#ifndef PLAIT_TESTS_DIST_CASE_H
#define PLAIT_TESTS_DIST_CASE_H

/* A cmocka program. families ends with NULL. */
int dist_families(const char *const families[]);

#endif
