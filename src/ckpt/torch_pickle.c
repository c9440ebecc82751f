#include "ckpt/torch_pickle.h"

#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "ckpt/safetensors.h"

enum tag { TYPE, STORAGE, TENSOR, MAKE_DICT, MAKE_SIZE, MAKE_TENSOR, MAKE_TYPED_TENSOR, MAKE_PARAMETER };

/* All names that mean something. */
static const struct global {
    const char *module, *name;
    enum tag tag;
    const char *element; /* of a TYPE; NULL: bytes */
} globals[] = {
    { "collections", "OrderedDict", MAKE_DICT, NULL },
    { "torch", "Size", MAKE_SIZE, NULL },
    { "torch._utils", "_rebuild_tensor", MAKE_TENSOR, NULL },
    { "torch._utils", "_rebuild_tensor_v2", MAKE_TENSOR, NULL },
    { "torch._utils", "_rebuild_tensor_v3", MAKE_TYPED_TENSOR, NULL },
    { "torch._utils", "_rebuild_parameter", MAKE_PARAMETER, NULL },
    { "torch._utils", "_rebuild_parameter_with_state", MAKE_PARAMETER, NULL },
    { "torch", "FloatStorage", TYPE, "F32" },
    { "torch", "HalfStorage", TYPE, "F16" },
    { "torch", "BFloat16Storage", TYPE, "BF16" },
    { "torch", "DoubleStorage", TYPE, "F64" },
    { "torch", "LongStorage", TYPE, "I64" },
    { "torch", "IntStorage", TYPE, "I32" },
    { "torch", "ShortStorage", TYPE, "I16" },
    { "torch", "CharStorage", TYPE, "I8" },
    { "torch", "ByteStorage", TYPE, "U8" },
    { "torch", "BoolStorage", TYPE, "BOOL" },
    { "torch", "ComplexFloatStorage", TYPE, "C64" },
    { "torch", "UntypedStorage", TYPE, NULL },
    { "torch.storage", "UntypedStorage", TYPE, NULL },
    { "torch.storage", "_UntypedStorage", TYPE, NULL },
    { "torch.storage", "TypedStorage", TYPE, NULL },
    { "torch.storage", "_TypedStorage", TYPE, NULL },
    { "torch", "float32", TYPE, "F32" },
    { "torch", "float16", TYPE, "F16" },
    { "torch", "bfloat16", TYPE, "BF16" },
    { "torch", "float64", TYPE, "F64" },
    { "torch", "int64", TYPE, "I64" },
    { "torch", "int32", TYPE, "I32" },
    { "torch", "int16", TYPE, "I16" },
    { "torch", "int8", TYPE, "I8" },
    { "torch", "uint8", TYPE, "U8" },
    { "torch", "uint16", TYPE, "U16" },
    { "torch", "uint32", TYPE, "U32" },
    { "torch", "uint64", TYPE, "U64" },
    { "torch", "bool", TYPE, "BOOL" },
    { "torch", "complex64", TYPE, "C64" },
    { "torch", "float8_e4m3fn", TYPE, "F8_E4M3" },
    { "torch", "float8_e5m2", TYPE, "F8_E5M2" },
    { "torch", "float8_e4m3fnuz", TYPE, "F8_E4M3FNUZ" },
    { "torch", "float8_e5m2fnuz", TYPE, "F8_E5M2FNUZ" },
    { "torch", "float8_e8m0fnu", TYPE, "F8_E8M0" },
};

static int find(struct pickle *p, const char *module, const char *name, struct pickle_value *result)
{
    for (size_t i = 0; i < sizeof(globals) / sizeof(globals[0]); i++) {
        const struct global *g = &globals[i];
        if (strcmp(g->module, module) == 0 && strcmp(g->name, name) == 0) {
            *result = (struct pickle_value){ .kind = PICKLE_OBJECT, .tag = g->tag, .object = g };
            return OK;
        }
    }
    struct str shown;
    str_init(&shown);
    str_append_escaped(&shown, module, strlen(module), 100);
    str_append(&shown, ".");
    str_append_escaped(&shown, name, strlen(name), 100);
    pickle_fail(p, "global \"%s\" is refused (expected tensors, storages and OrderedDict only)", shown.data);
    error_hint("a pickle can run any code when Python loads it; nothing of it has been run here");
    str_release(&shown);
    return ERR_DATA;
}

