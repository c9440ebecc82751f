"""Goldens for `plait forward` on GPT-2: logits, loss and every gradient against transformers.

Each tests/golden/gpt2/<case>/ is a model directory (config.json, model.safetensors; weights shared between
cases are symbolic links) with inputs.safetensors (names of transformers' forward) and expected.safetensors
(logits, loss of shape [1], grad.<parameter>). tests/golden/gpt2/cases.txt lists the cases.

Values are computed in float64 with attn_implementation="sdpa", transformers' default. "eager" gives the same
except in query rows that see no key at all (left padding): there eager averages over all keys, later ones
included, while sdpa gives zero; the goldens hold the zero. Every case is checked here against float32 runs of
both before it is written.
"""
import json
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from common import GOLDEN, fresh, generator, link, randomize, write_lines

OUT = GOLDEN / "gpt2"
SMALL = dict(vocab_size=96, n_positions=32, n_embd=32, n_layer=2, n_head=2, n_inner=48)
MODELS = {
    # name: (config keys, name of the model whose weights it shares or None)
    "plain": (dict(vocab_size=128, n_positions=64, n_embd=32, n_layer=2, n_head=4), None),
    "n_inner": (dict(vocab_size=101, n_positions=24, n_embd=36, n_layer=2, n_head=2, n_inner=72), None),
    "heads3": (dict(vocab_size=113, n_positions=64, n_embd=48, n_layer=2, n_head=3, n_inner=64), None),
    "untied": (dict(SMALL, tie_word_embeddings=False), None),
    "act_gelu_new": (dict(SMALL), None),
    "act_gelu": (dict(SMALL, activation_function="gelu"), "act_gelu_new"),
    "act_relu": (dict(SMALL, activation_function="relu"), "act_gelu_new"),
    "act_silu": (dict(SMALL, activation_function="silu"), "act_gelu_new"),
    "act_tanh": (dict(SMALL, activation_function="tanh"), "act_gelu_new"),
    "act_quick_gelu": (dict(SMALL, activation_function="quick_gelu"), "act_gelu_new"),
    "act_gelu_fast": (dict(SMALL, activation_function="gelu_fast"), "act_gelu_new"),
    "act_gelu_pytorch_tanh": (dict(SMALL, activation_function="gelu_pytorch_tanh"), "act_gelu_new"),
    "eps": (dict(SMALL, layer_norm_epsilon=1e-3), "act_gelu_new"),
    "no_scale": (dict(SMALL, scale_attn_weights=False), "act_gelu_new"),
    "inverse_layer": (dict(SMALL, scale_attn_by_inverse_layer_idx=True), "act_gelu_new"),
    "reorder_upcast": (dict(SMALL, reorder_and_upcast_attn=True), "act_gelu_new"),
    "reorder_upcast_inverse": (
        dict(SMALL, reorder_and_upcast_attn=True, scale_attn_by_inverse_layer_idx=True), "act_gelu_new"),
}
# Configurations that compute the same function as another: their expected values are links to it.
# Every other configuration that shares weights must differ.
SAME_FUNCTION = {
    "act_gelu_fast": "act_gelu_new",
    "act_gelu_pytorch_tanh": "act_gelu_new",
    "reorder_upcast": "act_gelu_new",
    "reorder_upcast_inverse": "inverse_layer",
}


