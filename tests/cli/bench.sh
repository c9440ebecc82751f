# plait bench: a whole step of each family with its own objective, in both dtypes, and samples with padding.
. "$TESTS/lib/cli.sh"

config() { # config DIR PRESET OVERRIDES
  "$PLAIT" config --config_name "$2" --config_overrides "$3" --output_dir "$1" --log_level warning
}
field() { sed -n "s/.*\"$1\": \"\{0,1\}\([^\",}]*\).*/\1/p" out.json; }
bench() { "$PLAIT" bench --steps 1 --threads 1 --json "$@" >out.json; }
expect() { # expect KEY VALUE
  [ "$(field "$1")" = "$2" ] || stop "$1 is $(field "$1") (expected $2): $(cat out.json)"
}
# A loss of random words: that of chance, about log(vocabulary) = log(100) = 4.6.
chance() { awk "BEGIN { exit !($(field loss) > 3.5 && $(field loss) < 7) }" || stop "loss: $(cat out.json)"; }

config g gpt2 n_embd=32,n_layer=1,n_head=2,n_positions=64,vocab_size=100
config r roberta-base hidden_size=32,num_hidden_layers=1,num_attention_heads=2,intermediate_size=48,vocab_size=100
config t t5-small d_model=32,num_layers=1,num_decoder_layers=2,num_heads=2,d_kv=16,d_ff=48,vocab_size=100

for dtype in float32 bfloat16; do
  bench --model g --batch 3 --seq 40 --dtype $dtype
  expect objective clm; expect tokens 120; expect labels 117; expect dtype $dtype; chance
  bench --model r --batch 8 --seq 50 --dtype $dtype
  expect objective mlm; expect tokens 400; chance
  labels=$(field labels)
  [ "$labels" -gt 30 ] && [ "$labels" -lt 90 ] || stop "$labels of 400 rows are labelled"
  bench --model t --batch 2 --seq 64 --dtype $dtype # 64 tokens of the encoder go with 14 of the decoder
  expect objective span_corruption; expect encoder_tokens 128; expect tokens 28; expect labels 28
done

bench --model t --batch 2 --seq 20 --objective seq2seq --target_seq 7
expect encoder_tokens 40; expect tokens 14; expect labels 14
bench --model g --batch 5 --seq 16 --objective classification
expect labels 5
mkdir n && sed '1s/{/{"num_labels": 1,/' r/config.json >n/config.json # a number in place of a class
bench --model n --batch 5 --seq 16 --objective classification
expect labels 5

# Half of the rows are padding: half as many are computed.
bench --model r --batch 4 --seq 64 --pad_fraction 0.5
expect tokens 128
bench --model t --batch 1 --seq 64 --pad_fraction 0.5
[ "$(field encoder_tokens)" -le 33 ] || stop "padding of the encoder: $(cat out.json)"

refuses 64 "--seq: longer than the model's positions (found 65, expected at most 64)" "$PLAIT" bench --model g --seq 65
refuses 78 "--objective clm: a t5 model does not go from what is before to what comes" "$PLAIT" bench --model t --objective clm
refuses 64 "--seq: 1 tokens cannot be cut into spans" "$PLAIT" bench --model t --seq 1
