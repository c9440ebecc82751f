/* cache -- data files tokenized once and kept as one file, mapped into memory from then on.
 *
 * The file's name is the key: a hash of all bytes of the data files, of what decides ids in the tokenizer,
 * and of the options below that change tokens. Data or tokenizer changed: another key. The same data under
 * other names: the same. A file that is cut off or damaged is noticed when it is opened (its size and a hash
 * of all its bytes are in its header) and made anew, with a note. It is written under another name first and
 * renamed, so that a run that is killed leaves nothing that could be taken for a cache; of several processes
 * that want the same one, one works and the others wait.
 *
 * The tokens are the same on any number of threads. */
#ifndef PLAIT_DATA_CACHE_H
#define PLAIT_DATA_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/file.h"
#include "data/source.h"
#include "tok/tok.h"

enum cache_rows {
    ROWS_TEXT,  /* a document is a text */
    ROWS_PAIR,  /* a source and a target: documents 2i and 2i + 1 */
    ROWS_CLASS, /* a text, or two that belong together, with labels of its own */
};

struct label_set;

struct token_cache_options {
    enum cache_rows rows;
    const char *source_prefix;      /* ROWS_PAIR: put before each source; may be NULL */
    bool bare_target;               /* ROWS_PAIR: nothing but eos is put around a target */
    const struct label_set *labels; /* ROWS_CLASS */
    int64_t pair_length;            /* tokens of two texts: more are cut off as the tokenizer does */
    bool pair_types;                /* their token types are kept */
    bool sentences;                 /* see struct source_options */
    const char *option;             /* what the files were given with: for messages, "train_file" */
    const char *const *patterns;    /* files, globs or "-" */
    size_t pattern_count;
    const char *columns[COLUMN_COUNT];    /* see struct source_options */
    const char *likely_text, *json_field; /* the same */
    const char *directory;                /* where caches lie; made when it is not there */
    const struct tokenizer *tokenizer;    /* NULL: only rows of ids can be read */
    int64_t id_limit;                     /* ids must be below it: the model's vocabulary; 0: not known */
    bool ids_only;          /* text is refused: what of it would be a source, and what a target? */
    bool append_eos;        /* the tokenizer's eos after each document that has tokens */
    bool no_special_tokens; /* leave out what the tokenizer adds to a text */
    bool dropout;           /* of merges, where the tokenizer has one: by seed and text */
    uint64_t seed;
    bool drop_linebreaks; /* HF's keep_linebreaks false */
    bool drop_blank;      /* documents of white space alone have no tokens */
    int64_t max_bad;      /* bad rows that are skipped, with one warning; 0: the first one is an error */
    bool overwrite;       /* tokenize again in any case */
    /* NULL, or called between stretches of work with bytes of data; false stops: ERR_STOPPED. */
    bool (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};

struct token_cache {
    struct file_map map;
    char *path;
    char *text_column, *pair_column; /* that token_cache_make read; NULL: none */
    uint64_t key;
    int64_t token_count, document_count;
    int64_t label_count; /* labels that are not -100; token_count where ids are the labels */
    int64_t empty_count; /* documents without a token or without a label */
    int64_t bad_count;   /* rows that were skipped */
    uint64_t data_bytes; /* of the data files */
    int32_t max_id;      /* the largest id or label, -1 when there are none */
    int width;           /* bytes of a token in the file: 2 or 4 */
    bool made;           /* by this call */
    const void *tokens;
    const int32_t *labels; /* [token_count], NULL: the ids are the labels */
    const uint64_t *ends;  /* [document_count]: tokens up to the end of each document */
    const uint8_t *types;  /* [token_count], NULL: there are none */
    const int32_t *words;  /* [document_count, word_count]: what label_set_read gives */
    int word_count;
    bool pairs;
};

/* Finds the cache of these files or makes it. One process a host should call it, the others token_cache_open
 * what it found. Errors: what the sources say (FILE:LINE), ERR_USAGE for text without a tokenizer, ERR_DATA
 * when there is no token at all or an id is not below id_limit. */
int token_cache_make(const struct token_cache_options *o, struct token_cache *c);
/* Opens one file. whole: all bytes are read and must have the hash in the header. ERR_OPEN, ERR_DATA. */
int token_cache_open(const char *path, bool whole, struct token_cache *c);
void token_cache_close(struct token_cache *c);

/* count tokens from token `begin` on, as ids. labels may be NULL; where there are none they are the ids.
 * ERR_IO when the file was cut off meanwhile, ERR_DATA for a place outside of it. */
int token_cache_read(const struct token_cache *c, int64_t begin, int64_t count, int32_t *ids,
                     int32_t *labels);

/* Where caches lie: CACHE_DIR/tokens when given, else $XDG_CACHE_HOME/plait/tokens, else
 * ~/.cache/plait/tokens, else (no home, or nothing can be written there) OUTPUT_DIR/tokens. Either may be
 * NULL. The caller frees it. */
char *token_cache_directory(const char *cache_dir, const char *output_dir);

#endif
