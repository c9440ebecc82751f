/* json_row -- a row of a table that is a JSON object: cells of text, or ids that were made before:
 *     {"text": "..."}    {"input_ids": [5, 9, 2], "labels": [-100, 9, 2], "token_type_ids": [0, 0, 1]}
 * token_type_ids: as many as ids; labels: -100 where there is no loss. Where an attention_mask has 0, there
 * is padding, and it is left out; other members are not looked at. Cells are strings; only a label may be
 * anything. */
#ifndef PLAIT_DATA_JSON_ROW_H
#define PLAIT_DATA_JSON_ROW_H

#include "base/json.h"
#include "data/source.h"
#include "data/source_table.h"

struct json_numbers {
    int32_t *values;
    size_t count, capacity;
    bool given;
};

struct json_row {
    struct json_numbers ids, labels, types, mask;
    struct str copies[COLUMN_COUNT];
    struct document document; /* of the row read last, within it */
};

void json_row_init(struct json_row *row);
void json_row_release(struct json_row *row);
int json_row_read(struct json_row *row, const struct source_tile *t, const char *bytes, size_t length);
/* struct source_format: look */
void json_row_look(struct table *t, const char *bytes, size_t length);

#endif
