"""One training step of a model in PyTorch: tokens per second and peak memory, as JSON on stdout.

    peer.py --config DIR [--batch 2] [--seq 512] [--compile] [--dtype float32] [--threads 2] [--steps 8] [--warmup 2]

DIR holds a config.json. Its class decides on the step, as in `plait bench`: causal LM; masked LM with 15 % of the rows
labelled; conditional generation with span corruption's lengths for an encoder that reads `seq` tokens; classification.
Random weights, forward + backward + clipping at norm 1 + fused AdamW. bfloat16 is torch.autocast. Each run is a process
of its own, so that the peak is the peak of that run. cpu_share is the part of `threads` processors that it got: well
below 1, others used the machine and the figures are worth nothing.
"""
import argparse
import contextlib
import json
import os
import resource
import statistics
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--seq", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--attention", default="sdpa", choices=["sdpa", "eager"])
    return parser.parse_args()


def target_length(inputs, noise=0.15, mean_span=3.0):
    """Tokens that a decoder writes where its encoder reads `inputs` (span corruption)."""
    def lengths(tokens):
        words = round(tokens * noise)
        spans = round(words / mean_span)
        return tokens - words + spans + 1, words + spans + 1
    tokens = inputs
    while lengths(tokens + 1)[0] <= inputs:
        tokens += 1
    return lengths(tokens)[1]


def make_batch(torch, config, args):
    """What the model is called with, and its tokens."""
    def words(n):
        return torch.randint(0, config.vocab_size, (args.batch, n))
    ids = words(args.seq)
    name = config.architectures[0]
    if name.endswith("ForConditionalGeneration"):
        labels = words(target_length(args.seq))
        return dict(input_ids=ids, labels=labels), ids.numel() + labels.numel()
    if name.endswith("ForMaskedLM"):
        labels = torch.where(torch.rand(ids.shape) < 0.15, ids, -100)
    elif name.endswith("ForSequenceClassification"):
        labels = torch.randint(0, config.num_labels, (args.batch,))
    else:
        labels = ids
    return dict(input_ids=ids, labels=labels), ids.numel()


def make_model(transformers, config, attention):
    cls = getattr(transformers, config.architectures[0])
    try:
        return cls._from_config(config, attn_implementation=attention).train()
    except ValueError:  # it has no such attention
        return cls._from_config(config).train()


def main():
    args = parse()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    import torch
    import transformers

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    config = transformers.AutoConfig.from_pretrained(args.config)
    config.use_cache = False
    model = make_model(transformers, config, args.attention)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    batch, tokens = make_batch(torch, config, args)
    forward = torch.compile(model) if args.compile else model
    narrow = args.dtype == "bfloat16"

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16) if narrow else contextlib.nullcontext():
            loss = forward(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    seconds, cpu, losses = [], [], []
    for _ in range(args.warmup + args.steps):
        start, cpu_start = time.perf_counter(), time.process_time()
        losses.append(step())
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - cpu_start)
    median = statistics.median(seconds[args.warmup:])
    cpu_share = sum(cpu[args.warmup:]) / sum(seconds[args.warmup:]) / args.threads
    print(json.dumps(dict(
        program=f"pytorch {'compile' if args.compile else 'eager'}", model=args.config, dtype=args.dtype,
        batch=args.batch, seq=args.seq, pad_fraction=0.0, threads=args.threads, tokens_per_second=tokens / median,
        step_ms=1000 * median, fastest_step_ms=1000 * min(seconds[args.warmup:]),
        cpu_ms=1000 * statistics.mean(cpu[args.warmup:]), cpu_share=cpu_share,
        peak_rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        parameters=sum(p.numel() for p in model.parameters()), first_loss=losses[0], loss=losses[-1],
        versions=dict(torch=torch.__version__, transformers=transformers.__version__))))


if __name__ == "__main__":
    main()
