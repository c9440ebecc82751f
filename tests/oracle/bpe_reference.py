"""Byte-level BPE training as HF tokenizers 0.23 does it, in plain Python: a specification that runs.

train() gives the vocabulary and merges of `trainers.BpeTrainer`, entry for entry; tokenizer.py asserts it on
every corpus. What is easy to get wrong:

  * A file is read line by line, the line feed kept at the end of its line: no word spans two lines.
  * Ids: special tokens in the order given, then the 256 byte characters by code point, then merges.
  * The next pair is the one with the largest count; among equals the one with the smallest (left id, right
    id).
  * Initial counts include overlaps: "aaa" has two (a, a). Later counts follow the changes that merges make,
    left to right inside a word, without a new count.
  * A merge may give the text of a token that is there (a special token that is a word): it gets that token's
    id, the vocabulary does not grow, and the merge is recorded all the same.
  * max_token_length stops pairs that a merge makes: those of as many characters or more are not counted.
    Pairs of two characters always are.
  * Special tokens that stand in the text are text like any other: nothing is cut out before training.
"""
import heapq
from collections import Counter, defaultdict

from tokenizers import pre_tokenizers


def words_of(path, add_prefix_space=False):
    """Word -> count."""
    split = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    words = Counter()
    with open(path, encoding="utf-8", newline="\n") as f:
        for line in f:
            words.update(w for w, _ in split.pre_tokenize_str(line))
    return words


def merge_word(word, pair, new):
    """Replaces pair in the list, left to right; returns the changes of pair counts in this word."""
    changes, i = [], 0
    while i + 1 < len(word):
        if (word[i], word[i + 1]) == pair:
            if i > 0:
                changes += [((word[i - 1], pair[0]), -1), ((word[i - 1], new), 1)]
            if i + 2 < len(word):
                changes += [((pair[1], word[i + 2]), -1), ((new, word[i + 2]), 1)]
            word[i:i + 2] = [new]
        i += 1
    return changes


class Training:
    def __init__(self, words, special_tokens, max_token_length=None):
        self.max_token_length = max_token_length or float("inf")
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet(), key=ord)
        self.texts = []
        for t in list(special_tokens) + alphabet:
            if t not in self.texts:
                self.texts.append(t)
        self.ids = {t: i for i, t in enumerate(self.texts)}
        self.words = [[self.ids[c] for c in w] for w in words]
        self.start(words)

    def start(self, words):
        self.freq = list(words.values())
        self.counts, self.queue, self.rank = Counter(), [], {}
        self.steps = self.ties = self.repeats = 0
        places = defaultdict(set)
        for i, w in enumerate(self.words):
            for pair in zip(w, w[1:]):
                self.counts[pair] += self.freq[i]
                places[pair].add(i)
        self.push(places)

    def push(self, places):
        for pair, where in places.items():
            if self.counts[pair] > 0:
                heapq.heappush(self.queue, (-self.counts[pair], pair, len(self.queue), where))

    def next(self):
        """The best up-to-date entry."""
        while self.queue:
            count, pair, order, where = heapq.heappop(self.queue)
            if -count == self.counts[pair]:
                return -count, pair, where
            heapq.heappush(self.queue, (-self.counts[pair], pair, order, where))
        return 0, None, None

    def joined(self, left, right):
        return left + right

    def apply(self, pair, where):
        text = self.joined(self.texts[pair[0]], self.texts[pair[1]])
        if text in self.ids:
            self.repeats += 1
        else:
            self.ids[text] = len(self.texts)
            self.texts.append(text)
        self.rank[pair] = self.steps
        self.steps += 1
        places = defaultdict(set)
        for i in where:
            for changed, by in merge_word(self.words[i], pair, self.ids[text]):
                if by > 0 and sum(len(self.texts[t]) for t in changed) >= self.max_token_length:
                    continue
                self.counts[changed] += by * self.freq[i]
                if by > 0:
                    places[changed].add(i)
        self.push(places)


def train(words, vocab_size, min_frequency, special_tokens, max_token_length=None):
    """(vocabulary text -> id, merges [(left, right)], statistics)."""
    t = Training(words, special_tokens, max_token_length)
    run(t, vocab_size, min_frequency)
    merges = [(t.texts[a], t.texts[b]) for a, b in sorted(t.rank, key=t.rank.get)]
    return t.ids, merges, dict(ties=t.ties, repeats=t.repeats)


def run(t, vocab_size, min_frequency):
    while len(t.texts) < vocab_size:
        count, pair, where = t.next()
        if count < max(1, min_frequency):
            break
        t.ties += bool(t.queue) and -t.queue[0][0] == count
        t.apply(pair, where)
