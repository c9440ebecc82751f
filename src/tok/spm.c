#include "tok/spm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/wire.h"

enum { FILE_MOST = 64 << 20, PIECE_MOST = 65536, PIECES_MOST = 1 << 24, SHOWN = 40 };

/* Numbers of fields in sentencepiece_model.proto. */
enum { MODEL_PIECES = 1, MODEL_TRAINER = 2, MODEL_NORMALIZER = 3 };
enum { PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_TYPE = 3 };
enum {
    TRAINER_MODEL = 3,
    TRAINER_BYTE_FALLBACK = 35,
    TRAINER_UNK_ID = 40,
    TRAINER_BOS_ID = 41,
    TRAINER_EOS_ID = 42,
    TRAINER_PAD_ID = 43,
    TRAINER_UNK_PIECE = 45,
    TRAINER_BOS_PIECE = 46,
    TRAINER_EOS_PIECE = 47,
};
enum { NORMALIZER_CHARSMAP = 2 };

/* A message inside the file; what it refuses is told by its place in the file. */
static void message_init(const struct spm *s, const struct wire_field *message, struct wire_reader *r)
{
    wire_reader_init(r, s->name, message->bytes, message->value);
    r->begin = s->begin;
}

/* ---- pieces ---- */

static int fail_piece(const struct spm *s, size_t index, const char *before, const struct spm_text *text,
                      const char *after)
{
    struct str shown;

    str_init(&shown);
    str_append_escaped(&shown, text->bytes, text->length, SHOWN);
    fail(ERR_DATA, "%s: pieces[%zu]: %s\"%s\"%s", s->name, index, before, shown.data, after);
    str_release(&shown);
    return ERR_DATA;
}

static int fail_field(const struct wire_reader *r, const char *what)
{
    return fail(ERR_DATA, "%s: %s is not of the type it has to be", r->name, what);
}

static int check_text(const struct spm *s, const struct spm_piece *p, size_t index)
{
    size_t valid = utf8_valid_prefix(p->text.bytes, p->text.length);

    if (p->text.length == 0)
        return fail(ERR_DATA, "%s: pieces[%zu]: empty piece", s->name, index);
    if (p->text.length > PIECE_MOST)
        return fail(ERR_DATA, "%s: pieces[%zu]: %zu bytes (expected at most %d)", s->name, index,
                    p->text.length, PIECE_MOST);
    if (valid < p->text.length)
        return fail(ERR_DATA, "%s: pieces[%zu]: not UTF-8 at byte %zu", s->name, index, valid);
    return OK;
}

static bool is_byte_name(const struct spm_text *t)
{
    const char *digits = "0123456789ABCDEF";

    return t->length == 6 && memcmp(t->bytes, "<0x", 3) == 0 && t->bytes[5] == '>' && t->bytes[3] &&
           t->bytes[4] && strchr(digits, t->bytes[3]) && strchr(digits, t->bytes[4]);
}

static int add_piece(struct spm *s, const struct spm_piece *p)
{
    size_t index = s->count;
    struct map_entry *known;

    TRY(check_text(s, p, index));
    if (!isfinite(p->score))
        return fail(ERR_DATA, "%s: pieces[%zu].score is %f (expected a finite number)", s->name, index,
                    (double)p->score);
    if (index >= PIECES_MOST)
        return fail(ERR_DATA, "%s: more than %d pieces", s->name, PIECES_MOST);
    if (p->type == SPM_BYTE && !is_byte_name(&p->text))
        return fail_piece(s, index, "byte piece ", &p->text, " (expected <0x00> to <0xFF>)");
    known = map_find(&s->ids, p->text.bytes, p->text.length);
    if (known) {
        char place[64];
        snprintf(place, sizeof(place), " is pieces[%lld] already", (long long)known->value);
        return fail_piece(s, index, "", &p->text, place);
    }
    map_add(&s->ids, p->text.bytes, p->text.length, (int64_t)index);
    s->pieces = mem_grow(s->pieces, s->count, &s->capacity, sizeof(*s->pieces));
    s->pieces[s->count++] = *p;
    return OK;
}

static int read_piece(struct spm *s, const struct wire_field *message)
{
    struct spm_piece p = { .text = { "", 0 }, .type = SPM_NORMAL };
    struct wire_reader r;
    struct wire_field f;

    message_init(s, message, &r);
    while (wire_next(&r, &f)) {
        if (f.number == PIECE_TEXT) {
            if (f.type != WIRE_BYTES)
                return fail_field(&r, "a piece's text");
            p.text = (struct spm_text){ f.bytes, f.value };
        } else if (f.number == PIECE_SCORE) {
            if (f.type != WIRE_32_BIT)
                return fail_field(&r, "a piece's score");
            p.score = wire_float(&f);
        } else if (f.number == PIECE_TYPE) {
            if (f.type != WIRE_VARINT || f.value < SPM_NORMAL || f.value > SPM_BYTE)
                return fail(ERR_DATA, "%s: pieces[%zu].type %llu (expected %d to %d)", s->name, s->count,
                            (unsigned long long)f.value, SPM_NORMAL, SPM_BYTE);
            p.type = (enum spm_type)f.value;
        }
    }
    TRY(wire_status(&r));
    return add_piece(s, &p);
}

/* ---- how it was trained, how text is normalized ---- */

static int read_number(const struct wire_reader *r, const struct wire_field *f, int64_t *out)
{
    if (f->type != WIRE_VARINT)
        return fail_field(r, "a number of trainer_spec");
    *out = (int64_t)f->value;
    return OK;
}

