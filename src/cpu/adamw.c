/* adamw -- one pass over memory and one parallel_for over equal tiles of all groups (param, grad, m, v).
 * Bound by memory: 16 bytes read and 12 written for each element. */
#include <math.h>

#include "cpu/isa.h"
#include "cpu/many.h"
#include "cpu/ref.h"
#include "cpu/refuse.h"
#include "cpu/simd.h"
#include "ops/ops.h"

enum { TILE = 1 << 14 }; /* elements */

struct work {
    const struct view *groups;
    struct many many;
    float scale, b1, b2, rest1, rest2; /* rest: 1 - b */
    float shrink, rate;                /* 1 - lr * decay; lr / (1 - b1^t) */
    float inverse, eps;                /* 1 / sqrt(1 - b2^t) */
};

struct lane { /* the values of a few elements */
    vec p, m, v;
};

static inline struct lane update(const struct work *w, vec g, struct lane at)
{
    g = g * vec_set(w->scale);
    at.m = vec_fma(vec_set(w->b1), at.m, vec_set(w->rest1) * g);
    at.v = vec_fma(vec_set(w->b2), at.v, vec_set(w->rest2) * g * g);
    vec root = vec_fma(vec_sqrt(at.v), vec_set(w->inverse), vec_set(w->eps));
    at.p = at.p * vec_set(w->shrink) - vec_set(w->rate) * at.m / root;
    return at;
}

static void update_tile(void *context, int64_t tile)
{
    const struct work *w = context;
    int array = many_array(&w->many, tile);
    const struct view *group = w->groups + (int64_t)array * ADAMW_GROUP;
    struct piece piece = many_piece(&w->many, tile, array, view_count(&group[ADAMW_PARAM]));
    const float *g = group[ADAMW_GRAD].data;
    float *p = (float *)group[ADAMW_PARAM].data + piece.first;
    float *m = (float *)group[ADAMW_M].data + piece.first, *v = (float *)group[ADAMW_V].data + piece.first;

    g = g ? g + piece.first : NULL;
    for (int64_t i = 0; i < piece.count; i += LANES) {
        int64_t n = piece.count - i;
        struct lane at = { vec_load_upto(p + i, n), vec_load_upto(m + i, n), vec_load_upto(v + i, n) };
        at = update(w, g ? vec_load_upto(g + i, n) : vec_zero(), at);
        vec_store_upto(p + i, at.p, n);
        vec_store_upto(m + i, at.m, n);
        vec_store_upto(v + i, at.v, n);
    }
}

static void run(const struct kernel_args *a)
{
    const double *control = a->in[ADAMW_CONTROL].data, *attr = a->node->attr;
    double b1 = attr[ADAMW_BETA1], b2 = attr[ADAMW_BETA2], t = control[CONTROL_STEP];
    double rate = control[CONTROL_LEARNING_RATE];
    struct work w = { .groups = a->in + ADAMW_FIRST,
                      .many = { .tile = TILE, .first = a->workspace },
                      .scale = (float)control[CONTROL_SCALE],
                      .b1 = (float)b1,
                      .b2 = (float)b2,
                      .rest1 = (float)(1 - b1),
                      .rest2 = (float)(1 - b2),
                      .shrink = (float)(1 - rate * attr[ADAMW_DECAY]),
                      .rate = (float)(rate / (1 - pow(b1, t))),
                      .inverse = (float)(1 / sqrt(1 - pow(b2, t))),
                      .eps = (float)attr[ADAMW_EPS] };

    if (control[CONTROL_APPLY] == 0)
        return;
    for (int i = ADAMW_FIRST; i + ADAMW_GROUP <= a->node->nin; i += ADAMW_GROUP)
        many_add(&w.many, view_count(&a->in[i + ADAMW_PARAM]));
    parallel_for(many_tiles(&w.many), update_tile, &w);
}

static int64_t workspace(const struct node *n, const struct mesh *mesh, const struct machine *m)
{
    return 8 * ((n->nin - ADAMW_FIRST) / ADAMW_GROUP + 1);
}

static const char *refuses(const struct node *n, const struct machine *m)
{
    for (int i = ADAMW_FIRST; i < n->nin; i++)
        if (n->in[i]->dtype != DT_F32)
            return "a parameter or its state is not fp32";
    return n->in[ADAMW_CONTROL]->dtype != DT_F64 ? "the control is not fp64" : NULL;
}

const struct kernel ISA(cpu_adamw)[] = {
    { "tiles " ISA_TEXT, .refuses = refuses, .workspace = workspace, .run = run },
    { "reference", .run = ref_adamw },
    { 0 },
};
