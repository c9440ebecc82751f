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

# The other types, each by one command. What is saved opens alone and, for wordpiece, from vocab.txt.
train() { "$PLAIT" tokenizer train --files "$gold/mixed.txt" --vocab_size 600 "$@" 2>/dev/null || stop "train $*"; }
encodes() { "$PLAIT" tokenizer encode --tokenizer_name "$@"; }
train --tokenizer_type unigram --post_processor t5 --output_dir t5
prints "1" sh -c "$PLAIT tokenizer encode --tokenizer_name t5 --text 'a b' | sed 's/.*,//; s/]//'"
train --tokenizer_type wordpiece --post_processor bert --output_dir bert
[ -s bert/vocab.txt ] || stop "no vocab.txt"
encodes bert --input "$gold/lines.jsonl" --output bert.ids || stop "encode with bert"
encodes bert/vocab.txt --input "$gold/lines.jsonl" | cmp - bert.ids || stop "vocab.txt gives other ids"
train --tokenizer_type sentencepiece_bpe --byte_fallback --output_dir sp
prints '"Ωμέγα"' sh -c "$PLAIT tokenizer encode --tokenizer_name sp --text 'Ωμέγα' >sp.ids && \
  $PLAIT tokenizer decode --tokenizer_name sp --input sp.ids"
refuses 78 "--byte_fallback is for unigram and sentencepiece_bpe" "$PLAIT" tokenizer train --files "$gold/mixed.txt" \
  --byte_fallback --output_dir none
refuses 78 'normalizer "nope" is not known' "$PLAIT" tokenizer train --files "$gold/mixed.txt" \
  --tokenizer_type unigram --normalizer nfc,nope --output_dir none

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

# Pairs: a JSON array of two a line, or --text and --text_pair; types beside ids make rows that train takes.
bert=$GOLDEN/tokenizer_files/encode/bert
prints "[2,888,3,73,372,305,3]" "$PLAIT" tokenizer encode --tokenizer_name "$bert" --text one --text_pair two
printf '["one", "two"]\n"one"\n["one", ""]\n' >pairs.jsonl
"$PLAIT" tokenizer encode --tokenizer_name "$bert" --input pairs.jsonl --return_token_type_ids >typed.jsonl
printf '%s\n' '{"input_ids":[2,888,3,73,372,305,3],"token_type_ids":[0,0,0,1,1,1,1]}' \
  '{"input_ids":[2,888,3],"token_type_ids":[0,0,0]}' '{"input_ids":[2,888,3,3],"token_type_ids":[0,0,0,1]}' | cmp - typed.jsonl
refuses 64 "--text_pair needs --text" "$PLAIT" tokenizer encode --tokenizer_name "$bert" --input pairs.jsonl --text_pair two
printf '["one", "two", "three"]\n' >three.jsonl
refuses 65 'three.jsonl:1:16: $[2]: more than two texts' "$PLAIT" tokenizer encode --tokenizer_name "$bert" --input three.jsonl
printf '"one"\n["one"]\n' >one.jsonl
refuses 65 'less than two texts' "$PLAIT" tokenizer encode --tokenizer_name "$bert" --input one.jsonl
"$PLAIT" tokenizer encode --tokenizer_name "$GOLDEN/tokenizer/encode/mixed_cut_right" --input pairs.jsonl >/dev/null || stop "pairs, cut"

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
