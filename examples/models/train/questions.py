"""Makes questions with right answers: each maker returns (key, question, answer), the key being what is held out."""
from words import (ANIMALS, BABIES, BOYS, COLOURS, COUNTED, DAYS, LEGS, LIVES, MONTHS, NAMES, OBJECTS, OPPOSITES, PLACES,
                   SIZES, SOUNDS, THING_COLOURS, a, cap, listed)


def add(rng):
    """A sum with a result of at most 99; half of the draws have a carry."""
    want_carry = rng.random() < 0.5
    while True:
        x, y = rng.randint(0, 99), rng.randint(0, 99)
        if x + y < 100 and (x % 10 + y % 10 >= 10) == want_carry:
            break
    question = rng.choice([f"What is {x} plus {y}?", f"What is {x} + {y}?", f"How much is {x} plus {y}?",
                           f"Add {x} and {y}."])
    return f"{x}+{y}", question, f"{x} plus {y} is {x + y}."


def subtract(rng):
    """A difference of numbers under 100 that is not negative; half of the draws have a borrow."""
    want_borrow = rng.random() < 0.5
    while True:
        x, y = rng.randint(0, 99), rng.randint(0, 99)
        if x >= y and (x % 10 < y % 10) == want_borrow:
            break
    question = rng.choice([f"What is {x} minus {y}?", f"What is {x} - {y}?", f"How much is {x} minus {y}?",
                           f"Take {y} away from {x}."])
    return f"{x}-{y}", question, f"{x} minus {y} is {x - y}."


def multiply(rng):
    """A product under 100 of the times table; what is held out is the wording, since each product is a fact of its own."""
    x, y = rng.randint(0, 10), rng.randint(0, 9)
    question = rng.choice([f"What is {x} times {y}?", f"What is {x} * {y}?", f"How much is {x} times {y}?",
                           f"Multiply {x} by {y}."])
    return question, question, f"{x} times {y} is {x * y}."


def after_number(rng):
    """The neighbour of a number."""
    n, before = rng.randint(1, 98), rng.random() < 0.4
    word, answer = ("before", n - 1) if before else ("after", n + 1)
    question = rng.choice([f"What number comes {word} {n}?", f"Which number is right {word} {n}?"])
    return f"{word} {n}", question, f"{answer} comes {word} {n}."


def compare_numbers(rng):
    """The larger or the smaller of two numbers."""
    x, y = rng.sample(range(100), 2)
    word = rng.choice(["bigger", "smaller"])
    best = max(x, y) if word == "bigger" else min(x, y)
    return f"{word} {x} {y}", f"Which number is {word}, {x} or {y}?", f"{best} is {word} than {x + y - best}."


def compare_animals(rng):
    """The larger or the smaller of two animals."""
    x, y = rng.sample(SIZES, 2)
    word = rng.choice(["bigger", "smaller"])
    best = max(x, y, key=SIZES.index) if word == "bigger" else min(x, y, key=SIZES.index)
    other = y if best == x else x
    return f"{word} {x} {y}", f"Which is {word}, {a(x)} or {a(y)}?", f"{cap(a(best))} is {word} than {a(other)}."


def opposite(rng):
    """The opposite of a word, either way round."""
    pairs = [p for w, o in OPPOSITES.items() for p in ((w, o), (o, w))]
    word, answer = rng.choice(pairs)
    question = rng.choice([f"What is the opposite of {word}?", f"What is the opposite of the word {word}?",
                           f"Tell me the opposite of {word}.", f"Which word means the opposite of {word}?"])
    return question, question, f"The opposite of {word} is {answer}."


