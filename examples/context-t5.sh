#!/usr/bin/env bash
# T5 from the column `context` of train_context.csv, batches of 4 a rank, 4 of them accumulated; how the ranks divide
# the work is left to plait. Full size:
#
#   plait train --model-name t5-base --data-files train_context.csv --cache-dir cache --tokenizer_name t5-base \
#       --per_device_train_batch_size 4 --gradient_accumulation_steps 4 --learning_rate 5e-5 --num_train_epochs 3 \
#       --do_train --do_eval --validation_split_percentage 5 --world_size 4 --output_dir run
. "$(dirname "$0")/lib/common.sh"

tales 1 60000 | contexts >train_context.csv
plait tokenizer train --files train_context.csv --text_column context --tokenizer_type unigram --vocab_size 200 \
  --post_processor t5 --output_dir toy
plait config --config_name t5-base --tokenizer_name toy --output_dir toy --config_overrides \
  d_model=64,d_kv=32,d_ff=128,num_layers=2,num_heads=2,dropout_rate=0.0

plait train --model-name toy --data-files train_context.csv --tokenizer_name toy --block_size 64 \
  --per_device_train_batch_size 4 --gradient_accumulation_steps 4 --learning_rate 5e-3 --max_steps 60 --do_train \
  --do_eval --validation_split_percentage 5 --world_size 2 --logging_steps 3 --output_dir run

loss_fell run 0.8
