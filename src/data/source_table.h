/* source_table -- which columns a file of rows has, and which of them are read.
 *
 * Columns that were named have to be there. Without any, text is the column "text", else "context", else the
 * first that is not wholly numeric in the rows that were looked at: those within the file's first MiB, a
 * thousand at most (and the first one, however long it is). What is chosen for the first file with columns
 * holds for all. */
#ifndef PLAIT_DATA_SOURCE_TABLE_H
#define PLAIT_DATA_SOURCE_TABLE_H

#include "base/map.h"
#include "data/source.h"

enum { TABLE_MOST_COLUMNS = 16384 };

struct table_column {
    char *name;
    bool text; /* a cell of it is no number */
};

struct table {
    struct table_column *columns;
    size_t count, capacity;
    struct map places; /* name -> its first place */
    bool fixed;        /* by a header: rows add no column */
    int64_t rows;      /* good ones that were seen */
};

void table_init(struct table *t);
void table_release(struct table *t);
struct table_column *table_find(const struct table *t, const char *name, size_t length); /* NULL: not there */
struct table_column *table_add(struct table *t, const char *name, size_t length);
bool cell_is_text(const char *bytes, size_t length); /* neither empty nor a number */

/* Looks at the beginning of a file whose format has columns. */
int source_find_columns(struct source_set *s, struct source_file *f);

#endif
