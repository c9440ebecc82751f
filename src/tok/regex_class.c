/* Sets of code points as ranges in order, and the classes that have names. */
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "tok/regex_program.h"
#include "tok/unicode.h"

enum { NAME_MOST = 40 };

void ranges_release(struct ranges *r)
{
    mem_free(r->items);
    *r = (struct ranges){ 0 };
}

void ranges_add(struct ranges *r, uint32_t first, uint32_t last)
{
    r->items = mem_grow(r->items, r->count, &r->capacity, sizeof(*r->items));
    r->items[r->count++] = (struct range){ first, last };
}

void ranges_add_all(struct ranges *r, const struct ranges *more)
{
    for (size_t i = 0; i < more->count; i++)
        ranges_add(r, more->items[i].first, more->items[i].last);
}

static int compare(const void *a, const void *b)
{
    const struct range *x = a, *y = b;

    return (x->first > y->first) - (x->first < y->first);
}

void ranges_settle(struct ranges *r)
{
    size_t n = 0;

    if (r->count == 0)
        return;
    qsort(r->items, r->count, sizeof(*r->items), compare);
    for (size_t i = 1; i < r->count; i++) {
        if (r->items[i].first <= r->items[n].last + 1) {
            if (r->items[i].last > r->items[n].last)
                r->items[n].last = r->items[i].last;
        } else {
            r->items[++n] = r->items[i];
        }
    }
    r->count = n + 1;
}

void ranges_negate(struct ranges *r)
{
    struct ranges out = { 0 };
    uint32_t next = 0;

    for (size_t i = 0; i < r->count; i++) {
        if (r->items[i].first > next)
            ranges_add(&out, next, r->items[i].first - 1);
        next = r->items[i].last + 1;
    }
    if (next <= CODE_BROKEN)
        ranges_add(&out, next, CODE_BROKEN);
    ranges_release(r);
    *r = out;
}

void ranges_intersect(struct ranges *r, const struct ranges *with)
{
    struct ranges out = { 0 };
    size_t i = 0, k = 0;

    while (i < r->count && k < with->count) {
        struct range a = r->items[i], b = with->items[k];
        uint32_t first = a.first > b.first ? a.first : b.first, last = a.last < b.last ? a.last : b.last;
        if (first <= last)
            ranges_add(&out, first, last);
        if (a.last < b.last)
            i++;
        else
            k++;
    }
    ranges_release(r);
    *r = out;
}

bool ranges_have(const struct ranges *r, uint32_t code)
{
    size_t low = 0, high = r->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (r->items[middle].last < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < r->count && r->items[low].first <= code;
}

enum { /* places in unicode_categories */
       CN,
       LU,
       LL,
       LT,
       LM,
       LO,
       MN,
       MC,
       ME,
       ND,
       NL,
       NO,
       PC,
       PD,
       PS,
       PE,
       PI,
       PF,
       PO,
       SM,
       SC,
       SK,
       SO,
       ZS,
       ZL,
       ZP,
       CC,
       CF,
       CO,
       CS,
};

/* ---- cases ---- */

/* One for all cases of a letter. Dotless and dotted i have none; three letters are equal though their upper
 * cases are not. */
static uint32_t fold(uint32_t code)
{
    switch (code) {
    case 0x130:
    case 0x131: return code;
    case 0x1FD3: return 0x390;
    case 0x1FE3: return 0x3B0;
    case 0xFB05: return 0xFB06;
    default: return unicode_lower((uint32_t)utf8proc_toupper((utf8proc_int32_t)code));
    }
}

/* The next code point that has cases, from `code` on; CODE_BROKEN: none. */
static uint32_t next_cased(uint32_t code, int *run)
{
    while (*run < UNICODE_RUN_COUNT) {
        const struct unicode_kind *k = &unicode_kinds[unicode_runs[*run] & 2047];
        uint32_t first = unicode_runs[*run] >> 11;
        uint32_t end = *run + 1 < UNICODE_RUN_COUNT ? unicode_runs[*run + 1] >> 11 : CODE_BROKEN;
        if ((k->flags & (UNICODE_LOWER | UNICODE_UPPER) || k->category == LT) && code < end)
            return code > first ? code : first;
        *run += 1;
    }
    return CODE_BROKEN;
}

void ranges_fold(struct ranges *r)
{
    struct ranges folds = { 0 };
    int run = 0;

    for (uint32_t c = next_cased(0, &run); c < CODE_BROKEN; c = next_cased(c + 1, &run))
        if (ranges_have(r, c))
            ranges_add(&folds, fold(c), fold(c));
    ranges_settle(&folds);
    run = 0;
    for (uint32_t c = next_cased(0, &run); folds.count > 0 && c < CODE_BROKEN; c = next_cased(c + 1, &run))
        if (ranges_have(&folds, fold(c)))
            ranges_add(r, c, c);
    ranges_release(&folds);
    ranges_settle(r);
}

/* ---- names ---- */

void ranges_add_spaces(struct ranges *r)
{
    static const struct range spaces[] = {
        { 9, 13 },          { 0x20, 0x20 },     { 0x85, 0x85 },     { 0xA0, 0xA0 },     { 0x1680, 0x1680 },
        { 0x2000, 0x200A }, { 0x2028, 0x2029 }, { 0x202F, 0x202F }, { 0x205F, 0x205F }, { 0x3000, 0x3000 },
    };

    for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++)
        ranges_add(r, spaces[i].first, spaces[i].last);
}

