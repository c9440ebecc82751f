"""Goldens for `plait generate`: greedy and beam search, token for token, and the sampling filters.

tests/golden/gpt2/generate/ holds
    model/           a random GPT-2 whose eos is raised so that some rows end early; generation_config.json
    model_defaults/  the same weights, a generation_config.json with settings of its own
    model_two_eos/   the same weights, two end tokens
    cases.json       a list of {name, model, options, input_ids, rows, ids}
    filter.json      a list of {logits, temperature, top_k, top_p, probabilities}; a logit null is -infinity;
                     top_k 0 and top_p 1 mean none; order as in HF: temperature, top-k, top-p

`options` carry CLI and HF names. `input_ids` are prompts of different lengths, given to HF left-padded with
an attention mask. `rows` are what HF's generate returns for the batch: left padding, prompt, continuation,
eos, then the pad token up to the longest row; num_return_sequences rows for each prompt. `ids` are the same
rows grouped by prompt, without the padding on either side; eos stays. Cases with max_length have no `rows`:
it counts left padding in HF, so prompts go one at a time; all others give the same ids one at a time, which
is checked. Without any length option HF generates 20 new tokens.

No decision is close: the tokens are the same in float32 and float64 and under four small changes of all
weights, and every top-k choice of the float64 run has a gap of 1e-4 (relative for scores below 1).
"""
import json
import sys

import torch
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel
from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from common import GOLDEN, dump, fresh, generator, link, randomize

OUT = GOLDEN / "gpt2" / "generate"
SEED, EOS_BOOST, POSITION_STD = 125, 7.0, 0.5  # found by --search
VOCAB, BOS, PAD, EOS, SECOND_EOS = 200, 197, 198, 199, 23
BEAM3 = dict(num_beams=3, max_new_tokens=14)
CASES = [
    ("greedy", dict(max_new_tokens=20)),
    ("greedy_min_new", dict(max_new_tokens=20, min_new_tokens=9)),
    ("penalty", dict(max_new_tokens=20, repetition_penalty=1.3)),
    ("ngram2", dict(max_new_tokens=20, no_repeat_ngram_size=2)),
    ("ngram3", dict(max_new_tokens=20, no_repeat_ngram_size=3)),
    ("ngram1", dict(max_new_tokens=12, no_repeat_ngram_size=1)),
    ("penalty_ngram_min", dict(max_new_tokens=20, repetition_penalty=1.2, no_repeat_ngram_size=2,
                               min_new_tokens=12)),
    ("max_length", dict(max_length=18)),
    ("max_length_and_new", dict(max_length=9, max_new_tokens=13)),
    ("library_defaults", dict()),
    ("sample_top_k_1", dict(max_new_tokens=12, do_sample=True, top_k=1, seed=7)),
    ("sample_top_p_0", dict(max_new_tokens=12, do_sample=True, top_k=0, top_p=0.001, seed=8)),
    ("beam2", dict(num_beams=2, max_new_tokens=20)),
    ("beam3", dict(BEAM3)),
    ("beam3_early_true", dict(BEAM3, early_stopping=True)),
    ("beam3_early_never", dict(BEAM3, early_stopping="never")),
    ("beam3_length_0.5", dict(BEAM3, length_penalty=0.5)),
    ("beam3_length_2", dict(BEAM3, length_penalty=2.0)),
    ("beam3_length_-1", dict(BEAM3, length_penalty=-1.0)),
    ("beam3_length_0", dict(BEAM3, length_penalty=0.0)),
    ("beam3_true_length_2", dict(BEAM3, length_penalty=2.0, early_stopping=True)),
    ("beam3_never_length_2", dict(BEAM3, length_penalty=2.0, early_stopping="never")),
    ("beam3_true_length_-1", dict(BEAM3, length_penalty=-1.0, early_stopping=True)),
    ("beam4_return2", dict(num_beams=4, max_new_tokens=12, num_return_sequences=2)),
    ("beam4_return4_true", dict(num_beams=4, max_new_tokens=12, num_return_sequences=4, early_stopping=True)),
    ("beam3_penalty_ngram", dict(BEAM3, repetition_penalty=1.3, no_repeat_ngram_size=2)),
    ("beam3_ngram3", dict(BEAM3, no_repeat_ngram_size=3)),
    ("beam3_min_new", dict(BEAM3, min_new_tokens=8)),
    ("beam3_max_length", dict(num_beams=3, max_length=16)),
    ("beam6", dict(num_beams=6, max_new_tokens=8)),
]
OTHER_MODELS = [
    ("generation_config", "model_defaults", dict()),
    ("generation_config_overridden", "model_defaults", dict(num_beams=1, max_new_tokens=15)),
    ("two_eos_greedy", "model_two_eos", dict(max_new_tokens=20)),
    ("two_eos_beam3", "model_two_eos", dict(BEAM3)),
]
# Of each list one pair of results at least must differ: otherwise the option is not seen to act.
DIFFERENT = [
    [("greedy", "greedy_min_new")],
    [("greedy", "penalty")],
    [("greedy", "ngram2")],
    [("greedy", "ngram3"), ("beam3", "beam3_ngram3")],
    [("greedy", "two_eos_greedy")],
    [("beam3", "beam3_early_true"), ("beam3_length_2", "beam3_true_length_2"),
     ("beam3_length_-1", "beam3_true_length_-1")],
    [("beam3", "beam3_early_never"), ("beam3_length_2", "beam3_never_length_2")],
    [("beam3", "beam3_length_0.5"), ("beam3", "beam3_length_0")],
    [("beam3", "beam3_length_2")],
    [("beam3", "beam3_length_-1")],
    [("beam3", "beam3_penalty_ngram")],
    [("beam3", "beam3_min_new")],
    [("beam3", "two_eos_beam3")],
]


