"""Goldens of the ops: golden/ops/<op>.safetensors, every output of every small case in double.

    BUILD/tests/test_ops --dump | VENV/bin/python tests/oracle/ops.py

The cases, their inputs included, come from the test program; what they must give is computed here, with
PyTorch in float64 where PyTorch has the function (gradients by its autograd), else by a few lines of NumPy.
For a new op add a function of its name.
"""
import json
import math
import sys

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers.models.t5.modeling_t5 import T5Attention

from transformers import Adafactor, LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from common import GOLDEN, fresh

torch.set_default_dtype(torch.float64)


class Case:
    def __init__(self, line):
        self.__dict__.update(json.loads(line))
        self.x = [None if t is None else self.tensor(t) for t in self.__dict__["in"]]
        self.before = {k: None if t is None else self.tensor(t) for k, t in self.out.items()}

    @staticmethod
    def tensor(t):
        values = [float(v) for v in t["values"]]
        kind = torch.float64 if t["dtype"] in ("F32", "F64", "BF16") else torch.int64
        return torch.tensor(values, dtype=torch.float64).to(kind).reshape(t["shape"])

    def leaves(self, *indices):
        """Inputs that gradients are asked of."""
        return [self.x[i].clone().requires_grad_() for i in indices]


# ---- random bits: Philox 4x32-10 (Salmon et al., SC 2011), keyed as src/base/rng.h says ----

BF16 = 2  # enum dtype

M32, M64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF


def mix(x):
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & M64
    x = (x ^ x >> 27) * 0x94D049BB133111EB & M64
    return x ^ x >> 31


def bits(seed, stream, hi, lo):
    key = mix(mix(seed) + stream * 0x9E3779B97F4A7C15 & M64)
    k, l = key & M32, key >> 32
    c = [lo & M32, lo >> 32, hi & M32, hi >> 32]
    for _ in range(10):
        x, y = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [y >> 32 ^ c[1] ^ k, y & M32, x >> 32 ^ c[3] ^ l, x & M32]
        k, l = k + 0x9E3779B9 & M32, l + 0xBB67AE85 & M32
    return c


