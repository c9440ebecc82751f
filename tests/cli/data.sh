# Data files: the same text in every form gives the same tokens; what is wrong with a file is said in one line.
. "$TESTS/lib/cli.sh"
export XDG_CACHE_HOME=$PWD/cache

# ends CODE TEXT COMMAND...: like refuses, for a command that has said much before.
ends() {
  local code=$1 text=$2 status=0
  shift 2
  "$@" >ends.out 2>ends.err || status=$?
  [ "$status" = "$code" ] || stop "exit code $status, expected $code: $*: $(tail -n 5 ends.err)"
  grep '^plait: error: ' ends.err | grep -qF -e "$text" || stop "$*: found $(tail -n 5 ends.err), expected $text"
}

awk 'BEGIN {
  split("the a one some each", d); split("cat dog bird fish tree", n); split("sees likes finds eats hears", v); x = 7
  print "id,context" >"rows.csv"; print "[" >"array.json"; print "{\"version\": 1, \"data\": [" >"nested.json"
  for (i = 0; i < 400; i++) {
    x = (x * 1103515245 + 12345) % 2147483648; a = int(x / 65536); noun = n[int(a / 5) % 5 + 1]
    head = d[a % 5 + 1] " "; tail = " " v[int(a / 25) % 5 + 1] ", at last"
    printf "%s\"%s\"%s\n", head, noun, tail >"text.txt"
    printf "%d,\"%s\"\"%s\"\"%s\"\r\n", i, head, noun, tail >"rows.csv"
    row = sprintf("{\"id\": %d, \"context\": \"%s\\\"%s\\\"%s\"}", i, head, noun, tail)
    print row >"lines.jsonl"
    print row (i < 399 ? "," : "") >"array.json"; print row (i < 399 ? "," : "") >"nested.json"
  }
  print "]" >"array.json"; print "], \"count\": 400}" >"nested.json"
}'
"$PLAIT" tokenizer train --files text.txt --vocab_size 300 --output_dir small --log_level warning
"$PLAIT" config --config_name gpt2 --tokenizer_name small --output_dir small --log_level warning \
  --config_overrides n_embd=32,n_layer=1,n_head=2,n_positions=64

# ---- one text in every form
gzip -k rows.csv lines.jsonl array.json
forms="rows.csv lines.jsonl array.json rows.csv.gz lines.jsonl.gz array.json.gz"
if command -v zstd >/dev/null; then
  zstd -q rows.csv nested.json
  forms="$forms rows.csv.zst"
fi
look() { "$PLAIT" inspect --tokenizer_name small --block_size 32 --samples 1 "$@" 2>look.err; }
look --train_file lines.jsonl >wanted || stop "$(cat look.err)"
grep -q '^data: 400 documents (0 empty)' wanted || stop "$(cat wanted)"
for form in $forms; do
  look --train_file "$form" | sed 's/, [0-9.]* bytes per token//' >found || stop "$form: $(cat look.err)"
  grep -qF "Text column of train_file: context (of id, context)" look.err || stop "$form: $(cat look.err)"
  sed 's/, [0-9.]* bytes per token//' wanted | cmp - found || stop "$form"
done
for form in nested.json nested.json.zst; do
  [ -e $form ] || continue
  look --train_file $form --json_field data | sed 's/, [0-9.]* bytes per token//' >found || stop "$(cat look.err)"
  sed 's/, [0-9.]* bytes per token//' wanted | cmp - found || stop "$form"
done
prints "data: 1,200 documents" "$PLAIT" inspect --tokenizer_name small --train_file rows.csv 'lines.json*' --samples 0
prints "data: 400 documents" "$PLAIT" inspect --tokenizer_name small --train_file - --samples 0 < <(gzip -c text.txt)

# ---- tokenizers from them
"$PLAIT" tokenizer train --files rows.csv.gz --vocab_size 280 --output_dir of_rows --log_level warning
"$PLAIT" tokenizer train --files nested.json --json_field data --text_column context --vocab_size 280 \
  --output_dir of_nested --log_level warning
cmp of_rows/tokenizer.json of_nested/tokenizer.json
gzip -c text.txt >text.raw.gz
"$PLAIT" tokenizer train --files text.raw.gz --vocab_size 300 --output_dir of_text --log_level warning
cmp small/tokenizer.json of_text/tokenizer.json
refuses 65 'rows.csv: no column "body"; columns: id, context' \
  "$PLAIT" tokenizer train --files rows.csv --text_column body --output_dir x

