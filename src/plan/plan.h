/* plan -- a compiled graph: what runs, in which order, by which kernels, and at which address each value
 * lies. Made once for (model, capacities, layout) and then only executed. It depends on the rank only by its
 * coordinate on pp: all ranks of a stage run the same plan on their own shares. */
#ifndef PLAIT_PLAN_PLAN_H
#define PLAIT_PLAN_PLAN_H

#include "core/kernel.h"
#include "models/config.h"
#include "pipe/schedule.h"
#include "plan/cluster.h"

enum task {
    TASK_TRAIN,    /* microbatch: loss sum and gradients; update: the optimizer */
    TASK_EVAL,     /* loss sum of labelled rows */
    TASK_FORWARD,  /* logits of all rows (of the labelled ones with a classification head; hidden states of a
                    * headless model), loss where there are labels */
    TASK_GRADIENT, /* TASK_FORWARD and gradients of the loss sum */
    TASK_GENERATE, /* logits of chosen rows, keys and values through a cache */
};

enum program { PROGRAM_MICROBATCH, PROGRAM_UPDATE, PROGRAM_COUNT };

enum optimizer { OPTIMIZER_ADAMW, OPTIMIZER_ADAFACTOR };
struct optimizer_options {
    enum optimizer kind;
    double weight_decay;
    double beta1, beta2, eps; /* AdamW's */
    /* Adafactor's: steps in proportion to the parameter's size; matrices from this size of both dims on keep
     * moments of rows and columns instead of entries (0: all). */
    bool relative;
    int64_t factor_from;
};

/* What is made again in the backward pass instead of being kept from the forward pass. */
enum recompute {
    RECOMPUTE_SELECTIVE, /* what is cheap: norms, activations */
    RECOMPUTE_NONE,
    RECOMPUTE_FULL, /* everything but what goes from layer to layer */
};

/* A loss of the caller's own: adds nodes that make the sum of the losses of this microbatch (F64 or F32
 * scalar). Called once, at compile time. */
struct loss_inputs {
    const struct model_outputs *out;
    const struct model_inputs *in;
    struct tensor *label_rows, *labels;
    struct tensor *rows;    /* hidden, of labelled rows, as the head's projection takes it */
    struct tensor *targets; /* (R, W) numbers of each label; NULL: there are none */
    struct tensor *count;   /* may be set to a scalar: what the sum is divided by, in place of labels */
};
typedef struct tensor *loss_fn(struct builder *b, struct loss_inputs *x, void *context);

struct plan;
struct partition_rules;

struct pipeline_options { /* how a step runs through the stages of mesh.size[AXIS_PP] > 1 ranks */
    enum schedule_kind schedule;
    int chunks, microbatches; /* 0: 1 */
};

struct compile_options {
    enum task task;
    int64_t rows, sequences, labels;     /* capacities of one dp rank's microbatch */
    int64_t encoder_rows;                /* the same, of models with an encoder */
    double used[COUNT_KINDS];            /* the part of each that is used on average, for times; 0: all */
    int64_t cache_rows, cache_positions; /* TASK_GENERATE; the two below with an encoder, a row a prompt */
    int64_t cross_rows, cross_positions;
    enum dtype dtype; /* that values lie in between nodes: DT_F32, or DT_BF16 */
    struct mesh mesh;
    struct cluster cluster;
    struct optimizer_options optimizer; /* TASK_TRAIN */
    double label_smoothing, z_loss;     /* of the head's cross-entropy; see token_loss */
    bool scores;                        /* TASK_EVAL: also plan->scores, where labels are classes or tokens */
    enum problem problem;               /* of a classification head; PROBLEM_UNSAID: the config's */
    loss_fn *loss;                      /* NULL: cross-entropy of the head */
    void *loss_context;
    int64_t target_width; /* numbers that go with each label, for such a loss; 0: none */
    enum recompute recompute;
    int zero_stage; /* what dp ranks deal out among them: 1 moments, 2 also gradients, 3 also parameters */
    const struct plan *beside; /* a plan of the same store, whose parameters lie as these will; NULL: none */
    const struct partition_rules *rules; /* how parameters lie otherwise, as far as they say; NULL: none */
    struct pipeline_options pipeline;
    int stage_rank; /* the coordinate on pp whose stages this is a plan of */
    bool (*frozen)(const char *param, void *context); /* NULL: none */
    void *frozen_context;
    /* Called after each pass (plan_stages), for printing; NULL: nobody looks. */
    void (*stage)(const char *name, const struct plan *p, void *context);
    void *stage_context;
};

/* What the passes leave behind, in their order, NULL-terminated: graph, grad, optimizer, shard, stages,
 * recompute, fuse, precision, overlap, memory. */
extern const char *const plan_stages[];

struct plan_program {
    int first, end;      /* nodes of the graph: first..end-1 */
    int64_t arena_bytes; /* values and workspaces */
    int64_t live_bytes;  /* largest sum of them alive at one node: the floor */
};

/* What the instructions of a schedule run, in the order of the nodes. */
enum part {
    PART_RECEIVE_ACT,
    PART_FORWARD,
    PART_SEND_ACT,
    PART_RECEIVE_GRAD,
    PART_BACKWARD,
    PART_SEND_GRAD,
    PART_WEIGHT,
    PART_COUNT
};

