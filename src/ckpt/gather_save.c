/* Saving in pieces. The first rank tells each of the others which of its tensors to write into which file,
 * writes its own, and takes what they report of theirs. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "ckpt/gather_internal.h"
#include "ckpt/pieces.h"
#include "ckpt/share.h"

enum { LONGEST_PATH = 4096 };

struct errand { /* sent as words */
    char place[LONGEST_PATH], file[64], dtype[16], tag[72];
    int64_t kind;
};

enum { ERRAND_WORDS = sizeof(struct errand) / WORD };

/* ---- on every rank: a file of what it has ---- */

struct held { /* where a piece lies in the store */
    float *data;
    int64_t stride[BOX_MAX_DIMS];
};

struct writing {
    const struct stored *s; /* whose boxes are added */
    struct saved_piece *pieces;
    size_t count, capacity;
    struct arena memory;
};

static int read_held(const struct saved_piece *p, const struct box *part, float *out)
{
    const struct held *h = p->context;
    struct box_view from = { .element = element_named("F32"), .data = h->data, .box = p->box };
    struct box_view to = { .element = from.element, .data = out, .box = *part };

    memcpy(from.stride, h->stride, sizeof(from.stride));
    box_view_contiguous(&to);
    box_copy(&to, &from);
    return OK;
}

static int add_box(void *context, const struct box *box, int64_t offset, const int64_t *stride)
{
    struct writing *w = context;
    struct held *h = arena_alloc(&w->memory, sizeof(*h));

    h->data = w->s->data + offset;
    memcpy(h->stride, stride, (size_t)box->ndim * sizeof(h->stride[0]));
    w->pieces = mem_grow(w->pieces, w->count, &w->capacity, sizeof(w->pieces[0]));
    w->pieces[w->count++] = (struct saved_piece){ .name = w->s->name,
                                                  .ndim = w->s->param.file_ndim,
                                                  .shape = w->s->param.file_dims,
                                                  .box = *box,
                                                  .read = read_held,
                                                  .context = h };
    return OK;
}

static int write_entries(struct save *s, const struct store *store, const struct errand *o,
                         const int64_t entries[], int64_t count)
{
    const struct pieces_save_options options = { .dtype = o->dtype[0] ? o->dtype : NULL,
                                                 .kind = (enum manifest_kind)o->kind,
                                                 .tag = o->tag[0] ? o->tag : NULL };
    struct writing w = { 0 };
    int status = OK;

    arena_init(&w.memory);
    for (int64_t i = 0; i < count && status == OK; i++) {
        w.s = store_at(store, (size_t)entries[i]);
        status = share_each_box(w.s, add_box, &w);
    }
    if (status == OK)
        status = pieces_save(s, o->file, w.pieces, w.count, &options);
    mem_free(w.pieces);
    arena_release(&w.memory);
    return status;
}

/* ---- the others ---- */

/* As text: the report, or why there is none. */
static int write_and_report(const struct store *store, const struct errand *o, const int64_t entries[],
                            int64_t count, struct str *text)
{
    struct save *s;
    int status;

    save_join(&s, o->place);
    status = write_entries(s, store, o, entries, count);
    if (status == OK)
        status = save_report(s, text);
    else
        save_abort(s);
    if (status != OK) {
        str_clear(text);
        str_append(text, error_message());
        error_clear(); /* the first rank tells */
    }
    return status;
}

int gather_write(struct comm *c, const struct store *store)
{
    struct errand *o = mem_alloc(sizeof(*o));
    int64_t count = 0, *entries = NULL, reply[2];
    struct str text;
    int status = gather_receive(c, 0, DT_I64, o, ERRAND_WORDS);

    if (status == OK)
        status = gather_receive(c, 0, DT_I64, &count, 1);
    if (status == OK) {
        entries = mem_alloc_array((size_t)count + 1, WORD);
        status = gather_receive(c, 0, DT_I64, entries, count);
    }
    if (status == OK) {
        str_init(&text);
        reply[0] = write_and_report(store, o, entries, count, &text);
        reply[1] = (int64_t)text.length;
        while (text.length % WORD != 0)
            str_append_char(&text, 0);
        status = gather_send(c, 0, DT_I64, reply, 2);
        if (status == OK && text.length)
            status = gather_send(c, 0, DT_I64, text.data, (int64_t)text.length / WORD);
        str_release(&text);
    }
    mem_free(entries);
    mem_free(o);
    return status;
}

/* ---- the first ---- */

struct share_out {
    int64_t *entries, count;
    size_t capacity;
};

