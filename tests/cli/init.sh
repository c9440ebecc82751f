# plait init and plait inspect: random models, other vocabularies, types and sizes of files.
. "$TESTS/lib/cli.sh"
export HOME=$PWD
small='n_embd=48,n_head=3,n_layer=2,n_positions=32'
same() { "$PROGRAMS/tensors_compare" "$1" "$2" exact || stop "$1 and $2 differ"; }

# The same seed gives the same file, whatever the threads; another seed another.
"$PLAIT" tokenizer train --files "$GOLDEN/tokenizer/english.txt" --vocab_size 400 --output_dir m
"$PLAIT" config --config_name gpt2 --tokenizer_name m --config_overrides $small --output_dir m
says "m: gpt2, 77,376 parameters, float32" "$PLAIT" init --config_name m --output_dir m
"$PLAIT" init --config_name m --output_dir one --threads 1
cmp m/model.safetensors one/model.safetensors || stop "threads change the weights"
"$PLAIT" init --config_name m --output_dir stages --tensor_parallel_size 2 --pipeline_parallel_size 2
"$PLAIT" checkpoint merge stages --output_dir stages --log_level warning
cmp m/model.safetensors stages/model.safetensors || stop "the layout changes the weights"
cmp m/tokenizer.json one/tokenizer.json || stop "the tokenizer was not copied"
"$PLAIT" init --config_name m --output_dir two --seed 7
cmp -s m/model.safetensors two/model.safetensors && stop "another seed, the same weights"
grep -q '"GPT2LMHeadModel"' m/config.json || stop "no architecture"
grep -q '"dtype": "float32"' m/config.json || stop "no dtype"
grep -q '_from_model_config' m/generation_config.json || stop "no generation config"

# From weights: nothing asked for, nothing changed; files by size and type.
"$PLAIT" init --model_name_or_path m --output_dir copy
cmp m/model.safetensors copy/model.safetensors || stop "a copy differs"
cmp m/config.json copy/config.json || stop "config"
"$PLAIT" init --model_name_or_path m --output_dir shards --max_shard_size 100KB
[ -e shards/model.safetensors.index.json ] || stop "not split"
[ ! -e shards/model.safetensors ] || stop "both forms"
"$PLAIT" init --model_name_or_path shards --output_dir joined
same joined/model.safetensors m/model.safetensors
"$PLAIT" init --model_name_or_path m --output_dir half --save_dtype bfloat16
grep -q '"dtype": "bfloat16"' half/config.json || stop "dtype of half"
"$PLAIT" init --model_name_or_path half --output_dir half2
cmp half/model.safetensors half2/model.safetensors || stop "bfloat16 is not kept"
prints "BF16" "$PLAIT" inspect half

# Another vocabulary: rows kept, new ones as asked for; back again, nothing is lost.
for rows in zero normal mean; do
  "$PLAIT" init --model_name_or_path m --vocab_size 405 --new_rows $rows --output_dir $rows
  grep -q '"vocab_size": 405' $rows/config.json || stop "vocab_size of $rows"
  "$PLAIT" init --model_name_or_path $rows --vocab_size 400 --output_dir back
  cmp m/model.safetensors back/model.safetensors || stop "$rows: rows were lost"
