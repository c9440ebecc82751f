"""Goldens for `plait forward` on BERT and RoBERTa with each head, and on decoders' heads besides the causal one.

Each tests/golden/<family>/<case>/ is a model directory (config.json, model.safetensors; weights shared between
cases are symbolic links) with inputs.safetensors (names of transformers' forward) and expected.safetensors
(logits, or hidden_states and pooler_output; loss of shape [1], grad.<parameter>). cases.txt lists a family's
cases. Values are computed in float64 with attn_implementation="sdpa", and checked against float32 runs of
"eager" before they are written.
"""
import json
import sys

import torch
import transformers
from safetensors.torch import load_file, save_file

from common import GOLDEN, fresh, generator, link, randomize, write_lines

OFF = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
SMALL = dict(vocab_size=61, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
             max_position_embeddings=28, **OFF)
LABELS3 = dict(num_labels=3)


def tokens(case, config, *shape):
    """No padding ids among them."""
    ids = torch.randint(0, config.vocab_size - 1, shape, generator=generator(f"ids/{case}"))
    return ids + (ids >= config.pad_token_id) if config.pad_token_id is not None else ids


def numbers(case, *shape):
    return torch.randn(shape, generator=generator(f"numbers/{case}"))


def masked_inputs(case, config, batch=3, length=17):
    ids = tokens(case, config, batch, length)
    labels = tokens(f"{case}/labels", config, batch, length)
    labels[torch.rand(ids.shape, generator=generator(f"drop/{case}")) > 0.3] = -100
    types = (torch.arange(length) >= length // 2).long().expand(batch, -1).clone()
    inputs = dict(input_ids=ids, labels=labels)
    if config.type_vocab_size > 1:
        inputs["token_type_ids"] = types
    return inputs


def holes(inputs, pad):
    """Padding at the end, at the beginning and in the middle, one row each."""
    mask = torch.ones_like(inputs["input_ids"])
    mask[0, -5:] = 0
    mask[1, :3] = 0
    mask[2, 6:9] = 0
    out = dict(inputs, attention_mask=mask)
    out["input_ids"] = inputs["input_ids"].masked_fill(mask == 0, pad)
    out["labels"] = inputs["labels"].masked_fill(mask == 0, -100)
    return out


def class_inputs(case, config, labels, pad=True):
    inputs = masked_inputs(case, config, 4, 11)
    mask = (torch.arange(11) < torch.tensor([[11], [7], [2], [9]])).long()
    if pad:
        inputs.update(attention_mask=mask, input_ids=inputs["input_ids"].masked_fill(mask == 0, config.pad_token_id))
    inputs["labels"] = labels
    return inputs


def run(model, inputs, dtype):
    model = model.to(dtype).eval()
    args = {k: v.to(dtype) if v.is_floating_point() else v for k, v in inputs.items()}
    model.zero_grad()
    got = model(**args)
    if not hasattr(got, "logits"):
        out = {"hidden_states": got.last_hidden_state}
        if getattr(got, "pooler_output", None) is not None:
            out["pooler_output"] = got.pooler_output
        return {k: v.detach() for k, v in out.items()}
    out = {"logits": got.logits}
    if "labels" in inputs:
        got.loss.backward()
        out["loss"] = got.loss.reshape(1)
        out.update({f"grad.{n}": p.grad for n, p in model.named_parameters() if p.grad is not None})
    return {k: v.detach().clone() for k, v in out.items()}


def check(case, want, got):
    total = torch.stack([v.norm() for k, v in want.items() if k.startswith("grad.")] or [torch.ones(1)]).norm()
    for name, value in want.items():
        floor = max(value.norm().item(), 1e-4 * total.item() if name.startswith("grad.") else 0)
        if not value.isnan().all():
            assert (got[name].double() - value).norm().item() <= (1e-3 if name.startswith("grad.") else 1e-5) * floor, (case, name)


class Family:
    def __init__(self, name, prefix):
        self.out, self.prefix, self.cases = GOLDEN / name, prefix, []
        self.name = name

    def classes(self, suffix):
        return getattr(transformers, f"{self.prefix}{suffix}")

    def config(self, **keys):
        return getattr(transformers, f"{self.prefix}Config")(**keys)

    def write(self, case, suffix, config, inputs, weights=None, same=None, change=None, options={}):
        """weights: the case that has them; same: it must give what that case gives; change(path): another form
        of the files; options: more arguments of the class."""
        path = fresh(self.out / case)
        cls = self.classes(suffix)
        config.architectures, config.dtype = [cls.__name__], torch.float32
        if weights:
            model = cls.from_pretrained(self.out / weights, config=config, dtype=torch.float32)
            config.save_pretrained(path)
            link(path / "model.safetensors", self.out / weights / "model.safetensors")
        else:
            model = cls(config, **options)
            randomize(model, f"{self.name}/{case}")
            model.save_pretrained(path)
            (path / "generation_config.json").unlink(missing_ok=True)
        want = run(model, inputs, torch.float64)
        single = cls._from_config(config, attn_implementation="eager", **options)
        single.load_state_dict({k: v.float() for k, v in model.state_dict().items()})
        check(case, want, run(single, inputs, torch.float32))
        if change:
            change(path)
        elif same:
            check(case, want, load_file(self.out / same / "expected.safetensors"))
        for f in path.glob("*.safetensors"):
            if not f.is_symlink():
                f.chmod(0o644)
        save_file({k: v.contiguous() for k, v in inputs.items()}, path / "inputs.safetensors")
        save_file({k: v.float().contiguous().clone() for k, v in want.items()}, path / "expected.safetensors")
        for f in ("inputs.safetensors", "expected.safetensors"):
            (path / f).chmod(0o644)
        self.cases.append(case)
        print(f"{self.name}/{case:24s} loss {want['loss'].item() if 'loss' in want else float('nan'):8.4f}")
        return want

    def finish(self, extra=()):
        write_lines(self.out / "cases.txt", [*self.cases, *extra])


def moved(a, b):
    return (a["logits"] - b["logits"]).norm() / b["logits"].norm()


def old_names(path):
    """As the first conversions from TensorFlow were published: LayerNorm.gamma and .beta, a buffer of positions."""
    file = path / "model.safetensors"
    tensors = load_file(file)
    file.unlink()
    renamed = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v.clone()
               for k, v in tensors.items()}
    renamed["bert.embeddings.position_ids"] = torch.arange(28)[None]
    renamed["cls.seq_relationship.weight"] = torch.zeros(2, 24)
    save_file(renamed, file, metadata={"format": "pt"})


