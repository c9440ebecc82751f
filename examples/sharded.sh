#!/usr/bin/env bash
# A run whose ranks save the pieces that they hold, stopped on one layout and gone on with on another; its checkpoints
# looked at and made whole. Full size, with the weights of a LLaMA in the directory llama-13b:
#
#   mpirun -n 32 plait train --model_name_or_path llama-13b --train_file corpus.jsonl --block_size 2048 --save_sharded \
#       --global_batch_size 64 --save_steps 200 --output_dir run
#   mpirun -n 16 plait train ... --save_sharded --resume_from_checkpoint auto --output_dir run
#   plait checkpoint merge run/checkpoint-2000 --output_dir whole
. "$(dirname "$0")/lib/common.sh"

tales 1 60000 >tales.txt
plait tokenizer train --files tales.txt --vocab_size 400 --output_dir toy
plait config --config_name gpt2 --tokenizer_name toy --output_dir toy --config_overrides \
  n_layer=2,n_head=4,n_embd=64,n_positions=64,resid_pdrop=0.0,embd_pdrop=0.0,attn_pdrop=0.0
train="train --config_name toy --tokenizer_name toy --train_file tales.txt --block_size 64 --global_batch_size 8
  --learning_rate 5e-3 --max_steps 80 --logging_steps 10 --save_steps 40 --save_sharded --output_dir run"

status=0
plait $train --tensor_parallel_size 2 --pipeline_parallel_size 2 --stop_after_steps 40 || status=$?
[ $status = 75 ] || stop "exit code $status, expected 75: stopped, with a checkpoint"
plait $train --data_parallel_size 2 --zero_stage 1 --resume_from_checkpoint auto
loss_fell run 0.5

plait checkpoint list run
plait checkpoint verify run/checkpoint-80
plait checkpoint merge run/checkpoint-80 --output_dir whole
cmp whole/model.safetensors run/model.safetensors || stop "the final model is another one"
