# --zero_stage: what copies of the model deal out among them changes neither losses nor evaluation, on no mesh; what one
# stage has saved any other goes on from, whole or in pieces; the memory of a rank goes down.
. "$TESTS/lib/cli.sh"
export XDG_CACHE_HOME=$PWD/cache

sentences 300 >text.txt
"$PLAIT" tokenizer train --files text.txt --vocab_size 281 --output_dir small --log_level warning
"$PLAIT" config --config_name gpt2 --tokenizer_name small --output_dir small --log_level warning \
  --config_overrides n_embd=32,n_layer=4,n_head=4,n_positions=64
common="--config_name small --tokenizer_name small --train_file text.txt --validation_split_percentage 10 --block_size 32
  --threads 1 --per_device_train_batch_size 4 --gradient_accumulation_steps 4 --global_batch_size 16 --learning_rate 3e-3
  --max_steps 8 --logging_steps 1 --do_train --do_eval --evaluation_strategy steps --eval_steps 3 --save_strategy no"

declare -A layout=(
  [one]="--world_size 1" [z0]="--data_parallel_size 4 --zero_stage 0"
  [z1]="--data_parallel_size 4 --zero_stage 1" [z2]="--data_parallel_size 2 --zero_stage 2"
  [z3]="--data_parallel_size 4 --zero_stage 3"
  [z2pp]="--data_parallel_size 2 --pipeline_parallel_size 2 --zero_stage 2"
  [z3tp]="--data_parallel_size 2 --tensor_parallel_size 2 --zero_stage 3 --recompute full"
  [pieces]="--data_parallel_size 2 --tensor_parallel_size 2 --zero_stage 3 --save_sharded"
)

losses() { sed -n -e 's/.*"loss": *\([0-9.e-]*\).*/\1/p' -e 's/.*"eval_loss": *\([0-9.e-]*\).*/\1/p' "$1/train_log.jsonl"; }

# follows A B: the losses of two runs, and of their evaluations, agree to 1e-4.
follows() {
  paste <(losses $1) <(losses $2) | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 1e-4 * $2) bad = 1 } END { exit bad || NR < 8 }' ||
    stop "losses of $2: $(losses $2 | tr '\n' ' '), expected $(losses $1 | tr '\n' ' ')"
}

for l in one z1 z2 z3 z2pp z3tp; do
  "$PLAIT" train $common ${layout[$l]} --output_dir $l 2>err || stop "$l: $(cat err)"
  follows one $l
done

# ---- saved at one stage, gone on with at another
for pair in z1:z3tp z3:one one:z2pp z2pp:z3 pieces:z2 z2:pieces; do
  a=${pair%:*} b=${pair#*:} status=0
  rm -rf trip
  "$PLAIT" train $common ${layout[$a]} --output_dir trip --stop_after_steps 5 2>err || status=$?
  [ $status = 75 ] || stop "$a: exit code $status: $(cat err)"
  "$PLAIT" train $common ${layout[$b]} --output_dir trip --resume_from_checkpoint true 2>err || stop "$pair: $(cat err)"
  follows one trip
done

# ---- moments of rows and columns, and a parameter that is not trained
adafactor="--optim adafactor --freeze wpe"
"$PLAIT" train $common $adafactor ${layout[one]} --output_dir adafactor 2>err || stop "$(cat err)"
for pair in z1:z3tp z3tp:one; do
  a=${pair%:*} b=${pair#*:} status=0
  rm -rf trip
  "$PLAIT" train $common $adafactor ${layout[$a]} --output_dir trip --stop_after_steps 5 2>err || status=$?
  [ $status = 75 ] || stop "$a: exit code $status: $(cat err)"
  "$PLAIT" train $common $adafactor ${layout[$b]} --output_dir trip --resume_from_checkpoint true 2>err || stop "$pair: $(cat err)"
  follows adafactor trip
done

# ---- what a rank takes
bytes() { "$PLAIT" plan $common ${layout[$1]} --dump memory 2>/dev/null | sed -n 's/^one rank: parameters \([0-9]*\), state \([0-9]*\), gradients \([0-9]*\),.*/\1 \2 \3/p'; }
read p0 s0 g0 <<<"$(bytes z0)"
read p1 s1 g1 <<<"$(bytes z1)"
read p3 s3 g3 <<<"$(bytes z3)"
[ $p1 = $p0 ] && [ $g1 = $g0 ] && [ $((s1 * 3)) -lt $s0 ] || stop "bytes at stage 1: $p1 $s1 $g1, at stage 0 $p0 $s0 $g0"
[ $((p3 * 3)) -lt $p0 ] && [ $((g3 * 3)) -lt $g0 ] && [ $((s3 * 3)) -lt $s0 ] || stop "bytes at stage 3: $p3 $s3 $g3"

"$PLAIT" train $common --zero_stage 2 --output_dir no --dry_run 2>err || stop "$(cat err)"
[ "$(grep -c 'note: --zero_stage: .* nothing to deal out' err)" = 1 ] || stop "$(cat err)"
