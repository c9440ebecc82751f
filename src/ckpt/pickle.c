#include "ckpt/pickle.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/err.h"

enum { MAX_VALUES = 1 << 20, MAX_LINE = 256 };

const char *pickle_kind_name(enum pickle_kind kind)
{
    static const char *const names[] = { "nothing", "a mark",  "None",     "a bool",  "an int",
                                         "an int",  "a float", "a string", "a tuple", "a list",
                                         "a set",   "a dict",  "an object" };
    return names[kind];
}

int pickle_fail(const struct pickle *p, const char *format, ...)
{
    struct str what;
    va_list args;
    str_init(&what);
    va_start(args, format);
    str_append_vf(&what, format, args);
    va_end(args);
    int status = cursor_fail(p->cursor, p->place, "%s", what.data);
    str_release(&what);
    return status;
}

/* ---- values ---- */

static int count_value(struct pickle *p)
{
    if (p->value_count++ < MAX_VALUES)
        return OK;
    return pickle_fail(p, "more than %d values", MAX_VALUES);
}

int pickle_make(struct pickle *p, enum pickle_kind kind, struct pickle_value *v)
{
    struct pickle_items *items;
    TRY(count_value(p));
    items = arena_alloc(&p->memory, sizeof(*items));
    items->next = p->items;
    p->items = items;
    *v = (struct pickle_value){ .kind = kind, .items = items };
    return OK;
}

int pickle_add(struct pickle *p, struct pickle_items *items, const struct pickle_value *v)
{
    TRY(count_value(p));
    items->list = mem_grow(items->list, items->count, &items->capacity, sizeof(*items->list));
    items->list[items->count++] = *v;
    return OK;
}

static int push(struct pickle *p, const struct pickle_value *v)
{
    if (p->depth >= MAX_VALUES)
        return pickle_fail(p, "more than %d values on the stack", MAX_VALUES);
    p->stack = mem_grow(p->stack, p->depth, &p->stack_capacity, sizeof(*p->stack));
    p->stack[p->depth++] = *v;
    return OK;
}

static int push_kind(struct pickle *p, enum pickle_kind kind)
{
    return push(p, &(struct pickle_value){ .kind = kind });
}

static int push_int(struct pickle *p, enum pickle_kind kind, int64_t integer)
{
    return push(p, &(struct pickle_value){ .kind = kind, .integer = integer });
}

/* The value `back` below the top, which has to be there, above any mark. */
static int peek(struct pickle *p, size_t back, struct pickle_value **v)
{
    if (back >= p->depth || p->stack[p->depth - 1 - back].kind == PICKLE_MARK)
        return pickle_fail(p, "a value is missing on the stack");
    *v = &p->stack[p->depth - 1 - back];
    return OK;
}

static int pop(struct pickle *p, struct pickle_value *v)
{
    struct pickle_value *top = NULL;
    TRY(peek(p, 0, &top));
    *v = *top;
    p->depth--;
    return OK;
}

/* How many values lie above the topmost mark; the mark itself is below them. */
static int count_to_mark(struct pickle *p, size_t *count)
{
    size_t n = 0;
    while (n < p->depth && p->stack[p->depth - 1 - n].kind != PICKLE_MARK)
        n++;
    if (n == p->depth)
        return pickle_fail(p, "a mark is missing on the stack");
    *count = n;
    return OK;
}

/* Never grows, so its items lie beside it. */
static int make_tuple(struct pickle *p, size_t count, struct pickle_value *v)
{
    struct pickle_items *items;
    TRY(count_value(p));
    items = arena_alloc(&p->memory, sizeof(*items) + count * sizeof(items->list[0]));
    items->list = (struct pickle_value *)(items + 1);
    items->capacity = count;
    *v = (struct pickle_value){ .kind = PICKLE_TUPLE, .items = items };
    return OK;
}

static int move_items(struct pickle *p, size_t count, struct pickle_items *items)
{
    for (size_t i = p->depth - count; i < p->depth; i++)
        TRY(pickle_add(p, items, &p->stack[i]));
    p->depth -= count;
    return OK;
}

