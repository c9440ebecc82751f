# For the tests of objectives: small data with rules to be learnt, models, and what a run has to show.

# lines.txt, pairs.csv (said, meant), classes.csv (text, mood), several.jsonl, numbers.jsonl, good.csv, furious.csv
make_texts() {
  awk 'BEGIN {
    split("fine day,awful rain,strange cat", what, ","); split("good bad odd", mood, " "); x = 7
    print "said,meant" >"pairs.csv"
    print "text,mood" >"classes.csv"
    for (i = 0; i < 240; i++) {
      x = (x * 1103515245 + 12345) % 2147483648; k = int(x / 65536) % 3 + 1
      text = what[k]
      for (n = int(x / 262144) % 4; n > 0; n--) text = text " " what[k]
      print "it was a " text ", so " mood[k] " ." >"lines.txt"
      print text "," mood[k] " indeed" >"pairs.csv"
      print text "," mood[k] >"classes.csv"
      printf "{\"text\": \"%s\", \"label\": [%s\"%s\"]}\n", text, k == 1 ? "\"any\", " : "", mood[k] >"several.jsonl"
      printf "{\"text\": \"%s\", \"label\": %.1f}\n", text, k / 2 >"numbers.jsonl"
    }
    print "text,mood\nfine day,good" >"good.csv"
    print "text,mood\nfine day,furious" >"furious.csv"
  }'
}

# tokenizer SPECIALS DIRECTORY [OPTION...]
tokenizer() {
  local specials=$1 directory=$2
  shift 2
  "$PLAIT" tokenizer train --files lines.txt --vocab_size 330 --special_tokens "$specials" --output_dir "$directory" \
    --log_level warning "$@"
}

# model TYPE TOKENIZER OVERRIDES: its config, in directory TYPE
model() {
  "$PLAIT" config --model_type "$1" --tokenizer_name "$2" --config_overrides "$3" --output_dir "$1" --log_level warning
}

value() { # KEY FILE
  grep "\"$1\"" "$2" | sed 's/.*: //; s/,$//'
}

near() { # A B RELATIVE
  awk -v a="$1" -v b="$2" -v r="$3" 'BEGIN { d = a - b; d = d < 0 ? -d : d; exit !(d <= r * (a < 0 ? -a : a)) }'
}

last_loss() {
  grep -o '"loss": [0-9.e-]*' "$1/train_log.jsonl" | tail -n 1 | cut -d' ' -f2
}

# learns DIRECTORY OPTION...: trains, with evaluation; the loss at the end is well below that of the beginning.
learns() {
  local directory=$1
  shift
  "$PLAIT" train "$@" --do_train --do_eval --output_dir "$directory" 2>learns.err || stop "$*: $(tail -n 5 learns.err)"
  grep -o '"loss": [0-9.e-]*' "$directory/train_log.jsonl" | cut -d' ' -f2 |
    awk 'NR == 1 { a = $1 } { b = $1 } END { exit !(b < 0.6 * a) }' || stop "no learning: $(cat "$directory/train_log.jsonl")"
}
