# plait plan: what train would run, printed pass by pass, without touching anything.
. "$TESTS/lib/cli.sh"

export XDG_CACHE_HOME=$PWD/cache
for ((i = 0; i < 200; i++)); do echo "line $i says what line $((i * 7 % 31)) said"; done >train.txt
"$PLAIT" tokenizer train --files train.txt --vocab_size 280 --output_dir small --log_level warning
"$PLAIT" config --config_name gpt2 --tokenizer_name small --output_dir small --log_level warning \
  --config_overrides n_embd=32,n_layer=2,n_head=2,n_positions=64
common="--config_name small --tokenizer_name small --train_file train.txt --block_size 32 --seed 3"

prints "one rank: parameters " "$PLAIT" plan $common
[ "$(ls)" = "$(printf 'cache\nprinted.err\nprinted.out\nsmall\ntrain.txt')" ] || stop "something was made: $(ls)"

# Each stage has what its pass puts in, and nothing of a later one.
"$PLAIT" plan $common --world_size 2 --tensor_parallel_size 2 --dump all >all.txt 2>/dev/null
[ "$(grep '^# ' all.txt | tr '\n' ' ')" = "# graph # grad # optimizer # shard # stages # recompute # fuse # precision # memory " ] ||
  stop "stages: $(grep '^# ' all.txt)"
stage() { awk -v name="# $1" '/^# / { on = $0 == name } on' all.txt; }
has() { stage "$1" | grep -qF -e "$2" || stop "$1 has no $2"; }
lacks() { ! stage "$1" | grep -qF -e "$2" || stop "$1 has $2"; }
has graph "= linear("
lacks graph "linear_grad_weight"
has grad "linear_grad_weight"
lacks grad "adamw"
has optimizer "adamw"
lacks optimizer "all_reduce"
has shard " tp:S"
has memory ' by "'
has memory "alive at once"
"$PLAIT" plan $common --dump memory 2>/dev/null | grep -c '^# ' | grep -qx 1 || stop "more than was asked for"

refuses 64 "--dump everything: no such stage" "$PLAIT" plan $common --dump everything
refuses 64 "--output_dir is missing" "$PLAIT" plan $common --resume_from_checkpoint auto
