# docs/COMING_FROM.md: its commands run as they stand there, with small models in the hub's cache under the names that they
# use, and small files where their data lies. A launcher of ranks is played by ranks inside the process.
[ -z "${PLAIT_SANITIZE:-}" ] || { echo "its commands run under sanitizers in other tests: not tested"; exit 77; }
. "$TESTS/lib/cli.sh"
doc=$TESTS/../docs/COMING_FROM.md
export XDG_CACHE_HOME=$PWD/cache HF_HOME=$PWD/hf OMP_NUM_THREADS=1

mkdir bin
cat >bin/plait <<EOF
#!/bin/sh
exec "$PLAIT" "\$@"
EOF
cat >bin/mpirun <<'EOF'
#!/bin/sh
n=$2
shift 3
exec plait "$@" --world_size "$n"
EOF
chmod +x bin/*
export PATH=$PWD/bin:$PATH

# ---- data
mkdir -p oscar/unshuffled_deduplicated_no wikitext/wikitext-2-raw-v1 squad
tale() { awk -v seed="$1" -v bytes="$2" -f "$TESTS/../script/demo-text.awk"; }
tale 1 12000 >oscar/unshuffled_deduplicated_no/train.txt
tale 2 9000 >wikitext/wikitext-2-raw-v1/train.txt
tale 3 5000 >wikitext/wikitext-2-raw-v1/validation.txt
tale 4 30000 | awk 'BEGIN { print "id,title,context,question" }
  { gsub(/"/, "\"\""); printf "%d,Tale,\"%s\",Who?\n", NR, $0 }' >squad/train.csv
head -n 40 squad/train.csv >train_context.csv

# ---- models: toy NAME TOKENIZER OVERRIDES, as the published config of that name with these changes, random
declare -A recipe=(
  [bpe]="--special_tokens <|endoftext|>" [roberta]="--special_tokens <s>,<pad>,</s>,<unk>,<mask> --post_processor roberta"
  [bert]="--tokenizer_type wordpiece --post_processor bert" [t5]="--tokenizer_type unigram --post_processor t5"
  [llama]="--tokenizer_type sentencepiece_bpe"
)
toy() {
  local home=$HF_HOME/hub/models--${1//\//--} kind=$2
  mkdir -p "$home/refs"
  echo toy >"$home/refs/main"
  plait tokenizer train --files oscar/*/train.txt ${recipe[$kind]} --vocab_size 320 --output_dir "$home/snapshots/toy"
  HF_HOME=nowhere plait config --config_name "$1" --tokenizer_name "$home/snapshots/toy" --output_dir "$kind.config" --config_overrides "$3"
  HF_HOME=nowhere plait init --config_name "$kind.config" --output_dir "$kind.model"
  cp "$kind".model/{config.json,model.safetensors} "$home/snapshots/toy"
  rm -r "$kind".{config,model}
}
exec 3>&2 2>made.err
toy openai-community/gpt2 bpe n_embd=24,n_layer=2,n_head=3
toy FacebookAI/roberta-base roberta hidden_size=24,num_hidden_layers=2,num_attention_heads=3,intermediate_size=32
toy EleutherAI/gpt-neo-1.3B bpe 'hidden_size=24,num_layers=2,num_heads=3,intermediate_size=32,attention_types=[[["global","local"],1]]'
toy huggyllama/llama-13b llama hidden_size=24,num_hidden_layers=2,num_attention_heads=3,num_key_value_heads=3,intermediate_size=32
toy google-t5/t5-base t5 d_model=24,d_kv=8,d_ff=32,num_layers=2,num_decoder_layers=2,num_heads=3
toy google-bert/bert-large-uncased bert hidden_size=24,num_hidden_layers=2,num_attention_heads=3,intermediate_size=32
exec 2>&3

# ---- blocks KIND SECTION: those of a heading
blocks() {
  awk -v kind="$1" -v section="$2" '
    /^## / { on = index($0, "## " section) == 1 }
    /^```/ { inside = !inside; take = inside && on && $0 == "```" kind; next }
    inside && take' "$doc"
}
grep -o '^```sh' "$doc" | wc -l >written
: >run
walk() { # SECTION: runs it, in a directory of its own beside the data
  local name=$1
  rm -rf here && mkdir here && cd here
  ln -s ../oscar ../wikitext ../squad ../train_context.csv .
  blocks json "$name" >file.json
  [ ! -s file.json ] || grep -q partition_rules <(blocks sh "$name") && cp file.json rules.json
  [ ! -s file.json ] || cp file.json oslo-config.json
  { echo 'set -euo pipefail'; blocks sh "$name"; } >commands.sh
  [ "$(wc -l <commands.sh)" -gt 1 ] || stop "no commands under $name"
  timeout 300 bash -x commands.sh >out 2>err || stop "$name: $(tail -n 30 err)"
  awk -v section="$name" '/^## / { on = index($0, "## " section) == 1 } on && /^```sh/' "$doc" >>../run
  cd ..
}

has() { for f in "$@"; do [ -s "here/$f" ] || stop "no $f"; done; }

walk "Hugging Face's Flax examples"
has norwegian-roberta-base/tokenizer.json runs/{model.safetensors,eval_results.json} runs-gpt2/{model.safetensors,tokenizer.json}
grep -q eval_accuracy here/runs/eval_results.json || stop "no accuracy"
grep -q eval_perplexity here/runs-gpt2/eval_results.json || stop "no perplexity"
grep -q "Det var en gang" here/out || stop "nothing was written"

walk "Hugging Face's model-parallel example"
has flax-clm/model.safetensors by-rules/model.safetensors
grep -q '"vocab_size": 50264' here/flax-clm/config.json || stop "the table has not grown"

walk OSLO
has trained/model.safetensors
grep -q "one thing" here/out || stop "nothing was written"
has trained/checkpoint-{50,100}/{manifest.json,model_tp_0_pp_0.safetensors} merged_ckpt/{model.safetensors,config.json,tokenizer.json}
cmp here/trained/model.safetensors here/merged_ckpt/model.safetensors || stop "what was merged is not what was saved whole"
grep -q '"eval_loss"' here/out || stop "nothing was evaluated"

walk redco
has workdir/model.safetensors workdir-gpt2/model.safetensors
grep -q '"global_batch_size": 8' here/workdir/run.json || stop "another batch: $(cat here/workdir/run.json)"

walk Merak
has output-t5/model.safetensors output-gpt2/model.safetensors output-bert/model.safetensors
grep -q 'Total train batch size (w. parallel & distributed) = 64' here/err || stop "another batch: $(grep Total here/err)"

[ "$(cat written)" = "$(wc -l <run)" ] || stop "$(cat written) blocks on the page, $(wc -l <run) run"
