# Checkpoints in the pieces that ranks hold: read on any other layout, taken wherever a model directory is, and the final
# model is whole all the same.
. "$TESTS/lib/cli.sh"
export XDG_CACHE_HOME=$PWD/cache

sentences 300 >text.txt
"$PLAIT" tokenizer train --files text.txt --vocab_size 280 --output_dir mid --log_level warning
# Wide enough that dividing it pays.
"$PLAIT" config --config_name gpt2 --tokenizer_name mid --output_dir mid --log_level warning \
  --config_overrides n_embd=128,n_layer=4,n_head=4,n_positions=64
common="--config_name mid --tokenizer_name mid --train_file text.txt --block_size 32 --threads 1
  --per_device_train_batch_size 4 --gradient_accumulation_steps 4 --global_batch_size 16 --learning_rate 1e-3
  --max_steps 8 --logging_steps 1 --save_steps 4"

# layout NAME: its options
declare -A layout=(
  [one]="--world_size 1" [tp2]="--tensor_parallel_size 2" [tp3]="--tensor_parallel_size 3" [tp4]="--tensor_parallel_size 4"
  [pp2]="--pipeline_parallel_size 2" [pp4]="--pipeline_parallel_size 4" [dp2]="--data_parallel_size 2"
  [zero1]="--data_parallel_size 2 --zero_stage 1" [zero2]="--data_parallel_size 4 --zero_stage 2"
  [zero3]="--data_parallel_size 2 --tensor_parallel_size 2 --zero_stage 3"
  [both]="--tensor_parallel_size 2 --pipeline_parallel_size 2" [all]="--world_size 8 --tensor_parallel_size 2 --pipeline_parallel_size 2 --zero_stage 0"
)

losses() { sed -n 's/.*"loss": *\([0-9.e-]*\).*/\1/p' "$1/train_log.jsonl"; }

# follows A B: the losses of two runs agree to 1e-4, and there are 8 of them.
follows() {
  paste <(losses $1) <(losses $2) | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 1e-4 * $2) bad = 1 } END { exit bad || NR != 8 }' ||
    stop "losses of $2: $(losses $2 | tr '\n' ' '), expected $(losses $1 | tr '\n' ' ')"
}

"$PLAIT" train $common --output_dir one 2>err || stop "one: $(cat err)"

# ---- what lies where
"$PLAIT" train $common ${layout[all]} --save_sharded --output_dir all 2>err || stop "all: $(cat err)"
follows one all
found=$(cd all/checkpoint-8 && echo *_tp_*)
expected=$(for p in 0 1; do for t in 0 1; do echo model_tp_${t}_pp_$p.safetensors optimizer_tp_${t}_pp_${p}_dp_0.safetensors; done; done |
  tr ' ' '\n' | sort | tr '\n' ' ')
