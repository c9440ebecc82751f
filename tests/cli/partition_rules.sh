# --partition_rules: wherever parameters are made to lie, the run is that of one rank; what a file may not say.
. "$TESTS/lib/cli.sh"
export XDG_CACHE_HOME=$PWD/cache

sentences 120 >text.txt
"$PLAIT" tokenizer train --files text.txt --vocab_size 280 --special_tokens "<s>,<pad>,</s>,<unk>,<mask>" --output_dir words \
  --log_level warning

declare -A sizes=(
  [gpt2]=n_embd=30,n_layer=2,n_head=3,n_positions=64
  [gpt_neo]='hidden_size=30,num_layers=2,num_heads=3,max_position_embeddings=64,attention_types=[[["global","local"],1]]'
  [llama]=hidden_size=30,num_hidden_layers=2,num_attention_heads=3,num_key_value_heads=1,intermediate_size=50,max_position_embeddings=64
  [bert]=hidden_size=30,num_hidden_layers=2,num_attention_heads=3,intermediate_size=50,max_position_embeddings=64
  [roberta]=hidden_size=30,num_hidden_layers=2,num_attention_heads=3,intermediate_size=50,max_position_embeddings=66
  [t5]=d_model=30,d_kv=10,d_ff=50,num_layers=2,num_heads=3
)
matrix='(?<![nN]orm|ln_.)\\.weight$' vector='bias$|([nN]orm|ln_.)\\.weight$'
echo '[{"pattern": "", "placement": null}]' >none.json
cat >first.json <<EOF
// the first dim of each tensor
[{"pattern": "$vector", "placement": ["tp"]},
 {"pattern": "$matrix", "placement": ["tp", null]}]
EOF
cat >last.json <<EOF
[{"pattern": "$matrix", "placement": [null, "tp"]}, {"pattern": "$vector", "placement": [null]}]
EOF
cat >one.json <<EOF
[{"pattern": "(layer|layers|h|block)\\\\.1\\\\..*$matrix", "placement": ["tp", null]}, {"pattern": "[eE]mbed|wte|shared", "placement": null}]
EOF

cat >both.json <<EOF
[{"pattern": "$vector", "placement": ["dp"]}, {"pattern": "$matrix", "placement": ["tp", "dp"]}]
EOF
cat >samples.json <<EOF
[{"pattern": "\\\\.0\\\\..*$matrix", "placement": ["dp", null]}, {"pattern": "$vector", "placement": null}]
EOF

common="--tokenizer_name words --train_file text.txt --block_size 32 --threads 1 --per_device_train_batch_size 8 --global_batch_size 8
  --learning_rate 3e-3 --max_steps 5 --logging_steps 1 --overwrite_output_dir --save_strategy no"

losses() { grep -o '"loss": [0-9.e-]*' "$1/train_log.jsonl" | cut -d' ' -f2; }

follows() {
  paste <(losses "$1") <(losses "$2") | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 1e-4 * $2) bad = 1 } END { exit bad || NR != 5 }' ||
    stop "$3: losses $(losses "$2" | tr '\n' ' '), expected $(losses "$1" | tr '\n' ' ')"
}

for m in gpt2 gpt_neo llama bert roberta t5; do
  "$PLAIT" config --model_type $m --tokenizer_name words --output_dir $m --log_level warning --config_overrides "${sizes[$m]}"
  "$PLAIT" train --config_name $m $common --output_dir $m.1 2>err || stop "$m: $(cat err)"
  for rules in none first last one both samples; do
    case $rules in
      first) layout="--tensor_parallel_size 4" ;;
      one) layout="--tensor_parallel_size 2 --pipeline_parallel_size 2" ;;
      both) layout="--data_parallel_size 2 --tensor_parallel_size 2 --pipeline_parallel_size 2 --zero_stage 0" ;;
      samples) layout="--data_parallel_size 2 --zero_stage 1" ;;
      *) layout="--tensor_parallel_size 2" ;;
    esac
    "$PLAIT" train --config_name $m $common $layout --partition_rules $rules.json --output_dir $m.n 2>err || stop "$m $rules: $(cat err)"
    follows $m.1 $m.n "$m $rules"
  done