static int read_text(const struct wire_reader *r, const struct wire_field *f, struct spm_text *out)
{
    if (f->type != WIRE_BYTES)
        return fail_field(r, "a text");
    *out = (struct spm_text){ f->bytes, f->value };
    return OK;
}

static int read_trainer_field(struct spm *s, const struct wire_reader *r, const struct wire_field *f)
{
    int64_t number = 0;

    switch (f->number) {
    case TRAINER_MODEL:
        TRY(read_number(r, f, &number));
        if (number != SPM_UNIGRAM && number != SPM_BPE)
            return fail(ERR_DATA, "%s: trainer_spec.model_type %lld (supported: 1, Unigram, and 2, BPE)",
                        s->name, (long long)number);
        s->model = (enum spm_model)number;
        return OK;
    case TRAINER_BYTE_FALLBACK:
        TRY(read_number(r, f, &number));
        s->byte_fallback = number != 0;
        return OK;
    case TRAINER_UNK_ID: return read_number(r, f, &s->unk_id);
    case TRAINER_BOS_ID: return read_number(r, f, &s->bos_id);
    case TRAINER_EOS_ID: return read_number(r, f, &s->eos_id);
    case TRAINER_PAD_ID: return read_number(r, f, &s->pad_id);
    case TRAINER_UNK_PIECE: return read_text(r, f, &s->unk_piece);
    case TRAINER_BOS_PIECE: return read_text(r, f, &s->bos_piece);
    case TRAINER_EOS_PIECE: return read_text(r, f, &s->eos_piece);
    default: return OK;
    }
}

static int read_trainer(struct spm *s, const struct wire_field *message)
{
    struct wire_reader r;
    struct wire_field f;

    message_init(s, message, &r);
    while (wire_next(&r, &f))
        TRY(read_trainer_field(s, &r, &f));
    return wire_status(&r);
}

static int read_normalizer(struct spm *s, const struct wire_field *message)
{
    struct wire_reader r;
    struct wire_field f;

    message_init(s, message, &r);
    while (wire_next(&r, &f))
        if (f.number == NORMALIZER_CHARSMAP)
            TRY(read_text(&r, &f, &s->charsmap));
    return wire_status(&r);
}

/* ---- the whole ---- */

static int check_id(const struct spm *s, const char *what, int64_t id, int64_t least)
{
    if (id < least || id >= (int64_t)s->count)
        return fail(ERR_DATA, "%s: trainer_spec.%s %lld, %zu pieces", s->name, what, (long long)id, s->count);
    return OK;
}

static int check_bytes(const struct spm *s)
{
    char name[8];

    for (size_t i = 0; !s->byte_fallback && i < s->count; i++)
        if (s->pieces[i].type == SPM_BYTE)
            return fail_piece(s, i, "byte piece ", &s->pieces[i].text, ", but byte_fallback is not set");
    for (int i = 0; s->byte_fallback && i < 256; i++) {
        snprintf(name, sizeof(name), "<0x%02X>", (unsigned)i);
        if (!map_find(&s->ids, name, 6))
            return fail(ERR_DATA, "%s: \"%s\" is missing (expected all 256 byte pieces with byte_fallback)",
                        s->name, name);
    }
    return OK;
}

static int check_all(const struct spm *s)
{
    size_t unknown = 0;

    for (size_t i = 0; i < s->count; i++)
        unknown += s->pieces[i].type == SPM_UNKNOWN;
    if (unknown != 1)
        return fail(ERR_DATA, "%s: %zu unknown pieces (expected one)", s->name, unknown);
    TRY(check_id(s, "unk_id", s->unk_id, 0));
    TRY(check_id(s, "bos_id", s->bos_id, -1));
    TRY(check_id(s, "eos_id", s->eos_id, -1));
    TRY(check_id(s, "pad_id", s->pad_id, -1));
    return check_bytes(s);
}

static int read_all(struct spm *s, const void *bytes, size_t length)
{
    struct wire_reader r;
    struct wire_field f;

    wire_reader_init(&r, s->name, bytes, length);
    while (wire_next(&r, &f)) {
        if (f.number > MODEL_NORMALIZER)
            continue;
        if (f.type != WIRE_BYTES)
            return fail_field(&r, f.number == MODEL_PIECES ? "pieces" : "trainer_spec or normalizer_spec");
        if (f.number == MODEL_PIECES)
            TRY(read_piece(s, &f));
        else
            TRY(f.number == MODEL_TRAINER ? read_trainer(s, &f) : read_normalizer(s, &f));
    }
    TRY(wire_status(&r));
    return check_all(s);
}

int spm_read(struct spm *s, const char *name, const void *bytes, size_t length)
{
    *s = (struct spm){ .name = name,
                       .begin = bytes,
                       .model = SPM_UNIGRAM,
                       .bos_id = 1,
                       .eos_id = 2,
                       .pad_id = -1,
                       .unk_piece = { "<unk>", 5 },
                       .bos_piece = { "<s>", 3 },
                       .eos_piece = { "</s>", 4 } };
    map_init(&s->ids);
    if (length > FILE_MOST)
        return fail(ERR_DATA, "%s: %zu bytes (expected at most %d)", name, length, FILE_MOST);
    if (length == 0)
        return fail(ERR_DATA, "%s: empty file (expected a SentencePiece model)", name);
    return read_all(s, bytes, length);
}

void spm_release(struct spm *s)
{
    map_release(&s->ids);
    mem_free(s->pieces);
    *s = (struct spm){ 0 };
}
