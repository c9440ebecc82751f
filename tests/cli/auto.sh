# What is left to plait changes no result: the same global batch gives the same curve on any number of ranks.
. "$TESTS/lib/cli.sh"
export XDG_CACHE_HOME=$PWD/cache

for ((i = 0; i < 200; i++)); do echo "line $i says what line $((i * 7 % 31)) said"; done >text.txt
"$PLAIT" tokenizer train --files text.txt --vocab_size 280 --output_dir small --log_level warning
"$PLAIT" config --config_name gpt2 --tokenizer_name small --output_dir small --log_level warning \
  --config_overrides n_embd=32,n_layer=4,n_head=4,n_positions=64
common="--config_name small --tokenizer_name small --train_file text.txt --block_size 32 --threads 1 --learning_rate 3e-3
  --max_steps 10 --logging_steps 1 --save_steps 5 --global_batch_size 16 --log_level warning"

losses() { sed -n 's/.*"loss": *\([0-9.e-]*\).*/\1/p' "$1/train_log.jsonl"; }
for ranks in 1 2 4 8; do
  "$PLAIT" train $common --output_dir on$ranks --world_size $ranks 2>err || stop "$ranks ranks: $(cat err)"
  paste <(losses on1) <(losses on$ranks) |
    awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 1e-4 * $1) bad = 1 } END { exit bad || NR != 10 }' ||
    stop "losses of $ranks ranks: $(losses on$ranks | tr '\n' ' '), expected $(losses on1 | tr '\n' ' ')"
  grep -q '"predicted_step_ms": [0-9.e-]*, ' on$ranks/train_log.jsonl || stop "no prediction on $ranks ranks"
done

# auto is a value like any other, and what was found is kept by the run that goes on: to the same bits, even
# where other options would find another layout now.
auto="--world_size 2 --data_parallel_size auto --tensor_parallel_size auto --pipeline_parallel_size auto --num_microbatches auto
  --pipeline_schedule auto --pipeline_chunks auto --zero_stage auto --recompute auto"
"$PLAIT" train $common $auto --output_dir whole 2>err || stop "$(cat err)"
status=0
"$PLAIT" train $common $auto --output_dir parts --stop_after_steps 5 2>err || status=$?
[ $status = 75 ] || stop "exit code $status: $(cat err)"
layout=$(grep -o '"layout": "[^"]*"' parts/checkpoint-5/manifest.json)
echo '{"ranks_per_host": 2, "link_bytes_per_second": 1e4, "message_seconds": 1}' >slow.json
"$PLAIT" train $common $auto --output_dir parts --resume_from_checkpoint true 2>err || stop "$(cat err)"
cmp whole/model.safetensors parts/model.safetensors || stop "another model"
"$PLAIT" plan $common --world_size 2 --cluster slow.json --output_dir parts --resume_from_checkpoint parts/checkpoint-5 --json 2>err >plan.json || stop "$(cat err)"
for size in data tensor pipeline; do
  grep -q "$size $(sed -n "s/^ *\"${size}_parallel_size\": \([0-9]*\),/\1/p" plan.json | head -1)," <<<"$layout" ||
    stop "the run's layout is $layout, now $(head -20 plan.json)"
done

# Who asks for ZeRO gets copies of the model to deal out among, and a line that says how tp divides each.
"$PLAIT" plan ${common/size 16/size 2} --world_size 4 --zero_stage 3 --output_dir none 2>err >plan.txt || stop "$(cat err)"
grep -q '^layout: data 2 x .*ZeRO 3' plan.txt || stop "ZeRO 3 deals nothing out: $(head -3 plan.txt)"
"$PLAIT" plan $common --world_size 4 --tensor_parallel_size 2 --zero_stage 3 --output_dir none 2>err >plan.txt || stop "$(cat err)"
grep -q '^tensor parallel: linears column/row, heads 4 over 2' plan.txt || stop "not divided: $(head -3 plan.txt)"

