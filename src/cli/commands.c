/* The commands. A new one is a file cmd_<name>.c and a row here. */
#include "base/err.h"
#include "cli/cli.h"

extern const struct command command_train, command_plan, command_eval, command_generate;
extern const struct command command_bench, command_config, command_init, command_inspect, command_forward;
extern const struct command command_tokenizer_train, command_tokenizer_encode, command_tokenizer_decode;

extern const struct command command_checkpoint_merge, command_checkpoint_shard, command_checkpoint_verify,
    command_checkpoint_list;

static int run_manual(void *values, struct options *o)
{
    struct str text;
    int status;

    str_init(&text);
    manual_print(&text);
    status = write_text(NULL, &text);
    str_release(&text);
    return status;
}

static const struct option_part no_parts[] = { { 0 } };
static const struct command command_manual = { .name = "manual", .parts = no_parts, .run = run_manual };

const struct command *const command_table[] = {
    &command_tokenizer_train,
    &command_tokenizer_encode,
    &command_tokenizer_decode,
    &command_config,
    &command_init,
    &command_train,
    &command_plan,
    &command_eval,
    &command_generate,
    &command_forward,
    &command_checkpoint_merge,
    &command_checkpoint_shard,
    &command_checkpoint_verify,
    &command_checkpoint_list,
    &command_inspect,
    &command_bench,
    &command_manual, /* not listed: makes docs/plait.1 */
    NULL,
};