def kept(c, p, place, at):
    return bits(c.seed, c.stream, c.step << 40 | place, at // 4)[at % 4] >= p * 2.0**32


# ---- entry by entry ----

ACTIVATIONS = [
    lambda x: x,
    lambda x: F.gelu(x, approximate="tanh"),
    F.gelu,
    F.relu,
    F.silu,
    torch.tanh,
    lambda x: x * torch.sigmoid(1.702 * x),
    torch.exp,
    torch.log,
]


def activate(c, x, attr="kind"):
    return ACTIVATIONS[int(c.attrs[attr])](x)


def add(c):
    return {"y": c.x[0] + c.x[1]}


def scale(c):
    return {"y": c.attrs["factor"] * c.x[0]}


def fill(c):
    return {"y": torch.full_like(c.x[0], c.attrs["value"])}


def cast(c):
    x = c.x[0].to(torch.float32)
    return {"y": (x.to(torch.bfloat16) if c.attrs["dtype"] == BF16 else x).to(torch.float64)}


def activation(c):
    return {"y": activate(c, c.x[0])}


def activation_grad(c):
    (x,) = c.leaves(1)
    activate(c, x).backward(c.x[0])
    return {"dx": x.grad}


def glu(c):
    return {"y": activate(c, c.x[0]) * c.x[1]}


def glu_grad(c):
    gate, up = c.leaves(1, 2)
    (activate(c, gate) * up).backward(c.x[0])
    return {"dgate": gate.grad, "dup": up.grad}


def dropout(c):
    x, place = c.x
    mask = torch.zeros(x.shape).reshape(x.shape[0], math.prod(x.shape[1:]))
    for n in range(mask.shape[0]):
        for f in range(mask.shape[1]):
            mask[n, f] = kept(c, c.attrs["p"], int(place[n]), f)
    return {"y": x * mask.reshape(x.shape) / (1 - c.attrs["p"])}


def embedding(c):
    return {"y": c.x[0][c.x[1]]}


def embedding_grad(c):
    dy, ids, like = c.x
    kept_rows = ids != int(c.attrs["padding"])
    return {"dtable": torch.zeros_like(like).index_add(0, ids[kept_rows], dy[kept_rows])}


# ---- norm ----

def layernorm(c):
    x, weight, bias, residual = c.x
    s = x if residual is None else x + residual
    mean = s.mean(-1)
    var = ((s - mean[..., None]) ** 2).mean(-1)
    y = F.layer_norm(s, weight.shape, weight, bias, c.attrs["eps"])
    return {"y": y, "mean": mean, "rstd": 1 / torch.sqrt(var + c.attrs["eps"]), "sum": s}


def layernorm_grad(c):
    dy, dsum = c.x[0], c.x[5]
    x, weight = c.leaves(1, 2)
    bias = torch.zeros_like(weight).requires_grad_()
    F.layer_norm(x, weight.shape, weight, bias, 1e-5).backward(dy)
    return {"dx": x.grad if dsum is None else x.grad + dsum, "dweight": weight.grad, "dbias": bias.grad}


def rmsnorm(c):
    x, weight, residual = c.x
    s = x if residual is None else x + residual
    y = F.rms_norm(s, weight.shape, weight, c.attrs["eps"])
    return {"y": y, "rstd": 1 / torch.sqrt((s**2).mean(-1) + c.attrs["eps"]), "sum": s}


def rmsnorm_grad(c):
    dy, dsum = c.x[0], c.x[4]
    x, weight = c.leaves(1, 2)
    F.rms_norm(x, weight.shape, weight, 1e-6).backward(dy)
    return {"dx": x.grad if dsum is None else x.grad + dsum, "dweight": weight.grad}


# ---- linear ----

def product(c, x, weight):
    k = int(c.attrs["in_ndim"])
    inner = list(range(1, 1 + k))
    w = list(range(weight.ndim - k, weight.ndim)) if c.attrs["out_first"] else list(range(k))
    return torch.tensordot(x, weight, (inner, w))


def linear(c):
    x, weight, bias, residual = c.x
    pre = product(c, x, weight)
    pre = pre if bias is None else pre + bias
    y = activate(c, pre, "act")
    return {"pre": pre, "y": y if residual is None else y + residual}


def shape_of_x(c, dy, weight):
    k = int(c.attrs["in_ndim"])
    return dy.shape[:1] + (weight.shape[-k:] if c.attrs["out_first"] else weight.shape[:k])


def linear_grad_input(c):
    dy, weight, pre = c.x
    x = torch.zeros(shape_of_x(c, dy, weight)).requires_grad_()
    if pre is None:
        product(c, x, weight).backward(dy)
        return {"dx": x.grad}
    pre = pre.clone().requires_grad_()
    product(c, activate(c, pre, "act"), weight).backward(dy)
    return {"dx": pre.grad}


def linear_grad_weight(c):
    x, dy = c.x[:2]
    (weight,) = c.leaves(2)
    product(c, x, weight).backward(dy)
    return {"dweight": weight.grad, "dbias": dy.sum(0)}


# ---- rotary position embeddings ----

def rotary_table(c):
    positions, frequencies, longest = c.x
    original, half = c.attrs["original"], frequencies.shape[1]
    rows = [frequencies[0].float()] * len(positions)
    for n in range(len(positions)) if longest is not None else ():
        if longest[n] > original and len(frequencies) == 2:
            rows[n] = frequencies[1].float()
        elif longest[n] > original:  # as transformers makes them
            torch.set_default_dtype(torch.float32)
            config = LlamaConfig(head_dim=2 * half, max_position_embeddings=int(original), rope_parameters=dict(
                rope_type="dynamic", rope_theta=c.attrs["theta"], factor=c.attrs["factor"]))
            rows[n] = ROPE_INIT_FUNCTIONS["dynamic"](config, seq_len=longest[n])[0]
            torch.set_default_dtype(torch.float64)
    rows = torch.stack(rows) if rows else torch.zeros(0, half)
    angle = (positions[:, None].float() * rows.float()).double()
    return {"table": torch.cat((angle.cos(), angle.sin()), -1) * c.attrs["attention"]}


def rotary(c):
    x, table = c.x
    half, parts = table.shape[1] // 2, int(c.attrs["parts"])
    cosine, sine = (t.repeat(1, 2)[:, None, None] for t in (table[:, :half], table[:, half:]))
    part, rest = x[:, :parts, :, :2 * half], x[:, :parts, :, 2 * half:]
    turned = torch.cat((-part[..., half:], part[..., :half]), -1) * (-1 if c.attrs["inverse"] else 1)
    return {"y": torch.cat((torch.cat((part * cosine + turned * sine, rest), -1), x[:, parts:]), 1)}


# ---- attention ----

def heads_of(c, q, k, v):
    q, k, v = (t[:, int(c.attrs[p])] for t, p in ((q, "q_part"), (k, "k_part"), (v, "v_part")))
    repeat = q.shape[1] // k.shape[1]
    return q, k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)


