# plait train and plait eval: from text to a model, and every way to stop and go on.
. "$TESTS/lib/cli.sh"

# ends CODE TEXT COMMAND...: like refuses, for a run that has said much before.
ends() {
  local code=$1 text=$2 status=0
  shift 2
  "$@" >ends.out 2>ends.err || status=$?
  [ "$status" = "$code" ] || stop "exit code $status, expected $code: $*: $(tail -n 5 ends.err)"
  [ ! -s ends.out ] || stop "something on stdout: $*"
  grep '^plait: error: ' ends.err | grep -qF -e "$text" || stop "$*: found $(tail -n 5 ends.err), expected $text"
}
export XDG_CACHE_HOME=$PWD/cache

# A text in which words follow each other by rule, so that something can be learnt.
awk 'BEGIN {
  split("the a one some each", d); split("cat dog bird fish tree", n); split("sees likes finds eats hears", v); x = 7
  for (i = 0; i < 900; i++) {
    x = (x * 1103515245 + 12345) % 2147483648; a = int(x / 65536)
    printf "%s %s %s the %s .\n", d[a % 5 + 1], n[int(a / 5) % 5 + 1], v[int(a / 25) % 5 + 1], n[int(a / 125) % 5 + 1]
  }
}' >all.txt
head -n 800 all.txt >train.txt
tail -n 100 all.txt >valid.txt
"$PLAIT" tokenizer train --files train.txt --vocab_size 300 --output_dir small --log_level warning
"$PLAIT" config --config_name gpt2 --tokenizer_name small --output_dir small --log_level warning \
  --config_overrides n_embd=32,n_layer=2,n_head=2,n_positions=64
common="--config_name small --tokenizer_name small --train_file train.txt --block_size 32 --seed 3
  --per_device_train_batch_size 4 --learning_rate 1e-2 --warmup_steps 5 --max_steps 30 --logging_steps 4
  --save_steps 10 --threads 2"
long=${common/--max_steps 30/--max_steps 1000000}

# ---- one run, as it should be
says "Training completed: 30 steps" "$PLAIT" train $common --do_eval --validation_file valid.txt --eval_steps 10 \
  --output_dir whole
for file in config.json model.safetensors tokenizer.json vocab.json merges.txt generation_config.json run.json \
  train_log.jsonl train_results.json eval_results.json all_results.json checkpoint-10 checkpoint-20 checkpoint-30; do
  [ -e whole/$file ] || stop "no $file"
done
[ ! -e whole/.plait-lock ] || stop "the lock stays"
losses=$(grep -o '"loss": [0-9.]*' whole/train_log.jsonl | cut -d' ' -f2)
[ "$(echo "$losses" | wc -l)" = 8 ] || stop "not 8 lines: $losses" # 4, 8, ... 28, and 30
echo "$losses" | awk 'NR == 1 { first = $1 } { last = $1 } END { exit !(last < 0.6 * first) }' || stop "no learning: $losses"
[ "$(grep -c eval_loss whole/train_log.jsonl)" = 3 ] || stop "not 3 evaluations"
for key in '"step": 4, "epoch": ' '"learning_rate": 0.006' '"grad_norm": ' '"tokens_per_second": ' '"step_ms": ' \
  '"mfu": ' '"memory_bytes": '; do
  head -n 1 whole/train_log.jsonl | grep -qF "$key" || stop "$key: $(head -n 1 whole/train_log.jsonl)"
