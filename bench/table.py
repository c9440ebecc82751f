"""Prints the runs in a JSON-lines file as a table: speed and memory, and both as a ratio to PyTorch eager of the same
model and shape, in the same dtype where that was run.

A line has model, program, dtype, batch, seq, pad_fraction, tokens_per_second, step_ms and peak_rss_bytes. Runs with
padding are compared with the same program's run without.
"""
import json
import os
import sys


def shape(run):
    return run["model"], run["batch"], run["seq"]


def peer_of(runs, run):
    peers = [r for r in runs if r["program"] == "pytorch eager" and shape(r) == shape(run)]
    return next((r for r in peers if r["dtype"] == run["dtype"]), peers[0] if peers else None)


def full_of(runs, run):
    return next((r for r in runs if shape(r) == shape(run) and r["pad_fraction"] == 0 and
                 all(r.get(k) == run.get(k) for k in ("program", "dtype", "recompute"))), None)


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        runs = [json.loads(line) for line in f if line.strip()]
    print("model               shape        dtype    program            tokens/s   step ms  fastest    cpu ms  peak GB"
          "   speed  memory  cpu share")
    for run in (r for r in runs if r["pad_fraction"] == 0):
        peer = peer_of(runs, run)
        speed = memory = float("nan")
        if peer:
            speed = peer["step_ms"] / run["step_ms"]
            memory = run["peak_rss_bytes"] / peer["peak_rss_bytes"]
        text = f"B={run['batch']} T={run['seq']}"
        program = run["program"] + (", recompute" if run.get("recompute") == "full" else "")
        print(f"{os.path.basename(run['model']):19s} {text:12s} {run['dtype']:8s} {program:16s} "
              f"{run['tokens_per_second']:10.1f} {run['step_ms']:9.0f} {run['fastest_step_ms']:8.0f} "
              f"{run['cpu_ms']:9.0f} {run['peak_rss_bytes'] / 1e9:8.2f} {speed:7.2f} {memory:7.2f} "
              f"{run['cpu_share']:10.2f}")
    for run in (r for r in runs if r["pad_fraction"] > 0):
        full = full_of(runs, run)
        if full:
            print(f"{os.path.basename(run['model'])} B={run['batch']} T={run['seq']}, {run['pad_fraction']:.0%} padding: "
                  f"{run['step_ms'] / full['step_ms']:.2f} of the time of full rows, "
                  f"{run['cpu_ms'] / full['cpu_ms']:.2f} of the processors' time")


if __name__ == "__main__":
    sys.exit(main())
