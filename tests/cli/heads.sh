# Classes besides the usual ones: BERT and RoBERTa as decoders, T5 as a classifier; each is made, trained, evaluated, and
# generates where it can.
. "$TESTS/lib/cli.sh"
. "$TESTS/lib/objectives.sh"
export XDG_CACHE_HOME=$PWD/cache

make_texts
small=hidden_size=32,intermediate_size=64,num_hidden_layers=2,num_attention_heads=2
common="--block_size 24 --max_steps 150 --learning_rate 5e-3 --warmup_steps 10 --logging_steps 10
  --per_device_train_batch_size 16 --threads 2"
class_of() { tr -d '\n ' <"$1/config.json" | grep -q "\"architectures\":\\[\"$2\"\\]" || stop "$(cat "$1/config.json")"; }

# ---- decoders
tokenizer "<s>,<pad>,</s>,<unk>,<mask>" words
for type in bert roberta; do
  class=BertLMHeadModel
  [ $type = bert ] || class=RobertaForCausalLM
  model $type words $small,max_position_embeddings=40,is_decoder=true
  refuses 78 "--objective clm: a $type model does not go" "$PLAIT" train --config_name $type --tokenizer_name words $common \
    --config_overrides is_decoder=false --objective clm --train_file lines.txt --output_dir x
  learns $type-clm --config_name $type --tokenizer_name words $common --objective clm --train_file lines.txt
  class_of $type-clm $class
  value perplexity $type-clm/eval_results.json | awk '{ exit !($1 > 1 && $1 < 3) }' || stop "$(cat $type-clm/eval_results.json)"
  "$PLAIT" generate --model_name_or_path $type-clm --prompt "it was a fine" --max_new_tokens 8 >said 2>/dev/null
  grep -q "fine day" said || stop "$type says $(cat said)"
  "$PLAIT" generate --model_name_or_path $type-clm --prompt "it was a fine" --max_new_tokens 8 --tensor_parallel_size 2 \
    >two 2>/dev/null
  cmp said two
  "$PLAIT" init --config_name $type --config_overrides architectures=$class --output_dir made --log_level warning
  class_of made $class
  "$PLAIT" train --model_name_or_path made --tokenizer_name words ${common/150/2} --train_file lines.txt --output_dir tuned --overwrite_output_dir \
    2>/dev/null
  class_of tuned $class
  refuses 78 'so nothing can be generated (found $.is_decoder false, expected true)' "$PLAIT" generate --model_name_or_path \
    $type-clm --config_overrides is_decoder=false --prompt it
  says "add \`is_decoder=True.\`" "$PLAIT" train --model_name_or_path made --config_overrides is_decoder=false \
    --tokenizer_name words ${common/150/2} --train_file lines.txt --output_dir tuned --overwrite_output_dir
done

# A prompt carries no loss: from a column to a column.
learns answers --config_name bert --objective seq2seq --tokenizer_name words $common --train_file pairs.csv --source_column said --target_column meant
class_of answers BertLMHeadModel

# ---- T5: a row that has an eos tells the class
tokenizer "<pad>,</s>,<unk>" ends --post_processor t5
model t5 ends d_model=32,d_kv=16,d_ff=64,num_layers=2,num_heads=2,dropout_rate=0.1,classifier_dropout=0.1
common="--tokenizer_name ends $common"
mood="--train_file classes.csv --label_column mood"
learns t5-class --config_name t5 $common $mood
class_of t5-class T5ForSequenceClassification
value eval_accuracy t5-class/eval_results.json | awk '{ exit !($1 > 0.9) }' || stop "$(cat t5-class/eval_results.json)"
for size in 1 7; do
  "$PLAIT" eval --model_name_or_path t5-class --validation_file classes.csv --label_column mood --block_size 24 \
    --per_device_eval_batch_size $size >by$size.json 2>/dev/null
done
near "$(value eval_loss by1.json)" "$(value eval_loss by7.json)" 1e-5 || stop "$(cat by1.json by7.json)"
"$PLAIT" eval --model_name_or_path t5-class --validation_file classes.csv --label_column mood --block_size 24 \
  --per_device_eval_batch_size 1 --pipeline_parallel_size 2 --world_size 4 >stages.json 2>/dev/null
