# The program as a whole: help, version, commands and options that are misspelt, exit codes, closed outputs.
. "$TESTS/lib/cli.sh"
dir=$GOLDEN/gpt2/plain

# Help and version go to stdout.
prints "usage: plait COMMAND" "$PLAIT" --help
prints "tokenizer train" "$PLAIT" -h
prints "instruction sets: base" "$PLAIT" --version
prints "CUDA: absent" "$PLAIT" --version
prints "--config_overrides TEXT" "$PLAIT" config --help
prints "tokenizer train, tokenizer encode" "$PLAIT" tokenizer --help
prints "default byte_level_bpe" "$PLAIT" tokenizer train --vocab_size 3 --help --nonsense
"$PLAIT" --help | grep -q manual && stop "the hidden command is listed"
"$PLAIT" --help | sed -n 's/^  \([a-z ]*[a-z]\)   *.*/\1/p' >commands
[ "$(wc -l <commands)" -ge 7 ] || stop "commands: $(cat commands)"
while read -r command; do
  prints "usage: plait $command" "$PLAIT" $command --help
done <commands

# The manual page in the source is the one the tables make.
"$PLAIT" manual >plait.1
cmp plait.1 "$TESTS/../docs/plait.1" || stop "docs/plait.1 is out of date: plait manual > docs/plait.1"

# Commands and options that are none.
refuses 64 "no command" "$PLAIT"
refuses 64 "confg: no such command (did you mean config?)" "$PLAIT" confg
refuses 64 "--inputs: no such command" "$PLAIT" --inputs x
refuses 64 "tokenizer: one word is missing (expected tokenizer train" "$PLAIT" tokenizer
refuses 64 'found "tokenizer trian"' "$PLAIT" tokenizer trian
refuses 64 "--config-nam: unknown option (did you mean --config_name?)" "$PLAIT" config --config-nam gpt2
refuses 64 "--log_level: no value of this option" "$PLAIT" config --log_level loud
refuses 64 "--threads: out of range" "$PLAIT" config --threads 0
refuses 64 "--config-name: given twice with different values" "$PLAIT" config --config_name a --config-name b
refuses 64 "a word that belongs to no option" "$PLAIT" config gpt2
grep -q '^hint: ' refused.err && stop "a hint that says nothing"
refuses 64 "--qqqqqqqqqqqqqqq: unknown option" "$PLAIT" config --qqqqqqqqqqqqqqq
grep -q '^hint: plait config --help lists the options' refused.err || stop "no hint"

# What changes nothing here is said once; silence on request.
says "--use_auth_token: nothing is downloaded" "$PLAIT" config --config_name gpt2 --use_auth_token
says "--dtype: this command runs no model" "$PLAIT" config --config_name gpt2 --dtype bfloat16
"$PLAIT" config --config_name gpt2 --token x --log_level error 2>quiet >config.json
[ ! -s quiet ] || stop "not quiet: $(cat quiet)"

# Options from a file; the command line wins.
echo '{"config_name": "gpt2", // which
  "config_overrides": "n_layer=3"}' >args.json
"$PLAIT" config args.json | grep -q '"n_layer": 3' || stop "args.json"
"$PLAIT" config --args_file args.json --config_overrides n_layer=4 | grep -q '"n_layer": 4' || stop "args.json loses"
refuses 66 "args2.json: cannot open" "$PLAIT" config args2.json
echo '{"config_nam": "gpt2"}' >args.json
refuses 64 "unknown option (did you mean --config_name?)" "$PLAIT" config args.json
echo '{"config_name": }' >args.json
refuses 65 "args.json:1:17" "$PLAIT" config args.json

# Outputs that take no more: one line, exit code 74.
fails_writing() {
  [ "$1" = 74 ] || stop "exit code $1, expected 74: $(cat write.err)"
  grep -q '^plait: error: standard output: ' write.err || stop "$(cat write.err)"
}
status=0
"$PLAIT" config --config_name gpt2 >&- 2>write.err || status=$?
fails_writing $status
if [ -w /dev/full ]; then
  status=0
  "$PLAIT" --help >/dev/full 2>write.err || status=$?
  fails_writing $status
fi
mkfifo pipe
: <pipe & # a reader that goes away: what is written later finds a closed pipe
exec 3>pipe
wait
status=0
"$PLAIT" --help >&3 2>write.err || status=$?
exec 3>&-
fails_writing $status

# Launchers of ranks that it cannot join.
forward="forward --inputs $dir/inputs.safetensors --output o.safetensors --model_name_or_path $dir"
refuses 78 "no.so: cannot be loaded" env OMPI_COMM_WORLD_SIZE=4 PLAIT_MPI=no.so "$PLAIT" $forward
refuses 78 "no.so: cannot be loaded" env PLAIT_MPI=no.so "$PLAIT" $forward --comm mpi
refuses 78 "started by mpirun as one of 4 ranks, which do not know of each other" env PMI_SIZE=4 "$PLAIT" $forward --comm local
refuses 78 "started by srun as one of 4 ranks, which do not know of each other" env SLURM_STEP_NUM_TASKS=4 "$PLAIT" $forward
refuses 78 "started by torchrun as one of 4 ranks, which do not know of each other" \
  env RANK=0 LOCAL_RANK=0 WORLD_SIZE=4 "$PLAIT" $forward
refuses 78 "--comm nccl: this plait was built without it" "$PLAIT" $forward --comm nccl
refuses 78 "no.so: cannot be loaded" env PMI_SIZE=4 PLAIT_MPI=no.so "$PLAIT" init --config_name gpt2 --output_dir o
# What has no ranks is done once, by the first of a launcher's processes, told by the environment alone. A batch script's
# own commands are no ranks, whatever the job has asked for.
config="config --model_type gpt2"
"$PLAIT" $config >config.json
for first in "OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=0" "PMI_SIZE=4 PMI_RANK=0" "SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=0" \
  "SLURM_NTASKS=4 SLURM_PROCID=0" "SLURM_NTASKS=4 SLURM_STEP_NUM_TASKS=1 SLURM_PROCID=0"; do
  env $first "$PLAIT" $config >first.json 2>first.err || stop "$first: $(cat first.err)"
  cmp config.json first.json || stop "$first: another config"
  case $first in
    *SLURM_NTASKS*) [ ! -s first.err ] || stop "$first: $(cat first.err)" ;;
    *) grep -q 'note: config does not compute on ranks: the first of the 4 processes' first.err || stop "$first: $(cat first.err)" ;;
  esac
done
for other in "OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=3" "PMI_SIZE=4 PMI_RANK=3" "SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=3"; do
  for words in "$config" "config --help" "train --help" "--help" "--version" "checkpoint list nowhere"; do
    env $other "$PLAIT" $words >other.out 2>other.err || stop "$other: $words: $(cat other.err)"
    [ ! -s other.out ] && [ ! -s other.err ] || stop "$other: $words: $(cat other.out other.err)"
  done
done
prints "MPI: no.so: cannot be loaded" env PLAIT_MPI=no.so "$PLAIT" --version
refuses 78 "PLAIT_ISA: no such instruction set" env PLAIT_ISA=mmx "$PLAIT" --version
