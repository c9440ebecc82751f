# Ranks that are processes of a launcher: the same bytes as threads of one process, for every command; what goes wrong is
# said once.
. "$TESTS/lib/cli.sh"
. "$TESTS/lib/mpi.sh"
export XDG_CACHE_HOME=$PWD/cache

# fails FLAVOUR CODE TEXT OPTION...: four ranks of plait end with CODE and one line of error, which holds TEXT.
fails() {
  local flavour=$1 code=$2 text=$3 status=0
  shift 3
  mpirun $flavour "$@" >out 2>err || status=$?
  [ $status = $code ] || stop "$flavour: exit code $status, expected $code: $(cat err)"
  [ "$(grep -c '^plait: error: ' err)" = 1 ] || stop "$flavour: not one line of error: $(cat err)"
  grep '^plait: error: ' err | grep -qF -e "$text" || stop "$flavour: found $(own_lines err), expected $text"
}

cut_times() { sed 's/"tokens_per_second.*//; s/"eval_runtime.*//' "$1"; }

sentences 400 >text.txt
"$PLAIT" tokenizer train --files text.txt --vocab_size 280 --output_dir small --log_level warning
"$PLAIT" config --config_name gpt2 --tokenizer_name small --output_dir small --log_level warning \
  --config_overrides n_embd=32,n_layer=2,n_head=2,n_positions=64
train="train --config_name small --tokenizer_name small --train_file text.txt --block_size 32 --seed 3 --threads 1
  --per_device_train_batch_size 2 --learning_rate 1e-2 --max_steps 8 --logging_steps 2 --save_steps 4 --eval_steps 4
  --do_train --do_eval --validation_split_percentage 10 --tensor_parallel_size 2 --zero_stage 3"

"$PLAIT" $train --world_size 4 --output_dir threads 2>/dev/null
"$PLAIT" eval --model_name_or_path threads --validation_file text.txt --block_size 32 --world_size 4 --threads 1 >eval.threads 2>/dev/null
generate="generate --model_name_or_path threads --prompt the --max_new_tokens 12 --threads 1"
"$PLAIT" $generate --world_size 2 >generate.threads
model=$GOLDEN/gpt2/heads3
forward="forward --model_name_or_path $model --inputs $model/inputs.safetensors --grad --threads 1 --tensor_parallel_size 2"
"$PLAIT" $forward --world_size 4 --output forward.threads
staged="--pipeline_parallel_size 2 --world_size 4"
"$PLAIT" $generate $staged --num_beams 3 --stop_strings "cat" >generate.stages
"$PLAIT" $forward $staged --output forward.stages
copied="--data_parallel_size 2 --tensor_parallel_size 2 --world_size 4 --do_sample"
head -5 text.txt >prompts.txt
"$PLAIT" ${generate/--prompt the/--prompt_file prompts.txt} $copied >generate.copies

"$PLAIT" $train --world_size 4 --pipeline_parallel_size 2 --pipeline_schedule zero_bubble --output_dir stages 2>/dev/null

