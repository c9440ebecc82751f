#!/usr/bin/env bash
# A tokenizer from scratch: byte-level BPE as of RoBERTa and GPT-2, and the Unigram recipe of T5. Full size:
#
#   plait tokenizer train --files 'corpus/*.txt.gz' --vocab_size 50265 --min_frequency 2 \
#       --special_tokens "<s>,<pad>,</s>,<unk>,<mask>" --output_dir norwegian-roberta-base
#   plait tokenizer train --files 'corpus/*.txt.gz' --tokenizer_type unigram --vocab_size 32000 --post_processor t5 \
#       --output_dir norwegian-t5-base
. "$(dirname "$0")/lib/common.sh"

tales 1 60000 >text.txt
plait tokenizer train --files text.txt --vocab_size 600 --min_frequency 2 \
  --special_tokens "<s>,<pad>,</s>,<unk>,<mask>" --output_dir bpe
plait tokenizer train --files text.txt --tokenizer_type unigram --vocab_size 300 --post_processor t5 --output_dir unigram

for name in bpe unigram; do
  plait inspect --tokenizer_name $name --train_file text.txt --block_size 64 --samples 0
  plait tokenizer encode --tokenizer_name $name --text "Anna lost the silver bell under the bridge."
done

# Bytes lose nothing, whatever the text.
tales 2 2000 | sed 's/.*/"é 雨 &"/; s/" *"/ /g' | tr -d '\\' | awk '{ gsub(/"/, ""); print "\"" $0 "\"" }' >unseen.jsonl
plait tokenizer encode --tokenizer_name bpe --input unseen.jsonl --output ids.jsonl
plait tokenizer decode --tokenizer_name bpe --input ids.jsonl --output back.jsonl
cmp unseen.jsonl back.jsonl || stop "the text did not come back"
bytes=$(wc -c <unseen.jsonl) tokens=$(tr -cd , <ids.jsonl | wc -c)
below $((tokens * 2)) "$bytes" || stop "$tokens tokens for $bytes bytes"
echo "$bytes bytes are $tokens tokens, and come back"