/* The last `count` values become one; with `mark` the mark below them goes. */
static int gather(struct pickle *p, enum pickle_kind kind, size_t count, bool mark)
{
    struct pickle_value v, *last;
    if (count > 0)
        TRY(peek(p, count - 1, &last));
    if (kind == PICKLE_DICT && count % 2 != 0)
        return pickle_fail(p, "a key without a value");
    if (kind == PICKLE_TUPLE)
        TRY(make_tuple(p, count, &v));
    else
        TRY(pickle_make(p, kind, &v));
    TRY(move_items(p, count, v.items));
    p->depth -= mark;
    return push(p, &v);
}

static int gather_marked(struct pickle *p, enum pickle_kind kind)
{
    size_t count = 0;
    TRY(count_to_mark(p, &count));
    return gather(p, kind, count, true);
}

/* The last `count` values go into the container below them. */
static int put_into(struct pickle *p, enum pickle_kind kind, size_t count, bool mark)
{
    struct pickle_value *last, *to;
    if (count > 0)
        TRY(peek(p, count - 1, &last));
    if (p->depth < count + mark + 1)
        return pickle_fail(p, "a value is missing on the stack");
    to = &p->stack[p->depth - count - mark - 1];
    if (to->kind != kind)
        return pickle_fail(p, "items are put into %s, expected %s", pickle_kind_name(to->kind),
                           pickle_kind_name(kind));
    if (kind == PICKLE_DICT && count % 2 != 0)
        return pickle_fail(p, "a key without a value");
    TRY(move_items(p, count, to->items));
    p->depth -= mark;
    return OK;
}

static int put_marked(struct pickle *p, enum pickle_kind kind)
{
    size_t count = 0;
    TRY(count_to_mark(p, &count));
    return put_into(p, kind, count, true);
}

/* ---- numbers and strings ---- */

static int push_number(struct pickle *p, int bytes, bool is_signed)
{
    uint64_t value = 0;
    TRY(cursor_little(p->cursor, bytes, &value));
    return push_int(p, PICKLE_INT, is_signed ? (int32_t)(uint32_t)value : (int64_t)value);
}

static int push_float(struct pickle *p)
{
    struct pickle_value v = { .kind = PICKLE_FLOAT };
    uint64_t bits = 0;
    TRY(cursor_big(p->cursor, 8, &bits));
    memcpy(&v.number, &bits, sizeof(bits));
    return push(p, &v);
}

static int read_text(struct pickle *p, uint64_t length, struct pickle_value *v)
{
    struct pickle_text *text;
    struct str s;
    TRY(count_value(p));
    str_init(&s);
    int status = cursor_append(p->cursor, length, &s);
    if (status == OK) {
        text = arena_alloc(&p->memory, sizeof(*text));
        *text = (struct pickle_text){ arena_strndup(&p->memory, s.data, s.length), s.length };
        *v = (struct pickle_value){ .kind = PICKLE_TEXT, .text = text };
    }
    str_release(&s);
    return status;
}

static int push_text(struct pickle *p, int length_bytes)
{
    struct pickle_value v = { 0 };
    uint64_t length = 0;
    TRY(cursor_little(p->cursor, length_bytes, &length));
    TRY(read_text(p, length, &v));
    return push(p, &v);
}

/* Little-endian two's complement. */
static int push_long(struct pickle *p, int length_bytes)
{
    struct pickle_value v = { 0 };
    uint64_t length = 0, value = 0;
    TRY(cursor_little(p->cursor, length_bytes, &length));
    TRY(read_text(p, length, &v));
    v.kind = PICKLE_BIG;
    if (length > 8)
        return push(p, &v);
    for (size_t i = (size_t)length; i-- > 0;)
        value = value << 8 | (unsigned char)v.text->bytes[i];
    if (length > 0 && length < 8 && (value >> (8 * length - 1) & 1))
        value |= ~(uint64_t)0 << (8 * length);
    return push_int(p, PICKLE_INT, (int64_t)value);
}

/* ---- memo ---- */