for flavour in $flavours; do
  # ---- transfers, through shared memory and by MPI
  export PLAIT_MPI=${PLAIT%/*}/plait_mpi_$flavour.so
  [ "$(mpirun $flavour 8 "$PROGRAMS/ranks")" = "8 ranks, 8 on this host, 1 threads each" ] || stop "$flavour: transfers"
  status=0
  mpirun $flavour 8 "$PROGRAMS/ranks" fail >out 2>err || status=$?
  [ $status = 65 ] || stop "$flavour: exit code $status: $(cat err)"
  [ "$(grep -c '^ranks: ' err)" = 1 ] || stop "$flavour: $(cat err)"
  grep -q '^ranks: rank 5 has had enough' err || stop "$flavour: $(cat err)"
  if strace -o trace true 2>/dev/null; then
    mpirun $flavour 8 strace -f -qq -o trace -e trace=memfd_create -e inject=memfd_create:error=ENOSYS \
      "$PROGRAMS/ranks" >out || stop "$flavour: transfers by MPI"
    grep -q '^8 ranks, 1 on this host' out || stop "$flavour: shared memory where there is none"
  fi
  unset PLAIT_MPI

  # ---- commands
  mpirun $flavour 4 "$PLAIT" $train --output_dir $flavour --n_processes 4 --n_local_devices 4 --host0_address x 2>err ||
    stop "$flavour: train: $(cat err)"
  [ "$(grep -c 'note: --host0_address' err)" = 1 ] || stop "$flavour: noted more than once: $(cat err)"
  [ "$(grep -c 'Training completed' err)" = 1 ] || stop "$flavour: said more than once: $(cat err)"
  mpirun $flavour 4 "$PLAIT" $train --pipeline_parallel_size 2 --pipeline_schedule zero_bubble \
    --output_dir $flavour-stages 2>err || stop "$flavour: stages: $(cat err)"
  for file in model.safetensors checkpoint-8/optimizer.safetensors; do
    cmp stages/$file $flavour-stages/$file || stop "$flavour: stages: $file"
  done
  fails $flavour 78 "--n_processes: contradicts" 2 "$PLAIT" $train --output_dir claims --n_processes 3
  for file in model.safetensors checkpoint-4/optimizer.safetensors checkpoint-8/optimizer.safetensors; do
    cmp threads/$file $flavour/$file || stop "$flavour: $file"
  done
  cut_times threads/train_log.jsonl >log.threads
  cut_times $flavour/train_log.jsonl | cmp - log.threads || stop "$flavour: log"
  mpirun $flavour 4 "$PLAIT" eval --model_name_or_path threads --validation_file text.txt --block_size 32 --threads 1 >eval.$flavour 2>err ||
    stop "$flavour: eval: $(cat err)"
  [ "$(grep -e loss -e perplexity -e samples\" eval.$flavour)" = "$(grep -e loss -e perplexity -e samples\" eval.threads)" ] || stop "$flavour: $(cat eval.$flavour)"
  mpirun $flavour 2 "$PLAIT" $generate >generate.$flavour || stop "$flavour: generate"
  cmp generate.threads generate.$flavour || stop "$flavour: generate"
  echo the | mpirun $flavour 2 "$PLAIT" ${generate/--prompt the/--prompt_file -} >generate.$flavour || stop "$flavour: standard input"
  cmp generate.threads generate.$flavour || stop "$flavour: what standard input asks for"
  mpirun $flavour 4 "$PLAIT" ${train/--train_file text.txt/--train_file -} --output_dir $flavour-input <text.txt 2>err ||
    stop "$flavour: train on standard input: $(cat err)"
  cmp threads/model.safetensors $flavour-input/model.safetensors || stop "$flavour: another text on standard input"
  mpirun $flavour 4 "$PLAIT" $forward --output forward.$flavour || stop "$flavour: forward"
  cmp forward.threads forward.$flavour || stop "$flavour: forward"
  mpirun $flavour 4 "$PLAIT" $generate $staged --num_beams 3 --stop_strings "cat" >generate.$flavour || stop "$flavour: generate"
  cmp generate.stages generate.$flavour || stop "$flavour: generate through stages"
  mpirun $flavour 4 "$PLAIT" ${generate/--prompt the/--prompt_file prompts.txt} $copied >generate.$flavour || stop "$flavour: copies"
  cmp generate.copies generate.$flavour || stop "$flavour: generate on copies"
  mpirun $flavour 4 "$PLAIT" $forward $staged --output forward.$flavour || stop "$flavour: forward through stages"
  cmp forward.stages forward.$flavour || stop "$flavour: forward through stages"

  # ---- commands without ranks
  mpirun $flavour 4 "$PLAIT" tokenizer train --files text.txt --vocab_size 280 --output_dir $flavour-small >out 2>err ||
    stop "$flavour: tokenizer train: $(cat err)"
  cmp small/tokenizer.json $flavour-small/tokenizer.json || stop "$flavour: another tokenizer"
  [ "$(own_lines err | wc -l)" = 1 ] && [ "$(grep -c '280 entries' err)" = 1 ] || stop "$flavour: said more than once: $(cat err)"
  mpirun $flavour 4 "$PLAIT" tokenizer encode --tokenizer_name small --text 'the cat' >out 2>err || stop "$flavour: encode: $(cat err)"
  "$PLAIT" tokenizer encode --tokenizer_name small --text 'the cat' | cmp - out || stop "$flavour: printed more than once"
  fails $flavour 66 "nowhere: no such directory" 4 "$PLAIT" checkpoint list nowhere
  # one after the other, each needs what was written before
  mpirun $flavour 4 bash -c '"$0" checkpoint shard threads --tensor_parallel_size 2 --output_dir '$flavour-pieces' &&
    "$0" '"${generate/ threads/ $flavour-pieces}" "$PLAIT" >out 2>err || stop "$flavour: shard, then generate: $(cat err)"
  cmp generate.threads out || stop "$flavour: generate from pieces"

  # ---- plans: measured on the processes, and compared with one rank
  mpirun $flavour 4 "$PLAIT" plan --probe --threads 1 >cluster.json 2>err || stop "$flavour: probe: $(cat err)"
  [ "$(grep -c '"ranks_per_host": 4,' cluster.json)" = 1 ] && grep -q '"link_bytes_per_second": [1-9]' cluster.json ||
    stop "$flavour: probe: $(cat cluster.json)"
  plan=${train#train}
  for layout in "2 --tensor_parallel_size 2" "4 --pipeline_parallel_size 2 --zero_stage 2"; do
    mpirun $flavour ${layout%% *} "$PLAIT" plan ${plan/--tensor_parallel_size*} ${layout#* } --verify >out 2>err || stop "$flavour: verify: $(cat err)"
    [ "$(grep -c 'verified: 2 steps as on one rank' out)" = 1 ] || stop "$flavour: verify $layout: $(cat out)"
    [ "$(grep -c 'step 2: loss' err)" = 1 ] || stop "$flavour: verify $layout: $(cat err)"
  done
  "$PLAIT" plan ${plan/--tensor_parallel_size*} $staged --dump stages >plan.threads 2>/dev/null
  mpirun $flavour 4 "$PLAIT" plan ${plan/--tensor_parallel_size*} --pipeline_parallel_size 2 --dump stages >plan.$flavour 2>err ||
    stop "$flavour: plan: $(cat err)"
  cmp plan.threads plan.$flavour || stop "$flavour: another plan"
  export PLAIT_MPI=${PLAIT%/*}/plait_mpi_$flavour.so
  for axis in dp pp; do
    status=0
    mpirun $flavour 2 "$PROGRAMS/test_dist_verify" $axis exp_avg_sq.transformer.h.1.mlp.c_proj.weight 2>err || status=$?
    [ $status = 65 ] && [ "$(grep -c '^verify: ' err)" = 1 ] || stop "$flavour: verify $axis: $status: $(cat err)"
    grep -q "verify: step 1: the gradient's square of transformer.h.1.mlp.c_proj.weight differs from one rank's" err ||
      stop "$flavour: verify $axis: $(cat err)"
  done
  if strace -o trace true 2>/dev/null; then
    mpirun $flavour 2 strace -f -qq -o trace -e trace=memfd_create -e inject=memfd_create:error=ENOSYS "$PLAIT" plan --probe >out ||
      stop "$flavour: probe by MPI"
    grep -q '"hosts": 2,' out && grep -q '"host_link_bytes_per_second": [1-9]' out || stop "$flavour: probe by MPI: $(cat out)"
    mpirun $flavour 2 strace -f -qq -o trace -e trace=memfd_create -e inject=memfd_create:error=ENOSYS \
      "$PROGRAMS/test_dist_verify" tp 2>err || stop "$flavour: verify by MPI: $(cat err)"
  fi
  unset PLAIT_MPI

  # ---- what cannot be
  fails $flavour 78 "--world_size: not what mpirun has started (found 4, expected 2)" 2 "$PLAIT" $generate --world_size 4
  grep -q '^hint: mpirun -n 4 plait' err || stop "$flavour: $(cat err)"
  fails $flavour 78 "mpirun: not data_parallel_size auto x tensor_parallel_size 2 x pipeline_parallel_size auto (found 3, expected 2 or 4)" \
    3 "$PLAIT" $train --output_dir none
  fails $flavour 64 "no_such_option" 2 "$PLAIT" $train --no_such_option 1
  fails $flavour 66 "nowhere.json: cannot open" 1 "$PLAIT" $train --output_dir none : \
    -n 1 "$PLAIT" $train --output_dir none --args_file nowhere.json
  fails $flavour 78 "rank 1 on $(hostname) has another command line than rank 0" 1 "$PLAIT" $train --output_dir none : \
    -n 1 "$PLAIT" $train --output_dir none --weight_decay 0.1
  fails $flavour 73 "already exists and is not empty" 2 "$PLAIT" $train --output_dir threads
  fails $flavour 66 "no/such.txt" 2 "$PLAIT" ${train/text.txt/no/such.txt} --output_dir none
  if strace -o trace true 2>/dev/null; then # each on a host of its own
    apart="strace -f -qq -o trace -e trace=memfd_create -e inject=memfd_create:error=ENOSYS $PLAIT"
    fails $flavour 66 "no/such.txt" 2 $apart ${train/text.txt/no/such.txt} --output_dir none
    ! mpirun $flavour 1 $apart $train --output_dir none : -n 1 $apart $train --output_dir none --args_file nowhere.json 2>err ||
      stop "$flavour: one goes on alone"
    [ "$(grep -c '^plait: error: ' err)" = 1 ] && grep -q 'nowhere.json: cannot open' err || stop "$flavour: $(cat err)"
  fi
  [ ! -e none ] || stop "$flavour: a directory of a run that was refused"
done

# ---- what one rank reads under the same name is not what the others read (any MPI will do)
differs() { # WHAT COMMAND OPTION...
  local what=$1
  shift
  fails $flavour 78 "rank 1 on $(hostname) has another $what than rank 0" 1 -wdir $PWD/here "$PLAIT" "$@" : \
    -n 1 -wdir $PWD/there "$PLAIT" "$@"
}

mkdir here there
cp -r threads text.txt $model/inputs.safetensors here
cp -r threads text.txt there
echo >there/inputs.safetensors
differs inputs forward --model_name_or_path threads --inputs inputs.safetensors --output none
sed -i '1s/$/ and/' there/text.txt
differs prompts generate --model_name_or_path threads --prompt_file text.txt --max_new_tokens 2
cp text.txt there
sed -i 's/"add_prefix_space": false/"add_prefix_space": true/' there/threads/tokenizer.json
differs tokenizer eval --model_name_or_path threads --validation_file text.txt --block_size 32
weights=threads/model.safetensors
printf '\100\100' | dd of=there/$weights bs=1 seek=$(($(stat -c %s $weights) - 2)) conv=notrunc status=none
differs weights generate --model_name_or_path threads --prompt the
