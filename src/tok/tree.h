/* tree -- a JSON document held whole. tokenizer.json names the type of a component anywhere inside it, so a
 * component is read from a tree and not from the stream; the strictness is that of base/json.h. Every node
 * knows its place, so that a failure of meaning found much later still says "FILE:LINE:COLUMN: $.path: WHAT".
 */
#ifndef PLAIT_TOK_TREE_H
#define PLAIT_TOK_TREE_H

#include "base/json.h"
#include "base/mem.h"

struct node {
    enum json_type type;
    uint32_t index;  /* among its siblings */
    uint32_t count;  /* children */
    const char *key; /* NULL in an array and at the root */
    size_t key_length;
    const char *text; /* a string's content, or a number's or bool's own characters; NUL-terminated */
    size_t length;
    const struct node *parent, *first, *next;
    size_t offset; /* in the document */
};

struct tree {
    const char *name, *bytes; /* borrowed: they outlive the tree */
    size_t length;
    struct arena arena;
    const struct node *root; /* NULL before tree_parse */
};

/* The document has to be an object. Page of an HTTP server instead of a file: a hint says so. */
int tree_parse(struct tree *t, const char *name, const char *bytes, size_t length);
void tree_release(struct tree *t); /* of a zeroed or parsed tree */

/* Records "NAME:LINE:COLUMN: $.path: WHAT" (no path for the document itself) and returns ERR_DATA. */
int node_fail(const struct tree *t, const struct node *n, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The member of an object, or NULL; a null member counts as absent. */
const struct node *node_get(const struct node *object, const char *key);
bool node_is(const struct node *n, const char *text); /* a string with just this content */

/* Members of an object by name. Absent or null: *out stays as it is. */
int node_bool(const struct tree *t, const struct node *object, const char *key, bool *out);
int node_int(const struct tree *t, const struct node *object, const char *key, int64_t min, int64_t max,
             int64_t *out);
int node_string(const struct tree *t, const struct node *object, const char *key, const char **out);

/* A member that has to be there, of that type. */
int node_require(const struct tree *t, const struct node *object, const char *key, enum json_type type,
                 const struct node **out);
int node_expect(const struct tree *t, const struct node *n, enum json_type type);
int node_to_int(const struct tree *t, const struct node *n, int64_t min, int64_t max, int64_t *out);
int node_to_bool(const struct tree *t, const struct node *n, bool *out);
int node_to_double(const struct tree *t, const struct node *n, double *out);

/* Warns of members that are not in the list (NULL-terminated). */
void node_warn_unknown(const struct tree *t, const struct node *object, const char *const *known);

/* Writes a value as it was read. */
void node_write(struct json_writer *w, const struct node *n);

#endif
