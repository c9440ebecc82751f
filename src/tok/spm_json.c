/* From a .model to a tokenizer.json. A Unigram model is its pieces and scores. A BPE model has no list of
 * merges: as in transformers, every way to cut a piece into two pieces is one, by the id of the piece and
 * then the length of the left part. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "tok/model.h"
#include "tok/prefix.h"
#include "tok/spm.h"

/* What pieces that nest in each other may come to: text of merges, and looks into the table. */
enum { MERGE_BYTES_MOST = 1 << 26, MERGE_LOOKS_MOST = 1 << 28 };

struct cutter {
    const struct spm *spm;
    struct prefix lefts;
    struct json_writer *w;
    size_t bytes, looks;
};

/* All ways to cut one piece. */
static int write_cuts(struct cutter *c, size_t index)
{
    const struct spm_text *t = &c->spm->pieces[index].text;
    const struct prefix_edge *edge;
    uint32_t node = PREFIX_ROOT;

    for (size_t i = 0; i + 1 < t->length; i++, node = edge->child) {
        const char *right = t->bytes + i + 1;
        size_t rest = t->length - i - 1;
        edge = prefix_step(&c->lefts, node, (uint8_t)t->bytes[i]);
        if (edge->value < 0)
            continue;
        c->looks += rest;
        if (c->looks > MERGE_LOOKS_MOST || c->bytes > MERGE_BYTES_MOST)
            return fail(ERR_DATA, "%s: pieces[%zu]: too many pieces are cut into others", c->spm->name,
                        index);
        if (!map_find(&c->spm->ids, right, rest))
            continue;
        json_write_array_begin(c->w);
        json_write_bytes(c->w, t->bytes, i + 1);
        json_write_bytes(c->w, right, rest);
        json_write_array_end(c->w);
        c->bytes += t->length;
    }
    return OK;
}

static int write_merges(const struct spm *s, struct json_writer *w)
{
    struct cutter c = { .spm = s, .w = w };
    int status = OK;

    prefix_init(&c.lefts);
    for (size_t i = 0; i < s->count; i++)
        prefix_add(&c.lefts, s->pieces[i].text.bytes, s->pieces[i].text.length, (int32_t)i);
    json_write_key(w, "merges");
    json_write_array_begin(w);
    for (size_t i = 0; i < s->count && status == OK; i++)
        status = write_cuts(&c, i);
    json_write_array_end(w);
    prefix_release(&c.lefts);
    return status;
}

static int write_bpe(const struct spm *s, const struct spm_json_options *o, struct json_writer *w)
{
    json_write_string(w, "BPE");
    model_write_text(w, "unk_token", o->unk);
    model_write_flag(w, "fuse_unk", true);
    model_write_flag(w, "byte_fallback", o->byte_fallback);
    json_write_key(w, "vocab");
    json_write_object_begin(w);
    for (size_t i = 0; i < s->count; i++) {
        json_write_key_bytes(w, s->pieces[i].text.bytes, s->pieces[i].text.length);
        json_write_int(w, (int64_t)i);
    }
    json_write_object_end(w);
    return write_merges(s, w);
}

static void write_entry(struct json_writer *w, const char *bytes, size_t length, double score)
{
    json_write_array_begin(w);
    json_write_bytes(w, bytes, length);
    json_write_double(w, score);
    json_write_array_end(w);
}

static int write_unigram(const struct spm *s, const struct spm_json_options *o, struct json_writer *w)
{
    char name[40];

    json_write_string(w, "Unigram");
    json_write_key(w, "unk_id");
    json_write_int(w, o->unk_id);
    model_write_flag(w, "byte_fallback", o->byte_fallback);
    json_write_key(w, "vocab");
    json_write_array_begin(w);
    for (size_t i = 0; i < s->count; i++)
        write_entry(w, s->pieces[i].text.bytes, s->pieces[i].text.length, (double)s->pieces[i].score);
    for (int64_t i = o->sentinels; i-- > 0;) {
        snprintf(name, sizeof(name), "<extra_id_%lld>", (long long)i);
        if (map_find(&s->ids, name, strlen(name)))
            return fail(ERR_DATA, "%s: %s is a piece, but would be added for extra_ids %lld", s->name, name,
                        (long long)o->sentinels);
        write_entry(w, name, strlen(name), 0);
    }
    json_write_array_end(w);
    if (o->unk_id >= (int64_t)s->count + o->sentinels)
        return fail(ERR_DATA, "%s: %zu pieces (expected more, as the unknown one has id %lld)", s->name,
                    s->count, (long long)o->unk_id);
    return OK;
}

int spm_write_json(const struct spm *s, const struct spm_json_options *o, struct str *out)
{
    struct json_writer w;

    json_writer_init(&w, out, -1);
    json_write_object_begin(&w);
    json_write_key(&w, "model");
    json_write_object_begin(&w);
    json_write_key(&w, "type");
    TRY(o->model == SPM_BPE ? write_bpe(s, o, &w) : write_unigram(s, o, &w));
    json_write_object_end(&w);
    json_write_object_end(&w);
    return OK;
}
