#include "ckpt/weights_index.h"

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"

static int check_shard_name(struct json_reader *r, const struct json_string *shard)
{
    struct str text;
    str_init(&text);
    str_append_escaped(&text, shard->data, shard->length, 120);
    int status = OK;
    if (!path_is_plain_name(shard->data, shard->length))
        status = json_fail(r, "shard name must be a plain file name (found \"%s\")", text.data);
    else if (shard->length > 255)
        status =
            json_fail(r, "shard name is too long (found %zu bytes, expected at most 255)", shard->length);
    str_release(&text);
    return status;
}

static int read_weight_map(struct weights_index *x, struct json_reader *r)
{
    struct json_string key, shard;
    if (!json_object_begin(r))
        return json_status(r);
    while (json_next_key(r, &key)) {
        map_add(&x->tensors, key.data, key.length, 0);
        struct map_entry *tensor = &x->tensors.entries[x->tensors.count - 1];
        if (!json_string(r, &shard))
            break;
        TRY(check_shard_name(r, &shard));
        map_add(&x->shards, shard.data, shard.length, (int64_t)x->shards.count);
        map_get(&x->shards, shard.data, shard.length, &tensor->value);
    }
    return json_status(r);
}

/* Some writers put a float here, some nothing. */
static int read_metadata(struct weights_index *x, struct json_reader *r)
{
    struct json_string key;
    if (json_peek(r) != JSON_OBJECT) {
        json_skip(r);
        return json_status(r);
    }
    json_object_begin(r);
    while (json_next_key(r, &key)) {
        if (json_key_is(r, "total_size") && json_peek(r) == JSON_NUMBER) {
            double total = json_double(r);
            x->total_size = total > 0 && total < 0x1p63 ? (uint64_t)total : 0;
        } else {
            json_skip(r);
        }
    }
    return json_status(r);
}

static int read_index(struct weights_index *x, struct json_reader *r)
{
    struct json_string key;
    bool found = false;
    if (!json_object_begin(r))
        return json_status(r);
    while (json_next_key(r, &key)) {
        if (json_key_is(r, "weight_map")) {
            found = true;
            TRY(read_weight_map(x, r));
        } else if (json_key_is(r, "metadata")) {
            TRY(read_metadata(x, r));
        } else {
            json_skip(r);
        }
    }
    TRY(json_end(r));
    if (!found)
        return fail(ERR_DATA, "%s: \"weight_map\" missing", r->name);
    if (x->tensors.count == 0)
        return fail(ERR_DATA, "%s: \"weight_map\" is empty", r->name);
    return OK;
}

int weights_index_parse(struct weights_index *x, const char *path, const char *bytes, size_t length)
{
    struct json_reader r;
    *x = (struct weights_index){ 0 };
    map_init(&x->tensors);
    map_init(&x->shards);
    json_reader_init(&r, path, bytes, length);
    int status = read_index(x, &r);
    json_reader_release(&r);
    if (status != OK)
        weights_index_release(x);
    return status;
}

void weights_index_release(struct weights_index *x)
{
    map_release(&x->tensors);
    map_release(&x->shards);
}
