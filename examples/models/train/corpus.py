"""Builds the training text and the held-out questions; a document is a list of (role, text, weight in the loss)."""
import bisect
import random
import zlib

from questions import MAKERS, add, multiply, subtract
from stories import make_story
from talk import ANY_STORY, STORY_REQUESTS, SYSTEMS, TALK
from words import a
from worlds import draw_words, draw_world

BOS, SYSTEM, USER, ASSISTANT, END = "<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"
SPECIALS = [BOS, SYSTEM, USER, ASSISTANT, END]


def is_held_out(key):
    """True for one key in ten, by its checksum, so that a combination is always on the same side."""
    return zlib.crc32(key.encode()) % 10 == 0


def draw_question(rng, category, held_out=False):
    """(question, answer) from the wanted side of the split."""
    while True:
        key, question, answer = MAKERS[category][0](rng)
        if is_held_out(category + " " + key) == held_out:
            return question, answer


def draw_story(rng, held_out=False, **wishes):
    """A story whose pair of hero kind and object is on the wanted side of the split."""
    while True:
        story = make_story(rng, **wishes)
        if is_held_out(f"story {story['kind']} {story['object']}") == held_out:
            return story


def request_for(rng, story):
    """What a user says to get this story: kind and object mostly, sometimes the name, the colour, or nothing at all."""
    kind, obj = a(story["kind"]), a(story["object"])
    dice = rng.random()
    if dice < 0.1:
        return rng.choice(ANY_STORY)
    it = (kind if dice < 0.25 else f"{kind} named {story['hero']}" if dice < 0.35
          else f"{kind} named {story['hero']} and {obj}" if dice < 0.45
          else f"{kind} and {a(story['colour'] + ' ' + story['object'])}" if dice < 0.55 else f"{kind} and {obj}")
    return rng.choice(STORY_REQUESTS).format(it=it)


def story_turns(rng):
    """A request, its story, and sometimes questions about it."""
    story = draw_story(rng)
    turns = [(request_for(rng, story), story["text"])]
    asked = list(story["questions"]) + [("Who was the story about?", about(story))]
    return turns + rng.sample(asked, rng.choice([0, 0, 1, min(2, len(asked))]))


def about(story):
    """The answer to the question whom a story was about."""
    return f"The story was about {a(story['kind'])} named {story['hero']}."


def reading_turns(rng, held_out=False):
    """A story told by the user with a question about it."""
    while True:
        story = draw_story(rng, held_out)
        if story["questions"]:
            question, answer = rng.choice(story["questions"])
            return [(f"{story['text']} {question}", answer)]


def question_turns(rng, mix):
    """One to four questions of any category."""
    shares = [MIXES[mix][1].get(name, share) for name, (_, share) in MAKERS.items()]
    return [draw_question(rng, c) for c in rng.choices(list(MAKERS), shares, k=rng.choice([1, 1, 2, 3, 4]))]


def world_turns(rng):
    """A world of several facts and up to eight questions about it, none of which is held out."""
    world, asked = draw_world(rng)
    turns = [(q, ans) for category, key, q, ans in asked if not is_held_out(f"{category} {key}")][:rng.randint(3, 8)]
    return [(f"{world} {turns[0][0]}", turns[0][1]), *turns[1:]] if turns else world_turns(rng)


def repeat_turns(rng):
    """Words to be said again."""
    words = draw_words(rng)
    return [(rng.choice(["Repeat after me: {}", "Say this again: {}", "Repeat: {}"]).format(words), words)]


def talk_turns(rng):
    """One line of small talk."""
    said, answered = rng.choice(TALK)
    return [(rng.choice(said), rng.choice(answered))]


def chat(rng, turns):
    """The document of a chat: only what the assistant says counts in the loss."""
    parts = [("system", rng.choice(SYSTEMS), 0)] if rng.random() < 0.1 else []
    for said, answered in turns:
        parts += [("user", said, 0), ("assistant", answered, 1)]
    return parts


def sums(rng):
    """A plain page of sums; only the results count in the loss."""
    parts = []
    for _ in range(rng.randint(6, 14)):
        maker, category = rng.choice([(add, "plus")] * 4 + [(subtract, "minus")] * 4 + [(multiply, "times")])
        key, _, answer = maker(rng)
        if maker is multiply or not is_held_out(f"{category} {key}"):
            left, right = answer.split(" is ")
            parts += [("text", (" " if parts else "") + left + " is", 0), ("text", " " + right, 1)]
    return parts or sums(rng)


