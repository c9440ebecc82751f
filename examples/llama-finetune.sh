#!/usr/bin/env bash
# LLaMA, fine-tuned from an initial checkpoint that is made once: first with copies of the model (data parallel), then
# with each layer divided (tensor parallel). The same global batch gives the same numbers. Full size, with LLaMA in the
# cache of the Hugging Face hub:
#
#   plait init --model_name_or_path huggyllama/llama-13b --save_dtype bfloat16 --max_shard_size 5GB --output_dir llama-13b
#   plait train --init_ckpt_dir llama-13b --train_file 'wikitext-2/train*.jsonl.gz' --context_length 2048 --n_epochs 1 \
#       --global_batch_size 8 --per_device_batch_size 2 --world_size 8 --n_model_shards 8 --learning_rate 2e-5 \
#       --lr_schedule_type linear --warmup_rate 0.1 --grad_norm_clip 1.0 --weight_decay 0.01 --bf16 --workdir workdir
. "$(dirname "$0")/lib/common.sh"

tales 1 40000 >text.txt
plait tokenizer train --files text.txt --tokenizer_type sentencepiece_bpe --vocab_size 400 --output_dir toy
plait config --config_name huggyllama/llama-7b --tokenizer_name toy --output_dir toy --config_overrides \
  "num_hidden_layers=2,num_attention_heads=4,num_key_value_heads=2,hidden_size=64,intermediate_size=128,\
max_position_embeddings=128"
plait init --config_name toy --seed 1 --output_dir start

fine_tune() { # DIRECTORY OPTION...
  plait train --init_ckpt_dir start --train_file text.txt --context_length 64 --max_steps 40 --global_batch_size 8 \
    --learning_rate 4e-3 --lr_schedule_type linear --warmup_rate 0.1 --grad_norm_clip 1.0 --weight_decay 0.01 \
    --logging_steps 5 --save_strategy no --workdir "$@"
}
fine_tune copies --world_size 2 --n_model_shards 1 --per_device_batch_size 2
fine_tune divided --world_size 2 --n_model_shards 2 --per_device_batch_size 4

loss_fell copies 0.75
loss_fell divided 0.75
