/* graph -- THE concept: tensors, the nodes that make them, and the builder that adds nodes.
 *
 * A graph is built once and then only rewritten by passes (autodiff, optimizer, shard, recompute, fuse),
 * ordered, given memory and run. Nodes stand in a valid order of execution at all times: a node's inputs are
 * produced before it.
 *
 * Values are assigned once. What is updated in place is a chain of versions: a node's output may take over
 * (`into`) the storage of an earlier tensor, and nothing reads that tensor after it. So there is one writer
 * at any place of the order, and "readers of the old value come first" is a property of the order that
 * graph_check() verifies.
 *
 * A dim has a capacity fixed at build and, where `count` says so, a number of used entries read at run time
 * (only ever dim 0). Dims are logical: GPT-2's c_attn.weight, (D, 3D) in its file, is (D, 3, H, K) here, and
 * whole entries of a logical dim are what sharding deals out.
 *
 * All memory of a graph comes from its arena and goes with graph_free. */
#ifndef PLAIT_CORE_GRAPH_H
#define PLAIT_CORE_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "core/dtype.h"
#include "core/placement.h"

enum { MAX_DIMS = 6, MAX_OUTPUTS = 6, MAX_ATTRS = 12 };

/* Which run-time count a dim follows. The loader produces all of them, so that every rank knows them without
 * asking. */
enum count {
    COUNT_FIXED,        /* always the capacity */
    COUNT_ROWS,         /* N: packed token rows */
    COUNT_LABELS,       /* token rows that carry a label */
    COUNT_SEQUENCES,    /* sequences packed into the rows */
    COUNT_OFFSETS,      /* sequences + 1 */
    COUNT_ENCODER_ROWS, /* M: packed rows of the encoder, where there is one */
    COUNT_KINDS
};

struct dim {
    int64_t size; /* capacity, of the whole model; a rank's share follows from the tensor's placements */
    enum count count;
};

enum tensor_kind {
    TENSOR_VALUE, /* made by a node */
    TENSOR_INPUT, /* set by the host before a program runs: token ids, learning rate; or a constant */
    TENSOR_PARAM, /* trained or frozen weight, lives for the run, has a name in files */
    TENSOR_STATE, /* lives for the run: optimizer moments, key/value cache */
    TENSOR_GRAD,  /* gradient accumulator of a parameter, or a sum over microbatches: lives for a step */
};

enum init_kind { INIT_ZERO, INIT_ONE, INIT_CONSTANT, INIT_NORMAL };

struct param_info { /* what a parameter is apart from its value */
    int file_ndim;
    int64_t file_dims[MAX_DIMS]; /* as in safetensors; the logical dims split these in order */
    enum init_kind init;
    double init_scale; /* the value for INIT_CONSTANT, standard deviation for INIT_NORMAL */
    int64_t zero_row;  /* 1 + the row of a table that starts as zeros (padding); 0: none */
    bool decay;        /* weight decay applies: no biases, no norm weights */
    bool trainable;
};

struct tensor {
    int id;           /* index into graph->tensors */
    const char *name; /* of a parameter (HF's), an input or a state; NULL for values */
    enum tensor_kind kind;
    enum dtype dtype;
    int ndim;
    struct dim dims[MAX_DIMS];
    struct node *producer;          /* NULL unless made by a node */
    int output;                     /* which of its outputs */
    struct tensor *into;            /* takes over this tensor's storage; NULL: has its own */
    const struct param_info *param; /* TENSOR_PARAM; also on its gradient and moments */
    const float *constant;          /* of an input that is one: its values */
    struct tensor *grad;            /* of a parameter: newest version of its accumulator (autodiff) */
    struct layout layout;           /* where it lies on the mesh (shard pass) */
};

enum unit { UNIT_FORWARD, UNIT_BACKWARD_INPUT, UNIT_BACKWARD_WEIGHT, UNIT_UPDATE };

struct node {
    int id; /* index into graph->nodes */
    const struct op_def *op;
    int nin, nout;
    struct tensor **in;              /* NULL where an optional input is absent */
    struct tensor *out[MAX_OUTPUTS]; /* NULL where an optional output is not wanted */
    bool accumulate[MAX_OUTPUTS]; /* out[j] is added to out[j]->into's value (stored by the first writer of a
                                     step) */
    double attr[MAX_ATTRS];
    enum unit unit;
    int stage;         /* of the pipeline */
    int layer;         /* -1 before the first layer, L after the last; where a pipeline may cut */
    uint32_t stream;   /* random stream, fixed at build from the scope's name */
    const char *scope; /* "h.3.attn": for printing and messages only */
    struct node *wait; /* of a collective that is only started here: the node that waits for it; else NULL */
    bool last_only;    /* runs in the last microbatch of a step alone */
};