KINDS = ["story", "told story", "reading", "sums", "talk", "talk first", "talk last", "story last", "repeat", "world", "questions"]
# name -> (for each kind but the last the share of the documents up to it, shares of questions unlike those of MAKERS)
MIXES = {
    "broad": ([0.06, 0.20, 0.22, 0.36, 0.40, 0.44, 0.48, 0.50, 0.50, 0.50], {}),
    "recall": ([0.05, 0.23, 0.28, 0.31, 0.33, 0.36, 0.39, 0.41, 0.41, 0.41],
               {"who has": 14, "where is": 14, "gives": 8, "word problems": 8, "yes or no": 8, "who is taller": 6,
                "compare numbers": 6, "minus": 7, "plus": 5, "times": 2, "opposites": 3, "calendar": 3, "facts": 3,
                "compare animals": 4}),
    "worlds": ([0.00, 0.02, 0.07, 0.09, 0.10, 0.11, 0.12, 0.12, 0.12, 0.12],
               {"who has": 20, "where is": 20, "gives": 14, "word problems": 8, "yes or no": 14, "who is taller": 14,
                "compare numbers": 4, "minus": 3, "plus": 3, "times": 5, "next number": 4, "opposites": 1, "calendar": 1,
                "facts": 2, "compare animals": 2, "count a list": 1}),
    "memory": ([0.00, 0.02, 0.05, 0.06, 0.07, 0.08, 0.09, 0.09, 0.24, 0.74], {}),
    "all": ([0.04, 0.18, 0.24, 0.27, 0.29, 0.31, 0.33, 0.35, 0.38, 0.58],
            {"who has": 12, "where is": 12, "gives": 8, "word problems": 6, "yes or no": 8, "who is taller": 5}),
}


def make_document(rng, mix):
    """One document of the training text, by the shares of its kinds in the mix."""
    kind = KINDS[bisect.bisect(MIXES[mix][0], rng.random())]
    if kind == "story":
        return [("text", draw_story(rng)["text"], 1)]
    if kind == "told story":
        return chat(rng, story_turns(rng))
    if kind == "reading":
        return chat(rng, reading_turns(rng))
    if kind == "sums":
        return sums(rng)
    if kind == "repeat":
        return chat(rng, repeat_turns(rng))
    if kind == "world":
        return chat(rng, world_turns(rng))
    if kind == "talk":
        return chat(rng, talk_turns(rng))
    turns = question_turns(rng, mix)
    if kind == "talk first":
        turns = talk_turns(rng) + turns
    elif kind == "talk last":
        turns += talk_turns(rng)
    elif kind == "story last":
        turns += story_turns(rng)
    return chat(rng, turns)


def encode_document(tokenizer, parts):
    """(ids, weights) of a document: BOS, its parts, END; a weight belongs to the token that is predicted."""
    ids, weights = [tokenizer.ids[BOS]], [0]
    marks = {"system": SYSTEM, "user": USER, "assistant": ASSISTANT}
    for role, text, weight in parts:
        assert text.isascii()
        body = ([tokenizer.ids[marks[role]]] if role in marks else []) + tokenizer.encode(text)
        ids += body
        weights += ([0] + [weight] * (len(body) - 1)) if role in marks else [weight] * len(body)
        if role == "assistant":
            ids.append(tokenizer.ids[END])
            weights.append(1)
    if parts[-1][0] == "text":
        ids.append(tokenizer.ids[END])
        weights.append(1)
    return ids, weights


def user_texts(parts):
    """What users say in a document: no held-out question may be among it."""
    return [text for role, text, _ in parts if role == "user"]


def held_out_set(seed, n_each):
    """{category: [(question, answer)]}: up to n_each different held-out questions of each category."""
    out = {}
    for category in [*MAKERS, "reading"]:
        rng, found = random.Random(f"{seed} {category}"), {}
        for _ in range(20 * n_each):
            if len(found) < n_each:
                q, ans = reading_turns(rng, True)[0] if category == "reading" else draw_question(rng, category, True)
                found[q] = ans
        out[category] = list(found.items())
    return out


def held_out_stories(seed, n):
    """[(request, kind, object)]: up to n pairs of a hero and an object that no story of the training text has."""
    rng, found = random.Random(f"{seed} stories"), {}
    for _ in range(100 * n):
        story = draw_story(rng, True)
        if len(found) < n:
            found[f"Tell me a story about {a(story['kind'])} and {a(story['object'])}."] = (story["kind"], story["object"])
    return [(request, *pair) for request, pair in found.items()]
