# Models with an encoder: T5 on spans that are cut out, and from a source to a target.
. "$TESTS/lib/cli.sh"
. "$TESTS/lib/objectives.sh"
export XDG_CACHE_HOME=$PWD/cache

make_texts
tokenizer "<pad>,</s>,<unk>" words --post_processor t5
model t5 words d_model=32,d_kv=16,d_ff=64,num_layers=2,num_heads=2,vocab_size=330,dropout_rate=0.1
common="--tokenizer_name words --block_size 24 --max_steps 300 --learning_rate 5e-3 --warmup_steps 10 --logging_steps 20
  --per_device_train_batch_size 16 --threads 2"

# ---- spans
learns spans --config_name t5 $common --train_file lines.txt
grep -q "Acc: " learns.err || stop "no accuracy is said: $(tail -n 3 learns.err)"
"$PLAIT" eval --model_name_or_path spans --validation_file lines.txt --block_size 24 >one.json 2>/dev/null
"$PLAIT" eval --model_name_or_path spans --validation_file lines.txt --block_size 24 --per_device_eval_batch_size 3 >two.json 2>/dev/null
near "$(value eval_loss one.json)" "$(value eval_loss two.json)" 1e-6 || stop "$(cat one.json two.json)"
# Rows as long as block_size says: 26 tokens become 24 of the encoder and 6 of the decoder.
prints "samples: " "$PLAIT" inspect --tokenizer_name words --train_file lines.txt --objective span_corruption \
  --block_size 1000 --mlm_probability 0.5 --samples 0 # more noise than the vocabulary has ids, in fewer spans
prints "encoder reads 24 tokens" "$PLAIT" inspect --tokenizer_name words --train_file lines.txt --objective span_corruption --block_size 24
grep -q "decoder reads 6 tokens" printed.out || stop "$(cat printed.out)"

# ---- from a source to a target
pairs="--train_file pairs.csv --source_column said --target_column meant --source_prefix say: "
learns pairs --config_name t5 $common $pairs
value eval_accuracy pairs/eval_results.json | awk '{ exit !($1 > 0.9) }' || stop "$(cat pairs/eval_results.json)"
"$PLAIT" generate --model_name_or_path pairs --prompt "say:fine day" --max_new_tokens 8 >answer 2>/dev/null
grep -q good answer || stop "it answers $(cat answer)"

# Rows of ids: labels are what is to be written, of any length.
printf '{"input_ids": [7, 8, 1], "labels": [9, 10, 11, 12, 1]}\n{"input_ids": [7, 8, 9, 10, 1], "labels": [9, 1, -100]}\n' >rows.jsonl
prints "sample 0: 8 tokens" "$PLAIT" inspect --model_name_or_path spans --tokenizer_name words --train_file rows.jsonl \
  --objective seq2seq --block_size 24 --samples 1
"$PLAIT" eval --model_name_or_path pairs --objective seq2seq --validation_file rows.jsonl --block_size 24 >rows.json 2>/dev/null
[ "$(value eval_samples rows.json)" = 2 ] || stop "$(cat rows.json)"

# ---- stopped and gone on with, and on four ranks
for what in "--train_file lines.txt" "$pairs"; do
  rm -rf whole parts four
  run="--config_name t5 ${common/300/24} $what --seed 5"
  "$PLAIT" train $run --output_dir whole 2>/dev/null
  "$PLAIT" train $run --output_dir parts --stop_after_steps 11 2>/dev/null && stop "it did not stop"
  "$PLAIT" train $run --output_dir parts --resume_from_checkpoint true 2>/dev/null
  cmp whole/model.safetensors parts/model.safetensors
  "$PLAIT" train ${run/size 16/size 4} --output_dir four --world_size 4 --data_parallel_size 2 --tensor_parallel_size 2 \
    --gradient_accumulation_steps 2 2>/dev/null
  near "$(last_loss whole)" "$(last_loss four)" 1e-4 || stop "$what: $(last_loss whole), $(last_loss four)"
done

# ---- what cannot be
refuses 78 "--objective clm: " "$PLAIT" train --config_name t5 $common --train_file lines.txt --objective clm --output_dir x
refuses 78 "--objective mlm: " "$PLAIT" train --config_name t5 $common --train_file lines.txt --objective mlm --output_dir x
refuses 64 "lines.txt: objective seq2seq needs --source_column and --target_column" \
  "$PLAIT" train --config_name t5 $common --train_file lines.txt --objective seq2seq --output_dir x
