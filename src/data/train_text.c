#include "data/train_text.h"

#include "base/err.h"
#include "base/parallel.h"

struct feeding {
    struct tok_trainer *trainer;
    struct source_reader reader;
};

static int feed_document(void *context, const struct document *d)
{
    const struct feeding *f = context;
    const struct cell *text = &d->cells[COLUMN_TEXT];
    if (d->tokenized)
        return fail(ERR_DATA, "a row of input_ids, and a tokenizer is trained on text");
    return tok_trainer_feed(f->trainer, text->bytes, text->length);
}

static void feed_tile(void *context, int64_t index)
{
    struct feeding *f = context;
    source_tile_read(&f->reader.tiles[index], feed_document, f);
}

static int feed_all(struct feeding *f)
{
    for (;;) {
        TRY(source_reader_next(&f->reader));
        if (f->reader.tile_count == 0)
            return OK;
        parallel_for((int64_t)f->reader.tile_count, feed_tile, f);
        for (size_t i = 0; i < f->reader.tile_count; i++)
            if (f->reader.tiles[i].bad)
                return source_reader_fail(&f->reader, &f->reader.tiles[i]);
    }
}

int train_text_feed(struct tok_trainer *t, const struct source_options *o)
{
    struct source_set set;
    struct feeding f = { .trainer = t };
    TRY(source_set_open(&set, o));
    source_set_tell(&set);
    source_reader_init(&f.reader, &set);
    int status = feed_all(&f);
    if (status == OK)
        status = source_set_check(&set);
    source_reader_release(&f.reader);
    source_set_close(&set);
    return status;
}
