#include "train/same_config.h"

#include <math.h>
#include <string.h>

#include "base/err.h"

static bool same_field(const struct field *f, const void *a, const void *b)
{
    const char *x = (const char *)a + f->offset, *y = (const char *)b + f->offset;
    double p, q;

    switch (f->type) {
    case FIELD_INT:
    case FIELD_TOKEN: return memcmp(x, y, sizeof(int64_t)) == 0;
    case FIELD_BOOL: return *(const bool *)x == *(const bool *)y;
    case FIELD_ACTIVATION:
    case FIELD_MAYBE: return memcmp(x, y, sizeof(int)) == 0;
    case FIELD_TEXT: return strcmp(x, y) == 0;
    case FIELD_DOUBLE: break;
    }
    memcpy(&p, x, sizeof(p));
    memcpy(&q, y, sizeof(q));
    return p == q || (isnan(p) && isnan(q));
}

/* A run goes on with the model it began with. */
static int check_config(const struct config *wanted, const struct config *saved, const char *checkpoint)
{
    if (wanted->def != saved->def)
        return fail(ERR_CONFIG, "%s: model_type is not that of the run (found %s, expected %s)", checkpoint,
                    wanted->def->name, saved->def->name);
    for (const struct field *f = wanted->def->fields; f->key; f++) {
        const char *a = config_get_field(wanted, f), *b = config_get_field(saved, f);
        if (!same_field(f, wanted->values, saved->values))
            return fail(ERR_CONFIG, "%s: config differs from the run's: $.%s (found %s, expected %s)",
                        checkpoint, f->key, a ? a : "null", b ? b : "null");
    }
    return OK;
}

int same_config_check(const struct model_options *o, const struct config *saved, const char *checkpoint)
{
    const char *name = o->config_name ? o->config_name : o->name;
    struct config wanted;
    int status;

    if (!name)
        return OK;
    TRY(model_find_config(name, o, &wanted, NULL));
    status = o->overrides ? config_override(&wanted, o->overrides) : OK;
    if (status == OK && wanted.head != saved->head)
        status = config_set_head(&wanted, saved->head);
    if (status == OK)
        status = check_config(&wanted, saved, checkpoint);
    config_release(&wanted);
    return status;
}
