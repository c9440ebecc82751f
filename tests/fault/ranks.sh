# A rank that is lost ends the job: at once when it dies, after a while when it stands still, with one sentence that names
# it. A signal to the launcher, or to one rank, is a request to all.
. "$TESTS/lib/cli.sh"
. "$TESTS/lib/mpi.sh"
export XDG_CACHE_HOME=$PWD/cache

awk 'BEGIN { for (i = 0; i < 300; i++) print "the cat sees a dog and one bird", i % 7, "likes fish", i % 11 }' >text.txt
"$PLAIT" tokenizer train --files text.txt --vocab_size 280 --output_dir small --log_level warning
"$PLAIT" config --config_name gpt2 --tokenizer_name small --output_dir small --log_level warning \
  --config_overrides n_embd=32,n_layer=2,n_head=2,n_positions=64
train="train --config_name small --tokenizer_name small --train_file text.txt --block_size 32 --threads 1
  --per_device_train_batch_size 2 --max_steps 1000000 --logging_steps 1 --save_steps 1000000 --tensor_parallel_size 2"

# start FLAVOUR DIRECTORY: four ranks that train; returns when they have begun. launched: the launcher's process.
start() {
  "$(launcher $1)" -n 4 "$PLAIT" $train --output_dir $2 >out 2>err &
  launched=$!
  for ((i = 0; i < 300; i++)); do
    [ ! -s $2/train_log.jsonl ] || return 0
    sleep 0.1
  done
  stop "$1: never begins: $(cat err)"
}

# The process of a rank of the run in DIRECTORY.
process_of() { # DIRECTORY RANK
  local entry
  for entry in /proc/[0-9]*; do
    { tr '\0' ' ' <$entry/cmdline | grep -q "^[^ ]*plait train .*--output_dir $1 " &&
      tr '\0' '\n' <$entry/environ | grep -qx -e "OMPI_COMM_WORLD_RANK=$2" -e "PMI_RANK=$2"; } 2>/dev/null || continue
    echo "${entry#/proc/}"
    return
  done
  stop "no rank $2 in $1"
}

# ended SECONDS DIRECTORY: the launcher leaves within SECONDS, not with 0, and so does everything it started.
ended() {
  local begin=$(date +%s%N) status=0
  wait $launched || status=$?
  took=$((($(date +%s%N) - begin) / 1000000))
  [ $status != 0 ] || stop "$flavour: exit code 0: $(cat err)"
  [ $took -le $(($1 * 1000)) ] || stop "$flavour: ends after $took ms, expected at most $1 s: $(grep -a plait: err)"
  ! pgrep -f "plait train .*--output_dir $2 " >left || stop "$flavour: still there: $(cat left)"
}

says_once() { # TEXT
  [ "$(grep -ac '^plait: error: ' err)" = 1 ] || stop "$flavour: not one line of error: $(cat err)"
  grep -a '^plait: error: ' err | grep -q "$1" || stop "$flavour: found $(grep -a ^plait: err), expected $1"
}

for flavour in $flavours; do
  start $flavour died.$flavour
  kill -9 $(process_of died.$flavour 2)
  ended 5 died.$flavour
  # MPICH's launcher may be quicker than the others to see it, and end them first.
  if [ $flavour = openmpi ] || grep -qa '^plait: error: ' err; then
    says_once "rank 2 on $(hostname) (process [0-9]*) has died while training, after step [0-9]"
  fi

  export PLAIT_HANG_SECONDS=2
  start $flavour hung.$flavour
  kill -STOP $(process_of hung.$flavour 1)
  ended 6 hung.$flavour
  says_once "rank 1 on $(hostname) (process [0-9]*) has stood still for 2 seconds while training, after step [0-9]"

  # before MPI has begun
  "$(launcher $flavour)" -n 3 bash -c '[ "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}" != 1 ] || kill -STOP $$; exec "$@"' bash \
    "$PLAIT" $train --output_dir halted.$flavour >out 2>err &
  launched=$!
  ended 8 halted.$flavour
  says_once "rank 1 on $(hostname) (process [0-9]*) has stood still for 2 seconds while starting"

  export PLAIT_MPI=${PLAIT%/*}/plait_mpi_$flavour.so
  for how in exit hang; do
    begin=$(date +%s)
    ! mpirun $flavour 8 "$PROGRAMS/ranks" $how >out 2>err || stop "$flavour: $how: exit code 0"
    [ $(($(date +%s) - begin)) -le 8 ] || stop "$flavour: $how takes too long"
    grep -qa "^ranks: rank 5 on $(hostname) (process [0-9]*) has .* while computing" err || [ $flavour$how = mpichexit ] ||
      stop "$flavour: $how: $(cat err)"
  done
  unset PLAIT_MPI PLAIT_HANG_SECONDS

  for whom in all one; do
    start $flavour $whom.$flavour
    if [ $whom = all ]; then kill -USR1 $launched; else kill -TERM $(process_of one.$flavour 3); fi
    ended 20 $whom.$flavour
    says_once "stopped at step [0-9]* of 1000000 (.*), with $whom.$flavour/checkpoint-"
    ls $whom.$flavour/checkpoint-*/manifest.json >/dev/null || stop "$flavour: no checkpoint"
  done
done
