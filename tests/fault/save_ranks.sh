# Several ranks write a checkpoint: where one of them fails, the save has failed for all, the checkpoints before stay good and
# the run goes on; killed at any moment, the run is resumed to the bytes of one that nobody touched.
. "$TESTS/lib/cli.sh"
export XDG_CACHE_HOME=$PWD/cache OMP_NUM_THREADS=1
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0" # leak detection itself traces the process
strace -o /dev/null true 2>/dev/null || { echo "no strace here, or not permitted"; exit 77; }
each=2 # moments of each kind of call
[ -z "${PLAIT_SANITIZE:-}" ] || each=1

for ((i = 0; i < 100; i++)); do echo "line $i says what line $((i * 7 % 31)) said"; done >text.txt
"$PLAIT" tokenizer train --files text.txt --vocab_size 280 --output_dir mid --log_level warning
"$PLAIT" config --config_name gpt2 --tokenizer_name mid --output_dir mid --log_level warning \
  --config_overrides n_embd=128,n_layer=2,n_head=4,n_positions=64
train=("$PLAIT" train --config_name mid --tokenizer_name mid --train_file text.txt --block_size 32 --threads 1
  --per_device_train_batch_size 4 --max_steps 6 --logging_steps 1 --save_steps 2 --save_total_limit 2 --save_sharded
  --tensor_parallel_size 2 --pipeline_parallel_size 2)

# Of a run: what does not tell times or names it. (The pieces themselves name the run.)
result() {
  local c
  sha256sum "$1/model.safetensors" "$1/config.json" | sed "s| $1/| |"
  for c in "$1"/checkpoint-*; do
    "$PLAIT" checkpoint merge "$c" --output_dir merged --log_level error || stop "$c"
    echo "${c##*/} $(sha256sum <merged/optimizer.safetensors)"
    rm -r merged
  done
  sed -E 's/, "tokens_per_second".*//' "$1/train_log.jsonl"
}

# finish DIRECTORY: goes on until the run is over, and compares.
finish() {
  "${train[@]}" --output_dir "$1" --resume_from_checkpoint auto >out 2>err || stop "$what: resume: $(tail -n 3 err)"
  result "$1" | diff - expected >difference || stop "$what: $(head -n 6 difference)"
  [ -z "$(ls -A "$1" | grep '^\.plait' || true)" ] || stop "$what: left behind: $(ls -A "$1")"
}

"${train[@]}" --output_dir whole 2>err || stop "$(cat err)"
result whole >expected
[ $(wc -l <expected) = 10 ] || stop "$(cat expected)"

# ---- at system calls: some of each kind, spread over the run
strace -f -qq -o calls.log "${train[@]}" --output_dir run >/dev/null 2>&1
sed -E 's/^[0-9]+ +//' calls.log | grep -oE '^[a-z_0-9]+\(' | tr -d '(' |
  grep -E '^(openat|write|fsync|mkdir|rename|renameat2|unlink|unlinkat|ftruncate|getdents64)$' | sort | uniq -c >kinds
runs=0
while read -r count kind; do
  for ((k = 1; k <= each && k <= count; k++)); do
    at=$((each >= count ? k : count - (k - 1) * (count - 1) / each))
    what="killed at $kind $at of $count"
    rm -rf run
    rc=0
    { strace -f --seccomp-bpf -qq -o /dev/null -e "trace=$kind" -e "inject=$kind:signal=KILL:when=$at" "${train[@]}" --output_dir run >/dev/null || rc=$?; } 2>/dev/null
    [ $rc -eq 137 ] || [ $rc -eq 0 ] || stop "$what: exit code $rc"
    runs=$((runs + 1))
    finish run
  done
done <kinds

# ---- a sync that fails
# (Counted by strace for each thread alone: the first rank's, whose second save these are; the others have not as many.)
failures=0
for at in 15 19 20 22 23; do
  what="EIO at fsync $at"
  rm -rf run
  strace -f -qq -o /dev/null -e "inject=fsync:error=EIO:when=$at" "${train[@]}" --output_dir run >/dev/null 2>err || stop "$what: exit code $?: $(cat err)"
  grep -q 'warning: .*checkpoint-4.*training goes on without this checkpoint' err || stop "$what: $(cat err)"
  failures=$((failures + 1))
  for c in run/checkpoint-*; do "$PLAIT" checkpoint verify "$c" >out || stop "$what: $(cat out)"; done
  cmp run/model.safetensors whole/model.safetensors || stop "$what: another model"
done

# ---- no save succeeds any more: the run ends with that, whoever of the ranks hears of it first
for ((k = 1; k <= 4; k++)); do
  rm -rf run
  rc=0
  strace -f -qq -o /dev/null -e "inject=fsync:error=ENOSPC:when=13+" "${train[@]}" --output_dir run >/dev/null 2>err || rc=$?
  [ $rc = 74 ] || stop "no fsync succeeds: exit code $rc: $(cat err)"
  [ "$(grep -c '^plait: error: .*cannot flush to disk: No space left on device' err)" = 1 ] || stop "no fsync succeeds: $(cat err)"
  "$PLAIT" checkpoint verify run/checkpoint-2 >out || stop "no fsync succeeds: $(cat out)"
  [ ! -e run/model.safetensors ] || stop "a model all the same"
done

# ---- one rank of a launcher's: it is named
. "$TESTS/lib/mpi.sh"
for flavour in $flavours; do
  cat >rank <<'END'
if [ "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}" = 3 ]; then
  exec strace -f -qq -o /dev/null -e inject=fsync:error=ENOSPC:when=1 "$@"
fi
exec "$@"
END
  rm -rf run
  mpirun $flavour 4 bash rank "${train[@]}" --output_dir run >out 2>err || stop "$flavour: $(cat err)"
  grep -qa 'warning: rank 3: run/.plait-tmp.checkpoint-2.*/model_tp_1_pp_1.safetensors: .*training goes on without this checkpoint' err || stop "$flavour: $(cat err)"
  [ "$(ls -d run/checkpoint-* | tr '\n' ' ')" = "run/checkpoint-4 run/checkpoint-6 " ] || stop "$flavour: $(ls run)"
  cmp run/model.safetensors whole/model.safetensors || stop "$flavour: another model"
  # The ranks read their parts of a checkpoint's bytes: whoever finds them damaged, all take the one before.
  for file in model_tp_0_pp_0 optimizer_tp_1_pp_1_dp_0; do
    printf x | dd of=run/checkpoint-6/$file.safetensors bs=1 seek=9000 conv=notrunc 2>/dev/null
    mpirun $flavour 4 "${train[@]}" --output_dir run --resume_from_checkpoint auto >out 2>err || stop "$flavour: $file: $(cat err)"
    grep -qa "warning: .*checkpoint-6/$file.safetensors: checksum of bytes .*; using checkpoint-4" err || stop "$flavour: $file: $(cat err)"
    cmp run/model.safetensors whole/model.safetensors || stop "$flavour: $file: another model"
  done
done
echo "$runs kills, $failures failed saves"
