#!/usr/bin/env bash
# BERT as a classifier: rows with a text and a class. Full size, with BERT in the cache of the Hugging Face hub:
#
#   plait train --model_name_or_path bert-base-uncased --train_file reviews.csv --text_column review \
#       --label_column sentiment --max_seq_length 128 --do_train --do_eval --per_device_train_batch_size 32 \
#       --learning_rate 2e-5 --warmup_ratio 0.1 --num_train_epochs 3 --load_best_model_at_end \
#       --metric_for_best_model accuracy --eval_strategy epoch --save_strategy epoch --output_dir run
. "$(dirname "$0")/lib/common.sh"

# Is the tale about her or about him?
tales 1 60000 | awk 'BEGIN { print "text,who" }
  { n = split($0, s, /\. /); gsub(/"/, "", s[2]); who = s[2] ~ /^She/ ? "her" : "him"
    printf "\"%s. %s.\",%s\n", s[1], s[2], who }' >tales.csv
plait tokenizer train --files tales.csv --text_column text --tokenizer_type wordpiece --vocab_size 300 \
  --post_processor bert --output_dir toy
plait config --config_name bert-base-uncased --tokenizer_name toy --output_dir toy --config_overrides \
  num_hidden_layers=2,num_attention_heads=2,hidden_size=32,intermediate_size=64,max_position_embeddings=64

plait train --config_name toy --tokenizer_name toy --train_file tales.csv --text_column text --label_column who \
  --max_seq_length 64 --do_train --do_eval --validation_split_percentage 20 --per_device_train_batch_size 16 \
  --learning_rate 3e-3 --warmup_ratio 0.1 --max_steps 50 --logging_steps 5 --eval_strategy steps --eval_steps 25 \
  --save_strategy steps --save_steps 25 --load_best_model_at_end --metric_for_best_model accuracy --output_dir run

loss_fell run 0.5
echo "accuracy: $(value eval_accuracy run/eval_results.json)"
below 0.9 "$(value eval_accuracy run/eval_results.json)" || stop "the classes are not told apart"
