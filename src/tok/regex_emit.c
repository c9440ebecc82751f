/* The tree of a pattern to instructions. */
#include <string.h>

#include "base/str.h"
#include "tok/regex_program.h"

enum { CODE_MOST = 1 << 16, VISITS_MOST = 1 << 20, BEHIND_MOST = 255 };

/* ---- what is known of a node ---- */

/* The first byte of a code point's UTF-8, also where it has none. */
static int first_byte(uint32_t code)
{
    if (code < 0x80)
        return (int)code;
    if (code < 0x800)
        return (int)(0xC0 | code >> 6);
    return (int)(code < 0x10000 ? 0xE0 | code >> 12 : 0xF0 | code >> 18);
}

static void first_of_class(const struct re_class *c, struct re_first *f)
{
    for (int i = 0; i < 128; i++)
        f->bytes[i] |= c->ascii[i];
    for (size_t i = 0; i < c->ranges.count; i++) {
        struct range r = c->ranges.items[i];
        bool broken = r.last >= CODE_BROKEN;
        if (r.last < 128)
            continue;
        for (int b = broken ? 0x80 : first_byte(r.first < 128 ? 128 : r.first);
             b <= (broken ? 0xFF : first_byte(r.last)); b++)
            f->bytes[b] = true;
    }
}

/* Adds the bytes a match of n can begin with; true: it may be empty. */
static bool first_of(const struct regex *re, const struct re_node *n, struct re_first *f)
{
    bool empty = false;

    switch (n->kind) {
    case RE_CHAR: f->bytes[first_byte(n->value)] = true; return false;
    case RE_CLASS: first_of_class(&re->classes[n->value], f); return false;
    case RE_CAT:
        for (const struct re_node *c = n->child; c; c = c->next)
            if (!first_of(re, c, f))
                return false;
        return true;
    case RE_ALT:
        for (const struct re_node *c = n->child; c; c = c->next)
            empty = first_of(re, c, f) || empty;
        return empty;
    case RE_REPEAT: return n->max == 0 || first_of(re, n->child, f) || n->min == 0;
    case RE_ATOMIC: return first_of(re, n->child, f);
    default: return true;
    }
}

static size_t times(size_t n, int count)
{
    return count < 0 || n > (size_t)BEHIND_MOST ? (n == 0 ? 0 : BEHIND_MOST + 1) : n * (size_t)count;
}

/* Code points a match of n can take; more than BEHIND_MOST: too many. */
static struct re_lengths lengths_of(const struct re_node *n)
{
    struct re_lengths sum = { 0, 0 }, one;

    switch (n->kind) {
    case RE_CHAR:
    case RE_CLASS: return (struct re_lengths){ 1, 1 };
    case RE_CAT:
        for (const struct re_node *c = n->child; c; c = c->next) {
            one = lengths_of(c);
            sum.min += one.min;
            sum.max += one.max;
        }
        break;
    case RE_ALT:
        sum.min = BEHIND_MOST + 1;
        for (const struct re_node *c = n->child; c; c = c->next) {
            one = lengths_of(c);
            sum.min = one.min < sum.min ? one.min : sum.min;
            sum.max = one.max > sum.max ? one.max : sum.max;
        }
        break;
    case RE_REPEAT:
        one = lengths_of(n->child);
        sum.min = times(one.min, n->min);
        sum.max = times(one.max, n->max);
        break;
    case RE_ATOMIC: return lengths_of(n->child);
    default: break;
    }
    if (sum.min > BEHIND_MOST)
        sum.min = BEHIND_MOST + 1;
    if (sum.max > BEHIND_MOST)
        sum.max = BEHIND_MOST + 1;
    return sum;
}

static bool may_be_empty(const struct regex *re, const struct re_node *n)
{
    struct re_first f = { 0 };

    return first_of(re, n, &f);
}

/* ---- emitting ---- */

struct emitter {
    struct regex *re;
    struct regex_error *error;
    int visits; /* repetitions of nothing take time, but no instructions */
};

