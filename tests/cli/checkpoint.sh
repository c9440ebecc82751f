# plait checkpoint: pieces made whole, everything that is wrong named, checkpoints listed.
. "$TESTS/lib/cli.sh"
export XDG_CACHE_HOME=$PWD/cache

for ((i = 0; i < 200; i++)); do echo "line $i says what line $((i * 7 % 31)) said"; done >text.txt
"$PLAIT" tokenizer train --files text.txt --vocab_size 280 --output_dir mid --log_level warning
"$PLAIT" config --config_name gpt2 --tokenizer_name mid --output_dir mid --log_level warning \
  --config_overrides n_embd=128,n_layer=2,n_head=4,n_positions=64
common="--config_name mid --tokenizer_name mid --train_file text.txt --block_size 32 --threads 1 --learning_rate 1e-3
  --per_device_train_batch_size 4 --max_steps 6 --logging_steps 1 --save_steps 2"
"$PLAIT" train $common --tensor_parallel_size 2 --pipeline_parallel_size 2 --save_sharded --output_dir run 2>err || stop "$(cat err)"

# ---- merge
says "whole: 28 tensors of 4 files, and the state of a run, which can go on from there" \
  "$PLAIT" checkpoint merge run/checkpoint-4 --output_dir whole
[ "$(ls whole | tr '\n' ' ')" = "config.json generation_config.json manifest.json merges.txt model.safetensors optimizer.safetensors tokenizer.json tokenizer_config.json trainer_state.json vocab.json " ] ||
  stop "merged: $(ls whole)"