done
cmp -s zero/model.safetensors mean/model.safetensors && stop "zero is mean"
cmp -s zero/model.safetensors normal/model.safetensors && stop "zero is normal"
"$PLAIT" init --model_name_or_path "$GOLDEN/gpt2/untied" --vocab_size 99 --output_dir untied
prints "lm_head.weight" "$PLAIT" inspect untied
grep -q '^lm_head.weight  *\[99, 32\]' printed.out || stop "the head was not resized: $(cat printed.out)"
# So do heads of their own, and the biases of masked language models' heads.
for model in bert/plain bert/untied roberta/plain roberta/untied gpt_neo/untied llama/plain t5/plain t5/untied; do
  name=${model/\//_}
  "$PLAIT" init --model_name_or_path "$GOLDEN/$model" --output_dir $name
  vocab=$(grep -o '"vocab_size": [0-9]*' $name/config.json | grep -o '[0-9]*')
  for rows in zero normal mean; do
    "$PLAIT" init --model_name_or_path $name --vocab_size $((vocab + 7)) --new_rows $rows --output_dir $name-$rows
    "$PLAIT" inspect $name-$rows | grep -E '(word_embeddings|wte|embed_tokens|shared|decoder|lm_head)\.weight|(predictions|lm_head|decoder)\.bias' >table
    [ -s table ] && ! grep -v " \[$((vocab + 7))" table || stop "$name-$rows: $(cat table)"
    "$PLAIT" init --model_name_or_path $name-$rows --vocab_size $vocab --output_dir back
    cmp $name/model.safetensors back/model.safetensors || stop "$name, $rows: rows were lost"
  done
done

# Weights of PyTorch and of Flax: the same model.
old=$GOLDEN/weights
"$PLAIT" init --model_name_or_path "$old/gpt2" --output_dir plain
for form in bin bin_shards flax flax_shards; do
  "$PLAIT" init --model_name_or_path "$old/gpt2_$form" --output_dir $form
  cmp $form/model.safetensors plain/model.safetensors || stop "gpt2_$form is another model"
done
echo '{"input_ids": [1, 5, 39, 7, 2, 0, 11]}' >rows.jsonl
for form in "" _bin_shards _flax; do
  "$PLAIT" eval --model_name_or_path "$old/gpt2$form" --validation_file rows.jsonl --block_size 7 >eval$form.json
  cmp <(grep eval_loss eval.json) <(grep eval_loss eval$form.json) || stop "gpt2$form computes something else"
done
"$PLAIT" init --model_name_or_path "$old/gpt2_flax" --vocab_size 43 --new_rows mean --output_dir wide
"$PLAIT" init --model_name_or_path "$old/gpt2" --vocab_size 43 --new_rows mean --output_dir wide2
cmp wide/model.safetensors wide2/model.safetensors || stop "rows of Flax weights"
prints "weights: 29 tensors in 1 file, 4,944 elements" "$PLAIT" inspect "$old/gpt2_bin"
prints "weights: 28 tensors in 2 files, 4,464 elements" "$PLAIT" inspect "$old/gpt2_flax_shards"
prints "transposed  [8, 6]  " "$PLAIT" inspect "$old/torch/legacy.bin"
prints "conv.weight     [5, 4, 2, 3]  " "$PLAIT" inspect - <"$old/flax/all.msgpack"
refuses 65 'system.bin: data.pkl @177: global "posix.system" is refused' "$PLAIT" inspect "$old/refused/system.bin"
[ ! -e executed ] || stop "the pickle was executed"

# What inspect says.
prints "model: gpt2 (GPT2LMHeadModel), 2 layers, width 48, 3 heads, 32 positions, vocabulary 400, 77,376 parameters" \
  "$PLAIT" inspect m
grep -q '^tokenizer: 400 tokens, bos <s> (0), eos </s> (2)' printed.out || stop "$(cat printed.out)"
grep -q '^weights: 28 tensors in 1 file, 77,376 elements, 310 kB' printed.out || stop "$(cat printed.out)"
prints "weights: 28 tensors in " "$PLAIT" inspect --model_name_or_path shards
"$PLAIT" config --config_name gpt2 --output_dir bare
prints "weights: none" "$PLAIT" inspect bare
grep -q '^tokenizer: none' printed.out || stop "$(cat printed.out)"
"$PLAIT" inspect m/model.safetensors >file.txt
"$PLAIT" inspect - <m/model.safetensors | cmp - file.txt || stop "standard input"

# Refused, and nothing is left.
init() { refuses "$1" "$2" "$PLAIT" init --output_dir left "${@:3}"; }
refuses 64 "--output_dir is missing" "$PLAIT" init --config_name m
init 64 "no model (expected --model_name_or_path or --config_name)"
init 66 'model "nowhere" not found (looked in' --model_name_or_path nowhere
init 66 "no weights (found none" --model_name_or_path bare
init 65 "missing" --model_name_or_path m --config_overrides n_layer=3
init 78 "--world_size: not data_parallel_size auto x tensor_parallel_size 2" --config_name m --tensor_parallel_size 2 --world_size 3
init 64 "--max_shard_size: no size" --config_name m --max_shard_size huge
init 64 "--vocab_size: out of range" --config_name m --vocab_size 0
init 73 "no room on the disk" --config_name gpt2 --config_overrides n_embd=1048576,n_head=16,n_layer=96
head -c 1000 m/model.safetensors >two/model.safetensors
init 65 "two/model.safetensors" --model_name_or_path two
[ ! -e left ] || [ -z "$(ls -A left)" ] || stop "something was left behind: $(ls -A left)"
refuses 64 "inspect: one thing at a time" "$PLAIT" inspect m two
refuses 64 "--model_name_or_path is missing" "$PLAIT" inspect
refuses 65 "two/model.safetensors" "$PLAIT" inspect two

# Data as it would be trained on.
inspect() { prints "$1" "$PLAIT" inspect --tokenizer_name m --cache_dir . "${@:2}"; }
inspect "data: 121 documents (0 empty), 13,745 tokens, 1.950 bytes per token, 0.0000 % unknown" \
  --train_file "$GOLDEN/tokenizer/english.txt" --block_size 100 --samples 2
grep -q '^samples: 137 of 100 tokens, 45 tokens in no sample' printed.out || stop "$(head -2 printed.out)"
[ "$(grep -c '^sample [01]: 100 tokens' printed.out)" = 2 ] || stop "samples: $(cat printed.out)"
grep -q '^  \.\.\. 36 more' printed.out || stop "long samples are cut"
inspect " truncated, " --train_file "$GOLDEN/tokenizer/mixed.txt" --block_size 8 --line_by_line --samples 0
! grep -q '^sample ' printed.out || stop "no samples were asked for"
refuses 66 "nothing.txt" "$PLAIT" inspect --train_file nothing.txt --tokenizer_name m
refuses 64 "--tokenizer_name is missing" "$PLAIT" inspect --train_file "$GOLDEN/tokenizer/english.txt"

# ---- sizes of shards
for size in "" GB "5 GBs" 0 0.2 -1GB nan inf 1e30GB 5G5; do
  refuses 64 "--max_shard_size: no size (found \"$size\"" "$PLAIT" init --model_name_or_path m --output_dir sizes --max_shard_size "$size"
done
"$PLAIT" init --model_name_or_path m --output_dir sizes --max_shard_size 1.5kib --log_level warning
[ "$(ls sizes/model-*.safetensors | wc -l)" -gt 1 ] || stop "one shard of 1.5 KiB"
