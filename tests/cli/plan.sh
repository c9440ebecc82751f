# plait plan: what train would run, printed pass by pass, without touching anything.
. "$TESTS/lib/cli.sh"

export XDG_CACHE_HOME=$PWD/cache
for ((i = 0; i < 200; i++)); do echo "line $i says what line $((i * 7 % 31)) said"; done >train.txt
"$PLAIT" tokenizer train --files train.txt --vocab_size 280 --output_dir small --log_level warning
"$PLAIT" config --config_name gpt2 --tokenizer_name small --output_dir small --log_level warning \
  --config_overrides n_embd=32,n_layer=2,n_head=2,n_positions=64
common="--config_name small --tokenizer_name small --train_file train.txt --block_size 32 --seed 3"

prints "one rank: parameters " "$PLAIT" plan $common
[ "$(ls)" = "$(printf 'cache\nprinted.err\nprinted.out\nsmall\ntrain.txt')" ] || stop "something was made: $(ls)"

# Each stage has what its pass puts in, and nothing of a later one.
"$PLAIT" plan $common --world_size 2 --tensor_parallel_size 2 --dump all >all.txt 2>/dev/null
[ "$(grep '^# ' all.txt | tr '\n' ' ')" = "# graph # grad # optimizer # shard # stages # recompute # fuse # precision # overlap # memory " ] ||
  stop "stages: $(grep '^# ' all.txt)"
stage() { awk -v name="# $1" '/^# / { on = $0 == name } on' all.txt; }
has() { stage "$1" | grep -qF -e "$2" || stop "$1 has no $2"; }
lacks() { ! stage "$1" | grep -qF -e "$2" || stop "$1 has $2"; }
has graph "= linear("
lacks graph "linear_grad_weight"
has grad "linear_grad_weight"
lacks grad "adamw"
has optimizer "adamw"
lacks optimizer "all_reduce"
has shard " tp:S"
has memory ' by "'
has memory "alive at once"
"$PLAIT" plan $common --dump memory 2>/dev/null | grep -c '^# ' | grep -qx 1 || stop "more than was asked for"

refuses 64 "--dump everything: no such stage" "$PLAIT" plan $common --dump everything
refuses 64 "--output_dir is missing" "$PLAIT" plan $common --resume_from_checkpoint auto

# ---- pipelines: each rank's stages, the schedule, and the schedule as a trace
stages="--pipeline_parallel_size 2 --pipeline_schedule zero_bubble --per_device_train_batch_size 4 --gradient_accumulation_steps 4"
"$PLAIT" plan $common $stages --dump all >all.txt 2>/dev/null
for rank in 0 1; do
  grep -qx "# stages of pipeline rank $rank" all.txt || stop "no stages of rank $rank"
done
[ "$(grep -cx '# shard' all.txt)" = 1 ] || stop "the common graph is not shown once"
stage "stages of pipeline rank 0" | grep -q ' = send(' || stop "nothing is sent"
stage "stages of pipeline rank 1" | grep -q ' = receive(' || stop "nothing is received"
stage "schedule" | grep -qx '1: L0 <0 F0 I0 >g0 L1 <1 F1 I1 >g1 W0 L2 <2 F2 I2 >g2 W1 L3 <3 F3 I3 >g3 W2 W3 R S' ||
  stop "schedule: $(stage schedule)"