#define IN(c)       (1u << (c))
#define LETTERS     (IN(LU) | IN(LL) | IN(LT) | IN(LM) | IN(LO))
#define MARKS       (IN(MN) | IN(MC) | IN(ME))
#define NUMBERS     (IN(ND) | IN(NL) | IN(NO))
#define PUNCTUATION (IN(PC) | IN(PD) | IN(PS) | IN(PE) | IN(PI) | IN(PF) | IN(PO))
#define SYMBOLS     (IN(SM) | IN(SC) | IN(SK) | IN(SO))
#define SEPARATORS  (IN(ZS) | IN(ZL) | IN(ZP))
#define CONTROLS    (IN(CN) | IN(CC) | IN(CF) | IN(CO) | IN(CS))

/* Names without blanks, hyphens and underscores, in lower case. */
static const struct property {
    const char *name;
    uint32_t categories;
    uint16_t flags;
} properties[] = {
    { "l", LETTERS, 0 },
    { "letter", LETTERS, 0 },
    { "m", MARKS, 0 },
    { "mark", MARKS, 0 },
    { "combiningmark", MARKS, 0 },
    { "n", NUMBERS, 0 },
    { "number", NUMBERS, 0 },
    { "p", PUNCTUATION, 0 },
    { "punctuation", PUNCTUATION, 0 },
    { "s", SYMBOLS, 0 },
    { "symbol", SYMBOLS, 0 },
    { "z", SEPARATORS, 0 },
    { "separator", SEPARATORS, 0 },
    { "c", CONTROLS, 0 },
    { "other", CONTROLS, 0 },
    { "lc", IN(LU) | IN(LL) | IN(LT), 0 },
    { "casedletter", IN(LU) | IN(LL) | IN(LT), 0 },
    { "uppercaseletter", IN(LU), 0 },
    { "lowercaseletter", IN(LL), 0 },
    { "titlecaseletter", IN(LT), 0 },
    { "modifierletter", IN(LM), 0 },
    { "otherletter", IN(LO), 0 },
    { "nonspacingmark", IN(MN), 0 },
    { "spacingmark", IN(MC), 0 },
    { "enclosingmark", IN(ME), 0 },
    { "decimalnumber", IN(ND), 0 },
    { "letternumber", IN(NL), 0 },
    { "othernumber", IN(NO), 0 },
    { "connectorpunctuation", IN(PC), 0 },
    { "dashpunctuation", IN(PD), 0 },
    { "openpunctuation", IN(PS), 0 },
    { "closepunctuation", IN(PE), 0 },
    { "initialpunctuation", IN(PI), 0 },
    { "finalpunctuation", IN(PF), 0 },
    { "otherpunctuation", IN(PO), 0 },
    { "mathsymbol", IN(SM), 0 },
    { "currencysymbol", IN(SC), 0 },
    { "modifiersymbol", IN(SK), 0 },
    { "othersymbol", IN(SO), 0 },
    { "spaceseparator", IN(ZS), 0 },
    { "lineseparator", IN(ZL), 0 },
    { "paragraphseparator", IN(ZP), 0 },
    { "control", IN(CC), 0 },
    { "format", IN(CF), 0 },
    { "surrogate", IN(CS), 0 },
    { "privateuse", IN(CO), 0 },
    { "unassigned", IN(CN), 0 },
    { "any", ~0u, 0 },
    { "assigned", ~IN(CN), 0 },
    { "digit", IN(ND), 0 },
    { "cntrl", IN(CC), 0 },
    { "punct", PUNCTUATION, 0 },
    { "posixpunct", PUNCTUATION | SYMBOLS, 0 },
    { "alpha", 0, UNICODE_ALPHABETIC },
    { "alphabetic", 0, UNICODE_ALPHABETIC },
    { "alnum", IN(ND), UNICODE_ALPHABETIC },
    { "lower", 0, UNICODE_LOWER },
    { "lowercase", 0, UNICODE_LOWER },
    { "upper", 0, UNICODE_UPPER },
    { "uppercase", 0, UNICODE_UPPER },
    { "word", MARKS | IN(ND) | IN(PC), UNICODE_ALPHABETIC },
    { "graph", ~(SEPARATORS | IN(CC) | IN(CN) | IN(CS)), 0 },
    { "print", ~(IN(ZL) | IN(ZP) | IN(CC) | IN(CN) | IN(CS)), 0 },
};

