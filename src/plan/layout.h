/* layout -- how a step is laid out over ranks: found by search, where the user leaves something to plait.
 * What a layout takes is arithmetic over profiles: the model's pieces (what stands before the layers, each
 * layer, what stands after them) as one tensor-parallel rank computes them, from a plan compiled for that
 * rank alone. So the search compiles a few plans and weighs thousands of layouts; those that come out best
 * are compiled in full, for exact bytes. */
#ifndef PLAIT_PLAN_LAYOUT_H
#define PLAIT_PLAN_LAYOUT_H

#include "comm/world.h"
#include "plan/plan.h"

enum { SPARABLE = 64 }; /* ranks of pp that layout_choice.spared has a bit for */

struct layout_choice {
    struct mesh mesh;
    struct pipeline_options pipeline; /* microbatches: also without a pipeline, where they accumulate */
    enum recompute recompute;
    int zero;           /* stage */
    int64_t microbatch; /* samples that a dp rank computes at once */
    uint64_t spared;    /* bit r: rank r of pp fits without RECOMPUTE_FULL, and so does without */
};

/* Of the stages of a rank of pp. Results are the same bits whatever is made again. */
static inline enum recompute layout_recompute(const struct layout_choice *l, int stage_rank)
{
    bool spared = stage_rank < SPARABLE && (l->spared >> stage_rank & 1);

    return spared ? RECOMPUTE_SELECTIVE : l->recompute;
}

/* ZeRO is asked for, and there is one copy of the model. */
static inline bool layout_idles_zero(const struct layout_choice *l)
{
    return l->zero > 0 && mesh_size(&l->mesh, AXIS_DP) == 1;
}

/* Seconds of a step, bytes of the rank that takes most. */
struct layout_cost {
    double seconds;  /* the whole step: the sum of the four below */
    double compute;  /* of the slowest rank, its update too */
    double exchange; /* it waits for transfers */
    double bubble;   /* it waits for other stages */
    double bytes, params, state, grads, values;
};

/* What is given, and what is left to the search. */
enum { PLANNED = -1 };
struct layout_wish {
    int world;                         /* ranks, at least 1 */
    int data, tensor, pipeline;        /* 0: planned */
    int microbatches, chunks;          /* 0: planned */
    int schedule, recompute, zero;     /* PLANNED, or as in struct layout_choice */
    int most_zero;                     /* the highest stage to plan with */
    int64_t per_device, accumulation;  /* samples at once, at most; such batches of a step */
    int64_t global_batch;              /* 0: the product of these and dp */
    const struct layout_choice *fixed; /* this one, of as many ranks; NULL: it is to be found */
    double memory;                     /* bytes of one rank; 0: as much as it takes */
    struct cluster cluster;
};

struct layout_option { /* one that was weighed */
    struct layout_choice layout;
    struct layout_cost cost;
    int64_t global_batch;
    bool exact; /* the bytes are those of compiled plans */
    bool fits;
    char *why; /* it was not chosen; NULL: it was */
};

struct layout_search {
    struct layout_option *option; /* [0] is chosen; then the best of each other mesh, best first */
    size_t count;
    double seconds; /* the search took */
    size_t weighed;
};

/* How the caller makes plans. Both may fail: then the layout cannot be. */
struct layout_maker {
    /* The plan of one rank of tp, without dp and pp. */
    int (*compile)(void *context, const struct layout_choice *l, struct plan **out);
    /* All that the rank that takes most takes. Sets l->spared to the stages that fit in `memory` without
     * RECOMPUTE_FULL (0: none is spared). */
    int (*measure)(void *context, struct layout_choice *l, double memory, int64_t *bytes);
    void *context;
};

/* ERR_CONFIG when nothing can be, ERR_SYSTEM when nothing fits, with the bytes of what takes least. The
 * caller releases with layout_search_release. */
int layout_search(const struct layout_wish *w, const struct layout_maker *maker, struct layout_search *out);
void layout_search_release(struct layout_search *s);
/* What a step of a layout takes by other figures than it was found by; bytes stay. */
int layout_predict(const struct layout_maker *maker, const struct layout_choice *l,
                   const struct cluster *cluster, struct layout_cost *cost);

/* ---- layout_forward.c: of work without an optimizer ---- */

struct layout_work {
    int64_t items;   /* samples or prompts in all, at least 1 */
    int64_t at_once; /* that a copy of the model takes in one batch, at most */
    /* With stages: so many batches for each of them follow each other; 0: a batch is divided into as many
     * parts as there are stages, and the next one begins when it is done. */
    int following;
};
bool layout_is_open(const struct layout_wish *w); /* it leaves more than one mesh */
/* The sizes, zero stage, cluster and memory of w count. The maker's plans are those of the work; `measure`
 * gets l->microbatch of a batch. Ranks of a world agree on what the first one finds. Errors as of
 * layout_search. */
int layout_forward(const struct layout_wish *w, const struct layout_work *work,
                   const struct layout_maker *maker, const struct world *world, struct layout_option *out);

/* ---- layout_cost.c ---- */

struct profile; /* of one size of tp, one microbatch, one kind of recompute */
struct profile *profile_create(const struct plan *p, const struct cluster *cluster, int64_t microbatch);
/* What lies between two microbatches of the same: nearly all figures grow evenly. */
struct profile *profile_between(const struct profile *a, const struct profile *b, int64_t microbatch);
void profile_free(struct profile *p);
/* ERR_CONFIG: these stages or this schedule cannot be. */
int layout_weigh(const struct profile *p, const struct layout_choice *l, const struct cluster *cluster,
                 struct layout_cost *out);

/* ---- layout_print.c ---- */
/* "data 2 x tensor 2 x pipeline 2, 1f1b with 8 microbatches of 1, ZeRO 1, recompute full"; "one rank, ..." */
/* Why `best` was chosen instead. The caller frees. */
char *layout_reason(const struct layout_wish *w, const struct layout_option *o,
                    const struct layout_option *best);
/* As a checkpoint keeps it, and back. ERR_DATA for what is no such text. */
void layout_write(const struct layout_choice *l, struct str *out);
int layout_read(const char *text, struct layout_choice *out);
void layout_print(const struct layout_choice *l, struct str *out);
void layout_print_ranks(const struct mesh *m, struct str *out); /* "4 ranks (data 2 x tensor 2)" */
/* ERR_SYSTEM: even what takes least takes more. */
int layout_fail_memory(const struct layout_option *least, double memory);
/* ", recompute full on 2 of 4", of the ranks of pp; nothing where layers are kept. */
void layout_print_recompute(const struct layout_choice *l, struct str *out);

#endif