stage "schedule" | grep -qE '^by the cost of its nodes a step takes [0-9.e-]+ s, [0-9.]+ % of it idle' || stop "no time"
"$PLAIT" plan $common $stages --dump trace 2>/dev/null >trace.json
"$PLAIT" plan $common --dump trace 2>err | cmp - /dev/null || stop "a trace without a pipeline"
grep -q 'note: --dump: .* no schedule' err || stop "silent about it: $(cat err)"
"$PLAIT" plan $common $stages --dump trace schedule --json 2>/dev/null | tr -d ' \n' >both.json
grep -qF "\"trace\":$(tr -d ' \n' <trace.json)}" both.json && grep -q '"dump":"#schedule' both.json || stop "$(cat both.json)"
refuses 78 "the model has 2 (nearest: pipeline_chunks 1)" "$PLAIT" plan $common --pipeline_parallel_size 2 --pipeline_chunks 2
[ "$(head -c 2 trace.json | tr -d '\n')" = "[" ] && [ "$(grep -c '"name":"FORWARD' trace.json)" = 8 ] || stop "trace: $(head -3 trace.json)"

"$PLAIT" plan $common $stages --json 2>/dev/null | tr -d ' \n' | sed 's/.*"stages":\(\[[^]]*\]\).*/\1/' >stages.json
echo '[{"rank":0,"embeddings":true,"first_layer":0,"layer_count":1,"head":false,"recompute":"selective"},'\
'{"rank":1,"embeddings":false,"first_layer":1,"layer_count":1,"head":true,"recompute":"selective"}]' >expected.json
[ "$(cat stages.json)" = "$(cat expected.json)" ] || stop "stages: $(cat stages.json)"
"$PLAIT" plan $common --json 2>/dev/null | grep -q '"stages": \[\]' || stop "stages of one rank"

# ---- what is left open is found, and said: what was chosen, what it takes, and why the others were not
open="--world_size 4 --global_batch_size 16"
prints "global batch: 16 samples" "$PLAIT" plan $common $open
for line in "^layout: " "^memory of a rank: .* of .*: parameters " "^step: .* s predicted: computing " "^chosen among [0-9]* layouts in " "% slower: "; do
  "$PLAIT" plan $common $open 2>/dev/null | grep -q "$line" || stop "no $line"
done
"$PLAIT" plan $common $open --json 2>/dev/null >plan.json
number() { sed -n "s/^ *\"$1\": \([0-9.e+-]*\),\?$/\1/p" plan.json | head -1; }
[ $(($(number data_parallel_size) * $(number tensor_parallel_size) * $(number pipeline_parallel_size))) = 4 ] ||
  stop "sizes: $(cat plan.json)"
[ "$(number global_batch_size)" = 16 ] && [ "$(grep -c '"why": "' plan.json)" -gt 3 ] || stop "plan.json: $(cat plan.json)"
awk -v a="$(number needed)" -v b="$(number available)" -v c="$(number step_seconds)" 'BEGIN { exit !(a > 0 && a <= b && c > 0) }' ||
  stop "figures: $(cat plan.json)"
# The same sizes under other names give the same plan; each that is given stays.
for given in "--data_parallel_size 4" "--tensor_parallel_size 2 --pipeline_parallel_size 2" "--pipeline_parallel_size 2 --pipeline_schedule 1f1b"; do
  "$PLAIT" plan $common $open $given 2>/dev/null >given.txt || stop "$given"
done
grep -q "^layout: .*pipeline 2, 1f1b, " given.txt || stop "given: $(cat given.txt)"
prints "layout: data 4, 2 microbatches of 8" "$PLAIT" plan $common --world_size 4 --per_device_train_batch_size 8 --gradient_accumulation_steps 2
prints "global batch: 64 samples" "$PLAIT" plan $common --world_size 4 --gradient_accumulation_steps 2
refuses 71 "not enough memory for this run (found " "$PLAIT" plan $common --world_size 2 --device_memory 400KB
refuses 78 "--global_batch_size leaves ranks without a sample (found 3, expected at least 4" "$PLAIT" plan $common \
  --data_parallel_size 4 --global_batch_size 3

# ---- without data a text is assumed; machines as they are measured or described
prints "layout: data 8, 1 microbatch of 1, ZeRO 3" "$PLAIT" plan --config_name huggyllama/llama-13b --block_size 2048 --world_size 8 \
  --device_memory 80GB --per_device_train_batch_size 1 --tensor_parallel_size 1 --pipeline_parallel_size 1
refuses 71 "not enough memory for this run (found " "$PLAIT" plan --config_name huggyllama/llama-13b --block_size 2048 --world_size 8 \
  --device_memory 30GB --per_device_train_batch_size 8 --tensor_parallel_size 1 --pipeline_parallel_size 1
"$PLAIT" plan --probe --world_size 2 --threads 1 >cluster.json 2>/dev/null || stop "no probe"
grep -q '"ranks_per_host": 2,' cluster.json && grep -q '"link_bytes_per_second": [1-9]' cluster.json || stop "$(cat cluster.json)"
prints "figures: a rank computes " "$PLAIT" plan $common --cluster cluster.json
"$PLAIT" plan $common --cluster cluster.json --json 2>/dev/null | grep -q '"data_parallel_size": 2' || stop "the cluster has 2 ranks"
# Links between hosts a thousand times slower than within: what is copied most lies on one host.
echo '{"hosts": 2, "ranks_per_host": 2, "memory_per_rank": 1e9, "flops_per_second": 1e12, "memory_bytes_per_second": 1e12,
  "link_bytes_per_second": 1e11, "message_seconds": 1e-7, "host_link_bytes_per_second": 1e6, "host_message_seconds": 1e-3}' >slow.json
"$PLAIT" plan $common --cluster slow.json --global_batch_size 16 2>/dev/null | grep '^layout: ' >slow.txt
grep -q 'pipeline' slow.txt || stop "over slow links: $(cat slow.txt)"
prints " of 500 MB: " "$PLAIT" plan $common --cluster slow.json --device_memory 0.5
echo '{"hosts": 2, "ranks": 3}' >bad.json
refuses 65 'bad.json:1:14: $.ranks: unknown key (expected hosts, ' "$PLAIT" plan $common --cluster bad.json
echo '{"flops_per_second": -1}' >bad.json
refuses 65 "out of range (found -1, expected a number from 1e-15 to 1e+30)" "$PLAIT" plan $common --cluster bad.json
echo '{"hosts": 1000000, "ranks_per_host": 1000000}' >bad.json
refuses 78 "bad.json: hosts times ranks_per_host is too large (found 1000000000000, expected at most 1048576)" \
  "$PLAIT" plan $common --cluster bad.json
refuses 66 "none.json" "$PLAIT" plan $common --cluster none.json

# ---- what is asked for and changes nothing is told
says "note: --zero_stage: the layout found has one copy" "$PLAIT" plan $common --world_size 2 --tensor_parallel_size 2 --zero_stage 3
says "note: --verify_steps: changes nothing" "$PLAIT" plan $common --verify_steps 2
echo '[{"pattern": "wte", "placement": ["tp", null]}]' >rules.json
says 'note: --partition_rules: "tp" deals nothing out, as that axis has one rank' \
  "$PLAIT" plan $common --world_size 2 --data_parallel_size 2 --partition_rules rules.json

# ---- steps on the layout are those of one rank
prints "verified: 2 steps as on one rank" "$PLAIT" plan $common --data_parallel_size 2 --zero_stage 1 --verify
says "step 1: loss " "$PLAIT" plan $common --tensor_parallel_size 2 --verify --verify_steps 1
prints "verified: 2 steps as on one rank" "$PLAIT" plan $common --pipeline_parallel_size 2 --verify --dtype bfloat16
refuses 64 "--verify_steps: more than the run has" "$PLAIT" plan $common --max_steps 2 --verify --verify_steps 3
