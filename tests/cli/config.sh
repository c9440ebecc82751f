# plait config: built-in configs, defaults, files, caches, tokenizers, overrides.
. "$TESTS/lib/cli.sh"
unset HF_HOME HF_HUB_CACHE
export HOME=$PWD

# Built-in configs under both names, and what only a type gives.
"$PLAIT" config --config_name gpt2 --output_dir a 2>said || stop gpt2
grep -q 'a/config.json: gpt2, 12 layers, width 768, vocabulary 50257, 124,439,808 parameters' said || stop "$(cat said)"
"$PLAIT" config --config_name openai-community/gpt2 | cmp - a/config.json || stop "two names, two configs"
"$PLAIT" config --model_type gpt2 >b.json
grep -q '"tie_word_embeddings": true' b.json || stop "no defaults"
! grep -q -e architectures -e transformers_version b.json || stop "defaults that nobody has"
"$PLAIT" config --config_name gpt2-xl | grep -q '"n_embd": 1600' || stop xl

# A file, a directory, standard input, and what was written, are the same.
"$PLAIT" config --config_name a/config.json | cmp - a/config.json || stop file
"$PLAIT" config --config_name a | cmp - a/config.json || stop directory
"$PLAIT" config --config_name - <a/config.json | cmp - a/config.json || stop "standard input"
"$PLAIT" config --config_name "$GOLDEN/gpt2/plain" | cmp - "$GOLDEN/gpt2/plain/config.json" || stop "as transformers"

# The hub's cache comes before what is built in.
hub=cache/models--openai-community--gpt2
mkdir -p $hub/refs $hub/snapshots/abc
printf abc >$hub/refs/main
"$PLAIT" config --config_name gpt2 --config_overrides n_layer=7 >$hub/snapshots/abc/config.json
"$PLAIT" config --config_name gpt2 --cache_dir cache | grep -q '"n_layer": 7' || stop "cache"
HF_HUB_CACHE=$PWD/cache "$PLAIT" config --config_name gpt2 | grep -q '"n_layer": 7' || stop "HF_HUB_CACHE"
mkdir -p home/.cache/huggingface && mv cache home/.cache/huggingface/hub
HOME=$PWD/home "$PLAIT" config --config_name gpt2 | grep -q '"n_layer": 7' || stop "the usual cache"

# A tokenizer sets the vocabulary and the ids.
says "entries" "$PLAIT" tokenizer train --files "$GOLDEN/tokenizer/english.txt" --vocab_size 700 --output_dir tok
"$PLAIT" config --config_name gpt2 --tokenizer_name tok --output_dir tok --log_level warning \
  --config_overrides n_embd=64,n_head=4,resid_pdrop=0,n_positions=128
for key in '"vocab_size": 700' '"bos_token_id": 0' '"eos_token_id": 2' '"pad_token_id": 1' '"n_embd": 64' \
  '"resid_pdrop": 0.0'; do
  grep -qF "$key" tok/config.json || stop "$key: $(cat tok/config.json)"
done
"$PLAIT" config --config_name gpt2 --tokenizer_name "$GOLDEN/tokenizer/encode/gpt2_files_bare" >bare.json
grep -q '"eos_token_id": [1-9]' bare.json || stop "GPT-2's own files"
"$PLAIT" config --model_type t5 --tokenizer_name tok | grep -q '"decoder_start_token_id": 1' || stop "no start of T5's decoder"
# T5's decoder begins with the pad token, or with what is said; from there it goes into all that is saved.
start() { "$PLAIT" config --model_type t5 "$@" | sed -n 's/^ *"decoder_start_token_id": \([a-z0-9]*\),*$/\1/p'; }
[ "$(start)" = 0 ] && [ "$(start --config_overrides pad_token_id=3)" = 3 ] || stop "T5's decoder does not begin with pad"
[ "$(start --config_overrides decoder_start_token_id=5)" = 5 ] && [ "$(start --config_overrides decoder_start_token_id=null)" = null ] ||
  stop "T5's decoder begins with something else"
[ "$(start --tokenizer_name tok --config_overrides decoder_start_token_id=5)" = 5 ] || stop "the tokenizer wins over what is said"
refuses 64 'decoder_start_token_id: wrong value (found "x", expected an integer)' "$PLAIT" config --model_type t5 \
  --config_overrides decoder_start_token_id=x
