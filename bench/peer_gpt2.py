"""One training step of GPT-2 124M in PyTorch: tokens per second and peak memory, as JSON on stdout.

    peer_gpt2.py --batch 2 --seq 512 [--compile] [--threads 2] [--steps 8] [--warmup 2]

fp32, random weights, dropout 0, forward + backward + clipping at norm 1 + fused AdamW: what `plait bench --model gpt2`
does. Each run is a process of its own, so that the peak is the peak of that run. cpu_share is the part of `threads`
processors that it got: well below 1, others used the machine and the figures are worth nothing.
"""
import argparse
import json
import os
import resource
import statistics
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--seq", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--attention", default="sdpa", choices=["sdpa", "eager"])
    return parser.parse_args()


def main():
    args = parse()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    import torch
    import transformers

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    off = dict(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    config = transformers.GPT2Config(use_cache=False, **off)
    model = transformers.GPT2LMHeadModel._from_config(config, attn_implementation=args.attention).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    ids = torch.randint(0, config.vocab_size, (args.batch, args.seq))
    forward = torch.compile(model) if args.compile else model

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = forward(input_ids=ids, labels=ids).loss
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
        program=f"pytorch {'compile' if args.compile else 'eager'}", batch=args.batch, seq=args.seq,
        threads=args.threads, step_ms=1000 * median, tokens_per_second=args.batch * args.seq / median,
        cpu_share=cpu_share, first_step_ms=1000 * seconds[0], fastest_step_ms=1000 * min(seconds[args.warmup:]),
        peak_rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        parameters=sum(p.numel() for p in model.parameters()), first_loss=losses[0], last_loss=losses[-1],
        versions=dict(torch=torch.__version__, transformers=transformers.__version__))))


if __name__ == "__main__":
    main()
