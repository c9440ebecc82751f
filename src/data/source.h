/* source -- files of documents, whatever their form.
 *
 *     patterns -> source_set (files found, each with the format its name says, and the columns to be read)
 *              -> source_reader: window after window of bytes, cut at ends of records into tiles
 *              -> source_tile_read, on any thread: the documents of a tile, one call each
 *
 * Tiles depend on the bytes alone, never on the number of threads. A file is read from beginning to end;
 * memory is a window (or the longest record, if that is longer). What is no regular file (standard input, a
 * FIFO) is first copied to a nameless file, because data is read more than once: for its hash, for a look at
 * its columns, for its documents. So is, while it is read, what is compressed.
 *
 * A new form of data is one file with one `struct source_format` and one row in source.c. */
#ifndef PLAIT_DATA_SOURCE_H
#define PLAIT_DATA_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/str.h"
#include "data/unpack.h"

/* ---- documents ---- */

/* What a row has to give. A file of text has COLUMN_TEXT alone. */
enum column { COLUMN_TEXT, COLUMN_TEXT_PAIR, COLUMN_SOURCE, COLUMN_TARGET, COLUMN_LABEL, COLUMN_COUNT };

struct cell { /* any bytes; of JSON that is no string, its spelling */
    const char *bytes;
    size_t length;
    bool given;
};

/* Cells or tokens. Valid during the call that hands it over. */
struct document {
    struct cell cells[COLUMN_COUNT];
    bool tokenized; /* ids, and no cells but perhaps a label */
    const int32_t *ids;
    const int32_t *labels; /* -100: no loss; NULL: the ids are the labels */
    size_t label_count;    /* as many as ids, unless they are those of a target */
    const int32_t *types;  /* one for each id: token_type_ids; NULL: not given */
    size_t count;
};

/* A failure makes the record a bad one; the sentence needs no place. */
typedef int document_fn(void *context, const struct document *d);

/* ---- formats ---- */

struct source_tile;
struct source_file;
struct source_options;
struct source_head;
struct source_body;
struct table;

struct source_format {
    const char *name;    /* part of the cache's key */
    const char *record;  /* "line": for messages */
    size_t record_limit; /* bytes of a record */
    bool numbered;       /* records are told by their number, as several may stand on a line */
    /* bytes[begin] starts a record. The least place >= goal, > begin, where a record ends, and 0 when there
     * is none in the bytes given. end: nothing follows the bytes. */
    size_t (*cut)(const char *bytes, size_t begin, size_t goal, size_t length, bool end);
    void (*read)(struct source_tile *t, document_fn *emit, void *context);
    /* The rest may be NULL. */
    /* Reads where the records begin, up to `limit` bytes of them; a header's columns go into the table. */
    int (*head)(struct source_file *f, const struct source_options *o, struct source_head *h,
                struct table *table);
    /* Adds what a record tells of its columns; a bad record tells nothing. NULL: there are no columns. */
    void (*look)(struct table *t, const char *record, size_t length);
    /* Sets where in a file, as it is unpacked, records begin and end. */
    int (*frame)(const struct source_file *f, const struct source_options *o, struct source_body *body);
    /* Fails for a record that does not end within the limit. */
    int (*fail_long)(const struct source_file *f, int64_t line, const char *record, size_t length);
};

extern const struct source_format source_text;  /* lines of text */
extern const struct source_format source_lines; /* the same, ended by "\n" alone; UTF-8 */
extern const struct source_format source_csv;   /* RFC 4180, with a header */
extern const struct source_format source_jsonl; /* a JSON object a line */
extern const struct source_format source_array; /* a JSON array of objects, or one such member of an object */

/* ---- files ---- */

struct source_options {
    const char *option;          /* what the files were given with, "train_file": for messages */
    const char *const *patterns; /* files, globs or "-" (text on standard input) */
    size_t pattern_count;
    const char *spool_directory;       /* for what is no regular file or compressed; made when needed */
    const char *columns[COLUMN_COUNT]; /* their names; NULL: not wanted. Without text, source and target the
                                          text is looked for */
    const char *likely_text;           /* then the first that is looked for; may be NULL */
    bool sentences;         /* where text is looked for: sentence1 and sentence2 are a text and its pair */
    const char *json_field; /* member of a JSON object that is the array of rows; may be NULL */
    bool pairs;             /* the labels of rows of ids are a target, of any length */
    bool drop_linebreaks;   /* of text: HF's keep_linebreaks false */
    bool corpus; /* as trainers of tokenizers read text: lines end at "\n" alone, any other ending is text */
    int64_t max_bad; /* bad records that may be skipped */
};