/* Picklers number from 0 on, and each number takes a byte at least. */
static int memo_put(struct pickle *p, uint64_t index)
{
    struct pickle_value *top = NULL;
    TRY(peek(p, 0, &top));
    if (index >= p->cursor->at - p->begin || index >= MAX_VALUES)
        return pickle_fail(p, "memo entry %" PRIu64 " is out of range", index);
    while (p->memo_count <= index) {
        p->memo = mem_grow(p->memo, p->memo_count, &p->memo_capacity, sizeof(*p->memo));
        p->memo[p->memo_count++] = (struct pickle_value){ 0 };
    }
    p->memo[index] = *top;
    return OK;
}

static int memo_op(struct pickle *p, int bytes, bool put)
{
    uint64_t index = 0;
    TRY(cursor_little(p->cursor, bytes, &index));
    if (put)
        return memo_put(p, index);
    if (index >= p->memo_count || p->memo[index].kind == PICKLE_UNSET)
        return pickle_fail(p, "memo entry %" PRIu64 " was never put", index);
    return push(p, &p->memo[index]);
}

/* ---- names and calls ---- */

static int read_line(struct pickle *p, char *line)
{
    for (size_t n = 0; n < MAX_LINE; n++) {
        TRY(cursor_read(p->cursor, &line[n], 1));
        if (line[n] == '\n') {
            line[n] = '\0';
            return OK;
        }
    }
    return pickle_fail(p, "a name is longer than %d bytes", MAX_LINE - 1);
}

static int push_global(struct pickle *p, const char *module, const char *name)
{
    struct pickle_value v = { 0 };
    TRY(p->find(p, module, name, &v));
    return push(p, &v);
}

static int do_global(struct pickle *p)
{
    char module[MAX_LINE], name[MAX_LINE];
    TRY(read_line(p, module));
    TRY(read_line(p, name));
    return push_global(p, module, name);
}

static int do_stack_global(struct pickle *p)
{
    struct pickle_value module, name;
    TRY(pop(p, &name));
    TRY(pop(p, &module));
    if (module.kind != PICKLE_TEXT || name.kind != PICKLE_TEXT)
        return pickle_fail(p, "a global's name is no string");
    return push_global(p, module.text->bytes, name.text->bytes);
}

static int do_call(struct pickle *p)
{
    struct pickle_value args, function, result = { 0 };
    TRY(pop(p, &args));
    TRY(pop(p, &function));
    if (args.kind != PICKLE_TUPLE || function.kind != PICKLE_OBJECT)
        return pickle_fail(p, "%s is called with %s", pickle_kind_name(function.kind),
                           pickle_kind_name(args.kind));
    TRY(p->call(p, &function, args.items, &result));
    return push(p, &result);
}

static int do_persist(struct pickle *p)
{
    struct pickle_value id, result = { 0 };
    TRY(pop(p, &id));
    TRY(p->persist(p, &id, &result));
    return push(p, &result);
}

/* ---- the machine ---- */

static int do_protocol(struct pickle *p)
{
    uint64_t version = 0;
    TRY(cursor_little(p->cursor, 1, &version));
    if (version < 2 || version > 5)
        return pickle_fail(p, "pickle of protocol %" PRIu64 " (expected 2 to 5)", version);
    return OK;
}

static int pop_mark(struct pickle *p)
{
    size_t count = 0;
    TRY(count_to_mark(p, &count));
    p->depth -= count + 1;
    return OK;
}

static int do_pop(struct pickle *p)
{
    if (p->depth == 0)
        return pickle_fail(p, "a value is missing on the stack");
    p->depth--;
    return OK;
}

static int duplicate(struct pickle *p)
{
    struct pickle_value *top = NULL, copy;
    TRY(peek(p, 0, &top));
    copy = *top;
    return push(p, &copy);
}

/* BUILD sets attributes of an object; of what there is here, none counts (OrderedDict's _metadata). */
static int do_build(struct pickle *p)
{
    struct pickle_value state, *object;
    TRY(pop(p, &state));
    return peek(p, 0, &object);
}

