/* Running a program from one place of the text: backtracking, and the memory of what has failed (regex.h). */
#include <string.h>

#include "base/err.h"
#include "tok/regex_program.h"
#include "tok/unicode.h"

enum {
    PLAIN_STEPS = 32,     /* a byte of text, before failures are remembered */
    MEMO_STEPS = 8,       /* a byte of text and an instruction, at most */
    FREE_STEPS = 1 << 14, /* for any text */
    FRAMES_MOST = 1 << 27,
};
static const uint64_t memo_bits_most = (uint64_t)1 << 33;

/* ---- characters ---- */

static inline bool class_has(const struct re_class *c, uint32_t code)
{
    return code < 128 ? c->ascii[code] : ranges_have(&c->ranges, code);
}

/* Length of the character of a class at p <= end; 0: none. */
static inline size_t class_at(const struct re_class *c, const char *p, const char *end)
{
    size_t n;

    return p < end && class_has(c, regex_code_at(p, end, &n)) ? n : 0;
}

static size_t before(const struct regex_scan *s, size_t at)
{
    const char *p = s->text + at, *end = s->text + s->length;
    uint32_t code;

    for (int n = 2; n <= 4 && (size_t)n <= at; n++)
        if (utf8_decode(p - n, end, &code) == n)
            return at - (size_t)n;
    return at - 1;
}

static bool is_word(const struct regex_scan *s, size_t at)
{
    size_t n;
    uint32_t code;

    if (at >= s->length)
        return false;
    code = regex_code_at(s->text + at, s->text + s->length, &n);
    return code < CODE_BROKEN && (unicode_kind(code)->flags & UNICODE_RE_WORD);
}

static bool holds(const struct regex_scan *s, int which, size_t at)
{
    switch (which) {
    case RE_LINE_BEGIN: return at == 0 || (at < s->length && s->text[at - 1] == '\n');
    case RE_LINE_END: return at == s->length || s->text[at] == '\n';
    case RE_BEGIN: return at == 0;
    case RE_END: return at == s->length;
    case RE_END_LINE: return at == s->length || (at + 1 == s->length && s->text[at] == '\n');
    default:
        return (at > 0 && is_word(s, before(s, at))) != is_word(s, at) ? which == RE_WORD
                                                                       : which == RE_NOT_WORD;
    }
}

/* ---- frames: what to go back to ---- */

enum frame_kind { FRAME_GO, FRAME_STAR, FRAME_REGISTER, FRAME_FAILED };
enum {
    NO = 0,
    YES = 1,
    AGAIN = 2
}; /* AGAIN: begin this place anew, remembering failures; or an ERR_ value */

static int too_long(const struct regex_scan *s)
{
    return fail(ERR_DATA, "a pattern of the tokenizer takes too long on a text of %zu bytes", s->length);
}

static int push(struct regex_scan *s, enum frame_kind kind, uint32_t pc, size_t at)
{
    if (s->frame_count == s->frame_capacity) {
        size_t bytes = s->frame_capacity * 2 * sizeof(*s->frames);
        bool heap = s->frames != s->first_frames;
        if (s->frame_count >= FRAMES_MOST)
            return too_long(s);
        s->frames = mem_resize(heap ? s->frames : NULL, bytes);
        if (!heap)
            memcpy(s->frames, s->first_frames, sizeof(s->first_frames));
        s->frame_capacity *= 2;
    }
    s->frames[s->frame_count++] = (struct regex_frame){ .pc = pc, .kind = kind, .at = at };
    return OK;
}

static uint64_t memo_bit(const struct regex_scan *s, uint32_t pc, size_t at)
{
    return (uint64_t)s->re->code[pc].memo * (s->length + 1) + at;
}

static bool has_failed(const struct regex_scan *s, uint32_t pc, size_t at)
{
    uint64_t bit = memo_bit(s, pc, at);

    return s->failed[bit / 8] >> bit % 8 & 1;
}

static int remember(struct regex_scan *s)
{
    uint64_t bits = (uint64_t)s->re->memo_count * (s->length + 1);

    if (bits > memo_bits_most)
        return too_long(s);
    s->failed = mem_alloc((size_t)(bits / 8 + 1));
    return AGAIN;
}

static int count_step(struct regex_scan *s)
{
    uint64_t most = s->failed ? MEMO_STEPS * (16 + s->re->code_count) : PLAIN_STEPS;

    if (++s->steps <= s->length * most + FREE_STEPS * most)
        return OK;
    return s->failed ? too_long(s) : remember(s);
}

/* ---- running ---- */

struct thread {
    uint32_t pc;
    size_t at, must_end; /* must_end: where a look behind has to come to; SIZE_MAX: anywhere */
    size_t base;         /* frames of those who called */
};

static int run(struct regex_scan *s, uint32_t pc, size_t at, size_t must_end, size_t *end);

/* Takes up the last thing left to try; NO: there is none. */
static int back(struct regex_scan *s, struct thread *t)
{
    while (s->frame_count > t->base) {
        struct regex_frame *f = &s->frames[--s->frame_count];
        uint64_t bit;
        switch (f->kind) {
        case FRAME_REGISTER: s->registers[f->pc] = f->at; break;
        case FRAME_FAILED:
            bit = memo_bit(s, f->pc, f->at);
            s->failed[bit / 8] |= (uint8_t)(1 << bit % 8);
            break;
        case FRAME_STAR:
            f->to = before(s, f->to);
            t->at = f->to;
            t->pc = f->pc + 1;
            if (f->to > f->at)
                s->frame_count++;
            return YES;
        default:
            t->pc = f->pc;
            t->at = f->at;
            return YES;
        }
    }
    return NO;
}

/* Does a place that may have failed already need a look? In a look behind nothing is remembered: what fails
 * depends on where it has to end. */
