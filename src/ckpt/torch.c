#include "ckpt/torch.h"

#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "ckpt/torch_pickle.h"
#include "ckpt/zip.h"

bool torch_is_file(const unsigned char *head)
{
    return memcmp(head, "PK\003\004", 4) == 0 || (head[0] == 0x80 && head[1] >= 2 && head[1] <= 5);
}

/* ---- from the state dict to the file's table ---- */

struct place { /* of a storage's bytes in the file */
    uint64_t begin, bytes;
};

typedef int locate_function(void *context, const struct torch_storage *s, struct place *p);

struct locator {
    locate_function *find;
    void *context;
};

static int add_tensor(struct weights_file *f, const struct pickle_text *name, const struct torch_tensor *t,
                      const struct locator *locate)
{
    struct safetensors_tensor info = { .element = t->element, .shape = t->shape, .ndim = t->ndim };
    struct weights_tensor added = { .info = &info, .stride = t->stride };
    struct place place = { 0 };
    uint64_t size = (uint64_t)t->element->bits / 8;
    added.name = arena_strndup(&f->memory, name->bytes, name->length);
    if (strlen(added.name) != name->length)
        return safetensors_fail(f->path, added.name, "its name holds a NUL");
    TRY(locate->find(locate->context, t->storage, &place));
    if (t->extent > (int64_t)(place.bytes / size))
        return safetensors_fail(f->path, added.name,
                                "needs %" PRId64 " elements of storage \"%s\", which has %" PRIu64 " bytes",
                                t->extent, t->storage->key, place.bytes);
    info.begin = place.begin + (t->extent > 0 ? (uint64_t)t->offset * size : 0);
    return weights_file_add(f, &added);
}

static int fail_empty(const struct weights_file *f, const struct pickle_value *root)
{
    struct str keys;
    str_init(&keys);
    for (size_t i = 0; root->kind == PICKLE_DICT && i < root->items->count && i < 10; i += 2) {
        const struct pickle_value *key = &root->items->list[i];
        if (key->kind != PICKLE_TEXT)
            continue;
        str_append(&keys, keys.length > 0 ? ", \"" : "\"");
        str_append_escaped(&keys, key->text->bytes, key->text->length, 60);
        str_append(&keys, "\"");
    }
    int status = fail(ERR_DATA, "%s: no tensors at the top (found %s%s%s, expected a dict of tensors)",
                      f->path, pickle_kind_name(root->kind), keys.length > 0 ? " with " : "", keys.data);
    str_release(&keys);
    return status;
}

/* Values that are no tensors are passed over. */
static int add_tensors(struct weights_file *f, const struct pickle_value *root, const struct locator *locate)
{
    for (size_t i = 0; root->kind == PICKLE_DICT && i + 1 < root->items->count; i += 2) {
        const struct pickle_value *key = &root->items->list[i], *value = &key[1];
        const struct torch_tensor *t = torch_tensor_of(value);
        if (t == NULL)
            continue;
        if (key->kind != PICKLE_TEXT)
            return fail(ERR_DATA, "%s: a tensor's name is %s, expected a string", f->path,
                        pickle_kind_name(key->kind));
        TRY(add_tensor(f, key->text, t, locate));
    }
    return f->count > 0 ? OK : fail_empty(f, root);
}

/* ---- archive ---- */

struct archive {
    struct zip zip;
    struct str name; /* of an entry: the folder, then what is put behind it */
    size_t folder;
};

static const struct zip_entry *find_entry(struct archive *a, const char *name, const char *more)
{
    str_cut(&a->name, a->folder);
    str_append(&a->name, name);
    str_append(&a->name, more);
    return zip_find(&a->zip, a->name.data);
}

static int locate_entry(void *context, const struct torch_storage *s, struct place *p)
{
    struct archive *a = context;
    const struct zip_entry *e = find_entry(a, "data/", s->key);
    if (e == NULL)
        return fail(ERR_DATA, "%s: storage \"%s\" missing in the archive", a->zip.file->path, s->key);
    p->bytes = e->bytes;
    return zip_locate(&a->zip, e, &p->begin);
}

/* Everything lies in one folder, named after the file as it was called when it was written. */
static int find_folder(struct archive *a)
{
    for (size_t i = 0; i < a->zip.count; i++) {
        const char *name = a->zip.entries[i].name, *slash = strchr(name, '/');
        if (slash == NULL || strcmp(slash, "/data.pkl") != 0)
            continue;
        str_append_bytes(&a->name, name, (size_t)(slash - name) + 1);
        a->folder = a->name.length;
        return OK;
    }
    return fail(ERR_DATA, "%s: a ZIP archive without data.pkl: torch.save did not write it",
                a->zip.file->path);
}

static int check_byte_order(struct archive *a)
{
    const struct zip_entry *e = find_entry(a, "byteorder", "");
    char order[3];
    uint64_t begin = 0;
    if (e == NULL || e->bytes != sizeof(order))
        return OK;
    TRY(zip_locate(&a->zip, e, &begin));
    TRY(byte_file_read(a->zip.file, begin, order, sizeof(order)));
    return memcmp(order, "big", 3) != 0 ? OK
                                        : fail(ERR_DATA, "%s: its numbers are big-endian", a->zip.file->path);
}

