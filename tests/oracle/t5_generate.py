"""Goldens for `plait generate` on T5: greedy and beam search, token for token.

tests/golden/t5/generate/ holds
    model/       v1.1: gated, a head of its own, more encoder layers than decoder layers (transformers cannot generate the other way round)
    model_tied/  v1.0: ReLU, the head tied and scaled; generation_config.json with settings of its own
    cases.json   a list of {name, model, options, input_ids, ids}

`input_ids` are prompts of different lengths, given to transformers right-padded with an attention mask and, as
a check, one at a time. `ids` are what generate returns, from the decoder's start token to the end token,
grouped by prompt, without padding. No decision is close: tokens are the same in float32 and float64 and under
small changes of all weights.
"""
import sys

import torch
from transformers import GenerationConfig, T5Config, T5ForConditionalGeneration

from common import GOLDEN, dump, fresh, generator
from gpt2_generate import Margin

OUT = GOLDEN / "t5" / "generate"
PAD, EOS, START, VOCAB = 0, 1, 0, 60
SEEDS = {"model": 31, "model_tied": 55}  # found by --search NAME
BEAM3 = dict(num_beams=3, max_new_tokens=14)
CASES = [
    ("greedy", "model", dict(max_new_tokens=30)),
    ("greedy_default", "model", dict()),
    ("greedy_max_length", "model", dict(max_length=12)),
    ("greedy_min_new", "model", dict(max_new_tokens=20, min_new_tokens=9)),
    ("penalty_ngram", "model", dict(max_new_tokens=20, repetition_penalty=1.3, no_repeat_ngram_size=2)),
    ("sample_top_k_1", "model", dict(max_new_tokens=12, do_sample=True, top_k=1, seed=7)),
    ("beam3", "model", dict(BEAM3)),
    ("beam3_return2", "model", dict(BEAM3, num_return_sequences=2, length_penalty=0.5)),
    ("beam3_early", "model", dict(BEAM3, early_stopping=True, length_penalty=2.0)),
    ("beam5", "model", dict(num_beams=5, max_new_tokens=24)),
    ("tied_config", "model_tied", dict()),
    ("tied_greedy", "model_tied", dict(max_new_tokens=30, num_beams=1)),
    ("tied_beam4", "model_tied", dict(max_new_tokens=12, num_beams=4)),
]


def make_model(which, seed):
    small = dict(vocab_size=VOCAB, d_model=16, d_kv=6, d_ff=32, num_heads=4, dropout_rate=0.0,
                 relative_attention_num_buckets=8, relative_attention_max_distance=12,
                 pad_token_id=PAD, eos_token_id=EOS, decoder_start_token_id=START)
    if which == "model":
        config = T5Config(num_layers=2, num_decoder_layers=1, feed_forward_proj="gated-gelu",
                          tie_word_embeddings=False, **small)
    else:
        config = T5Config(num_layers=2, **small)
    model = T5ForConditionalGeneration(config)
    tokens = dict(pad_token_id=PAD, eos_token_id=EOS, decoder_start_token_id=START)
    if which == "model":
        model.lm_head.weight = torch.nn.Parameter(torch.zeros(VOCAB, 16))
    else:
        tokens.update(num_beams=2, max_new_tokens=17)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            noise = torch.randn(p.shape, generator=generator(f"t5_generate/{which}/{seed}/{name}"))
            scale = 0.3 if "norm" in name else 1.0 if p.shape[0] in (VOCAB, 8) else 0.4
            p.copy_(scale * noise + ("norm" in name))
        (model.lm_head if which == "model" else model.shared).weight[PAD] = 0.0
        if which == "model":
            model.lm_head.weight.mul_(0.7)
            model.lm_head.weight[EOS] *= 1.4
    model.generation_config = GenerationConfig(**tokens)
    return model.eval()


def prompts_of(which):
    g = generator(f"t5_generate/prompts/{which}")
    return [torch.randint(2, VOCAB, (n,), generator=g).tolist() for n in (3, 19, 5, 1, 9, 6)]


def generate(model, prompts, options):
    longest = max(map(len, prompts))
    ids = torch.tensor([p + [PAD] * (longest - len(p)) for p in prompts])
    mask = torch.tensor([[1] * len(p) + [0] * (longest - len(p)) for p in prompts])
    options = {k: v for k, v in options.items() if k != "seed"}
    torch.manual_seed(0)
    rows = model.generate(input_ids=ids, attention_mask=mask, **options).tolist()
    each, out = len(rows) // len(prompts), [[] for _ in prompts]
    for i, row in enumerate(rows):
        assert row[0] == START
        stop = next((j + 1 for j, t in enumerate(row) if j and t == EOS), len(row))
        assert PAD not in row[1:stop]
        out[i // each].append(row[:stop])
    return out


def shaken(model, seed):
    other = T5ForConditionalGeneration(model.config).double().eval()
    other.lm_head.weight = torch.nn.Parameter(other.lm_head.weight.clone())
    other.load_state_dict(model.state_dict())
    other.generation_config = model.generation_config
    with torch.no_grad():
        for name, p in other.named_parameters():
            p.mul_(1 + 2e-6 * torch.randn(p.shape, generator=generator(f"shake{seed}/{name}"), dtype=p.dtype))
    return other


def run_case(models, options, prompts):
    """The ids, or None when a decision is too close."""
    with Margin() as margin:
        ids = generate(models[0], prompts, options)
    if margin.gap < 1e-4 and not options.get("do_sample"):
        return None
    for model in models:
        if [generate(model, [p], options)[0] for p in prompts] != ids:
            return None
    return ids


def cases_of(which, seed):
    model = make_model(which, seed)
    models = [make_model(which, seed).double(), model] + [shaken(model, s) for s in range(2)]
    prompts, out = prompts_of(which), []
    for name, of, options in CASES:
        if of != which:
            continue
        try:
            ids = run_case(models, options, prompts)
        except AssertionError:
            return f"{name}: padding was generated"
        if ids is None:
            return f"{name}: a decision is too close"
        lengths = {len(s) for group in ids for s in group}
        if "greedy" in name and "max_length" not in name and len(lengths) < 3:
            return f"{name}: rows end at {lengths}"
        if len({tuple(group[0]) for group in ids}) < len(prompts) - 1:
            return f"{name}: the prompt hardly matters"
        out.append(dict(name=name, model=which, options=options, input_ids=prompts, ids=ids))
    return model, out


def search(which):
    for seed in range(3000):
        result = cases_of(which, seed)
        if not isinstance(result, str):
            print(which, seed, flush=True)
            return


def main():
    if "--search" in sys.argv:
        return search(sys.argv[-1])
    fresh(OUT)
    cases = []
    for which, seed in SEEDS.items():
        result = cases_of(which, seed)
        if isinstance(result, str):
            return result
        model, some = result
        model.save_pretrained(OUT / which)
        (OUT / which / "model.safetensors").chmod(0o644)
        cases += some
    (OUT / "cases.json").write_text("[\n" + ",\n".join(map(dump, cases)) + "\n]\n")
    print(len(cases), "cases")


if __name__ == "__main__":
    sys.exit(main())
