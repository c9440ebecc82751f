# A real Slurm on this machine: ranks by srun on one node and on two, and the batch job of examples/slurm, which is stopped,
# goes back into the queue and goes on.
. "$TESTS/lib/cli.sh"
[ -z "${PLAIT_SANITIZE:-}" ] || { echo "processes run under sanitizers in dist/mpi: not tested"; exit 77; }
export XDG_CACHE_HOME=$PWD/cache

for command in slurmctld slurmd munged srun sbatch; do
  command -v $command >/dev/null || { echo "no $command here: not tested"; exit 77; }
done
[ -e "${PLAIT%/*}/plait_mpi_openmpi.so" ] || { echo "no module for Open MPI: not tested"; exit 77; }
[ "$(id -u)" = 0 ] || { echo "Slurm's daemons need root: not tested"; exit 77; }
chmod 755 . # munged is another user
root=$TESTS/..
trap '"$root/script/slurm" stop "$PWD/slurm"' EXIT
eval "$("$root/script/slurm" start "$PWD/slurm" 2)"
# Two nodes on one machine: Open MPI's own shared memory would get their names mixed up.
export OMPI_MCA_btl=self,tcp OMPI_MCA_btl_tcp_if_include=lo OMP_NUM_THREADS=1 PLAIT

awk 'BEGIN { for (i = 0; i < 300; i++) print "the cat sees a dog and one bird", i % 7, "likes fish", i % 11 }' >text.txt
"$PLAIT" tokenizer train --files text.txt --vocab_size 280 --output_dir small --log_level warning
"$PLAIT" config --config_name gpt2 --tokenizer_name small --output_dir small --log_level warning \
  --config_overrides n_embd=32,n_layer=2,n_head=2,n_positions=64
options="--config_name small --tokenizer_name small --train_file text.txt --block_size 32 --seed 3
  --per_device_train_batch_size 2 --logging_steps 10 --save_steps 100000 --threads 1"

# ---- srun
"$PLAIT" train $options --max_steps 6 --world_size 2 --output_dir threads 2>/dev/null
for nodes in 1 2; do
  srun --mpi=pmix -N $nodes -n 2 "$PLAIT" train $options --max_steps 6 --output_dir nodes$nodes 2>err || stop "$nodes nodes: $(cat err)"
  [ "$(grep -c 'Training completed' err)" = 1 ] || stop "$nodes nodes: $(cat err)"
  cmp threads/model.safetensors nodes$nodes/model.safetensors || stop "$nodes nodes: another model"
done
srun --mpi=none -n 2 "$PLAIT" config --model_type gpt2 --output_dir once 2>err || stop "config: $(cat err)"
[ "$(grep -c 'once/config.json: gpt2' err)" = 1 ] || stop "config: said more than once: $(cat err)"
for layout in "2 1" "2 2"; do # hosts, ranks of each
  set -- $layout
  srun --mpi=pmix -N $1 -n $(($1 * $2)) --overcommit "$PLAIT" plan --probe --threads 1 >cluster.json 2>err || stop "probe: $(cat err)"
  grep -q '"hosts": '$1, cluster.json && grep -q '"ranks_per_host": '$2, cluster.json || stop "probe: $(cat cluster.json)"
  grep -q '"host_link_bytes_per_second": [1-9]' cluster.json || stop "probe: $(cat cluster.json)"
  [ $2 = 1 ] || grep -q '"link_bytes_per_second": [1-9]' cluster.json || stop "probe: $(cat cluster.json)"
done
# Without figures how ranks lie on hosts is known all the same.
srun --mpi=pmix -N 2 -n 4 --overcommit "$PLAIT" plan $options --global_batch_size 4 --json >plan.json 2>err || stop "plan: $(cat err)"
grep -q '"hosts": 2,' plan.json && grep -q '"ranks_per_host": 2,' plan.json || stop "plan: $(cat plan.json)"

status=0
srun --mpi=none -n 2 "$PLAIT" train $options --output_dir none 2>err || status=$?
[ $status = 78 ] && [ "$(grep -c 'srun --mpi=pmix lets them know' err)" = 1 ] || stop "without an interface: $(cat err)"
status=0
srun --mpi=pmix -n 2 "$PLAIT" train $options --world_size 4 --output_dir none 2>err || status=$?
[ $status = 78 ] && grep -q '^hint: srun -n 4 plait' err || stop "contradiction: $(cat err)"

job=
until_is() { # TEXT FILE
  for ((i = 0; i < 600; i++)); do
    ! grep -qs -e "$1" "$2" || return 0
    sleep 0.1
  done
  stop "never comes: $1: $(tail -n 20 slurm.err) $(scontrol show job "$job") $(tail -n 30 slurm/slurmctld.log)"
}

# ---- a rank that dies, alone on its node: Slurm and MPI tell nobody
srun --mpi=pmix -N 2 -n 2 "$PLAIT" train $options --max_steps 1000000 --output_dir died 2>err &
launched=$!
until_is '"step": 10,' died/train_log.jsonl
for entry in /proc/[0-9]*; do
  { tr '\0' ' ' <$entry/cmdline | grep -q '^[^ ]*plait train .*--output_dir died ' &&
    tr '\0' '\n' <$entry/environ | grep -qx SLURM_PROCID=1; } 2>/dev/null && victim=${entry#/proc/}
done
begin=$(date +%s%N) status=0
kill -9 $victim
wait $launched || status=$?
took=$((($(date +%s%N) - begin) / 1000000))
[ $status != 0 ] && [ $took -le 5000 ] || stop "exit code $status after $took ms: $(cat err)"
grep -q "^plait: error: rank 1 on $(hostname) has died while training, after step [0-9]" err || stop "$(cat err)"

# ---- sbatch
"$PLAIT" train $options --max_steps 4000 --world_size 2 --output_dir whole 2>/dev/null
job=$(sbatch --parsable --nodes=1 --ntasks-per-node=2 --cpus-per-task=1 "$root/examples/slurm/train.sbatch" \
  $options --max_steps 4000 --output_dir batch)
until_is '"step": 10,' batch/train_log.jsonl
scancel --signal=USR1 "$job"
until_is "job $job is put back into the queue" slurm.err
grep -q 'stopped at step [0-9]* of 4000 (SIGUSR1), with batch/checkpoint-' slurm.err || stop "$(cat slurm.err)"
# A job that is put back waits for two minutes; not so long here, but until nothing of its first start is left.
while pgrep -f "slurmstepd: \[$job\." >/dev/null || [ "$(scontrol show job "$job" | grep -c JobState=PENDING)" = 0 ]; do sleep 0.2; done
sleep 1
scontrol update JobId="$job" StartTime=now
until_is 'Training completed: 4,000 steps' slurm.err
grep -q 'Continuing after step = ' slurm.err || stop "begins anew: $(cat slurm.err)"
cmp whole/model.safetensors batch/model.safetensors || stop "the job that was stopped has another model"
