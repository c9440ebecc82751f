# For the shell tests of the program: . "$TESTS/lib/cli.sh"


stop() {
  echo "FAILED: $*" >&2
  exit 1
}

# refuses CODE TEXT COMMAND...: exits with CODE, prints nothing on stdout, and says one line of error that holds TEXT.
refuses() {
  local code=$1 text=$2 status=0
  shift 2
  "$@" >refused.out 2>refused.err || status=$?
  [ "$status" = "$code" ] || stop "exit code $status, expected $code: $*: $(cat refused.err)"
  [ ! -s refused.out ] || stop "something on stdout: $*"
  [ "$(grep -c '^plait: error: ' refused.err)" = 1 ] || stop "not one line of error: $*: $(cat refused.err)"
  grep '^plait: error: ' refused.err | grep -qF -e "$text" || stop "$*: found $(cat refused.err), expected $text"
  ! grep -qv -e '^plait: error: ' -e '^hint: ' -e '^plait: warning: ' -e '^plait: note: ' refused.err ||
    stop "more than one line: $*: $(cat refused.err)"
}

# prints TEXT COMMAND...: succeeds, with TEXT somewhere on stdout.
prints() {
  local text=$1
  shift
  "$@" >printed.out 2>printed.err || stop "$*: $(cat printed.err)"
  grep -qF -e "$text" printed.out || stop "$*: found $(head -c 2000 printed.out), expected $text"
}

# says TEXT COMMAND...: succeeds, with TEXT somewhere on stderr.
says() {
  local text=$1
  shift
  "$@" >printed.out 2>printed.err || stop "$*: $(cat printed.err)"
  grep -qF -e "$text" printed.err || stop "$*: found $(cat printed.err), expected $text"
}

# sentences N: as many lines of a few words, the same ones every time.
sentences() {
  awk -v count="$1" 'BEGIN { split("the cat sees a dog and one bird likes fish", w); x = 7
    for (i = 0; i < count; i++) { line = ""; for (k = 0; k < 8; k++) { x = (x * 1103515245 + 12345) % 2147483648
      line = line w[int(x / 65536) % 10 + 1] " " } print line "." } }'
}
