# plait tokenizer: trained, it gives the ids of tokenizers; encode and decode of every golden directory; what is refused.
. "$TESTS/lib/cli.sh"
gold=$GOLDEN/tokenizer

# From text to ids.
"$PLAIT" tokenizer train --files "$gold/english.txt" --vocab_size 900 --min_frequency 2 \
  --special_tokens "<s>,<pad>,</s>,<unk>,<mask>" --output_dir made || stop train
for file in tokenizer.json vocab.json merges.txt tokenizer_config.json; do
  [ -s "made/$file" ] || stop "no $file"
done
"$PLAIT" tokenizer encode --tokenizer_name made --input "$gold/lines.jsonl" --output made.ids || stop encode
cmp made.ids "$gold/encode/english/ids.jsonl" || stop "ids of the trained tokenizer"
rm made/tokenizer.json
"$PLAIT" tokenizer encode --tokenizer_name made --input "$gold/lines.jsonl" --output files.ids || stop encode
cmp files.ids made.ids || stop "vocab.json + merges.txt give other ids"
"$PLAIT" tokenizer train --files - --vocab_size 900 --output_dir piped <"$gold/english.txt" || stop "train from a pipe"
"$PLAIT" tokenizer encode --tokenizer_name piped --input - <"$gold/lines.jsonl" | cmp - made.ids || stop "piped"

# Every golden directory. Decoded texts are compared by their ids, because JSON has several spellings of one string.
while read -r name; do
  dir=$gold/encode/$name bare=$gold/encode/$name/ids_bare.jsonl
  [ -e "$bare" ] || bare=$dir/ids.jsonl
  "$PLAIT" tokenizer encode --tokenizer_name "$dir" --input "$gold/lines.jsonl" | cmp - "$dir/ids.jsonl" || stop "$name"
  "$PLAIT" tokenizer encode --tokenizer_name "$dir" --input "$gold/lines.jsonl" --no_add_special_tokens |
    cmp - "$bare" || stop "$name, bare"
  [ -e "$dir/decoded.jsonl" ] || continue
  for kind in decoded decoded_all; do
    option=
    [ $kind = decoded ] || option=--no_skip_special_tokens
    "$PLAIT" tokenizer decode --tokenizer_name "$dir" --input "$dir/ids.jsonl" --output text.jsonl $option
    "$PLAIT" tokenizer encode --tokenizer_name "$dir" --input text.jsonl --output got.ids
    "$PLAIT" tokenizer encode --tokenizer_name "$dir" --input "$dir/$kind.jsonl" | cmp - got.ids || stop "$name, $kind"
  done
done <"$gold/encoders.txt"

# One text.
prints "[0,489,2]" "$PLAIT" tokenizer encode --tokenizer_name "$gold/encode/mixed_roberta" --text "A"

# Refused.
mkdir empty broken
echo '404: Not Found' >broken/tokenizer.json
encode() { refuses "$1" "$2" "$PLAIT" tokenizer encode --input "$gold/lines.jsonl" --tokenizer_name "$3"; }
encode 66 "no tokenizer here" empty
encode 65 "broken/tokenizer.json:1:1: wrong type (found a number, expected an object)" broken
printf 'one\n\377\n' >text.txt
refuses 65 "text.txt:2: not UTF-8 at byte 4 of the file" "$PLAIT" tokenizer train --files text.txt --output_dir out
[ ! -e out ] || stop "an output directory after a failed training"
refuses 66 "nothing.txt" "$PLAIT" tokenizer train --files nothing.txt --output_dir out
printf '[1,-1]\n' >ids.jsonl
refuses 65 "standard input:1:4: \$[1]" "$PLAIT" tokenizer decode --tokenizer_name piped --input - <ids.jsonl
