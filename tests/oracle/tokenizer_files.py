"""Goldens for tokenizers read from the files of their class, as transformers' AutoTokenizer reads them:
SentencePiece models, vocab.txt, vocab.json + merges.txt, and tokenizer.json beside a tokenizer_class that puts
the pipeline together itself. Needs the package sentencepiece.

tests/golden/tokenizer_files/ is laid out as tests/golden/tokenizer_models is (tokenizer_models.py).
"""
import io
import json
import sys
import tempfile

import sentencepiece
from tokenizers import BertWordPieceTokenizer, Tokenizer
from transformers import AutoTokenizer

import tokenizer as goldens
from common import GOLDEN, dump, fresh, write_lines
from lines import LINES

OUT = GOLDEN / "tokenizer_files"
TEXTS = [str(goldens.OUT / f"{name}.txt") for name in ("english", "japanese", "mixed")]
# What a normalizer that is trained into a .model does: some rules, so that its table stays small.
RULES = ["FF21\t41", "FF22 FF23\t42 43", "E9\t65", "E9 301\t65 65", "A0\t20", "200B\t", "9\t20", "FB01\t66 69",
         "3A9\t3C9", "1F600\t3A 29", "3000\t20"]


def sp_model(**options):
    out = io.BytesIO()
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        rules.write("\n".join(RULES) + "\n")
        rules.flush()
        if options.pop("rules", False):
            options["normalization_rule_tsv"] = rules.name
        else:
            options["normalization_rule_name"] = "identity"
        sentencepiece.SentencePieceTrainer.Train(
            sentence_iterator=(line for path in TEXTS for line in open(path, encoding="utf-8")),
            model_writer=out, minloglevel=2, character_coverage=0.98, **options)
    return out.getvalue()


def save(name, files, config=None, model_type=None, decode=False):
    path = fresh(OUT / "encode" / name)
    for file, content in files.items():
        (path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    if config is not None:
        (path / "tokenizer_config.json").write_text(json.dumps(config) + "\n")
    if model_type:
        (path / "config.json").write_text(json.dumps({"model_type": model_type}) + "\n")
    opened = AutoTokenizer.from_pretrained(str(path))
    backend = opened.backend_tokenizer
    goldens.write_ids(path, Tokenizer.from_str(backend.to_str()), decode)
    for line in LINES:
        assert opened.encode(line) == backend.encode(line).ids
    print(f"{name:20s} {type(opened).__name__:18s} {len(opened):6d}")


def write_bert():
    t = BertWordPieceTokenizer(lowercase=False)
    t.train(TEXTS, vocab_size=1200, limit_alphabet=300, show_progress=False)
    vocab = t.get_vocab()
    files = {"vocab.txt": "".join(w + "\n" for w in sorted(vocab, key=vocab.get))}
    save("bert", files, dict(tokenizer_class="BertTokenizer"), decode=True)
    save("bert_model_type", files, model_type="bert")
    save("bert_cased", files, dict(tokenizer_class="BertTokenizerFast", do_lower_case=False))
    save("bert_options", files, dict(tokenizer_class="BertTokenizer", do_lower_case=True, strip_accents=False,
                                     tokenize_chinese_chars=False, model_max_length=512))
    save("bert_accents", files, dict(tokenizer_class="BertTokenizer", do_lower_case=False, strip_accents=True))
    save("bert_json", {"tokenizer.json": t.to_str()}, dict(tokenizer_class="BertTokenizer"))


def write_roberta():
    with tempfile.TemporaryDirectory() as folder:
        Tokenizer.from_file(str(goldens.OUT / "trained/mixed_700.json")).model.save(folder)
        files = {f: open(f"{folder}/{f}", "rb").read() for f in ("vocab.json", "merges.txt")}
    save("roberta", files, dict(tokenizer_class="RobertaTokenizer"), decode=True)
    save("roberta_prefix", files, dict(tokenizer_class="RobertaTokenizer", add_prefix_space=True))
    save("gpt2_bos", files, dict(tokenizer_class="GPT2Tokenizer", add_bos_token=True, bos_token="<s>"))
    save("gpt_neo", files, model_type="gpt_neo")


def write_llama():
    model = sp_model(model_type="bpe", vocab_size=900, byte_fallback=True, remove_extra_whitespaces=False,
                     user_defined_symbols=["<usr>", "two words"], control_symbols=["<ctl>"])
    files = {"tokenizer.model": model}
    llama = dict(tokenizer_class="LlamaTokenizer")
    save("llama", files, llama, decode=True)
    save("llama_fast", files, dict(llama, tokenizer_class="LlamaTokenizerFast", add_bos_token=True))
    save("llama_legacy", files, dict(llama, legacy=True, add_bos_token=True, add_eos_token=True), decode=True)
    save("llama_no_space", files, dict(llama, add_prefix_space=False, pad_token="<pad>"), decode=True)
    save("llama_extra", files, dict(llama, additional_special_tokens=["<x>", "<usr>"]))
    save("llama_model_type", files, model_type="llama")
    t = AutoTokenizer.from_pretrained(str(OUT / "encode" / "llama_fast")).backend_tokenizer
    save("llama_json", {"tokenizer.json": t.to_str()}, dict(llama, legacy=True, add_bos_token=False))
    plain = sp_model(model_type="bpe", vocab_size=900, rules=True)
    save("llama_no_bytes", {"tokenizer.model": plain}, llama)
    save("bpe_rules", {"tokenizer.model": plain}, dict(tokenizer_class="PreTrainedTokenizerFast"), decode=True)


def write_t5():
    ids = dict(pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    model = sp_model(model_type="unigram", vocab_size=700, rules=True, **ids)
    files = {"spiece.model": model}
    t5 = dict(tokenizer_class="T5Tokenizer")
    save("t5", files, dict(t5, extra_ids=3), decode=True)
    save("t5_model_type", files, model_type="t5")
    save("t5_named", files, dict(t5, extra_ids=3, additional_special_tokens=["<x>", "<extra_id_1>"]))
    save("t5_none", files, dict(t5, tokenizer_class="T5TokenizerFast", extra_ids=0))
    t = AutoTokenizer.from_pretrained(str(OUT / "encode" / "t5")).backend_tokenizer
    save("t5_json", {"tokenizer.json": t.to_str()}, dict(t5, extra_ids=5))
    save("t5_json_plain", {"tokenizer.json": t.to_str()}, dict(tokenizer_class="PreTrainedTokenizerFast"))
    other = sp_model(model_type="unigram", vocab_size=900, rules=True, byte_fallback=True,
                     user_defined_symbols=["<usr>"])
    save("unigram_bytes", {"tokenizer.model": other}, model_type="umt5", decode=True)
    save("t5_other", {"spiece.model": other}, dict(t5, extra_ids=2))


def main():
    fresh(OUT)
    write_bert()
    write_roberta()
    write_llama()
    write_t5()
    write_lines(OUT / "encoders.txt", sorted(p.name for p in (OUT / "encode").iterdir()))


if __name__ == "__main__":
    sys.exit(main())