done

# ---- they are done: as dumped
shows() { # PATTERN RULES: a line of the plan
  "$PLAIT" plan --config_name gpt2 $common --tensor_parallel_size 2 --partition_rules "$2" --dump shard --log_level warning >plan.out
  grep -qE -- "$1" plan.out || stop "$2: no $1 in $(grep c_attn plan.out)"
}
echo '[{"pattern": "h.0.attn.c_attn.weight", "placement": ["tp", null]}]' >input.json
shows 'all_gather\(transformer.h.0.attn.c_attn.weight\)|tp:S1 = keep_shard.*|linear\(%[0-9]+, transformer.h.0.attn.c_attn.weight.*tp:P' input.json
! grep -q 'all_gather(transformer.h.1.attn.c_attn.weight)' plan.out || stop "a rule of one layer acts on another"
echo '[{"pattern": "attn.c_attn.weight", "placement": [null, "tp"]}]' >heads.json
shows 'linear\(%[0-9]+, transformer.h.0.attn.c_attn.weight' heads.json

# ---- other commands
"$PLAIT" init --config_name gpt2 --output_dir made --log_level warning
cp words/*.json made 2>/dev/null || true
"$PLAIT" config --config_name gpt2 --tokenizer_name words --output_dir made --log_level warning
for rules in none first; do
  two="--tensor_parallel_size 2 --partition_rules $rules.json"
  "$PLAIT" generate --model_name_or_path made --prompt "the cat" --max_new_tokens 8 >a 2>err
  "$PLAIT" generate --model_name_or_path made --prompt "the cat" --max_new_tokens 8 $two >b 2>err || stop "$(cat err)"
  cmp a b || stop "generate, $rules"
  "$PLAIT" eval --model_name_or_path made --validation_file text.txt --block_size 32 2>err | grep eval_loss >a
  "$PLAIT" eval --model_name_or_path made --validation_file text.txt --block_size 32 $two 2>err | grep eval_loss >b || stop "$(cat err)"
  paste -d' ' a b | tr -d , | awk '{ d = $2 - $4; exit !(NF == 4 && d < 1e-5 && d > -1e-5) }' || stop "eval, $rules: $(cat a b)"
done

# ---- what cannot be
bad() { # CODE TEXT FILE-CONTENT
  echo "$3" >bad.json
  refuses "$1" "$2" "$PLAIT" train --config_name gpt2 $common --output_dir no --tensor_parallel_size 2 --partition_rules bad.json
}
bad 78 'bad.json: $[1].pattern: no parameter'"'"'s name has a match of "c_atn" (one is "transformer.' \
  '[{"pattern": "wte", "placement": null}, {"pattern": "c_atn", "placement": [null, "tp"]}]'
bad 78 'not as many dims as transformer.h.0.attn.c_attn.weight has (found 1, expected 2)' '[{"pattern": "c_attn", "placement": ["tp"]}]'
bad 78 'tp deals out two dims' '[{"pattern": "c_attn", "placement": ["tp", "tp"]}]'
bad 78 'no axis (expected null, "tp" or "dp")' '[{"pattern": "c_attn", "placement": ["mp", null]}]'
bad 78 'no regular expression (found "("): missing' '[{"pattern": "(", "placement": null}]'
bad 78 'unknown key (expected pattern or placement)' '[{"pattern": "wte", "spec": null}]'
bad 78 'placement is missing' '[{"pattern": "wte"}]'
bad 65 'expected an array' '{"wte": ["tp", null]}'
refuses 66 'none.such' "$PLAIT" train --config_name gpt2 $common --output_dir no --partition_rules none.such
says 'one rank has all parameters' "$PLAIT" train --config_name gpt2 $common --output_dir gpt2.n --partition_rules none.json