/* Where a tensor lies: in the arena at `offset`, or at `offset` of one of the slots of its chunk, or in the
 * inputs, which a chunk has once for each slot too. */
enum region { REGION_ARENA, REGION_F_SLOT, REGION_W_SLOT };

struct plan_chunk {
    struct {
        int first, end; /* nodes */
    } part[PART_COUNT];
    int f_slots, w_slots;
    int64_t f_bytes, w_bytes; /* of one slot */
    int64_t f_base, w_base;   /* of the first slot, in the arena */
};

struct plan {
    struct graph *graph;
    struct mesh mesh;
    enum task task;
    struct plan_program program[PROGRAM_COUNT];
    /* With a pipeline; else `chunks` is 0 and a microbatch is one program. */
    int chunks, stage_rank;
    int input_slots; /* microbatches whose inputs are there at once */
    struct plan_chunk *chunk;
    struct schedule *schedule;
    struct stages *stages;
    double used[COUNT_KINDS]; /* as in the options */
    int layers;               /* -1 and this are what stands before and after them */
    double *piece_seconds;    /* [1 + layer], layers + 2 of them: of the whole model, to balance stages by */
    struct graph *whole;      /* of all stages: parameters' places and much else is shared with it */
    uint8_t *region;          /* [tensor]: enum region */
    int64_t *offset;          /* [tensor]: of a value, in its region; -1: has no place there */
    const struct kernel **kernels;                             /* [node] */
    int64_t *workspace;                                        /* [node]: offset in the arena */
    int64_t param_bytes, state_bytes, grad_bytes, input_bytes; /* one rank's */
    /* What the host reads; NULL where the task makes none. */
    struct tensor *loss, *logits, *hidden, *pooled /* (R, D), of a headless model that has such */, *control;
    struct tensor *count;      /* what the loss is divided by; NULL: the number of labels */
    struct head_scores scores; /* fp32 (R), whole on every rank of tp */
    /* The same, whichever stage has it: of `whole` where there are stages. */
    struct {
        const struct tensor *logits, *hidden, *pooled;
    } anywhere;
};

/* Builds and compiles. ERR_CONFIG when the layout cannot be. The caller frees with plan_free. */
int plan_compile(const struct config *config, const struct compile_options *o, const struct machine *machine,
                 struct plan **out);
void plan_free(struct plan *p);
int64_t plan_bytes(const struct plan *p); /* all that one rank takes */
/* Of all stages; and the stage that makes t, which is of it. */
const struct graph *plan_whole(const struct plan *p);
int plan_stage_of(const struct plan *p, const struct tensor *t);
/* The bytes of one rank as text; nodes: also each node's kernel, and where its outputs and workspace lie. */
void plan_print(const struct plan *p, bool nodes, struct str *out);

/* placements.c: how tp divides the model, in a line; nothing with one rank of tp. */
void placements_print(const struct graph *g, const struct mesh *mesh, struct str *out);

/* How long a step through the stages of a pipeline takes by the cost of its nodes, instruction by
 * instruction. cluster of zeros: figures of one ordinary host. The caller releases with timeline_release. */
int plan_timeline(const struct plan *p, const struct cluster *cluster, struct timeline *out);

/* ---- Passes (one file each) ---- */
/* update.c: loss, its count (NULL: labels) and gradients of the whole step -> the optimizer. apart: a node
 * for each parameter, so that what one needs only for itself does not have to be there for all. Returns the
 * control tensor. */
struct tensor *update_build(struct builder *b, struct tensor *loss, struct tensor *count,
                            const struct optimizer_options *o, bool apart);
/* shard.c: gives every tensor its placements on the mesh and puts the collectives in. outputs: tensors the
 * host reads, made whole on tp (NULLs are passed over). */
struct shard_options {
    const struct mesh *mesh;
    const struct cluster *cluster;
    const struct graph *beside;          /* parameters lie as those of the same name there; NULL: ... */
    const struct partition_rules *rules; /* ... as these say; NULL, or nothing said: as is cheapest */
    int zero_stage;
};
int shard_graph(struct graph *g, const struct shard_options *o, struct tensor **const outputs[], int count);
/* logits.c: logits that the gradient of the head takes over instead of making them again. */
void logits_keep(struct plan *p, enum recompute recompute);
/* zero.c: after layers are made again, what is gathered twice in one of them is gathered once. */
void zero_merge_gathers(struct graph *g);
/* What several nodes add to one gradient is dealt out once. split: weight gradients are put off. */
void zero_merge_scatters(struct graph *g, bool split);
/* precision.c: values of rows lie in bfloat16 between nodes; `keep` (NULLs are passed over) stay in fp32. */
void precision_narrow(struct graph *g, struct tensor *const keep[], int count);
/* overlap.c: collectives start as soon as they can and are waited for as late as they can, where there is
 * work in between; gradients that are complete are reduced while the last microbatch goes on. split: weight
 * gradients are put off. keep: tensors the host reads (NULLs are passed over), which stay as they are. */
void overlap_collectives(struct graph *g, const struct mesh *mesh, const struct cluster *cluster, bool split,
                         struct tensor *const keep[], int count);
/* parts.c: which nodes the instructions of a schedule run. */
void parts_find(struct plan *p);
/* assign.c: kernels, lifetimes, offsets. `outputs` stay until their program ends. */
int plan_assign(struct plan *p, const struct machine *machine, struct tensor *const outputs[], int count);

#endif
