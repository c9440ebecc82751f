/* tokenizer.json: the model and the added tokens first, then the components that refer to them. */
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "tok/tokenizer.h"

enum { TOKEN_BYTES_MOST = 1024, PAD_MOST = 1 << 24 };

/* ---- added tokens ---- */

int added_token_read(const struct tree *t, const struct node *n, struct added_token *out)
{
    struct added_token a = { .id = -1, .normalized = true };
    const struct node *content;

    TRY(node_expect(t, n, JSON_OBJECT));
    TRY(node_require(t, n, "content", JSON_STRING, &content));
    if (content->length == 0)
        return node_fail(t, n, "empty content");
    if (content->length > TOKEN_BYTES_MOST)
        return node_fail(t, content, "%zu bytes (expected at most %d)", content->length, TOKEN_BYTES_MOST);
    a.content = (char *)content->text;
    a.length = content->length;
    TRY(node_bool(t, n, "special", &a.special));
    a.normalized = !a.special;
    TRY(node_bool(t, n, "normalized", &a.normalized));
    TRY(node_bool(t, n, "single_word", &a.single_word));
    TRY(node_bool(t, n, "lstrip", &a.lstrip));
    TRY(node_bool(t, n, "rstrip", &a.rstrip));
    *out = a;
    return OK;
}

void added_token_write(struct json_writer *w, const struct added_token *a)
{
    json_write_key(w, "content");
    json_write_bytes(w, a->content, a->length);
    json_write_key(w, "single_word");
    json_write_bool(w, a->single_word);
    json_write_key(w, "lstrip");
    json_write_bool(w, a->lstrip);
    json_write_key(w, "rstrip");
    json_write_bool(w, a->rstrip);
    json_write_key(w, "normalized");
    json_write_bool(w, a->normalized);
    json_write_key(w, "special");
    json_write_bool(w, a->special);
}

/* The id a token has in the vocabulary, or the next free one: any other would not be the one tokenizers
 * gives. */
static int check_added_id(const struct tokenizer *t, const struct tree *tree, const struct node *n,
                          const struct added_token *a)
{
    int32_t next = tokenizer_next_id(t), known = vocab_id(&t->vocab, a->content, a->length);
    const struct node *id = node_get(n, "id");

    if (added_find(&t->added, a->content, a->length))
        return node_fail(tree, n, "this token stands in the list twice");
    if (known >= 0 && known != a->id)
        return node_fail(tree, id, "id %d, but the vocabulary has %d for this token", a->id, known);
    if (known < 0 && a->id != next)
        return node_fail(tree, id,
                         "id %d of a token that is not in the vocabulary (expected %d, the next free one)",
                         a->id, next);
    return OK;
}

static int read_added(struct tokenizer *t, const struct tree *tree, const struct node *array)
{
    struct added_token a;
    int64_t id;

    TRY(node_expect(tree, array, JSON_ARRAY));
    for (const struct node *n = array->first; n; n = n->next) {
        const struct node *id_node;
        TRY(added_token_read(tree, n, &a));
        TRY(node_require(tree, n, "id", JSON_NUMBER, &id_node));
        TRY(node_to_int(tree, id_node, 0, INT32_MAX - 1, &id));
        a.id = (int32_t)id;
        TRY(check_added_id(t, tree, n, &a));
        added_put(&t->added, &a);
    }
    return OK;
}

/* ---- lengths ---- */

static int fail_choice(const struct tree *tree, const struct node *n, const char *expected)
{
    struct str s;

    str_init(&s);
    str_append_escaped(&s, n->text ? n->text : "an object", n->text ? n->length : 9, 40);
    node_fail(tree, n, "\"%s\" is not known (expected %s)", s.data, expected);
    str_release(&s);
    return ERR_DATA;
}

int tokenizer_read_side(const struct tree *tree, const struct node *n, const char *key, bool *left)
{
    const struct node *d = node_get(n, key);

    *left = node_is(d, "Left") || node_is(d, "left");
    if (d && !*left && !node_is(d, "Right") && !node_is(d, "right"))
        return fail_choice(tree, d, "Left or Right");
    return OK;
}

static int read_truncation(struct tokenizer *t, const struct tree *tree, const struct node *n)
{
    static const char *const known[] = { "direction", "max_length", "strategy", "stride", NULL };
    struct truncation r = { .active = true };
    const struct node *length, *strategy = node_get(n, "strategy");

    TRY(node_require(tree, n, "max_length", JSON_NUMBER, &length));
    TRY(node_to_int(tree, length, 0, INT32_MAX, &r.max_length));
    TRY(tokenizer_read_side(tree, n, "direction", &r.left));
    TRY(node_int(tree, n, "stride", 0, INT32_MAX, &r.stride));
    r.strategy = node_is(strategy, "OnlySecond")  ? TRUNCATE_SECOND
                 : node_is(strategy, "OnlyFirst") ? TRUNCATE_FIRST
                                                  : TRUNCATE_LONGEST;
    if (strategy && r.strategy == TRUNCATE_LONGEST && !node_is(strategy, "LongestFirst"))
        return fail_choice(tree, strategy, "LongestFirst, OnlyFirst or OnlySecond");
    node_warn_unknown(tree, n, known);
    t->truncation = r;
    return OK;
}

