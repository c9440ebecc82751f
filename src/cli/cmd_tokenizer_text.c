/* plait tokenizer encode, plait tokenizer decode -- lines of JSON strings, or of pairs of them, to lines of
 * JSON arrays of ids, and back. */
#include <inttypes.h>
#include <string.h>

#include "api/encode.h"
#include "base/err.h"
#include "base/file.h"
#include "cli/cli.h"
#include "tok/tok.h"

struct values {
    const char *tokenizer, *input, *text, *pair, *output, *cache_dir, *revision;
    bool special; /* decode: skipped */
    struct encode_values encode;
};

#define INPUT_ROWS(what)                                                                 \
    { "tokenizer_name",                                                                  \
      OPTION_STRING,                                                                     \
      offsetof(struct values, tokenizer),                                                \
      NULL,                                                                              \
      "tokenizer.json, its directory, or a model's name in the hub's cache",             \
      .aliases = (const char *const[]){ "model_name_or_path", NULL } },                  \
        { "input", OPTION_STRING, offsetof(struct values, input), NULL, what ", or -" }, \
        { "output", OPTION_STRING, offsetof(struct values, output), "-",                 \
          "file that the results go to, a line each" },                                  \
        { "cache_dir", OPTION_STRING, offsetof(struct values, cache_dir), NULL,          \
          "cache of the Hugging Face hub that names are looked up in first" },           \
    {                                                                                    \
        "model_revision", OPTION_STRING, offsetof(struct values, revision), NULL,        \
            "branch, tag or hash within the cache", .aliases = (const char *const[])     \
        {                                                                                \
            "revision", NULL                                                             \
        }                                                                                \
    }

static const struct option encode_options[] = {
    INPUT_ROWS("file with a JSON string a line, or an array of two that belong together"),
    { "text", OPTION_STRING, offsetof(struct values, text), NULL, "one text, instead of --input" },
    { "text_pair", OPTION_STRING, offsetof(struct values, pair), NULL,
      "a second text, that belongs to --text" },
    { 0 },
};

static const struct option decode_options[] = {
    INPUT_ROWS("file with a JSON array of ids a line"),
    { "skip_special_tokens", OPTION_BOOL, offsetof(struct values, special), "true",
      "leave special tokens out" },
    { 0 },
};

static const struct option_part command_encode_parts[] = {
    { "Texts", encode_options, 0 },
    { .parts = encode_parts, .offset = offsetof(struct values, encode) },
    { "", no_compute_options, 0 },
    { 0 },
};
static const struct option_part decode_parts[] = { { "Decoding", decode_options, 0 },
                                                   { "", no_compute_options, 0 },
                                                   { 0 } };

/* ---- lines ---- */

struct lines {
    const char *name;
    struct str content;
    size_t at; /* of the next line */
};

static int lines_begin(struct lines *l, const char *path)
{
    *l = (struct lines){ .name = strcmp(path, "-") == 0 ? "standard input" : path };
    str_init(&l->content);
    return file_read(path, 0, &l->content);
}

/* A reader of the next line whose messages name its place in the whole file; false after the last. */
static bool lines_next(struct lines *l, struct json_reader *r)
{
    const char *begin = l->content.data + l->at, *end = l->content.data + l->content.length;
    const char *stop = begin < end ? memchr(begin, '\n', (size_t)(end - begin)) : NULL;

    if (begin >= end)
        return false;
    if (!stop)
        stop = end;
    json_reader_init(r, l->name, l->content.data, (size_t)(stop - l->content.data));
    if (l->at > 0)
        r->p = begin;
    l->at = (size_t)(stop - l->content.data) + 1;
    return true;
}

/* ---- encode ---- */

struct texts {
    struct arena memory;
    struct tok_input *list;
    size_t count, capacity;
};

static struct tok_input *add_input(struct texts *t)
{
    t->list = mem_grow(t->list, t->count, &t->capacity, sizeof(t->list[0]));
    t->list[t->count] = (struct tok_input){ 0 };
    return &t->list[t->count++];
}

static struct tok_text keep(struct texts *t, const char *bytes, size_t length)
{
    return (struct tok_text){ arena_strndup(&t->memory, bytes, length), length };
}

/* A string, or an array of two. */
static void read_input(struct texts *t, struct json_reader *r)
{
    struct tok_input *in = add_input(t);
    struct json_string s;
    int count = 0;

    if (json_peek(r) != JSON_ARRAY) {
        if (json_string(r, &s))
            in->text = keep(t, s.data, s.length);
        return;
    }
    if (!json_array_begin(r))
        return;
    for (; json_next_element(r); count++) {
        if (count == 2)
            json_fail(r, "more than two texts");
        else if (json_string(r, &s))
            *(count ? &in->pair : &in->text) = keep(t, s.data, s.length);
    }
    if (count < 2)
        json_fail(r, "an array of less than two texts");
}

static int read_texts(const struct values *v, struct texts *t)
{
    struct lines l;
    struct json_reader r;
    int status;

    if (v->text) {
        *add_input(t) =
            (struct tok_input){ { v->text, strlen(v->text) }, { v->pair, v->pair ? strlen(v->pair) : 0 } };
        return OK;
    }
    status = lines_begin(&l, v->input);
    while (status == OK && lines_next(&l, &r)) {
        read_input(t, &r);
        status = json_end(&r);
        json_reader_release(&r);
    }
    str_release(&l.content);
    return status;
}

