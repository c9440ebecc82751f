#!/bin/sh
# GPT-2 124M training step: plait beside PyTorch eager and torch.compile, in one run on one machine.
#
#   bench/gpt2_step.sh [--setup] [--quick]
#
# --setup makes the virtual environment first (bench/peer.sh). --quick leaves out torch.compile. THREADS (default 2),
# STEPS (default 8). Prints a table; the JSON of every run goes to build/bench/gpt2_step.jsonl. A program that is
# missing is left out.
set -eu
name=gpt2_step
. "$(dirname "$0")/peer.sh"
quick=
for arg; do
    case $arg in
    --setup) setup ;;
    --quick) quick=1 ;;
    *)
        sed -n '2,8s/^# \{0,1\}//p' "$0"
        exit 64
        ;;
    esac
done
check_programs
make_config gpt2
for shape in "2 512" "4 64"; do
    set -- $shape
    run_peer gpt2 "$1" "$2"
    [ -n "$quick" ] || run_peer gpt2 "$1" "$2" --compile
    run_plait gpt2 "$1" "$2"
    run_plait gpt2 "$1" "$2" --recompute full
done
print_table
