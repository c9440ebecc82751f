#!/usr/bin/env bash
# BERT as a masked language model, from the column `context` of train_context.csv, batches of 4 a rank, 4 of them
# accumulated; how the ranks divide the work is left to plait. Full size:
#
#   plait train --model-name bert-large-uncased --data-files train_context.csv --cache-dir cache \
#       --tokenizer_name bert-large-uncased --per_device_train_batch_size 4 --gradient_accumulation_steps 4 \
#       --learning_rate 5e-5 --num_train_epochs 3 --do_train --do_eval --validation_split_percentage 5 --world_size 4 \
#       --output_dir run
. "$(dirname "$0")/lib/common.sh"

tales 1 60000 | contexts >train_context.csv
plait tokenizer train --files train_context.csv --text_column context --tokenizer_type wordpiece --vocab_size 400 \
  --post_processor bert --output_dir toy
plait config --config_name bert-large-uncased --tokenizer_name toy --output_dir toy --config_overrides \
  num_hidden_layers=2,num_attention_heads=2,hidden_size=64,intermediate_size=128,max_position_embeddings=64

plait train --model-name toy --data-files train_context.csv --tokenizer_name toy --per_device_train_batch_size 4 \
  --gradient_accumulation_steps 4 --learning_rate 8e-3 --max_steps 60 --do_train --do_eval \
  --validation_split_percentage 5 --world_size 2 --logging_steps 5 --output_dir run

loss_fell run 0.85