class Margin:
    """While active, records the smallest gap between neighbours in every torch.topk and torch.argmax; for
    scores below 1 (a length penalty makes them small) relative to the score."""

    def __enter__(self):
        self.gap = float("inf")
        self.topk, self.argmax = torch.topk, torch.argmax
        torch.topk = lambda x, k, **kw: self.see(x, k) or self.topk(x, k, **kw)
        torch.argmax = lambda x, **kw: (x.is_floating_point() and self.see(x, 1)) or self.argmax(x, **kw)
        return self

    def see(self, x, k):
        best = self.topk(x, min(k + 1, x.shape[-1]), dim=-1)[0]
        gaps = (best[..., :-1] - best[..., 1:]) / best[..., 1:].abs().clamp(1e-3, 1.0)
        gaps = gaps[best[..., 1:] > -1e8]
        if gaps.numel():
            self.gap = min(self.gap, gaps.min().item())

    def __exit__(self, *_):
        torch.topk, torch.argmax = self.topk, self.argmax


def make_model(seed, boost, position_std):
    config = GPT2Config(vocab_size=VOCAB, n_positions=48, n_embd=32, n_layer=2, n_head=4, n_inner=64,
                        bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD, resid_pdrop=0.0,
                        embd_pdrop=0.0, attn_pdrop=0.0)
    model = GPT2LMHeadModel(config)
    randomize(model, f"generate/{seed}", std=0.35, embed_std=0.5)
    with torch.no_grad():
        model.transformer.wpe.weight.mul_(position_std / 0.5)
        eos = model.transformer.wte.weight[EOS]
        pad = model.transformer.wte.weight[PAD]
        pad.sub_(eos * eos.dot(pad) / eos.dot(eos))
        model.transformer.ln_f.bias.add_(boost * eos / eos.dot(eos))
        model.transformer.ln_f.bias.sub_(20 * pad / pad.dot(pad))  # padding is never generated
    model.generation_config = GenerationConfig(bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD)
    return model.eval()


def prompts_of(name, seed):
    lengths = [3, 7, 5, 1, 4, 6]
    g = generator(f"prompts/{seed}")
    return [torch.randint(0, 190, (n,), generator=g).tolist() for n in lengths]


