# A run through the stages of a pipeline, on any mesh and by any schedule, is the run of one rank; what one layout has saved
# any other goes on from.
. "$TESTS/lib/cli.sh"
export XDG_CACHE_HOME=$PWD/cache

sentences 300 >text.txt
"$PLAIT" tokenizer train --files text.txt --vocab_size 280 --output_dir small --log_level warning
"$PLAIT" config --config_name gpt2 --tokenizer_name small --output_dir small --log_level warning \
  --config_overrides n_embd=32,n_layer=4,n_head=4,n_positions=64
common="--config_name small --tokenizer_name small --train_file text.txt --validation_split_percentage 10 --block_size 32
  --threads 1 --per_device_train_batch_size 4 --gradient_accumulation_steps 4 --global_batch_size 16 --learning_rate 3e-3
  --max_steps 12 --logging_steps 1 --do_train --do_eval --save_strategy no"

# layout NAME: its options
declare -A layout=(
  [one]="--world_size 1" [dp]="--data_parallel_size 2" [tp]="--tensor_parallel_size 2"
  [pp]="--pipeline_parallel_size 2" [gpipe]="--pipeline_parallel_size 4 --pipeline_schedule gpipe"
  [zero]="--pipeline_parallel_size 2 --tensor_parallel_size 2 --pipeline_schedule zero_bubble"
  [all]="--world_size 8 --pipeline_parallel_size 2 --tensor_parallel_size 2"
  [chunks]="--pipeline_parallel_size 2 --pipeline_chunks 2"
)

losses() { sed -n 's/.*"loss": *\([0-9.e-]*\).*/\1/p' "$1/train_log.jsonl"; }

# follows A B: the losses of two runs agree to 1e-4, and there are 12 of them.
follows() {
  paste <(losses $1) <(losses $2) | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 1e-4 * $2) bad = 1 } END { exit bad || NR != 12 }' ||
    stop "losses of $2: $(losses $2 | tr '\n' ' '), expected $(losses $1 | tr '\n' ' ')"
}

for l in one pp gpipe zero all chunks; do
  "$PLAIT" train $common ${layout[$l]} --output_dir $l 2>err || stop "$l: $(cat err)"
  follows one $l
  for run in one $l; do
    sed -n 's/.*"eval_loss": *\([0-9.]*\).*/\1/p' $run/eval_results.json
  done | awk '{ v[NR] = $1 } END { d = v[1] - v[2]; exit NR != 2 || d > 1e-4 || d < -1e-4 }' || stop "evaluation of $l"
done
grep -q '(data 2 x tensor 2 x pipeline 2), 1f1b with 2 microbatches' <("$PLAIT" train $common ${layout[all]} \
  --pipeline_schedule 1f1b --num_microbatches 2 \
  --output_dir other --dry_run 2>&1) || stop "the layout is not told"

# ---- saved on one layout, gone on with on another
for pair in one:pp pp:one pp:tp tp:pp zero:dp dp:zero chunks:gpipe gpipe:chunks all:one one:all pp:zero zero:chunks; do
  a=${pair%:*} b=${pair#*:} status=0
  rm -rf trip
  "$PLAIT" train $common ${layout[$a]} --output_dir trip --stop_after_steps 6 2>err || status=$?
  [ $status = 75 ] || stop "$a: exit code $status: $(cat err)"
  "$PLAIT" train $common ${layout[$b]} --output_dir trip --resume_from_checkpoint true 2>err || stop "$pair: $(cat err)"
  follows one trip
done

# ---- what cannot be
refuses 78 "the model has 4 (nearest: 4)" "$PLAIT" train $common --output_dir no --pipeline_parallel_size 5
refuses 78 "takes a multiple of the 2 pipeline ranks (nearest: 2)" "$PLAIT" train $common --output_dir no \
  --pipeline_parallel_size 2 --pipeline_schedule interleaved --num_microbatches 3
refuses 78 "--num_microbatches: more than the samples of one rank's step (found 17, expected at most 16)" \
  "$PLAIT" train $common --output_dir no --pipeline_parallel_size 2 --num_microbatches 17
refuses 78 "several need interleaved" "$PLAIT" train $common --output_dir no --pipeline_parallel_size 2 \
  --pipeline_chunks 2 --pipeline_schedule 1f1b
refuses 78 "--pipeline_chunks: one rank has the whole model" "$PLAIT" train $common --output_dir no --pipeline_chunks 2
refuses 78 "pipeline_parallel_size 2 (found 3, expected 2 or 4)" "$PLAIT" train $common --output_dir no --pipeline_parallel_size 2 --world_size 3
refuses 78 "not data_parallel_size 2 x tensor_parallel_size 2 x pipeline_parallel_size 2 (found 6, expected 8)" "$PLAIT" train $common \
  --output_dir no --data_parallel_size 2 --tensor_parallel_size 2 --pipeline_parallel_size 2 --world_size 6
[ ! -e no ] || stop "a refused run has left its directory"

# ---- what an evaluation has no use for is told
says "note: --num_microbatches: changes nothing, as an evaluation sends whole batches through the stages" "$PLAIT" eval \
  --model_name_or_path one --validation_file text.txt --block_size 32 --pipeline_parallel_size 2 --num_microbatches 2
