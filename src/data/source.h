/* source -- files of documents, whatever their form.
 *
 *     patterns -> source_set (open files, each with the format its ending names)
 *              -> source_reader: window after window of bytes, cut at ends of records into tiles
 *              -> source_tile_read, on any thread: the documents of a tile, one call each
 *
 * Tiles depend on the bytes alone, never on the number of threads. A file is read from beginning to end;
 * memory is a window (or the longest record, if that is longer). What is no regular file (standard input, a
 * FIFO) is first copied to a nameless file, because data is read twice: once for its hash, once for its
 * documents.
 *
 * A new form of data is one file with one `struct source_format` and one row in source.c. */
#ifndef PLAIT_DATA_SOURCE_H
#define PLAIT_DATA_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* ---- documents ---- */

/* What a row has to give. A file of text has COLUMN_TEXT alone. */
enum column { COLUMN_TEXT, COLUMN_SOURCE, COLUMN_TARGET, COLUMN_LABEL, COLUMN_COUNT };

struct cell { /* any bytes; of JSON that is no string, its spelling */
    const char *bytes;
    size_t length;
    bool given;
};

/* Either cells or tokens. Valid during the call that hands it over. */
struct document {
    struct cell cells[COLUMN_COUNT];
    bool tokenized; /* ids, and no cells */
    const int32_t *ids;
    const int32_t *labels; /* one for each id, -100: no loss; NULL: the ids are the labels */
    const int32_t *types;  /* one for each id: token_type_ids; NULL: not given */
    size_t count;
};

/* A failure makes the record a bad one; the sentence needs no place. */
typedef int document_fn(void *context, const struct document *d);

/* ---- formats ---- */

struct source_tile;

struct source_format {
    const char *name;           /* part of the cache's key */
    const char *const *endings; /* of file names, NULL-terminated; the first is named in messages */
    size_t record_limit;        /* bytes of a record (a line) */
    /* bytes[begin] starts a record. The least place >= goal, > begin, where a record ends, and 0 when there
     * is none in the bytes given. end: nothing follows the bytes. */
    size_t (*cut)(const char *bytes, size_t begin, size_t goal, size_t length, bool end);
    void (*read)(struct source_tile *t, document_fn *emit, void *context);
};

extern const struct source_format source_text; /* lines of text */
extern const struct source_format source_rows; /* lines of JSON: {"input_ids": [...], "labels": [...]} */

/* ---- files ---- */

struct source_options {
    const char *option;          /* what the files were given with, "train_file": for messages */
    const char *const *patterns; /* files, globs or "-" (text on standard input) */
    size_t pattern_count;
    const char *spool_directory; /* for what is no regular file; made when needed */
    bool drop_linebreaks;        /* of text: HF's keep_linebreaks false */
    int64_t max_bad;             /* bad records that may be skipped */
};

struct source_file {
    char *path; /* as given or found; "standard input" for "-" */
    const struct source_format *format;
    int fd;
    uint64_t size;
    bool private; /* a copy of ours */
    struct stat info;
};

struct source_set {
    const struct source_options *options; /* borrowed */
    struct source_file *files;
    size_t count, capacity;
    uint64_t bytes; /* of all files */
};

/* ERR_OPEN: what is not there or cannot be read; ERR_USAGE: an ending that no format has; ERR_DATA:
 * compressed data under the name of text. */
int source_set_open(struct source_set *s, const struct source_options *options);
void source_set_close(struct source_set *s);
int source_set_hash(const struct source_set *s, uint64_t *hash); /* of formats and contents, not of names */
int source_set_check(const struct source_set *s); /* ERR_IO when a file has changed since it was opened */

/* ---- reading ---- */

struct source_fault { /* the first bad record of a tile */
    int status;
    int64_t line;      /* in the tile, from 0 */
    char *text, *hint; /* text: what follows "PATH:LINE" */
};

struct source_tile {
    const struct source_file *file;
    const struct source_options *options;
    const char *bytes;
    size_t length;
    uint64_t offset; /* of bytes in the file */
    bool last;       /* the file ends with it */
    /* written by source_tile_read */
    int64_t lines;  /* read so far; while a document is handed over: those before it */
    int64_t bad;    /* bad records */
    size_t strange; /* text: the first byte that is not UTF-8, length when there is none */
    struct source_fault fault;
};

/* All documents of a tile in order, up to the first bad one when none may be skipped. */
void source_tile_read(struct source_tile *t, document_fn *emit, void *context);
void source_tile_release(struct source_tile *t); /* what a bad record left */
/* For formats: the record at line t->lines is bad, with the failure recorded by this thread. placed: the
 * sentence begins with "PATH:1" for the record's own line. */
void source_tile_bad(struct source_tile *t, bool placed);

struct source_reader {
    const struct source_set *set;
    size_t file;     /* index of the one being read */
    uint64_t offset; /* of it, up to which bytes are in the buffer */
    uint64_t done;   /* bytes of all files handed out */
    int64_t line;    /* lines of the file before this window */
    char *buffer;
    size_t capacity, fill, used; /* used: handed out by the last window */
    struct source_tile *tiles;   /* of the window */
    size_t tile_count, tile_capacity;
};

void source_reader_init(struct source_reader *r, const struct source_set *set);
void source_reader_release(struct source_reader *r);
/* The next window's tiles, of one file; tile_count 0: all is read. Tiles and bytes stay until the next call.
 */
int source_reader_next(struct source_reader *r);
/* Fails with the tile's first bad record, "PATH:LINE: ..."; to be called for a tile of this window, all
 * earlier tiles of which have been read. */
int source_reader_fail(const struct source_reader *r, const struct source_tile *t);

#endif
