"""Goldens for learning rates: golden/train/lr.jsonl, one line a case: the schedule's name, its arguments, and
the rate of each step, a few beyond the last, from transformers' get_scheduler."""
import json
import sys

import torch
from transformers import get_scheduler

from common import GOLDEN, write_lines

OUT = GOLDEN / "train"
PEAK = 3e-3
CASES = [
    ("linear", 5, 17, {}),
    ("linear", 0, 3, {}),
    ("linear", 9, 9, {}),
    ("constant", 4, 9, {}),
    ("constant_with_warmup", 4, 9, {}),
    ("cosine", 4, 19, {}),
    ("cosine", 0, 8, {"num_cycles": 1.5}),
    ("cosine_with_restarts", 2, 17, {"num_cycles": 3}),
    ("cosine_with_restarts", 3, 11, {}),
    ("polynomial", 3, 13, {}),
    ("polynomial", 2, 13, {"power": 2.5, "lr_end": 1e-4}),
    ("inverse_sqrt", 5, 14, {}),
    ("inverse_sqrt", 0, 6, {}),
    ("inverse_sqrt", 3, 9, {"timescale": 7}),
    ("cosine_with_min_lr", 3, 15, {"min_lr": 5e-4}),
    ("cosine_with_min_lr", 3, 15, {"min_lr_rate": 0.25, "num_cycles": 1.0}),
    ("cosine_warmup_with_min_lr", 4, 15, {"min_lr_rate": 0.1}),
    ("cosine_warmup_with_min_lr", 4, 15, {"min_lr": 1e-4, "warmup_lr_rate": 0.3}),
    ("warmup_stable_decay", 4, 20, {"num_decay_steps": 6}),
    ("warmup_stable_decay", 4, 20, {"num_decay_steps": 6, "num_stable_steps": 5, "min_lr_ratio": 0.2,
                                    "warmup_type": "cosine", "decay_type": "linear"}),
    ("warmup_stable_decay", 4, 20, {"num_decay_steps": 9, "warmup_type": "1-sqrt", "decay_type": "1-sqrt"}),
]


def rates(name, warmup, total, arguments):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    schedule = get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=total,
                             scheduler_specific_kwargs=dict(arguments))
    out = []
    for _ in range(total + 3):
        out.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return out


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    write_lines(OUT / "lr.jsonl", [
        json.dumps(dict(name=name, peak=PEAK, warmup=warmup, total=total, arguments=json.dumps(arguments),
                        rates=rates(name, warmup, total, arguments)))
        for name, warmup, total, arguments in CASES])


if __name__ == "__main__":
    sys.exit(main())