# Stages that fit in the memory given keep what they have; the others make it again, to the same bits.
staged="${common/block_size 32/block_size 64} --world_size 4 --pipeline_parallel_size 4 --pipeline_schedule 1f1b --per_device_train_batch_size 1
  --data_parallel_size 1"
needed() { "$PLAIT" plan $staged --recompute $1 --output_dir none --json 2>err | sed -n 's/^ *"needed": \([0-9.e+]*\),*/\1/p'; }
least=$(needed full) most=$(needed selective)
[ -n "$least" ] && [ "${least%.*}" -lt "${most%.*}" ] || stop "full takes $least bytes, selective $most"
between=$(((${least%.*} + ${most%.*}) / 2))
"$PLAIT" train $staged --recompute selective --output_dir kept 2>err || stop "$(cat err)"
"$PLAIT" plan $staged --device_memory $between --output_dir none 2>err >plan.txt || stop "$(cat err)"
grep -q '^layout: .*recompute full on [1-3] of 4' plan.txt || stop "with $between bytes: $(head -3 plan.txt)"
"$PLAIT" train $staged --device_memory $between --output_dir spared 2>err || stop "$(cat err)"
cmp kept/model.safetensors spared/model.safetensors || stop "recompute changes bits"

# Evaluation, generation and forward find theirs: copies, or a divided model where these do not fit; to the same results.
head -60 text.txt >valid.txt
"$PLAIT" config --config_name gpt2 --tokenizer_name small --output_dir wide --log_level warning \
  --config_overrides n_embd=384,n_layer=2,n_head=4,n_positions=64
cp small/tokenizer* wide
"$PLAIT" init --config_name wide --output_dir wide --log_level warning
evaluate() { "$PLAIT" eval --model_name_or_path wide --validation_file valid.txt --block_size 32 --per_device_eval_batch_size 4 --threads 1 "$@"; }
loss() { sed -n 's/.*"eval_loss": \([0-9.]*\).*/\1/p'; }
same() { awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; exit !(a > 0 && d < 1e-5 && d > -1e-5) }'; }
expected=$(evaluate 2>/dev/null | loss)
same "$(evaluate --world_size 4 2>err | loss)" "$expected" || stop "another loss on copies: $(cat err)"
grep -q 'Layout = 4 ranks (data 4 x tensor 1)' err || stop "not four copies: $(cat err)"
same "$(evaluate --world_size 4 --device_memory 12MB 2>err | loss)" "$expected" || stop "another loss in pieces: $(cat err)"
grep -q 'Layout = 4 ranks (data [12] x' err || stop "not divided: $(cat err)"
refuses_small() { ! evaluate --world_size 4 --device_memory 4MB >out 2>err && grep -q 'not enough memory' err; }
refuses_small || stop "fits in nothing: $(cat err)"
write() { "$PLAIT" generate --model_name_or_path wide --prompt_file valid.txt --max_new_tokens 4 --threads 1 "$@"; }
write >expected
for more in "" "--device_memory 12MB"; do
  write --world_size 4 $more >found 2>err || stop "$more: $(cat err)"
  cmp expected found || stop "other texts, $more: $(cat err)"
  grep -q 'Layout = 4 ranks (data' err || stop "no layout said: $(cat err)"
done
grep -q 'Layout = 4 ranks (data 4' err && stop "not divided: $(cat err)"
write --world_size 4 --data_parallel_size 2 --tensor_parallel_size 2 2>err | cmp expected - || stop "other texts where sizes are given"
! grep -q Layout err || stop "nothing was found: $(cat err)"
model=$GOLDEN/gpt2/heads3
"$PLAIT" forward --model_name_or_path $model --inputs $model/inputs.safetensors --world_size 3 --output forward.safetensors 2>err ||
  stop "forward: $(cat err)"
grep -q 'Layout = 3 ranks' err || stop "forward says no layout: $(cat err)"
