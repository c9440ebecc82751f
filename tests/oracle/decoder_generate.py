"""Goldens for `plait generate` on LLaMA, GPT-Neo, and BERT and RoBERTa as decoders: golden/<family>/generate/, files
as gpt2_generate.py describes; families to be made may be named. Prompts are shorter and longer than GPT-Neo's window
and than the positions from which LLaMA's dynamic scaling and longrope change frequencies (keys that are cached already
stay as they are). Those look at the longest prompt of a batch, and the first keeps what it grew to from one batch to
the next, so that prompts go one at a time there, each with the model as it was loaded.

generate of transformers counts RoBERTa's positions from 0, although the model itself, in training as well, counts them
from pad_token_id + 1. Here it is told to do as the model does.

No decision is close: seeds are searched for which float32, float64 and two changed copies of the weights agree.
"""
import sys

import torch
import transformers
from transformers import (BertConfig, BertLMHeadModel, GenerationConfig, GPTNeoConfig, GPTNeoForCausalLM, LlamaConfig,
                          LlamaForCausalLM, RobertaConfig)

from common import GOLDEN, dump, fresh, generator, randomize
from gpt2_generate import BOS, EOS, PAD, VOCAB, Margin, generate, unpadded

TOKENS = dict(vocab_size=VOCAB, bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD)
LLAMA = dict(TOKENS, hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, head_dim=8, max_position_embeddings=64)
NEO = dict(TOKENS, hidden_size=24, intermediate_size=32, num_layers=2, num_heads=4, window_size=4,
           max_position_embeddings=48, attention_types=[[["global", "local"], 1]])
DYNAMIC = dict(rope_theta=50.0, rope_type="dynamic", factor=2.0)
YARN = dict(rope_theta=100.0, rope_type="yarn", factor=2.0, original_max_position_embeddings=16)
LONG = dict(rope_theta=50.0, rope_type="longrope", short_factor=[1.0, 1.1, 1.3, 1.2], long_factor=[1.5, 3.0, 4.0, 8.0],
            original_max_position_embeddings=9)
BERT = dict(TOKENS, hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4, is_decoder=True,
            max_position_embeddings=48)


class RobertaForCausalLM(transformers.RobertaForCausalLM):
    def _prepare_position_ids_for_generation(self, inputs_tensor, model_kwargs):
        places = super()._prepare_position_ids_for_generation(inputs_tensor, model_kwargs)
        return places + self.config.pad_token_id + 1


MODELS = {
    "llama": {"model": (LlamaForCausalLM, LlamaConfig(**LLAMA)),
              "model_dynamic": (LlamaForCausalLM, LlamaConfig(
                  **dict(LLAMA, max_position_embeddings=8, rope_parameters=DYNAMIC))),
              "model_longrope": (LlamaForCausalLM, LlamaConfig(**dict(LLAMA, rope_parameters=LONG))),
              "model_yarn": (LlamaForCausalLM, LlamaConfig(**dict(LLAMA, rope_parameters=YARN)))},
    "gpt_neo": {"model": (GPTNeoForCausalLM, GPTNeoConfig(**NEO))},
    "bert": {"model": (BertLMHeadModel, BertConfig(**BERT))},
    "roberta": {"model": (RobertaForCausalLM, RobertaConfig(
        **dict(BERT, type_vocab_size=1, max_position_embeddings=PAD + 41)))},
}
CASES = [
    ("greedy", dict(max_new_tokens=20)),
    ("penalty_ngram", dict(max_new_tokens=16, repetition_penalty=1.3, no_repeat_ngram_size=2)),
    ("beam3", dict(num_beams=3, max_new_tokens=12)),
    ("beam4_return2", dict(num_beams=4, max_new_tokens=8, num_return_sequences=2)),
]


def make_model(family, name, seed):
    kind, config = MODELS[family][name]
    torch.manual_seed(0)
    model = kind(config)
    randomize(model, f"{family}/generate/{seed}", std=0.35, embed_std=0.5)
    model.generation_config = GenerationConfig(bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD)
    return model.eval()


def shaken(model, seed):
    other = type(model)(model.config).double().eval()
    other.load_state_dict(model.state_dict())
    other.generation_config = model.generation_config
    with torch.no_grad():
        for name, p in other.named_parameters():
            p.mul_(1 + 2e-6 * torch.randn(p.shape, generator=generator(f"shake{seed}/{name}"), dtype=p.dtype))
    return other


def reset(model):
    rotary = getattr(model.base_model, "rotary_emb", None)
    if rotary is not None:
        rotary.inv_freq, rotary.max_seq_len_cached = rotary.original_inv_freq.clone(), rotary.original_max_seq_len


def alone(model, prompts, options):
    out = []
    for p in prompts:
        reset(model)
        out += unpadded(generate(model, [p], options), [p], [EOS])
    return out


def prompts_of(seed):
    g = generator(f"decoders/prompts/{seed}")
    return [torch.randint(0, 190, (n,), generator=g).tolist() for n in (3, 11, 7, 1, 14)]


def cases_of(family, name, seed):
    """(model, cases), or why this seed does not do."""
    model = make_model(family, name, seed)
    models = [make_model(family, name, seed).double()]
    models += [model] + [shaken(models[0], s) for s in range(2)]
    prompts, done = prompts_of(seed), []
    for case, options in CASES:
        with Margin() as margin:
            ids = alone(models[0], prompts, options)
        if margin.gap < 1e-4:
            return f"{case}: a decision is too close"
        for other in models[1:]:
            if alone(other, prompts, options) != ids:
                return f"{case}: rounding decides"
        if len({tuple(row[len(p):]) for group, p in zip(ids, prompts) for row in group}) < 3:
            return f"{case}: always the same"
        done.append(dict(name=f"{name}_{case}", model=name, options=options, input_ids=prompts, ids=ids))
        if name not in ("model_dynamic", "model_longrope"):
            rows = generate(model, prompts, options)
            if unpadded(rows, prompts, [EOS]) != ids:
                return f"{case}: the batch gives something else"
            done[-1]["rows"] = rows
    return model, done


def main():
    for family in sys.argv[1:] or MODELS:
        models = MODELS[family]
        out, cases = fresh(GOLDEN / family / "generate"), []
        for name in models:
            for seed in range(1000):
                result = cases_of(family, name, seed)
                if not isinstance(result, str):
                    break
            model, done = result
            model.save_pretrained(out / name)
            (out / name / "model.safetensors").chmod(0o644)
            cases += done
            print(family, name, "seed", seed, [len(g[0]) - len(p) for g, p in zip(done[0]["ids"], prompts_of(seed))])
        (out / "cases.json").write_text("[\n" + ",\n".join(map(dump, cases)) + "\n]\n")


if __name__ == "__main__":
    sys.exit(main())
