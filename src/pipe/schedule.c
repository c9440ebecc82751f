#include "pipe/schedule.h"

#include "base/err.h"
#include "base/mem.h"

static const struct generator {
    const char *name;
    generator_fn *generate;
    bool chunked, split;
} generators[SCHEDULE_KINDS] = {
    [SCHEDULE_GPIPE] = { "gpipe", generate_gpipe, false, false },
    [SCHEDULE_1F1B] = { "1f1b", generate_1f1b, false, false },
    [SCHEDULE_INTERLEAVED] = { "interleaved", generate_interleaved, true, false },
    [SCHEDULE_ZERO_BUBBLE] = { "zero_bubble", generate_zero_bubble, false, true },
};

static const struct {
    const char *name;
    const char *sign; /* of schedule_print */
} kinds[INSTRUCTION_KINDS] = {
    [INSTRUCTION_LOAD] = { "LOAD", "L" },
    [INSTRUCTION_FORWARD] = { "FORWARD", "F" },
    [INSTRUCTION_BACKWARD] = { "BACKWARD", "B" },
    [INSTRUCTION_BACKWARD_INPUT] = { "BACKWARD_INPUT", "I" },
    [INSTRUCTION_BACKWARD_WEIGHT] = { "BACKWARD_WEIGHT", "W" },
    [INSTRUCTION_SEND_ACT] = { "SEND_ACT", ">" },
    [INSTRUCTION_RECV_ACT] = { "RECV_ACT", "<" },
    [INSTRUCTION_SEND_GRAD] = { "SEND_GRAD", ">g" },
    [INSTRUCTION_RECV_GRAD] = { "RECV_GRAD", "<g" },
    [INSTRUCTION_REDUCE] = { "REDUCE", "R" },
    [INSTRUCTION_STEP] = { "STEP", "S" },
};

const char *schedule_name(enum schedule_kind kind)
{
    return generators[kind].name;
}

const char *instruction_name(enum instruction_kind kind)
{
    return kinds[kind].name;
}

void order_add(struct order *o, enum instruction_kind kind, int chunk, int microbatch)
{
    o->list = mem_grow(o->list, o->count, &o->capacity, sizeof(o->list[0]));
    o->list[o->count++] = (struct compute){ kind, chunk, microbatch };
}

/* Groups of as many microbatches as there are ranks go through chunk after chunk. */
static void generate_forward(const struct schedule_options *o, struct order rank[])
{
    for (int first = 0; first < o->microbatches; first += o->ranks) {
        int end = first + o->ranks < o->microbatches ? first + o->ranks : o->microbatches;
        for (int r = 0; r < o->ranks; r++)
            for (int c = 0; c < o->chunks; c++)
                for (int m = first; m < end; m++)
                    order_add(&rank[r], INSTRUCTION_FORWARD, c, m);
    }
}

/* ---- Slots ---- */

/* The lowest slots that are free, for the chunks of one rank. */
struct slots {
    int microbatches;
    int *taken_by; /* [chunk][slot]: microbatch, -1: free */
    int *used;     /* [chunk]: slots taken at once so far */
};

static void slots_init(struct slots *s, const struct schedule_options *o)
{
    size_t count = (size_t)o->chunks * (size_t)o->microbatches;

    s->microbatches = o->microbatches;
    s->taken_by = mem_alloc_array(count, sizeof(int));
    s->used = mem_alloc_array((size_t)o->chunks, sizeof(int));
    for (size_t i = 0; i < count; i++)
        s->taken_by[i] = -1;
}

static void slots_release(struct slots *s)
{
    mem_free(s->taken_by);
    mem_free(s->used);
}

static int slot_of(struct slots *s, int chunk, int microbatch)
{
    const int *list = s->taken_by + chunk * s->microbatches;
    int i = 0;

    while (list[i] != microbatch)
        i++;
    return i;
}

static int slot_take(struct slots *s, int chunk, int microbatch)
{
    int i = slot_of(s, chunk, -1);

    s->taken_by[chunk * s->microbatches + i] = microbatch;
    if (i >= s->used[chunk])
        s->used[chunk] = i + 1;
    return i;
}

static int slot_give(struct slots *s, int chunk, int microbatch)
{
    int i = slot_of(s, chunk, microbatch);

    s->taken_by[chunk * s->microbatches + i] = -1;
    return i;
}

/* ---- From an order of computing to instructions ---- */

struct lowering {
    struct schedule *s;
    int rank;
    struct slots f, w;
};

static void add(struct lowering *l, enum instruction_kind kind, const struct compute *c, int f_slot,
                int w_slot)
{
    struct instruction_list *to = &l->s->rank[l->rank];

    to->list = mem_grow(to->list, to->count, &to->capacity, sizeof(to->list[0]));
    to->list[to->count++] = (struct instruction){ kind, c->chunk, c->microbatch, f_slot, w_slot };
}

static void add_forward(struct lowering *l, const struct compute *c, int stage)
{
    const struct schedule *s = l->s;
    int f = slot_take(&l->f, c->chunk, c->microbatch);
    int w = s->split ? slot_take(&l->w, c->chunk, c->microbatch) : -1;

    add(l, INSTRUCTION_LOAD, c, f, w);
    if (stage > 0)
        add(l, INSTRUCTION_RECV_ACT, c, f, w);
    add(l, INSTRUCTION_FORWARD, c, f, w);
    if (stage < schedule_stages(s) - 1)
        add(l, INSTRUCTION_SEND_ACT, c, f, w);
    if (s->options.forward_only)
        slot_give(&l->f, c->chunk, c->microbatch);
}