static int read_archive(struct weights_file *f, struct archive *a)
{
    struct pickle_value root = { 0 };
    struct torch_pickle p;
    struct cursor c;
    uint64_t begin = 0;
    TRY(find_folder(a));
    TRY(check_byte_order(a));
    const struct zip_entry *e = find_entry(a, "data.pkl", "");
    TRY(zip_locate(&a->zip, e, &begin));
    cursor_init(&c, &f->bytes, "data.pkl", begin, begin + e->bytes);
    torch_pickle_init(&p, &c);
    int status = pickle_read(&p.machine, &root);
    if (status == OK)
        status = add_tensors(f, &root, &(struct locator){ locate_entry, a });
    torch_pickle_release(&p);
    return status;
}

/* ---- the form before 1.6 ---- */

struct sequence {
    struct torch_pickle pickle;
    struct map keys; /* of a storage -> index into places */
    struct place *places;
};

static int locate_in_sequence(void *context, const struct torch_storage *s, struct place *p)
{
    const struct sequence *q = context;
    int64_t at;
    if (!map_get(&q->keys, s->key, strlen(s->key), &at))
        return pickle_fail(&q->pickle.machine, "storage \"%s\" is not in the list of storages", s->key);
    *p = q->places[at];
    return OK;
}

static int read_head(struct sequence *q)
{
    static const char magic[] = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    struct pickle *p = &q->pickle.machine;
    struct pickle_value v = { 0 };
    TRY(pickle_read(p, &v));
    if (v.kind != PICKLE_BIG || v.text->length != 10 || memcmp(v.text->bytes, magic, 10) != 0)
        return pickle_fail(p, "a pickle that torch.save did not write");
    TRY(pickle_read(p, &v));
    if (v.kind != PICKLE_INT || v.integer != 1001)
        return pickle_fail(p, "version of the format is not 1001");
    TRY(pickle_read(p, &v));
    for (size_t i = 0; v.kind == PICKLE_DICT && i + 1 < v.items->count; i += 2) {
        const struct pickle_value *key = &v.items->list[i];
        if (key->kind == PICKLE_TEXT && strcmp(key->text->bytes, "little_endian") == 0 &&
            key[1].kind == PICKLE_BOOL && key[1].integer == 0)
            return pickle_fail(p, "its numbers are big-endian");
    }
    return OK;
}

static int read_places(struct sequence *q, const struct pickle_value *keys)
{
    struct pickle *p = &q->pickle.machine;
    if (keys->kind != PICKLE_LIST)
        return pickle_fail(p, "the list of storages is %s", pickle_kind_name(keys->kind));
    q->places = mem_alloc_array(keys->items->count + 1, sizeof(*q->places));
    for (size_t i = 0; i < keys->items->count; i++) {
        const struct pickle_value *key = &keys->items->list[i];
        const struct torch_storage *s =
            key->kind == PICKLE_TEXT ? torch_storage_find(&q->pickle, key->text->bytes) : NULL;
        uint64_t count = 0;
        int64_t bytes;
        if (s == NULL || !map_add(&q->keys, s->key, strlen(s->key), (int64_t)i))
            return pickle_fail(p, "the list of storages has one twice, or one that no tensor has");
        TRY(cursor_little(p->cursor, 8, &count));
        if (count > INT64_MAX || !checked_mul((int64_t)count, s->element ? s->element->bits / 8 : 1, &bytes))
            return pickle_fail(p, "storage \"%s\" has %" PRIu64 " elements", s->key, count);
        q->places[i] = (struct place){ p->cursor->at, (uint64_t)bytes };
        TRY(cursor_skip(p->cursor, (uint64_t)bytes));
    }
    return OK;
}

static int read_sequence(struct weights_file *f)
{
    struct pickle_value root = { 0 }, keys = { 0 };
    struct sequence q = { 0 };
    struct cursor c;
    cursor_init(&c, &f->bytes, "", 0, f->bytes.length);
    torch_pickle_init(&q.pickle, &c);
    map_init(&q.keys);
    int status = read_head(&q);
    if (status == OK)
        status = pickle_read(&q.pickle.machine, &root);
    if (status == OK)
        status = pickle_read(&q.pickle.machine, &keys);
    if (status == OK)
        status = read_places(&q, &keys);
    if (status == OK)
        status = add_tensors(f, &root, &(struct locator){ locate_in_sequence, &q });
    mem_free(q.places);
    map_release(&q.keys);
    torch_pickle_release(&q.pickle);
    return status;
}

int torch_read(struct weights_file *f)
{
    unsigned char first = 0;
    struct archive a = { 0 };
    f->path = f->bytes.path;
    TRY(byte_file_read(&f->bytes, 0, &first, 1));
    if (first != 'P')
        return read_sequence(f);
    TRY(zip_open(&a.zip, &f->bytes));
    str_init(&a.name);
    int status = read_archive(f, &a);
    str_release(&a.name);
    zip_close(&a.zip);
    return status;
}
