"""golden/weights: weights files of torch.save and of Flax, and what is in them.

    torch/*.bin        torch.save of one state dict in many ways
    flax/*             flax.serialization.to_bytes of the same, written by the MessagePack writer below, which follows
                       flax/serialization.py: neither Flax nor msgpack is needed
    expected.safetensors   the values, by plain names, float32 and contiguous

    gpt2*/                 a small GPT-2 as model.safetensors, pytorch_model.bin, flax_model.msgpack, and in shards; in
                           Flax with the names and orientations of transformers' FlaxGPT2LMHeadModel (Conv1D kernels
                           are (out, in) there)
"""
import io
import json
import pickle
import shutil
import struct
import zipfile
from collections import OrderedDict

import torch
from safetensors.torch import load_file, save_file

from common import GOLDEN, randomize, transformers

OUT = GOLDEN / "weights"


# ---- torch ----

def tensors():
    torch.manual_seed(7)
    base = torch.randn(6, 8)
    d = OrderedDict()
    d["matrix"] = torch.randn(3, 5)
    d["scalar"] = torch.tensor(2.5)
    d["empty"] = torch.zeros(0, 4)
    d["half"] = torch.randn(4, 3).half()
    d["bfloat16"] = torch.randn(4, 3).bfloat16()
    d["double"] = torch.randn(2, 2).double()
    d["shared"] = base  # one storage under four names
    d["view"] = base[1:5, 2:6]
    d["transposed"] = base.t()
    d["steps"] = base[::2, ::3]
    d["expanded"] = torch.randn(4, 1).expand(4, 3)
    d["permuted"] = torch.randn(2, 3, 4).permute(2, 0, 1)
    d["parameter"] = torch.nn.Parameter(torch.randn(2, 3))
    d["ids"] = torch.arange(5)
    d["flags"] = torch.tensor([True, False])
    return d


def write_torch():
    d = tensors()
    for protocol in (2, 3, 4, 5):
        torch.save(d, OUT / f"torch/protocol{protocol}.bin", pickle_protocol=protocol)
    torch.save(d, OUT / "torch/legacy.bin", _use_new_zipfile_serialization=False)
    torch.save(dict(d), OUT / "torch/legacy4.bin", _use_new_zipfile_serialization=False, pickle_protocol=4)
    module = torch.nn.Linear(3, 2)  # its state dict has _metadata, and the pickle a BUILD
    with torch.no_grad():
        module.weight.copy_(torch.arange(6.0).reshape(2, 3))
        module.bias.copy_(torch.tensor([7.0, 8.0]))
    torch.save(module.state_dict(), OUT / "torch/module.bin")
    eight = {"eight": torch.tensor([1.0, 2.0, 3.0]).to(torch.float8_e4m3fn), "matrix": d["matrix"]}
    torch.save(eight, OUT / "torch/float8.bin")  # _rebuild_tensor_v3 over an UntypedStorage or a v2: as torch likes
    extra = {"epoch": 3, "matrix": d["matrix"], "names": ["a", "b"], "rate": 0.1, "big": 2**70, "none": None}
    torch.save(extra, OUT / "torch/extra.bin")

    expected = {k: v.detach().float().contiguous().clone() for k, v in d.items() if v.is_floating_point()}
    save_file(expected, OUT / "expected.safetensors")
    for path in sorted((OUT / "torch").glob("*.bin")):
        torch.load(path, weights_only=path.stem not in ("protocol4", "protocol5", "legacy4"))  # it knows 2 and 3


class Evil:
    def __reduce__(self):
        import os
        return os.system, ("echo executed >executed",)


