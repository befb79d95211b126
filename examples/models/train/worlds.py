"""Makes worlds of several facts with many questions about each: they teach recall much faster than a question per world."""
from words import ANIMALS, BABIES, COLOURS, NAMES, OBJECTS, OPPOSITES, PLACES, a, cap


def owners(rng):
    """People and what they have."""
    n = rng.randint(3, 7)
    people, things, colours = rng.sample(NAMES, n), rng.sample(OBJECTS, n), rng.sample(COLOURS, n)
    world = " ".join(f"{p} has {a(f'{c} {t}')}." for p, c, t in zip(people, colours, things))
    asked = []
    for p, c, t in zip(people, colours, things):
        asked += [("who has", f"has {p} {t}", q, ans) for q, ans in (
            (f"Who has the {t}?", f"{p} has the {t}."), (f"What does {p} have?", f"{p} has {a(f'{c} {t}')}."),
            (f"What colour is the {t}?", f"The {t} is {c}."), (f"Who has the {c} {t}?", f"{p} has the {c} {t}."))]
    return world, asked


def places(rng):
    """Beings and where they are; one may move."""
    n = rng.randint(3, 7)
    beings = rng.sample(NAMES if rng.random() < 0.7 else [f"the {x}" for x in ANIMALS], n)
    where = rng.sample(list(PLACES), n + 1)
    world, now = " ".join(cap(f"{b} is {p}.") for b, p in zip(beings, where)), ""
    if rng.random() < 0.4:
        i = rng.randrange(n)
        world += cap(rng.choice([f" Then {beings[i]} goes {PLACES[where[n]]}.", f" Now {beings[i]} goes {PLACES[where[n]]}."]))
        where[i], now = where[n], " now"
    asked = []
    for b, p in zip(beings, where):
        asked += [("where is", f"where {b} {p}", q, cap(f"{b} is {p}.")) for q in (f"Where is {b}{now}?", f"Who is {p}{now}?")]
    return world, asked


def gifts(rng):
    """Things of which some change hands."""
    n = rng.randint(2, 4)
    people, things = rng.sample(NAMES, 2 * n), rng.sample(OBJECTS, n)
    owner, taker = people[:n], people[n:]
    world = " ".join(f"{p} has {a(t if rng.random() < 0.5 else f'{rng.choice(COLOURS)} {t}')}." for p, t in zip(owner, things))
    for i in rng.sample(range(n), rng.randint(1, n)):
        world += f" {owner[i]} {rng.choice(['gives', 'hands', 'passes'])} the {things[i]} to {taker[i]}."
        owner[i] = taker[i]
    return world, [("gives", f"gives {p} {t}", q, f"{p} has the {t}.") for p, t in zip(owner, things)
                   for q in (f"Who has the {t} now?", f"Who has the {t}?")]


def colours(rng):
    """Things and their colours, with yes or no."""
    n = rng.randint(3, 7)
    things, shades = rng.sample(OBJECTS, n), rng.sample(COLOURS, n)
    world = " ".join(f"The {t} is {c}." for t, c in zip(things, shades))
    asked = []
    for t, c in zip(things, shades):
        guess = c if rng.random() < 0.5 else rng.choice(COLOURS)
        asked.append(("yes or no", f"is {t} {c} {guess}", f"Is the {t} {guess}?",
                      f"{'Yes' if guess == c else 'No'}, the {t} is {c}."))
    return world, asked


WORLDS = [(owners, 6), (places, 6), (gifts, 5), (colours, 4)]


def draw_world(rng):
    """(world, [(category, key, question, answer)]) of one of the kinds, the questions in random order."""
    makers, shares = zip(*WORLDS)
    world, asked = rng.choices(makers, shares)[0](rng)
    rng.shuffle(asked)
    return world, asked


def draw_words(rng):
    """A list of words to be said again: the plainest form of recall."""
    pool = NAMES + OBJECTS + COLOURS + ANIMALS + list(OPPOSITES) + list(BABIES)
    return " ".join(rng.choice(pool) for _ in range(rng.randint(4, 24)))
