#!/usr/bin/env bash
# T5, fine-tuned to turn one column of a table into another. Full size, with T5 in the cache of the Hugging Face hub:
#
#   plait train --model_name_or_path t5-base --train_file articles.csv --source_column article --target_column summary \
#       --source_prefix "summarize: " --max_seq_length 512 --max_target_length 128 --do_train --do_eval \
#       --per_device_train_batch_size 8 --learning_rate 3e-4 --num_train_epochs 3 --bf16 --output_dir run
#   plait generate --model_name_or_path run --prompt "summarize: ..." --num_beams 4 --max_new_tokens 128
. "$(dirname "$0")/lib/common.sh"

# From the first sentence of a tale to who it is about.
tales 1 100000 | awk 'BEGIN { print "said,meant" }
  { n = split($0, s, /\. /); name = s[1]; sub(/.* /, "", name); print "\"" s[1] ".\"," name }' >tales.csv
plait tokenizer train --files tales.csv --text_column said --tokenizer_type unigram --vocab_size 200 --normalizer nfkc \
  --pre_tokenizer metaspace --post_processor t5 --output_dir toy
plait config --config_name t5-small --tokenizer_name toy --output_dir toy --config_overrides \
  d_model=64,d_kv=32,d_ff=128,num_layers=2,num_heads=2,dropout_rate=0.0

plait train --config_name toy --tokenizer_name toy --train_file tales.csv --source_column said --target_column meant \
  --source_prefix "who: " --max_seq_length 48 --max_target_length 16 --do_train --do_eval --per_device_train_batch_size 16 \
  --learning_rate 5e-3 --max_steps 250 --logging_steps 25 --output_dir run

loss_fell run 0.3
plait generate --model_name_or_path run --num_beams 4 --max_new_tokens 8 \
  --prompt "who: Long ago there was a baker whose name was Clara." | tee answer.txt
grep -qx Clara answer.txt || stop "it is about Clara"