static int read_pad_length(const struct tree *tree, const struct node *strategy, struct padding *p)
{
    const struct node *fixed;

    if (!strategy || node_is(strategy, "BatchLongest"))
        return OK;
    if (strategy->type != JSON_OBJECT)
        return fail_choice(tree, strategy, "BatchLongest or {\"Fixed\": length}");
    TRY(node_require(tree, strategy, "Fixed", JSON_NUMBER, &fixed));
    return node_to_int(tree, fixed, 1, PAD_MOST, &p->fixed);
}

static int read_padding(struct tokenizer *t, const struct tree *tree, const struct node *n)
{
    static const char *const known[] = { "strategy", "direction",   "pad_to_multiple_of",
                                         "pad_id",   "pad_type_id", "pad_token",
                                         NULL };
    struct padding p = { .active = true };
    int64_t id = 0, type = 0;

    TRY(read_pad_length(tree, node_get(n, "strategy"), &p));
    TRY(tokenizer_read_side(tree, n, "direction", &p.left));
    TRY(node_int(tree, n, "pad_to_multiple_of", 0, PAD_MOST, &p.multiple));
    TRY(node_int(tree, n, "pad_id", 0, INT32_MAX, &id));
    TRY(node_int(tree, n, "pad_type_id", 0, INT32_MAX, &type));
    p.id = (int32_t)id;
    p.type = (int32_t)type;
    node_warn_unknown(tree, n, known);
    t->padding = p;
    return OK;
}

/* ---- sections ---- */

static struct component *section_component(struct tokenizer *t, enum section which, enum component_kind *kind)
{
    switch (which) {
    case SECTION_NORMALIZER: *kind = KIND_NORMALIZER; return &t->normalizer;
    case SECTION_PRE_TOKENIZER: *kind = KIND_PRE_TOKENIZER; return &t->pre_tokenizer;
    case SECTION_POST_PROCESSOR: *kind = KIND_POST_PROCESSOR; return &t->post_processor;
    case SECTION_DECODER: *kind = KIND_DECODER; return &t->decoder;
    default: return NULL;
    }
}

static char *node_text(const struct node *n)
{
    struct json_writer w;
    struct str s;

    str_init(&s);
    json_writer_init(&w, &s, -1);
    node_write(&w, n);
    return str_detach(&s);
}

int tokenizer_read_section(struct tokenizer *t, const struct tree *tree, enum section which,
                           const struct node *n)
{
    struct component_source source = { tree, t, NULL };
    enum component_kind kind = KIND_NORMALIZER;
    struct component *place = section_component(t, which, &kind), fresh = { 0 };

    TRY(node_expect(tree, n, JSON_OBJECT));
    if (which == SECTION_TRUNCATION)
        TRY(read_truncation(t, tree, n));
    else if (which == SECTION_PADDING)
        TRY(read_padding(t, tree, n));
    else
        TRY(component_parse(kind, &source, n, &fresh));
    if (place) {
        component_release(place);
        *place = fresh;
    }
    mem_free(t->sections[which]);
    t->sections[which] = node_text(n);
    return OK;
}

void tokenizer_clear_section(struct tokenizer *t, enum section which)
{
    enum component_kind kind;
    struct component *place = section_component(t, which, &kind);

    if (place)
        component_release(place);
    mem_free(t->sections[which]);
    t->sections[which] = NULL;
}

int tokenizer_set_section(struct tokenizer *t, enum section which, const char *json)
{
    struct tree tree;
    int status;

    TRY(tree_parse(&tree, section_keys[which], json, strlen(json)));
    status = tokenizer_read_section(t, &tree, which, tree.root);
    tree_release(&tree);
    return status;
}

/* ---- the whole ---- */

static int check_version(const struct tree *tree)
{
    const struct node *version = node_get(tree->root, "version");
    struct str s;

    if (!version || node_is(version, "1.0"))
        return OK;
    TRY(node_expect(tree, version, JSON_STRING));
    str_init(&s);
    str_append_escaped(&s, version->text, version->length, 40);
    node_fail(tree, version, "\"%s\" is not supported (supported: \"1.0\")", s.data);
    str_release(&s);
    return ERR_DATA;
}

static int read_all(struct tokenizer *t, const struct tree *tree)
{
    static const char *const known[] = {
        "version",       "truncation",     "padding", "added_tokens", "normalizer",
        "pre_tokenizer", "post_processor", "decoder", "model",        NULL
    };
    struct component_source source = { tree, t, &t->vocab };
    const struct node *model, *added = node_get(tree->root, "added_tokens");

    TRY(check_version(tree));
    TRY(node_require(tree, tree->root, "model", JSON_OBJECT, &model));
    TRY(component_parse(KIND_MODEL, &source, model, &t->model));
    if (added)
        TRY(read_added(t, tree, added));
    for (int i = 0; i < SECTION_COUNT; i++) {
        const struct node *n = node_get(tree->root, section_keys[i]);
        if (n)
            TRY(tokenizer_read_section(t, tree, (enum section)i, n));
    }
    node_warn_unknown(tree, tree->root, known);
    return tokenizer_index(t);
}

int tokenizer_parse(const char *name, const char *bytes, size_t length, struct tokenizer **out)
{
    struct tokenizer *t;
    struct tree tree;
    int status;

    TRY(tree_parse(&tree, name, bytes, length));
    t = tokenizer_create();
    status = read_all(t, &tree);
    tree_release(&tree);
    if (status == OK)
        *out = t;
    else
        tokenizer_free(t);
    return status;
}

int tokenizer_load_json(const char *path, struct tokenizer **out)
{
    struct file_map m;
    int status;

    TRY(file_map_open(&m, path));
    status = tokenizer_parse(path, m.data, m.length, out);
    file_map_close(&m);
    return status;
}