# ---- training from them
export XDG_CACHE_HOME=$PWD/fresh
common="--config_name small --tokenizer_name small --block_size 32 --max_steps 3 --per_device_train_batch_size 4
  --logging_steps 1 --save_strategy no --threads 2"
says "Text column of train_file: context (of id, context)" "$PLAIT" train $common --train_file rows.csv --output_dir rows
grep -q '^Tokenized train_file: ' printed.err || stop "not tokenized: $(cat printed.err)"
says "Training completed: 3 steps" "$PLAIT" train $common --train_file rows.csv --output_dir again
! grep -q '^Tokenized' printed.err || stop "tokenized again"
cmp rows/model.safetensors again/model.safetensors
"$PLAIT" train $common --train_file lines.jsonl.gz --text_column context --output_dir lines --log_level warning
cmp rows/model.safetensors lines/model.safetensors
says "Tokenized train_file: " "$PLAIT" train $common --train_file rows.csv --text_column id --output_dir ids
refuses 64 "is given, and no file of \`train_file\` is JSON" \
  "$PLAIT" train $common --train_file rows.csv --json_field data --output_dir x
mkdir -p data/pets/tiny
cp rows.csv.gz data/pets/tiny/train-0001.csv.gz
head -n 40 lines.jsonl | gzip >data/pets/tiny/validation.jsonl.gz
says "Num evaluation examples" "$PLAIT" train $common --dataset_name pets --dataset_config_name tiny --cache_dir data \
  --do_train --do_eval --output_dir x --dry_run

# ---- bad rows: stopped at, skipped, or so many
printf 'id,context\n1,a cat\n2,"b" cat\n3,c,cat\n4,d cat\n5,e cat e cat e cat e cat e cat\n' >bad.csv
bad="$PLAIT train --config_name small --tokenizer_name small --block_size 4 --max_steps 1 --train_file bad.csv --dry_run
  --output_dir x"
ends 65 "bad.csv:3:6: text after a closing quote" $bad
ends 65 "bad.csv:3:6: text after a closing quote (and more than 1 bad lines)" $bad --on_bad_line 1
says "2 bad lines skipped, the first: bad.csv:3:6: text after a closing quote" $bad --on_bad_line 2
says "2 bad lines of train_file are left out" $bad --on_bad_line 2
says "2 bad lines skipped" $bad --on_bad_line skip
says "2 bad lines skipped" $bad --on_bad_line skip --world_size 2 --overwrite_cache

# ---- what files are not
refuses 64 "\`train_file\` should be a csv, a json or a txt file (found \"small/tokenizer_config.yaml\")" \
  "$PLAIT" train $common --train_file small/tokenizer_config.yaml --output_dir x
printf 'id,context\n' >header.csv
ends 65 "no usable rows" "$PLAIT" train $common --train_file header.csv --output_dir x
cp rows.csv.gz packed.csv
refuses 65 "packed.csv: not text: looks like gzip" "$PLAIT" train $common --train_file packed.csv --output_dir x
head -c 1000 rows.csv.gz >cut.csv.gz
refuses 65 "cut.csv.gz: gzip data is cut off at byte 1000" "$PLAIT" train $common --train_file cut.csv.gz --output_dir x
echo '{"messages": [{"role": "user", "content": "a"}]}' >chat.jsonl
refuses 65 "chat.jsonl: columns of conversations (\"messages\") are not read by this version" \
  "$PLAIT" train $common --train_file chat.jsonl --output_dir x

# ---- the files of one run have one column
printf 'id,body\n1,a cat sees the fish at last\n2,the dog finds one bird and some tree\n' >first.csv
printf 'title,body\nBIRDS,the dog hears each bird\nFISH,one fish eats some tree\n' >second.csv
says "Text column of validation_file: body (of title, body)" "$PLAIT" train --config_name small --tokenizer_name small \
  --block_size 8 --train_file first.csv --validation_file second.csv --do_train --do_eval --output_dir x --dry_run
says "Text column of train_file: title" "$PLAIT" train --config_name small --tokenizer_name small --block_size 8 \
  --train_file second.csv --output_dir x --dry_run