static void add_kinds(struct ranges *r, uint32_t categories, uint16_t flags, int script)
{
    for (int i = 0; i < UNICODE_RUN_COUNT; i++) {
        const struct unicode_kind *k = &unicode_kinds[unicode_runs[i] & 2047];
        uint32_t last = i + 1 < UNICODE_RUN_COUNT ? (unicode_runs[i + 1] >> 11) - 1 : 0x10FFFF;
        if ((categories >> k->category & 1) || (k->flags & flags) || k->script == script)
            ranges_add(r, unicode_runs[i] >> 11, last);
    }
}

/* A name without what does not count in it. */
static void plain_name(const char *name, size_t length, char out[NAME_MOST])
{
    size_t n = 0;

    for (size_t i = 0; i < length && n < NAME_MOST - 1; i++) {
        char c = name[i];
        if (c == ' ' || c == '-' || c == '_')
            continue;
        out[n++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    out[n] = 0;
}

static int find_name(const char *const *names, const char *plain)
{
    char known[NAME_MOST];

    for (int i = 0; names[i]; i++) {
        plain_name(names[i], strlen(names[i]), known);
        if (strcmp(known, plain) == 0)
            return i;
    }
    return -1;
}

/* Classes that are more than categories and flags. */
static bool add_listed(struct ranges *r, const char *name)
{
    if (strcmp(name, "space") == 0 || strcmp(name, "whitespace") == 0) {
        ranges_add_spaces(r);
    } else if (strcmp(name, "ascii") == 0) {
        ranges_add(r, 0, 127);
    } else if (strcmp(name, "blank") == 0) {
        add_kinds(r, IN(ZS), 0, -1);
        ranges_add(r, '\t', '\t');
    } else if (strcmp(name, "xdigit") == 0) {
        ranges_add(r, '0', '9');
        ranges_add(r, 'A', 'F');
        ranges_add(r, 'a', 'f');
    } else {
        return false;
    }
    return true;
}

bool ranges_add_property(struct ranges *r, const char *name, size_t length)
{
    char plain[NAME_MOST];
    int place;

    plain_name(name, length, plain);
    if (length >= NAME_MOST || plain[0] == 0)
        return false;
    if (add_listed(r, plain))
        return true;
    for (size_t i = 0; i < sizeof(properties) / sizeof(properties[0]); i++) {
        if (strcmp(properties[i].name, plain) != 0)
            continue;
        add_kinds(r, properties[i].categories, properties[i].flags, -1);
        return true;
    }
    place = find_name(unicode_categories, plain);
    if (place >= 0) {
        add_kinds(r, IN(place), 0, -1);
        return true;
    }
    place = find_name(unicode_scripts, plain);
    if (place >= 0)
        add_kinds(r, 0, 0, place);
    return place >= 0;
}

uint32_t regex_add_class(struct regex *re, const struct ranges *settled)
{
    struct re_class *c;

    re->classes = mem_grow(re->classes, re->class_count, &re->class_capacity, sizeof(*re->classes));
    c = &re->classes[re->class_count];
    *c = (struct re_class){ 0 };
    ranges_add_all(&c->ranges, settled);
    for (uint32_t code = 0; code < 128; code++)
        c->ascii[code] = ranges_have(settled, code);
    return (uint32_t)re->class_count++;
}
