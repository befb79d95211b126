"""Generates the corpus once: merges.json (tokenizer), tokens.npy, weights.npy and users.txt (what users say) in a folder."""
from array import array
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
    sample = [text for _ in range(settings["n_tokenizer_documents"]) for _, text, _ in make_document(rng, "broad")]
    merges = train_merges(sample, settings["n_vocab"] - 256 - len(SPECIALS))
    (folder / "merges.json").write_text(json.dumps(merges))
    tokenizer = load_tokenizer(folder, settings)
    tokens, weights, said = array("h"), array("b"), set()
    for mix, n_token in settings["corpus"]:
        while len(tokens) < n_token:
            parts = make_document(rng, mix)
            said.update(user_texts(parts))
            ids, w = encode_document(tokenizer, parts)
            tokens.extend(ids)
            weights.extend(w)
    np.save(folder / "weights.npy", np.array(weights))
    (folder / "users.txt").write_text("\n".join(sorted(said)) + "\n")
    np.save(folder / "tokens.npy", np.array(tokens))
    print(f"corpus: {len(tokens)} tokens, {len(said)} different user texts, {len(merges)} merges")
