# A trained BERT, all-MiniLM-L6-v2, where PLAIT_MINILM names its directory (tests/oracle/minilm.py gets it):
# hidden states as transformers gives them.
. "$TESTS/lib/cli.sh"
[ -n "${PLAIT_MINILM:-}" ] || exit 77

for ranks in 1 2; do
  "$PLAIT" forward --model_name_or_path "$PLAIT_MINILM" --inputs "$GOLDEN/minilm/inputs.safetensors" \
    --output out.safetensors --tensor_parallel_size $ranks || stop "forward on $ranks ranks"
  "$PROGRAMS/tensors_compare" out.safetensors "$GOLDEN/minilm/expected.safetensors" || stop "$ranks ranks"
done
