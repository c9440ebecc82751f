#include "cli/generate_text.h"

#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "cli/cli.h"

/* ---- Prompts ---- */

int prompt_source_check(const struct prompt_source *s)
{
    int count = (s->text != NULL) + (s->file != NULL) + (s->ids != NULL);

    if (count == 1)
        return OK;
    return fail(ERR_USAGE, "generate: %s (expected one of --prompt, --prompt_file and --input_ids)",
                count == 0 ? "no prompt" : "more than one source of prompts");
}

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

/* False after the last. What ends a line is left out. */
static bool lines_next(struct lines *l, size_t *begin, size_t *end)
{
    const char *data = l->content.data, *stop;

    if (l->at >= l->content.length)
        return false;
    *begin = l->at;
    stop = memchr(data + l->at, '\n', l->content.length - l->at);
    *end = stop ? (size_t)(stop - data) : l->content.length;
    l->at = *end + 1;
    if (stop && *end > *begin && data[*end - 1] == '\r')
        (*end)--;
    return true;
}

struct loading {
    struct prompts *p;
    size_t capacity;
    struct encoder *encoder; /* NULL: lines are ids */
    struct lines lines;
};

static int add_ids(struct loading *l, size_t begin, size_t end, struct encoding *out)
{
    struct json_reader r;
    int status;

    json_reader_init(&r, l->lines.name, l->lines.content.data, end);
    if (begin > 0)
        r.p = r.begin + begin; /* from there, and places are told in the whole file */
    if (json_array_begin(&r)) {
        while (json_next_element(&r)) {
            out->ids = mem_grow(out->ids, out->count, &out->capacity, sizeof(out->ids[0]));
            out->ids[out->count++] = (int32_t)json_int(&r, 0, INT32_MAX);
        }
    }
    status = json_end(&r);
    json_reader_release(&r);
    return status;
}

static struct encoding *new_encoding(struct loading *l)
{
    struct prompts *p = l->p;

    p->encodings = mem_grow(p->encodings, p->count, &l->capacity, sizeof(p->encodings[0]));
    p->encodings[p->count] = (struct encoding){ 0 };
    return &p->encodings[p->count++];
}

static int load_lines(struct loading *l, const char *path)
{
    size_t begin, end;
    int status = lines_begin(&l->lines, path);

    while (status == OK && lines_next(&l->lines, &begin, &end)) {
        struct encoding *e = new_encoding(l);
        if (l->encoder)
            status = tokenizer_encode(l->encoder, l->lines.content.data + begin, end - begin, NULL, e);
        else
            status = add_ids(l, begin, end, e);
    }
    if (status == OK && l->p->count == 0)
        status = fail(ERR_DATA, "%s: no prompt in it (expected one a line)", l->lines.name);
    str_release(&l->lines.content);
    return status;
}

int prompts_load(struct prompts *p, const struct prompt_source *s, const struct tokenizer *tokenizer)
{
    struct loading l = { .p = p, .encoder = s->ids ? NULL : encoder_create(tokenizer) };
    int status;

    *p = (struct prompts){ 0 };
    if (s->text)
        status = tokenizer_encode(l.encoder, s->text, strlen(s->text), NULL, new_encoding(&l));
    else
        status = load_lines(&l, s->file ? s->file : s->ids);
    encoder_free(l.encoder);
    if (status != OK) {
        prompts_release(p);
        return status;
    }
    p->list = mem_alloc_array(p->count, sizeof(p->list[0]));
    for (size_t i = 0; i < p->count; i++)
        p->list[i] = (struct prompt){ p->encodings[i].ids, (int64_t)p->encodings[i].count };
    return OK;
}

void prompts_release(struct prompts *p)
{
    for (size_t i = 0; i < p->count; i++)
        encoding_release(&p->encodings[i]);
    mem_free(p->encodings);
    mem_free(p->list);
    *p = (struct prompts){ 0 };
}

/* ---- stdout ---- */

static void print(struct printer *p, struct str *text)
{
    if (p->status == OK && text->length > 0) {
        p->status = fd_write(STDOUT_FILENO, "standard output", text->data, text->length);
        p->midline = text->data[text->length - 1] != '\n';
    }
    str_release(text);
}

static void print_stream(struct printer *p, const int32_t *ids, int64_t count)
{
    struct str text;

    str_init(&text);
    for (int64_t i = 0; i < count && p->status == OK; i++)
        p->status = tok_stream_add(p->text, ids[i], &text);
    print(p, &text);
}

int printer_begin(struct printer *p)
{
    p->status = OK;
    p->done = mem_alloc_array(p->prompts->count, sizeof(p->done[0]));
    p->stream = p->stream && p->tokenizer;
    if (p->stream) {
        p->text = tok_stream_create(p->tokenizer, true);
        print_stream(p, p->prompts->list[0].ids, p->prompts->list[0].length);
    }
    return p->status;
}

void printer_token(struct printer *p, int32_t id)
{
    if (p->stream)
        print_stream(p, &id, 1);
}

static void append_ids(const struct generated *g, struct str *out)
{
    struct json_writer w;

    json_writer_init(&w, out, 0);
    json_write_array_begin(&w);
    for (int64_t i = 0; i < g->padded; i++)
        json_write_int(&w, g->ids[i]);
    json_write_array_end(&w);
}

static void print_whole(struct printer *p, const struct generated *g)
{
    struct str text;

    str_init(&text);
    if (p->tokenizer && p->status == OK)
        p->status = tokenizer_decode(p->tokenizer, g->ids, (size_t)g->length, true, &text);
    else
        append_ids(g, &text);
    str_append_char(&text, '\n');
    print(p, &text);
}

void printer_done(struct printer *p, size_t prompt, const struct generated *results)
{
    p->done[prompt] = results;
    for (; p->next < p->prompts->count && p->done[p->next]; p->next++)
        for (int64_t i = 0; !p->stream && i < p->returned; i++)
            print_whole(p, &p->done[p->next][i]);
}

int printer_end(struct printer *p)
{
    struct str rest;

    str_init(&rest);
    if (p->text && p->status == OK)
        p->status = tok_stream_finish(p->text, &rest);
    if (p->text && (rest.length > 0 || p->midline))
        str_append_char(&rest, '\n');
    print(p, &rest);
    tok_stream_free(p->text);
    mem_free(p->done);
    return p->status;
}

/* ---- --output ---- */

static int append_result(const struct generated *g, const struct tokenizer *tokenizer, struct str *out)
{
    struct json_writer w;
    struct str text;
    int status = OK;

    str_init(&text);
    if (tokenizer)
        status = tokenizer_decode(tokenizer, g->ids, (size_t)g->length, true, &text);
    json_writer_init(&w, out, 0);
    json_write_object_begin(&w);
    json_write_key(&w, "ids");
    json_write_array_begin(&w);
    for (int64_t i = 0; i < g->padded; i++)
        json_write_int(&w, g->ids[i]);
    json_write_array_end(&w);
    json_write_key(&w, "text");
    if (tokenizer)
        json_write_bytes(&w, text.data, text.length);
    else
        json_write_null(&w);
    json_write_object_end(&w);
    str_append_char(out, '\n');
    str_release(&text);
    return status;
}

int generated_write(const char *path, const struct generation_results *results,
                    const struct tokenizer *tokenizer)
{
    struct str out;
    int status = OK;

    str_init(&out);
    for (size_t i = 0; i < results->count && status == OK; i++)
        status = append_result(&results->items[i], tokenizer, &out);
    if (status == OK)
        status = write_text(path, &out);
    str_release(&out);
    return status;
}
