"""Goldens for training: 40 steps of a small GPT-2, with and without gradient accumulation.

tests/golden/gpt2/train40/ holds the model directory model/, plain.jsonl (rows of input_ids), labelled.jsonl
(rows with labels, -100 where there is no loss, unequal numbers per row) and expected.json with curves:

    "plain"       4 rows a step, plain.jsonl: 160 rows, one epoch
    "accumulate"  2 x 4 rows a step, labelled.jsonl: 160 rows, 20 steps an epoch, two epochs
    "adafactor"       as plain, with transformers' Adafactor as its Trainer sets it up
    "adafactor_flax"  the same as optax has it: in proportion to the parameters' size, nothing factored below 128;
                      in both, c_attn.bias is frozen: noise around zero would make steps of full size
    "smooth"      as accumulate, with label smoothing (transformers' LabelSmoother) and z-loss

Rows are taken in file order. Each step's loss is the mean over all label tokens of its global batch (labels
are shifted inside the model, so a row's first label never counts); grad_norm is the norm before clipping;
learning_rate is the one the step used; param_norm are the norms of all parameters after the last step, which
tell whether weight decay went to the right ones. All in float64; a float32 run is checked to follow.
"""
import json
import sys

import torch
import torch.nn.functional as F
from torch import nn
from transformers import Adafactor, GPT2Config, GPT2LMHeadModel, get_linear_schedule_with_warmup
from transformers.trainer_pt_utils import LabelSmoother, get_parameter_names

from common import GOLDEN, dump, fresh, generator, write_lines

OUT = GOLDEN / "gpt2" / "train40"
ROWS, BLOCK, VOCAB = 160, 32, 64
OPTIONS = dict(
    per_device_train_batch_size=4, max_steps=40, learning_rate=1e-2, lr_scheduler_type="linear",
    warmup_steps=5, adam_beta1=0.9, adam_beta2=0.98, adam_epsilon=1e-8, weight_decay=0.1, max_grad_norm=1.0,
    block_size=BLOCK)
HF_DECAY_EXCLUDES = [r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]


def markov_rows(name, rows):
    """Rows that can be learnt: each token has three likely successors."""
    g = generator(name)
    successors = torch.randint(0, VOCAB, (VOCAB, 3), generator=g)
    out = torch.empty(rows, BLOCK, dtype=torch.long)
    out[:, 0] = torch.randint(0, VOCAB, (rows,), generator=g)
    for t in range(1, BLOCK):
        pick = torch.randint(0, 6, (rows,), generator=g).clamp_max(3) % 3  # the first of them mostly
        out[:, t] = successors[out[:, t - 1], pick]
        strange = torch.rand(rows, generator=g) < 0.03
        out[strange, t] = torch.randint(0, VOCAB, (int(strange.sum()),), generator=g)
    return out


def unequal_labels(ids):
    """A prompt of random length carries no loss, sometimes the tail neither; some rows have none."""
    g = generator("train40/labels")
    labels = ids.clone()
    for b in range(len(ids)):
        start, end = torch.randint(0, BLOCK, (2,), generator=g).tolist()
        labels[b, :start] = -100
        if b % 3 == 0 and end > start + 1:
            labels[b, end:] = -100
        if b % 11 == 5:
            labels[b] = -100
    return labels


