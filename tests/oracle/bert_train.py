"""Goldens for training encoders: 40 AdamW steps of a small masked-LM BERT and RoBERTa.

tests/golden/<family>/train40/ holds the model directory model/, rows.jsonl (input_ids with masks, labels) and
expected.json with the curve "plain": loss and norm of the gradient before clipping. 4 rows a step in file order; the loss is the
mean over the labels of a step. Options are those of gpt2_train.py. All in float64; a float32 run is checked to
follow.
"""
import sys

import torch
import transformers
from torch import nn
from transformers import get_linear_schedule_with_warmup

from common import GOLDEN, dump, fresh, generator, write_lines
from gpt2_train import BLOCK, OPTIONS, ROWS, VOCAB, markov_rows, optimizer_of, worst, write_curve

MASK = 4


def masked(family, ids):
    """15 % of the tokens carry a label: most are masked, some are others, some stay. One row has no label."""
    g = generator(f"{family}/train40/masks")
    chosen, how = torch.rand(ids.shape, generator=g) < 0.15, torch.rand(ids.shape, generator=g)
    chosen[7] = False
    labels = ids.masked_fill(~chosen, -100)
    other = torch.randint(5, VOCAB, ids.shape, generator=g)
    inputs = torch.where(chosen & (how < 0.8), MASK, torch.where(chosen & (how > 0.9), other, ids))
    return inputs, labels


def train(path, cls, dtype, inputs, labels):
    model = cls.from_pretrained(path, dtype=torch.float32).to(dtype).train()
    optimizer, out = optimizer_of(model), []
    schedule = get_linear_schedule_with_warmup(optimizer, OPTIONS["warmup_steps"], OPTIONS["max_steps"])
    for step in range(OPTIONS["max_steps"]):
        rows = slice(4 * step, 4 * step + 4)
        optimizer.zero_grad()
        loss = model(input_ids=inputs[rows], labels=labels[rows]).loss
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), OPTIONS["max_grad_norm"])
        optimizer.step()
        schedule.step()
        out.append((loss.item(), norm.item()))
    return out


def main():
    for family, prefix, pad in (("bert", "Bert", 0), ("roberta", "Roberta", 1)):
        out = fresh(GOLDEN / family / "train40")
        torch.manual_seed(40)
        config = getattr(transformers, f"{prefix}Config")(
            vocab_size=VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
            max_position_embeddings=BLOCK + 2, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, pad_token_id=pad)
        cls = getattr(transformers, f"{prefix}ForMaskedLM")
        cls(config).save_pretrained(out / "model")
        (out / "model" / "generation_config.json").unlink(missing_ok=True)
        (out / "model" / "model.safetensors").chmod(0o644)
        inputs, labels = masked(family, markov_rows(f"{family}/train40", ROWS).clamp_min(5))
        write_lines(out / "rows.jsonl", [dump({"input_ids": i, "labels": n})
                                         for i, n in zip(inputs.tolist(), labels.tolist())])
        want, single = (train(out / "model", cls, dtype, inputs, labels) for dtype in (torch.float64, torch.float32))
        for k, bound in ((0, 2e-4), (1, 2e-3)):
            assert worst([s[k] for s in single], [w[k] for w in want]) < bound, (family, k)
        assert want[-1][0] < 0.9 * want[0][0] and any(n > 1 for _, n in want), want
        print(f"{family}: loss {want[0][0]:.4f} -> {want[-1][0]:.4f}")
        write_curve(out, want)


if __name__ == "__main__":
    sys.exit(main())
