#!/usr/bin/env bash
# Kills a save at every one of its system calls, and a resume after it, and checks that the next start finds the old
# checkpoint or the new one, never a mix. Then lets single calls fail (disk full, I/O error) or be interrupted.
# PROGRAMS is the folder of the test programs; strace does the killing.
set -eu
driver=$PROGRAMS/save_driver
if ! strace -o /dev/null true 2>/dev/null; then
  echo "skipped: strace is absent or not permitted here (script/bootstrap installs it)"
  exit 77
fi
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0" # leak detection itself traces the process
export OMP_NUM_THREADS=1
step=1
[ -z "${PLAIT_SANITIZE:-}" ] || step=5 # a sanitizer makes many calls of its own
runs=0

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# same DIR ALLOWED...: the resume must print one of these answers.
same() {
  local dir=$1 answer
  shift
  answer=$("$driver" check "$dir" 2>check.err) || fail "$what: check: $(cat check.err)"
  for allowed in "$@"; do
    [ "$answer" != "$allowed" ] || return 0
  done
  fail "$what: found '$answer', allowed: $*"
}

# Nothing but checkpoints is left.
tidy() {
  local rest
  rest=$(ls -A "$1" | grep -v '^checkpoint-[0-9]*$' || true)
  [ -z "$rest" ] || fail "$what: left behind: $rest"
}

# Calls in a log of strace, as lines "COUNT KIND".
count_calls() {
  sed -E 's/^[0-9]+ +//' "$1" | grep -oE '^[a-z_0-9]+\(' | tr -d '(' | grep -vE '^(execve|exit|exit_group)$' | sort | uniq -c
}

# Those made while the program is loaded are the system's: what it makes when it is given nothing to do.
strace -f -qq -o loading.log "$driver" 2>/dev/null || true
count_calls loading.log >loading

# loaded KIND: how many calls of this kind loading makes.
loaded() {
  awk -v kind="$1" '$2 == kind { n = $1 } END { print n + 0 }' loading
}

# each_kill BASE EXTRA CHECK COMMAND...: for every call that COMMAND makes, starts from a copy of BASE in work/, kills
# the command at this call, and runs CHECK. EXTRA: more options for strace.
each_kill() {
  local base=$1 extra=$2 check=$3 kind count k rc
  shift 3
  rm -rf work && cp -a "$base" work
  strace -f -qq -o calls.log "$@" >/dev/null 2>&1
  count_calls calls.log >kinds
  [ -s kinds ] || fail "strace shows no calls"
  while read -r count kind; do
    for ((k = $(loaded "$kind") + 1; k <= count; k += step)); do
      what="$* killed at $kind $k"
      rm -rf work && cp -a "$base" work
      rc=0
      # shellcheck disable=SC2086
      { strace -f -qq -o /dev/null $extra -e "inject=$kind:signal=KILL:when=$k" "$@" >/dev/null || rc=$?; } 2>/dev/null
      [ $rc -eq 137 ] || [ $rc -eq 0 ] || fail "$what: exit code $rc"
      runs=$((runs + 1))
      $check
    done
  done <kinds
}

# ---- a save beside older checkpoints; afterwards the run goes on and saves once more
after_save() {
  same work "800 0" "900 0"
  "$driver" save work 900 1 >/dev/null || fail "$what: the next save"
  same work "900 1"
  tidy work
}
"$driver" save old 700 0
"$driver" save old 800 0
what=setup
same old "800 0"
each_kill old "" after_save "$driver" save work 900 0
first=$runs

# ---- a save over a checkpoint of the same step, after a killed one
cp -a old same
"$driver" save same 900 0
mkdir same/.plait-tmp.checkpoint-900.1
cp same/checkpoint-900/model-* same/.plait-tmp.checkpoint-900.1
after_replace() {
  same work "900 0" "900 1"
  tidy work
}
each_kill same "" after_replace "$driver" save work 900 1

# ---- the same on a file system that cannot exchange two names
each_kill same "-e inject=renameat2:error=EINVAL" after_replace "$driver" save work 900 1

# ---- a resume that is killed while it cleans up
cp -a same displaced
mv displaced/checkpoint-900 displaced/.plait-old.checkpoint-900.1
after_clean() {
  same work "900 0"
  tidy work
}
each_kill displaced "" after_clean "$driver" check work

# ---- the final model: none, or whole
after_publish() {
  local answer
  answer=$("$driver" model work 2>model.err) || fail "$what: model: $(cat model.err)"
  case $answer in "closed" | "800 0" | "900 0") ;; *) fail "$what: model is '$answer'" ;; esac
  "$driver" publish work 900 || fail "$what: publishing again"
  [ "$("$driver" model work)" = "900 0" ] || fail "$what: not the model of step 900"
}
cp -a same published
"$driver" publish published 800
each_kill published "" after_publish "$driver" publish work 900
kills=$runs

# ---- one call fails: an error code, the old checkpoint or the new, and the next save succeeds
each_error() {
  local kind=$1 error=$2 k rc
  for ((k = $(loaded "$kind") + 1; ; k += step)); do
    what="save with $error at $kind $k"
    rm -rf work && cp -a old work
    rc=0
    strace -f -qq -o errors.log -e "trace=$kind" -e "inject=$kind:error=$error:when=$k" \
      "$driver" save work 900 0 >/dev/null 2>errors.err || rc=$?
    grep -q INJECTED errors.log || break
    runs=$((runs + 1))
    case $rc in
      0 | 66 | 73 | 74) ;;
      *) fail "$what: exit code $rc: $(cat errors.err)" ;;
    esac
    [ $rc -eq 0 ] || [ -s errors.err ] || fail "$what: no message"
    after_save
  done
}
for kind in write pwrite64 fsync close mkdir rename unlink unlinkat ftruncate getdents64 openat; do
  each_error $kind EIO
done
for kind in write pwrite64 mkdir rename openat; do
  each_error $kind ENOSPC
done
errors=$((runs - kills))

# ---- interrupted calls are done again
for kind in write pwrite64 fsync pread64; do
  what="$kind interrupted every second time"
  rm -rf work && cp -a old work
  strace -f -qq -o errors.log -e "trace=$kind" -e "inject=$kind:error=EINTR:when=$(($(loaded "$kind") + 1))+2" \
    "$driver" save work 900 0 >/dev/null 2>errors.err || fail "$what: $(cat errors.err)"
  same work "900 0"
done

# ---- a disk that says it has written and has not: seen when the file is read
for ((k = 1; ; k += step)); do
  what="write $k lost"
  rm -rf work && cp -a old work
  strace -f -qq -o errors.log -e trace=write -e "inject=write:retval=1:when=$k" \
    "$driver" save work 900 0 >/dev/null 2>errors.err || true
  grep -q INJECTED errors.log || break
  same work "800 0"
done

# ---- every disk too small, in steps, with short writes at its end
for ((size = 0; size <= 40; size++)); do
  what="files limited to $size KiB"
  rm -rf work && cp -a old work
  (ulimit -f $size && trap '' XFSZ && exec "$driver" save work 900 0) >/dev/null 2>errors.err || true
  after_save
done

echo "$kills kills ($first of them in a plain save), $errors failing calls: no checkpoint lost, none mixed"