static void add_backward(struct lowering *l, const struct compute *c, int stage)
{
    int f = slot_give(&l->f, c->chunk, c->microbatch);
    int w = l->s->split ? slot_of(&l->w, c->chunk, c->microbatch) : -1;

    if (stage < schedule_stages(l->s) - 1)
        add(l, INSTRUCTION_RECV_GRAD, c, f, w);
    add(l, c->kind, c, f, w);
    if (stage > 0)
        add(l, INSTRUCTION_SEND_GRAD, c, f, w);
}

static void add_compute(struct lowering *l, const struct compute *c)
{
    int stage = c->chunk * l->s->options.ranks + l->rank;

    if (c->kind == INSTRUCTION_FORWARD)
        add_forward(l, c, stage);
    else if (c->kind == INSTRUCTION_BACKWARD_WEIGHT)
        add(l, c->kind, c, -1, slot_give(&l->w, c->chunk, c->microbatch));
    else
        add_backward(l, c, stage);
}

/* No gradient of this chunk is made after i. */
static bool completes_chunk(const struct schedule *s, const struct order *o, size_t i)
{
    if (o->list[i].kind != (s->split ? INSTRUCTION_BACKWARD_WEIGHT : INSTRUCTION_BACKWARD))
        return false;
    for (size_t k = i + 1; k < o->count; k++)
        if (o->list[k].chunk == o->list[i].chunk)
            return false;
    return true;
}

static void lower(struct schedule *s, int rank, const struct order *o)
{
    struct lowering l = { .s = s, .rank = rank };

    slots_init(&l.f, &s->options);
    slots_init(&l.w, &s->options);
    for (size_t i = 0; i < o->count; i++) {
        add_compute(&l, &o->list[i]);
        if (completes_chunk(s, o, i))
            add(&l, INSTRUCTION_REDUCE, &(struct compute){ .chunk = o->list[i].chunk }, -1, -1);
    }
    if (!s->options.forward_only)
        add(&l, INSTRUCTION_STEP, &(struct compute){ 0 }, -1, -1);
    for (int c = 0; c < s->options.chunks; c++) {
        s->f_slots[c * s->options.ranks + rank] = l.f.used[c];
        s->w_slots[c * s->options.ranks + rank] = l.w.used[c];
    }
    slots_release(&l.f);
    slots_release(&l.w);
}

/* ---- Life cycle ---- */

static int nearest_multiple(int value, int of)
{
    int below = value / of * of, above = below + of;

    return below > 0 && value - below <= above - value ? below : above;
}

static int check_options(const struct schedule_options *o)
{
    const struct generator *g = &generators[o->kind];

    if (o->ranks < 1 || o->chunks < 1 || o->microbatches < 1)
        BUG("schedule of %d ranks, %d chunks, %d microbatches", o->ranks, o->chunks, o->microbatches);
    if (!g->chunked && o->chunks > 1)
        return fail(
            ERR_CONFIG,
            "pipeline_chunks %d: the schedule %s has one chunk on each rank; several need interleaved",
            o->chunks, g->name);
    if (g->chunked && o->chunks == 1)
        return fail(ERR_CONFIG, "pipeline_chunks 1: the schedule interleaved needs 2 or more; 1 is 1f1b");
    if (g->chunked && !o->forward_only && o->microbatches % o->ranks != 0)
        return fail(ERR_CONFIG,
                    "num_microbatches %d: the schedule interleaved takes a multiple of the %d pipeline ranks "
                    "(nearest: %d)",
                    o->microbatches, o->ranks, nearest_multiple(o->microbatches, o->ranks));
    return OK;
}

int schedule_create(const struct schedule_options *o, struct schedule **out)
{
    struct schedule *s;
    struct order *orders;
    size_t stages;
    int status;

    TRY(check_options(o));
    s = mem_alloc(sizeof(*s));
    s->options = *o;
    s->split = generators[o->kind].split && !o->forward_only;
    stages = (size_t)schedule_stages(s);
    s->rank = mem_alloc_array((size_t)o->ranks, sizeof(s->rank[0]));
    s->f_slots = mem_alloc_array(stages, sizeof(int));
    s->w_slots = mem_alloc_array(stages, sizeof(int));
    orders = mem_alloc_array((size_t)o->ranks, sizeof(orders[0]));
    (o->forward_only ? generate_forward : generators[o->kind].generate)(o, orders);
    for (int r = 0; r < o->ranks; r++) {
        lower(s, r, &orders[r]);
        mem_free(orders[r].list);
    }
    mem_free(orders);
    status = schedule_check(s);
    if (status == OK)
        *out = s;
    else
        schedule_free(s);
    return status;
}

void schedule_free(struct schedule *s)
{
    if (!s)
        return;
    for (int r = 0; r < s->options.ranks; r++)
        mem_free(s->rank[r].list);
    mem_free(s->rank);
    mem_free(s->f_slots);
    mem_free(s->w_slots);
    mem_free(s);
}

void schedule_print(const struct schedule *s, struct str *out)
{
    for (int r = 0; r < s->options.ranks; r++) {
        str_appendf(out, "%d:", r);
        for (size_t i = 0; i < s->rank[r].count; i++) {
            const struct instruction *n = &s->rank[r].list[i];
            str_appendf(out, " %s", kinds[n->kind].sign);
            if (n->kind < INSTRUCTION_REDUCE)
                str_appendf(out, "%d", n->microbatch);
            if (s->options.chunks > 1 && n->kind != INSTRUCTION_STEP)
                str_appendf(out, ".%d", n->chunk);
        }
        str_append_char(out, '\n');
    }
}