done
ls whole/runs/*/events.out.tfevents.* >/dev/null || stop "no events"
grep -q '"global_step": 30' whole/checkpoint-30/trainer_state.json || stop state

# What eval says of the saved model is what the run said last.
"$PLAIT" eval --model_name_or_path whole --validation_file valid.txt --block_size 32 --output_dir evaluated >eval.json 2>/dev/null
cmp eval.json evaluated/eval_results.json
[ "$(grep '"eval_loss"' eval.json)" = "$(grep '"eval_loss"' whole/eval_results.json)" ] || stop "two losses: $(cat eval.json)"
refuses 64 "nothing to evaluate without weights" "$PLAIT" eval --config_name small --validation_file valid.txt

# ---- stopped and gone on with: the same bytes, the same log
ends 75 "stopped at step 13 of 30 (stop_after_steps), with parts/checkpoint-13" \
  "$PLAIT" train $common --output_dir parts --stop_after_steps 13
refuses 66 "parts: no weights" "$PLAIT" generate --model_name_or_path parts --prompt x
grep -qx 'hint: its newest checkpoint is parts/checkpoint-13' refused.err || stop "no hint at the checkpoint: $(cat refused.err)"
ends 75 "stopped at step 14 of 30" "$PLAIT" train $common --output_dir parts --stop_after_steps 1 \
  --resume_from_checkpoint true
[ ! -e parts/model.safetensors ] || stop "a model before the end"
says "Continuing after step = 14" "$PLAIT" train parts/run.json --stop_after_steps 1000 --resume_from_checkpoint auto
! grep -q -e stop_after_steps -e '"resume_from' parts/run.json || stop "run.json keeps what was about one start"
cmp whole/model.safetensors parts/model.safetensors
cmp whole/checkpoint-30/optimizer.safetensors parts/checkpoint-30/optimizer.safetensors
grep -v eval_loss whole/train_log.jsonl | sed 's/"tokens_per_second.*//' >whole.log
sed 's/"tokens_per_second.*//' parts/train_log.jsonl | cmp - whole.log

# Adafactor: little to remember, a file of it that is enough, and no other optimizer's
"$PLAIT" train $common --output_dir factored --adafactor --max_grad_norm 0 2>/dev/null
ends 75 "stopped at step 13 of 30" "$PLAIT" train $common --output_dir factored2 --adafactor --max_grad_norm 0 --stop_after_steps 13
"$PLAIT" train $common --output_dir factored2 --adafactor --max_grad_norm 0 --resume_from_checkpoint true 2>/dev/null
cmp factored/model.safetensors factored2/model.safetensors
cmp factored/checkpoint-30/optimizer.safetensors factored2/checkpoint-30/optimizer.safetensors
"$PLAIT" train $common --output_dir factored3 --optim adafactor 2>/dev/null
[ "$(stat -c %s factored3/checkpoint-30/optimizer.safetensors)" -lt \
  $(($(stat -c %s whole/checkpoint-30/optimizer.safetensors) / 4)) ] || stop "Adafactor's moments are not factored"
ends 78 "optimizer is not that of the run" "$PLAIT" train $common --output_dir factored3 --resume_from_checkpoint true

# A rate that evaluations lower goes on where it was.
plateau="--lr_scheduler_type reduce_lr_on_plateau --eval_steps 3 --validation_file valid.txt"
kwargs='{"patience": 0, "factor": 0.5, "threshold": 0.2}'
"$PLAIT" train $common $plateau --lr_scheduler_kwargs "$kwargs" --output_dir flat 2>/dev/null
ends 75 "stopped at step 13 of 30" "$PLAIT" train $common $plateau --lr_scheduler_kwargs "$kwargs" --output_dir flat2 \
  --stop_after_steps 13
"$PLAIT" train $common $plateau --lr_scheduler_kwargs "$kwargs" --output_dir flat2 --resume_from_checkpoint true 2>/dev/null
cmp flat/model.safetensors flat2/model.safetensors
tail -n 1 flat/train_log.jsonl | grep -q '"learning_rate": 0.01,' && stop "the rate stays"
"$PLAIT" train $common $plateau --lr_scheduler_kwargs "$kwargs" --output_dir flat3 --tensor_parallel_size 2 2>/dev/null
[ "$(grep -o '"learning_rate": [0-9.e-]*' flat/train_log.jsonl)" = \
  "$(grep -o '"learning_rate": [0-9.e-]*' flat3/train_log.jsonl)" ] || stop "another rate on ranks"

# On other ranks it is the same within rounding.
says "Layout = 2 ranks (data 2 x tensor 1)" "$PLAIT" train $common --output_dir ranks --data_parallel_size 2 --global_batch_size 4
says "note: --gradient_accumulation_steps: changes nothing, as the global batch is to be 5 " "$PLAIT" train $common --output_dir steps \
  --gradient_accumulation_steps 3 --global_batch_size 5