near "$(value eval_loss by1.json)" "$(value eval_loss stages.json)" 1e-5 || stop "$(cat by1.json stages.json)"
[ "$(value eval_accuracy by1.json)" = "$(value eval_accuracy stages.json)" ] || stop "$(cat by1.json stages.json)"
refuses 78 "no language-model head" "$PLAIT" generate --model_name_or_path t5-class --prompt fine
# What was trained to write becomes a classifier: its trunk is kept.
"$PLAIT" train --config_name t5 ${common/150/2} --train_file lines.txt --output_dir t5-spans 2>/dev/null
says "newly initialized: classification_head.out_proj.weight, classification_head.out_proj.bias, classification_head.dense.weight, classification_head.dense.bias" \
  "$PLAIT" train --model_name_or_path t5-spans ${common/150/2} $mood --output_dir t5-tuned
run="--config_name t5 ${common/150/12} $mood --seed 5"
"$PLAIT" train $run --output_dir whole 2>/dev/null
"$PLAIT" train ${run/size 16/size 4} --output_dir four --world_size 4 --data_parallel_size 2 --tensor_parallel_size 2 \
  --gradient_accumulation_steps 2 2>/dev/null
near "$(last_loss whole)" "$(last_loss four)" 1e-4 || stop "$(last_loss whole), $(last_loss four)"
refuses 65 "sample 0: Each example must contain at least one <eos> token" "$PLAIT" train ${run/size 16/size 1} \
  --config_overrides eos_token_id=2 --no_shuffle --output_dir x --log_level warning

# ---- a head that is not tied is no part of a classifier
model gpt2 words n_embd=32,n_layer=2,n_head=2,n_positions=40,tie_word_embeddings=false
"$PLAIT" init --config_name gpt2 --output_dir apart --log_level warning
says "lm_head.weight" "$PLAIT" train --model_name_or_path apart --tokenizer_name words --max_steps 1 $mood --block_size 16 \
  --output_dir score

# ---- a pooler that is not there
bert=$GOLDEN/bert
says 'no pooler (tensor "pooler.dense.weight" missing)' "$PLAIT" forward --model_name_or_path "$bert/plain" --inputs \
  "$bert/base/inputs.safetensors" --config_overrides architectures=BertModel --output out.safetensors
"$PLAIT" inspect out.safetensors >there
grep -q '^hidden_states' there && ! grep -q pooler_output there || stop "$(cat there)"
"$PLAIT" init --model_name_or_path "$bert/base_no_pooler" --vocab_size 64 --output_dir bare 2>/dev/null
"$PLAIT" inspect bare >there
! grep -q pooler there || stop "$(cat there)"
classifier() { # CLASS DIRECTORY
  mkdir -p "$2"
  sed "s/BertForMaskedLM/$1/" "$bert/plain/config.json" >"$2/config.json"
  cp -L "$bert/plain/model.safetensors" "$2"
}
classifier BertForSequenceClassification lacking
refuses 65 'tensor "classifier.weight" missing' "$PLAIT" forward --model_name_or_path lacking --inputs "$bert/base/inputs.safetensors" \
  --output out.safetensors
# A class that was asked for by name begins with a new head, as transformers has it.
says "BertForSequenceClassification were not initialized from the model checkpoint at $bert/plain and are newly initialized" \
  "$PLAIT" init --model_name_or_path "$bert/plain" --config_overrides architectures=BertForSequenceClassification --output_dir fresh
"$PLAIT" forward --model_name_or_path fresh --inputs "$bert/base/inputs.safetensors" --output out.safetensors
"$PLAIT" inspect out.safetensors | grep -q '^logits .*\[3, 2\]' || stop "$("$PLAIT" inspect out.safetensors)"
refuses 65 'tensor "classifier.weight" missing' "$PLAIT" forward --model_name_or_path "$bert/plain" --config_overrides \
  architectures=BertForSequenceClassification --inputs "$bert/base/inputs.safetensors" --output out.safetensors