def generate(model, prompts, options):
    """HF's rows for a batch, left-padded."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[PAD] * (longest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    options = {k: v for k, v in options.items() if k != "seed"}
    torch.manual_seed(0)
    return model.generate(input_ids=ids, attention_mask=mask, **options).tolist()


def unpadded(rows, prompts, ends):
    """The rows grouped by prompt, without padding."""
    each, longest = len(rows) // len(prompts), max(map(len, prompts))
    out = [[] for _ in prompts]
    for i, row in enumerate(rows):
        prompt = prompts[i // each]
        new = row[longest:]
        stop = next((j + 1 for j, t in enumerate(new) if t in ends), len(new))
        assert all(t == PAD for t in new[stop:]) and PAD not in new[:stop]
        out[i // each].append(prompt + new[:stop])
    return out


def alone(model, prompts, options, ends):
    return [unpadded(generate(model, [p], options), [p], ends)[0] for p in prompts]


def shaken(model, seed):
    """The model with every weight changed by about 2e-6 of its size."""
    other = GPT2LMHeadModel(model.config).double().eval()
    other.load_state_dict(model.state_dict())
    other.generation_config = model.generation_config
    with torch.no_grad():
        for name, p in other.named_parameters():
            p.mul_(1 + 2e-6 * torch.randn(p.shape, generator=generator(f"shake{seed}/{name}"), dtype=p.dtype))
    return other


def run_case(models, name, options, prompts):
    """The case, or None when a decision is too close."""
    exact = models[0]
    ends = exact.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    batched = "max_length" not in options or "max_new_tokens" in options
    with Margin() as margin:
        if batched:
            ids = unpadded(generate(exact, prompts, options), prompts, ends)
        else:
            ids = alone(exact, prompts, options, ends)
    if margin.gap < 1e-4 and not options.get("do_sample"):
        return None
    case = dict(name=name, options=options, input_ids=prompts)
    for model in models[1:]:
        if alone(model, prompts, options, ends) != ids:
            return None
        if batched:
            case["rows"] = generate(model, prompts, options)
            if unpadded(case["rows"], prompts, ends) != ids:
                return None
    return dict(case, ids=ids, gap=margin.gap)


def with_config(model, **keys):
    """The same weights under another generation config."""
    tokens = dict(bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD)
    model.generation_config = GenerationConfig(**{**tokens, **keys})
    return model


CONFIGS = {
    "model": dict(),
    "model_defaults": dict(num_beams=3, max_new_tokens=11, repetition_penalty=1.2, length_penalty=0.5),
    "model_two_eos": dict(eos_token_id=[EOS, SECOND_EOS]),
}


def all_cases(seed, boost, position_std, verbose=False, quick=False):
    base = make_model(seed, boost, position_std)
    models = [make_model(seed, boost, position_std).double(), base]
    models += [shaken(models[0], s) for s in range(4)]
    prompts = prompts_of("batch", seed)
    done = {}
    if quick:
        models = models[:1]
    for name, which, options in [(n, "model", o) for n, o in CASES] + OTHER_MODELS:
        for m in models:
            with_config(m, **CONFIGS[which])
        case = run_case(models, name, options, prompts)
        if case is None:
            return f"{name}: a decision is too close"
        gap = case.pop("gap")
        done[name] = dict(name=name, model=which, **{k: v for k, v in case.items() if k != "name"})
        if verbose:
            lengths = [[len(s) - len(p) for s in group] for group, p in zip(case["ids"], prompts)]
            print(f"{name:30s} gap {gap:.1e} lengths {lengths}")
        for pairs in DIFFERENT:
            if all(a in done and b in done and done[a]["ids"] == done[b]["ids"] for a, b in pairs):
                return f"{pairs} are the same"
        if name == "greedy":
            lengths = [len(group[0]) - len(p) for group, p in zip(case["ids"], prompts)]
            if len(set(lengths)) < 3:
                return f"greedy rows should end at different places: {lengths}"
    return base, list(done.values())


def search():
    for seed in range(1000):
        for boost in (7.0, 8.0, 9.0):
            for position_std in (0.3, 0.5):
                result = all_cases(seed, boost, position_std, quick=True)
                if not isinstance(result, str):
                    result = all_cases(seed, boost, position_std)
                print(seed, boost, position_std, result if isinstance(result, str) else "FOUND", flush=True)
                if not isinstance(result, str):
                    return


def filter_cases():
    """What is left of a distribution after temperature, top-k and top-p, in HF's order."""
    g = generator("filter")
    vectors = [
        torch.randn(24, generator=g) * 2,
        torch.randn(50, generator=g) * 4 - 3,
        torch.tensor([1.0, 3.0, 3.0, 2.0, 3.0, -1.0, 2.0, 0.5]),  # ties: top-k keeps all equal to the k-th
        torch.tensor([0.0, -float("inf"), 2.5, 1.5, -float("inf"), 0.25]),  # tokens forbidden before
        torch.tensor([30.0, 1.0, 0.0, -1.0, -30.0]),
        torch.linspace(-1, 1, 12),
    ]
    settings = [(1.0, 0, 1.0), (0.7, 0, 1.0), (2.5, 0, 1.0), (1.0, 1, 1.0), (1.0, 3, 1.0), (1.0, 1000, 1.0),
                (1.0, 0, 0.9), (1.0, 0, 0.5), (1.0, 0, 0.01), (0.8, 5, 0.95), (1.3, 4, 0.6), (1.0, 2, 0.75)]
    out = []
    for logits in vectors:
        for temperature, k, p in settings:
            pair = [filtered(logits.to(t), temperature, k, p) for t in (torch.float64, torch.float32)]
            if ((pair[0] > 0) != (pair[1] > 0)).any():
                continue  # the cut falls on a rounding error
            if p < 1 and cut_is_close(logits.double(), temperature, k, p):
                continue
            out.append(dict(logits=[None if x == -float("inf") else x for x in logits.tolist()],
                            temperature=temperature, top_k=k, top_p=p,
                            probabilities=[float(f"{x:.9g}") for x in pair[0].tolist()]))
    return out