def config_of(keys) -> GPT2Config:
    last = keys["vocab_size"] - 1
    off = dict(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    return GPT2Config(bos_token_id=last, eos_token_id=last, **off, **keys)


def tokens(case, config, batch, length):
    return torch.randint(0, config.vocab_size, (batch, length), generator=generator(f"ids/{case}"))


def plain_inputs(case, config):
    """Full rows, every position labelled."""
    ids = tokens(case, config, 3, min(config.n_positions, 24))
    return dict(input_ids=ids, labels=ids.clone())


def padded(case, config, mask, first_scored):
    """Labels are -100 where the mask is 0; without first_scored on the first real token, whose prediction
    comes from a padding row when the padding is on the left."""
    ids = tokens(case, config, *mask.shape)
    labels = ids.masked_fill(mask == 0, -100)
    if not first_scored:
        labels[torch.arange(len(mask)), mask.argmax(-1)] = -100
    return dict(input_ids=ids, attention_mask=mask, labels=labels)


def mask_of(length, pads, left):
    """(B, length) of ones with pads[b] zeros on one side."""
    at = torch.arange(length)
    return torch.stack([(at >= p) if left else (at < length - p) for p in pads]).long()


def hole_mask():
    mask = torch.ones(3, 20, dtype=torch.long)
    mask[0, 5:9] = 0
    mask[1, 1] = 0
    mask[1, 12:14] = 0
    mask[2, 18:] = 0
    return mask


def input_cases(config):
    """More inputs for the `plain` model: name -> tensors."""
    c = config
    cases = {}
    cases["pad_left"] = padded("pad_left", c, mask_of(19, [0, 5, 12, 18], True), False)
    cases["pad_left_scored"] = padded("pad_left_scored", c, mask_of(13, [0, 4, 7], True), True)
    cases["pad_right"] = padded("pad_right", c, mask_of(21, [0, 6, 11, 19], False), True)
    cases["mask_hole"] = padded("mask_hole", c, hole_mask(), True)

    ids = tokens("position_ids", c, 2, 16)
    positions = torch.stack([torch.arange(16) + 7, torch.arange(63, 31, -2)])
    positions[0, 9:] = 3
    ones = torch.ones_like(ids)
    cases["position_ids"] = dict(input_ids=ids, attention_mask=ones, position_ids=positions, labels=ids)

    cases["one_token"] = dict(input_ids=tokens("one_token", c, 2, 1))
    labels = tokens("labels_off", c, 3, 11)
    ids = labels.clone()
    labels[1] = -100
    labels[2, 4:9] = -100
    cases["labels_off"] = dict(input_ids=ids, labels=labels)
    ids = tokens("labels_other", c, 2, 9)
    cases["labels_other"] = dict(input_ids=ids, labels=tokens("labels_other/labels", c, 2, 9))
    ids = tokens("full_length", c, 1, c.n_positions)
    cases["full_length"] = dict(input_ids=ids, labels=ids.clone())
    return cases


def run(config, state, inputs, dtype, impl):
    """Logits, loss and gradients of one model in one precision."""
    if dtype == torch.float64:  # the flag insists on a float32 softmax; in exact arithmetic it is no change
        config = GPT2Config.from_dict({**config.to_dict(), "reorder_and_upcast_attn": False})
    model = GPT2LMHeadModel._from_config(config, attn_implementation=impl)
    model.load_state_dict(state)
    model.to(dtype).eval()
    args = {k: v for k, v in inputs.items() if k != "labels"}
    out = {"logits": model(**args).logits}
    if "labels" in inputs:
        labels = inputs["labels"][:, 1:].reshape(-1)
        loss = F.cross_entropy(out["logits"][:, :-1].reshape(len(labels), -1), labels, ignore_index=-100)
        loss.backward()
        out["loss"] = loss.reshape(1)
        out.update({f"grad.{n}": p.grad for n, p in model.named_parameters()})
        if dtype == torch.float32:
            hf_loss = model(**inputs).loss.detach()
            assert torch.allclose(hf_loss, loss.detach(), rtol=1e-5), "transformers' own loss differs"
    return {k: v.detach() for k, v in out.items()}


def blind_rows(inputs):
    """(B, T) true where a query row sees no key."""
    ids = inputs["input_ids"]
    mask = inputs.get("attention_mask", torch.ones_like(ids))
    return mask.cumsum(-1) == 0


def relative(a, b):
    return ((a.double() - b.double()).norm() / b.double().norm().clamp_min(1e-30)).item()


def verify(case, config, state, inputs, want):
    """Both float32 implementations agree with what is about to be stored."""
    blind = blind_rows(inputs)
    blind_counts = "labels" in inputs and bool((blind[:, :-1] & (inputs["labels"][:, 1:] != -100)).any())
    worst = 0.0
    for impl in ("sdpa", "eager"):
        got = run(config, state, inputs, torch.float32, impl)
        if impl == "eager" and blind.any():
            keep = ~blind
            err = relative(got["logits"][keep], want["logits"][keep])
            if blind_counts:
                got = {}
        else:
            err = relative(got["logits"], want["logits"])
        worst = max(worst, err)
        total = sum(v.norm().item() ** 2 for k, v in want.items() if k.startswith("grad.")) ** 0.5
        for k in got:
            if k == "loss":
                assert relative(got[k], want[k]) < 5e-6, (case, impl)
            if k.startswith("grad."):
                floor = max(want[k].norm().item(), 1e-4 * total)
                assert (got[k].double() - want[k].double()).norm().item() / floor < 1e-4, (case, impl, k)
    assert worst < 1e-5, (case, worst)
    return worst


def write_tensors(path, tensors):
    save_file({k: v.clone() for k, v in tensors.items()}, path)
    path.chmod(0o644)


def write_expected(case, want):
    twin = SAME_FUNCTION.get(case)
    if not twin:
        write_tensors(OUT / case / "expected.safetensors", want)
        return
    for name, value in load_file(OUT / twin / "expected.safetensors").items():
        assert relative(want[name], value) < 1e-6, (case, name)
    link(OUT / case / "expected.safetensors", OUT / twin / "expected.safetensors")


def write_case(case, config, model_of, inputs, report):
    """model_of: the directory that holds the weights (this one when the case is the first of its model)."""
    path = fresh(OUT / case)
    if model_of == case:
        torch.manual_seed(0)
        model = GPT2LMHeadModel(config)
        randomize(model, f"gpt2/{case}")
        model.save_pretrained(path)
        (path / "generation_config.json").unlink()
    else:
        model = GPT2LMHeadModel.from_pretrained(OUT / model_of)
        config.architectures, config.dtype = ["GPT2LMHeadModel"], torch.float32
        config.save_pretrained(path)
        link(path / "model.safetensors", OUT / model_of / "model.safetensors")
    state = model.state_dict()
    want = run(config, state, inputs, torch.float64, "sdpa")
    want = {k: v.float().contiguous() for k, v in want.items()}
    error = verify(case, config, state, inputs, want)
    write_tensors(path / "inputs.safetensors", inputs)
    write_expected(case, want)
    report.append(case)
    loss = want["loss"].item() if "loss" in want else float("nan")
    print(f"{case:24s} loss {loss:8.4f}  |logits| {want['logits'].abs().max():7.2f}  fp32 error {error:.1e}")


def check_distinct():
    """A variant whose logits hardly move when its key is ignored would prove nothing."""
    base = load_file(OUT / "act_gelu_new" / "expected.safetensors")["logits"]
    for name, (_, shared) in MODELS.items():
        if shared and name not in SAME_FUNCTION:
            moved = relative(load_file(OUT / name / "expected.safetensors")["logits"], base)
            assert moved > 1e-4, (name, moved)
            print(f"{name:24s} moves the logits by {moved:.1e}")


def write_file_form(case, change, report):
    """The weights of act_gelu_new in another form of file. Expected are logits and loss."""
    path, base = fresh(OUT / case), OUT / "act_gelu_new"
    config = config_of(SMALL)
    config.architectures, config.dtype = ["GPT2LMHeadModel"], torch.float32
    config.save_pretrained(path)
    inputs = load_file(base / "inputs.safetensors")
    change(path, load_file(base / "model.safetensors"))
    state = GPT2LMHeadModel.from_pretrained(path, dtype=torch.float32).state_dict()
    want = run(config, state, inputs, torch.float64, "sdpa")
    want = {k: want[k].float().contiguous() for k in ("logits", "loss")}
    for f in path.glob("*.safetensors"):
        f.chmod(0o644)
    link(path / "inputs.safetensors", base / "inputs.safetensors")
    write_tensors(path / "expected.safetensors", want)
    report.append(case)


def hub_names(path, tensors):
    """As GPT-2 is published: no `transformer.` prefix, each layer with its causal mask as a buffer."""
    tensors = {k.removeprefix("transformer."): v for k, v in tensors.items()}
    n = SMALL["n_positions"]
    for i in range(SMALL["n_layer"]):
        tensors[f"h.{i}.attn.bias"] = torch.ones(n, n).tril().view(1, 1, n, n)
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})


