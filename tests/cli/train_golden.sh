# plait train follows PyTorch's 40 stored steps, alone and on ranks, with the options that made them.
. "$TESTS/lib/cli.sh"
. "$TESTS/lib/curves.sh"
export XDG_CACHE_HOME=$PWD/cache
golden=$GOLDEN/gpt2/train40

# run CURVE DIR OPTIONS...
run() {
  local curve=$1 dir=$2 rate=0.01
  shift 2
  [ "$curve" != adafactor_flax ] || rate=0.1
  "$PLAIT" train --model_name_or_path "$golden/model" --block_size 32 --no_shuffle --max_steps 40 --learning_rate "$rate" \
    --lr_scheduler_type linear --warmup_steps 5 --adam_beta1 0.9 --adam_beta2 0.98 --adam_epsilon 1e-8 \
    --weight_decay 0.1 --logging_steps 1 --save_strategy no --log_level warning --output_dir "$dir" "$@"
  follows "$curve" "$dir" loss 2e-3 "$golden"
  follows "$curve" "$dir" grad_norm 2e-2 "$golden"
  follows "$curve" "$dir" learning_rate 1e-12 "$golden"
}

plain="--train_file $golden/plain.jsonl --max_grad_norm 1.0"
accumulate="--train_file $golden/labelled.jsonl --max_grad_norm 1.5"
run plain plain $plain --per_device_train_batch_size 4
run plain rows $plain --per_device_train_batch_size 4 --line_by_line --recompute none
run plain dp2 $plain --per_device_train_batch_size 2 --world_size 2
run accumulate accumulate $accumulate --per_device_train_batch_size 4 --gradient_accumulation_steps 2
run accumulate tp2 $accumulate --per_device_train_batch_size 8 --tensor_parallel_size 2
run accumulate dp2tp2 $accumulate --per_device_train_batch_size 2 --gradient_accumulation_steps 2 --world_size 4 \
  --tensor_parallel_size 2
run accumulate uneven $accumulate --per_device_train_batch_size 3 --world_size 3 --global_batch_size 8

# Adafactor; c_attn.bias as in the oracle, see there
factored="$plain --per_device_train_batch_size 4 --freeze c_attn.bias"
run adafactor adafactor $factored --optim adafactor
run adafactor adafactor_tp2 $factored --optim adafactor --tensor_parallel_size 2
run adafactor_flax adafactor_flax $factored --adafactor

# Label smoothing and z-loss: the vocabulary whole, and dealt out
smooth="$accumulate --per_device_train_batch_size 4 --gradient_accumulation_steps 2 --label_smoothing_factor 0.1 --z_loss 0.01"
run smooth smooth $smooth
run smooth smooth_tp2 $smooth --tensor_parallel_size 2
