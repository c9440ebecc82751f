# T5, GPT-2 and BERT from the column `context` of a CSV file, started as `mpirun -n 4 plait train` with nothing said of the
# layout, in batches of 4 with 4 accumulated: whatever layout is found, the losses are those of one rank at the same global
# batch, dropout on. So are those of 2, 4 and 8 ranks of one process at a global batch of 16.
. "$TESTS/lib/cli.sh"
. "$TESTS/lib/mpi.sh"
export XDG_CACHE_HOME=$PWD/cache OMP_NUM_THREADS=1

awk -v seed=3 -v bytes=60000 -f "$TESTS/../script/demo-text.awk" | awk 'BEGIN { print "id,title,context,question" }
  { gsub(/"/, "\"\""); printf "%d,Tale,\"%s\",Who?\n", NR, $0 }' >train_context.csv
toy() { # NAME CONFIG OVERRIDES TOKENIZER...
  "$PLAIT" tokenizer train --files train_context.csv --text_column context --vocab_size 300 --output_dir $1 "${@:4}"
  "$PLAIT" config --config_name $2 --tokenizer_name $1 --output_dir $1 --config_overrides $3
} 2>made.err
toy t5 t5-base d_model=24,d_kv=8,d_ff=32,num_layers=2,num_decoder_layers=2,num_heads=3 --tokenizer_type unigram --post_processor t5
toy gpt2 gpt2 n_embd=24,n_layer=4,n_head=3,n_positions=64
toy bert bert-large-uncased hidden_size=24,num_hidden_layers=4,num_attention_heads=3,intermediate_size=32,max_position_embeddings=64 \
  --tokenizer_type wordpiece --post_processor bert

losses() { sed -n 's/.*"loss": *\([0-9.e-]*\).*/\1/p' "$1/train_log.jsonl"; }
follows() { # A B: the losses of two runs agree to 1e-4, and there are as many as the third argument says.
  paste <(losses $1) <(losses $2) | awk -v n=$3 '{ d = $1 - $2; if (d < 0) d = -d; if (d > 1e-4 * $1) bad = 1 }
    END { exit bad || NR != n }' || stop "losses of $2: $(losses $2 | tr '\n' ' '), expected $(losses $1 | tr '\n' ' ')"
}

read -r flavour _ <<<"$flavours"
for name in t5 gpt2 bert; do
  run="train --model-name $name --data-files train_context.csv --cache-dir cache --tokenizer_name $name --block_size 32
    --per_device_train_batch_size 4 --gradient_accumulation_steps 4 --learning_rate 3e-3 --max_steps 4 --logging_steps 1
    --save_strategy no --threads 1"
  mpirun $flavour 4 "$PLAIT" $run --output_dir $name.4 2>err || stop "$name: $(cat err)"
  batch=$(sed -n 's/.*"global_batch_size": *\([0-9]*\).*/\1/p' $name.4/run.json)
  "$PLAIT" $run --output_dir $name.1 --global_batch_size $batch 2>err || stop "$name alone: $(cat err)"
  follows $name.1 $name.4 4
  for ranks in 1 2 4 8; do
    "$PLAIT" $run --output_dir $name.of.$ranks --global_batch_size 16 --world_size $ranks 2>err || stop "$name on $ranks: $(cat err)"
    follows $name.of.1 $name.of.$ranks 4
  done
done