def shards(path, tensors):
    """Three shards and an index."""
    names = sorted(tensors)
    files, where = 3, {}
    for i in range(files):
        part = f"model-{i + 1:05d}-of-{files:05d}.safetensors"
        save_file({n: tensors[n] for n in names[i::files]}, path / part, metadata={"format": "pt"})
        where.update({n: part for n in names[i::files]})
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(where.items()))}
    (path / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def halves(dtype):
    def change(path, tensors):
        tensors = {k: v.to(dtype) for k, v in tensors.items()}
        save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
        config = json.loads((path / "config.json").read_text())
        config["dtype"] = str(dtype).removeprefix("torch.")
        (path / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    return change


def old_config(path, tensors):
    """config.json with the keys of earlier transformers: torch_dtype, task_specific_params, n_ctx; defaults
    left out; dropouts that are not 0, which forward does not apply."""
    keys = dict(SMALL, model_type="gpt2", architectures=["GPT2LMHeadModel"], torch_dtype="float32", n_ctx=32)
    keys.update(transformers_version="4.9.2", attn_pdrop=0.1, embd_pdrop=0.1, resid_pdrop=0.1)
    keys.update(gradient_checkpointing=False)
    keys.update(task_specific_params={"text-generation": {"do_sample": True, "max_length": 50}})
    (path / "config.json").write_text(json.dumps(keys, indent=2) + "\n")
    link(path / "model.safetensors", OUT / "act_gelu_new" / "model.safetensors")


def main():
    done = []
    for name, (keys, shared) in MODELS.items():
        config = config_of(keys)
        inputs = plain_inputs(shared or name, config)
        write_case(name, config, shared or name, inputs, done)
    config = config_of(MODELS["plain"][0])
    for name, inputs in input_cases(config).items():
        write_case(name, config_of(MODELS["plain"][0]), "plain", inputs, done)
        if name == "pad_left_scored":
            assert blind_rows(inputs).any()
    check_distinct()
    write_file_form("file_hub_names", hub_names, done)
    write_file_form("file_shards", shards, done)
    write_file_form("file_bfloat16", halves(torch.bfloat16), done)
    write_file_form("file_float16", halves(torch.float16), done)
    write_file_form("file_old_config", old_config, done)
    write_lines(OUT / "cases.txt", done)


if __name__ == "__main__":
    sys.exit(main())