def allowed(c, qp, kp):
    ok = (kp >= 0)[None, :].expand(len(qp), len(kp)).clone()
    if c.attrs["causal"]:
        ok &= kp[None, :] <= qp[:, None]
    if c.attrs["window"]:
        ok &= qp[:, None] - kp[None, :] < c.attrs["window"]
    return ok


def bucket(c, table, relative):
    return T5Attention._relative_position_bucket(
        relative, bool(c.attrs["bidirectional"]), table.shape[0], int(c.attrs["max_distance"]))


def masked_by_adding(c, scores, ok, qp, kp):
    """As transformers' GPT-Neo (two masks) and T5 (one) mask scores, by a number that the scores are lost in."""
    at = torch.where(kp < 0, torch.arange(len(kp)), kp)[None, :]
    later = at > qp[:, None] if c.attrs["causal"] else torch.zeros(ok.shape, dtype=torch.bool)
    outside = qp[:, None] - at >= c.attrs["window"] if c.attrs["window"] else torch.zeros_like(later)
    if c.attrs["blank"] == 1:
        return scores - 1e300 * (~ok)
    return scores.masked_fill(later | outside, -1e300) - 1e300 * ((kp < 0)[None, :] | later)


def attend(c, q, k, v, table):
    q_at, k_at, qp, kp, place = c.x[3:8]
    q, k, v = heads_of(c, q, k, v)
    out, lse = torch.zeros(q.shape), torch.zeros(q.shape[:2])
    p = c.attrs["dropout"]
    for s in range(len(q_at) - 1):
        i, j = slice(q_at[s], q_at[s + 1]), slice(k_at[s], k_at[s + 1])
        ok = allowed(c, qp[i], kp[j])
        scores = c.attrs["scale"] * torch.einsum("ihc,jhc->hij", q[i], k[j])
        if table is not None:
            bias = table[bucket(c, table, kp[j][None, :] - qp[i][:, None])].permute(2, 0, 1)
            scores = scores + bias.masked_fill(~ok, 0)
        summed = masked_by_adding(c, scores, ok, qp[i], kp[j])
        scores = scores.masked_fill(~ok, -math.inf)
        none = ~ok.any(1)
        prob = torch.softmax(scores.masked_fill(none[None, :, None], 0), -1) * ok
        if c.attrs["blank"]:
            prob = torch.softmax(summed, -1)
        for h in range(q.shape[1] if p else 0):
            for a in range(prob.shape[1]):
                for b in range(prob.shape[2]):
                    keep = kept(c, p, int(place[i.start + a]), h << 32 | b)
                    prob = prob.index_put((torch.tensor(h), torch.tensor(a), torch.tensor(b)),
                                          prob[h, a, b] * keep / (1 - p))
        out = out.index_add(0, torch.arange(i.start, i.stop), torch.einsum("hij,jhc->ihc", prob, v[j]))
        total = torch.logsumexp(scores, -1).masked_fill(none[None, :], math.inf)
        lse = lse.index_add(0, torch.arange(i.start, i.stop), total.T)
    return out, lse


def attention(c):
    out, lse = attend(c, *c.x[:3], c.x[8])
    return {"out": out, "lse": lse}


def attention_grad(c):
    q, k, v = c.leaves(0, 1, 2)
    table = None if c.x[8] is None else c.leaves(8)[0]
    out, _ = attend(c, q, k, v, table)
    if out.numel() == 0:
        return {"dq": q.detach(), "dk": k.detach(), "dv": v.detach(),
                "dtable": None if table is None else torch.zeros_like(table)}
    out.backward(c.x[11])
    one = "dk" not in c.out and "dv" not in c.out  # q, k and v are parts of one tensor
    return {"dq": q.grad + k.grad + v.grad if one else q.grad, "dk": k.grad, "dv": v.grad,
            "dtable": None if table is None else table.grad}


def cache_append(c):
    slot, at = c.x[4:]
    new = {"new_k": c.before["new_k"].clone(), "new_v": c.before["new_v"].clone()}
    for name, x, part in (("new_k", c.x[0], "k_part"), ("new_v", c.x[1], "v_part")):
        for n in range(len(slot)):
            new[name][slot[n], at[n]] = x[n, int(c.attrs[part])]
    c.before = {k: None for k in c.before}  # replaced, not added to
    return new