grep -o '"loss": [0-9.]*' ranks/train_log.jsonl | cut -d' ' -f2 | paste - <(echo "$losses") |
  awk '{ d = $1 / $2 - 1; if (d > 1e-4 || d < -1e-4) { print "ranks: loss " $1 ", expected " $2; exit 1 } }'

# In bfloat16 it learns the same.
says ", bfloat16" "$PLAIT" train $common --output_dir bf16 --dtype bfloat16
grep -o '"loss": [0-9.]*' bf16/train_log.jsonl | cut -d' ' -f2 | paste - <(echo "$losses") |
  awk '{ d = $1 / $2 - 1; if (d > 2e-2 || d < -2e-2) { print "bfloat16: loss " $1 ", expected " $2; exit 1 } } $1 != $2 { n++ }
    END { exit n == 0 }'

# A signal is a request.
"$PLAIT" train $long --output_dir signalled >/dev/null 2>signal.err &
pid=$!
for ((i = 0; i < 200; i++)); do
  [ ! -s signalled/train_log.jsonl ] || break
  sleep 0.05
done
refuses 75 "signalled: in use by another run (process $pid" \
  "$PLAIT" train $long --output_dir signalled --resume_from_checkpoint auto
refuses 75 "signalled: in use by another run (process $pid" "$PLAIT" train $long --output_dir signalled
kill -TERM $pid
rc=0
wait $pid || rc=$?
[ $rc = 75 ] || stop "exit code $rc after SIGTERM: $(cat signal.err)"
grep -q '(SIGTERM), with signalled/checkpoint-' signal.err || stop "$(cat signal.err)"
ends 75 "(max_runtime is over)" "$PLAIT" train $long --output_dir timed --max_runtime 0.1s

# ---- checkpoints: how many stay, which is the best, none at all
"$PLAIT" train ${common/save_steps 10/save_steps 4} --output_dir few --save_total_limit 2 --log_level error
[ "$(ls -d few/checkpoint-* | tr '\n' ' ')" = "few/checkpoint-28 few/checkpoint-30 " ] || stop "$(ls few)"
cmp whole/model.safetensors few/model.safetensors
"$PLAIT" train ${common/1e-2/2e-1} --output_dir best --eval_steps 5 --eval_strategy steps \
  --validation_file valid.txt --load_best_model_at_end --lr_scheduler_type constant --save_total_limit 1 --log_level warning
best=$(sed -n 's|.*"best_model_checkpoint": "\(.*\)".*|\1|p' best/checkpoint-30/trainer_state.json)
cmp "$best/model.safetensors" best/model.safetensors
"$PLAIT" train $common --output_dir none --save_strategy no --log_level error
cmp whole/model.safetensors none/model.safetensors
! ls -d none/checkpoint-* 2>/dev/null || stop "a checkpoint in spite of save_strategy no"
"$PLAIT" train $common --output_dir bare --save_only_model --log_level error
refuses 65 "saved with --save_only_model" "$PLAIT" train $common --output_dir bare --resume_from_checkpoint true

# A disk with room for the model, but not for the optimizer's state beside it.
(
  ulimit -f 200
  ends 74 "; the trained model alone is in full" "$PLAIT" train ${common/save_steps 10/save_steps 100} --output_dir full
)
cmp whole/model.safetensors full/model.safetensors
! ls -d full/checkpoint-* 2>/dev/null || stop "half a checkpoint"

# ---- the output directory
refuses 66 "nothing.txt" "$PLAIT" train ${common/train.txt/nothing.txt} --output_dir refused
[ ! -e refused ] || stop "a refused run leaves its directory"
refuses 73 "Output directory (whole) already exists and is not empty. Use --overwrite_output_dir to overcome." \
  "$PLAIT" train $common --output_dir whole
touch file
refuses 73 "file: is a file, expected a directory" "$PLAIT" train $common --output_dir file
refuses 73 "file: is a file, expected a directory" \
  "$PLAIT" eval --model_name_or_path whole --validation_file valid.txt --output_dir file