static bool is_object(const struct pickle_value *v, enum tag tag)
{
    return v->kind == PICKLE_OBJECT && v->tag == (int)tag;
}

static const struct element *type_element(const struct pickle_value *v)
{
    const struct global *g = v->object;
    return g->element != NULL ? element_named(g->element) : NULL;
}

/* ---- storages ---- */

static struct torch_pickle *owner(struct pickle *p)
{
    return p->context;
}

const struct torch_storage *torch_storage_find(const struct torch_pickle *p, const char *key)
{
    int64_t at;
    return map_get(&p->keys, key, strlen(key), &at) ? p->storages[at] : NULL;
}

static int check_id(struct pickle *p, const struct pickle_value *id)
{
    const struct pickle_value *v = id->kind == PICKLE_TUPLE ? id->items->list : NULL;
    size_t count = v != NULL ? id->items->count : 0;
    if (count < 5 || v[0].kind != PICKLE_TEXT || strcmp(v[0].text->bytes, "storage") != 0 ||
        !is_object(&v[1], TYPE) || v[2].kind != PICKLE_TEXT || v[4].kind != PICKLE_INT || v[4].integer < 0)
        return pickle_fail(p, "a persistent id is no storage");
    if (count > 5 && v[5].kind != PICKLE_NONE)
        return pickle_fail(p, "a storage within a storage, as torch before 0.4 wrote it, is not read");
    return OK;
}

/* ("storage", type, key, device, number of elements), before 1.6 with a view at the end. */
static int persist(struct pickle *p, const struct pickle_value *id, struct pickle_value *result)
{
    struct torch_pickle *t = owner(p);
    struct torch_storage *s;
    struct str key;
    TRY(check_id(p, id));
    const struct pickle_value *v = id->items->list;
    s = arena_alloc(&p->memory, sizeof(*s));
    str_init(&key);
    str_append_escaped(&key, v[2].text->bytes, v[2].text->length, 200);
    s->key = arena_strndup(&p->memory, key.data, key.length);
    str_release(&key);
    s->element = type_element(&v[1]);
    s->count = v[4].integer;
    if (map_add(&t->keys, s->key, strlen(s->key), (int64_t)t->count)) {
        t->storages = mem_grow(t->storages, t->count, &t->capacity, sizeof(*t->storages));
        t->storages[t->count++] = s;
    }
    *result = (struct pickle_value){ .kind = PICKLE_OBJECT, .tag = STORAGE, .object = s };
    return OK;
}

/* ---- tensors ---- */

/* torch.Size is a tuple, and some writers use a list. */
static int read_sizes(struct pickle *p, const struct pickle_value *v, size_t ndim, const int64_t **out)
{
    int64_t *sizes = arena_alloc(&p->memory, ndim * sizeof(*sizes));
    if (v->items->count != ndim)
        return pickle_fail(p, "a tensor of %zu sizes has %zu strides", ndim, v->items->count);
    for (size_t i = 0; i < ndim; i++) {
        const struct pickle_value *size = &v->items->list[i];
        if (size->kind != PICKLE_INT || size->integer < 0)
            return pickle_fail(p, "a size or stride of a tensor is no integer of 0 or more");
        sizes[i] = size->integer;
    }
    *out = sizes;
    return OK;
}

/* How far into the storage the tensor reaches: behind its last element; 0 when it has none. */
static int measure(struct pickle *p, struct torch_tensor *t)
{
    int64_t end = t->offset, step;
    bool fits = true;
    for (int d = 0; d < t->ndim; d++) {
        if (t->shape[d] == 0)
            return OK;
        fits = fits && checked_mul(t->shape[d] - 1, t->stride[d], &step) && checked_add(end, step, &end);
    }
    fits = fits && checked_add(end, 1, &end);
    int64_t count = t->storage->count;
    if (t->storage->element == NULL)
        count /= t->element->bits / 8;
    if (!fits || end > count)
        return pickle_fail(p, "a tensor reaches beyond its storage \"%s\" of %" PRId64 " elements",
                           t->storage->key, count);
    t->extent = end;
    return OK;
}