def write_zip(name, entries, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(OUT / "refused" / name, "w", method) as z:
        for entry, content in entries.items():
            info = zipfile.ZipInfo(entry)  # without the time of today
            info.compress_type = method
            z.writestr(info, content)


def write_refused():
    torch.save({"weight": torch.zeros(2), "evil": Evil()}, OUT / "refused/system.bin")
    whole = io.BytesIO()
    torch.save({"weight": torch.ones(64)}, whole)
    with zipfile.ZipFile(whole) as z:
        entries = {name: z.read(name) for name in z.namelist()}
    write_zip("compressed.bin", entries, zipfile.ZIP_DEFLATED)
    write_zip("big.bin", {k: b"big" if k.endswith("byteorder") else v for k, v in entries.items()})
    write_zip("other.bin", {"readme.txt": b"not from torch"})
    torch.save({1: torch.ones(2)}, OUT / "refused/number.bin")
    torch.save(torch.nn.Linear(2, 2), OUT / "refused/module.bin")
    torch.save({"state_dict": {"weight": torch.ones(2)}, "epoch": 1}, OUT / "refused/nested.bin")
    torch.save(torch.eye(2).to_sparse(), OUT / "refused/sparse.bin")
    with open(OUT / "refused/plain.bin", "wb") as f:
        pickle.dump({"weight": [1, 2, 3], "bias": "none of torch.save's"}, f)


# ---- zip64: the same archive with 64-bit records, by hand ----

def entry64(name, content, at):
    extra = struct.pack("<HHQQ", 1, 16, len(content), len(content))
    local = struct.pack("<IHHHHHIIIHH", 0x04034B50, 45, 0, 0, 0, 0, zipfile.crc32(content), 0xFFFFFFFF, 0xFFFFFFFF,
                        len(name), len(extra)) + name + extra + content
    extra = struct.pack("<HHQQQ", 1, 24, len(content), len(content), at)
    central = struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 45, 45, 0, 0, 0, 0, zipfile.crc32(content), 0xFFFFFFFF,
                          0xFFFFFFFF, len(name), len(extra), 0, 0, 0, 0, 0xFFFFFFFF) + name + extra
    return local, central


def write_zip64(source, target):
    body, directory, count = b"", b"", 0
    with zipfile.ZipFile(source) as z:
        for name in z.namelist():
            local, central = entry64(name.encode(), z.read(name), len(body))
            body, directory, count = body + local, directory + central, count + 1
    end64 = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, len(directory), len(body))
    locator = struct.pack("<IIQI", 0x07064B50, 0, len(body) + len(directory), 1)
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    target.write_bytes(body + directory + end64 + locator + end)
    torch.load(target, weights_only=True)


# ---- MessagePack ----

def pack(v):
    if v is None:
        return b"\xc0"
    if isinstance(v, bool):
        return b"\xc3" if v else b"\xc2"
    if isinstance(v, int):
        if 0 <= v < 128:
            return bytes([v])
        return struct.pack(">BH", 0xCD, v) if v < 1 << 16 else struct.pack(">BQ", 0xCF, v)
    if isinstance(v, float):
        return struct.pack(">Bd", 0xCB, v)
    if isinstance(v, str):
        b = v.encode()
        return (bytes([0xA0 | len(b)]) if len(b) < 32 else struct.pack(">BB", 0xD9, len(b))) + b
    if isinstance(v, bytes):
        return (struct.pack(">BB", 0xC4, len(v)) if len(v) < 256 else struct.pack(">BI", 0xC6, len(v))) + v
    if isinstance(v, (list, tuple)):
        return bytes([0x90 | len(v)]) + b"".join(map(pack, v))
    if isinstance(v, dict):
        head = bytes([0x80 | len(v)]) if len(v) < 16 else struct.pack(">BH", 0xDE, len(v))
        return head + b"".join(pack(k) + pack(x) for k, x in v.items())
    return ext(1, v)


def ext(kind, t):
    name = str(t.dtype).removeprefix("torch.")
    raw = t.contiguous().view(torch.uint8).numpy().tobytes() if t.ndim else t.reshape(1).view(torch.uint8).numpy().tobytes()
    content = pack([list(t.shape), name, raw])
    if len(content) in (1, 2, 4, 8, 16):
        return struct.pack(">Bb", 0xD4 + (len(content).bit_length() - 1), kind) + content
    if len(content) < 256:
        return struct.pack(">BBb", 0xC7, len(content), kind) + content
    return struct.pack(">BIb", 0xC9, len(content), kind) + content


class Scalar:
    def __init__(self, t):
        self.t = t


def pack_tree(tree):
    if isinstance(tree, dict):
        head = bytes([0x80 | len(tree)]) if len(tree) < 16 else struct.pack(">BH", 0xDE, len(tree))
        return head + b"".join(pack(k) + pack_tree(v) for k, v in tree.items())
    return ext(3, tree.t) if isinstance(tree, Scalar) else pack(tree)


def chunked(t, size):
    flat = t.reshape(-1)
    parts = [flat[i:i + size] for i in range(0, flat.numel(), size)]
    return {"__msgpack_chunked_array__": True, "shape": {str(i): n for i, n in enumerate(t.shape)},
            "chunks": {str(i): p for i, p in enumerate(parts)}}