static void write_array(struct json_writer *w, const int32_t *values, size_t count)
{
    json_write_array_begin(w);
    for (size_t i = 0; i < count; i++)
        json_write_int(w, values[i]);
    json_write_array_end(w);
}

static void write_encoding(const struct encoding *e, struct str *out)
{
    struct json_writer w;

    json_writer_init(&w, out, -1);
    if (e->types) {
        json_write_object_begin(&w);
        json_write_key(&w, "input_ids");
        write_array(&w, e->ids, e->count);
        json_write_key(&w, "token_type_ids");
        write_array(&w, e->types, e->count);
        json_write_object_end(&w);
    } else {
        write_array(&w, e->ids, e->count);
    }
    str_append_char(out, '\n');
}

static int encode_and_write(const struct values *v, const struct tokenizer *t, const struct texts *texts)
{
    struct encode_result result = { .list = mem_alloc_array(texts->count + 1, sizeof(result.list[0])) };
    int status = encode_texts(&v->encode, t, texts->list, texts->count, &result);
    struct str out;

    str_init(&out);
    for (size_t i = 0; i < texts->count; i++) {
        if (status == OK)
            write_encoding(&result.list[i], &out);
        encoding_release(&result.list[i]);
    }
    if (status == OK)
        status = write_text(v->output, &out);
    str_release(&out);
    mem_free(result.list);
    return status;
}

static int run_encode(void *values, struct options *o)
{
    const struct values *v = values;
    struct texts texts = { 0 };
    struct tokenizer *t = NULL;
    int status;

    (void)o;
    TRY(require_text("tokenizer_name", v->tokenizer));
    if (!v->input == !v->text)
        return fail(ERR_USAGE, "tokenizer encode: %s (expected either --input or --text)",
                    v->input ? "two inputs" : "no input");
    if (v->pair && !v->text)
        return fail(ERR_USAGE, "tokenizer encode: --text_pair needs --text (pairs of --input are arrays)");
    TRY(find_tokenizer(v->tokenizer, v->cache_dir, v->revision, &t));
    arena_init(&texts.memory);
    status = read_texts(v, &texts);
    if (status == OK)
        status = encode_and_write(v, t, &texts);
    mem_free(texts.list);
    arena_release(&texts.memory);
    tokenizer_free(t);
    return status;
}

/* ---- decode ---- */

static int read_ids(struct json_reader *r, struct encoding *ids)
{
    ids->count = 0;
    if (json_array_begin(r)) {
        while (json_next_element(r)) {
            ids->ids = mem_grow(ids->ids, ids->count, &ids->capacity, sizeof(ids->ids[0]));
            ids->ids[ids->count++] = (int32_t)json_int(r, 0, INT32_MAX);
        }
    }
    return json_end(r);
}

static int decode_line(const struct values *v, const struct tokenizer *t, const struct encoding *ids,
                       struct str *out)
{
    struct json_writer w;
    struct str text;
    int status;

    str_init(&text);
    status = tokenizer_decode(t, ids->ids, ids->count, v->special, &text);
    json_writer_init(&w, out, -1);
    json_write_bytes(&w, text.data, text.length);
    str_append_char(out, '\n');
    str_release(&text);
    return status;
}

static int run_decode(void *values, struct options *o)
{
    const struct values *v = values;
    struct encoding ids = { 0 };
    struct tokenizer *t = NULL;
    struct json_reader r;
    struct lines l;
    struct str out;
    int status;

    (void)o;
    TRY(require_text("tokenizer_name", v->tokenizer));
    TRY(require_text("input", v->input));
    TRY(find_tokenizer(v->tokenizer, v->cache_dir, v->revision, &t));
    str_init(&out);
    status = lines_begin(&l, v->input);
    while (status == OK && lines_next(&l, &r)) {
        status = read_ids(&r, &ids);
        json_reader_release(&r);
        if (status == OK)
            status = decode_line(v, t, &ids, &out);
    }
    if (status == OK)
        status = write_text(v->output, &out);
    str_release(&l.content);
    str_release(&out);
    encoding_release(&ids);
    tokenizer_free(t);
    return status;
}

const struct command command_tokenizer_encode = {
    .name = "tokenizer encode",
    .summary = "text to token ids: lines of JSON strings, or pairs of them, to lines of JSON arrays",
    .example = "plait tokenizer encode --tokenizer_name my-gpt2 --text \"Hello world\"",
    .parts = command_encode_parts,
    .bytes = sizeof(struct values),
    .run = run_encode,
};

const struct command command_tokenizer_decode = {
    .name = "tokenizer decode",
    .summary = "token ids to text: lines of JSON arrays to lines of JSON strings",
    .example = "echo \"[1, 2, 3]\" | plait tokenizer decode --tokenizer_name my-gpt2 --input -",
    .parts = decode_parts,
    .bytes = sizeof(struct values),
    .run = run_decode,
};