def attention_cached(c):
    q, cache_k, cache_v, slot, at, source, table = c.x
    q = q[:, int(c.attrs["q_part"])]
    repeat = q.shape[1] // cache_k.shape[2]
    out = torch.zeros(q.shape)
    for n in range(q.shape[0]):
        t = torch.arange(int(at[n]) + 1)
        if c.attrs["window"]:
            t = t[t > int(at[n]) - int(c.attrs["window"])]
        rows = slot[n].expand(len(t)) if source is None else source[slot[n], t]
        k, v = (x[rows, t].repeat_interleave(repeat, 1) for x in (cache_k, cache_v))
        scores = c.attrs["scale"] * torch.einsum("hc,thc->ht", q[n], k)
        if table is not None:
            scores = scores + table[bucket(c, table, t - at[n])].T
        prob = torch.softmax(scores, -1)
        out[n] = torch.einsum("ht,thc->hc", prob, v)
    return {"out": out}


# ---- head ----

def logits_of(c, x, weight, bias):
    rows = x if c.x[3] is None else x[c.x[3]]
    y = rows @ (weight.T if c.attrs["out_first"] else weight)
    return y if bias is None else y + bias


def stats_of(c, x, weight, bias):
    logits = logits_of(c, x, weight, bias)
    return torch.logsumexp(logits, -1), logits.gather(1, c.x[4][:, None])[:, 0], logits


def head_stats(c):
    lse, target, logits = stats_of(c, *c.x[:3])
    return {"lse": lse, "target": target, "best": logits.max(-1).values, "mean": logits.mean(-1)}


def head_leaves(c):
    x, weight = c.leaves(0, 1)
    return x, weight, None if c.x[2] is None else c.leaves(2)[0]


def grads(x, weight, bias):
    return {"dx": x.grad, "dweight": weight.grad, "dbias": None if bias is None else bias.grad}


def head_grad(c):
    leaves = head_leaves(c)
    lse, target, logits = stats_of(c, *leaves)
    smooth = 0 if c.x[8] is None else logits.mean(-1) @ c.x[8]
    (lse @ c.x[6] + target @ c.x[7] + smooth).backward()
    return grads(*leaves)


def head_loss(c):
    leaves = head_leaves(c)
    logits = logits_of(c, *leaves)
    loss = F.cross_entropy(logits, c.x[4], reduction="sum")
    loss.backward()
    return {"loss": loss.detach(), **grads(*leaves)}


def token_losses(c, lse, target, mean):
    s = c.attrs["smoothing"]
    return lse - (1 - s) * target - s * mean + c.attrs["z"] * lse**2


def token_loss(c):
    return {"loss": token_losses(c, *c.x[:2], 0 if c.x[2] is None else c.x[2]).sum()}


def token_loss_grad(c):
    lse, target, mean = (c.x[1].clone().requires_grad_() for _ in range(3))
    (token_losses(c, lse, target, mean).sum() * c.x[0]).backward()
    return {"dlse": lse.grad, "dtarget": target.grad, "dmean": mean.grad}


def row_dot(c):
    x, y = c.x
    return {"z": (x * y).reshape(x.shape[0], math.prod(x.shape[1:])).sum(1)}


def row_scale(c):
    x, s = c.x
    return {"y": x * s.reshape(-1, *[1] * (x.dim() - 1))}


def target_losses(c, logits, targets):
    f = F.binary_cross_entropy_with_logits if c.attrs["kind"] else F.mse_loss
    return f(logits, targets, reduction="sum") / logits.shape[1]


def target_loss(c):
    return {"loss": target_losses(c, *c.x)}


def target_loss_grad(c):
    (logits,) = c.leaves(1)
    (target_losses(c, logits, c.x[2]) * c.x[0]).backward()
    return {"dlogits": logits.grad}


# ---- the update ----

def sum_squares(c):
    return {"sum": sum((x**2).sum() for x in c.x)}


def step_control(c):
    loss, count, squares, (rate, step, most) = (x.numpy() for x in c.x)
    norm = np.sqrt(squares) / count if count else 0.0
    apply = bool(count > 0 and np.isfinite(loss) and np.isfinite(norm))
    clip = min(1.0, most / (norm + 1e-6)) if most > 0 else 1.0
    control = [apply, clip / count if apply else 0.0, norm, loss / count if count else 0.0, rate, step]
    return {"control": torch.tensor([float(x) for x in control])}


