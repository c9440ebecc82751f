# plait forward against transformers: every stored case, then other layouts, and what it refuses.
. "$TESTS/lib/cli.sh"

compare() { # MODEL_DIR NAME OPTION...
  local dir=$GOLDEN/${family:-gpt2}/$1 name=$2
  shift 2
  "$PLAIT" forward --model_name_or_path "$dir" --inputs "$dir/inputs.safetensors" --output "$name.safetensors" "$@" ||
    stop "$name: $*"
  "$PROGRAMS/tensors_compare" "$name.safetensors" "$dir/expected.safetensors" || stop "$name: $*"
}

for family in gpt_neo llama gpt2; do
  while read -r name; do
    grad=
    "$PLAIT" inspect "$GOLDEN/$family/$name/inputs.safetensors" | grep -q '^labels ' && grad=--grad
    compare "$name" "$name" $grad
  done <"$GOLDEN/$family/cases.txt"
done

# The layout changes nothing but the last bits; the number of threads not even those.
for name in plain heads3 pad_left_scored untied; do
  compare $name many --grad --tensor_parallel_size 2
  compare $name many --grad --data_parallel_size 2
  compare $name many --grad --world_size 4 --tensor_parallel_size 2
  compare $name many --grad --world_size 4 --pipeline_parallel_size 2
  compare $name one --grad --threads 1
  "$PROGRAMS/tensors_compare" one.safetensors $name.safetensors exact || stop "$name: threads change the result"
done
compare plain none --grad --recompute none
compare plain full --grad --recompute full

# Through pipes.
dir=$GOLDEN/gpt2/plain
"$PLAIT" forward --model_name_or_path "$dir" --inputs - --output - <"$dir/inputs.safetensors" | cat >piped.safetensors
"$PROGRAMS/tensors_compare" piped.safetensors "$dir/expected.safetensors" >differs && stop "no gradients were asked for"
grep -q '^grad.transformer.wte.weight: missing' differs || stop "$(cat differs)"
! grep -q '^logits' differs || stop "$(cat differs)"

# Refused, and nothing is left behind.
forward() { refuses "$1" "$2" "$PLAIT" forward --model_name_or_path "$dir" --inputs "$dir/inputs.safetensors" \
  --output out.safetensors "${@:3}"; }
forward 78 "--device cuda: this plait was built without CUDA" --device cuda
forward 78 "--dtype float16 is not offered" --dtype float16
forward 78 "--dtype float16 is not offered" --dtype float16
forward 78 "there may be as many stages as layers" --pipeline_parallel_size 7
forward 78 "--world_size: not data_parallel_size auto x tensor_parallel_size 2 x pipeline_parallel_size auto (found 3, expected 2 or 4)" --world_size 3 --tensor_parallel_size 2
forward 71 "not enough memory" --device_memory 1KB
forward 64 "--device_memory: no size" --device_memory lots
forward 64 "--tensor_parallel_size: out of range" --tensor_parallel_size 0
forward 65 "wrong shape" --config_overrides vocab_size=100
refuses 65 "value at [0, 2] out of range (found 121, expected 0 to 95)" "$PLAIT" forward --model_name_or_path "$GOLDEN/gpt2/act_relu" \
  --inputs "$GOLDEN/gpt2/position_ids/inputs.safetensors" --output out.safetensors
refuses 64 "there is no loss, and so no gradient, without labels" "$PLAIT" forward --model_name_or_path "$dir" \
  --inputs "$GOLDEN/gpt2/one_token/inputs.safetensors" --output out.safetensors --grad
refuses 65 'tensor "input_ids" missing' "$PLAIT" forward --model_name_or_path "$dir" \
  --inputs "$dir/model.safetensors" --output out.safetensors
refuses 66 "not found (looked in" "$PLAIT" forward --model_name_or_path no/model --inputs x --output y
refuses 73 "cannot create" "$PLAIT" forward --model_name_or_path "$dir" --inputs "$dir/inputs.safetensors" \
  --output no/such/dir/out.safetensors
refuses 64 "--output is missing" "$PLAIT" forward --model_name_or_path "$dir" --inputs "$dir/inputs.safetensors"
[ ! -e out.safetensors ] || stop "a file was left behind"

# OSLO's form of the sizes.
echo '{"model_parallelism": {"enable": true, "tensor_parallel_size": 2, "pipeline_parallel_size": 1}}' >oslo.json
compare heads3 oslo --grad --parallel_config oslo.json
forward 65 "contradicts --tensor_parallel_size" --parallel_config oslo.json --tensor_parallel_size 4
echo '{"model_parallelism": {"enable": false, "tensor_parallel_size": 2}}' >oslo.json
forward 65 "enable is false, but sizes are larger than 1" --parallel_config oslo.json
echo '{"model_parallelism": {"tensor_parallel": 2}}' >oslo.json
forward 65 '$.model_parallelism.tensor_parallel: unknown key' --parallel_config oslo.json
cat >oslo.json <<'END'
// oslo-config.json
{"model_parallelism": {"tensor_parallel_size": 2}, "activation_checkpointing": {"enable": true, "cpu_checkpointing": true},
 "kernel_fusion": {"enable": true, "custom_cuda_kernels": ["FusedRMSNorm"]}}
END
compare heads3 oslo --grad --parallel_config oslo.json 2>oslo.err
[ "$(grep -c "^plait: note: .*changes nothing" oslo.err)" = 2 ] || stop "not two notes: $(cat oslo.err)"
forward 65 "contradicts --recompute" --parallel_config oslo.json --recompute none
[ ! -e out.safetensors ] || stop "a file was left behind"
