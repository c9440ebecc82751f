# Two texts a sample: columns by name and by themselves, cut as transformers cuts them, with token types where the model
# has them; the same as rows of ids that the tokenizer made.
. "$TESTS/lib/cli.sh"
. "$TESTS/lib/objectives.sh"
export XDG_CACHE_HOME=$PWD/cache

# What the second text says is the label; the first is noise.
awk 'BEGIN {
  split("a fine day,some awful rain,the strange cat sat there", what, ","); split("good bad odd", mood, " "); x = 7
  print "sentence1,sentence2,label" >"pairs.csv"
  print "label,left,right" >"named.csv"
  for (i = 0; i < 160; i++) {
    x = (x * 1103515245 + 12345) % 2147483648; j = int(x / 65536) % 3 + 1
    x = (x * 1103515245 + 12345) % 2147483648; k = int(x / 65536) % 3 + 1
    a = what[j]
    for (n = int(x / 262144) % 4; n > 0; n--) a = a " and " what[j]
    print a >"lines.txt"
    print what[k] >"lines.txt"
    print a "," what[k] "," mood[k] >"pairs.csv"
    print mood[k] "," a "," what[k] >"named.csv"
    printf "[\"%s\", \"%s\"]\n", a, what[k] >"pairs.jsonl"
    print mood[k] >"labels"
  }
}'
"$PLAIT" tokenizer train --files lines.txt --tokenizer_type wordpiece --vocab_size 60 --output_dir words --log_level warning \
  --special_tokens "[PAD],[UNK],[CLS],[SEP],[MASK]" --post_processor bert 2>/dev/null
"$PLAIT" config --model_type bert --tokenizer_name words --log_level warning --output_dir bert \
  --config_overrides hidden_size=32,intermediate_size=64,num_hidden_layers=2,num_attention_heads=2,max_position_embeddings=64
common="--tokenizer_name words --block_size 64 --max_steps 60 --learning_rate 5e-3 --warmup_steps 10 --logging_steps 5
  --per_device_train_batch_size 16 --threads 2 --objective classification"

# ---- by names that GLUE has, and by any others
learns pairs --config_name bert $common --train_file pairs.csv
value eval_accuracy pairs/eval_results.json | awk '{ exit !($1 > 0.95) }' || stop "$(cat pairs/eval_results.json)"
grep -q "Text columns of train_file: sentence1, sentence2 (of sentence1, sentence2, label)" learns.err || stop "$(cat learns.err)"
"$PLAIT" train --config_name bert $common --train_file named.csv --text_column left --sentence2_key right --output_dir named 2>/dev/null
size=64
run() { "$PLAIT" train --config_name bert ${common/size 64 --max_steps 60/size $size --max_steps 9} "$@" 2>run.err ||
  stop "$*: $(cat run.err)"; }
run --train_file pairs.csv --output_dir a
run --train_file named.csv --text_column left --text_pair_column right --output_dir b
cmp a/model.safetensors b/model.safetensors
run --train_file pairs.csv --text_column sentence1 --output_dir one
! cmp -s a/model.safetensors one/model.safetensors || stop "the second text is not read"
"$PLAIT" eval --model_name_or_path pairs --validation_file pairs.csv --block_size 64 >alone.json 2>/dev/null
[ "$(value eval_accuracy alone.json)" = "$(value eval_accuracy pairs/eval_results.json)" ] || stop "$(cat alone.json)"

# ---- the ids and types that the tokenizer gives, at any length
rows() { # DIRECTORY FILE [SED]: of pairs.jsonl
  "$PLAIT" tokenizer encode --tokenizer_name "$1" --input pairs.jsonl --return_token_type_ids | paste -d ' ' - labels |
    sed "s/} \(.*\)\$/, \"label\": \"\1\"}/; ${3:-}" >"$2"
}
rows words whole.jsonl
run --train_file whole.jsonl --output_dir c
cmp a/model.safetensors c/model.safetensors
rows words untyped.jsonl 's/,"token_type_ids":\[[0-9,]*\]//'
run --train_file untyped.jsonl --output_dir d
! cmp -s a/model.safetensors d/model.safetensors || stop "token types do not count"
mkdir -p cut
cp words/* cut
sed -i 's/"truncation": *null/"truncation":{"direction":"Right","max_length":15,"strategy":"LongestFirst","stride":0}/' cut/tokenizer.json
rows cut cut.jsonl
size=15
run --train_file cut.jsonl --output_dir e
run --train_file pairs.csv --output_dir f
cmp e/model.safetensors f/model.safetensors
! cmp -s a/model.safetensors f/model.safetensors || stop "nothing was cut off"
prints "[SEP]" "$PLAIT" inspect --train_file pairs.csv --tokenizer_name words --objective classification --block_size 15 --samples 40
[ "$(grep -c '  \[SEP\]' printed.out)" = 80 ] || stop "$(cat printed.out)"

# ---- models without token types
"$PLAIT" config --model_type gpt2 --tokenizer_name words --config_overrides n_embd=32,n_layer=2,n_head=2,n_positions=64 \
  --output_dir gpt2 --log_level warning
learns decoder --config_name gpt2 $common --train_file pairs.csv
value eval_accuracy decoder/eval_results.json | awk '{ exit !($1 > 0.95) }' || stop "$(cat decoder/eval_results.json)"

# ---- what cannot be
train() { refuses "$1" "$2" "$PLAIT" train --config_name bert ${common/size 64/size $size} --output_dir x --log_level warning "${@:3}"; }
train 64 "--text_pair_column needs --text_column" --train_file pairs.csv --text_pair_column sentence2
refuses 64 "--text_pair_column: objective mlm has no pairs (expected classification)" "$PLAIT" train --config_name bert \
  --tokenizer_name words --train_file pairs.csv --output_dir x --text_column sentence1 --text_pair_column sentence2
train 65 'no column "third"' --train_file pairs.csv --text_column sentence1 --text_pair_column third
size=2
train 78 "leaves no room for the 3 special tokens" --train_file pairs.csv
size=15
printf 'sentence1,label\na fine day,good\n' >lacking.csv
train 65 'no column "sentence2"' --train_file pairs.csv --validation_file lacking.csv --do_train --do_eval