def filtered(logits, temperature, k, p):
    x = logits[None].clone()
    if temperature != 1.0:
        x = TemperatureLogitsWarper(temperature)(None, x)
    if k:
        x = TopKLogitsWarper(k)(None, x)
    if p < 1.0:
        x = TopPLogitsWarper(p)(None, x)
    return x.softmax(-1)[0]


def cut_is_close(logits, temperature, k, p):
    """True where another order of sums, or of equal logits, could move the top-p cut."""
    probabilities = filtered(logits, temperature, k, 1.0)
    order, _ = probabilities.sort()
    sums = order.cumsum(-1)
    if (sums - (1 - p)).abs().min() < 1e-4:
        return True
    cut = int((sums <= 1 - p).sum())
    return 0 < cut < len(order) and bool(order[cut] == order[cut - 1])


def main():
    if "--search" in sys.argv:
        return search()
    result = all_cases(SEED, EOS_BOOST, POSITION_STD, verbose=True)
    if isinstance(result, str):
        return result
    model, cases = result
    fresh(OUT)
    for name, keys in CONFIGS.items():
        with_config(model, **keys).save_pretrained(OUT / name)
        if name == "model":
            (OUT / name / "model.safetensors").chmod(0o644)
        else:
            link(OUT / name / "model.safetensors", OUT / "model" / "model.safetensors")
    (OUT / "cases.json").write_text("[\n" + ",\n".join(map(dump, cases)) + "\n]\n")
    filters = filter_cases()
    (OUT / "filter.json").write_text("[\n" + ",\n".join(map(dump, filters)) + "\n]\n")
    json.loads((OUT / "filter.json").read_text())
    print(len(cases), "cases,", len(filters), "filters")


if __name__ == "__main__":
    sys.exit(main())
