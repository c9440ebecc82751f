/* dist_case -- forward pass, loss and gradients of the stored cases of a family, which are listed in
 * tests/golden/FAMILY/cases.txt, on meshes of in-process ranks: each must give what transformers gave. */
#ifndef PLAIT_TESTS_DIST_CASE_H
#define PLAIT_TESTS_DIST_CASE_H

/* A cmocka program of one test for each mesh. */
int dist_family(const char *family);

#endif
