/* Layers are alike: the same nodes on the same shapes, whatever they are called. When a layer comes with the
 * states that one like it came with, all that follows is the same, so the search takes it over. What the
 * states have cost so far does not matter, only how much more each has cost than the cheapest. After a few
 * layers that settles, and the rest of the model costs nothing. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "plan/search_internal.h"

/* ---- Rows ---- */

static double fewest(const struct search *s)
{
    double least = INFINITY;

    for (int i = 0; i < s->count; i++)
        least = s->row[i].seconds < least ? s->row[i].seconds : least;
    return least;
}

static void row_init(struct row *r, const struct search *s)
{
    size_t count = (size_t)s->count, kept = (size_t)s->live_count;
    double least = fewest(s);

    *r = (struct row){ .count = s->count, .kept = s->live_count };
    r->live = mem_alloc_array(kept + 1, sizeof(r->live[0]));
    r->seconds = mem_alloc_array(count + 1, sizeof(r->seconds[0]));
    r->lay = mem_alloc_array(count * kept + 1, sizeof(r->lay[0]));
    memcpy(r->live, s->live, kept * sizeof(r->live[0]));
    for (size_t i = 0; i < count; i++) {
        r->seconds[i] = s->row[i].seconds - least;
        for (size_t k = 0; k < kept; k++)
            r->lay[i * kept + k] = s->row[i].lay[s->live[k]];
    }
}

static void row_release(struct row *r)
{
    mem_free(r->live);
    mem_free(r->seconds);
    mem_free(r->lay);
}

static bool same_lay(const struct lay *a, const struct lay *b)
{
    return placement_equal(a->now, b->now) && placement_equal(a->born, b->born) && a->charged == b->charged;
}

/* Row i of a is as row k of b. */
static bool same_state(const struct row *a, int i, const struct row *b, int k)
{
    if (fabs(a->seconds[i] - b->seconds[k]) > 1e-9 * (a->seconds[i] + 1e-6))
        return false;
    for (int l = 0; l < a->kept; l++)
        if (!same_lay(&a->lay[i * a->kept + l], &b->lay[k * b->kept + l]))
            return false;
    return true;
}

/* order[i]: where b has the state i of a. */
static bool match_rows(const struct row *a, const struct row *b, int *order)
{
    if (a->count != b->count || a->kept != b->kept)
        return false;
    for (int i = 0; i < a->count; i++) {
        int k = 0;
        while (k < b->count && !same_state(a, i, b, k))
            k++;
        if (k == b->count)
            return false;
        order[i] = k;
    }
    return true;
}

/* ---- Are two layers alike? ---- */

struct match {
    const struct search *s;
    const struct searched *old;
    int first, end; /* the new layer */
    int *order;     /* [state before the old layer]: its place before the new one */
    int *image;     /* [tensor of the old layer]: 1 + that of the new one; 0: not met yet */
};

/* What is asked of readers to come: at the same node of this layer, or behind it. */
static bool same_last_read(const struct match *m, int old_last, int new_last)
{
    bool old_in = old_last < m->old->end, new_in = new_last < m->end;

    return old_in == new_in && (!old_in || old_last < 0 || old_last - m->old->first == new_last - m->first);
}

static bool same_shape(const struct tensor *a, const struct tensor *b)
{
    bool same = a->kind == b->kind && a->dtype == b->dtype && a->ndim == b->ndim;

    for (int d = 0; d < a->ndim && same; d++)
        same = a->dims[d].size == b->dims[d].size && a->dims[d].count == b->dims[d].count;
    for (int x = 0; x < PLACEMENT_AXES && same; x++)
        same = placement_equal(a->layout.on[x], b->layout.on[x]);
    return same;
}

static bool match_tensor(struct match *m, const struct tensor *a, const struct tensor *b)
{
    const struct search *s = m->s;

    if (!a || !b)
        return a == b;
    if (m->image[a->id])
        return m->image[a->id] == b->id + 1;
    if (!same_shape(a, b) || s->read_again[a->id] != s->read_again[b->id] ||
        !same_last_read(m, s->last_read[a->id], s->last_read[b->id]))
        return false;
    m->image[a->id] = b->id + 1;
    return true;
}

