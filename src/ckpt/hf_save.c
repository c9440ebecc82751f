/* Writing model directories. The trainer's checkpoints and `plait init` go the same way; only where the
 * values come from differs. */
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "ckpt/deal.h"
#include "ckpt/hf.h"

/* ---- config.json and generation_config.json ---- */

static const char *json_dtype(const struct model_save_options *o)
{
    const char *element = weights_save_dtype(o->dtype ? o->dtype : "float32");

    if (!element)
        return NULL;
    return strcmp(element, "F32") == 0   ? "\"float32\""
           : strcmp(element, "F16") == 0 ? "\"float16\""
                                         : "\"bfloat16\"";
}

static int write_config(struct save *s, const struct config *c, const struct model_save_options *o)
{
    const char *key = config_get(c, "torch_dtype") && !config_get(c, "dtype") ? "torch_dtype" : "dtype";
    struct config saved;
    struct str text;
    int status;

    str_init(&text);
    config_write(c, &text);
    status = config_parse(&saved, c->name, text.data, text.length);
    if (status != OK)
        BUG("a config that was read is none: %s", error_message());
    str_clear(&text);
    str_appendf(&text, "[\"%s\"]", c->architecture);
    config_set(&saved, "architectures", text.data);
    config_set(&saved, key, json_dtype(o));
    str_clear(&text);
    config_write(&saved, &text);
    status = save_file(s, "config.json", MANIFEST_MODEL, text.data, text.length);
    str_release(&text);
    config_release(&saved);
    return status;
}

static int write_generation_config(struct save *s, const struct config *c, const struct model_save_options *o)
{
    static const char *const keys[] = { "bos_token_id", "decoder_start_token_id", "eos_token_id",
                                        "pad_token_id", "transformers_version" };
    char *path = o->generation_dir ? path_join(o->generation_dir, "generation_config.json") : NULL;
    struct json_writer w;
    struct str text;
    int status;

    str_init(&text);
    if (path && file_exists(path)) {
        status = save_file_copy(s, "generation_config.json", MANIFEST_MODEL, path);
    } else {
        json_writer_init(&w, &text, 2);
        json_write_object_begin(&w);
        json_write_key(&w, "_from_model_config");
        json_write_bool(&w, true);
        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
            const char *json = config_get(c, keys[i]);
            if (!json || strcmp(json, "null") == 0)
                continue;
            json_write_key(&w, keys[i]);
            json_write_raw(&w, json, strlen(json));
        }
        json_write_object_end(&w);
        str_append(&text, "\n");
        status = save_file(s, "generation_config.json", MANIFEST_MODEL, text.data, text.length);
    }
    str_release(&text);
    mem_free(path);
    return status;
}

/* ---- the tokenizer's files ---- */

int model_copy_tokenizer(struct save *s, const char *directory)
{
    static const char *const names[] = {
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "merges.txt",
        "vocab.txt",
        "tokenizer.model",
        "spiece.model",
        "chat_template.jinja",
        "sentencepiece.bpe.model",
    };
    int status = OK;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && status == OK; i++) {
        char *path = path_join(directory, names[i]);
        if (file_exists(path))
            status = save_file_copy(s, names[i], MANIFEST_MODEL, path);
        mem_free(path);
    }
    return status;
}

/* ---- the directory ---- */

int model_write_beside(struct save *s, const struct config *c, const struct model_save_options *o)
{
    if (!json_dtype(o))
        return fail(ERR_CONFIG, "weights cannot be saved as \"%s\" (expected float32, bfloat16 or float16)",
                    o->dtype);
    TRY(write_config(s, c, o));
    TRY(write_generation_config(s, c, o));
    return o->tokenizer_dir ? model_copy_tokenizer(s, o->tokenizer_dir) : OK;
}

int model_write(struct save *s, const struct config *c, const struct weights_param *params, size_t count,
                const struct model_save_options *o)
{
    const struct weights_save_options weights = {
        .dtype = o->dtype, .max_shard_bytes = o->max_shard_bytes, .kind = MANIFEST_MODEL, .tag = o->tag
    };
    const struct deal_save_options pieces = {
        .base = "model", .dtype = o->dtype, .kind = MANIFEST_MODEL, .tag = o->tag
    };

    TRY(model_write_beside(s, c, o));
    if (o->deal)
        return deal_save(o->deal, s, params, count, &pieces);
    return weights_save(s, params, count, &weights);
}

int model_save(const char *directory, const struct config *c, const struct weights_param *params,
               size_t count, const struct model_save_options *o)
{
    const struct weights_save_options weights = { .dtype = o->dtype };
    const struct save_options options = { .directory = directory,
                                          .name = "model",
                                          .manifest = o->deal != NULL,
                                          .bytes = weights_save_bytes(params, count, &weights) };
    struct save *s;
    int status;

    TRY(save_begin(&s, &options));
    status = model_write(s, c, params, count, o);
    if (status != OK) {
        save_abort(s);
        return status;
    }
    return save_install(s);
}