/* What each rank writes. */
static void deal_out(const struct gather *g, enum tensor_kind kind, struct share_out ranks[])
{
    for (size_t i = 0; i < g->count; i++)
        for (size_t k = 0; k < g->tensors[i].count; k++) {
            const struct piece *p = &g->tensors[i].pieces[k];
            struct share_out *r = &ranks[p->rank];
            if (p->again || p->s.kind != kind)
                continue;
            r->entries = mem_grow(r->entries, (size_t)r->count, &r->capacity, sizeof(r->entries[0]));
            r->entries[r->count++] = p->index;
        }
}

static void name_file(const struct gather *g, int rank, const char *base, bool with_dp, struct errand *o)
{
    struct pieces_place p = { .dp = with_dp ? 0 : -1 };
    struct str name;

    if (g->comm) {
        p.tp = mesh_coordinate(&g->comm->mesh, rank, AXIS_TP);
        p.pp = mesh_coordinate(&g->comm->mesh, rank, AXIS_PP);
        p.dp = with_dp ? mesh_coordinate(&g->comm->mesh, rank, AXIS_DP) : -1;
    }
    str_init(&name);
    pieces_append_name(&name, base, p);
    snprintf(o->file, sizeof(o->file), "%s", name.data);
    str_release(&name);
}

static int ask(struct comm *c, int rank, const struct errand *o, const struct share_out *r)
{
    const int64_t wish[2] = { GATHER_WRITE, 0 };

    TRY(gather_send(c, rank, DT_I64, wish, 2));
    TRY(gather_send(c, rank, DT_I64, o, ERRAND_WORDS));
    TRY(gather_send(c, rank, DT_I64, &r->count, 1));
    return gather_send(c, rank, DT_I64, r->entries, r->count);
}

/* *talked: of the talking itself. */
static int take_report(struct comm *c, int rank, struct save *s, int *talked)
{
    int64_t reply[2] = { 0 }, words;
    char *text;
    int status = OK;

    *talked = gather_receive(c, rank, DT_I64, reply, 2);
    if (*talked != OK)
        return *talked;
    words = (reply[1] + WORD - 1) / WORD;
    text = mem_alloc((size_t)(words * WORD) + 1);
    if (words)
        *talked = gather_receive(c, rank, DT_I64, text, words);
    if (*talked != OK)
        status = *talked;
    else if (reply[0] != OK)
        status = fail((int)reply[0], "rank %d: %s", rank, text);
    else if (s)
        status = save_take(s, text, (size_t)reply[1]);
    mem_free(text);
    return status;
}

/* All are heard, whatever fails: nobody writes any more when this returns. */
static int save_all(struct gather *g, struct save *s, struct errand *o, struct share_out ranks[],
                    const char *base)
{
    int count = g->comm ? mesh_ranks(&g->comm->mesh) : 1, status = OK, talked = OK;
    bool with_dp = o->kind == MANIFEST_STATE;

    for (int r = 1; r < count && !with_dp; r++)
        with_dp = ranks[r].count > 0 && mesh_coordinate(&g->comm->mesh, r, AXIS_DP) > 0;
    for (int r = 1; r < count; r++)
        if (ranks[r].count) {
            name_file(g, r, base, with_dp, o);
            TRY(ask(g->comm, r, o, &ranks[r]));
        }
    if (ranks[0].count) {
        name_file(g, 0, base, with_dp, o);
        status = write_entries(s, g->store, o, ranks[0].entries, ranks[0].count);
    }
    for (int r = 1; r < count && talked == OK; r++)
        if (ranks[r].count) {
            int one = take_report(g->comm, r, status == OK ? s : NULL, &talked);
            status = status == OK ? one : status;
        }
    return status;
}

int gather_save(struct gather *g, struct save *s, const struct gather_save_options *o)
{
    int count = g->comm ? mesh_ranks(&g->comm->mesh) : 1, status;
    struct share_out *ranks = mem_alloc_array((size_t)count, sizeof(ranks[0]));
    struct errand *order = mem_alloc(sizeof(*order));

    order->kind = o->kind;
    if ((size_t)snprintf(order->place, sizeof(order->place), "%s", save_place(s)) >= sizeof(order->place))
        BUG("%s: a path that no system has", save_place(s));
    snprintf(order->dtype, sizeof(order->dtype), "%s", o->dtype ? o->dtype : "");
    snprintf(order->tag, sizeof(order->tag), "%s", o->tag ? o->tag : "");
    deal_out(g, o->tensors, ranks);
    status = save_all(g, s, order, ranks, o->base);
    for (int r = 0; r < count; r++)
        mem_free(ranks[r].entries);
    mem_free(ranks);
    mem_free(order);
    return status;
}