def published_config(path):
    """config.json with keys of earlier transformers, and BertForPreTraining's name."""
    config = json.loads((path / "config.json").read_text())
    config.update(architectures=["BertForPreTraining"], position_embedding_type="absolute", torch_dtype="float32",
                  gradient_checkpointing=False, transformers_version="4.6.0.dev0", hidden_dropout_prob=0.1)
    del config["dtype"]
    (path / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def variants(f, plain, inputs):
    """Keys that change the function, on the weights of `plain`."""
    base = load_file(f.out / "plain" / "expected.safetensors")
    for name, keys in dict(act_relu=dict(hidden_act="relu"), act_gelu_new=dict(hidden_act="gelu_new"),
                           eps=dict(layer_norm_eps=0.1)).items():
        assert moved(f.write(name, "ForMaskedLM", f.config(**{**plain, **keys}), inputs, "plain"), base) > 1e-4, name


def classifiers(f, plain, first="class"):
    def config(**keys):
        return f.config(**plain, **keys)
    c = config(**LABELS3)
    classes = torch.tensor([2, 0, 1, 2])
    f.write(first, "ForSequenceClassification", c, class_inputs("class", c, classes))
    f.write(f"{first}_ignored", "ForSequenceClassification", config(**LABELS3),
            class_inputs("class", c, torch.tensor([-100, 0, -100, 2])), first)
    if f.name == "bert":
        f.write(f"{first}_ignored_all", "ForSequenceClassification", config(**LABELS3),
                class_inputs("class", c, torch.full((4,), -100)), first)
    f.write(f"{first}_several", "ForSequenceClassification", config(**LABELS3),
            class_inputs("class", c, (numbers("several", 4, 3) > 0).float()), first)
    f.write(f"{first}_regression3", "ForSequenceClassification", config(problem_type="regression", **LABELS3),
            class_inputs("class", c, numbers("regression3", 4, 3)), first)
    c = config(num_labels=1)
    f.write(f"{first}_regression", "ForSequenceClassification", c, class_inputs("one", c, numbers("one", 4)))
    inputs = class_inputs("none", c, None)
    del inputs["labels"]
    f.write(f"{first}_unlabelled", "ForSequenceClassification", config(num_labels=1), inputs, f"{first}_regression")


def decoders(f, plain, pad, suffix):
    """The weights of `plain` with rows that see what is before them only; and with each class what is_decoder does not
    fit."""
    inputs = masked_inputs("plain", f.config(**plain))
    del inputs["labels"]
    inputs["labels"] = inputs["input_ids"].clone()
    inputs["labels"][1, 3:8] = -100
    mask = torch.ones_like(inputs["input_ids"])
    mask[0, -5:] = 0
    mask[2, 6:9] = 0
    padded = dict(inputs, attention_mask=mask, input_ids=inputs["input_ids"].masked_fill(mask == 0, pad))
    padded["labels"] = inputs["labels"].masked_fill(mask == 0, -100)
    f.write("causal", suffix, f.config(**plain, is_decoder=True), inputs, "plain")
    f.write("causal_padded", suffix, f.config(**plain, is_decoder=True), padded, "plain")
    f.write("causal_not", suffix, f.config(**plain), padded, "plain")
    f.write("causal_untied", suffix, f.config(**plain, is_decoder=True, tie_word_embeddings=False), inputs, "untied")
    f.write("masked_causal", "ForMaskedLM", f.config(**plain, is_decoder=True), padded, "plain")
    c = f.config(**plain, is_decoder=True, **LABELS3)
    f.write("class_causal", "ForSequenceClassification", c, class_inputs("class", c, torch.tensor([2, 0, 1, 2])), "class")


def encoder_family(f, plain, pad):
    c = f.config(**plain)
    inputs = masked_inputs("plain", c)
    f.write("plain", "ForMaskedLM", c, inputs)
    variants(f, plain, inputs)
    f.write("padded", "ForMaskedLM", f.config(**plain), holes(inputs, pad), "plain")
    positions = torch.randint(0, 28, inputs["input_ids"].shape, generator=generator("positions"))
    f.write("position_ids", "ForMaskedLM", f.config(**plain), dict(inputs, position_ids=positions), "plain")
    f.write("untied", "ForMaskedLM", f.config(**plain, tie_word_embeddings=False), inputs)
    unlabelled = {k: v for k, v in holes(inputs, pad).items() if k != "labels"}
    f.write("unlabelled", "ForMaskedLM", f.config(**plain), unlabelled, "plain")
    f.write("base", "Model", f.config(**plain), unlabelled)
    f.write("base_no_pooler", "Model", f.config(**plain), unlabelled, options=dict(add_pooling_layer=False))
    none = dict(inputs, labels=torch.full_like(inputs["labels"], -100))
    if f.name == "bert":
        f.write("ignored_all", "ForMaskedLM", f.config(**plain), none, "plain")
    classifiers(f, plain)


WORDS = ("the a cat dog house tree runs sits sees small big red on in under with and or not is was good bad old new "
         "day night sun moon water fire one two three ##s ##ing ##ed ##er . , ! ? ' 1 2 3 b c d e f g h i j k").split()
PROMPTS = ["the cat {} on the tree .", "a {} dog runs under the {} , and the cat sits", "{}", "the sun is {} !"]


def fillings(f, specials):
    """fill-mask of transformers with a small WordPiece tokenizer: fill/ is the model directory, fill.jsonl has the
    pipeline's answer to each line of prompts.txt. specials: pad, unk, cls, sep and mask by their ids."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    pad, unk, cls, sep, mask = specials
    vocab = {t: i for i, t in enumerate([*sorted(specials, key=specials.get), *WORDS])}
    assert len(vocab) == 61 and all(vocab[t] == i for t, i in specials.items()), len(vocab)
    t = Tokenizer(models.WordPiece(vocab, unk_token=unk))
    t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    t.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}", special_tokens=[(cls, vocab[cls]), (sep, vocab[sep])])
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=t, pad_token=pad, unk_token=unk, cls_token=cls,
                                                sep_token=sep, mask_token=mask)
    path = fresh(f.out / "fill")
    fast.save_pretrained(path)
    for name in ("config.json", "model.safetensors"):
        link(path / name, f.out / "plain" / name)
    pipe = transformers.pipeline("fill-mask", model=f.classes("ForMaskedLM").from_pretrained(path), tokenizer=fast)
    prompts = [p.replace("{}", mask) for p in PROMPTS]
    write_lines(path / "prompts.txt", prompts)
    write_lines(path / "fill.jsonl", [json.dumps(pipe(p, top_k=4)) for p in prompts])


def bert():
    f = Family("bert", "Bert")
    encoder_family(f, SMALL, 0)
    decoders(f, SMALL, 0, "LMHeadModel")
    inputs = masked_inputs("plain", f.config(**SMALL))
    c = f.config(**dict(SMALL, type_vocab_size=1, pad_token_id=None, num_attention_heads=2))
    f.write("one_type", "ForMaskedLM", c, masked_inputs("one_type", c))
    f.write("old_names", "ForMaskedLM", f.config(**SMALL), inputs, "plain", change=lambda p: (
        (p / "model.safetensors").unlink(),
        save_file(load_file(f.out / "plain" / "model.safetensors"), p / "model.safetensors"), old_names(p)))
    f.write("published", "ForMaskedLM", f.config(**SMALL), inputs, "plain", change=published_config)
    fillings(f, {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4})
    f.finish()


def roberta():
    f = Family("roberta", "Roberta")
    plain = dict(SMALL, type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5)
    encoder_family(f, plain, 1)
    decoders(f, plain, 1, "ForCausalLM")
    c = f.config(**dict(SMALL, type_vocab_size=2, pad_token_id=4))
    f.write("pad4", "ForMaskedLM", c, holes(masked_inputs("pad4", c), 4))
    fillings(f, {"<pad>": 1, "<unk>": 3, "<s>": 0, "</s>": 2, "<mask>": 4})
    f.finish()


def decoder_heads(name, prefix, **plain):
    f = Family(name, prefix)
    plain.update(vocab_size=61, pad_token_id=5, bos_token_id=60, eos_token_id=60)
    getattr(transformers, f"{prefix}Config").type_vocab_size = 1
    classifiers(f, plain)
    c = f.config(**dict(plain, pad_token_id=None), **LABELS3)
    f.write("class_one", "ForSequenceClassification", c,
            dict(input_ids=tokens("class_one", c, 1, 9), labels=torch.tensor([1])), "class")
    f.write("base", "Model", f.config(**plain), dict(input_ids=tokens("base", c, 2, 9)))
    f.finish()


def main():
    bert()
    roberta()
    decoder_heads("gpt2_heads", "GPT2", n_positions=28, n_embd=24, n_layer=2, n_head=3, resid_pdrop=0.0,
                  embd_pdrop=0.0, attn_pdrop=0.0)
    decoder_heads("gpt_neo_heads", "GPTNeo", max_position_embeddings=28, hidden_size=24, num_layers=2, num_heads=3,
                  intermediate_size=40, window_size=4, attention_types=[[["global", "local"], 1]])
    decoder_heads("llama_heads", "Llama", max_position_embeddings=28, hidden_size=24, intermediate_size=32,
                  num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=3)


if __name__ == "__main__":
    sys.exit(main())