static bool match_node(struct match *m, const struct node *a, const struct node *b)
{
    bool same = a->op == b->op && a->nin == b->nin && a->nout == b->nout &&
                memcmp(a->attr, b->attr, sizeof(a->attr)) == 0;

    for (int i = 0; i < a->nin && same; i++)
        same = match_tensor(m, a->in[i], b->in[i]);
    for (int j = 0; j < a->nout && same; j++)
        same = match_tensor(m, a->out[j], b->out[j]) &&
               (!a->out[j] || match_tensor(m, a->out[j]->into, b->out[j]->into));
    return same;
}

static bool match_layer(struct match *m, const struct row *before)
{
    const struct graph *g = m->s->g;
    bool same =
        m->old->end - m->old->first == m->end - m->first && match_rows(&m->old->before, before, m->order);

    for (int i = 0; i < before->kept && same; i++)
        same = match_tensor(m, g->tensors[m->old->before.live[i]], g->tensors[before->live[i]]);
    for (int k = 0; k < m->end - m->first && same; k++)
        same = match_node(m, g->nodes[m->old->first + k], g->nodes[m->first + k]);
    return same;
}

/* ---- Taking over ---- */

static void touch_layer(struct search *s, int first, int end)
{
    for (int k = first; k < end; k++) {
        const struct node *n = s->g->nodes[k];
        for (int i = 0; i < n->nin; i++)
            if (n->in[i])
                s->touched[n->in[i]->id] = true;
        for (int j = 0; j < n->nout; j++) {
            if (n->out[j])
                s->touched[n->out[j]->id] = true;
            if (n->out[j] && n->out[j]->into)
                s->touched[n->out[j]->into->id] = true;
        }
    }
}

static void take_over(struct search *s, const struct match *m)
{
    const struct row *after = &m->old->after;
    double least = fewest(s);

    for (int k = 0; k < m->end - m->first; k++) {
        const struct searched *old = m->old;
        size_t bytes = (size_t)s->history_count[old->first + k] * sizeof(struct state);
        s->history[m->first + k] = mem_alloc(bytes);
        s->history_count[m->first + k] = s->history_count[old->first + k];
        memcpy(s->history[m->first + k], s->history[old->first + k], bytes);
    }
    for (int i = 0; i < s->history_count[m->first]; i++)
        s->history[m->first][i].parent = m->order[s->history[m->first][i].parent];
    touch_layer(s, m->first, m->end);
    s->count = after->count;
    s->live_count = s->kept = after->kept;
    for (int i = 0; i < after->kept; i++)
        s->live[i] = m->image[after->live[i]] - 1;
    for (int i = 0; i < after->count; i++) {
        search_begin_state(s, &s->row[i]);
        s->row[i].seconds = least + m->old->more + after->seconds[i];
        for (int k = 0; k < after->kept; k++)
            s->row[i].lay[s->live[k]] = after->lay[i * after->kept + k];
    }
}

bool search_take_layer(struct search *s, int first, int end)
{
    struct searched *new;
    struct row before;
    bool found = false;

    s->before_seconds = fewest(s);
    row_init(&before, s);
    for (const struct searched *old = s->layers; old && !found && s->g->nodes[first]->layer >= 0;
         old = old->next) {
        struct match m = { .s = s, .old = old, .first = first, .end = end };
        m.order = mem_alloc_array((size_t)before.count + 1, sizeof(m.order[0]));
        m.image = mem_alloc_array(s->g->tensor_count + 1, sizeof(m.image[0]));
        found = match_layer(&m, &before);
        if (found)
            take_over(s, &m);
        mem_free(m.order);
        mem_free(m.image);
    }
    if (found) {
        row_release(&before);
        return true;
    }
    new = mem_alloc(sizeof(*new));
    *new = (struct searched){ .first = first, .end = end, .before = before, .next = s->layers };
    s->layers = new;
    return false;
}

void search_keep_layer(struct search *s)
{
    row_init(&s->layers->after, s);
    s->layers->more = fewest(s) - s->before_seconds;
}

void search_forget_layers(struct search *s)
{
    while (s->layers) {
        struct searched *gone = s->layers;
        s->layers = gone->next;
        row_release(&gone->before);
        row_release(&gone->after);
        mem_free(gone);
    }
}
