#!/bin/sh
# One training step each of gpt2, roberta-base, t5-base and bert-large-uncased at full size, in fp32 and bf16, beside
# PyTorch eager; and steps on rows half padding beside full ones.
#
#   bench/full_size.sh [--setup] [--tiny] [--no_peer]
#
# --setup makes the virtual environment first (bench/peer.sh). --tiny cuts the models down: it tries the script, the
# figures say nothing. --no_peer leaves PyTorch out. THREADS (default 2), STEPS (default 8; bert-large a third). Prints a
# table; the JSON of every run goes to build/bench/full_size.jsonl. A program that is missing is left out.
set -eu
name=full_size
. "$(dirname "$0")/peer.sh"
tiny= peer=1
for arg; do
    case $arg in
    --setup) setup ;;
    --tiny) tiny=1 ;;
    --no_peer) peer= ;;
    *)
        sed -n '2,9s/^# \{0,1\}//p' "$0"
        exit 64
        ;;
    esac
done
check_programs

overrides() { # overrides MODEL
    [ -n "$tiny" ] || return 0
    case $1 in
    gpt2) echo n_layer=1,n_embd=48,vocab_size=500 ;;
    t5-base) echo num_layers=1,num_decoder_layers=1,d_model=48,d_ff=64,vocab_size=500 ;;
    bert-large*) echo num_hidden_layers=1,hidden_size=64,intermediate_size=64,vocab_size=500 ;;
    *) echo num_hidden_layers=1,hidden_size=48,intermediate_size=64,vocab_size=500 ;;
    esac
}

compare() { # compare MODEL BATCH SEQ STEPS
    steps=$4
    make_config "$1" "$(overrides "$1")"
    [ -z "$peer" ] || run_peer "$1" "$2" "$3"
    [ -z "$peer" ] || run_peer "$1" "$2" "$3" --dtype bfloat16
    run_plait "$1" "$2" "$3"
    run_plait "$1" "$2" "$3" --dtype bfloat16
}

all=$steps
few=$(((all + 2) / 3))
compare gpt2 2 512 "$all"
compare roberta-base 4 128 "$all"
compare t5-base 1 128 "$all"
compare bert-large-uncased 4 128 "$few"
steps=$few
for shape in "roberta-base 8 256" "t5-base 8 256"; do
    run_plait $shape
    run_plait $shape --pad_fraction 0.5
done
print_table
