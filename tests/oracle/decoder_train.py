"""Goldens for training LLaMA and GPT-Neo: golden/<family>/train40/ holds model/ and expected.json with the curve
"plain", on the rows of golden/gpt2/train40/plain.jsonl and with the options of gpt2_train.py."""
import json
import sys

import torch
from transformers import GPTNeoConfig, GPTNeoForCausalLM, LlamaConfig, LlamaForCausalLM

import gpt2_train
from common import GOLDEN, fresh

TOKENS = dict(vocab_size=gpt2_train.VOCAB, bos_token_id=0, eos_token_id=0)
MODELS = {
    "llama": (LlamaForCausalLM, LlamaConfig(
        **TOKENS, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=32)),
    "gpt_neo": (GPTNeoForCausalLM, GPTNeoConfig(
        **TOKENS, hidden_size=32, num_layers=2, num_heads=4, window_size=5, max_position_embeddings=32,
        attention_types=[[["global", "local"], 1]])),
}


def main():
    rows = gpt2_train.markov_rows("train40/plain", gpt2_train.ROWS)
    for family, (kind, config) in MODELS.items():
        out = gpt2_train.OUT = fresh(GOLDEN / family / "train40")
        gpt2_train.GPT2LMHeadModel = kind
        torch.manual_seed(40)
        kind(config).save_pretrained(out / "model")
        (out / "model" / "generation_config.json").unlink()
        (out / "model" / "model.safetensors").chmod(0o644)
        curve = gpt2_train.curve_of("plain", rows, rows, gradient_accumulation_steps=1)
        (out / "expected.json").write_text(json.dumps(dict(plain=curve), indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
