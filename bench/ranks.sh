#!/bin/sh
# Two ranks against one: training steps of GPT-2 124M on one rank with two threads, and on two ranks with a thread each
# as dp 2, tp 2 and pp 2, in turn, in one run on one machine.
#
#   bench/ranks.sh [--tiny]
#
# --tiny cuts the model down: it tries the script, the figures say nothing. ROUNDS (default 2), STEPS (default 5; the first
# of each run does not count), MPI=1: by mpirun instead of threads. Prints a table of the best step of each layout: speed
# as a ratio to one rank; the share of the step in which data moved between ranks, and in which the first rank waited for
# others (the bubble of a pipeline is in there). The logs go to build/bench/ranks/.
set -eu
name=ranks
. "$(dirname "$0")/peer.sh"
[ -x "$plait" ] || exit 1
steps=${STEPS:-5} length=256 overrides=
case ${1-} in
'') ;;
--tiny) length=32 overrides=n_layer=2,n_embd=64,n_head=2,vocab_size=500 ;;
*)
    sed -n '2,11s/^# \{0,1\}//p' "$0"
    exit 64
    ;;
esac
mkdir -p "$out/ranks"
cd "$out/ranks"
make_config gpt2 $overrides
awk -v tokens="$length" 'BEGIN {
    for (row = 0; row < 8; row++) {
        printf "{\"input_ids\": [1"
        for (i = 1; i < tokens; i++) printf ", %d", (row * 7919 + i * 104729) % 499
        print "]}"
    }
}' >rows.jsonl

# Every layout trains on the same eight samples a step.
run() { # run LAYOUT RANKS BATCH ACCUMULATION [OPTION...]
    layout=$1 ranks=$2 batch=$3 accumulation=$4
    shift 4
    launch= world="--world_size $ranks"
    [ -z "${MPI:-}" ] || [ "$ranks" = 1 ] || launch="mpirun --oversubscribe --allow-run-as-root -n $ranks" world=
    echo "$layout" >&2
    $launch "$plait" train --config_name "$out/gpt2" --train_file rows.jsonl \
        --line_by_line --block_size "$length" --per_device_train_batch_size "$batch" --gradient_accumulation_steps "$accumulation" \
        --max_steps "$steps" --num_train_epochs 1000 --logging_steps 1 --save_strategy no --overwrite_output_dir \
        --threads $((threads / ranks)) $world "$@" --output_dir "$layout" --log_level error
    sed -n '2,$p' "$layout/train_log.jsonl" | sed "s/^{/{\"layout\": \"$layout\", /" >>"$results"
}

for round in $(seq "${ROUNDS:-2}"); do
    run one 1 2 4
    run dp2 2 2 2 --data_parallel_size 2
    run tp2 2 2 4 --tensor_parallel_size 2
    run pp2 2 1 8 --pipeline_parallel_size 2 --pipeline_schedule 1f1b
    run pp2-zero_bubble 2 1 8 --pipeline_parallel_size 2 --pipeline_schedule zero_bubble
done
awk '
function field(key) { return match($0, "\"" key "\": [0-9.e+-]+") ? substr($0, RSTART + length(key) + 4, RLENGTH - length(key) - 4) + 0 : 0 }
{
    match($0, /"layout": "[^"]*"/)
    layout = substr($0, RSTART + 11, RLENGTH - 12)
    ms = field("step_ms")
    if (!(layout in best)) order[++count] = layout
    if (!(layout in best) || ms < best[layout]) {
        best[layout] = ms
        moving[layout] = field("communication_ms") / ms
        waiting[layout] = field("exposed_ms") / ms
        loss[layout] = field("loss")
    }
}
END {
    printf "%-16s %9s %7s %14s %8s\n", "layout", "step ms", "speed", "communication", "waited"
    for (i = 1; i <= count; i++) {
        l = order[i]
        printf "%-16s %9.0f %7.3f %13.1f%% %7.1f%%\n", l, best[l], best["one"] / best[l], 100 * moving[l], 100 * waiting[l]
    }
}' "$results"
