#!/usr/bin/env bash
# Kills a training run at random moments and at every kind of system call it makes, its saves and its end included, and
# goes on with --resume_from_checkpoint auto: the final model, optimizer and log are those of a run that nobody touched.
# Then lets saves fail: the run goes on, or ends with a message.
set -eu
export XDG_CACHE_HOME=$PWD/cache OMP_NUM_THREADS=1
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0" # leak detection itself traces the process
each=5 # moments of each kind of call
moments=8
[ -z "${PLAIT_SANITIZE:-}" ] || { each=2; moments=3; }

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

golden=$GOLDEN/gpt2/train40
train=("$PLAIT" train --model_name_or_path "$golden/model" --config_overrides resid_pdrop=0.1,attn_pdrop=0.1
  --train_file "$golden/labelled.jsonl" --validation_file "$golden/plain.jsonl" --do_eval --max_eval_samples 8
  --eval_steps 2 --block_size 32 --per_device_train_batch_size 4 --max_steps 6 --learning_rate 0.01 --logging_steps 1
  --save_steps 2 --save_total_limit 2 --threads 1 --output_dir run)

# The result of a run, without what tells times.
result() {
  sha256sum "$1/model.safetensors" "$1/config.json" "$1"/checkpoint-*/optimizer.safetensors | sed "s| $1/| |"
  sed -E 's/, "(tokens_per_second|eval_runtime)".*//' "$1/train_log.jsonl"
}

# finish: goes on until the run is over, and compares.
finish() {
  "${train[@]}" --resume_from_checkpoint auto >resume.out 2>resume.err || fail "$what: resume: $(tail -n 3 resume.err)"
  result run | diff - expected >difference || fail "$what: $(head -n 6 difference)"
  [ -z "$(ls -A run | grep '^\.plait' || true)" ] || fail "$what: left behind: $(ls -A run)"
}

"${train[@]}" 2>whole.err || fail "$(cat whole.err)"
result run >expected
mv run whole
runs=0

# ---- at random moments
for ((i = 0; i < moments; i++)); do
  wait=0.0$((RANDOM % 10))$((RANDOM % 10))
  what="killed after $wait s"
  rm -rf run
  "${train[@]}" >/dev/null 2>&1 &
  pid=$!
  sleep "$wait"
  kill -KILL $pid 2>/dev/null || true
  wait $pid 2>/dev/null || true
  runs=$((runs + 1))
  finish
done

if ! strace -o /dev/null true 2>/dev/null; then
  echo "$runs kills at random moments; no strace here, or not permitted, for the others"
  exit 0
fi

# ---- at system calls: some of each kind, spread over the run
rm -rf run
strace -f -qq -o calls.log "${train[@]}" >/dev/null 2>&1
sed -E 's/^[0-9]+ +//' calls.log | grep -oE '^[a-z_0-9]+\(' | tr -d '(' |
  grep -E '^(openat|write|pwrite64|pread64|fsync|close|mkdir|rename|renameat2|link|linkat|unlink|unlinkat|ftruncate|fcntl|getdents64|mmap|munmap)$' |
  sort | uniq -c >kinds
[ "$(wc -l <kinds)" -gt 8 ] || fail "strace shows few calls: $(cat kinds)"

# killed_at KIND K: true when the run was killed there.
killed_at() {
  local rc=0
  { strace -f --seccomp-bpf -qq -o /dev/null -e "trace=$1" -e "inject=$1:signal=KILL:when=$2" "${train[@]}" --resume_from_checkpoint auto >/dev/null || rc=$?; } \
    2>/dev/null
  [ $rc -eq 137 ] || [ $rc -eq 0 ] || fail "$what: exit code $rc"
}

while read -r count kind; do
  for ((k = 1; k <= each && k <= count; k++)); do
    at=$((each >= count ? k : count - (k - 1) * (count - 1) / (each - 1)))
    what="killed at $kind $at of $count"
    rm -rf run
    killed_at "$kind" $at
    runs=$((runs + 1))
    if ((runs % 4 == 0)); then # and once more on the way back
      what="$what, and at $kind $((at / 2 + 1)) of the resume"
      killed_at "$kind" $((at / 2 + 1))
      runs=$((runs + 1))
    fi
    finish
  done
done <kinds

# ---- a save that fails once is warned of, and the run goes on; when none succeeds, it ends
saves=$(grep -c 'trainer_state.json' calls.log)
[ "$saves" -ge 3 ] || fail "no saves in the trace"
first=$(awk '/checkpoint-2.*optimizer.safetensors/ { seen = 1 } /fsync\(/ { n++ } seen { print n; exit }' calls.log)
for error in EIO ENOSPC; do
  what="$error at fsync $first"
  rm -rf run
  strace -f -qq -o /dev/null -e "inject=fsync:error=$error:when=$((first + 1))" "${train[@]}" >/dev/null 2>error.err ||
    fail "$what: exit code $?: $(cat error.err)"
  grep -q 'warning: .*optimizer.safetensors.*training goes on without this checkpoint' error.err || fail "$what: $(cat error.err)"
  result run | diff - expected >difference || fail "$what: $(head -n 6 difference)"
done
what="no fsync succeeds"
rm -rf run
rc=0
strace -f -qq -o /dev/null -e "inject=fsync:error=EIO:when=$((first + 1))+" "${train[@]}" >/dev/null 2>error.err || rc=$?
[ $rc = 74 ] || fail "$what: exit code $rc: $(cat error.err)"
[ ! -e run/model.safetensors ] || fail "$what: a model all the same"
finish

echo "$runs kills: every run ended in the bytes of the one that was left alone"