def fact(rng):
    """A fact about colours, sounds, legs, homes or young ones; what is held out is a pair of thing and wording."""
    topic = rng.randrange(5)
    if topic == 0:
        x, y = rng.choice(list(THING_COLOURS.items()))
        wordings, answer = [f"What colour is {x}?", f"What color is {x}?", f"Which colour does {x} have?",
                            f"Tell me the colour of {x}."], f"{cap(x)} is {y}."
    elif topic == 1:
        x, y = rng.choice(list(SOUNDS.items()))
        wordings, answer = [f"What does {a(x)} say?", f"What sound does {a(x)} make?", f"Which sound does {a(x)} make?",
                            f"How does {a(x)} sound?"], f"{cap(a(x))} says {y}."
    elif topic == 2:
        x, y = rng.choice(list(LEGS.items()))
        wordings, answer = [f"How many legs does {a(x)} have?", f"How many legs has {a(x)}?",
                            f"Tell me how many legs {a(x)} has.", f"What number of legs does {a(x)} have?"], \
            f"{cap(a(x))} has {y or 'no'} legs."
    elif topic == 3:
        x, y = rng.choice(list(LIVES.items()))
        wordings, answer = [f"Where does {x} live?", f"What is the home of {x}?", f"Where is the home of {x}?",
                            f"Tell me where {x} lives."], f"{cap(x)} lives {y}."
    else:
        x, y = rng.choice(list(BABIES.items()))
        wordings, answer = [f"What is a young {x} called?", f"What is a baby {x} called?",
                            f"What do we call a young {x}?", f"What do you call a baby {x}?"], \
            f"A young {x} is called {a(y)}."
    question = rng.choice(wordings)
    return question, question, answer


def calendar(rng):
    """The day or month before or after another one, and counts of them."""
    unit, names = rng.choice([("day", DAYS), ("month", MONTHS)])
    i, word = rng.randrange(len(names)), rng.choice(["after", "before"])
    answer = names[(i + (1 if word == "after" else -1)) % len(names)]
    question = rng.choice([f"What {unit} comes {word} {names[i]}?", f"Which {unit} comes {word} {names[i]}?",
                           f"Which {unit} is {word} {names[i]}?", f"Tell me the {unit} {word} {names[i]}."])
    return question, question, f"{answer} comes {word} {names[i]}."


def who_has(rng):
    """Two or three people with things; who has what, and in which colour."""
    n = rng.choice([2, 2, 3])
    people, things = rng.sample(NAMES, n), rng.sample(OBJECTS, n)
    colours, i = rng.sample(COLOURS, n), rng.randrange(n)
    owned = [f"{c} {t}" for c, t in zip(colours, things)]
    world = " ".join(f"{p} has {a(t)}." for p, t in zip(people, owned))
    question, answer = rng.choice([
        (f"Who has the {things[i]}?", f"{people[i]} has the {things[i]}."),
        (f"What does {people[i]} have?", f"{people[i]} has {a(owned[i])}."),
        (f"What colour is the {things[i]}?", f"The {things[i]} is {colours[i]}."),
        (f"Who has the {owned[i]}?", f"{people[i]} has the {owned[i]}.")])
    return f"has {people[i]} {things[i]}", f"{world} {question}", answer


def where_is(rng):
    """Two or three beings in places, one of which may move; who is where now."""
    n = rng.choice([2, 2, 3])
    beings = rng.sample(NAMES if rng.random() < 0.7 else [f"the {x}" for x in ANIMALS], n)
    places = rng.sample(list(PLACES), n + 1)
    i, moves = rng.randrange(n), rng.random() < 0.4
    world = " ".join(cap(f"{b} is {p}.") for b, p in zip(beings, places))
    if moves:
        world += cap(rng.choice([f" Then {beings[i]} goes {PLACES[places[n]]}.", f" Now {beings[i]} goes {PLACES[places[n]]}."]))
        places[i] = places[n]
        if rng.random() < 0.3:
            i = rng.randrange(n)
    now = " now" if moves else ""
    question, answer = rng.choice([
        (f"Where is {beings[i]}{now}?", cap(f"{beings[i]} is {places[i]}.")),
        (f"Who is {places[i]}{now}?", cap(f"{beings[i]} is {places[i]}."))])
    return f"where {beings[i]} {places[i]}", f"{world} {question}", answer


