# plait generate: every stored case against transformers, then texts, streaming, sampling, and what it refuses.
. "$TESTS/lib/cli.sh"
cases=$GOLDEN/gpt2/generate/cases.json
model=$GOLDEN/gpt2/generate/model

# ---- token for token ----

field() { # LINE KEY: the arrays of numbers in the key's value, a line each
  local value=${1#*\"$2\":}
  value=${value%%,\"rows\":*}
  value=${value%%,\"ids\":*}
  echo "$value" | grep -o '\[[0-9,]*\]'
}
ids_of() { sed -e 's/^{"ids": \(\[.*\]\), "text".*/\1/' -e 's/ //g' "$1"; } # of an --output
unpadded() { sed 's/\(,198\)*\]$/]/'; }

count=0
while read -r line; do
  case $line in '{'*) ;; *) continue ;; esac
  line=${line%,}
  name=$(echo "$line" | sed 's/.*"name":"\([^"]*\)".*/\1/')
  field "$line" input_ids >prompts.jsonl
  echo "$line" | sed 's/.*"options":\({[^}]*}\).*/\1/' >options.json
  field "$line" ids >expected
  "$PLAIT" generate options.json --model_name_or_path "${model%/*}/$(echo "$line" | sed 's/.*"model":"\([^"]*\)".*/\1/')" \
    --input_ids prompts.jsonl --output out.jsonl 2>err || stop "$name: $(cat err)"
  ids_of out.jsonl | unpadded >found
  cmp -s expected found || stop "$name: $(diff expected found)"
  count=$((count + 1))
done <"$cases"
[ "$count" -ge 30 ] || stop "only $count cases"

# Sequences of one prompt are padded to the longest of them, and to no other's.
"$PLAIT" generate --model_name_or_path "$model" --input_ids prompts.jsonl --num_beams 4 --num_return_sequences 4 \
  --max_new_tokens 12 --early_stopping true --output out.jsonl 2>err
ids_of out.jsonl | awk -F, '{ n[int((NR - 1) / 4)] = n[int((NR - 1) / 4)] " " NF } END { for (i in n) print n[i] }' >lengths
awk '{ for (i = 2; i <= NF; i++) if ($i != $1) exit 1 }' lengths || stop "ragged: $(cat lengths)"
[ "$(sort -u lengths | wc -l)" -gt 1 ] || stop "padded across prompts"

# How the work is cut changes nothing.
run_ids() { "$PLAIT" generate --model_name_or_path "$model" --input_ids prompts.jsonl --max_new_tokens 20 --output - "$@" 2>err || stop "$*: $(cat err)"; }
for how in "--num_beams 3" "--do_sample --top_k 20 --num_return_sequences 2" "--do_sample --num_beams 2 --seed 3"; do
  run_ids $how >whole
  for cut in "--batch_size 1" "--batch_size 2 --threads 1" "--prefill_chunk_size 2 --threads 3" "--tensor_parallel_size 2" \
    "--data_parallel_size 2 --batch_size 1"; do
    run_ids $how $cut | cmp -s whole - || stop "$how: $cut changes the tokens"
  done
done
run_ids --do_sample --seed 1 >one
run_ids --do_sample --seed 2 >two
! cmp -s one two || stop "the seed changes nothing"
run_ids --do_sample --seed 1 --num_return_sequences 2 >both
[ "$(ids_of both | sed -n '1p;2p' | sort -u | wc -l)" = 2 ] || stop "samples of one prompt are alike"

# ---- texts ----

"$PLAIT" tokenizer train --files "$GOLDEN/tokenizer/english.txt" --vocab_size 400 --output_dir tiny \
  --special_tokens "<s>,<pad>,</s>,<unk>,<mask>"
"$PLAIT" config --model_type gpt2 --tokenizer_name tiny --config_overrides n_embd=32,n_layer=2,n_head=2,n_positions=64,initializer_range=0.3 \
  --output_dir tiny
"$PLAIT" init --config_name tiny --output_dir tiny --seed 5
try() { "$PLAIT" generate --model_name_or_path tiny "$@"; }
write() { try --max_new_tokens 30 "$@"; }

write --prompt "The first" >text || stop "no text"
head -c 9 text | grep -qx "The first" || stop "does not begin with the prompt: $(cat text)"
[ "$(tail -c 1 text | od -An -c | tr -d ' ')" = '\n' ] || stop "no end of line"
write --prompt "The first" --output both
sed -e 's/.*"text": //' -e 's/}$//' both >quoted
ids_of both | "$PLAIT" tokenizer decode --tokenizer_name tiny --input - --output - | cmp - quoted || stop "ids and text differ"
"$PLAIT" tokenizer encode --tokenizer_name tiny --input quoted --output one
"$PLAIT" tokenizer encode --tokenizer_name tiny --text "$(head -c -1 text)" --output two
cmp one two || stop "stdout and --output differ: $(cat text quoted)"

# On a terminal the same text, piece by piece.
if command -v script >/dev/null && script -qec true /dev/null >/dev/null 2>&1; then
  for seed in 1 2 3; do
    write --prompt "The first" --do_sample --top_k 0 --seed $seed >piped
    script -qec "$PLAIT generate --model_name_or_path tiny --max_new_tokens 30 --prompt 'The first' --do_sample --top_k 0 --seed $seed" \
      /dev/null </dev/null | tr -d '\r' >terminal
    tr -d '\r' <piped | cmp -s - terminal || stop "a terminal shows something else: $(diff piped terminal)"
  done
fi

# Lines of a file; an empty one begins with the beginning-of-sequence token.
printf 'The first\n\nAnother one\r\nlast' >prompts.txt
write --prompt_file prompts.txt --output lines.jsonl
[ "$(wc -l <lines.jsonl)" = 4 ] || stop "not a result a line"
[ "$(sed -n 2p lines.jsonl | grep -c '^{"ids": \[0, ')" = 1 ] || stop "no <s>: $(sed -n 2p lines.jsonl)"
write --prompt_file - <prompts.txt --output - --batch_size 1 | cmp -s lines.jsonl - || stop "standard input"
write --prompt_file prompts.txt >texts
[ "$(head -1 texts | head -c 9)" = "The first" ] || stop "not in order"

# A stop string ends the text with the token that completes it.
write --prompt "The first" --repetition_penalty 1.5 >text
word=$(head -c 40 text | tail -c 3)
write --prompt "The first" --repetition_penalty 1.5 --stop_strings "$word" >stopped
[ "$(wc -c <stopped)" -lt "$(wc -c <text)" ] && grep -qF -e "$word" stopped || stop "not stopped at '$word': $(cat stopped)"
[ "$(head -c "$(($(wc -c <stopped) - 1))" stopped)" = "$(head -c "$(($(wc -c <stopped) - 1))" text)" ] ||
  stop "another text with a stop string"

# Through stages of layers the same, with one prompt or many, on a terminal too.
stages="--pipeline_parallel_size 2 --world_size 4"
write --prompt "The first" --repetition_penalty 1.5 --stop_strings "$word" $stages | cmp -s - stopped || stop "stages: not stopped"
write --prompt_file prompts.txt --output - $stages | cmp -s lines.jsonl - || stop "stages: other texts"
write --prompt_file prompts.txt --num_beams 3 --batch_size 2 >beams
write --prompt_file prompts.txt --num_beams 3 --batch_size 2 $stages | cmp -s beams - || stop "stages: other beams"

# Copies of the model take a prompt each, in the order of the prompts all the same; one prompt leaves the others idle.
copies="--data_parallel_size 2 --pipeline_parallel_size 2 --world_size 4"
write --prompt_file prompts.txt --output - $copies | cmp -s lines.jsonl - || stop "copies: other texts"
write --prompt_file prompts.txt --num_beams 3 --batch_size 1 --data_parallel_size 3 | cmp -s beams - || stop "copies: other beams"
write --prompt "The first" --repetition_penalty 1.5 --stop_strings "$word" $copies | cmp -s - stopped || stop "copies: not stopped"
if command -v script >/dev/null && script -qec true /dev/null >/dev/null 2>&1; then
  for ranks in "$stages" "$copies"; do
    script -qec "$PLAIT generate --model_name_or_path tiny --max_new_tokens 30 --prompt 'The first' --do_sample --top_k 0 --seed 3 $ranks 2>/dev/null" \
      /dev/null </dev/null | tr -d '\r' >terminal
    tr -d '\r' <piped | cmp -s - terminal || stop "$ranks: a terminal shows something else: $(diff piped terminal)"
  done
fi

# ---- notes and refusals ----

says "note: --num_microbatches: changes nothing" write --prompt a --pipeline_parallel_size 2 --num_microbatches 2

says "note: --zero_stage: changes nothing, as each copy of the model has all" write --prompt a --world_size 2 --zero_stage 3

says "acts only with --do_sample" write --prompt a --temperature 0.5
says "acts only with --num_beams" write --prompt a --length_penalty 2
says "seem to have been set" write --prompt a --max_length 20
says "where the model's positions end" try --prompt a --max_new_tokens 500
refuses 64 "no prompt" write
refuses 64 "more than one source" write --prompt a --prompt_file prompts.txt
refuses 64 '`temperature` (=0) has to be a strictly positive float' write --prompt a --do_sample --temperature 0
refuses 64 "set \`do_sample=False\`" write --prompt a --do_sample --temperature 0
refuses 64 '`num_return_sequences` (3) has to be smaller or equal to `num_beams` (2)' write --prompt a --num_beams 2 --num_return_sequences 3
refuses 64 "Greedy methods (do_sample != True)" write --prompt a --num_return_sequences 3
refuses 64 '`top_p` has to be a float > 0 and < 1' write --prompt a --do_sample --top_p 1.5
refuses 64 '`penalty` has to be a strictly positive float' write --prompt a --repetition_penalty 0
refuses 64 "filters by temperature" write --prompt a --min_p 0.1
refuses 64 "greedy search, sampling and beam search only" write --prompt a --num_beam_groups 2
refuses 64 "no value of this option" write --prompt a --early_stopping sometimes
refuses 64 '`max_new_tokens` must be greater than 0, but is 0' try --prompt a --max_new_tokens 0
refuses 78 "longer than the model's positions" write --prompt "$(seq -s ' ' 200)"
refuses 78 "Input length of input_ids is" try --prompt "a b c d e f" --max_length 3
refuses 66 "prompts.none" write --prompt_file prompts.none
: >empty
refuses 65 "no prompt in it" write --prompt_file empty
echo '[1, 2' >bad.jsonl
refuses 65 "bad.jsonl:1" write --input_ids bad.jsonl
printf '[1]\n[2, 9999]\n' >bad.jsonl
refuses 65 "prompt 2: token 2 is not the model's (found 9999" write --input_ids bad.jsonl
refuses 65 "prompt 2: token 2 is not the model's (found 9999" write --input_ids bad.jsonl --data_parallel_size 2
cp -r tiny odd
printf '{"eos_token_id": 2, "suppress_tokens": [3]}' >odd/generation_config.json
refuses 78 "odd/generation_config.json: plait has no suppress_tokens" "$PLAIT" generate --model_name_or_path odd --prompt a
printf '{"eos_token_id": 2, "typical_p": 0.5}' >odd/generation_config.json
"$PLAIT" generate --model_name_or_path odd --prompt a >/dev/null || stop "a key of sampling matters without it"
refuses 64 "plait has no typical_p" "$PLAIT" generate --model_name_or_path odd --prompt a --do_sample
printf '{"eos_token_id": 2}' >odd/generation_config.json
refuses 78 '`bos_token_id` has to be defined' "$PLAIT" generate --model_name_or_path odd --prompt ""

# A full disk and a closed pipe are told; nothing half-written stays.
[ ! -e /dev/full ] || ! try --prompt a >/dev/full 2>err || stop "full disk unnoticed"

# Asked to end, it does so between two tokens and leaves no file.
mkfifo many
for ranks in 1 2; do
  "$PLAIT" generate --model_name_or_path tiny --prompt_file - --max_new_tokens 55 --output never.jsonl --data_parallel_size $ranks \
    2>err <many &
  pid=$!
  seq 1 30000 >many # more than a pipe holds: when all is written, signals are watched for
  kill -TERM $pid
  status=0
  wait $pid || status=$?
  [ "$status" = 75 ] || stop "exit code $status after SIGTERM: $(cat err)"
  [ ! -e never.jsonl ] || stop "a file of an ended run"
done
