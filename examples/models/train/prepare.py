"""Generates the corpus once: merges.json (tokenizer), tokens.npy, weights.npy and users.txt (what users say) in a folder."""
import json
import pathlib
import random

import numpy as np

from bpe import Tokenizer, train_merges
from corpus import SPECIALS, encode_document, make_document, user_texts


def load_tokenizer(folder, settings):
    """The tokenizer that prepare() has stored in the folder."""
    merges = json.loads((folder / "merges.json").read_text())
    return Tokenizer(merges, SPECIALS, settings["n_vocab"])


def prepare(folder, settings):
    """Writes the four files, unless they are there already."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "tokens.npy").exists():
        return
    rng = random.Random(settings["seed"])
    sample = [text for _ in range(settings["n_tokenizer_documents"]) for _, text, _ in make_document(rng)]
    merges = train_merges(sample, settings["n_vocab"] - 256 - len(SPECIALS))
    (folder / "merges.json").write_text(json.dumps(merges))
    tokenizer = load_tokenizer(folder, settings)
    n_token = settings["n_corpus_token"]
    tokens, weights = np.zeros(n_token + 4096, np.int16), np.zeros(n_token + 4096, np.uint8)
    said, n = set(), 0
    while n < n_token:
        parts = make_document(rng)
        said.update(user_texts(parts))
        ids, w = encode_document(tokenizer, parts)
        tokens[n:n + len(ids)], weights[n:n + len(ids)] = ids, w
        n += len(ids)
    np.save(folder / "weights.npy", weights[:n_token])
    (folder / "users.txt").write_text("\n".join(sorted(said)) + "\n")
    np.save(folder / "tokens.npy", tokens[:n_token])
    print(f"corpus: {n_token} tokens, {len(said)} different user texts, {len(merges)} merges")
