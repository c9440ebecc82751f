# OSLO's checks, one after the other: what still cannot be has its sentence here, what can be is done.
. "$TESTS/lib/cli.sh"
export XDG_CACHE_HOME=$PWD/cache

for i in 1 2 3 4 5 6 7 8 9; do echo "the cat sees a dog and one bird likes fish $i $i"; done >text.txt
"$PLAIT" tokenizer train --files text.txt --vocab_size 270 --output_dir small --log_level warning
"$PLAIT" config --config_name gpt2 --tokenizer_name small --output_dir small --log_level warning \
  --config_overrides n_embd=18,n_layer=2,n_head=3,n_positions=32
"$PLAIT" init --config_name small --output_dir made --log_level warning
train="train --config_name small --tokenizer_name small --train_file text.txt --block_size 16 --threads 1 --max_steps 1 --dry_run
  --output_dir no --parallel_config oslo.json"

with() { echo "$1" >oslo.json; }
bad() { # CODE TEXT JSON OPTION...
  with "$3"
  local code=$1 text=$2
  shift 3
  refuses "$code" "$text" "$PLAIT" $train "$@"
}
good() { # TEXT JSON OPTION...
  with "$2"
  local text=$1
  shift 2
  says "$text" "$PLAIT" $train "$@"
}
sizes() { echo "{\"model_parallelism\": {\"enable\": true, $1}}"; }

# "There are no arguments in dictionary.", "configuration must be type of <class 'dict'>", a path that is none
good "Layout = 1 rank" '{}'
bad 65 'oslo.json:1:1: wrong type (found an array, expected an object)' '[]'
bad 65 'oslo.json:1:1: no value' 'model_parallelism: 4'
rm oslo.json
refuses 66 'oslo.json: cannot open: No such file or directory' "$PLAIT" $train

echo '{"model_parallelism": {"tensor_parallel_size": 2}}' >oslo.json
refuses 64 "model_parallelism: a file of OSLO's goes to --parallel_config" "$PLAIT" train oslo.json

# "An argument ... is not available. We only support the arguments like ...", "it must be type of"
bad 65 '$.model_parallel: unknown key (expected model_parallelism, activation_checkpointing or kernel_fusion)' '{"model_parallel": {}}'
bad 65 '$.model_parallelism.tp: unknown key (expected enable, tensor_parallel_size,' "$(sizes '"tp": 2')"
bad 65 '$.model_parallelism.tensor_parallel_size: wrong type (found a string, expected a number)' "$(sizes '"tensor_parallel_size": "2"')"
bad 65 '$.model_parallelism.tensor_parallel_size: wrong type (found a boolean' "$(sizes '"tensor_parallel_size": true')"
bad 65 '$.model_parallelism.enable: wrong type (found a number, expected true or false)' '{"model_parallelism": {"enable": 1}}'

# "... must be positive."
bad 65 'tensor_parallel_size: out of range (found 0, expected an integer from 1' "$(sizes '"tensor_parallel_size": 0')"
bad 65 'pipeline_parallel_size: out of range (found -1, expected an integer from 1' "$(sizes '"pipeline_parallel_size": -1')"

# "... must be power of 2.", "... must be divisible by ``num_attention_heads``", "... by ``hidden_size``": not here
good "tensor 3" "$(sizes '"tensor_parallel_size": 3')"
good "tensor 5" "$(sizes '"tensor_parallel_size": 5')"
# "... must be same or greather than ``num_attention_heads``": nor that; than ``hidden_size``: yes
bad 78 '--tensor_parallel_size: more ranks than the model is wide (found 19, expected 1 to 18)' "$(sizes '"tensor_parallel_size": 19')"
# a model of more stages than layers
bad 78 'the model has 2 (nearest: 2)' "$(sizes '"pipeline_parallel_size": 3')"

# "... must be smaller than global world size", "global world sizes must be divisible by model parallel world sizes (tp * pp)"
bad 78 '(found 4, expected 8)' "$(sizes '"tensor_parallel_size": 8')" --world_size 4
bad 78 '(found 6, expected 4 or 8)' "$(sizes '"tensor_parallel_size": 2, "pipeline_parallel_size": 2')" --world_size 6
good "data 2 x tensor 2" "$(sizes '"tensor_parallel_size": 2')" --world_size 4

# missing and false `enable`
good "tensor 2" '{"model_parallelism": {"tensor_parallel_size": 2}}'
bad 65 'enable is false, but sizes are larger than 1' '{"model_parallelism": {"enable": false, "tensor_parallel_size": 2}}'

# "Currently, {cls} is not supported. The current supported models are {list}"
mkdir opt
echo '{"model_type": "opt", "architectures": ["OPTForCausalLM"]}' >opt/config.json
with "$(sizes '"tensor_parallel_size": 2')"
refuses 78 'opt' "$PLAIT" train --config_name opt --train_file text.txt --tokenizer_name small --output_dir no --parallel_config oslo.json
grep -q 'expected "gpt2", "gpt_neo", "llama"' refused.err || stop "the models that there are: $(cat refused.err)"

# activation_checkpointing: "... can be used when you are used tensor model parallelism" and the like change nothing here
good 'how activations are kept changes nothing' '{"activation_checkpointing": {"enable": true, "contiguous_checkpointing": true}}'
bad 65 'contradicts --recompute' '{"activation_checkpointing": {"enable": true}}' --recompute none
bad 65 '$.activation_checkpointing.partitioned: unknown key' '{"activation_checkpointing": {"partitioned": true}}'
# kernel_fusion: "Unknown kernel name"; that memory_efficient_fusion goes with nothing else
bad 65 'unknown kernel (expected FusedRMSNorm or FusedNoRepeatNGram)' '{"kernel_fusion": {"enable": true, "custom_cuda_kernels": ["Fused"]}}'
good 'kernel_fusion changes nothing' '{"model_parallelism": {"tensor_parallel_size": 2}, "kernel_fusion": {"enable": true,
  "memory_efficient_fusion": true, "custom_cuda_kernels": ["FusedRMSNorm"]}}'

# from_parallelized: "directory named {path} is not valid", "Provided path (x) should be a directory, not a file"
refuses 66 'none' "$PLAIT" generate --model_name_or_path ./none --prompt x
refuses 66 'text.txt' "$PLAIT" generate --model_name_or_path ./text.txt --prompt x

# "all the {files} are necessary. but some of them do not exist"
"$PLAIT" init --model_name_or_path made --tokenizer_name small --tensor_parallel_size 2 --partition_rules <(
  echo '[{"pattern": "wte", "placement": ["tp", null]}]') --output_dir pieces --log_level warning
rm pieces/model_tp_1_pp_0.safetensors
refuses 65 'pieces: tensor "transformer.wte.weight": element [135,0] is in none of the files' "$PLAIT" generate --model_name_or_path pieces --prompt x
grep -q '^hint: only model_tp_0_pp_0.safetensors is there: those of other ranks are missing' refused.err || stop "$(cat refused.err)"

# Divided by any of these, the model writes what it writes whole.
cp small/tokenizer*.json made
"$PLAIT" generate --model_name_or_path made --prompt "the cat" --num_beams 3 --max_new_tokens 6 >one 2>err
for tp in 2 3 5; do
  with "$(sizes "\"tensor_parallel_size\": $tp")"
  "$PLAIT" generate --model_name_or_path made --prompt "the cat" --num_beams 3 --max_new_tokens 6 --parallel_config oslo.json >many 2>err ||
    stop "$(cat err)"
  cmp one many || stop "tensor_parallel_size $tp"
done
