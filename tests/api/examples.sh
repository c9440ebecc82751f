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

# ---- distill: from a model of two layers to one of one, on two ranks; in pieces, and merged
"$PLAIT" init --config_name gpt2 --config_overrides vocab_size=400,n_layer=1,n_embd=192,n_head=3,n_positions=64,resid_pdrop=0,attn_pdrop=0,embd_pdrop=0 \
  --tokenizer_name tokenizer --seed 2 --output_dir student 2>/dev/null
"$PROGRAMS/example_distill" tuned student "$GOLDEN/tokenizer/english.txt" taught 2 40 >log || stop "distill: $(cat log)"
[ -f taught/checkpoint-40/model_tp_1_pp_0.safetensors ] || stop "distill: nothing in pieces: $(ls taught/checkpoint-40)"
[ -f taught/merged/model.safetensors ] && [ ! -e taught/merged/model_tp_0_pp_0.safetensors ] || stop "distill: nothing merged"
distance() { sed -n "s/^$1: \([0-9.]*\)$/\1/p" log; }
awk -v a="$(distance before)" -v b="$(distance after)" 'BEGIN { exit !(b < a - 0.02 && b > 0) }' || stop "distill: $(cat log)"
for what in "in pieces, on one rank" merged; do
  awk -v a="$(distance after)" -v b="$(distance "$what")" 'BEGIN { d = a - b; exit !(b > 0 && d < 1e-5 && d > -1e-5) }' || stop "distill: $(cat log)"
done
cmp taught/model.safetensors taught/merged/model.safetensors || stop "what was merged is not what was saved whole"
