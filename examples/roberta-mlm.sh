#!/usr/bin/env bash
# RoBERTa from scratch as a masked language model, with the accuracy on hidden tokens. Full size, with the tokenizer of
# tokenizer.sh and `--post_processor roberta`:
#
#   plait config --config_name roberta-base --tokenizer_name norwegian-roberta-base --output_dir norwegian-roberta-base
#   plait train --config_name norwegian-roberta-base --tokenizer_name norwegian-roberta-base \
#       --train_file 'corpus/*.txt.gz' --max_seq_length 128 --do_train --do_eval --per_device_train_batch_size 128 \
#       --per_device_eval_batch_size 128 --learning_rate 3e-4 --warmup_steps 1000 --weight_decay 0.01 --adam_beta1 0.9 \
#       --adam_beta2 0.98 --num_train_epochs 18 --logging_steps 500 --save_steps 2500 --eval_steps 2500 --output_dir run
. "$(dirname "$0")/lib/common.sh"

# One sentence a line, and each line a sample of its own: what follows what is sooner seen in so little text.
tales 1 60000 | sed 's/\. /.\n/g' >text.txt
plait tokenizer train --files text.txt --vocab_size 500 --post_processor roberta --output_dir toy
plait config --config_name roberta-base --tokenizer_name toy --output_dir toy --config_overrides \
  "num_hidden_layers=2,num_attention_heads=2,hidden_size=64,intermediate_size=128,max_position_embeddings=66,\
hidden_dropout_prob=0,attention_probs_dropout_prob=0"

plait train --config_name toy --tokenizer_name toy --train_file text.txt --line_by_line --max_seq_length 48 \
  --do_train --do_eval --per_device_train_batch_size 16 --per_device_eval_batch_size 16 --learning_rate 3e-3 --warmup_steps 10 \
  --weight_decay 0.01 --adam_beta1 0.9 --adam_beta2 0.98 --max_steps 600 --logging_steps 50 --eval_steps 300 --output_dir run

loss_fell run 0.8
echo "accuracy: $(value eval_accuracy run/eval_results.json)"
below 0.2 "$(value eval_accuracy run/eval_results.json)" || stop "hidden tokens are not found"
plait generate --model_name_or_path run --prompt "Once there<mask> a" --top_k 3
