#!/bin/sh
# Is the planner right? Trains a small GPT-2 for a few steps on twenty layouts of 2 and 4 in-process ranks and prints the
# step time that was predicted, from this machine's own figures (plait plan --probe), beside the one measured; then how
# far the layout that is chosen for the same global batch is from the fastest.
#
#   bench/plan_layouts.sh [--tiny]
#
# --tiny cuts the model down: it tries the script, the figures say nothing. PLAIT (default build/release/plait), STEPS
# (default 12), OVERRIDES of the config. Wants a quiet machine. Everything it makes is in build/bench/plan_layouts.
set -eu
plait=$(realpath "${PLAIT:-build/release/plait}")
steps=${STEPS:-12}
overrides=${OVERRIDES:-n_embd=384,n_layer=6,n_head=6,n_positions=256}
batch=16 block=256
case ${1-} in
--tiny) overrides=n_embd=64,n_layer=4,n_head=4,n_positions=256 batch=8 block=64 ;;
?*)
    sed -n '2,10s/^# \{0,1\}//p' "$0"
    exit 64
    ;;
esac
here=build/bench/plan_layouts
rm -rf "$here"
mkdir -p "$here"
cd "$here"

awk 'BEGIN { x = 7; for (i = 0; i < 20000; i++) { line = ""
  for (k = 0; k < 12; k++) { x = (x * 1103515245 + 12345) % 2147483648; line = line "w" int(x / 65536) % 3000 " " }
  print line } }' >text.txt
"$plait" tokenizer train --files text.txt --vocab_size 8000 --output_dir model --log_level error
"$plait" config --config_name gpt2 --tokenizer_name model --output_dir model --log_level error --config_overrides "$overrides"
common="--config_name model --tokenizer_name model --train_file text.txt --block_size $block --global_batch_size $batch
  --per_device_train_batch_size 8 --log_level error"

# value KEY FILE: the first number of that name.
value() { sed -n "s/^.*\"$1\": \([0-9.e+-]*\).*/\1/p" "$2" | head -1; }

measure() { # measure NAME OPTIONS...: a line of `figures`: name, predicted and measured seconds, bytes
    name=$1
    shift
    "$plait" plan $common --cluster "probe$ranks.json" "$@" --json >"$name.json" 2>err || { cat err; return; }
    "$plait" train $common "$@" --max_steps "$steps" --logging_steps 1 --save_strategy no --output_dir "$name" 2>err || {
        cat err
        return
    }
    sed -n 's/.*"step_ms": \([0-9.]*\),.*/\1/p' "$name/train_log.jsonl" | tail -n +4 | sort -n |
        awk -v name="$name" -v predicted="$(value step_seconds "$name.json")" -v bytes="$(value needed "$name.json")" \
            '{ v[NR] = $1 } END { print name, predicted, v[int((NR + 1) / 2)] / 1000, bytes }' >>figures.$ranks
}

for ranks in 2 4; do
    "$plait" plan --probe --world_size $ranks >"probe$ranks.json"
    : >figures.$ranks
    measure dp$ranks --data_parallel_size $ranks --tensor_parallel_size 1 --pipeline_parallel_size 1 --world_size $ranks --zero_stage 0
    for zero in 1 2 3; do
        measure dp$ranks.zero$zero --data_parallel_size $ranks --tensor_parallel_size 1 --world_size $ranks --zero_stage $zero
    done
    measure tp$ranks --tensor_parallel_size $ranks --pipeline_parallel_size 1 --world_size $ranks
    for schedule in gpipe 1f1b zero_bubble; do
        measure pp$ranks.$schedule --pipeline_parallel_size $ranks --tensor_parallel_size 1 --world_size $ranks \
            --pipeline_schedule $schedule --num_microbatches 8
    done
    measure dp$ranks.full --data_parallel_size $ranks --tensor_parallel_size 1 --world_size $ranks --zero_stage 0 --recompute full
    [ $ranks = 2 ] || {
        measure dp2.tp2 --data_parallel_size 2 --tensor_parallel_size 2 --world_size 4 --zero_stage 0
        measure dp2.pp2 --data_parallel_size 2 --pipeline_parallel_size 2 --world_size 4 --zero_stage 0 --num_microbatches 4
        measure tp2.pp2 --tensor_parallel_size 2 --pipeline_parallel_size 2 --world_size 4 --num_microbatches 4
    }
    measure auto$ranks --world_size $ranks
    awk -v ranks=$ranks 'BEGIN { printf "%-18s %12s %12s %8s\n", ranks " ranks", "predicted s", "measured s", "off" }
      { off = 100 * ($2 / $3 - 1); printf "%-18s %12.4g %12.4g %7.1f %%\n", $1, $2, $3, off; sum += off < 0 ? -off : off
        if (!best || $3 < best) { best = $3; name = $1 }; if ($1 ~ /^auto/) chosen = $3 }
      END { printf "off by %.1f %% on average; chosen: %.4g s, fastest: %s %.4g s (%.1f %% less)\n\n", sum / NR, chosen, name, best,
        100 * (1 - best / chosen) }' figures.$ranks
done
