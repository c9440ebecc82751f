# The programs of examples/c do what they say.
. "$TESTS/lib/cli.sh"

"$PLAIT" tokenizer train --files "$GOLDEN/tokenizer/english.txt" --vocab_size 400 --output_dir tokenizer 2>/dev/null
"$PLAIT" init --config_name gpt2 --config_overrides vocab_size=400,n_layer=1,n_embd=16,n_head=2,n_positions=64 \
  --tokenizer_name tokenizer --output_dir gpt2 2>/dev/null

"$PROGRAMS/example_generate" gpt2 "The old" 5 >text || stop "generate"
grep -q '^The old.' text || stop "generate: $(cat text)"
! "$PROGRAMS/example_generate" nowhere x >out 2>err || stop "a model that is not there"
grep -q 'nowhere' err || stop "$(cat err)"

"$PROGRAMS/example_finetune" gpt2 "$GOLDEN/tokenizer/english.txt" tuned 12 >log || stop "finetune"
first=$(sed -n 's/^step 1 of 12  loss \([0-9.]*\) .*/\1/p' log)
last=$(sed -n 's/^step 12 of 12  loss \([0-9.]*\) .*/\1/p' log)
awk -v a="$first" -v b="$last" 'BEGIN { exit !(b < a && b > 0) }' || stop "finetune: $(cat log)"
grep -q '^loss of the text, unbounded: [0-9]' log || stop "finetune: $(cat log)"
[ -f tuned/model.safetensors ] || stop "finetune left no model"
