# What the scripts of examples/ share: . "$(dirname "$0")/lib/common.sh"
# Each works offline in the directory it is started in, which should be empty, on text that it makes itself; PLAIT names
# the program if it is not `plait` on the PATH.
set -euo pipefail
lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PLAIT=${PLAIT:-plait}
export XDG_CACHE_HOME=$PWD/cache # where tokenized data is kept

stop() {
  echo "${0##*/}: $*" >&2
  exit 1
}

command -v "$PLAIT" >/dev/null || stop "no program plait: put it on the PATH, or its path into PLAIT"

# Every call is shown as one would type it.
plait() {
  local word line='$ plait'
  for word in "$@"; do
    case $word in
      *[!A-Za-z0-9_./=,-]*) line+=" '$word'" ;;
      *) line+=" $word" ;;
    esac
  done
  printf '%s\n' "$line" >&2
  command "$PLAIT" "$@"
}

# tales SEED BYTES: small tales, one a line.
tales() { awk -v seed="$1" -v bytes="$2" -f "$lib/../../script/demo-text.awk"; }

# contexts <TEXT: a table as of questions and their contexts, id,title,context,question; quotes are doubled.
contexts() {
  awk 'BEGIN { print "id,title,context,question" }
    { gsub(/"/, "\"\""); printf "%d,Tale %d,\"%s\",\"Where was it, and who knew?\"\r\n", NR, NR, $0 }'
}

# value KEY FILE: a number of a results file.
value() { sed -n "s/^ *\"$1\": *\([0-9.e+-]*\).*/\1/p" "$2"; }

# below A B: is A less than B?
below() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && a + 0 < b + 0) }'; }

# loss_fell RUN PART: the last loss that a run logged is below PART of the first one.
loss_fell() {
  local losses first last
  losses=$(sed -n 's/.*[{ ]"loss": *\([0-9.e+-]*\).*/\1/p' "$1/train_log.jsonl")
  first=$(head -n 1 <<<"$losses")
  last=$(tail -n 1 <<<"$losses")
  below "$last" "$(awk -v a="$first" -v p="$2" 'BEGIN { print a * p }')" ||
    stop "$1: the loss did not fall: $first at first, $last at the end"
  echo "$1: the loss fell from $first to $last"
}