def adamw(c):
    apply, factor, _, _, rate, step = (float(x) for x in c.x[0])
    a, out = c.attrs, {}
    for i in range(1, len(c.x), 4):
        p, grad, m, v = (x.clone() for x in c.x[i:i + 4])
        if apply:
            p.requires_grad_()
            p.grad = grad * factor
            opt = torch.optim.AdamW([p], lr=rate, betas=(a["beta1"], a["beta2"]), eps=a["eps"],
                                    weight_decay=a["decay"], foreach=False)
            opt.state[p] = {"step": torch.tensor(step - 1), "exp_avg": m, "exp_avg_sq": v}
            opt.step()
        out.update({f"in{i}": p.detach(), f"in{i + 2}": m, f"in{i + 3}": v})
    return out


def adafactor_sums(c):
    rows = math.prod(c.x[0].shape[:int(c.attrs["split"])])
    squares = c.x[0].reshape(rows, -1) ** 2
    k = int(c.attrs["split"])
    return {"rows": squares.sum(1).reshape(c.x[0].shape[:k]), "cols": squares.sum(0).reshape(c.x[0].shape[k:])}


def adafactor_step(p, grad, moments, rate, step, decay=0.0, relative=False):
    """transformers' own, in place on p and moments (one of entries, or of rows and of columns)."""
    factored = len(moments) == 2
    shape = p.shape if factored else (p.numel(),)
    p = p.reshape(shape).requires_grad_()
    p.grad = grad.reshape(shape)
    opt = Adafactor([p], lr=rate, scale_parameter=relative, relative_step=False, weight_decay=decay)
    names = ["exp_avg_sq_row", "exp_avg_sq_col"] if factored else ["exp_avg_sq"]
    opt.state[p] = {"step": step - 1, "RMS": 0, **dict(zip(names, (m.reshape(-1) if not factored else m
                                                                   for m in moments)))}
    before = p.detach().clone()
    opt.step()
    return before, p.detach(), [opt.state[p][n] for n in names]


def factored_of(c, moments):
    if len(moments) == 1:
        return moments[0].reshape(c.x[1].shape) ** -0.5
    row, col = moments
    return (row / row.mean())[:, None] ** -0.5 * col[None, :] ** -0.5


def adafactor_norms(c):
    apply, factor, _, _, rate, step = (float(x) for x in c.x[0])
    moments = [m.clone() for m in c.x[3:5] if m is not None]
    norms = torch.zeros(3)
    if apply:
        _, _, moments = adafactor_step(c.x[1].clone(), c.x[2] * factor, moments, rate, step)
        u = c.x[2] * factor * factored_of(c, moments)
        row = moments[0] if len(moments) > 1 else torch.ones(())
        norms = torch.stack([(u**2).sum() / row.mean(), (c.x[1]**2).sum(),
                             row.sum() if len(moments) > 1 else torch.zeros(())])
    return {"norms": norms, "in3": moments[0].reshape(c.x[3].shape), **({"in4": moments[1]} if len(moments) > 1 else {})}


def adafactor(c):
    """The step that follows: checked against transformers' whole step with moments and norms that fit."""
    apply, factor, _, _, rate, step = (float(x) for x in c.x[0])
    p, grad = c.x[1].clone(), c.x[2] * factor
    moments = [m for m in c.x[3:5] if m is not None]

    def formula(moments, steps, sizes):
        rms, size = math.sqrt(steps / p.numel()), math.sqrt(sizes / p.numel())
        r = rate * (max(1e-3, size) if c.attrs["relative"] else 1)
        return p * (1 - r * c.attrs["decay"]) - r * grad * factored_of(c, moments) / max(1.0, rms)

    _, want, after = adafactor_step(p.clone(), grad, [m.clone() for m in moments], rate, 5, c.attrs["decay"],
                                    bool(c.attrs["relative"]))
    u = grad * factored_of(c, after)
    found = formula(after, float((u**2).sum()), float((p**2).sum()))
    assert torch.allclose(found, want.reshape(p.shape), rtol=1e-9, atol=1e-12), "not transformers' Adafactor"
    steps, sizes, _ = (float(x) for x in c.x[5])
    if len(moments) > 1:
        steps *= float(moments[0].mean())
    return {"in1": formula(moments, steps, sizes) if apply else p}


def main():
    goldens = {}
    for line in sys.stdin:
        c = Case(line)
        result = globals()[c.op](c)
        for name in c.out:
            value = result[name].detach()
            if c.before[name] is not None:
                value = value + c.before[name]
            goldens.setdefault(c.op, {})[f"{c.case}.{name}"] = value.contiguous().clone()
    folder = fresh(GOLDEN / "ops")
    for op, tensors in goldens.items():
        save_file(tensors, folder / f"{op}.safetensors")


if __name__ == "__main__":
    main()