/* (storage, offset, size, stride, requires_grad, hooks); v3 has the type behind them. */
static int make_tensor(struct pickle *p, const struct pickle_items *args, bool typed,
                       struct pickle_value *result)
{
    const struct pickle_value *v = args->list;
    struct torch_tensor *t;
    if (args->count < (typed ? 7u : 4u) || !is_object(&v[0], STORAGE) || v[1].kind != PICKLE_INT ||
        v[1].integer < 0 || (v[2].kind != PICKLE_TUPLE && v[2].kind != PICKLE_LIST) ||
        (v[3].kind != PICKLE_TUPLE && v[3].kind != PICKLE_LIST) || (typed && !is_object(&v[6], TYPE)))
        return pickle_fail(p, "a tensor is not made of storage, offset, size and stride");
    if (v[2].items->count > SAFETENSORS_MAX_DIMS)
        return pickle_fail(p, "a tensor of %zu dimensions, at most %d", v[2].items->count,
                           SAFETENSORS_MAX_DIMS);
    t = arena_alloc(&p->memory, sizeof(*t));
    t->storage = v[0].object;
    t->element = typed ? type_element(&v[6]) : t->storage->element;
    if (t->element == NULL)
        return pickle_fail(p, "storage \"%s\" holds bytes, and the tensor has no type", t->storage->key);
    t->offset = v[1].integer;
    t->ndim = (int)v[2].items->count;
    TRY(read_sizes(p, &v[2], (size_t)t->ndim, &t->shape));
    TRY(read_sizes(p, &v[3], (size_t)t->ndim, &t->stride));
    TRY(measure(p, t));
    *result = (struct pickle_value){ .kind = PICKLE_OBJECT, .tag = TENSOR, .object = t };
    return OK;
}

const struct torch_tensor *torch_tensor_of(const struct pickle_value *v)
{
    return is_object(v, TENSOR) ? v->object : NULL;
}

/* ---- calls ---- */

/* Without arguments, or, from Python 2, with a list of lists of key and value. */
static int make_dict(struct pickle *p, const struct pickle_items *args, struct pickle_value *result)
{
    const struct pickle_value *pairs = args->count > 0 ? &args->list[0] : NULL;
    TRY(pickle_make(p, PICKLE_DICT, result));
    if (pairs == NULL)
        return OK;
    if (pairs->kind != PICKLE_LIST || args->count > 1)
        return pickle_fail(p, "an OrderedDict is not made of a list");
    for (size_t i = 0; i < pairs->items->count; i++) {
        const struct pickle_value *pair = &pairs->items->list[i];
        if ((pair->kind != PICKLE_LIST && pair->kind != PICKLE_TUPLE) || pair->items->count != 2)
            return pickle_fail(p, "an item of an OrderedDict is no pair");
        TRY(pickle_add(p, result->items, &pair->items->list[0]));
        TRY(pickle_add(p, result->items, &pair->items->list[1]));
    }
    return OK;
}

static int call(struct pickle *p, const struct pickle_value *function, const struct pickle_items *args,
                struct pickle_value *result)
{
    switch ((enum tag)function->tag) {
    case MAKE_DICT: return make_dict(p, args, result);
    case MAKE_TENSOR: return make_tensor(p, args, false, result);
    case MAKE_TYPED_TENSOR: return make_tensor(p, args, true, result);
    case MAKE_PARAMETER:
        if (args->count < 1 || !is_object(&args->list[0], TENSOR))
            return pickle_fail(p, "a parameter is not made of a tensor");
        *result = args->list[0];
        return OK;
    case MAKE_SIZE:
        if (args->count != 1 || (args->list[0].kind != PICKLE_TUPLE && args->list[0].kind != PICKLE_LIST))
            return pickle_fail(p, "a torch.Size is not made of a tuple");
        *result = args->list[0];
        return OK;
    case TYPE:
    case STORAGE:
    case TENSOR: break;
    }
    return pickle_fail(p, "a value is called that is no function");
}

void torch_pickle_init(struct torch_pickle *p, struct cursor *c)
{
    *p = (struct torch_pickle){ 0 };
    pickle_init(&p->machine, c);
    p->machine.context = p;
    p->machine.find = find;
    p->machine.call = call;
    p->machine.persist = persist;
    map_init(&p->keys);
}

void torch_pickle_release(struct torch_pickle *p)
{
    pickle_release(&p->machine);
    map_release(&p->keys);
    mem_free(p->storages);
}
