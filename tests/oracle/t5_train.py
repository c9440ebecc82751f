"""Goldens for training encoder and decoder: 40 AdamW steps of a small gated T5 with a head of its own.

tests/golden/t5/train40/ holds the model directory model/, rows.jsonl (input_ids of different lengths; labels: the
same backwards) and expected.json with the curve "plain": loss and norm of the gradient before clipping. 4 rows a step in file
order; the loss is the mean over the labels of a step. Options are those of gpt2_train.py. All in float64; a
float32 run is checked to follow.
"""
import sys

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from transformers import T5Config, T5ForConditionalGeneration, get_linear_schedule_with_warmup

from common import GOLDEN, dump, fresh, generator, write_lines
from gpt2_train import OPTIONS, optimizer_of, worst, write_curve

OUT = GOLDEN / "t5" / "train40"
VOCAB, EOS = 40, 1


def make_rows():
    g = generator("t5/train40/rows")
    lengths = torch.randint(2, 14, (160,), generator=g).tolist()
    rows = [torch.randint(2, VOCAB, (n,), generator=g) for n in lengths]
    end = torch.tensor([EOS])
    return [(torch.cat([r, end]), torch.cat([r.flip(0), end])) for r in rows]


def train(dtype, rows):
    model = T5ForConditionalGeneration.from_pretrained(OUT / "model", dtype=torch.float32).to(dtype).train()
    optimizer, out = optimizer_of(model), []
    schedule = get_linear_schedule_with_warmup(optimizer, OPTIONS["warmup_steps"], OPTIONS["max_steps"])
    for step in range(OPTIONS["max_steps"]):
        inputs, labels = zip(*rows[4 * step:4 * step + 4])
        mask = pad_sequence([torch.ones_like(i) for i in inputs], batch_first=True)
        optimizer.zero_grad()
        loss = model(input_ids=pad_sequence(inputs, batch_first=True), attention_mask=mask,
                     labels=pad_sequence(labels, batch_first=True, padding_value=-100)).loss
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), OPTIONS["max_grad_norm"])
        optimizer.step()
        schedule.step()
        out.append((loss.item(), norm.item()))
    return out


def main():
    fresh(OUT)
    torch.manual_seed(40)
    config = T5Config(vocab_size=VOCAB, d_model=24, d_kv=6, d_ff=36, num_layers=2, num_decoder_layers=2, num_heads=4,
                      feed_forward_proj="gated-gelu", tie_word_embeddings=False, dropout_rate=0.0,
                      relative_attention_num_buckets=8, relative_attention_max_distance=10, decoder_start_token_id=0)
    model = T5ForConditionalGeneration(config)
    noise = torch.randn(VOCAB, 24, generator=generator("t5/train40/head"))
    model.lm_head.weight = nn.Parameter(0.1 * noise)
    model.save_pretrained(OUT / "model")
    (OUT / "model" / "generation_config.json").unlink()
    (OUT / "model" / "model.safetensors").chmod(0o644)
    rows = make_rows()
    write_lines(OUT / "rows.jsonl", [dump({"input_ids": i.tolist(), "labels": n.tolist()}) for i, n in rows])
    want, single = (train(dtype, rows) for dtype in (torch.float64, torch.float32))
    for k, bound in ((0, 2e-4), (1, 2e-3)):
        assert worst([s[k] for s in single], [w[k] for w in want]) < bound, k
    assert sum(w[0] for w in want[-5:]) / 5 < 0.92 * want[0][0] and any(n > 1 for _, n in want), want
    print(f"t5: loss {want[0][0]:.4f} -> {want[-1][0]:.4f}")
    write_curve(OUT, want)


if __name__ == "__main__":
    sys.exit(main())
