# plait train, eval and inspect with every objective that a causal model can have; tests/cli/objectives_masked.sh
# and objectives_encoder.sh have the others.
. "$TESTS/lib/cli.sh"
. "$TESTS/lib/objectives.sh"
export XDG_CACHE_HOME=$PWD/cache

make_texts
tokenizer "<s>,<pad>,</s>,<unk>,<mask>" words
model gpt2 words n_embd=32,n_layer=2,n_head=2,n_positions=64,resid_pdrop=0.1
common="--tokenizer_name words --block_size 32 --max_steps 40 --learning_rate 1e-2 --warmup_steps 4 --logging_steps 20
  --per_device_train_batch_size 8 --threads 2"

# ---- documents apart: a joined sample of whole documents is the same as a row for each
"$PLAIT" train --config_name gpt2 $common --train_file lines.txt --document_mask --append_eos --output_dir apart 2>/dev/null
head -n 3 lines.txt >few.txt
for how in --document_mask --line_by_line; do
  "$PLAIT" eval --model_name_or_path apart --validation_file few.txt --block_size 64 --append_eos $how >$how.json 2>/dev/null
done
joined=$(value eval_loss ./--document_mask.json)
[ "$(value eval_samples ./--document_mask.json)" = 1 ] || stop "not one sample"
near "$joined" "$(value eval_loss ./--line_by_line.json)" 1e-6 || stop "documents: $joined, $(cat ./--line_by_line.json)"
"$PLAIT" eval --model_name_or_path apart --validation_file few.txt --block_size 64 --append_eos >crossed.json 2>/dev/null
! near "$joined" "$(value eval_loss crossed.json)" 1e-3 || stop "the mask does nothing"
prints "objective: clm" "$PLAIT" inspect --tokenizer_name words --train_file lines.txt --block_size 32 --document_mask
awk '/^sample 0/ { on = 1 } /^sample 1/ { on = 0 } on && $NF == 2 { n++ } END { exit !(n > 3) }' printed.out ||
  stop "no second document: $(cat printed.out)"

# ---- from a source to a target
pairs="--train_file pairs.csv --source_column said --target_column meant --append_eos"
learns seq2seq --config_name gpt2 ${common/40/100} $pairs --source_prefix "say: "
"$PLAIT" generate --model_name_or_path seq2seq --prompt "say: fine day" --max_new_tokens 4 >answer 2>/dev/null
grep -q good answer || stop "it answers $(cat answer)"
prints "objective: seq2seq" "$PLAIT" inspect --tokenizer_name words $pairs --samples 1
awk '$1 == "place" { on = 1; next } on && $4 == -100 { p++ } on && $4 >= 0 { t++ } END { exit !(p > 2 && t > 0) }' printed.out ||
  stop "the prompt: $(cat printed.out)"

# ---- classes: one, several, numbers
learns classes --config_name gpt2 $common --train_file classes.csv --label_column mood
[ "$(value eval_accuracy classes/eval_results.json)" = 1.0 ] || stop "accuracy: $(cat classes/eval_results.json)"
tr -d '\n ' <classes/config.json | grep -q '"id2label":{"0":"bad","1":"good","2":"odd"}' || stop "$(cat classes/config.json)"
grep -q '"GPT2ForSequenceClassification"' classes/config.json || stop "$(cat classes/config.json)"
"$PLAIT" eval --model_name_or_path classes --label_column mood --validation_file good.csv --block_size 32 >good.json 2>/dev/null
[ "$(value eval_accuracy good.json)" = 1.0 ] || stop "classes are not kept: $(cat good.json)"
refuses 65 'label "furious" of the data is no class of the model' "$PLAIT" eval --model_name_or_path classes \
  --label_column mood --validation_file furious.csv --block_size 32 --log_level warning
learns several --config_name gpt2 $common --train_file several.jsonl --objective classification
grep -q '"multi_label_classification"' several/config.json || stop "$(cat several/config.json)"
learns numbers --config_name gpt2 $common --train_file numbers.jsonl --objective classification
grep -q '"regression"' numbers/config.json || stop "$(cat numbers/config.json)"
says "score.weight" "$PLAIT" train --model_name_or_path apart $common --train_file classes.csv --label_column mood --output_dir tuned
prints "label: good" "$PLAIT" inspect --tokenizer_name words --train_file good.csv --label_column mood --samples 1

learns best --config_name gpt2 $common --train_file classes.csv --label_column mood --eval_strategy steps --eval_steps 10 --save_steps 10 \
  --load_best_model_at_end --metric_for_best_model accuracy
grep -q "The best model is that of checkpoint-[0-9]* (evaluation accuracy 1.0000)" learns.err || stop "$(tail -n 4 learns.err)"
refuses 64 "objective clm has none" "$PLAIT" train --config_name gpt2 $common --train_file lines.txt --do_train --do_eval --output_dir x \
  --metric_for_best_model accuracy --log_level warning

# ---- stopped and gone on with; other layouts; like lengths together
goes_on() { # NAME OPTION...
  local name=$1 status=0
  shift
  "$PLAIT" train --config_name gpt2 $common "$@" --seed 5 --output_dir $name.whole 2>/dev/null
  "$PLAIT" train --config_name gpt2 $common "$@" --seed 5 --output_dir $name.parts --stop_after_steps 17 2>/dev/null || status=$?
  [ $status = 75 ] || stop "$name: exit code $status"
  "$PLAIT" train --config_name gpt2 $common "$@" --seed 5 --output_dir $name.parts --resume_from_checkpoint true 2>/dev/null
  cmp $name.whole/model.safetensors $name.parts/model.safetensors
  "$PLAIT" train --config_name gpt2 ${common/size 8/size 2} "$@" --seed 5 --output_dir $name.four --world_size 4 --data_parallel_size 2 \
    --tensor_parallel_size 2 --gradient_accumulation_steps 2 2>/dev/null
  near "$(last_loss $name.whole)" "$(last_loss $name.four)" 1e-4 || stop "$name: $(last_loss $name.whole), $(last_loss $name.four)"
}
goes_on class --train_file classes.csv --label_column mood
goes_on rows --train_file lines.txt --line_by_line --group_by_length
goes_on documents --train_file lines.txt --document_mask
! cmp -s rows.whole/model.safetensors documents.whole/model.safetensors
refuses 78 "objective is not that of the run (found clm, expected clm, documents apart)" "$PLAIT" train --config_name gpt2 \
  $common --train_file lines.txt --seed 5 --output_dir documents.parts --resume_from_checkpoint true --log_level warning

# ---- what cannot be
refuses 78 "--objective mlm: " "$PLAIT" train --config_name gpt2 $common --train_file lines.txt --objective mlm --output_dir x
refuses 64 "--source_column and --target_column go together" "$PLAIT" train --config_name gpt2 $common --train_file pairs.csv \
  --source_column said --output_dir x
refuses 64 "--document_mask: is for objective clm" "$PLAIT" train --config_name gpt2 $common --train_file classes.csv \
  --label_column mood --document_mask --output_dir x
refuses 65 'spirit' "$PLAIT" train --config_name gpt2 $common --train_file classes.csv --label_column spirit --output_dir x
