#!/usr/bin/env bash
# T5 v1.1 from scratch on spans that are cut out, with Adafactor. Full size, with the tokenizer of tokenizer.sh:
#
#   plait config --config_name google/t5-v1_1-base --tokenizer_name norwegian-t5-base --output_dir norwegian-t5-base
#   plait train --config_name norwegian-t5-base --tokenizer_name norwegian-t5-base --train_file 'corpus/*.txt.gz' \
#       --max_seq_length 512 --do_train --do_eval --per_device_train_batch_size 32 --per_device_eval_batch_size 32 \
#       --adafactor --learning_rate 0.005 --weight_decay 0.001 --warmup_steps 2000 --mlm_probability 0.15 \
#       --mean_noise_span_length 3.0 --logging_steps 500 --save_steps 10000 --eval_steps 2500 --output_dir run
. "$(dirname "$0")/lib/common.sh"

tales 1 60000 >text.txt
plait tokenizer train --files text.txt --tokenizer_type unigram --vocab_size 200 --post_processor t5 --output_dir toy
plait config --config_name google/t5-v1_1-small --tokenizer_name toy --output_dir toy --config_overrides \
  d_model=64,d_kv=32,d_ff=128,num_layers=2,num_decoder_layers=2,num_heads=2,dropout_rate=0.0

plait train --config_name toy --tokenizer_name toy --train_file text.txt --max_seq_length 64 --do_train --do_eval \
  --per_device_train_batch_size 8 --per_device_eval_batch_size 8 --adafactor --learning_rate 0.02 --weight_decay 0.001 \
  --warmup_steps 10 --max_steps 100 --logging_steps 10 --eval_steps 50 --output_dir run

loss_fell run 0.3
echo "accuracy: $(value eval_accuracy run/eval_results.json)"
below 0.15 "$(value eval_accuracy run/eval_results.json)" || stop "what was cut out is not found"
