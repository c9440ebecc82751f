"""Opens a directory that plait wrote with transformers, and compares:

    check_run.py RUN [--plait build/release/plait] [--roundtrip]

  * AutoModelForCausalLM.from_pretrained: nothing missing, nothing unexpected, no shape of its own
  * len(AutoTokenizer) is the config's vocab_size, its eos the config's
  * ids of the hard lines (tests/golden/tokenizer/lines.jsonl) equal `plait tokenizer encode`, and the text of
    these ids equals `plait tokenizer decode`
  * logits, loss and gradients equal `plait forward --grad`
  * greedy output equals `plait generate`

and with --roundtrip, what transformers saves again opens in plait and gives the same logits. Prints a line
per check and exits 1 when one fails.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from common import GOLDEN, dump, generator, write_lines

LINES = GOLDEN / "tokenizer" / "lines.jsonl"
LOGITS, GRADIENT, GRADIENT_FLOOR = 2e-5, 1e-3, 1e-4


class Checks:
    def __init__(self):
        self.failed = 0

    def __call__(self, good, what, detail=""):
        print(f"{'ok  ' if good else 'FAIL'} {what}{': ' + detail if detail else ''}")
        self.failed += not good


def plait(args, *command):
    done = subprocess.run([args.plait, *map(str, command)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"plait {' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def relative(a, b, floor=1e-30):
    return ((a.double() - b.double()).norm() / max(b.double().norm().item(), floor)).item()


def check_tokenizer(args, check, work):
    tokenizer = AutoTokenizer.from_pretrained(args.run)
    config = json.loads((args.run / "config.json").read_text())
    check(len(tokenizer) == config["vocab_size"], "len(tokenizer) is vocab_size",
          f"{len(tokenizer)}, {config['vocab_size']}")
    check(tokenizer.eos_token_id == config["eos_token_id"], "eos",
          f"{tokenizer.eos_token_id}, {config['eos_token_id']}")
    texts = [json.loads(line) for line in LINES.read_text().rstrip("\n").split("\n")]
    plait(args, "tokenizer", "encode", "--tokenizer_name", args.run, "--input", LINES, "--output",
          work / "ids")
    got = [json.loads(line) for line in (work / "ids").read_text().rstrip("\n").split("\n")]
    want = [tokenizer(t)["input_ids"] for t in texts]
    wrong = [i for i, (g, w) in enumerate(zip(got, want)) if g != w]
    check(len(got) == len(want) and not wrong, f"ids of {len(want)} lines",
          f"first differing line {texts[wrong[0]]!r}: {got[wrong[0]]}, {want[wrong[0]]}" if wrong else "")
    for flag, skip in (([], True), (["--no_skip_special_tokens"], False)):
        plait(args, "tokenizer", "decode", "--tokenizer_name", args.run, "--input", work / "ids", "--output",
              work / "text", *flag)
        got = [json.loads(line) for line in (work / "text").read_text().rstrip("\n").split("\n")]
        check(got == [tokenizer.decode(w, skip_special_tokens=skip) for w in want],
              f"text of these ids, skip_special_tokens={skip}")
    return tokenizer


def example(config):
    """Three rows, two of them padded."""
    length = min(config.max_position_embeddings, 48)
    g = generator("check_run")
    ids = torch.randint(0, config.vocab_size, (3, length), generator=g)
    mask = torch.ones_like(ids)
    if config.model_type != "gpt_neo":  # whose rows without any key average over keys in transformers
        mask[1, length - 9:] = 0
        mask[2, :5] = 0
    labels = ids.masked_fill(mask == 0, -100)
    labels[2, 5] = -100  # its prediction would come from a row that sees no key
    return dict(input_ids=ids, attention_mask=mask, labels=labels)


def check_forward(args, check, work, model, where):
    inputs = example(model.config)
    save_file(inputs, work / "in.safetensors")
    plait(args, "forward", "--model_name_or_path", where, "--inputs", work / "in.safetensors", "--output",
          work / "out.safetensors", "--grad")
    got = load_file(work / "out.safetensors")
    model.double().zero_grad()
    out = model(**{k: v for k, v in inputs.items() if k != "labels"})
    logits, labels = out.logits, inputs["labels"][:, 1:].reshape(-1)
    flat = logits[:, :-1].reshape(len(labels), -1)
    loss = torch.nn.functional.cross_entropy(flat, labels, ignore_index=-100)
    loss.backward()
    error = relative(got["logits"], logits.detach())
    check(error < LOGITS, "logits", f"{error:.1e}")
    error = relative(got["loss"], loss.detach().reshape(1))
    check(error < LOGITS, "loss", f"{error:.1e}")
    grads = {f"grad.{n}": p.grad for n, p in model.named_parameters()}
    total = torch.stack([g.norm() for g in grads.values()]).norm().item()
    missing = sorted(set(grads) ^ {k for k in got if k.startswith("grad.")})
    check(not missing, "names of gradients", ", ".join(missing[:4]))
    errors = {n: relative(got[n], g, GRADIENT_FLOOR * total) for n, g in grads.items() if n in got}
    worst = max(errors, key=errors.get)
    check(errors[worst] < GRADIENT, f"{len(errors)} gradients", f"{errors[worst]:.1e} in {worst}")
    model.float()


def check_generate(args, check, work, model):
    g = generator("check_run/prompts")
    prompts = [torch.randint(0, model.config.vocab_size, (n,), generator=g).tolist() for n in (4, 9)]
    new = min(16, model.config.max_position_embeddings - 10)
    write_lines(work / "prompts", map(dump, prompts))
    plait(args, "generate", "--model_name_or_path", args.run, "--input_ids", work / "prompts", "--output",
          work / "generated", "--max_new_tokens", new, "--num_beams", 1, "--do_sample", "false")
    got = [json.loads(line)["ids"] for line in (work / "generated").read_text().rstrip("\n").split("\n")]
    for prompt, ids in zip(prompts, got):
        options = dict(max_new_tokens=new, do_sample=False, num_beams=1)
        want = model.generate(torch.tensor([prompt]), **options)[0].tolist()
        check(ids[:len(want)] == want, f"greedy after {len(prompt)} tokens", f"{ids[len(prompt):]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--plait", default=str(GOLDEN.parent.parent / "build" / "release" / "plait"))
    parser.add_argument("--roundtrip", action="store_true")
    args = parser.parse_args()
    check = Checks()
    model, info = AutoModelForCausalLM.from_pretrained(args.run, dtype=torch.float32, output_loading_info=True)
    model.eval()
    wrong = {k: v for k, v in info.items() if v}
    check(not wrong, "transformers loads every parameter", str(wrong) if wrong else "")
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        tokenizer = check_tokenizer(args, check, work)
        check_forward(args, check, work, model, args.run)
        check_generate(args, check, work, model)
        if args.roundtrip:
            model.save_pretrained(work / "again")
            tokenizer.save_pretrained(work / "again")
            check_forward(args, check, work, model, work / "again")
    print(f"{check.failed} failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