def put(tree, path, value):
    *folders, leaf = path.split(".")
    for folder in folders:
        tree = tree.setdefault(folder, {})
    tree[leaf] = value


def write_flax():
    torch.manual_seed(8)
    values, tree = {}, {}

    def leaf(path, name, t, stored=None):
        values[name] = t.float().contiguous().clone()
        put(tree, path, t if stored is None else stored)

    a, b = torch.randn(5, 3), torch.randn(7, 4)
    leaf("dense.kernel", "dense.weight", a.t(), a)
    leaf("dense.bias", "dense.bias", torch.randn(5))
    leaf("norm.scale", "norm.weight", torch.randn(4).bfloat16())
    leaf("embed.embedding", "embed.weight", torch.randn(6, 4).half())
    leaf("t5_norm.weight", "t5_norm.weight", torch.randn(4).double())
    conv = torch.randn(2, 3, 4, 5)
    leaf("conv.kernel", "conv.weight", conv.permute(3, 2, 0, 1), conv)
    line = torch.randn(2, 3, 4)
    leaf("line.kernel", "line.weight", line.permute(2, 1, 0), line)
    leaf("chunked.kernel", "chunked.weight", b.t(), chunked(b, 5))
    leaf("scalar", "scalar", torch.tensor(0.5), Scalar(torch.tensor(0.5)))
    put(tree, "step", 70000)
    put(tree, "name", "not a tensor")
    put(tree, "rate", 0.25)
    put(tree, "list", [1, 2, [3, None, True]])
    (OUT / "flax/all.msgpack").write_bytes(pack_tree(tree))
    (OUT / "flax/params.msgpack").write_bytes(pack_tree({"params": tree}))
    save_file(values, OUT / "flax/expected.safetensors")


# ---- model directories ----

def flax_name(name, t):
    base, leaf = name.rsplit(".", 1)
    if leaf == "bias":
        return name, t
    if t.ndim == 2 and base.endswith(("wte", "wpe")):
        return base + ".embedding", t
    return (base + ".kernel", t.t().contiguous()) if t.ndim == 2 else (base + ".scale", t)


def write_models():
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(
        vocab_size=40, n_positions=16, n_embd=12, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0))
    randomize(model, "weights")
    for name in ("gpt2", "gpt2_bin", "gpt2_bin_shards", "gpt2_flax", "gpt2_flax_shards"):
        model.config.architectures = ["GPT2LMHeadModel"]
        model.config.save_pretrained(OUT / name)
    model.save_pretrained(OUT / "gpt2")
    (OUT / "gpt2/generation_config.json").unlink()
    weights = load_file(OUT / "gpt2/model.safetensors")
    tied = OrderedDict(weights)
    tied["lm_head.weight"] = tied["transformer.wte.weight"]
    torch.save(tied, OUT / "gpt2_bin/pytorch_model.bin")

    order = sorted(weights)
    halves = [order[:len(order) // 2], order[len(order) // 2:]]
    index = {"metadata": {"total_size": sum(t.numel() * 4 for t in weights.values())}, "weight_map": {}}
    for i, half in enumerate(halves):
        file = f"pytorch_model-0000{i + 1}-of-00002.bin"
        torch.save({k: weights[k] for k in half}, OUT / "gpt2_bin_shards" / file)
        index["weight_map"].update({k: file for k in half})
    (OUT / "gpt2_bin_shards/pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2) + "\n")

    tree = {}
    for k in order:
        put(tree, *flax_name(k, weights[k]))
    (OUT / "gpt2_flax/flax_model.msgpack").write_bytes(pack_tree(tree))
    index["weight_map"] = {}
    for i, half in enumerate(halves):
        file, tree = f"flax_model-0000{i + 1}-of-00002.msgpack", {}
        for k in half:
            path, t = flax_name(k, weights[k])
            put(tree, path, t)
            index["weight_map"][path.replace(".", "/")] = file
        (OUT / "gpt2_flax_shards" / file).write_bytes(pack_tree(tree))
    (OUT / "gpt2_flax_shards/flax_model.msgpack.index.json").write_text(json.dumps(index, indent=2) + "\n")


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    for folder in ("torch", "flax", "refused"):
        (OUT / folder).mkdir(parents=True)
    write_torch()
    write_zip64(OUT / "torch/protocol2.bin", OUT / "torch/zip64.bin")
    write_refused()
    write_flax()
    write_models()


main()
