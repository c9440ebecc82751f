# What the scripts in this folder share; they set `name` and source it. Results go to build/bench/$name.jsonl.
# PLAIT_VENV: a virtual environment (default ~/.cache/plait/venv), outside the repository; setup makes it (several GB).
root=$(cd "$(dirname "$0")/.." && pwd)
venv=${PLAIT_VENV:-$HOME/.cache/plait/venv}
threads=${THREADS:-2}
steps=${STEPS:-8}
plait=${PLAIT:-$root/build/release/plait}
out=$root/build/bench
results=$out/$name.jsonl
mkdir -p "$out"
: >"$results"

setup() {
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/pip" install -q torch transformers numpy
}

check_programs() {
    [ -x "$plait" ] || echo "$name.sh: no program at $plait: left out (PLAIT=...)" >&2
    [ -x "$venv/bin/python" ] || echo "$name.sh: no virtual environment at $venv: PyTorch left out (--setup)" >&2
}

# Dropout is off in both programs: PyTorch's attention would be much slower with it.
no_dropout() { # no_dropout MODEL
    case $1 in
    gpt2*) echo resid_pdrop=0,embd_pdrop=0,attn_pdrop=0 ;;
    t5*) echo dropout_rate=0 ;;
    *) echo hidden_dropout_prob=0,attention_probs_dropout_prob=0 ;;
    esac
}

make_config() { # make_config MODEL [OVERRIDES]: into $out/MODEL
    "$plait" config --config_name "$1" --config_overrides "$(no_dropout "$1")${2:+,$2}" --output_dir "$out/$1"
}

run_plait() { # run_plait MODEL BATCH SEQ [OPTION...]
    model=$1 batch=$2 seq=$3
    shift 3
    [ -x "$plait" ] || return 0
    echo "$model B=$batch T=$seq: plait $*" >&2
    "$plait" bench --model "$out/$model" --batch "$batch" --seq "$seq" --threads "$threads" --steps "$steps" \
        --json "$@" >>"$results"
}

run_peer() { # run_peer MODEL BATCH SEQ [OPTION...]
    model=$1 batch=$2 seq=$3
    shift 3
    [ -x "$venv/bin/python" ] || return 0
    echo "$model B=$batch T=$seq: PyTorch $*" >&2
    "$venv/bin/python" "$root/bench/peer.py" --config "$out/$model" --batch "$batch" --seq "$seq" \
        --threads "$threads" --steps "$steps" "$@" >>"$results"
}

print_table() {
    python3 "$root/bench/table.py" "$results"
}
