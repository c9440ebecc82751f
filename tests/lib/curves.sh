# curves -- runs of plait train beside stored curves, and beside each other; after cli.sh.

# numbers CURVE KEY DIR: the list of DIR/expected.json, a number a line.
numbers() {
  awk -v curve="\"$1\":" -v key="\"$2\":" '
    /^ "[a-z_]+": \{/ { inside = $1 == curve }
    inside && $1 == key && $2 == "[" { on = 1; next }
    on && /\]/ { exit }
    on { sub(",", ""); print $1 }' "$3/expected.json"
}

# logged DIR KEY: the same of a run's log.
logged() { grep -o "\"$2\": [-+0-9.e]*" "$1/train_log.jsonl" | cut -d' ' -f2; }

# near WHAT BOUND COUNT: pairs of numbers, COUNT of them, differ by BOUND of the second at most.
near() {
  awk -v what="$1" -v bound="$2" -v count="$3" '
    NF != 2 { print what ": not two numbers in line " NR; bad = 1; exit }
    { d = $1 - $2; d = d < 0 ? -d : d }
    d > bound * ($2 < 0 ? -$2 : $2) { print what " of step " NR " is " $1 ", expected " $2; bad = 1; exit }
    END { if (!bad && NR != count) { print what ": " NR " steps, expected " count; bad = 1 } exit bad }' || exit 1
}

# follows CURVE DIR KEY BOUND EXPECTED: 40 steps of a run beside those stored in the directory EXPECTED.
follows() { paste <(logged "$2" "$3") <(numbers "$1" "$3" "$5") | near "$2: $3" "$4" 40; }

# alike DIR DIR STEPS: two runs have the same losses.
alike() { paste <(logged "$1" loss) <(logged "$2" loss) | near "$1 beside $2: loss" 1e-4 "$3"; }
