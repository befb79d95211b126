"""A byte-level BPE tokenizer in the manner of GPT-2: trains its merges on word counts and encodes with them."""
from collections import Counter
import re

# The "qwen2" pre-tokenizer of GGUF files, with \p{L} and \p{N} written out for ASCII: each digit is a word of its own.
WORD = re.compile(r"'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])|[^\r\nA-Za-z0-9]?[A-Za-z]+|[0-9]| ?[^\sA-Za-z0-9]+[\r\n]*"
                  r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_letters():
    """The printable letter that stands for each byte in the vocabulary (the table of GPT-2)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(256 + i) for i, b in enumerate(others)}}


LETTERS = byte_letters()


def spell(word):
    """The word as letters that stand for its bytes."""
    return tuple(LETTERS[b] for b in word.encode("utf-8"))


def join(parts, pair):
    """The parts with each occurrence of the pair, from the left, made one."""
    out, i = [], 0
    while i < len(parts):
        if i + 1 < len(parts) and (parts[i], parts[i + 1]) == pair:
            out.append(parts[i] + parts[i + 1])
            i += 2
        else:
            out.append(parts[i])
            i += 1
    return tuple(out)


def train_merges(texts, n_merge):
    """The n_merge (or fewer) merges that are most frequent, one after the other; ties go to the smaller pair."""
    counts = Counter(word for text in texts for word in WORD.findall(text))
    words = {spell(w): n for w, n in counts.items()}
    merges = []
    while len(merges) < n_merge:
        pairs = Counter()
        for parts, n in words.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += n
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(best)
        words = {join(parts, best): n for parts, n in words.items()}
    return merges


class Tokenizer:
    """Text to ids and back; ids are the 256 bytes, then the merges, then filler to a round size with the special tokens."""

    def __init__(self, merges, specials, n_vocab):
        self.merges = [tuple(m) for m in merges]
        self.rank = {m: i for i, m in enumerate(self.merges)}
        self.specials = list(specials)
        n_filler = n_vocab - 256 - len(self.merges) - len(self.specials)
        fillers = [f"<|unused{i}|>" for i in range(n_filler)]
        self.tokens = [LETTERS[b] for b in range(256)] + [x + y for x, y in self.merges] + fillers + self.specials
        self.n_filler = n_filler
        self.ids = {t: i for i, t in enumerate(self.tokens)}
        assert len(self.ids) == len(self.tokens) == n_vocab
        self.bytes = {letter: b for b, letter in LETTERS.items()}
        self.cache = {}

    def encode_word(self, word):
        """Ids of one word of the pre-tokenizer: the merge of lowest rank first."""
        if word not in self.cache:
            parts = spell(word)
            while len(parts) > 1:
                best = min(zip(parts, parts[1:]), key=lambda p: self.rank.get(p, len(self.rank)))
                if best not in self.rank:
                    break
                parts = join(parts, best)
            self.cache[word] = [self.ids[p] for p in parts]
        return self.cache[word]

    def encode(self, text):
        """Ids of plain text in which no special token is looked for."""
        return [i for word in WORD.findall(text) for i in self.encode_word(word)]

    def decode(self, ids):
        """The text of the ids; special tokens are shown by name."""
        out = bytearray()
        for i in ids:
            token = self.tokens[i]
            special = i >= 256 + len(self.merges)
            out += token.encode() if special else bytes(self.bytes[letter] for letter in token)
        return out.decode("utf-8", errors="replace")
