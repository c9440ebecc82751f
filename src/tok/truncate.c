/* Cutting a text, or two that belong together, to a length: truncate_encodings of tokenizers
 * (utils/truncation.rs). */
#include <string.h>

#include "base/err.h"
#include "tok/encoding.h"
#include "tok/tokenizer.h"

/* The longer of two loses tokens until it is as long as the other, then both do; of an odd number the one
 * that was longer keeps one more, the second where they were equal. */
static void share(const size_t length[2], size_t room, size_t kept[2])
{
    int less = length[0] > length[1];
    size_t half = room / 2, shorter = length[less];

    kept[less] = shorter <= half ? shorter : half;
    kept[!less] = room - kept[less];
}

static int choose(const struct truncation *t, const size_t length[2], size_t room, size_t kept[2])
{
    int which = t->strategy == TRUNCATE_SECOND;
    size_t over = length[0] + length[1] - room;

    kept[0] = length[0];
    kept[1] = length[1];
    if (room == 0) {
        kept[0] = kept[1] = 0;
    } else if (t->strategy == TRUNCATE_LONGEST) {
        share(length, room, kept);
    } else {
        if (length[which] <= over)
            return fail(ERR_DATA,
                        "Truncation error: Sequence to truncate too short to respect the provided max_length "
                        "(found %zu tokens in the %s text, expected more than the %zu to be cut off)",
                        length[which], which ? "second" : "first", over);
        kept[which] -= over;
    }
    return OK;
}

static int check_stride(const struct truncation *t, size_t length, size_t kept)
{
    if (kept == length || kept == 0 || t->stride < (int64_t)kept)
        return OK;
    return fail(ERR_CONFIG,
                "truncation.stride %lld (expected less than the %zu tokens of text that are kept)",
                (long long)t->stride, kept);
}

/* Of `length` ids from `begin` on. */
static void cut(struct encoding *e, size_t begin, size_t length, size_t kept, bool left)
{
    size_t drop = length - kept, from = left ? begin : begin + kept;
    size_t after = e->count - from - drop;

    memmove(e->ids + from, e->ids + from + drop, after * sizeof(*e->ids));
    if (e->spans)
        memmove(e->spans + from, e->spans + from + drop, after * sizeof(*e->spans));
    e->count -= drop;
}

int truncate_texts(struct process *p, const struct truncation *t, size_t added)
{
    const size_t length[] = { p->middle - p->begin, p->encoding->count - p->middle };
    size_t room = (size_t)t->max_length - added, kept[2];

    if (t->max_length < (int64_t)added)
        return fail(ERR_CONFIG, "max_length %lld leaves no room for the %zu special tokens",
                    (long long)t->max_length, added);
    if (length[0] + length[1] <= room)
        return OK;
    if (!p->pair && t->strategy == TRUNCATE_SECOND)
        return fail(ERR_CONFIG, "truncation.strategy OnlySecond, but there is no second text");
    TRY(choose(t, length, room, kept));
    TRY(check_stride(t, length[0], kept[0]));
    TRY(check_stride(t, length[1], kept[1]));
    cut(p->encoding, p->middle, length[1], kept[1], t->left);
    cut(p->encoding, p->begin, length[0], kept[0], t->left);
    p->middle = p->begin + kept[0];
    return OK;
}
