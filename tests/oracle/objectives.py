"""Lengths of T5's span corruption, by the definition in the T5 authors' code and in Hugging Face's
run_t5_mlm_flax.py (compute_input_and_target_lengths), worked out with Python's own rounding.

    python tests/oracle/objectives.py > tests/golden/objectives/span_lengths.txt
"""


def sizes(tokens, density, mean):
    noise = round(tokens * density)
    spans = round(noise / mean)
    return tokens - noise + spans + 1, noise + spans + 1


def lengths(inputs, density, mean):
    tokens = inputs
    while sizes(tokens + 1, density, mean)[0] <= inputs:
        tokens += 1
    inputs, targets = sizes(tokens, density, mean)
    if density == 0.5 and targets > inputs:
        return tokens - 1, targets - 1
    return tokens, targets


for inputs in (8, 16, 33, 64, 128, 512, 1024):
    for density in (0.1, 0.15, 0.25, 0.5, 0.7):
        for mean in (1.0, 2.5, 3.0, 10.0):
            print(inputs, density, mean, *lengths(inputs, density, mean))
