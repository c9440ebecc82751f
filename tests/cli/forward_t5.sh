# plait forward on encoder and decoder: every stored case of T5, on one rank and on several, and what it refuses.
. "$TESTS/lib/cli.sh"
t5=$GOLDEN/t5

compare() { # CASE OPTION...
  local dir=$t5/$1 name=$1
  shift
  "$PLAIT" forward --model_name_or_path "$dir" --inputs "$dir/inputs.safetensors" --output out.safetensors "$@" ||
    stop "$name: $*"
  "$PROGRAMS/tensors_compare" out.safetensors "$dir/expected.safetensors" || stop "$name: $*"
}

while read -r name; do
  grad=
  "$PLAIT" inspect "$t5/$name/inputs.safetensors" | grep -q '^labels ' && grad=--grad
  compare "$name" $grad
done <"$t5/cases.txt"
for name in heads3 deep_decoder masked untied class class_several class_one; do
  compare $name --grad --tensor_parallel_size 2
  compare $name --grad --data_parallel_size 2
done
compare gated_relu_scaled --grad --world_size 4 --tensor_parallel_size 2
compare heads3 --grad --tensor_parallel_size 4
compare untied --grad --recompute full
compare untied --grad --recompute none

# The weights tell whether the head is tied, whatever config.json says; scaling stays what it says.
"$PLAIT" forward --model_name_or_path "$t5/plain" --inputs "$t5/plain/inputs.safetensors" --output out.safetensors \
  --config_overrides tie_word_embeddings=false
"$PROGRAMS/tensors_compare" out.safetensors "$t5/plain/expected.safetensors" >differs && stop "no gradients were asked for"
! grep -q '^logits' differs || stop "$(cat differs)"

refused() { refuses "$1" "$2" "$PLAIT" forward --model_name_or_path "$t5/plain" --inputs "$t5/$3/inputs.safetensors" \
  --output out.safetensors "${@:4}"; }
rm out.safetensors
refused 65 'tensor "decoder_input_ids" missing (or "labels")' encoder
refused 78 '$.decoder_start_token_id has to be defined' plain --config_overrides decoder_start_token_id=null
refused 78 '$.pad_token_id has to be defined' plain --config_overrides pad_token_id=null
refused 78 'are not both below $.vocab_size 41' plain --config_overrides decoder_start_token_id=41
refused 64 '$.relative_attention_max_distance 4 is not larger than half of $.relative_attention_num_buckets 8' plain \
  --config_overrides relative_attention_max_distance=4
refused 64 "--config_overrides: \$.feed_forward_proj: " plain --config_overrides feed_forward_proj=gated-what,dense_act_fn=null
# Classes are told by the row of the last eos, of which each sample must have as many.
classify() { refuses "$1" "$2" "$PLAIT" forward --model_name_or_path "$t5/class" --inputs "$t5/$3/inputs.safetensors" \
  --output out.safetensors "${@:4}"; }
classify 65 'Each example must contain at least one <eos> token. (row 0 has no 1)' encoder
classify 65 'All examples must have the same number of <eos> tokens. (row 1 has 0, row 0 has 1)' class \
  --config_overrides eos_token_id=15
classify 78 '$.eos_token_id is missing' class --config_overrides eos_token_id=null
classify 65 'the decoder does not read as many tokens as the encoder (found 11, expected 17)' base
[ ! -e out.safetensors ] || stop "a file was left behind"
