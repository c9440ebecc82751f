#include "tok/model.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

enum { SHOWN = 40 };

int model_fail_token(const struct tree *t, const struct node *n, const char *what, const char *token,
                     size_t length)
{
    struct str s;

    str_init(&s);
    str_append_escaped(&s, token, length, SHOWN);
    node_fail(t, n, "%s \"%s\" is not in the vocabulary", what, s.data);
    str_release(&s);
    return ERR_DATA;
}

int model_read_unk(const struct component_source *s, const struct node *model, const char *def, char **token,
                   int32_t *id)
{
    const struct node *n = node_get(model, "unk_token");
    const char *text = def;
    size_t length = def ? strlen(def) : 0;

    *token = NULL;
    *id = -1;
    if (n) {
        TRY(node_expect(s->tree, n, JSON_STRING));
        text = n->text;
        length = n->length;
    }
    if (!text)
        return OK;
    *id = vocab_id(s->vocab, text, length);
    if (*id < 0)
        return model_fail_token(s->tree, n ? n : model, "the token", text, length);
    *token = mem_strndup(text, length);
    return OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int model_check_byte_name(const struct tree *t, const struct node *n, const char *token, size_t length)
{
    if (length < 4 || length > 8 || memcmp(token, "<0x", 3) != 0 || token[length - 1] != '>')
        return OK;
    if (length != 6 || hex_digit(token[3]) < 0 || hex_digit(token[4]) < 0)
        return node_fail(t, n, "a token of byte_fallback (expected two digits 0-9, A-F)");
    return OK;
}

int model_read_bytes(const struct component_source *s, const struct node *n, int32_t ids[256])
{
    char name[8];

    for (int i = 0; i < 256; i++) {
        snprintf(name, sizeof(name), "<0x%02X>", (unsigned)i);
        ids[i] = vocab_id(s->vocab, name, 6);
        if (ids[i] < 0)
            return node_fail(s->tree, n,
                             "\"%s\" is missing (expected all 256 byte tokens, as byte_fallback is true)",
                             name);
    }
    return OK;
}

void model_write_text(struct json_writer *w, const char *key, const char *text)
{
    json_write_key(w, key);
    if (text)
        json_write_string(w, text);
    else
        json_write_null(w);
}

void model_write_flag(struct json_writer *w, const char *key, bool value)
{
    json_write_key(w, key);
    json_write_bool(w, value);
}

size_t model_char_length(const char *p, const char *end)
{
    uint32_t code;
    int n = utf8_decode(p, end, &code);

    return n > 0 ? (size_t)n : 1;
}
