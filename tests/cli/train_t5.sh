# plait train on encoder and decoder follows PyTorch's 40 stored steps, alone and on ranks.
. "$TESTS/lib/cli.sh"
. "$TESTS/lib/curves.sh"
export XDG_CACHE_HOME=$PWD/cache
golden=$GOLDEN/t5/train40

run() { # DIR OPTIONS...
  local dir=$1
  shift
  "$PLAIT" train --model_name_or_path "$golden/model" --train_file "$golden/rows.jsonl" --objective seq2seq --no_shuffle \
    --max_steps 40 --learning_rate 0.01 --lr_scheduler_type linear --warmup_steps 5 --adam_beta1 0.9 --adam_beta2 0.98 \
    --adam_epsilon 1e-8 --weight_decay 0.1 --max_grad_norm 1.0 --logging_steps 1 --save_strategy no \
    --log_level warning --output_dir "$dir" "$@"
  follows plain "$dir" loss 2e-3 "$golden"
  follows plain "$dir" grad_norm 2e-2 "$golden"
}

run one --per_device_train_batch_size 4
run tp2 --per_device_train_batch_size 4 --tensor_parallel_size 2
run dp2 --per_device_train_batch_size 2 --world_size 2
run split --per_device_train_batch_size 1 --gradient_accumulation_steps 4 --recompute full

# What was trained is a model of its own: the head is not tied, and it writes on from prompts.
head -3 "$golden/rows.jsonl" | sed 's/.*"input_ids":\(\[[^]]*\]\).*/\1/' >prompts.jsonl
"$PLAIT" generate --model_name_or_path one --input_ids prompts.jsonl --num_beams 2 --max_new_tokens 5 --output out.jsonl
[ "$(grep -c '^{"ids": \[0,' out.jsonl)" = 3 ] || stop "$(cat out.jsonl)"
