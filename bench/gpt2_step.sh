#!/bin/sh
# GPT-2 124M training step: plait beside PyTorch eager and torch.compile, in one run on one machine.
#
#   bench/gpt2_step.sh [--setup] [--quick]
#
# --setup makes the virtual environment first ($PLAIT_VENV, default ~/.cache/plait/venv), which lies outside the
# repository and takes several GB. --quick leaves out torch.compile. THREADS (default 2), STEPS (default 8).
# Prints a table; the JSON of every run goes to build/bench/gpt2_step.jsonl. A program that is missing is left out.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
venv=${PLAIT_VENV:-$HOME/.cache/plait/venv}
threads=${THREADS:-2}
steps=${STEPS:-8}
plait=${PLAIT:-$root/build/release/plait}
plait_bench="$plait bench --model gpt2 --threads $threads --json"
quick=
for arg; do
    case $arg in
    --setup)
        [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
        "$venv/bin/pip" install -q torch transformers numpy
        ;;
    --quick) quick=1 ;;
    *)
        sed -n '2,8s/^# \{0,1\}//p' "$0"
        exit 64
        ;;
    esac
done
if [ ! -x "$venv/bin/python" ]; then
    echo "gpt2_step.sh: no virtual environment at $venv (run with --setup)" >&2
    exit 66
fi
out=$root/build/bench
mkdir -p "$out"
: >"$out/gpt2_step.jsonl"

peer() { # peer BATCH SEQ [--compile]
    "$venv/bin/python" "$root/bench/peer_gpt2.py" --threads "$threads" --steps "$steps" --batch "$1" --seq "$2" \
        ${3:+"$3"} >>"$out/gpt2_step.jsonl"
}

for shape in "2 512" "4 64"; do
    set -- $shape
    echo "B=$1 T=$2: PyTorch eager" >&2
    peer "$1" "$2"
    if [ -z "$quick" ]; then
        echo "B=$1 T=$2: torch.compile" >&2
        peer "$1" "$2" --compile
    fi
    if [ -x "$plait" ]; then
        echo "B=$1 T=$2: plait" >&2
        $plait_bench --batch "$1" --seq "$2" >>"$out/gpt2_step.jsonl"
        $plait_bench --batch "$1" --seq "$2" --recompute full >>"$out/gpt2_step.jsonl"
    fi
done
"$venv/bin/python" "$root/bench/table.py" "$out/gpt2_step.jsonl"
