# What people really get wrong: each mistake gets one sentence that helps, and leaves nothing behind.
. "$TESTS/lib/cli.sh"
export XDG_CACHE_HOME=$PWD/cache

awk -v seed=1 -v bytes=8000 -f "$TESTS/../script/demo-text.awk" >text.txt
"$PLAIT" tokenizer train --files text.txt --vocab_size 300 --output_dir small --log_level warning
"$PLAIT" config --config_name gpt2 --tokenizer_name small --output_dir small --log_level warning \
  --config_overrides n_embd=16,n_layer=1,n_head=2,n_positions=32
"$PLAIT" init --config_name small --output_dir model --log_level warning
cp -r model good

# An error page of a web server saved under a file's name.
page='<!DOCTYPE html><html><body>404 Not Found</body></html>'
mkdir page && echo "$page" >page/tokenizer.json
refuses 65 'page/tokenizer.json:1:1' "$PLAIT" tokenizer encode --tokenizer_name page --text x
grep -q '^hint: .*error page' refused.err || stop "no hint: $(cat refused.err)"
echo "$page" >model/model.safetensors
refuses 65 'looks like an HTML page' "$PLAIT" generate --model_name_or_path model --prompt x

# Half a download, nothing of it, something else in its place.
head -c 9000 good/model.safetensors >model/model.safetensors
refuses 65 'truncated' "$PLAIT" generate --model_name_or_path model --prompt x
head -c 5 good/model.safetensors >model/model.safetensors
refuses 65 'truncated' "$PLAIT" generate --model_name_or_path model --prompt x
rm model/model.safetensors
refuses 66 'no weights' "$PLAIT" generate --model_name_or_path model --prompt x
mkdir model/model.safetensors
refuses 66 'not a regular file' "$PLAIT" generate --model_name_or_path model --prompt x

# A disk that is full, and a reader that has seen enough.
refuses 74 'No space left' "$PLAIT" generate --model_name_or_path good --prompt x --output /dev/full
code=0; "$PLAIT" generate --model_name_or_path good --prompt x >/dev/full 2>full.err || code=$?
[ $code = 74 ] || stop "a full disk gives $code: $(cat full.err)"
code=0; "$PLAIT" --help >/dev/full 2>full.err || code=$?
[ $code = 74 ] || stop "help to a full disk gives $code: $(cat full.err)"

# --do_eval alone only evaluates: a user who wanted to train is told so.
refuses 64 'nothing to evaluate without weights' "$PLAIT" train --config_name good --tokenizer_name small \
  --train_file text.txt --validation_file text.txt --do_eval --output_dir out
grep -q '^hint: .*--do_train' refused.err || stop "no hint: $(cat refused.err)"
says '--do_train too to train' "$PLAIT" train --model_name_or_path good --tokenizer_name small \
  --train_file text.txt --validation_file text.txt --do_eval --block_size 16 --output_dir out

# A tokenizer with an id more than the model has rows, though the text may not use it: said before anything is read.
"$PLAIT" init --model_name_or_path good --vocab_size 299 --output_dir narrow --log_level warning
train="--train_file text.txt --block_size 16 --max_steps 1 --output_dir never --log_level warning"
refuses 65 'small/tokenizer.json: the tokenizer has more ids than the model has rows (found 300, expected at most 299' \
  "$PLAIT" train --model_name_or_path narrow --tokenizer_name small $train
grep -q '^hint: plait init --model_name_or_path narrow --vocab_size 300 ' refused.err || stop "no hint: $(cat refused.err)"
refuses 65 'narrow/tokenizer.json: the tokenizer has more ids' "$PLAIT" eval --model_name_or_path narrow \
  --validation_file text.txt --block_size 16
refuses 65 'the tokenizer has more ids' "$PLAIT" train --config_name narrow --tokenizer_name small $train
grep -q '^hint: --config_overrides vocab_size=300' refused.err || stop "no hint: $(cat refused.err)"
[ ! -e never ] || [ -z "$(ls -A never)" ] || stop "something was left behind: $(ls -A never)"

# A pickle that would run something.
mkdir pickled && cp good/config.json good/tokenizer.json pickled
cp "$GOLDEN/weights/refused/system.bin" pickled/pytorch_model.bin
refuses 65 'global "posix.system" is refused' "$PLAIT" train --model_name_or_path pickled $train
[ ! -e executed ] || stop "the pickle was executed"
