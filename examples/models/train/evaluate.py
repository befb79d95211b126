"""Asks the held-out questions of the Q8_0 weights and fails below 90%: python3 evaluate.py [WORK_FOLDER [N_EACH]]."""
import json
import pathlib
import random
import re
import sys

import torch

from corpus import ASSISTANT, BOS, END, USER, held_out_set, held_out_stories, make_document
from gguf import from_q8_0, to_q8_0
from model import Model, generate
from prepare import load_tokenizer

HERE = pathlib.Path(__file__).parent
WANTED = 0.9
SAMPLES = ["Tell me a story about a fox and a lantern.", "Tell me a story about a girl named Mia.", "Who are you?",
           "What is 23 plus 45?", "Tom has a red ball. Mia has a blue hat. Who has the hat?"]


def load_model(folder, s):
    """The model with the values that its Q8_0 file will have."""
    model = Model(s)
    state = torch.load(folder / "checkpoint0.pt")["model"]
    kept = {n: torch.from_numpy(from_q8_0(to_q8_0(p.numpy()), p.shape)) if p.ndim == 2 else p for n, p in state.items()}
    model.load_state_dict(kept)
    return model.eval()


def ask(model, tokenizer, questions, n_max=32):
    """Greedy answers to the questions, each its own chat; questions of one length run together."""
    ids = tokenizer.ids
    prompts = [[ids[BOS], ids[USER], *tokenizer.encode(q), ids[ASSISTANT]] for q in questions]
    by_length = {}
    for i, prompt in enumerate(prompts):
        by_length.setdefault(len(prompt), []).append(i)
    answers = [""] * len(questions)
    for rows in by_length.values():
        outs = generate(model, [prompts[i] for i in rows], n_max, {ids[END], ids[BOS]})
        for i, out in zip(rows, outs):
            answers[i] = tokenizer.decode(out)
    return answers


def story_faults(story, kind, obj, words):
    """What is wrong with a story that should be about a kind of hero and an object; empty if nothing is."""
    said = re.findall(r"[a-z]+", story.lower())
    faults = [f"no {w}" for w in (kind, obj) if w not in said]
    faults += sorted({f"unknown word {w}" for w in said if w not in words})
    faults += [] if story.endswith((".", "!", '"')) else ["no end"]
    faults += [] if 40 <= len(said) <= 220 and story.count('"') % 2 == 0 else ["odd length or quotation marks"]
    return faults


def known_words(s):
    """All words of a large sample of the training text, in lower case."""
    rng = random.Random(s["seed"])
    texts = (text for _ in range(5000) for _, text, _ in make_document(rng, "broad"))
    return {w for text in texts for w in re.findall(r"[a-z]+", text.lower())}


def check_stories(model, tokenizer, s, n, said):
    """(right, asked) for requests of stories with unseen pairs of hero and object."""
    asked = held_out_stories(s["seed"], n)
    assert not said.intersection(q for q, _, _ in asked), "a held-out request is in the training text"
    words, right = known_words(s), 0
    for (request, kind, obj), story in zip(asked, ask(model, tokenizer, [q for q, _, _ in asked], 260)):
        faults = story_faults(story, kind, obj, words)
        right += not faults
        print(f"   {'WRONG' if faults else 'right'}: {request} -> {', '.join(faults)}{': ' if faults else ''}{story}")
    return right, len(asked)


def main(folder, n_each):
    s = json.loads((HERE / "settings.json").read_text())
    torch.set_num_threads(2)
    tokenizer = load_tokenizer(folder, s)
    model = load_model(folder, s)
    said = set((folder / "users.txt").read_text().splitlines())
    total_right = total = 0
    shares = []
    for category, pairs in held_out_set(s["seed"], n_each).items():
        questions = [q for q, _ in pairs]
        assert not said.intersection(questions), "a held-out question is in the training text"
        answers = ask(model, tokenizer, questions)
        for (q, want), got in zip(pairs, answers):
            print(f"   {'right' if got == want else 'WRONG'}: {q} -> {got}" + ("" if got == want else f" (should be: {want})"))
        right = sum(got == want for (_, want), got in zip(pairs, answers))
        print(f"{category:16} {right:4} of {len(pairs):4} right, {100 * right / len(pairs):.1f}%", flush=True)
        total_right, total = total_right + right, total + len(pairs)
        shares.append(right / len(pairs))
    right, n = check_stories(model, tokenizer, s, n_each, said)
    print(f"{'stories':16} {right:4} of {n:4} without fault, {100 * right / n:.1f}%")
    total_right, total, shares = total_right + right, total + n, shares + [right / n]
    print(f"{'all':16} {total_right:4} of {total:4} right, {100 * total_right / total:.1f}% "
          f"(mean over categories {100 * sum(shares) / len(shares):.1f}%)")
    for q, answer in zip(SAMPLES, ask(model, tokenizer, SAMPLES, 260)):
        print(f"> {q}\n{answer}")
    sys.exit(0 if total_right >= WANTED * total else 1)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else HERE / "work"), int(sys.argv[2]) if len(sys.argv) > 2 else 50)
