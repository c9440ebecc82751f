#!/usr/bin/env bash
# GPT-2 from scratch as a causal language model, with the perplexity. Full size, with the tokenizer of tokenizer.sh:
#
#   plait config --config_name gpt2 --tokenizer_name norwegian-gpt2 --output_dir norwegian-gpt2 \
#       --config_overrides resid_pdrop=0.0,embd_pdrop=0.0,attn_pdrop=0.0
#   plait train --config_name norwegian-gpt2 --tokenizer_name norwegian-gpt2 --train_file 'corpus/*.txt.gz' \
#       --block_size 512 --do_train --do_eval --per_device_train_batch_size 64 --per_device_eval_batch_size 64 \
#       --learning_rate 5e-3 --warmup_steps 1000 --weight_decay 0.01 --adam_beta1 0.9 --adam_beta2 0.98 \
#       --num_train_epochs 20 --logging_steps 500 --save_steps 2500 --eval_steps 2500 --output_dir run
. "$(dirname "$0")/lib/common.sh"

tales 1 60000 >text.txt
plait tokenizer train --files text.txt --vocab_size 400 --output_dir toy
plait config --config_name gpt2 --tokenizer_name toy --output_dir toy --config_overrides \
  n_layer=2,n_head=2,n_embd=64,n_positions=64,resid_pdrop=0.0,embd_pdrop=0.0,attn_pdrop=0.0

plait train --config_name toy --tokenizer_name toy --train_file text.txt --block_size 64 --do_train --do_eval \
  --per_device_train_batch_size 8 --per_device_eval_batch_size 8 --learning_rate 5e-3 --warmup_steps 10 \
  --weight_decay 0.01 --adam_beta1 0.9 --adam_beta2 0.98 --max_steps 80 --logging_steps 10 --eval_steps 40 --output_dir run

loss_fell run 0.7
echo "perplexity: $(value eval_perplexity run/eval_results.json)"
below "$(value eval_perplexity run/eval_results.json)" 40 || stop "the perplexity is that of no model"
plait generate --model_name_or_path run --prompt "Once there was" --max_new_tokens 20