[ "$found " = "$expected" ] || stop "files: $found"
[ ! -e all/checkpoint-8/model.safetensors ] || stop "whole weights too"
bytes() { cat "$@" | wc -c; }
whole=$(bytes one/checkpoint-8/*.safetensors) pieces=$(bytes all/checkpoint-8/*.safetensors)
[ $pieces -lt $((whole + whole / 50)) ] || stop "something is saved twice: $pieces bytes, $whole as a whole"
ls all | grep -q _tp_ && stop "the final model: $(ls all)"

# ---- a checkpoint of one layout, gone on with on another
pairs="one:tp2 tp2:pp2 pp2:tp4 both:dp2 dp2:both pp4:tp3 tp3:zero2 all:one zero1:zero3 zero2:pp2 zero3:tp4 zero3:zero2"
[ -z "${PLAIT_SANITIZE:-}" ] || pairs="tp2:pp2 dp2:both zero3:tp4"
for pair in $pairs; do
  a=${pair%:*} b=${pair#*:} status=0
  rm -rf trip
  "$PLAIT" train $common ${layout[$a]} --save_sharded --output_dir trip --stop_after_steps 4 2>err || status=$?
  [ $status = 75 ] || stop "$a: exit code $status: $(cat err)"
  ls trip/checkpoint-4 | grep -q '^model_tp_0_pp_0\(_dp_0\)*.safetensors$' || stop "$a: $(ls trip/checkpoint-4)"
  "$PLAIT" train $common ${layout[$b]} --output_dir trip --resume_from_checkpoint true 2>err || stop "$pair: $(cat err)"
  follows one trip
done

# Moments of rows and columns.
"$PLAIT" train $common ${layout[one]} --adafactor --output_dir rows 2>err || stop "rows: $(cat err)"
status=0
"$PLAIT" train $common ${layout[both]} --adafactor --save_sharded --output_dir trip.rows --stop_after_steps 4 2>err || status=$?
[ $status = 75 ] || stop "rows: exit code $status: $(cat err)"
prints "state of a run" "$PLAIT" checkpoint verify trip.rows/checkpoint-4
"$PLAIT" checkpoint shard trip.rows/checkpoint-4 --tensor_parallel_size 3 --output_dir rows.3 2>/dev/null
"$PLAIT" train $common ${layout[tp4]} --adafactor --output_dir trip.rows --resume_from_checkpoint rows.3 --save_strategy no 2>err || stop "rows: $(cat err)"
follows rows trip.rows

# With fewer bits in the model's files, and to the same bits on the same layout.
"$PLAIT" train $common ${layout[both]} --save_dtype bfloat16 --output_dir bits 2>err || stop "bits: $(cat err)"
status=0
"$PLAIT" train $common ${layout[both]} --save_dtype bfloat16 --save_sharded --output_dir again --stop_after_steps 4 2>err || status=$?
[ $status = 75 ] || stop "again: exit code $status: $(cat err)"
ls again/checkpoint-4 | grep -q '^master_tp_1_pp_1_dp_0.safetensors$' || stop "master: $(ls again/checkpoint-4)"
"$PLAIT" train $common ${layout[both]} --save_dtype bfloat16 --save_sharded --output_dir again --resume_from_checkpoint true 2>err ||
  stop "again: $(cat err)"
cmp bits/model.safetensors again/model.safetensors || stop "resuming from pieces changes bits"

# ---- wherever a model directory is taken
dir=all/checkpoint-8
prints "tensors in 4 files" "$PLAIT" inspect $dir
for d in all $dir; do
  "$PLAIT" generate --model_name_or_path $d --prompt "the cat" --max_new_tokens 8 >generated.${d%%/*}${d##*-} || stop "generate: $d"
  "$PLAIT" eval --model_name_or_path $d --validation_file text.txt --block_size 32 ${layout[tp2]} 2>/dev/null |
    grep eval_loss >evaluated.${d%%/*}${d##*-} || stop "eval: $d"
done
cmp generated.allall generated.all8 && cmp evaluated.allall evaluated.all8 || stop "another model in pieces"
"$PLAIT" init --model_name_or_path $dir --output_dir whole --log_level warning || stop "init"
cmp whole/model.safetensors all/model.safetensors || stop "init changes weights"
"$PLAIT" train --model_name_or_path $dir --train_file text.txt --block_size 32 --max_steps 1 --save_strategy no --output_dir more \
  --threads 1 ${layout[tp2]} 2>err || stop "train: $(cat err)"

# ---- what is not whole
cp -r $dir broken
rm broken/model_tp_1_pp_0.safetensors
refuses 65 "is in none of the files" "$PLAIT" generate --model_name_or_path broken --prompt x
rm -rf all/checkpoint-4
rm $dir/optimizer_tp_1_pp_1_dp_0.safetensors
refuses 65 "checkpoint-8/optimizer_tp_1_pp_1_dp_0.safetensors: missing" "$PLAIT" train $common --output_dir all --resume_from_checkpoint true
