# Masked language models and classifiers of encoders: RoBERTa and BERT.
. "$TESTS/lib/cli.sh"
. "$TESTS/lib/objectives.sh"
export XDG_CACHE_HOME=$PWD/cache

make_texts
tokenizer "<s>,<pad>,</s>,<unk>,<mask>" words --post_processor roberta
encoder() { # TYPE CLASS POSITIONS
  mkdir -p $1
  cat >$1/config.json <<EOT
{"model_type": "$1", "architectures": ["$2"], "vocab_size": 330, "hidden_size": 32, "num_hidden_layers": 2,
 "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": $3, "pad_token_id": 1, "bos_token_id": 0,
 "eos_token_id": 2, "type_vocab_size": 2}
EOT
}
encoder roberta RobertaForMaskedLM 66
encoder bert BertForMaskedLM 64
common="--tokenizer_name words --block_size 32 --max_steps 300 --learning_rate 4e-3 --warmup_steps 20 --logging_steps 20
  --per_device_train_batch_size 16 --threads 2"

# ---- masked: joined and line by line
learns joined --config_name roberta $common --train_file lines.txt
learns lines --config_name bert $common --train_file lines.txt --line_by_line --mlm_probability 0.3
for run in joined lines; do
  grep -q '"eval_accuracy"' $run/train_log.jsonl || stop "$run: no accuracy in the log"
done
value eval_accuracy lines/eval_results.json | awk '{ exit !($1 > 0.4) }' || stop "$(cat lines/eval_results.json)"
grep -q "Acc: " learns.err || stop "no accuracy is said: $(tail -n 3 learns.err)"

# Masks of an evaluation are the same every time, whatever batch they come in.
for size in 8 3; do
  "$PLAIT" eval --model_name_or_path lines --validation_file lines.txt --line_by_line --block_size 32 \
    --per_device_eval_batch_size $size >eval$size.json 2>/dev/null
done
[ "$(value eval_accuracy eval8.json)" = "$(value eval_accuracy eval3.json)" ] || stop "$(cat eval8.json eval3.json)"
near "$(value eval_loss eval8.json)" "$(value eval_loss eval3.json)" 1e-6 || stop "$(cat eval8.json eval3.json)"

# Special tokens are never masked, not even where everything else is.
prints "objective: mlm" "$PLAIT" inspect --tokenizer_name words --train_file lines.txt --objective mlm --line_by_line \
  --mlm_probability 0.99 --samples 100
awk '$2 == "<s>" || $2 == "</s>" { n++; if ($4 != -100) bad = 1 } $2 == "<mask>" && $4 >= 0 { m++ } END { exit bad || n < 150 || m < 300 }' \
  printed.out || stop "special tokens: $(head -n 30 printed.out)"
# A row that is cut off keeps what ends it.
prints " truncated, " "$PLAIT" inspect --tokenizer_name words --train_file lines.txt --objective mlm --line_by_line --block_size 6 --samples 1
awk '$1 == 5 { found = $2 == "</s>" } END { exit !found }' printed.out || stop "the end is lost: $(cat printed.out)"

# Rows that come with labels and token types are as somebody wanted them.
cat >rows.jsonl <<'EOT'
{"input_ids": [5, 4, 9, 11], "labels": [-100, 17, -100, -100], "token_type_ids": [0, 0, 1, 1]}
{"input_ids": [5, 4, 9], "labels": [-100, 17, -100], "token_type_ids": [0, 1, 1]}
EOT
prints "sample 0: 4 tokens" "$PLAIT" inspect --tokenizer_name words --train_file rows.jsonl --objective mlm --line_by_line --samples 1
awk '$1 == 1 { found = $2 == "<mask>" && $4 == 17 } END { exit !found }' printed.out || stop "$(cat printed.out)"
"$PLAIT" eval --model_name_or_path lines --validation_file rows.jsonl --line_by_line --block_size 32 >typed.json 2>/dev/null
sed -i 's/, "token_type_ids.*\]//' rows.jsonl
"$PLAIT" eval --model_name_or_path lines --validation_file rows.jsonl --line_by_line --block_size 32 >plain.json 2>/dev/null
! near "$(value eval_loss typed.json)" "$(value eval_loss plain.json)" 1e-5 || stop "token types do nothing: $(cat typed.json)"
printf '{"input_ids": [5, 6], "labels": [7, 8], "token_type_ids": [2, 0]}\n' >types.jsonl
refuses 65 "token type 0 is 2 (expected 0 to 1)" "$PLAIT" eval --model_name_or_path lines --validation_file types.jsonl \
  --line_by_line --block_size 32 --log_level warning

# ---- stopped and gone on with, and on four ranks
run="--config_name roberta ${common/300/24} --train_file lines.txt --seed 5"
"$PLAIT" train $run --output_dir whole 2>/dev/null
"$PLAIT" train $run --output_dir parts --stop_after_steps 11 2>/dev/null && stop "it did not stop"
"$PLAIT" train $run --output_dir parts --resume_from_checkpoint true 2>/dev/null
cmp whole/model.safetensors parts/model.safetensors
"$PLAIT" train ${run/size 16/size 4} --output_dir four --world_size 4 --data_parallel_size 2 --tensor_parallel_size 2 \
  --gradient_accumulation_steps 2 2>/dev/null
near "$(last_loss whole)" "$(last_loss four)" 1e-4 || stop "$(last_loss whole), $(last_loss four)"
refuses 78 "objective is not that of the run (found mlm 0.2, expected mlm 0.15)" "$PLAIT" train $run --mlm_probability 0.2 \
  --output_dir parts --resume_from_checkpoint true --log_level warning

# ---- classes, on what was learnt
learns classes --model_name_or_path lines ${common/300/150} --train_file classes.csv --label_column mood
value eval_accuracy classes/eval_results.json | awk "{ exit !(\$1 > 0.9) }" || stop "$(cat classes/eval_results.json)"
grep -q '"BertForSequenceClassification"' classes/config.json || stop "$(cat classes/config.json)"

# ---- what cannot be
tokenizer "<s>,<pad>,</s>,<unk>" maskless
refuses 78 "This tokenizer does not have a mask token" "$PLAIT" train --config_name bert ${common/name words/name maskless} \
  --train_file lines.txt --output_dir x
refuses 78 "--objective clm: " "$PLAIT" train --config_name bert $common --train_file lines.txt --objective clm --output_dir x
