"""Goldens for `plait forward` on decoders beside GPT-2: logits, loss and every gradient against transformers.

What llama.py and gpt_neo.py share. Each tests/golden/<family>/<case>/ is a model directory (weights shared
between cases are symbolic links) with inputs.safetensors and expected.safetensors, and cases.txt lists them,
as gpt2.py describes. Values are computed in float64, also where transformers would go to float32 for a norm or
for scores (exact_*), but for the cosines and sines of rotary positions; a float32 run of transformers as it is
must agree before a case is written.
"""
import contextlib
import json

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel
from transformers.models.gpt_neo.modeling_gpt_neo import GPTNeoSelfAttention
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from common import GOLDEN, fresh, generator, link, randomize, write_lines
from gpt2 import relative, write_tensors


def exact_norm(self, x):
    return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)


def exact_scores(self, query, key, value, attention_mask=None):
    scores = query @ key.transpose(-1, -2)
    n, m = scores.shape[-2:]
    least = torch.finfo(torch.float32).min  # with other numbers than two of this one, blank rows would differ
    scores = scores.masked_fill(~self.bias[:, :, m - n:m, :m], least)
    if attention_mask is not None:
        scores = scores + (attention_mask < 0) * least
    prob = scores.softmax(-1)
    return prob @ value, prob


@contextlib.contextmanager
def exact():
    norm, scores = LlamaRMSNorm.forward, GPTNeoSelfAttention._attn
    LlamaRMSNorm.forward, GPTNeoSelfAttention._attn = exact_norm, exact_scores
    yield
    LlamaRMSNorm.forward, GPTNeoSelfAttention._attn = norm, scores


class Family:
    def __init__(self, name, config_class, model_class: type[PreTrainedModel], **off):
        self.name, self.config_class, self.model_class, self.off = name, config_class, model_class, off
        self.out, self.done = GOLDEN / name, []

    def config(self, keys):
        last = keys["vocab_size"] - 1
        return self.config_class(**{**dict(bos_token_id=last, eos_token_id=last), **self.off, **keys})

    def ids(self, case, config, batch, length):
        g = generator(f"{self.name}/ids/{case}")
        return torch.randint(0, config.vocab_size, (batch, length), generator=g)

    def plain_inputs(self, case, config, length=20):
        ids = self.ids(case, config, 2, length)
        return dict(input_ids=ids, labels=ids.clone())

    def masked(self, case, config, mask):
        """Labels are -100 where the mask is 0, and on the first real token."""
        ids = self.ids(case, config, *mask.shape)
        labels = ids.masked_fill(mask == 0, -100)
        labels[torch.arange(len(mask)), mask.argmax(-1)] = -100
        return dict(input_ids=ids, attention_mask=mask, labels=labels)

    def run(self, config, state, inputs, dtype):
        """Logits, loss and gradients of one model in one precision."""
        model = self.model_class(config)
        model.load_state_dict(state)
        model.to(dtype).eval()
        args = {k: v for k, v in inputs.items() if k != "labels"}
        with exact() if dtype == torch.float64 else contextlib.nullcontext():
            out = {"logits": model(**args).logits}
            labels = inputs["labels"][:, 1:].reshape(-1)
            logits = out["logits"][:, :-1].reshape(len(labels), -1)
            loss = F.cross_entropy(logits, labels, ignore_index=-100)
            loss.backward()
        out["loss"] = loss.reshape(1)
        out.update({f"grad.{n}": p.grad for n, p in model.named_parameters()})
        if dtype == torch.float32:
            assert torch.allclose(model(**inputs).loss.detach(), loss.detach(), rtol=1e-5)
        return {k: v.detach() for k, v in out.items()}

    def verify(self, case, config, state, inputs, want):
        got = self.run(config, state, inputs, torch.float32)
        error = relative(got["logits"], want["logits"])
        assert error < 1e-5, (case, error)
        assert relative(got["loss"], want["loss"]) < 5e-6, case
        total = sum(v.norm().item() ** 2 for k, v in want.items() if k.startswith("grad.")) ** 0.5
        for k, v in got.items():
            if k.startswith("grad."):
                floor = max(want[k].norm().item(), 1e-4 * total)
                assert (v.double() - want[k].double()).norm().item() / floor < 2e-4, (case, k)
        return error

    def expected(self, case, config, state, inputs):
        want = self.run(config, state, inputs, torch.float64)
        want = {k: v.float().contiguous() for k, v in want.items()}
        error = self.verify(case, config, state, inputs, want)
        print(f"{case:20s} loss {want['loss'].item():8.4f}  |logits| {want['logits'].abs().max():7.2f}  "
              f"fp32 error {error:.1e}")
        return want

    def write_case(self, case, keys, weights_of, inputs, gradients=True):
        """weights_of: the directory that holds the weights (None: this one)."""
        path, config = fresh(self.out / case), self.config(keys)
        if weights_of is None:
            torch.manual_seed(0)
            model = self.model_class(config)
            randomize(model, f"{self.name}/{case}")
            model.save_pretrained(path)
            (path / "generation_config.json").unlink()
        else:
            model = self.model_class.from_pretrained(self.out / weights_of)
            config.architectures, config.dtype = [self.model_class.__name__], torch.float32
            config.save_pretrained(path)
            link(path / "model.safetensors", self.out / weights_of / "model.safetensors")
        write_tensors(path / "inputs.safetensors", inputs)
        want = self.expected(case, config, model.state_dict(), inputs)
        if weights_of and gradients is not True:
            base = load_file(self.out / weights_of / "expected.safetensors")
            assert any(base[k].shape != v.shape or relative(v, base[k]) > 1e-4 for k, v in want.items()), case
            want = {k: v for k, v in want.items() if k in ("logits", "loss") or k in gradients}
        write_tensors(path / "expected.safetensors", want)
        self.done.append(case)

    def write_models(self, models):
        """{name: (keys, name of the model whose weights it shares or None, gradients to be kept if not all)}; one
        that shares weights must differ in something."""
        for name, (keys, shared, *gradients) in models.items():
            inputs = self.plain_inputs(shared or name, self.config(keys))
            self.write_case(name, keys, shared, inputs, gradients)

    def write_file_form(self, case, base, change):
        """The weights of `base` in another form of file: change(path, tensors, keys of config.json) writes the
        weights and returns the keys. Expected are logits and loss."""
        path, base = fresh(self.out / case), self.out / base
        keys = change(path, load_file(base / "model.safetensors"), json.loads((base / "config.json").read_text()))
        (path / "config.json").write_text(json.dumps(keys, indent=2) + "\n")
        inputs = load_file(base / "inputs.safetensors")
        model = self.model_class.from_pretrained(path, dtype=torch.float32)
        want = self.expected(case, model.config, model.state_dict(), inputs)
        for f in path.glob("*.safetensors"):
            f.chmod(0o644)
        link(path / "inputs.safetensors", base / "inputs.safetensors")
        write_tensors(path / "expected.safetensors", {k: want[k] for k in ("logits", "loss")})
        self.done.append(case)

    def finish(self):
        write_lines(self.out / "cases.txt", self.done)


def save(path, tensors):
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})


def bfloat16(path, tensors, keys):
    save(path, {k: v.bfloat16() for k, v in tensors.items()})
    return dict(keys, dtype="bfloat16")


def holes():
    """Gaps that no window of 4 lies in whole."""
    mask = torch.ones(2, 18, dtype=torch.long)
    mask[0, 5:8] = 0
    mask[0, 15:] = 0
    mask[1, 1] = 0
    mask[1, 12:14] = 0
    return mask