static int enter(struct regex_scan *s, const struct thread *t)
{
    if (!s->failed || t->must_end != SIZE_MAX)
        return YES;
    if (has_failed(s, t->pc, t->at))
        return NO;
    TRY(push(s, FRAME_FAILED, t->pc, t->at));
    return YES;
}

static int split(struct regex_scan *s, struct thread *t, const struct re_instruction *i)
{
    uint32_t other = i->flag ? t->pc + 1 : i->x;
    int status;

    if (i->y && (t->at == s->length || !s->re->firsts[i->y - 1].bytes[(uint8_t)s->text[t->at]])) {
        t->pc = other;
        return YES;
    }
    status = enter(s, t);
    if (status != YES)
        return status;
    TRY(push(s, FRAME_GO, other, t->at));
    t->pc = i->flag ? i->x : t->pc + 1;
    return YES;
}

static int star(struct regex_scan *s, struct thread *t, const struct re_instruction *i)
{
    const struct re_class *c = &s->re->classes[i->x];
    const char *p = s->text + t->at, *end = s->text + s->length;
    size_t n = class_at(c, p, end), begin = t->at;
    int status;

    if (n == 0 || (s->failed && i->flag == RE_GREEDY && t->must_end == SIZE_MAX)) {
        status = n > 0 ? enter(s, t) : YES; /* one step at a time, so that each can be remembered */
        if (status == YES && n > 0)
            TRY(push(s, FRAME_GO, t->pc + 1, t->at));
        t->pc += n == 0;
        t->at += n;
        return status;
    }
    for (; n > 0; n = class_at(c, p, end))
        p += n;
    t->at = (size_t)(p - s->text);
    s->steps += (t->at - begin) / 8;
    if (i->flag == RE_GREEDY) {
        TRY(push(s, FRAME_STAR, t->pc, begin));
        s->frames[s->frame_count - 1].to = t->at;
    }
    t->pc++;
    return YES;
}

/* Does what is looked for end at t->at? */
static int look_behind(struct regex_scan *s, const struct thread *t, const struct re_lengths *l)
{
    size_t p = t->at, end;
    int status = NO;

    for (size_t n = 0; n <= l->max && status == NO; n++) {
        if (n >= l->min)
            status = run(s, t->pc + 1, p, t->at, &end);
        if (p == 0)
            break;
        p = before(s, p);
    }
    return status;
}

static int look(struct regex_scan *s, struct thread *t, const struct re_instruction *i)
{
    size_t end;
    int status = enter(s, t);

    if (status != YES)
        return status;
    if (i->flag & 1)
        status = look_behind(s, t, &s->re->lengths[i->y]);
    else
        status = run(s, t->pc + 1, t->at, SIZE_MAX, &end);
    if (status != YES && status != NO)
        return status;
    t->pc = i->x;
    return (status == YES) != (i->flag >> 1) ? YES : NO;
}

static int atomic(struct regex_scan *s, struct thread *t, const struct re_instruction *i)
{
    int status = enter(s, t);

    if (status == YES)
        status = run(s, t->pc + 1, t->at, SIZE_MAX, &t->at);
    t->pc = i->x;
    return status;
}

static int loop(struct regex_scan *s, struct thread *t, const struct re_instruction *i)
{
    if (i->op == OP_LOOP_CHECK) {
        t->pc = s->registers[i->x] == t->at ? i->y : t->pc + 1;
        return YES;
    }
    TRY(push(s, FRAME_REGISTER, i->x, s->registers[i->x]));
    s->registers[i->x] = t->at;
    t->pc++;
    return YES;
}

static int one_char(struct regex_scan *s, struct thread *t, const struct re_instruction *i)
{
    size_t n = i->flag;

    if (i->op == OP_CLASS)
        n = class_at(&s->re->classes[i->x], s->text + t->at, s->text + s->length);
    else if (s->length - t->at < n || memcmp(s->text + t->at, &i->x, n) != 0)
        n = 0;
    t->at += n;
    t->pc++;
    return n > 0 ? YES : NO;
}

/* One instruction. YES: go on; NO: go back. */
static int step(struct regex_scan *s, struct thread *t)
{
    const struct re_instruction *i = &s->re->code[t->pc];

    switch (i->op) {
    case OP_CHAR:
    case OP_CLASS: return one_char(s, t, i);
    case OP_SPLIT: return split(s, t, i);
    case OP_JUMP: t->pc = i->x; return YES;
    case OP_STAR: return star(s, t, i);
    case OP_LOOP_BEGIN:
    case OP_LOOP_CHECK: return loop(s, t, i);
    case OP_LOOK: return look(s, t, i);
    case OP_ATOMIC: return atomic(s, t, i);
    case OP_ASSERT: t->pc++; return holds(s, i->flag, t->at) ? YES : NO;
    default: return NO; /* DONE, but not where it has to be */
    }
}

/* From an instruction to its OP_DONE; *end on YES. */
static int run(struct regex_scan *s, uint32_t pc, size_t at, size_t must_end, size_t *end)
{
    struct thread t = { pc, at, must_end, s->frame_count };
    int status = YES;

    for (;;) {
        int counted = count_step(s);
        if (counted != OK)
            return counted;
        if (s->re->code[t.pc].op == OP_DONE && (must_end == SIZE_MAX || must_end == t.at))
            break;
        status = step(s, &t);
        if (status == NO)
            status = back(s, &t);
        if (status != YES)
            return status;
    }
    s->frame_count = t.base;
    *end = t.at;
    return YES;
}

int regex_match(struct regex_scan *s, size_t at, size_t *end)
{
    int status;

    do {
        s->frame_count = 0;
        status = run(s, 0, at, SIZE_MAX, end);
    } while (status == AGAIN);
    return status;
}
