/* schedule -- what the ranks of a pipeline do in one step, as data: a list of instructions for each of
 * them. A generator says in which order a rank computes (one file each: gpipe, one_f_one_b, interleaved,
 * zero_bubble); schedule.c puts the transfers around that and hands out slots; check.c proves the result
 * sound; simulate.c tells how long it takes. Running it is a loop over instructions.
 *
 * The model is cut into ranks * chunks stages; stage s lies on rank s % ranks and is that rank's chunk s /
 * ranks. What a microbatch keeps on a stage lies in slots: the F-slot from LOAD to the end of its input
 * gradients; with `split` also the W-slot, from FORWARD to its weight gradients. LOAD also lets the
 * microbatch's transfers come in; SEND only begins one, which ends once the receiver has come to its LOAD
 * (a rendezvous: the least that any transport gives); RECV waits for its end. A slot is used again when
 * what was sent from it has arrived. */
#ifndef PLAIT_PIPE_SCHEDULE_H
#define PLAIT_PIPE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

enum instruction_kind {
    INSTRUCTION_LOAD, /* the inputs of a microbatch into its F-slot */
    INSTRUCTION_FORWARD,
    INSTRUCTION_BACKWARD, /* input and weight gradients at once */
    INSTRUCTION_BACKWARD_INPUT,
    INSTRUCTION_BACKWARD_WEIGHT,
    INSTRUCTION_SEND_ACT,  /* to the next stage */
    INSTRUCTION_RECV_ACT,  /* from the stage before */
    INSTRUCTION_SEND_GRAD, /* to the stage before */
    INSTRUCTION_RECV_GRAD, /* from the next stage */
    INSTRUCTION_REDUCE,    /* the gradients of a chunk are complete: begin to sum them over dp */
    INSTRUCTION_STEP,      /* the optimizer */
    INSTRUCTION_KINDS
};

struct instruction {
    enum instruction_kind kind;
    int chunk, microbatch; /* 0 where they mean nothing */
    int f_slot, w_slot;    /* of this chunk; -1: none */
};

struct instruction_list {
    struct instruction *list;
    size_t count, capacity;
};

enum schedule_kind {
    SCHEDULE_GPIPE,
    SCHEDULE_1F1B,
    SCHEDULE_INTERLEAVED,
    SCHEDULE_ZERO_BUBBLE,
    SCHEDULE_KINDS
};

struct schedule_options {
    enum schedule_kind kind;
    int ranks, chunks, microbatches; /* each >= 1 */
    bool forward_only;               /* evaluation: no backward pass, no step */
};

struct schedule {
    struct schedule_options options;
    bool split;                    /* input and weight gradients are instructions of their own */
    struct instruction_list *rank; /* [rank] */
    int *f_slots, *w_slots;        /* [stage]: how many microbatches one stage keeps at most */
};

const char *schedule_name(enum schedule_kind kind); /* as the program's option has it */
const char *instruction_name(enum instruction_kind kind);
static inline int schedule_stages(const struct schedule *s)
{
    return s->options.ranks * s->options.chunks;
}

/* ERR_CONFIG when such a schedule cannot be, with the nearest sizes that can. It has passed schedule_check.
 */
int schedule_create(const struct schedule_options *o, struct schedule **out);
void schedule_free(struct schedule *s);

/* Every stage computes every microbatch once, in a possible order; no slot is used twice at a time; every
 * send is received; nothing waits for ever. ERR_INTERNAL with the rank and instruction at fault. */
int schedule_check(const struct schedule *s);

/* One line a rank: "0: L0 F0 >0 L1 F1 ...". Appends. */
void schedule_print(const struct schedule *s, struct str *out);

/* ---- Time ---- */
struct stage_cost { /* seconds of one microbatch */
    double forward, backward_input, backward_weight;
    double transfer; /* of its output to the next stage, and of the gradient back */
};

struct schedule_cost {
    const struct stage_cost *stage; /* [stage] */
    double reduce, step;            /* of one chunk; of one rank */
};

struct event { /* a computing instruction, when it ran */
    int rank;
    const struct instruction *instruction;
    double begin, end;
};

struct timeline {
    struct event *events;
    size_t count, capacity;
    double seconds; /* of the whole step */
    double bubble;  /* share of all ranks' time in which they neither compute nor reduce */
};

/* ERR_INTERNAL when some rank waits for ever. The caller releases with timeline_release. */
int schedule_simulate(const struct schedule *s, const struct schedule_cost *cost, struct timeline *out);
void timeline_release(struct timeline *t);
/* As a Chrome trace (chrome://tracing, Perfetto): a JSON array of complete events, a row for each rank. */
void timeline_trace(const struct timeline *t, struct str *out);

/* ---- For generators: the order in which each rank computes ---- */
struct compute {
    enum instruction_kind kind; /* FORWARD, BACKWARD, BACKWARD_INPUT, BACKWARD_WEIGHT */
    int chunk, microbatch;
};

struct order {
    struct compute *list;
    size_t count, capacity;
};

void order_add(struct order *o, enum instruction_kind kind, int chunk, int microbatch);

typedef void generator_fn(const struct schedule_options *o, struct order rank[]);
generator_fn generate_gpipe, generate_1f1b, generate_interleaved, generate_zero_bubble;

#endif