struct graph {
    struct arena arena;
    struct node **nodes;
    struct tensor **tensors;
    size_t node_count, node_capacity, tensor_count, tensor_capacity;
    int layers;       /* of the model; what stands after the last one has this number */
    struct map names; /* kind and name of a named tensor that no node made -> its id */
};

struct graph *graph_create(void);
void graph_free(struct graph *g);
void graph_check(const struct graph *g); /* BUG when an invariant above does not hold */
struct tensor *graph_add_tensor(struct graph *g,
                                const struct tensor *like); /* a copy with an id of its own */
void graph_append(struct graph *g, struct node *n);         /* at the end of the order */

/* ---- Tensors ---- */
int64_t tensor_count(const struct tensor *t); /* elements at capacity, whole model */
int64_t tensor_bytes(const struct tensor *t);
int64_t tensor_local_dim(const struct tensor *t, int dim,
                         const struct mesh *mesh); /* capacity of one rank's share */
/* Index of the first entry of a rank's share of dim d in the whole tensor. */
int64_t tensor_first(const struct tensor *t, int dim, const struct mesh *mesh, int rank);
int64_t tensor_local_bytes(const struct tensor *t, const struct mesh *mesh);
/* Bytes that its storage takes: of an accumulator also those, where they are few, that make the shares alike
 * that dp ranks may deal it out in, so that this can be done in its place. */
int64_t tensor_room(const struct tensor *t, const struct mesh *mesh);
/* dp never divides a dim with a run-time count: its capacity is already that of one dp rank. */
int64_t tensor_rows(const struct tensor *t); /* dims[0].size, 1 for a scalar */
int64_t tensor_row_count(
    const struct tensor *t); /* elements of one row: the product of the dims after the first */
struct tensor *tensor_storage(struct tensor *t); /* the owner of the bytes: follows `into` and aliases */

/* ---- Builder: adds nodes; errors stick and are asked for once, with builder_status ---- */
struct builder {
    struct graph *graph;
    int status;
    int layer;
    enum unit unit;
    bool training;   /* dropout acts */
    char scope[200]; /* "h.3.attn." while inside those scopes, else "" */
};

void builder_init(struct builder *b, struct graph *g);
int builder_status(const struct builder *b);
void scope_begin(struct builder *b, const char *name);
void scope_end(struct builder *b, const char *name);
void layer_begin(struct builder *b, int layer, const char *scope); /* a place the pipeline may cut */
void layer_end(struct builder *b, const char *scope);

/* A parameter; name is relative to the scope ("weight" in "h.3.ln_1"). dims: the logical dims, which must
 * split info->file_dims in order. The same full name twice gives the same tensor (tied weights). */
struct tensor *graph_param(struct builder *b, const char *name, const struct param_info *info, int ndim,
                           const int64_t dims[]);
struct tensor *graph_input(struct builder *b, const char *name, enum dtype dtype, int ndim,
                           const struct dim dims[]);
/* (rows, width) fp32 that never changes; values are copied. */
struct tensor *graph_constant(struct builder *b, const char *name, int64_t rows, int64_t width,
                              const float values[]);
struct tensor *graph_state(struct builder *b, const char *name, enum dtype dtype, int ndim,
                           const struct dim dims[]);

/* Adds a node: checks the number of inputs, runs the card's infer, makes the outputs. attrs: {name, value}
 * pairs ending with name NULL, the rest take the card's defaults. Returns NULL (and the builder keeps the
 * first failure) when the builder has failed already or this node cannot be. */
struct attr_value {
    const char *name;
    double value;
};
struct node *graph_node(struct builder *b, const struct op_def *op, int nin, struct tensor *const in[],
                        const struct attr_value attrs[]);
/* out[j] of n takes over the storage of t (same shape and dtype); accumulate: it adds to it. */
void node_write_into(struct node *n, int output, struct tensor *t, bool accumulate);

struct tensor *graph_find(const struct graph *g, const char *name,
                          enum tensor_kind kind); /* NULL when absent */
void graph_print(const struct graph *g,
                 struct str *out); /* one line a node: outputs with shapes = op(inputs) attrs */

#endif
