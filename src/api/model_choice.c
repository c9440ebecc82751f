#include "api/options.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "ckpt/hf.h"
#include "ckpt/hub.h"
#include "tok/tok.h"

#define CONFIG_NAME_ROW                                                                                   \
    {                                                                                                     \
        "config_name", OPTION_STRING, offsetof(struct model_choice, config_name), NULL,                   \
            "config.json, its directory, a model's name in the hub's cache, or a built-in config (gpt2)", \
            .aliases = config_aliases                                                                     \
    }
#define CACHE_ROWS                                                                         \
    { "cache_dir", OPTION_STRING, offsetof(struct model_choice, cache_dir), NULL,          \
      "cache of the Hugging Face hub that names are looked up in first" },                 \
        { "model_revision",                                                                \
          OPTION_STRING,                                                                   \
          offsetof(struct model_choice, revision),                                         \
          NULL,                                                                            \
          "branch, tag or hash within the cache",                                          \
          .aliases = revision_aliases },                                                   \
    {                                                                                      \
        "config_overrides", OPTION_STRING, offsetof(struct model_choice, overrides), NULL, \
            "keys of config.json to change: n_embd=256,n_head=4"                           \
    }

static const char *const config_aliases[] = { "model_name", NULL };
static const char *const revision_aliases[] = { "revision", NULL };

const struct option config_options_table[] = { CONFIG_NAME_ROW, CACHE_ROWS, { 0 } };

const struct option model_options_table[] = {
    { "model_name_or_path", OPTION_STRING, offsetof(struct model_choice, name), NULL,
      "directory with config.json and weights, or a model's name in the hub's cache",
      .aliases = (const char *const[]){ "init_ckpt_dir", NULL } },
    CONFIG_NAME_ROW,
    CACHE_ROWS,
    { 0 },
};

#define NO_DOWNLOAD "nothing is downloaded, so nobody is asked who you are"

const struct option hub_notes[] = {
    { "token", OPTION_NOTE, .help = NO_DOWNLOAD },
    { "use_auth_token", OPTION_NOTE, .help = NO_DOWNLOAD, .bare = true },
    { "trust_remote_code", OPTION_NOTE, .help = "program code that comes with a model is never run",
      .bare = true },
    { "use_fast_tokenizer", OPTION_NOTE, .help = "there is one tokenizer, and it is fast", .bare = true },
    { 0 },
};

void model_choice_options(const struct model_choice *c, struct model_options *o)
{
    *o = (struct model_options){ .name = c->name,
                                 .config_name = c->config_name,
                                 .cache_dir = c->cache_dir,
                                 .revision = c->revision,
                                 .overrides = c->overrides };
    if (c->revision && c->name && file_exists(c->name))
        note("--model_revision: changes nothing, as %s is no model of a cache", c->name);
}

int find_tokenizer(const char *name, const char *cache_dir, const char *revision, struct tokenizer **out)
{
    const struct hub_options hub = { .cache_dir = cache_dir, .revision = revision };
    char *directory;
    int status;

    if (file_exists(name))
        return tokenizer_load(name, out);
    TRY(hub_resolve(name, &hub, &directory));
    status = tokenizer_load(directory, out);
    mem_free(directory);
    return status;
}
