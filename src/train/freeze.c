#include "train/freeze.h"

#include "base/err.h"
#include "ckpt/params.h"

bool freeze_matches(const char *param, void *freeze)
{
    return name_pattern_matches(&((const struct freeze *)freeze)->pattern, param);
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
    char why[NAME_PATTERN_WHY];
    int status;

    *f = (struct freeze){ 0 };
    if (pattern && !name_pattern_init(&f->pattern, pattern, why))
        return fail(ERR_USAGE, "--freeze: %s", why);
    status = count(f, pattern, c);
    if (status != OK)
        freeze_release(f);
    return status;
}

void freeze_release(struct freeze *f)
{
    name_pattern_release(&f->pattern);
    *f = (struct freeze){ 0 };
}
