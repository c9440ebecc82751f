# plait train with parameters that are cut over tensor ranks, as the smallest models' are not: evaluation finds them where
# training put them, and a checkpoint has the moments of all ranks.
. "$TESTS/lib/cli.sh"
. "$TESTS/lib/objectives.sh"
export XDG_CACHE_HOME=$PWD/cache

make_texts
tokenizer "<s>,<pad>,</s>,<unk>,<mask>" words
model gpt2 words n_embd=64,n_layer=2,n_head=2,n_positions=64
common="--config_name gpt2 --tokenizer_name words --train_file lines.txt --block_size 64 --max_steps 8 --logging_steps 2
  --learning_rate 1e-2 --do_train --do_eval --eval_steps 4 --seed 5"
ranks="--world_size 2 --tensor_parallel_size 2"

# An evaluation with few rows would have its own plan leave whole what training cuts, and the other way round.
for sizes in "3 3" "16 1" "1 16"; do
  batches="--per_device_train_batch_size ${sizes% *} --per_device_eval_batch_size ${sizes#* }"
  "$PLAIT" train $common $batches --output_dir one 2>/dev/null
  "$PLAIT" train $common $batches $ranks --output_dir two 2>two.err || stop "sizes $sizes: $(tail -n 2 two.err)"
  near "$(value eval_loss one/eval_results.json)" "$(value eval_loss two/eval_results.json)" 1e-4 || stop "sizes $sizes"
  rm -r one two
done

batches="--per_device_train_batch_size 3 --per_device_eval_batch_size 3"
"$PLAIT" train $common $batches $ranks --output_dir whole 2>/dev/null
"$PLAIT" train $common $batches $ranks --output_dir parts --stop_after_steps 5 2>/dev/null && stop "it did not stop"
"$PLAIT" train $common $batches $ranks --output_dir parts --resume_from_checkpoint true 2>/dev/null
cmp whole/model.safetensors parts/model.safetensors
cmp whole/checkpoint-8/optimizer.safetensors parts/checkpoint-8/optimizer.safetensors

# On one rank it goes on from the same moments.
"$PLAIT" train $common $batches $ranks --output_dir moved --stop_after_steps 5 2>/dev/null && stop "it did not stop"
"$PLAIT" train $common $batches --output_dir moved --resume_from_checkpoint true 2>/dev/null
near "$(value eval_loss whole/eval_results.json)" "$(value eval_loss moved/eval_results.json)" 1e-4 || stop "one rank differs"

# Why it stopped is said once, whichever rank ends first.
for i in 1 2 3 4 5; do
  status=0
  "$PLAIT" train $common $batches --world_size 4 --output_dir stopped --stop_after_steps 1 2>stopped.err || status=$?
  [ $status = 75 ] || stop "exit code $status: $(cat stopped.err)"
  [ "$(grep -c '^plait: error: stopped at step 1 of 8 (stop_after_steps)' stopped.err)" = 1 ] || stop "$(cat stopped.err)"
  grep -q '^hint: the same command with --resume_from_checkpoint auto' stopped.err || stop "$(cat stopped.err)"
  rm -r stopped
done