"$PLAIT" checkpoint merge run/checkpoint-6 --output_dir last 2>/dev/null
cmp last/model.safetensors run/model.safetensors || stop "another model"
# A run goes on from it as from the pieces.
for from in run/checkpoint-4 whole; do
  "$PLAIT" train $common --output_dir on.${from%%/*} --resume_from_checkpoint $from --save_strategy no 2>err || stop "$from: $(cat err)"
done
cmp on.run/model.safetensors on.whole/model.safetensors || stop "a merged checkpoint is another one"
# Into itself, over an older one, without a state, and in several files.
cp -r run/checkpoint-4 self
"$PLAIT" checkpoint merge self --output_dir self 2>/dev/null
cmp self/optimizer.safetensors whole/optimizer.safetensors && [ "$(ls self)" = "$(ls whole)" ] || stop "into itself: $(ls self)"
"$PLAIT" train $common --tensor_parallel_size 2 --save_sharded --save_only_model --max_train_samples 20 --output_dir only 2>/dev/null
says "no state of a run" "$PLAIT" checkpoint merge only/checkpoint-6 --output_dir whole
[ ! -e whole/manifest.json ] && [ ! -e whole/optimizer.safetensors ] || stop "an old state is left: $(ls whole)"
"$PLAIT" checkpoint merge run/checkpoint-6 --output_dir whole --max_shard_size 1MB 2>/dev/null
ls whole | grep -q '^model-00002-of-00002.safetensors$' || stop "in several files: $(ls whole)"
[ "$("$PLAIT" generate --model_name_or_path whole --prompt "line 7")" = "$("$PLAIT" generate --model_name_or_path run --prompt "line 7")" ] ||
  stop "another model in several files"

# ---- shard
"$PLAIT" checkpoint merge run/checkpoint-4 --output_dir whole 2>/dev/null
for sizes in "3 1" "1 2" "4 2" "1 1"; do
  rm -rf pieces again
  says "pieces: 28 tensors of 1 file, and the state of a run" \
    "$PLAIT" checkpoint shard whole --tensor_parallel_size ${sizes% *} --pipeline_parallel_size ${sizes#* } --output_dir pieces
  count=$((${sizes% *} * ${sizes#* }))
  prints "28 tensors in $count file$([ $count = 1 ] || echo s) of weights, state of a run" "$PLAIT" checkpoint verify pieces
  [ $(ls pieces | grep -c '^optimizer_tp_._pp_._dp_0.safetensors$') = $count ] || stop "$sizes: $(ls pieces)"
  "$PLAIT" checkpoint merge pieces --output_dir again 2>/dev/null
  cmp again/model.safetensors whole/model.safetensors && cmp again/optimizer.safetensors whole/optimizer.safetensors || stop "$sizes: changed"
done
"$PLAIT" checkpoint shard pieces --tensor_parallel_size 2 --output_dir pieces 2>/dev/null
[ "$(ls pieces | grep _tp_ | tr '\n' ' ')" = "model_tp_0_pp_0.safetensors model_tp_1_pp_0.safetensors optimizer_tp_0_pp_0_dp_0.safetensors optimizer_tp_1_pp_0_dp_0.safetensors " ] ||
  stop "into itself: $(ls pieces)"
"$PLAIT" train $common --output_dir on.pieces --resume_from_checkpoint pieces --save_strategy no 2>err || stop "$(cat err)"
cmp on.run/model.safetensors on.pieces/model.safetensors || stop "a sharded checkpoint is another one"
refuses 78 "the model has 2 (nearest: 2)" "$PLAIT" checkpoint shard whole --pipeline_parallel_size 3 --output_dir nothing

# ---- init
"$PLAIT" init --config_name mid --output_dir begin --log_level warning
"$PLAIT" init --config_name mid --tensor_parallel_size 2 --pipeline_parallel_size 2 --output_dir pieces --log_level warning
prints "28 tensors in 4 files of weights; " "$PLAIT" checkpoint verify pieces
[ ! -e pieces/trainer_state.json ] && [ ! -e pieces/optimizer_tp_0_pp_0_dp_0.safetensors ] || stop "an old state is left: $(ls pieces)"
"$PLAIT" checkpoint merge pieces --output_dir again 2>/dev/null
cmp again/model.safetensors begin/model.safetensors || stop "other random weights in pieces"
"$PLAIT" init --model_name_or_path pieces --vocab_size 301 --new_rows mean --save_dtype bfloat16 --tensor_parallel_size 2 --output_dir more --log_level warning
"$PLAIT" init --model_name_or_path begin --vocab_size 301 --new_rows mean --save_dtype bfloat16 --output_dir again --log_level warning
"$PLAIT" checkpoint merge more --output_dir more 2>/dev/null
cmp more/model.safetensors again/model.safetensors || stop "other rows in pieces"

# ---- verify
"$PLAIT" checkpoint merge run/checkpoint-6 --output_dir whole 2>/dev/null
prints "28 tensors in 4 files of weights, state of a run; 15 files, " "$PLAIT" checkpoint verify run/checkpoint-6
prints "no manifest, so sizes and checksums are not known" "$PLAIT" checkpoint verify run
[ $("$PLAIT" checkpoint verify whole | wc -l) = 1 ] || stop "verify whole"

# faulty LINE...: exactly these faults of `bad`, a line each.
faulty() {
  local status=0 line
  "$PLAIT" checkpoint verify bad >out 2>err || status=$?
  [ $status = 65 ] || stop "exit code $status: $(cat out err)"
  for line; do grep -qF -e "$line" out || stop "found $(cat out), expected $line"; done
  [ $(wc -l <out) = $# ] || stop "found $(cat out), expected $# lines"
  [ "$(cat err)" = "plait: error: bad: $# fault$([ $# = 1 ] || echo s)" ] || stop "$(cat err)"
}
bad() {
  rm -rf bad
  cp -r run/checkpoint-6 bad
}
bad
rm bad/model_tp_1_pp_0.safetensors
printf x | dd of=bad/optimizer_tp_1_pp_1_dp_0.safetensors bs=1 seek=90000 conv=notrunc 2>/dev/null
faulty "bad/model_tp_1_pp_0.safetensors: missing" ' is in none of the files, and ' \
  'bad/optimizer_tp_1_pp_1_dp_0.safetensors: checksum of bytes 0 to '
bad
truncate -s -1 bad/model_tp_0_pp_1.safetensors
faulty "bad/model_tp_0_pp_1.safetensors: wrong size (found " ": data ends at "
bad
cp bad/model_tp_0_pp_0.safetensors bad/model_tp_7_pp_0.safetensors
faulty ' is there 2 times (expected once), and '
bad
cp only/checkpoint-6/model_tp_1_pp_0.safetensors bad/
faulty "bad/model_tp_1_pp_0.safetensors: " "bad: shards of different saves: "
bad
sed -i 's/"step": 6/"step": 7/' bad/manifest.json
faulty "manifest.json: its own checksum differs"
bad
printf '{' >bad/config.json
faulty "bad/config.json: wrong size" "bad/config.json:1:2"
refuses 66 "none: no such directory" "$PLAIT" checkpoint verify none
refuses 66 "text.txt: not a directory" "$PLAIT" checkpoint verify text.txt

# What cannot be opened is not merged, and nothing is left of the attempt.
bad
rm bad/model_tp_1_pp_0.safetensors
refuses 65 "is in none of the files" "$PLAIT" checkpoint merge bad --output_dir nothing
bad
rm bad/optimizer_tp_1_pp_0_dp_0.safetensors
refuses 65 "bad/optimizer_tp_1_pp_0_dp_0.safetensors: missing" "$PLAIT" checkpoint merge bad --output_dir nothing
# Nor is damage, which a new manifest would take for good.
bad
printf x | dd of=bad/model_tp_1_pp_0.safetensors bs=1 seek=30000 conv=notrunc 2>/dev/null
refuses 65 "bad/model_tp_1_pp_0.safetensors: checksum of bytes 0 to " "$PLAIT" checkpoint merge bad --output_dir nothing
refuses 65 "bad/model_tp_1_pp_0.safetensors: checksum of bytes 0 to " "$PLAIT" checkpoint shard bad --output_dir nothing
bad
sed -i 's/"step": 6/"step": 7/' bad/manifest.json
refuses 65 "manifest.json: its own checksum differs" "$PLAIT" checkpoint merge bad --output_dir nothing
[ ! -e nothing ] || [ -z "$(ls -A nothing)" ] || stop "left behind: $(ls -A nothing)"

# ---- list
truncate -s -1 run/checkpoint-4/config.json
"$PLAIT" checkpoint list run >out
[ "$(awk '{ print $1, substr($2, 1, 3) }' out | tr '\n' ' ')" = "step siz 2 5.3 4 dam 6 5.3 " ] || stop "list: $(cat out)"
grep -q '^ *6 .*  4 pieces    tensor 2 x pipeline 2  *20..-..-.. ..:..:..  good$' out || stop "list: $(cat out)"
"$PLAIT" checkpoint list only | grep -q '^ *6 .*  2 pieces    tensor 2  *20.* good, model only$' || stop "list: $("$PLAIT" checkpoint list only)"
refuses 66 "mid: no checkpoints in it" "$PLAIT" checkpoint list mid
refuses 64 "which one is missing" "$PLAIT" checkpoint list
refuses 64 "one thing at a time" "$PLAIT" checkpoint verify run run
refuses 64 "--output_dir is missing" "$PLAIT" checkpoint merge run