refuses 64 "key decoder_start_token_id isn't in the original config dict of gpt2" "$PLAIT" config --model_type gpt2 \
  --config_overrides decoder_start_token_id=5
mkdir t5 && "$PLAIT" config --model_type t5 --config_overrides vocab_size=16,d_model=16,d_ff=16,num_layers=1,num_heads=2,d_kv=8 |
  grep -v decoder_start_token_id >t5/config.json # as older versions of transformers write it
"$PLAIT" init --config_name t5 --config_overrides decoder_start_token_id=5 --output_dir t5-model --log_level warning
grep -q '"decoder_start_token_id": 5' t5-model/config.json && grep -q '"decoder_start_token_id": 5' t5-model/generation_config.json ||
  stop "not saved: $(cat t5-model/*.json)"
"$PLAIT" config --config_name tok --config_overrides vocab_size=704 | grep -q '"vocab_size": 704' || stop "overrides win"

# Refused.
refuses 64 "nothing to start from" "$PLAIT" config
refuses 66 'config "gpt2-larg" not found (looked in directory gpt2-larg' "$PLAIT" config --config_name gpt2-larg
grep -q '^hint: did you mean gpt2-large?' refused.err || stop "$(cat refused.err)"
refuses 78 'did you mean gpt2?)' "$PLAIT" config --model_type gtp2
refuses 64 "key n_layers isn't in the original config dict of gpt2 (did you mean n_layer?)" \
  "$PLAIT" config --config_name gpt2 --config_overrides n_layers=3
refuses 64 "n_embd 768 is not a multiple of" "$PLAIT" config --config_name gpt2 --config_overrides n_head=7
refuses 66 "nowhere" "$PLAIT" config --config_name gpt2 --tokenizer_name nowhere
refuses 78 "elements cannot be counted" "$PLAIT" config --config_name gpt2 \
  --config_overrides n_embd=16777216,n_head=16,n_inner=67108864,n_layer=600
echo '{"model_type": "gpt2",}' >bad.json
refuses 65 "bad.json:1:23" "$PLAIT" config --config_name bad.json
echo '{"model_type": "gpt2", "n_embd": 24, "auto_map": {"AutoModel": "evil.Model"}}' >auto.json
says "auto_map names program code" "$PLAIT" config --config_name auto.json
echo '{"model_type": "llama", "num_attention_heads": 24}' >bad.json
refuses 65 'bad.json: $.hidden_size is missing' "$PLAIT" config --config_name bad.json
echo '{"model_type": "llama", "hidden_size": 1792, "num_attention_heads": 24}' >bad.json
refuses 78 "hidden_size 1792 is not a multiple of" "$PLAIT" config --config_name bad.json
grep -q '^hint: .*head_dim' refused.err || stop "no hint: $(cat refused.err)"
sed 's/24/24, "head_dim": 128/' bad.json >good.json
"$PLAIT" config --config_name good.json >/dev/null || stop "a width of heads of its own"
touch file
refuses 73 "file" "$PLAIT" config --config_name gpt2 --output_dir file
# A directory of a built-in config's name hides it only with a config.json of its own.
mkdir -p gpt2
says "the built-in config of this name is taken" "$PLAIT" config --config_name gpt2
cp auto.json gpt2/config.json
says "auto_map names program code" "$PLAIT" config --config_name gpt2
"$PLAIT" config --config_name EleutherAI/gpt-neo-125m --output_dir neo --log_level error --config_overrides \
  'num_layers=2,attention_layers=["global","local"],attention_types=[[["global","local"],1]],hidden_size=24,num_heads=2'
prints "2 layers" "$PLAIT" inspect neo
# What every config may have: classes and their names.
class=architectures=BertForSequenceClassification
prints '"num_labels": 3' "$PLAIT" config --config_name bert-base-uncased --config_overrides num_labels=3
prints '"0": "good"' "$PLAIT" config --config_name gpt2-medium --config_overrides 'id2label={"0": "good", "1": "bad"}'
refuses 64 "problem_type: wrong value" "$PLAIT" config --config_name bert-base-uncased \
  --config_overrides $class,problem_type=guessing
refuses 64 "num_labels: wrong value (found 0" "$PLAIT" config --config_name bert-base-uncased \
  --config_overrides $class,num_labels=0
