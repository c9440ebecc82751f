# plait train of masked LMs follows PyTorch's 40 stored steps, alone and on ranks.
. "$TESTS/lib/cli.sh"
. "$TESTS/lib/curves.sh"
export XDG_CACHE_HOME=$PWD/cache

run() { # FAMILY DIR OPTIONS...
  local golden=$GOLDEN/$1/train40 dir=$2
  "$PLAIT" train --model_name_or_path "$golden/model" --train_file "$golden/rows.jsonl" --tokenizer_name "$GOLDEN/$1/fill" --block_size 32 --no_shuffle \
    --line_by_line --max_steps 40 --learning_rate 0.01 --lr_scheduler_type linear --warmup_steps 5 --adam_beta1 0.9 \
    --adam_beta2 0.98 --adam_epsilon 1e-8 --weight_decay 0.1 --max_grad_norm 1.0 --logging_steps 1 --save_strategy no \
    --log_level warning --output_dir "$dir" "${@:3}" || stop "$dir"
  follows plain "$dir" loss 2e-3 "$golden"
  follows plain "$dir" grad_norm 2e-2 "$golden"
}

run bert bert --per_device_train_batch_size 4
run bert bert_tp2 --per_device_train_batch_size 2 --gradient_accumulation_steps 2 --tensor_parallel_size 2
run bert bert_dp2 --per_device_train_batch_size 2 --world_size 2 --recompute full
run roberta roberta --per_device_train_batch_size 4
run roberta roberta_tp2 --per_device_train_batch_size 4 --tensor_parallel_size 2

# With dropout the layout does not change the result either: masks belong to places. Classes too.
classes() { awk 'BEGIN { for (i = 0; i < 32; i++) printf "{\"text\": \"the %s dog %s\", \"label\": %d}\n", i % 3 ? "big" : "red", i % 5 ? "runs" : "sits", i % 3 ? 1 : 0 }'; }
classes >classes.jsonl
dropped() { # DIR OPTIONS...
  "$PLAIT" train --model_name_or_path "$GOLDEN/bert/train40/model" --tokenizer_name "$GOLDEN/bert/fill" --max_steps 8 \
    --learning_rate 0.01 --logging_steps 1 --save_strategy no --log_level warning --line_by_line --no_shuffle \
    --config_overrides hidden_dropout_prob=0.3,attention_probs_dropout_prob=0.2 --output_dir "$@" 2>warnings ||
    stop "$1: $(cat warnings)"
}
rows="--train_file $GOLDEN/bert/train40/rows.jsonl --block_size 32"
dropped masked $rows --per_device_train_batch_size 4
dropped masked_tp2 $rows --per_device_train_batch_size 4 --tensor_parallel_size 2
dropped masked_dp2 $rows --per_device_train_batch_size 2 --data_parallel_size 2
alike masked masked_tp2 8
alike masked masked_dp2 8
classes="--train_file classes.jsonl --objective classification"
dropped classes $classes --per_device_train_batch_size 4
dropped classes_tp2 $classes --per_device_train_batch_size 4 --tensor_parallel_size 2
dropped classes_dp2 $classes --per_device_train_batch_size 2 --data_parallel_size 2
alike classes classes_tp2 8
alike classes classes_dp2 8

# What is saved is what transformers names, and is read again.
"$PLAIT" inspect bert/model.safetensors >tensors
grep -q '^cls.predictions.transform.dense.weight ' tensors && grep -q '^cls.predictions.bias ' tensors ||
  stop "$(cat tensors)"
! grep -q decoder tensors || stop "the tied table is there twice"
"$PLAIT" eval --model_name_or_path bert --validation_file "$GOLDEN/bert/train40/rows.jsonl" --line_by_line \
  --tokenizer_name "$GOLDEN/bert/fill" --block_size 32 >eval.json || stop "eval"
grep -q '"eval_loss"' eval.json || stop "$(cat eval.json)"
