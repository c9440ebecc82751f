/* pieces -- weights that lie in the pieces in which ranks hold them: files BASE_tp_T_pp_P.safetensors, or
 * BASE_tp_T_pp_P_dp_D.safetensors, each written by the rank at these coordinates. A piece is a box of a
 * tensor; it is a tensor of its file, and the file's metadata says what it is a box of:
 *
 *     "plait_pieces": {"h.0.mlp.c_fc.weight@0,128": {"of": "h.0.mlp.c_fc.weight", "shape": [64, 256],
 *                                                    "start": [0, 128]}, ...}     (as a string)
 *
 * A tensor that is not named there is whole. The pieces of all files cover each tensor exactly once, in
 * whatever way: a reader asks for boxes of the tensor and never for pieces, so the layout that wrote a
 * checkpoint is of no account to the one that reads it. */
#ifndef PLAIT_CKPT_PIECES_H
#define PLAIT_CKPT_PIECES_H

#include "ckpt/box.h"
#include "ckpt/save.h"
#include "ckpt/weights.h"

#define PIECES_KEY "plait_pieces"

/* ---- names of files ---- */
struct pieces_place {
    int tp, pp, dp; /* dp -1: not in the name */
};
void pieces_append_name(struct str *s, const char *base, struct pieces_place p);
bool pieces_is_name(const char *name, const char *base, struct pieces_place *p); /* p may be NULL */
/* The files of a directory, none when there are none; freed with names_free. */
int pieces_list(const char *directory, const char *base, char ***names, size_t *count);

/* ---- reading ---- */
/* Makes w->tensors of the pieces in w->files. ERR_DATA. */
int pieces_join(struct weights *w);
/* As weights_read, of a tensor that has pieces. */
int pieces_read(const struct weights_tensor *t, const struct box *box, float *out, const int64_t *stride);

/* ---- writing: pieces_save.c ---- */
struct saved_piece {
    const char *name; /* of the whole */
    int ndim;
    const int64_t *shape;
    struct box box;
    /* Gives the part, which lies in `box`, row-major without gaps. */
    int (*read)(const struct saved_piece *p, const struct box *part, float *out);
    void *context;
};

struct pieces_save_options {
    const char *dtype; /* as weights_save_options */
    enum manifest_kind kind;
    const char *tag; /* names the save; NULL: none */
};
/* A finite value that is infinite in the type asked for is ERR_DATA. */
int pieces_save(struct save *s, const char *file, const struct saved_piece *pieces, size_t count,
                const struct pieces_save_options *o);

#endif