static bool emit_node(struct emitter *e, const struct re_node *n);

/* Adds an instruction and says where; the program's size is checked by its callers. */
static uint32_t add(struct emitter *e, enum re_op op, uint32_t x)
{
    struct regex *re = e->re;

    re->code = mem_grow(re->code, re->code_count, &re->code_capacity, sizeof(*re->code));
    re->code[re->code_count] = (struct re_instruction){ .op = (uint8_t)op, .x = x };
    if (op == OP_SPLIT || op == OP_STAR || op == OP_LOOK || op == OP_ATOMIC)
        re->code[re->code_count].memo = re->memo_count++;
    return (uint32_t)re->code_count++;
}

static uint32_t here(const struct emitter *e)
{
    return (uint32_t)e->re->code_count;
}

static bool fail_emit(struct emitter *e, const char *what)
{
    if (!e->error->what)
        e->error->what = what;
    return false;
}

static void emit_char(struct emitter *e, uint32_t code)
{
    char form[4] = { 0 };
    int n = utf8_encode(code, form);
    uint32_t at = add(e, OP_CHAR, 0);

    memcpy(&e->re->code[at].x, form, 4);
    e->re->code[at].flag = (uint8_t)n;
}

/* Bytes that `n` and nothing after it begins with; 0: any. */
static uint32_t add_first(struct emitter *e, const struct re_node *n)
{
    struct regex *re = e->re;
    struct re_first f = { 0 };

    if (first_of(re, n, &f))
        return 0;
    re->firsts = mem_grow(re->firsts, re->first_count, &re->first_capacity, sizeof(*re->firsts));
    re->firsts[re->first_count++] = f;
    return (uint32_t)re->first_count;
}

static bool emit_alternatives(struct emitter *e, const struct re_node *n)
{
    uint32_t last_jump = 0; /* jumps to the end, linked through x */

    for (const struct re_node *c = n->child; c; c = c->next) {
        uint32_t split = 0, jump;
        if (c->next) {
            split = add(e, OP_SPLIT, 0);
            e->re->code[split].y = add_first(e, c);
        }
        if (!emit_node(e, c))
            return false;
        if (!c->next)
            break;
        jump = add(e, OP_JUMP, last_jump);
        last_jump = jump + 1;
        e->re->code[split].x = here(e);
    }
    while (last_jump > 0) {
        uint32_t next = e->re->code[last_jump - 1].x;
        e->re->code[last_jump - 1].x = here(e);
        last_jump = next;
    }
    return true;
}

/* A class as often as can be. */
static bool emit_class_star(struct emitter *e, const struct re_node *body, int mode)
{
    uint32_t place = body->value, at;

    if (body->kind == RE_CHAR) {
        struct ranges one = { 0 };
        ranges_add(&one, body->value, body->value);
        place = regex_add_class(e->re, &one);
        ranges_release(&one);
    }
    at = add(e, OP_STAR, place);
    e->re->code[at].flag = (uint8_t)mode;
    return true;
}

static bool emit_star(struct emitter *e, const struct re_node *body, int mode)
{
    bool empty = may_be_empty(e->re, body), lazy = mode == RE_LAZY;
    uint32_t split, check = 0, begin = 0;

    while ((body->kind == RE_CAT || body->kind == RE_ALT) && body->child && !body->child->next)
        body = body->child;
    if (!lazy && (body->kind == RE_CLASS || body->kind == RE_CHAR))
        return emit_class_star(e, body, mode);
    split = add(e, OP_SPLIT, 0);
    e->re->code[split].flag = lazy;
    if (!lazy)
        e->re->code[split].y = add_first(e, body);
    if (empty)
        begin = add(e, OP_LOOP_BEGIN, e->re->register_count);
    if (!emit_node(e, body))
        return false;
    if (empty) {
        check = add(e, OP_LOOP_CHECK, e->re->code[begin].x);
        e->re->register_count++;
    }
    add(e, OP_JUMP, split);
    e->re->code[split].x = here(e);
    if (empty)
        e->re->code[check].y = here(e);
    return true;
}

