# plait generate of a masked-LM model: the fillings that transformers' fill-mask pipeline gives.
. "$TESTS/lib/cli.sh"

# Scores to four digits, the rest to the letter: one filling a line.
split() { tr '{' '\n' <"$1" | sed -E 's/"score": ?([0-9.]+)(e-[0-9]+)?/\1 \2/; s/([0-9]\.[0-9]{4})[0-9]*/\1/; s/": "/":"/g; s/": /":/g; s/, "/,"/g; s/[],} ]*$//'; }
same() { # FOUND EXPECTED
  split "$1" >found.lines
  split "$2" >expected.lines
  paste -d '|' found.lines expected.lines | awk -F '|' '
    { split($1, a, ","); split($2, b, ","); x = a[1]; y = b[1]; sub(/^[^,]*,/, "", $1); sub(/^[^,]*,/, "", $2)
      if ($1 != $2 || (x - y) ^ 2 > 1e-6) { print "found " $0; bad = 1 } } END { exit bad }' || stop "$1 differs from $2"
}

for family in bert roberta; do
  dir=$GOLDEN/$family/fill
  "$PLAIT" generate --model_name_or_path "$dir" --prompt_file "$dir/prompts.txt" --top_k 4 --output fill.jsonl ||
    stop "$family"
  same fill.jsonl "$dir/fill.jsonl"
  "$PLAIT" generate --model_name_or_path "$dir" --prompt_file "$dir/prompts.txt" --top_k 4 --world_size 2 >ranks.jsonl ||
    stop "$family on two ranks"
  same ranks.jsonl "$dir/fill.jsonl"
  "$PLAIT" generate --model_name_or_path "$dir" --prompt_file "$dir/prompts.txt" --top_k 4 --pipeline_parallel_size 2 >ranks.jsonl ||
    stop "$family in two stages"
  same ranks.jsonl "$dir/fill.jsonl"
  "$PLAIT" generate --model_name_or_path "$dir" --prompt_file "$dir/prompts.txt" --top_k 4 --data_parallel_size 2 >ranks.jsonl ||
    stop "$family on two copies"
  same ranks.jsonl "$dir/fill.jsonl"
done

dir=$GOLDEN/bert/fill
"$PLAIT" generate --model_name_or_path "$dir" --prompt "the [MASK]" >five.jsonl || stop "top_k of itself"
[ "$(grep -o '"score"' five.jsonl | wc -l)" = 5 ] || stop "not five fillings: $(cat five.jsonl)"
says "--num_beams: changes nothing where masks are filled" "$PLAIT" generate --model_name_or_path "$dir" \
  --prompt "the [MASK]" --num_beams 2
refuses 65 "No mask_token ([MASK]) found on the input" "$PLAIT" generate --model_name_or_path "$dir" --prompt "the cat"
refuses 65 "prompt is longer than the model's positions (found 32 tokens, expected at most 28)" "$PLAIT" generate \
  --model_name_or_path "$dir" --prompt "[MASK]$(printf ' cat%.0s' {1..29})"
refuses 78 "no language-model head" "$PLAIT" generate --model_name_or_path "$GOLDEN/gpt2_heads/base" \
  --input_ids <(echo '[1, 2]')
