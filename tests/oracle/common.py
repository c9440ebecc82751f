"""Helpers shared by the scripts that make goldens.

Everything is seeded by name, so one golden can be changed without touching the others, and computed in
float64, so that what is stored is the mathematical answer rounded once to float32.
"""
import json
import os
import warnings
import zlib
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

os.environ.setdefault("TQDM_DISABLE", "1")

import torch  # noqa: E402
import transformers  # noqa: E402

warnings.filterwarnings("ignore", message="Using the model-agnostic default")

torch.set_num_threads(1)  # the models are tiny, and one thread gives the same bits everywhere
transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()

GOLDEN = Path(__file__).resolve().parent.parent / "golden"


def generator(name: str) -> torch.Generator:
    """A random stream of its own for each name."""
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def randomize(model, seed: str, std=0.25, embed_std=0.5, bias_std=0.2):
    """Noise in every parameter, so large that a missing bias, norm weight or scale shows in the result."""
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            noise = torch.randn(p.shape, generator=generator(f"{seed}/{name}"))
            if "norm" in name.lower() and name.endswith("weight"):
                p.copy_(1.0 + 0.3 * noise)
            elif any(part in name for part in ("wte", "wpe", "lm_head", "_embeddings", "embed_tokens")):
                p.copy_(embed_std * noise)
            elif name.endswith("bias"):
                p.copy_(bias_std * noise)
            elif ".ln_" in name:
                p.copy_(1.0 + 0.3 * noise)
            else:
                p.copy_(std * noise)


def link(path: Path, target: Path):
    """A relative symbolic link: one copy of the weights serves several cases."""
    path.unlink(missing_ok=True)
    path.symlink_to(os.path.relpath(target, path.parent))


def fresh(path: Path) -> Path:
    """An empty directory: old files of the same golden are removed."""
    if path.exists():
        for f in sorted(path.rglob("*"), reverse=True):
            f.unlink() if f.is_symlink() or f.is_file() else f.rmdir()
    path.mkdir(parents=True, exist_ok=True)
    return path


def dump(obj) -> str:
    return json.dumps(obj, separators=(",", ":"))


def write_lines(path: Path, lines):
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