/* At most `count` more, each inside the one before. */
static bool emit_optional(struct emitter *e, const struct re_node *body, int count, int mode)
{
    uint32_t last_split = 0;

    for (int i = 0; i < count; i++) {
        uint32_t split = add(e, OP_SPLIT, last_split);
        e->re->code[split].flag = mode == RE_LAZY;
        if (mode != RE_LAZY)
            e->re->code[split].y = add_first(e, body);
        last_split = split + 1;
        if (!emit_node(e, body))
            return false;
    }
    while (last_split > 0) {
        uint32_t next = e->re->code[last_split - 1].x;
        e->re->code[last_split - 1].x = here(e);
        last_split = next;
    }
    return true;
}

static bool emit_plain_repeat(struct emitter *e, const struct re_node *n, int mode)
{
    for (int i = 0; i < n->min; i++)
        if (!emit_node(e, n->child))
            return false;
    if (n->max == RE_UNBOUNDED)
        return emit_star(e, n->child, mode);
    return emit_optional(e, n->child, n->max - n->min, mode);
}

static bool emit_repeat(struct emitter *e, const struct re_node *n)
{
    uint32_t at;

    if (n->mode != RE_POSSESSIVE || (n->max == RE_UNBOUNDED && n->child->kind == RE_CLASS))
        return emit_plain_repeat(e, n, n->mode);
    at = add(e, OP_ATOMIC, 0);
    if (!emit_plain_repeat(e, n, RE_GREEDY))
        return false;
    add(e, OP_DONE, 0);
    e->re->code[at].x = here(e);
    return true;
}

static bool emit_inside(struct emitter *e, const struct re_node *n)
{
    struct regex *re = e->re;
    struct re_lengths lengths = lengths_of(n->child);
    uint32_t at = add(e, n->kind == RE_LOOK ? OP_LOOK : OP_ATOMIC, 0);

    if (n->kind == RE_LOOK) {
        re->code[at].flag = (uint8_t)(n->behind | n->negative << 1);
        if (n->behind && lengths.max > BEHIND_MOST)
            return fail_emit(e, "what a look behind matches has no bound");
        re->lengths = mem_grow(re->lengths, re->length_count, &re->length_capacity, sizeof(*re->lengths));
        re->lengths[re->length_count] = lengths;
        re->code[at].y = (uint32_t)re->length_count++;
    }
    if (!emit_node(e, n->child))
        return false;
    add(e, OP_DONE, 0);
    re->code[at].x = here(e);
    return true;
}

static bool emit_node(struct emitter *e, const struct re_node *n)
{
    uint32_t at;

    if (e->re->code_count > CODE_MOST || ++e->visits > VISITS_MOST)
        return fail_emit(e, "the pattern is too large");
    switch (n->kind) {
    case RE_CHAR: emit_char(e, n->value); return true;
    case RE_CLASS: add(e, OP_CLASS, n->value); return true;
    case RE_CAT:
        for (const struct re_node *c = n->child; c; c = c->next)
            if (!emit_node(e, c))
                return false;
        return true;
    case RE_ALT: return emit_alternatives(e, n);
    case RE_REPEAT: return emit_repeat(e, n);
    case RE_LOOK:
    case RE_ATOMIC: return emit_inside(e, n);
    case RE_ASSERT:
        at = add(e, OP_ASSERT, 0);
        e->re->code[at].flag = (uint8_t)n->value;
        return true;
    default: return true;
    }
}

bool regex_emit(struct regex *re, const struct re_node *root, struct regex_error *error)
{
    struct emitter e = { re, error, 0 };

    re->may_be_empty = first_of(re, root, &re->first);
    if (!emit_node(&e, root))
        return false;
    add(&e, OP_DONE, 0);
    return true;
}
