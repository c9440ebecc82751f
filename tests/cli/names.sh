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
