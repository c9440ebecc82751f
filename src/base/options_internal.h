/* options_internal -- what the parts of options share: options.c reads command lines, options_json.c files,
 * options_value.c turns text into values, options_help.c prints. */
#ifndef PLAIT_BASE_OPTIONS_INTERNAL_H
#define PLAIT_BASE_OPTIONS_INTERNAL_H

#include "base/options.h"

enum { SOURCE_NONE, SOURCE_FILE, SOURCE_COMMAND };

/* An option as one of its names means it. */
struct option_ref {
    const struct option *option;
    struct option_seen *seen;
    void *member;      /* in the component's struct */
    const char *fixed; /* the value a switch stands for, else NULL */
    bool negated;      /* --no_NAME */
};

/* What was given for it: `count` texts, one but for lists. */
struct option_input {
    int source;
    const char *name;
    const char *const *texts;
    size_t count;
    bool quiet_default; /* a value equal to the default does not count as given */
};

bool option_find(const struct options *o, const char *name, size_t length, struct option_ref *ref);
/* '-' and '_' are the same. */
bool option_name_equals(const char *a, size_t a_length, const char *b, size_t b_length);
/* "unknown option (did you mean --x?)" */
void option_append_unknown(const struct options *o, const char *name, struct str *why);
/* The option takes no value but true or false. */
bool option_is_switch(const struct option_ref *ref);

bool option_text_is_bool(const char *text, bool *v);
/* False: *why is the sentence, nothing was changed. */
bool option_assign(struct options *o, const struct option_ref *ref, const struct option_input *in,
                   struct str *why);
/* Writes the preset into the member; BUG when it is impossible. */
void option_set_preset(struct options *o, const struct option *option, void *member);
void option_append_value(const struct option *option, const void *member,
                         struct str *s); /* as it would be given */
void option_append_range(const struct option *option,
                         struct str *s); /* "from 0 to 1", "of at least 1" or "" */
void option_append_expected(const struct option *option, struct str *s);

#endif
