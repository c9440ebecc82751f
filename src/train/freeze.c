#include "train/freeze.h"

#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/err.h"
#include "ckpt/params.h"

static int compile(struct freeze *f, const char *pattern)
{
    int error;
    PCRE2_SIZE at;
    PCRE2_UCHAR why[160] = "";

    f->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, 0, &error, &at, NULL);
    if (!f->code) {
        pcre2_get_error_message(error, why, sizeof(why));
        return fail(ERR_USAGE, "--freeze: no regular expression (found \"%.80s\"): %s at character %zu",
                    pattern, (const char *)why, (size_t)at + 1);
    }
    f->match = pcre2_match_data_create(1, NULL);
    return OK;
}

bool freeze_matches(const char *param, void *freeze)
{
    struct freeze *f = freeze;

    return f->code && pcre2_match(f->code, (PCRE2_SPTR)param, strlen(param), 0, 0, f->match, NULL) >= 0;
}

static int count(struct freeze *f, const char *pattern, const struct config *c)
{
    struct params params;

    TRY(params_init(&params, c));
    for (size_t i = 0; i < params.count; i++) {
        if (freeze_matches(params.list[i].name, f))
            f->frozen += params.list[i].count;
        else
            f->trained += params.list[i].count;
    }
    params_release(&params);
    if (pattern && f->frozen == 0)
        return fail(ERR_USAGE, "--freeze: no parameter's name has a match of \"%.80s\"", pattern);
    if (f->trained == 0)
        return fail(ERR_USAGE, "--freeze: \"%.80s\" leaves no parameter to train", pattern ? pattern : "");
    return OK;
}

int freeze_init(struct freeze *f, const char *pattern, const struct config *c)
{
    int status = OK;

    *f = (struct freeze){ 0 };
    if (pattern)
        status = compile(f, pattern);
    if (status == OK)
        status = count(f, pattern, c);
    if (status != OK)
        freeze_release(f);
    return status;
}

void freeze_release(struct freeze *f)
{
    pcre2_match_data_free(f->match);
    pcre2_code_free(f->code);
    *f = (struct freeze){ 0 };
}
