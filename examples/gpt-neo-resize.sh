#!/usr/bin/env bash
# GPT-Neo, fine-tuned after its vocabulary was made longer (so that tensor parallelism divides it), in bfloat16. Known
# rows are kept. Full size, with GPT-Neo in the cache of the Hugging Face hub:
#
#   plait init --model_name_or_path EleutherAI/gpt-neo-1.3B --vocab_size 50264 --output_dir gpt-neo-50264
#   plait train --model_name_or_path gpt-neo-50264 --dataset_name wikitext --dataset_config_name wikitext-2-raw-v1 \
#       --cache_dir datasets --block_size 1024 --do_train --do_eval --per_device_train_batch_size 3 \
#       --per_device_eval_batch_size 3 --learning_rate 4e-6 --num_train_epochs 5 --bf16 --world_size 8 \
#       --tensor_parallel_size 8 --logging_steps 96 --eval_steps 96 --output_dir run
. "$(dirname "$0")/lib/common.sh"

# What stands for the known model: 393 rows, as 50257 an odd number.
tales 1 40000 >text.txt
tales 2 40000 | sed 's/[A-Z][a-z]*/&ina/g' >other.txt
plait tokenizer train --files text.txt --vocab_size 393 --special_tokens '<|endoftext|>' --output_dir known
cat >small.json <<'EOT'
{"model_type": "gpt_neo", "architectures": ["GPTNeoForCausalLM"], "num_layers": 2, "num_heads": 2, "hidden_size": 64,
 "max_position_embeddings": 64, "window_size": 16, "attention_types": [[["global", "local"], 1]]}
EOT
plait config --config_name small.json --tokenizer_name known --output_dir known
plait train --config_name known --tokenizer_name known --train_file text.txt --block_size 64 --max_steps 30 \
  --per_device_train_batch_size 8 --learning_rate 5e-3 --logging_steps 10 --save_strategy no --output_dir pretrained

plait init --model_name_or_path pretrained --vocab_size 400 --output_dir longer
plait inspect longer | grep 'wte.weight'

plait train --model_name_or_path longer --train_file other.txt --block_size 64 --do_train --do_eval \
  --per_device_train_batch_size 3 --per_device_eval_batch_size 3 --learning_rate 3e-3 --max_steps 50 --bf16 --world_size 2 \
  --tensor_parallel_size 2 --logging_steps 5 --output_dir run

loss_fell run 0.85
grep -q '"vocab_size": 400' run/config.json || stop "the rows were not kept"
