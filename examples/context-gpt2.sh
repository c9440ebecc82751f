#!/usr/bin/env bash
# GPT-2 from the column `context` of train_context.csv, batches of 4 a rank, 4 of them accumulated; how the ranks divide
# the work is left to plait. Full size:
#
#   plait train --model-name gpt2 --data-files train_context.csv --cache-dir cache --tokenizer_name gpt2 \
#       --per_device_train_batch_size 4 --gradient_accumulation_steps 4 --learning_rate 5e-5 --num_train_epochs 3 \
#       --do_train --do_eval --validation_split_percentage 5 --world_size 4 --output_dir run
. "$(dirname "$0")/lib/common.sh"

tales 1 60000 | contexts >train_context.csv
plait tokenizer train --files train_context.csv --text_column context --vocab_size 400 \
  --special_tokens '<|endoftext|>' --output_dir toy
plait config --config_name gpt2 --tokenizer_name toy --output_dir toy --config_overrides \
  n_layer=2,n_head=2,n_embd=64,n_positions=64,resid_pdrop=0.0,embd_pdrop=0.0,attn_pdrop=0.0

plait train --model-name toy --data-files train_context.csv --tokenizer_name toy --per_device_train_batch_size 4 \
  --gradient_accumulation_steps 4 --learning_rate 5e-3 --max_steps 30 --do_train --do_eval \
  --validation_split_percentage 5 --world_size 2 --logging_steps 3 --output_dir run

loss_fell run 0.8