def make_model():
    torch.manual_seed(40)
    config = GPT2Config(vocab_size=VOCAB, n_positions=BLOCK, n_embd=32, n_layer=2, n_head=4, bos_token_id=0,
                        eos_token_id=0, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    return GPT2LMHeadModel(config)


def optimizer_of(model, optim="adamw", rate=OPTIONS["learning_rate"]):
    decayed = set(get_parameter_names(model, [nn.LayerNorm], HF_DECAY_EXCLUDES))
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    groups = [
        dict(params=[p for n, p in named if n in decayed], weight_decay=OPTIONS["weight_decay"]),
        dict(params=[p for n, p in named if n not in decayed], weight_decay=0.0)]
    if optim == "adafactor_flax":
        Adafactor._get_options = staticmethod(lambda group, shape: (len(shape) > 1 and min(shape) >= 128, False))
    if optim.startswith("adafactor"):
        return Adafactor(groups, lr=rate, relative_step=False,
                         scale_parameter=optim == "adafactor_flax")
    return torch.optim.AdamW(groups, lr=rate, eps=OPTIONS["adam_epsilon"],
                             betas=(OPTIONS["adam_beta1"], OPTIONS["adam_beta2"]))


def sum_loss(model, ids, labels, options):
    logits = model(input_ids=ids).logits[:, :-1]
    target = labels[:, 1:].reshape(-1)
    if options["z_loss"]:
        count = max(1, int((target != -100).sum()))
        smooth = LabelSmoother(options["label_smoothing_factor"])({"logits": logits}, labels[:, 1:])
        lse = logits.reshape(len(target), -1)[target != -100].logsumexp(-1)
        return smooth * count + options["z_loss"] * (lse**2).sum() if len(lse) else 0 * logits.sum()
    return F.cross_entropy(logits.reshape(len(target), -1), target, ignore_index=-100, reduction="sum")


def train(dtype, ids, labels, options):
    model = GPT2LMHeadModel.from_pretrained(OUT / "model", dtype=torch.float32).to(dtype)
    model.train()
    if options["optim"].startswith("adafactor"):  # the gradient of keys' biases is noise around zero
        for name, param in model.named_parameters():
            param.requires_grad_("c_attn.bias" not in name)
    optimizer = optimizer_of(model, options["optim"], options["learning_rate"])
    steps, accumulation = options["max_steps"], options["gradient_accumulation_steps"]
    schedule = get_linear_schedule_with_warmup(optimizer, options["warmup_steps"], steps)
    micro = options["per_device_train_batch_size"]
    curve = dict(loss=[], grad_norm=[], learning_rate=[], label_tokens=[])
    for step in range(steps):
        start = step * micro * accumulation % len(ids)
        rows = [slice(start + i * micro, start + (i + 1) * micro) for i in range(accumulation)]
        count = sum(int((labels[r, 1:] != -100).sum()) for r in rows)
        optimizer.zero_grad()
        total = 0.0
        for r in rows:
            loss = sum_loss(model, ids[r], labels[r], options) / count
            loss.backward()
            total += loss.item()
        norm = nn.utils.clip_grad_norm_(model.parameters(), options["max_grad_norm"])
        curve["loss"].append(total)
        curve["grad_norm"].append(norm.item())
        curve["learning_rate"].append(schedule.get_last_lr()[0])
        curve["label_tokens"].append(count)
        optimizer.step()
        schedule.step()
    curve["param_norm"] = {n: p.detach().norm().item() for n, p in model.named_parameters()}
    return curve


def worst(a, b):
    return max(abs(x - y) / abs(y) for x, y in zip(a, b))


def write_curve(out, steps):
    """steps: (loss, norm of the gradient)."""
    loss, norm = zip(*steps)
    (out / "expected.json").write_text(json.dumps(dict(plain=dict(loss=loss, grad_norm=norm)), indent=1) + "\n")


def curve_of(name, ids, labels, **more):
    options = dict(OPTIONS, **dict(optim="adamw_torch", label_smoothing_factor=0.0, z_loss=0.0) | more)
    want, single = (train(dtype, ids, labels, options) for dtype in (torch.float64, torch.float32))
    loss, norm = (worst(single[k], want[k]) for k in ("loss", "grad_norm"))
    assert loss < 2e-4 and norm < 2e-3, (name, loss, norm)
    assert want["loss"][-1] < 0.9 * want["loss"][0], name
    clipped = sum(n > options["max_grad_norm"] for n in want["grad_norm"])
    assert 0 < clipped < options["max_steps"] or "optim" in more, f"{name}: clipping acts in {clipped} steps"
    print(f"{name}: loss {want['loss'][0]:.4f} -> {want['loss'][-1]:.4f}, {clipped} steps clipped; "
          f"float32 differs by {loss:.1e} in loss, {norm:.1e} in norm")
    return dict(options=options, **want)


def main():
    fresh(OUT)
    make_model().save_pretrained(OUT / "model")
    (OUT / "model" / "generation_config.json").unlink()
    (OUT / "model" / "model.safetensors").chmod(0o644)
    plain = markov_rows("train40/plain", ROWS)
    write_lines(OUT / "plain.jsonl", [dump({"input_ids": r}) for r in plain.tolist()])
    ids = markov_rows("train40/labelled", ROWS)
    labels = unequal_labels(ids)
    rows = zip(ids.tolist(), labels.tolist())
    write_lines(OUT / "labelled.jsonl", [dump({"input_ids": i, "labels": n}) for i, n in rows])
    expected = dict(plain=curve_of("plain", plain, plain, gradient_accumulation_steps=1))
    more = dict(gradient_accumulation_steps=2, max_grad_norm=1.5)
    expected.update(accumulate=curve_of("accumulate", ids, labels, **more))
    expected.update(smooth=curve_of("smooth", ids, labels, **more, label_smoothing_factor=0.1, z_loss=1e-2))
    for optim, rate in ("adafactor", 0.01), ("adafactor_flax", 0.1):
        expected[optim] = curve_of(optim, plain, plain, gradient_accumulation_steps=1, optim=optim,
                                   learning_rate=rate)
    (OUT / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
