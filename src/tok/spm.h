/* spm -- SentencePiece's .model files (sentencepiece_model.proto of github.com/google/sentencepiece): pieces
 * with scores, how they were trained, and how text is normalized. Read whole and checked; what a tokenizer is
 * made of is written as a tokenizer.json, which is read like any other. */
#ifndef PLAIT_TOK_SPM_H
#define PLAIT_TOK_SPM_H

#include <stdbool.h>

#include "base/map.h"
#include "base/str.h"

enum spm_type { SPM_NORMAL = 1, SPM_UNKNOWN, SPM_CONTROL, SPM_USER, SPM_UNUSED, SPM_BYTE };
enum spm_model { SPM_UNIGRAM = 1, SPM_BPE = 2 };

struct spm_text { /* borrowed from the file */
    const char *bytes;
    size_t length;
};

struct spm_piece {
    struct spm_text text;
    float score;
    enum spm_type type;
};

struct spm {
    const char *name;
    const unsigned char *begin; /* of the file */
    struct spm_piece *pieces;
    size_t count, capacity;
    struct map ids; /* text -> index */
    enum spm_model model;
    bool byte_fallback;
    int64_t unk_id, bos_id, eos_id, pad_id; /* -1: none */
    struct spm_text unk_piece, bos_piece, eos_piece, charsmap;
};

/* bytes outlive s. ERR_DATA "NAME: pieces[2]: WHAT". spm_release also after a failure. */
int spm_read(struct spm *s, const char *name, const void *bytes, size_t length);
void spm_release(struct spm *s);

struct spm_json_options {
    enum spm_model model;
    bool byte_fallback;
    int64_t unk_id;    /* of a Unigram model */
    const char *unk;   /* unk_token of a BPE model; NULL: none */
    int64_t sentinels; /* "<extra_id_N>" that follow the pieces, the last first */
};

/* Appends the text of a tokenizer.json that has the model and nothing else. */
int spm_write_json(const struct spm *s, const struct spm_json_options *o, struct str *out);

#endif