def gives(rng):
    """A thing that changes hands; who has it now."""
    x, y, z = rng.sample(NAMES, 3)
    thing, other = rng.sample(OBJECTS, 2)
    colour = rng.choice(COLOURS)
    verb = rng.choice(["gives", "hands", "passes"])
    world = f"{x} has {a(colour + ' ' + thing)}. {y} has {a(other)}. {x} {verb} the {thing} to {z}."
    holder = rng.choice([z, z, y])
    asked = thing if holder == z else other
    question = rng.choice([f"Who has the {asked} now?", f"Who has the {asked}?"])
    return f"gives {holder} {asked}", f"{world} {question}", f"{holder} has the {asked}."


def count_things(rng):
    """A little word problem with a sum or a difference of small numbers."""
    x = rng.choice(NAMES)
    y = rng.choice([p for p in NAMES if p != x])
    thing, plural = rng.choice(list(COUNTED.items()))
    n, m = rng.randint(2, 12), rng.randint(1, 9)
    he = "he" if x in BOYS else "she"
    if rng.random() < 0.5:
        more = rng.choice([f"{y} gives {x} {m} more.", f"Then {he} finds {m} more."])
        total = n + m
    else:
        m = min(m, n - 1)
        more = rng.choice([f"{x} gives {m} to {y}.", f"Then {he} loses {m}."])
        total = n - m
    question = f"{x} has {n} {plural}. {more} How many {plural} does {x} have now?"
    return f"count {x} {n} {m}", question, f"{x} has {total} {thing if total == 1 else plural} now."


def count_list(rng):
    """How many animals or things a list has."""
    n = rng.randint(2, 5)
    words, sort = rng.choice([(ANIMALS, "animals"), (OBJECTS, "things"), (COLOURS, "colours"), (NAMES, "names")])
    chosen = rng.sample(words, n)
    shown = [a(w) for w in chosen] if sort in ("animals", "things") else chosen
    question = rng.choice([f"There is {listed(shown)}. How many {sort} are there?" if sort in ("animals", "things")
                           else f"Here are some {sort}: {listed(shown)}. How many {sort} are there?"])
    return f"list {chosen[0]} {chosen[1]}", question, f"There are {n} {sort}."


def yes_or_no(rng):
    """Is the thing of this colour, in a world of two things?"""
    t1, t2 = rng.sample(OBJECTS, 2)
    c1, c2, c3 = rng.sample(COLOURS, 3)
    thing, colour = rng.choice([(t1, c1), (t2, c2)])
    asked = rng.choice([colour, colour, c1 if colour == c2 else c2, c3])
    answer = f"Yes, the {thing} is {colour}." if asked == colour else f"No, the {thing} is {colour}."
    return f"is {thing} {colour} {asked}", f"The {t1} is {c1}. The {t2} is {c2}. Is the {thing} {asked}?", answer


def taller(rng):
    """Who of two or three is taller, older or faster."""
    word, reverse = rng.choice([("taller", "shorter"), ("older", "younger"), ("faster", "slower"),
                                ("stronger", "weaker")])
    x, y = rng.sample(NAMES, 2)
    if rng.random() < 0.5:
        word, reverse = reverse, word
    asked, answer = rng.choice([(word, x), (reverse, y)])
    return f"than {x} {y} {asked}", f"{x} is {word} than {y}. Who is {asked}?", f"{answer} is {asked}."


# category -> (maker, share among the questions)
MAKERS = {
    "plus": (add, 9), "minus": (subtract, 9), "times": (multiply, 3), "next number": (after_number, 2),
    "compare numbers": (compare_numbers, 3), "compare animals": (compare_animals, 2), "opposites": (opposite, 2),
    "facts": (fact, 4), "calendar": (calendar, 2), "who has": (who_has, 5), "where is": (where_is, 5),
    "gives": (gives, 3), "word problems": (count_things, 4), "count a list": (count_list, 2),
    "yes or no": (yes_or_no, 2), "who is taller": (taller, 2),
}