refuses 64 "would remove few/checkpoint-28, which this run reads" "$PLAIT" train ${common/name small/name few/checkpoint-28} \
  --output_dir few --overwrite_output_dir
[ -e few/train_log.jsonl ] || stop "something was removed all the same"
mkdir few/checkpoint-7
says "few/checkpoint-7: not written by plait, so it stays" "$PLAIT" train ${common/--max_steps 30/--max_steps 3} \
  --output_dir few --overwrite_output_dir
[ "$(ls -d few/checkpoint-* | tr '\n' ' ')" = "few/checkpoint-3 few/checkpoint-7 " ] || stop "$(ls few)"
[ "$(wc -l <few/train_log.jsonl)" = 1 ] || stop "an old log"
says "Total optimization steps = 30" "$PLAIT" train $common --output_dir dry --dry_run
[ ! -e dry ] || stop "--dry_run leaves something"
refuses 66 "No valid checkpoint found in output directory (dry)" "$PLAIT" train $common --output_dir dry \
  --resume_from_checkpoint true
refuses 66 "Can't find a valid checkpoint at nowhere" "$PLAIT" train $common --output_dir dry --resume_from_checkpoint nowhere

# ---- another run is not gone on with
cp -a parts other
rm -r other/checkpoint-30 other/checkpoint-20
refuses 78 'config differs from the run'\''s: $.n_layer (found 3, expected 2)' "$PLAIT" train $common --output_dir other \
  --resume_from_checkpoint true --config_overrides n_layer=3
ends 78 "train_data is not that of the run" "$PLAIT" train ${common/train.txt/all.txt} --output_dir other \
  --resume_from_checkpoint true
ends 78 "block_size is not that of the run (found 16, expected 32)" "$PLAIT" train ${common/size 32/size 16} \
  --output_dir other --resume_from_checkpoint true
printf x >>other/checkpoint-14/model.safetensors
says "using checkpoint-13" "$PLAIT" train ${common/--max_steps 30/--max_steps 15} --output_dir other --resume_from_checkpoint auto
for c in other/checkpoint-*; do printf x >>"$c/model.safetensors"; done
ends 65 "other: none of" "$PLAIT" train $common --output_dir other --resume_from_checkpoint auto

# ---- what is said of what is wrong
refuses 64 "--output_dir is missing" "$PLAIT" train --config_name small --train_file train.txt
refuses 64 "Need either a dataset name or a training/validation file." "$PLAIT" train --config_name small --output_dir x
refuses 64 "You are instantiating a new tokenizer from scratch." "$PLAIT" train --config_name gpt2 --train_file train.txt --output_dir x
refuses 66 "none.txt" "$PLAIT" train ${common/train.txt/none.txt} --output_dir x
says "The block_size passed (500) is larger than the maximum length for the model(64). Using block_size=64." \
  "$PLAIT" train ${common/size 32/size 500} --output_dir x --dry_run
ends 65 "was not finite in 10 steps in a row" "$PLAIT" train ${common/1e-2/1e25} --output_dir diverged \
  --max_grad_norm 0 --lr_scheduler_type constant --save_strategy no
ls -d diverged/checkpoint-* diverged/model.safetensors 2>/dev/null && stop "what is not finite was saved"
few=${common/--max_steps 30/--max_steps 4}
few=${few/--warmup_steps 5/}
says "Training completed: 4 steps, 3 of them left out, " "$PLAIT" train ${few/1e-2/1e30} --output_dir mostly
mkdir -p data/pets/tiny && cp train.txt data/pets/tiny/train-1.txt && cp valid.txt data/pets/tiny/validation.txt
says "Num evaluation examples" "$PLAIT" train ${common/--train_file train.txt/} --dataset_name pets --dataset_config_name tiny \
  --cache_dir data --do_train --do_eval --output_dir x --dry_run
refuses 66 "no such file, and none in cats/{train,validation}*" "$PLAIT" train ${common/--train_file train.txt/} \
  --dataset_name cats --output_dir x
