"""Prints the runs in a JSON-lines file as a table: speed and memory, and both as a ratio to PyTorch eager.

A line has program (plait's may leave it out), batch, seq, tokens_per_second, step_ms and peak_rss_bytes.
"""
import json
import sys


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        runs = [json.loads(line) for line in f if line.strip()]
    print("shape        program             tokens/s   step ms  fastest  peak GB   speed  memory  cpu share")
    for run in runs:
        same = [r for r in runs if (r["batch"], r["seq"]) == (run["batch"], run["seq"])]
        eager = next((r for r in same if r.get("program") == "pytorch eager"), None)
        speed = memory = float("nan")
        if eager:
            speed = run["tokens_per_second"] / eager["tokens_per_second"]
            memory = run["peak_rss_bytes"] / eager["peak_rss_bytes"]
        shape = f"B={run['batch']} T={run['seq']}"
        program = run.get("program", "plait") + (", recompute" if run.get("recompute") == "full" else "")
        print(f"{shape:12s} {program:18s} {run['tokens_per_second']:9.1f} {run['step_ms']:9.0f} "
              f"{run.get('fastest_step_ms', float('nan')):8.0f} {run['peak_rss_bytes'] / 1e9:8.2f} "
              f"{speed:7.2f} {memory:7.2f} {run.get('cpu_share', float('nan')):10.2f}")


if __name__ == "__main__":
    sys.exit(main())
