#!/usr/bin/env bash
# GPT-2 with tensor parallelism, on rows of their own: each cut off at --max_seq_length or filled up, which costs
# nothing. Then it writes, by a beam search of three. Full size, with gpt2 in the cache of the Hugging Face hub:
#
#   echo '{"model_parallelism": {"enable": true, "tensor_parallel_size": 4, "pipeline_parallel_size": 1}}' >parallel.json
#   plait train --model_name_or_path gpt2 --train_file rows.csv --text_column text --line_by_line --append_eos \
#       --max_seq_length 128 --per_device_train_batch_size 8 --learning_rate 5e-5 --num_train_epochs 3 \
#       --parallel_config parallel.json --world_size 4 --output_dir run
#   plait generate --model_name_or_path run --prompt "I am" --num_beams 3 --no_repeat_ngram_size 4 --max_length 64 \
#       --parallel_config parallel.json --world_size 4
. "$(dirname "$0")/lib/common.sh"

# Rows of many lengths: a tale's first sentences.
tales 1 60000 | awk '{
  split($0, s, /\. /); t = s[1] "."; for (i = 2; i <= NR % 3 + 1; i++) t = t " " s[i] "."; print t }' >rows.txt
echo '{"model_parallelism": {"enable": true, "tensor_parallel_size": 2, "pipeline_parallel_size": 1}}' >parallel.json
plait tokenizer train --files rows.txt --vocab_size 400 --special_tokens '<|endoftext|>' --output_dir toy
plait config --config_name gpt2 --tokenizer_name toy --output_dir toy --config_overrides \
  n_layer=2,n_head=2,n_embd=64,n_positions=64,resid_pdrop=0.0,embd_pdrop=0.0,attn_pdrop=0.0

plait train --config_name toy --tokenizer_name toy --train_file rows.txt --line_by_line --no_keep_linebreaks --append_eos \
  --max_seq_length 40 --per_device_train_batch_size 8 --learning_rate 5e-3 --max_steps 80 --logging_steps 10 \
  --save_strategy no --parallel_config parallel.json --world_size 2 --output_dir run

loss_fell run 0.5
plait generate --model_name_or_path run --prompt "Once there was" --num_beams 3 --no_repeat_ngram_size 4 --max_length 30 \
  --parallel_config parallel.json --world_size 2 | tee written.txt
[ "$(wc -c <written.txt)" -gt 30 ] || stop "nothing is written"