/* Opcodes of protocol 2 and later, by what pickletools calls them. */
static int do_new_opcode(struct pickle *p, unsigned char opcode)
{
    switch (opcode) {
    case 0x80: return do_protocol(p);
    case 0x81: return do_call(p); /* NEWOBJ */
    case 0x85: return gather(p, PICKLE_TUPLE, 1, false);
    case 0x86: return gather(p, PICKLE_TUPLE, 2, false);
    case 0x87: return gather(p, PICKLE_TUPLE, 3, false);
    case 0x88: return push_int(p, PICKLE_BOOL, 1);
    case 0x89: return push_int(p, PICKLE_BOOL, 0);
    case 0x8a: return push_long(p, 1);
    case 0x8b: return push_long(p, 4);
    case 0x8c: return push_text(p, 1); /* SHORT_BINUNICODE */
    case 0x8d:                         /* BINUNICODE8 */
    case 0x8e:                         /* BINBYTES8 */
    case 0x96: return push_text(p, 8); /* BYTEARRAY8 */
    case 0x8f: return gather(p, PICKLE_SET, 0, false);
    case 0x90: return put_marked(p, PICKLE_SET);
    case 0x91: return gather_marked(p, PICKLE_SET); /* FROZENSET */
    case 0x93: return do_stack_global(p);
    case 0x94: return memo_put(p, p->memo_count);
    case 0x95: return cursor_skip(p->cursor, 8); /* FRAME: how much to read ahead */
    default: return pickle_fail(p, "opcode 0x%02x is not read as data", opcode);
    }
}

static int do_opcode(struct pickle *p, unsigned char opcode)
{
    switch (opcode) {
    case '(': return push_kind(p, PICKLE_MARK);
    case '0': return do_pop(p);
    case '1': return pop_mark(p);
    case '2': return duplicate(p);
    case 'N': return push_kind(p, PICKLE_NONE);
    case 'J': return push_number(p, 4, true);
    case 'K': return push_number(p, 1, false);
    case 'M': return push_number(p, 2, false);
    case 'G': return push_float(p);
    case 'X': /* BINUNICODE */
    case 'T': /* BINSTRING */
    case 'B': return push_text(p, 4);
    case 'U': /* SHORT_BINSTRING */
    case 'C': return push_text(p, 1);
    case ')': return gather(p, PICKLE_TUPLE, 0, false);
    case 't': return gather_marked(p, PICKLE_TUPLE);
    case ']': return gather(p, PICKLE_LIST, 0, false);
    case 'l': return gather_marked(p, PICKLE_LIST);
    case 'a': return put_into(p, PICKLE_LIST, 1, false);
    case 'e': return put_marked(p, PICKLE_LIST);
    case '}': return gather(p, PICKLE_DICT, 0, false);
    case 'd': return gather_marked(p, PICKLE_DICT);
    case 's': return put_into(p, PICKLE_DICT, 2, false);
    case 'u': return put_marked(p, PICKLE_DICT);
    case 'h': return memo_op(p, 1, false);
    case 'j': return memo_op(p, 4, false);
    case 'q': return memo_op(p, 1, true);
    case 'r': return memo_op(p, 4, true);
    case 'c': return do_global(p);
    case 'R': return do_call(p);
    case 'b': return do_build(p);
    case 'Q': return do_persist(p);
    default: return do_new_opcode(p, opcode);
    }
}

void pickle_init(struct pickle *p, struct cursor *c)
{
    *p = (struct pickle){ .cursor = c };
    arena_init(&p->memory);
}

void pickle_release(struct pickle *p)
{
    for (struct pickle_items *i = p->items; i != NULL; i = i->next)
        mem_free(i->list);
    mem_free(p->stack);
    mem_free(p->memo);
    arena_release(&p->memory);
    *p = (struct pickle){ 0 };
}

int pickle_read(struct pickle *p, struct pickle_value *result)
{
    unsigned char opcode;
    p->depth = 0;
    p->memo_count = 0;
    p->begin = p->cursor->at;
    for (;;) {
        p->place = p->cursor->at;
        TRY(cursor_read(p->cursor, &opcode, 1));
        if (opcode == '.')
            break;
        TRY(do_opcode(p, opcode));
    }
    return pop(p, result);
}
