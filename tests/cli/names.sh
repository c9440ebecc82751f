# Every option name of the programs that people come from: it acts, is noted, or is refused with one sentence.
. "$TESTS/lib/cli.sh"

count=0
for pair in $(grep -v '^#' "$TESTS/cli/names.txt"); do
  "$PLAIT" train "--$pair" >out 2>err </dev/null && stop "--$pair: trains without data"
  [ "$(grep -c '^plait: error: ' err)" = 1 ] || stop "--$pair: not one line of error: $(cat err)"
  ! grep -q -e 'unknown option' -e 'no value of this option' -e 'out of range' -e 'no number' -e 'no integer' err ||
    stop "--$pair: $(cat err)"
  count=$((count + 1))
done
[ "$count" -gt 200 ] || stop "only $count names"

# What changes a result is refused with another value than the one that is had anyway.
for pair in gradient_predivide_factor=2.0 init_method_std=0.1 push_to_hub=true do_predict=true save=true \
  no_tie_modules=true lora_config=x seq_length=64 sharded_ddp=simple report_to=wandb run_wandb=true \
  neftune_noise_alpha=5 dataloader_drop_last=true auto_find_batch_size=true custom_partition=1,2; do
  refuses 64 "${pair%%=*}" "$PLAIT" train --output_dir none --train_file none.txt "--$pair"
done
# A note is one line.
for pair in partition_method=uniform loss_scale=8 trace_method=fx zero_reduce_bucket_size=5 verbose=true; do
  "$PLAIT" train "--$pair" 2>err && stop "--$pair: trains without data"
  [ "$(grep -c "^plait: note: .*${pair%%=*}" err)" = 1 ] || stop "--$pair: not one note: $(cat err)"
done

# What is given and changes nothing beside the rest is told of once.
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do echo "a cat and a dog, and so on $i"; done >text.txt
"$PLAIT" tokenizer train --files text.txt --vocab_size 260 --output_dir small --log_level error
train="$PLAIT train --config_name gpt2 --tokenizer_name small --train_file text.txt --block_size 8 --dry_run
  --config_overrides n_embd=8,n_layer=1,n_head=2,n_positions=8,vocab_size=300"
for pair in max_eval_samples=3 dataset_config_name=x mlm_probability=.2 mean_noise_span_length=2 max_target_length=4 \
  group_by_length=true metric_for_best_model=loss eval_delay=2 eval_steps=2:eval_strategy=epoch \
  num_train_epochs=4:max_steps=2 warmup_steps=2:lr_scheduler_type=constant warmup_ratio=.1:warmup_steps=3 \
  adam_beta1=.8:adafactor=true data_seed=3:no_shuffle=true logging_dir=l:report_to=none save_steps=3:save_strategy=no \
  logging_steps=3:logging_strategy=epoch validation_split_percentage=6 model_type=bert; do
  $train --${pair%%:*} --${pair#*:} 2>err || stop "$pair: $(cat err)"
  [ "$(grep -c "^plait: note: --${pair%%=*}: changes nothing, as " err)" = 1 ] || stop "$pair: not one note: $(cat err)"
done
# A file with what transformers' TrainingArguments write about themselves is taken.
cat >args.json <<'END'
{"do_train": false, "do_eval": false, "fsdp": [], "fsdp_config": {}, "sharded_ddp": [], "deepspeed": null, "debug": [],
 "accelerator_config": {"split_batches": false}, "lr_scheduler_type": "cosine", "lr_scheduler_kwargs": {"num_cycles": 2},
 "include_for_metrics": [], "report_to": ["tensorboard"], "use_legacy_prediction_loop": false, "data_seed": null}
END
says "Total optimization steps" $train --args_file args.json
# What is said of a launcher has to be so.
refuses 78 "--n_processes: contradicts a start without mpirun or srun (found 2, expected 1)" $train --n_processes 2
refuses 78 "--process_id: contradicts" $train --process_id 1
refuses 78 "--n_local_devices: contradicts a start without mpirun or srun (found 8, expected 2)" $train \
  --world_size 2 --n_local_devices 8
says "2 ranks" $train --world_size 2 --n_local_devices 2 --n_processes 1 --process_id 0 --host0_address localhost