struct source_file {
    char *path; /* as given or found; "standard input" for "-" */
    const struct source_format *format;
    enum packing packing;
    int fd;        /* where there is no path to open it by: standard input, or a copy; else -1 */
    uint64_t size; /* as it is stored */
    struct stat info;
    /* what the look at its beginning found */
    bool tokenized;           /* JSON: rows of ids */
    int places[COLUMN_COUNT]; /* CSV: of the columns in a row, -1: not wanted */
    size_t width;             /* CSV: columns */
    uint64_t begin;           /* of the records, as unpacked */
    int64_t line;             /* lines before them */
};

struct source_set {
    const struct source_options *options; /* borrowed */
    struct source_file *files;
    size_t count, capacity;
    uint64_t bytes;                  /* of all files, as they are stored */
    const char *names[COLUMN_COUNT]; /* of the columns that are read; NULL: none */
    char *chosen, *chosen_of;        /* the column of text that was not named, and all there are */
};

/* ERR_OPEN: what is not there or cannot be read; ERR_USAGE: an ending that no format has; ERR_DATA: other
 * data than the name says, or columns that are not there. */
int source_set_open(struct source_set *s, const struct source_options *options);
void source_set_close(struct source_set *s);
int source_set_hash(const struct source_set *s, uint64_t *hash); /* of formats and contents, not of names */
int source_set_check(const struct source_set *s); /* ERR_IO when a file has changed since it was opened */
/* One line to the log about the column that was chosen, if one was. */
void source_set_tell(const struct source_set *s);

/* ---- parts of a file, for formats and the reader ---- */

struct source_body { /* a file as the reader has it */
    int fd;          /* of the unpacked bytes; -1: none */
    uint64_t begin, end;
    int64_t line; /* lines before begin */
};
struct source_head {
    size_t limit;
    struct str bytes; /* from the first record on */
    bool whole;       /* the file ends with them */
};

/* Sets fd, info, size; and for standard input the packing, which names tell of others. */
int source_file_find(struct source_file *f, const struct source_options *o, bool standard);
int source_file_open(const struct source_file *f, int *fd); /* ERR_IO when it has changed */
int source_body_open(const struct source_file *f, const struct source_options *o, struct source_body *b);
void source_body_close(struct source_body *b);
int source_head_read(struct source_file *f, struct source_head *h); /* the first h->limit bytes */

/* Fails for a record that does not end within the limit; line: those before it. */
int source_fail_long(const struct source_file *f, int64_t line, const char *record, size_t length);

/* ---- reading ---- */

struct source_fault { /* the first bad record of a tile */
    int status;
    int64_t line, record; /* in the tile, from 0 */
    char *text, *hint;    /* text: what follows "PATH:LINE" */
};

struct source_tile {
    const struct source_set *set;
    const struct source_file *file;
    const char *bytes;
    size_t length;
    uint64_t offset;  /* of bytes in the unpacked file */
    bool first, last; /* the file's records begin, end with it */
    /* written by source_tile_read */
    int64_t lines;   /* read so far; while a document is handed over: those before it */
    int64_t records; /* the same in records */
    int64_t bad;     /* bad records */
    size_t strange;  /* text: the first byte that is not UTF-8, length when there is none */
    struct source_fault fault;
};

/* All documents of a tile in order, up to the first bad one when none may be skipped. */
void source_tile_read(struct source_tile *t, document_fn *emit, void *context);
void source_tile_release(struct source_tile *t); /* what a bad record left */
/* For formats: the record at line t->lines is bad, with the failure recorded by this thread. placed: the
 * sentence begins with "PATH:N" for the record's own N-th line. */
void source_tile_bad(struct source_tile *t, bool placed);

struct source_reader {
    const struct source_set *set;
    size_t file; /* index of the one being read */
    struct source_body body;
    uint64_t offset;      /* of it, up to which bytes are in the buffer */
    uint64_t done;        /* bytes of all files handed out, as unpacked */
    uint64_t passed;      /* bytes of the files that were read to their end, as they are stored */
    int64_t line, record; /* of the file, before this window */
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
/* What was handed out before this window, in bytes as they are stored: 0 .. set->bytes. */
uint64_t source_reader_place(const struct source_reader *r);
/* Fails with the tile's first bad record, "PATH:LINE: ..."; to be called for a tile of this window, all
 * earlier tiles of which have been read. */
int source_reader_fail(const struct source_reader *r, const struct source_tile *t);

#endif
