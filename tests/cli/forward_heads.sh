# plait forward on BERT, RoBERTa and heads other than the causal one: every stored case against transformers,
# on one rank and dealt out, and what it refuses.
. "$TESTS/lib/cli.sh"

compare() { # FAMILY CASE OPTION...
  local dir=$GOLDEN/$1/$2 grad=
  "$PLAIT" inspect "$dir/inputs.safetensors" | grep -q '^labels ' && grad=--grad
  "$PLAIT" forward --model_name_or_path "$dir" --inputs "$dir/inputs.safetensors" --output out.safetensors $grad \
    "${@:3}" 2>warnings || stop "$1/$2 ${*:3}: $(cat warnings)"
  "$PROGRAMS/tensors_compare" out.safetensors "$dir/expected.safetensors" || stop "$1/$2 ${*:3}"
}

for family in bert roberta gpt2_heads gpt_neo_heads llama_heads; do
  while read -r name; do
    compare $family "$name"
    compare $family "$name" --tensor_parallel_size 2
    [ -n "${PLAIT_SANITIZE:-}" ] || compare $family "$name" --data_parallel_size 2
  done <"$GOLDEN/$family/cases.txt"
done
for name in plain padded class class_several base; do
  compare bert $name --tensor_parallel_size 4
  compare bert $name --world_size 4 --tensor_parallel_size 2
  compare roberta $name --world_size 4 --tensor_parallel_size 2 --recompute full
done

dir=$GOLDEN/bert/plain
forward() { # STATUS SENTENCE OVERRIDES
  refuses "$1" "$2" "$PLAIT" forward --model_name_or_path "$dir" --inputs "$dir/inputs.safetensors" \
    --output out.safetensors --config_overrides "$3"
}
rm -f out.safetensors
forward 64 '$.hidden_size 24 is not a multiple of $.num_attention_heads 5' num_attention_heads=5
forward 64 '$.pad_token_id 61 is not below $.vocab_size 61' pad_token_id=61
forward 65 'tensor "bert.embeddings.position_embeddings.weight"' max_position_embeddings=16
changed() { # STATUS SENTENCE CASE SED...: of the config in one line
  mkdir -p changed
  tr -d '\n' <"$GOLDEN/bert/$3/config.json" | sed "${@:4}" >changed/config.json
  cp "$GOLDEN/bert/$3/model.safetensors" changed/
  refuses "$1" "$2" "$PLAIT" forward --model_name_or_path changed --inputs "$dir/inputs.safetensors" \
    --output out.safetensors
}
changed 78 '$.position_embedding_type: changes the computation' plain 's/^{/{"position_embedding_type": "relative_key",/'
changed 78 '$.architectures: this class of bert is not supported (found "BertForQuestionAnswering", expected one of "BertForMaskedLM", "BertForPreTraining", "BertLMHeadModel", "BertForSequenceClassification", "BertModel")' plain 's/ForMaskedLM/ForQuestionAnswering/'
changed 65 '$.problem_type: wrong value' class 's/"problem_type": null//; s/^{/{"problem_type": "ranking",/'
changed 65 '$.id2label: wrong value' class 's/"id2label": {[^}]*}/"id2label": {}/'
changed 65 '$.num_labels: wrong value' class 's/^{/{"num_labels": 0,/'
changed 78 'differs from the number of names in $.id2label' class 's/^{/{"num_labels": 2,/'
refuses 65 'tensor "labels": wrong shape' "$PLAIT" forward --model_name_or_path "$GOLDEN/bert/class" \
  --inputs "$GOLDEN/bert/plain/inputs.safetensors" --output out.safetensors
refuses 65 'tensor "labels": no input of bert (expected input_ids, attention_mask, position_ids, token_type_ids)' \
  "$PLAIT" forward --model_name_or_path "$GOLDEN/bert/base" --inputs "$dir/inputs.safetensors" --output out.safetensors
refuses 65 'tensor "token_type_ids": value at [0, 8] out of range (found 1, expected 0 to 0)' "$PLAIT" forward \
  --model_name_or_path "$GOLDEN/bert/one_type" --inputs "$dir/inputs.safetensors" --output out.safetensors
refuses 78 'Cannot handle batch sizes > 1 if no padding token is defined.' "$PLAIT" forward --model_name_or_path \
  "$GOLDEN/gpt2_heads/class_one" --inputs "$GOLDEN/gpt2_heads/base/inputs.safetensors" --output out.safetensors
[ ! -e out.safetensors ] || stop "a file was left behind"
