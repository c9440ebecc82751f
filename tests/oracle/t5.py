"""Goldens for `plait forward` on T5: logits (or hidden states), loss and every gradient against transformers.

Each tests/golden/t5/<case>/ is a model directory (config.json, model.safetensors; weights shared between cases
are symbolic links) with inputs.safetensors (names of transformers' forward) and expected.safetensors. Values
are computed in float64 by sdpa, transformers' default; float32 runs of sdpa and eager are checked to agree.
"""
import json
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import T5Config, T5EncoderModel, T5ForConditionalGeneration, T5ForSequenceClassification, T5Model

from common import GOLDEN, fresh, generator, link, write_lines

OUT = GOLDEN / "t5"
SMALL = dict(vocab_size=41, d_model=16, d_kv=6, d_ff=24, num_layers=2, num_heads=2,
             relative_attention_num_buckets=8, relative_attention_max_distance=12)
GATED = dict(SMALL, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
MODELS = {
    # name: (config keys, name of the model whose weights it shares or None)
    "plain": (SMALL, None),
    "heads3": (dict(SMALL, num_heads=3, d_kv=8, d_ff=35), None),
    "buckets": (dict(SMALL, relative_attention_num_buckets=32, relative_attention_max_distance=128), None),
    "distance": (dict(SMALL, relative_attention_max_distance=7), "plain"),
    "deep_encoder": (dict(SMALL, num_layers=3, num_decoder_layers=1), None),
    "deep_decoder": (dict(SMALL, num_layers=1, num_decoder_layers=3), None),
    "act_gelu_new": (dict(SMALL, feed_forward_proj="gelu_new"), "plain"),
    "eps": (dict(SMALL, layer_norm_epsilon=0.03), "plain"),
    "gated_tied": (GATED, None),
    "gated_silu": (dict(GATED, feed_forward_proj="gated-silu"), "gated_tied"),
    "gated_relu_scaled": (dict(GATED, feed_forward_proj="gated-relu", tie_word_embeddings=True), "gated_tied"),
}


def config_of(keys):
    return T5Config(pad_token_id=0, eos_token_id=1, decoder_start_token_id=0, dropout_rate=0.0, **keys)


def randomize(model, seed):
    """Noise in every parameter, so large that whatever is missing shows in the result; scores are not scaled, so q
    has less of it."""
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            noise = torch.randn(p.shape, generator=generator(f"{seed}/{name}"))
            if "norm" in name:
                p.copy_(1.0 + 0.3 * noise)
            elif "shared" in name or "lm_head" in name or "relative" in name:
                p.copy_(noise)
            else:
                p.copy_((0.15 if ".q." in name else 0.3) * noise)


def tokens(case, config, batch, length):
    return torch.randint(2, config.vocab_size, (batch, length), generator=generator(f"t5/{case}"))


def plain_inputs(case, config):
    return dict(input_ids=tokens(f"{case}/ids", config, 3, 17), labels=tokens(f"{case}/labels", config, 3, 11))


def pads(ids, lengths, left=False):
    """The mask, and ids with padding on one side."""
    at = torch.arange(ids.shape[1])[None]
    n = torch.tensor(lengths)[:, None]
    mask = (at >= ids.shape[1] - n) if left else (at < n)
    return mask.long(), ids.masked_fill(~mask, 0)


def input_cases(config):
    """More inputs for the `plain` model: name -> tensors."""
    cases = {}
    for name, left in (("pad_right", False), ("pad_left", True)):
        mask, ids = pads(tokens(f"{name}/ids", config, 4, 15), [15, 1, 9, 4], left)
        keep, labels = pads(tokens(f"{name}/labels", config, 4, 9), [3, 9, 1, 6])
        cases[name] = dict(input_ids=ids, attention_mask=mask, labels=labels.masked_fill(keep == 0, -100))
    mask, ids = pads(tokens("masked/ids", config, 3, 13), [13, 5, 8])
    mask[0, 3:6] = 0
    keep, decoder = pads(tokens("masked/decoder", config, 3, 10), [10, 4, 7])
    keep[0, 2:5] = 0
    labels = tokens("masked/labels", config, 3, 10)
    labels[1, 4:] = labels[2] = -100
    cases["masked"] = dict(input_ids=ids, attention_mask=mask, decoder_input_ids=decoder,
                           decoder_attention_mask=keep, labels=labels)
    keep, decoder = pads(tokens("blank/decoder", config, 3, 6), [6, 4, 1], True)  # rows that see no key
    cases["blank"] = dict(input_ids=ids, attention_mask=mask, decoder_input_ids=decoder, decoder_attention_mask=keep,
                          labels=tokens("blank/labels", config, 3, 6))
    cases["no_labels"] = dict(input_ids=tokens("no_labels/ids", config, 2, 30),
                              decoder_input_ids=tokens("no_labels/decoder", config, 2, 1))
    cases["long_labels"] = dict(input_ids=tokens("long_labels/ids", config, 2, 2),
                              labels=tokens("long_labels/labels", config, 2, 26))
    return cases


def run(model, inputs):
    model.zero_grad()
    if not isinstance(model, (T5ForConditionalGeneration, T5ForSequenceClassification)):
        return {"hidden_states": model(**inputs).last_hidden_state.detach()}
    result = model(**inputs)
    out = {"logits": result.logits.detach()}
    if "labels" in inputs:
        result.loss.backward()
        out["loss"] = result.loss.detach().reshape(1)
        out.update({f"grad.{n}": p.grad for n, p in model.named_parameters()})
    return {k: v.clone() for k, v in out.items()}


def relative(a, b):
    return ((a.double() - b.double()).norm() / b.double().norm().clamp_min(1e-30)).item()


def expected(case, path, kind, inputs):
    want = run(kind.from_pretrained(path, attn_implementation="sdpa").double().eval(), inputs)
    want = {k: v.float().contiguous() for k, v in want.items()}
    total = sum(v.norm().item() ** 2 for k, v in want.items() if k.startswith("grad.")) ** 0.5
    for impl in ("sdpa", "eager") if case != "blank" else ("sdpa",):  # eager goes on to the table
        got = run(kind.from_pretrained(path, attn_implementation=impl).float().eval(), inputs)
        for k, v in want.items():
            floor = max(v.norm().item(), 1e-4 * total if k.startswith("grad.") else 0)
            assert (got[k] - v).norm().item() / floor < 1e-4, (case, impl, k)
    return want


def write_tensors(path, tensors):
    save_file({k: v.clone() for k, v in tensors.items()}, path)
    path.chmod(0o644)


def finish(case, path, kind, inputs, done):
    want = expected(case, path, kind, inputs)
    write_tensors(path / "inputs.safetensors", inputs)
    write_tensors(path / "expected.safetensors", want)
    done.append(case)
    loss = want["loss"].item() if "loss" in want else float("nan")
    first = want.get("logits", want.get("hidden_states"))
    print(f"{case:20s} loss {loss:8.4f}  largest {first.abs().max():7.2f}")
    return first


def write_case(case, config, model_of, inputs, done, kind=T5ForConditionalGeneration):
    path = fresh(OUT / case)
    if model_of == case:
        model = kind(config)
        randomize(model, f"t5/{case}")
        model.save_pretrained(path)
        (path / "generation_config.json").unlink(missing_ok=True)
        (path / "model.safetensors").chmod(0o644)
    else:
        config.architectures, config.dtype = [kind.__name__], torch.float32
        config.save_pretrained(path)
        link(path / "model.safetensors", OUT / model_of / "model.safetensors")
    return finish(case, path, kind, inputs, done)


def rewrite(case, change, done, source="gated_tied", keys=None):
    """The weights of another case in another form: change(tensors) gives what the file holds; keys: what
    config.json holds."""
    path = fresh(OUT / case)
    config = json.loads((OUT / source / "config.json").read_text())
    config = keys if keys else config
    (path / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    tensors = change(load_file(OUT / source / "model.safetensors"))
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    (path / "model.safetensors").chmod(0o644)
    finish(case, path, T5ForConditionalGeneration, load_file(OUT / source / "inputs.safetensors"), done)


def own_head(tensors):
    shape = tensors["shared.weight"].shape
    return dict(tensors, **{"lm_head.weight": torch.randn(shape, generator=generator("t5/lm_head"))})


def copies(tensors):
    """As files made by earlier versions hold the token table."""
    names = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"]
    return dict(tensors, **{n: tensors["shared.weight"].clone() for n in names})


def elsewhere(tensors):
    """The token table under a copy's name alone, and a table that no layer reads."""
    tensors = dict(tensors)
    tensors["encoder.embed_tokens.weight"] = tensors.pop("shared.weight")
    unread = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    tensors[unread] = torch.ones(SMALL["relative_attention_num_buckets"], SMALL["num_heads"])
    return tensors


def class_cases(done):
    """Rows end with eos and padding; some have two of them, and the last one counts."""
    kind = T5ForSequenceClassification
    mask, ids = pads(tokens("class/ids", config_of(SMALL), 4, 12), [12, 7, 3, 9])
    for row, n in enumerate([12, 7, 3, 9]):
        ids[row, n - 1] = ids[row, row // 2] = 1
    inputs = dict(input_ids=ids, attention_mask=mask)
    labels = dict(num_labels=3)
    numbers = torch.randn(4, 3, generator=generator("t5/class/numbers"))
    write_case("class", config_of(dict(SMALL, **labels)), "class", dict(inputs, labels=torch.tensor([2, 0, 1, 2])), done, kind)
    write_case("class_ignored", config_of(dict(SMALL, **labels)), "class", dict(inputs, labels=torch.tensor([-100, 0, -100, 2])),
               done, kind)
    write_case("class_several", config_of(dict(SMALL, **labels)), "class", dict(inputs, labels=(numbers > 0).float()), done,
               kind)
    write_case("class_regression3", config_of(dict(SMALL, problem_type="regression", **labels)), "class",
               dict(inputs, labels=numbers), done, kind)
    write_case("class_unlabelled", config_of(dict(SMALL, **labels)), "class", inputs, done, kind)
    write_case("class_one", config_of(dict(GATED, num_labels=1)), "class_one", dict(inputs, labels=numbers[:, 0].clone()), done,
               kind)


def main():
    done, logits = [], {}
    for name, (keys, shared) in MODELS.items():
        config = config_of(keys)
        logits[name] = write_case(name, config, shared or name, plain_inputs(shared or name, config), done)
        if shared:  # a key that hardly moves the logits would prove nothing
            assert relative(logits[name], logits[shared]) > 1e-4, name
    config = config_of(SMALL)
    for name, inputs in input_cases(config).items():
        write_case(name, config_of(SMALL), "plain", inputs, done)
    rewrite("untied", own_head, done)
    published = dict(GATED, architectures=["T5ForConditionalGeneration"], model_type="t5", output_past=True,
                     is_encoder_decoder=True, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
                     n_positions=512, torch_dtype="float32", transformers_version="4.9.2", dropout_rate=0.1)
    rewrite("published_untied", own_head, done, keys=published)
    rewrite("file_copies", copies, done, source="plain")
    rewrite("file_elsewhere", elsewhere, done, source="plain")
    inputs = plain_inputs("base", config)
    inputs["decoder_input_ids"] = inputs.pop("labels")
    write_case("base", config_of(SMALL), "base", inputs, done, T5Model)
    mask, ids = pads(tokens("encoder/ids", config, 3, 14), [14, 6, 10])
    write_case("encoder", config_of(SMALL), "encoder", dict(input_ids=ids, attention_mask=mask), done,
               T5EncoderModel)
    class_cases(done)
    write_lines(OUT / "cases.txt", done)


if __name__ == "__main__":
    sys.exit(main())
