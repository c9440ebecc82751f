"""Goldens for `plait forward` on GPT-Neo: see decoders.py. transformers has no sdpa for it, and query rows that
see no key (padding, all of the window masked) average over keys there: the case "blank"."""
import sys

import torch
from transformers import GPTNeoConfig, GPTNeoForCausalLM

from decoders import Family, bfloat16, holes, link, save
from gpt2 import mask_of

TYPES = [[["global", "local"], 1]]
SMALL = dict(vocab_size=48, hidden_size=32, num_layers=2, num_heads=4, intermediate_size=40, window_size=4,
             max_position_embeddings=24, attention_types=TYPES)
MODELS = {
    # name: (config keys, name of the model whose weights it shares or None, gradients that are kept then)
    "plain": (SMALL, None),
    "inner_null": (dict(SMALL, hidden_size=27, num_heads=3, intermediate_size=None), None),
    "untied": (dict(SMALL, tie_word_embeddings=False), None),
    "layers": (dict(SMALL, num_layers=3, attention_types=[[["local"], 2], [["global"], 1]]), None),
    "global": (dict(SMALL, attention_types=[[["global"], 2]]), "plain"),
    "window_1": (dict(SMALL, window_size=1), "plain", "grad.transformer.h.1.attn.attention.v_proj.weight"),
    "window_7": (dict(SMALL, window_size=7), "plain"),
    "eps": (dict(SMALL, layer_norm_epsilon=1e-2), "plain"),
    "act_relu": (dict(SMALL, activation_function="relu"), "plain"),
}


def hub_names(path, tensors, keys):
    """As GPT-Neo was published: each layer with its mask as a buffer, a copy of the table as head; only
    attention_layers says what the layers are."""
    n = keys["max_position_embeddings"]
    for i in range(keys["num_layers"]):
        tensors[f"transformer.h.{i}.attn.attention.bias"] = torch.ones(n, n, dtype=torch.uint8).tril()[None, None]
        tensors[f"transformer.h.{i}.attn.attention.masked_bias"] = torch.tensor(-1e9)
    tensors["lm_head.weight"] = tensors["transformer.wte.weight"].clone()
    save(path, tensors)
    del keys["attention_types"], keys["dtype"]
    return dict(keys, torch_dtype="float32", attention_layers=["global", "local"], gradient_checkpointing=False)


def base_names(path, tensors, keys):
    save(path, {k.removeprefix("transformer."): v for k, v in tensors.items()})
    return keys


def both_keys(path, tensors, keys):
    """attention_layers holds where attention_types says something else; dropouts change nothing here."""
    link(path / "model.safetensors", path.parent / "plain" / "model.safetensors")
    return dict(keys, attention_layers=["local", "global"], attention_types=[[["global"], 2]], resid_dropout=0.1,
                embed_dropout=0.1, attention_dropout=0.1)


def blank(family, config):
    """Padding before the row, wide in the middle, after it: more of it than the window; labels of the first
    tokens, which rows of padding predict."""
    mask = torch.ones(3, 17, dtype=torch.long)
    mask[0, :7] = mask[1, 4:11] = mask[2, 9:] = 0
    ids = family.ids("blank", config, *mask.shape)
    return dict(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100))


def main():
    family = Family("gpt_neo", GPTNeoConfig, GPTNeoForCausalLM)
    family.write_models(MODELS)
    config = family.config(SMALL)
    for name, mask in (("pad_right", mask_of(17, [0, 2, 3], False)), ("mask_hole", holes())):
        family.write_case(name, SMALL, "plain", family.masked(name, config, mask))
    family.write_case("blank", SMALL, "plain", blank(family, config))
    inputs = family.plain_inputs("position_ids", config)
    positions = torch.stack([torch.arange(20) + 4, torch.arange(23, 3, -1)])
    inputs.update(position_ids=positions, attention_mask=torch.ones_like(inputs["input_ids"]))
    family.write_case("position_ids", SMALL, "plain", inputs)
    family.write_file_form("file_hub_names", "plain", hub_names)
    family.write_file_form("file_base_names", "plain", base_names)
    family.write_file_form("file_both_keys", "plain", both_keys)
    family.write_file_form("file_bfloat16", "plain", bfloat16)
    family.finish()


if __name__ == "__main__":
    sys.exit(main())
