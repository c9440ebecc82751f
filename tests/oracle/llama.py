"""Goldens for `plait forward` on LLaMA: see decoders.py. One case for each config key that changes the result,
rotary positions in both spellings of the config, and forms of files."""
import sys

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from decoders import Family, bfloat16, holes, link, save
from gpt2 import mask_of

SMALL = dict(vocab_size=48, hidden_size=32, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=40)


def rope(**keys):
    return dict(SMALL, rope_parameters=dict(dict(rope_theta=100.0), **keys))


ROTATED = "grad.model.layers.0.self_attn.q_proj.weight"
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=10)
LONG = dict(rope_type="longrope", short_factor=[1.0, 1.5, 1.7, 2.0], long_factor=[1.2, 2.5, 4.0, 7.5])
MODELS = {
    # name: (config keys, name of the model whose weights it shares or None, gradients that are kept then)
    "plain": (SMALL, None),
    "heads": (dict(SMALL, num_key_value_heads=None), None),
    "one_group": (dict(SMALL, num_key_value_heads=1), None),
    "three_groups": (dict(SMALL, hidden_size=24, num_attention_heads=6, num_key_value_heads=3, head_dim=4), None),
    "head_dim": (dict(SMALL, hidden_size=27, num_attention_heads=3, num_key_value_heads=3, head_dim=8), None),
    "biases": (dict(SMALL, attention_bias=True, mlp_bias=True), None),
    "tied": (dict(SMALL, tie_word_embeddings=True), None),
    "pad_token": (dict(SMALL, pad_token_id=27), "plain", "grad.model.embed_tokens.weight"),
    "eps": (dict(SMALL, rms_norm_eps=1e-2), "plain"),
    "act_gelu": (dict(SMALL, hidden_act="gelu"), "plain"),
    "theta": (rope(rope_type="default"), "plain"),
    "linear": (rope(rope_type="linear", factor=2.5), "plain"),
    "dynamic": (dict(rope(rope_type="dynamic", factor=2.0), max_position_embeddings=9), "plain", ROTATED),
    "llama3": (rope(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                    original_max_position_embeddings=32), "plain"),
    "yarn": (rope(**YARN), "plain", ROTATED),
    "yarn_mscale": (rope(**YARN, mscale=1.5, mscale_all_dim=0.5, truncate=False, beta_fast=3, beta_slow=0.4),
                    "plain"),
    "yarn_attention": (rope(**YARN, attention_factor=1.3), "plain"),
    "longrope": (rope(**LONG, original_max_position_embeddings=19), "plain", ROTATED),
    "longrope_short": (rope(**LONG, original_max_position_embeddings=20), "plain"),
    "longrope_factor": (rope(**LONG, original_max_position_embeddings=7, factor=3.0), "plain"),
    "longrope_attention": (rope(**LONG, original_max_position_embeddings=7, attention_factor=0.8), "plain"),
    "proportional": (rope(rope_type="proportional", partial_rotary_factor=0.7), "plain", ROTATED),
    "partial_default": (dict(rope(rope_type="default"), partial_rotary_factor=0.5), "plain"),
    "partial_beside": (dict(rope(rope_type="proportional", factor=2.0), partial_rotary_factor=0.5), "plain"),
}


def base_names(path, tensors, keys):
    """As the base model saves them: no `model.` prefix; and the buffers of old files."""
    tensors = {k.removeprefix("model."): v for k, v in tensors.items()}
    for i in range(keys["num_hidden_layers"]):
        tensors[f"layers.{i}.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    save(path, tensors)
    return keys


def version_4(scaling, **more):
    def change(path, tensors, keys):
        link(path / "model.safetensors", path.parent / "plain" / "model.safetensors")
        old = {k: v for k, v in keys.items() if k not in ("rope_parameters", "dtype", "head_dim")}
        return dict(old, torch_dtype="float32", rope_theta=100.0, rope_scaling=scaling, pretraining_tp=1,
                    transformers_version="4.40.0", **more)
    return change


def main():
    family = Family("llama", LlamaConfig, LlamaForCausalLM)
    family.write_models(MODELS)
    config = family.config(SMALL)
    for name, mask in (("pad_left", mask_of(17, [0, 6, 13], True)), ("pad_right", mask_of(17, [0, 6, 11], False)),
                       ("mask_hole", holes())):
        family.write_case(name, SMALL, "plain", family.masked(name, config, mask))
    inputs = family.plain_inputs("position_ids", config)
    positions = torch.stack([torch.arange(20) * 3 + 7, torch.arange(900, 860, -2)])  # past the maximum too
    inputs.update(position_ids=positions, attention_mask=torch.ones_like(inputs["input_ids"]))
    family.write_case("position_ids", SMALL, "plain", inputs)
    inputs["position_ids"] = torch.stack([torch.arange(20), torch.arange(90, 110)])  # of one row for both
    family.write_case("dynamic_positions", MODELS["dynamic"][0], "plain", inputs, ())
    family.write_file_form("file_base_names", "plain", base_names)
    family.write_file_form("file_bfloat16", "plain", bfloat16)
    family.write_file_form("file_v4", "plain", version_4(None))
    family.write_file_form("file_v4_linear", "plain", version_4(dict(type="linear", factor=2.0)))
    family.write_file_form("file_v4_dynamic", "plain", version_4(dict(type="dynamic", factor=3.0)))
    family.write_file_form("file_v4_yarn", "plain", version_4(dict(rope_type="yarn", factor=4.0)))
    family.write_file_form("file_v4_longrope", "plain", version_4(
        dict(LONG, original_max_position_embeddings=30), original_max_position_embeddings=10))
    family.finish()


if __name__ == "__main__":
    sys.exit(main())
