/* make_text BYTES [SEED] -- made-up text of about so many bytes on standard output, the same whenever it is
 * asked for: half a million words in several scripts, the k-th as often as 1/k (Zipf), one in a hundred never
 * seen again, with numbers, punctuation, emoji and lines of different lengths. For runs at sizes that are not
 * shipped.
 *
 *     cc -O2 -o make_text bench/make_text.c -lm
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 500000, MOST = 128 };

struct script {
    uint32_t first, count; /* code points */
    int share;             /* of 100 words */
    int letters;           /* of a long word */
};

static const struct script scripts[] = {
    { 0, 0, 86, 5 },         /* Latin syllables */
    { 0x430, 32, 4, 9 },     /* Cyrillic */
    { 0x3b1, 24, 1, 9 },     /* Greek */
    { 0x4e00, 6000, 3, 3 },  /* Chinese */
    { 0x3041, 86, 1, 6 },    /* Hiragana */
    { 0xac00, 11172, 1, 3 }, /* Hangul */
    { 0x621, 50, 2, 8 },     /* Arabic with its vowel signs */
    { 0x905, 73, 1, 8 },     /* Devanagari with its signs */
    { 0x1f300, 768, 1, 2 },  /* emoji */
};

static const char *const syllable_parts[3][16] = {
    { "", "b", "c", "d", "f", "g", "l", "m", "n", "p", "r", "s", "t", "th", "st", "w" },
    { "a", "e", "i", "o", "u", "e", "a", "o", "i", "ou", "ea", "é", "ü", "y", "ai", "ie" },
    { "", "", "", "", "n", "r", "s", "t", "l", "m", "nd", "ng", "ly", "d", "rt", "ck" },
};

static uint64_t mix(uint64_t x) /* splitmix64's finalizer */
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

struct random {
    uint64_t seed, place;
};

static uint64_t below(struct random *r, uint64_t n)
{
    return (uint64_t)((unsigned __int128)mix(r->seed + r->place++) * n >> 64);
}

static const struct script *script_of(uint64_t number)
{
    const struct script *s = scripts;
    int at = (int)(number % 100);

    while (at >= s->share)
        at -= s++->share;
    return s;
}

static size_t put_code(uint32_t c, char *out)
{
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(n == 1 ? c : (0xf00 >> n & 0xff) | c);
    return n;
}

static size_t put_syllable(struct random *r, char *out)
{
    size_t length = 0;

    for (int i = 0; i < 3; i++) {
        const char *part = syllable_parts[i][below(r, 16)];
        memcpy(out + length, part, strlen(part));
        length += strlen(part);
    }
    return length;
}

/* Frequent words are short. */
static size_t make_word(uint64_t number, char *out)
{
    struct random r = { mix(number), 0 };
    const struct script *s = script_of(below(&r, 100));
    uint64_t most = (uint64_t)(number < 100 ? 1 : number < 5000 ? (s->letters + 1) / 2 : s->letters);
    size_t length = 0;

    for (uint64_t n = 1 + below(&r, most); n > 0; n--) {
        if (s->count > 0)
            length += put_code(s->first + (uint32_t)below(&r, s->count), out + length);
        else
            length += put_syllable(&r, out + length);
    }
    return length;
}

/* What stands at a word's place, with what follows it. */
static size_t make_item(struct random *r, char *out)
{
    static const char *const after[] = { ", ", ". ", "; ",  ": ",  "? ", "! ",
                                         " (", ") ", "'s ", "\" ", "-",  " - " };
    uint64_t kind = below(r, 1000);
    double zipf = exp((double)below(r, 1u << 30) / (1u << 30) * log(WORDS + 1.0)) - 1;
    size_t length;

    if (kind < 15)
        return (size_t)snprintf(out, MOST, "%llu ", (unsigned long long)below(r, kind < 5 ? 1000000 : 2030));
    length = make_word(kind < 25 ? mix(r->seed + r->place) | 1u << 30 : (uint64_t)zipf, out);
    if (kind < 125 && out[0] >= 'a' && out[0] <= 'z')
        out[0] = (char)(out[0] - 'a' + 'A');
    if (below(r, 8) > 0) {
        out[length++] = ' ';
        return length;
    }
    const char *mark = after[below(r, sizeof(after) / sizeof(after[0]))];
    memcpy(out + length, mark, strlen(mark));
    return length + strlen(mark);
}

int main(int argc, char **argv)
{
    uint64_t bytes = argc > 1 ? strtoull(argv[1], NULL, 10) : 0, made = 0;
    struct random r = { argc > 2 ? mix(strtoull(argv[2], NULL, 10)) : 1, 0 };
    char item[2 * MOST];

    if (bytes == 0) {
        fputs("usage: make_text BYTES [SEED]\n", stderr);
        return 64;
    }
    while (made < bytes) {
        for (uint64_t n = 1 + below(&r, below(&r, 10) ? 40 : 300); n > 0; n--) {
            size_t length = make_item(&r, item);
            fwrite(item, 1, length, stdout);
            made += length;
        }
        putchar('\n');
        made++;
    }
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 74;
}
