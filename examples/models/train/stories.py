"""Makes short stories: a plot is a list of steps, each with a choice of wordings, filled from one consistent cast."""
from words import (ANIMALS, COLOURS, FOODS, HOMES, NAMES, OBJECTS, OUTDOORS, PLACES, SPOTS, TIMES, TRAITS, WEATHER, a,
                   cap, pronouns, BOYS)

OPENINGS = [
    "Once upon a time, there was {a_trait_h} named {H}.",
    "Once upon a time, {a_trait_h} named {H} lived {home}.",
    "{H} was {a_trait_h} who lived {home}.",
    "There once was {a_trait_h} named {H}, who lived {home}.",
    "Long ago, {a_trait_h} named {H} lived {home}.",
]
HAS = ["{H} had {a_c_o}, and {he} loved it very much.", "{H} had {a_c_o} and took it everywhere.",
       "The thing that {H} loved most was {his} {c} {o}."]
ONE_DAY = ["One {w} {t}, {H} went {to_p}.", "One {w} {t}, {he} walked {to_p}.", "It was a {w} {t}, so {H} went {to_p}."]
FRIENDS = ["From that day on, {H} and {F} were best friends.", "{H} and {F} stayed friends for ever.",
           "And so {H} and {F} became the best of friends.", "After that, {H} and {F} played together every day."]

# name -> (steps, questions about the story with their answers)
PLOTS = {
    "lost": ([
        HAS, ONE_DAY,
        ["When {he} came home, the {o} was gone.", "On the way home, {he} saw that the {o} was gone.",
         "{He} played all day, but in the evening the {o} was gone."],
        ["{H} was very sad.", "{H} began to cry.", "\"Oh no!\" said {H}. \"I have lost my {o}!\""],
        ["{FX} heard {him} and came to help.", "\"What is wrong?\" asked {fx}. \"My {o} is lost,\" said {H}.",
         "{FX} said, \"Do not worry. I will help you.\""],
        ["They looked {s1}, but it was not there.", "First they looked {s1}. Then they looked {s2}."],
        ["At last, {F} saw something {c} {s3}. It was the {o}!", "Then {F} looked {s3}, and there was the {o}!"],
        ["{H} was so happy that {he} jumped for joy.", "\"Thank you!\" said {H}, and {he} hugged {F}.",
         "{H} laughed and held the {o} tight."],
        FRIENDS + ["After that, {H} always took good care of the {o}."]],
        [("What did {H} lose?", "{H} lost {his} {c} {o}."), ("Who helped {H}?", "{F} helped {H}."),
         ("Where was the {o}?", "The {o} was {s3}.")]),
    "share": ([
        ["One day, {H} got {a_c_o} from {his} grandmother.", "For {his} birthday, {H} got {a_c_o}."],
        ["{He} took it {to_p} to play.", "{He} wanted to show it to everyone, so {he} went {to_p}."],
        ["There {he} met {fx}, who looked sad.", "{FX} sat there all alone."],
        ["\"Why are you sad?\" asked {H}. \"I have nothing to play with,\" said {F}.",
         "\"I wish I had {a_o},\" said {F}.", "{F} looked at the {o} and said nothing."],
        ["{H} thought for a moment. \"We can share my {o},\" {he} said.",
         "\"Here,\" said {H}. \"You can have a turn with my {o}.\"", "{H} smiled and gave the {o} to {F} for a while."],
        ["{F} was very happy.", "{F} smiled a big smile.", "\"You are so kind!\" said {F}."],
        ["They played together until the sun went down.", "They had fun all afternoon."],
        FRIENDS + ["{H} learned that sharing makes everything more fun."]],
        [("What did {H} get?", "{H} got {a_c_o}."), ("Who was sad?", "{F} was sad."),
         ("What did {H} share?", "{H} shared {his} {o}.")]),
    "found": ([
        ONE_DAY,
        ["{s1c}, {he} found {a_c_o}.", "There {he} saw something {c} {s1}. It was {a_o}!"],
        ["\"Whose {o} is this?\" {he} asked.", "\"Somebody must be looking for this {o},\" thought {H}."],
        ["{H} asked the {x}, but the {x} said, \"It is not mine.\"",
         "{H} asked the {x}. \"No, it is not mine,\" said the {x}."],
        ["Then {he} saw {fx}, who was looking for something.", "Then {he} heard somebody cry. It was {fx}."],
        ["\"I have lost my {o},\" said {F}.", "\"Have you seen my {c} {o}?\" asked {F}."],
        ["\"Here it is!\" said {H}, and {he} gave the {o} back.", "{H} held out the {o}. \"Is this yours?\" {he} asked."],
        ["{F} was so glad that {fhe} gave {H} some {food}.", "\"Thank you!\" said {F}. \"Come and have some {food} with me.\""],
        FRIENDS + ["{H} went home with a happy heart."]],
        [("What did {H} find?", "{H} found {a_c_o}."), ("Whose {o} was it?", "It was {F}'s {o}."),
         ("What did {F} give {H}?", "{F} gave {H} some {food}.")]),
    "earn": ([
        ["{H} wanted {a_c_o} more than anything.", "More than anything, {H} wished for {a_c_o}."],
        ["But {he} had no money.", "But {he} did not have a single coin."],
        ["One {w} {t}, {he} met {fx}, who was tired.", "One {w} {t}, {he} saw {fx} with a heavy bag."],
        ["\"Please help me carry this bag {to_p},\" said {F}.", "\"Can you help me take this {to_p}?\" asked {F}."],
        ["{H} helped at once.", "\"Of course,\" said {H}, and {he} took the bag."],
        ["It was hard work, but {he} did not stop.", "The way was long, but {H} sang a song and kept going."],
        ["{F} gave {him} a shiny coin to say thank you.", "\"You are a good helper,\" said {F}, and gave {him} a coin."],
        ["With the coin, {H} bought {a_c_o}.", "{H} ran to the shop and bought the {c} {o}."],
        ["{He} was very proud of it.", "\"I worked for this,\" {he} said with a smile."]],
        [("What did {H} want?", "{H} wanted {a_c_o}."), ("Who gave {H} a coin?", "{F} gave {H} a coin."),
         ("What did {H} buy?", "{H} bought {a_c_o}.")]),
    "broken": ([
        HAS,
        ["One {w} {t}, {he} fell, and the {o} broke.", "One {w} {t}, {he} dropped the {o}, and it broke."],
        ["{H} was very sad.", "\"Oh no, my {o}!\" cried {H}.", "Big tears ran down {his} face."],
        ["{He} tried to mend it, but it was too hard.", "{He} tried and tried, but {he} could not mend it."],
        ["Then {fx} came by.", "{FX} saw that {he} was sad."],
        ["\"I can help you mend it,\" said {F}.", "\"Let me try,\" said {F}. \"We only need some glue and some time.\""],
        ["They worked together all {t2}.", "{H} held the parts, and {F} used the glue."],
        ["Soon the {o} was as good as new.", "When they were done, the {o} looked even better than before."],
        ["\"Thank you, {F}!\" said {H}.", "{H} made some {food} for {F} to say thank you."],
        FRIENDS + ["{H} learned that it is good to ask for help."]],
        [("What broke?", "The {o} broke."), ("Who helped {H}?", "{F} helped {H}."),
         ("What colour was the {o}?", "The {o} was {c}.")]),
    "noise": ([
        ["One night, {H} heard a strange noise.", "One dark night, a strange noise woke {H} up."],
        ["{He} was afraid, but {he} wanted to know what it was.", "{H} was a little afraid, but {he} got up."],
        ["{He} opened the door and went outside.", "{He} put on a warm coat and went out into the dark."],
        ["The noise came from {s1p}.", "\"Who is there?\" asked {H}."],
        ["Something moved {s1}. It was only {fx}!", "There, {s1}, sat {fx}!"],
        ["\"I am looking for my {o},\" said {F}. \"I lost it today.\"",
         "\"I am sorry,\" said {F}. \"I cannot find my {c} {o}.\""],
        ["{H} laughed. \"You scared me! Let us look for it together.\"", "\"Do not worry,\" said {H}. \"I will help you.\""],
        ["Soon they found the {c} {o} {s2}.", "They found the {o} {s2}."],
        ["Then they went inside and ate some {food}.", "{H} gave {F} some {food}, and they talked until morning."],
        ["After that, {H} was not afraid of the dark.", "\"Good night,\" said {F}. \"Good night,\" said {H}."]],
        [("What did {H} hear?", "{H} heard a strange noise."), ("What did {F} lose?", "{F} lost {fhis} {c} {o}."),
         ("Where was the {o}?", "The {o} was {s2}.")]),
    "race": ([
        ["One {w} {t}, there was a race {to_p}.", "One {w} {t}, everybody ran a race {to_p}."],
        ["The prize was {a_c_o}.", "The winner would get {a_c_o}."],
        ["{H} ran as fast as {he} could.", "{H} wanted to win, so {he} ran very fast."],
        ["{FX} ran fast too, but then {fhe} fell.", "{FX} was in front, but then {fhe} fell down."],
        ["{H} stopped. \"Are you hurt?\" {he} asked.", "{H} saw it and stopped to help."],
        ["\"My leg hurts,\" said {F}.", "\"I cannot run,\" said {F}."],
        ["{H} helped {F} to stand up, and they walked on together.", "\"Then we will walk together,\" said {H}."],
        ["They were the last, but everybody cheered.", "They did not win, but everybody was proud of {H}."],
        ["In the end, {H} got the {o} for being so kind.", "The winner gave the {o} to {H}. \"You are a true friend,\" he said."],
        FRIENDS],
        [("What was the prize?", "The prize was {a_c_o}."), ("Who fell?", "{F} fell."),
         ("Who got the {o}?", "{H} got the {o}.")]),
    "honest": ([
        ["{FX} had {a_c_o}.", "One day, {fx} showed {H} {a_c_o}."],
        ["{H} wanted to play with it, so {he} took it without asking.", "When {F} was away, {H} took the {o}."],
        ["But then {he} dropped it {p}, and it broke.", "But the {o} fell down and broke."],
        ["{H} was afraid and hid it {s1}.", "{H} did not know what to do, so {he} hid it {s1}."],
        ["\"Where is my {o}?\" asked {F}.", "Soon {F} came back and looked for the {o}."],
        ["{H} felt bad.", "{H} could not eat and could not sleep.", "{H} looked at the ground."],
        ["At last, {he} told the truth. \"I broke it. I am sorry,\" {he} said.",
         "\"I took it and I broke it,\" said {H}. \"I am very sorry.\""],
        ["{F} was sad, but {fhe} was not angry.", "\"Thank you for telling me,\" said {F}."],
        ["Together they made a new {o}.", "The next day, {H} gave {F} a new {o}."],
        ["{H} learned that it is always best to tell the truth.", "After that, {H} always asked first."]],
        [("What broke?", "{F}'s {o} broke."), ("Who told the truth?", "{H} told the truth."),
         ("Where did {H} hide the {o}?", "{H} hid the {o} {s1}.")]),
}
BREAKS = {"broken", "honest"}  # plots for things that can break
SOFT = {"ball", "hat", "book", "key", "scarf", "ring", "map", "coat", "spoon"}


def make_cast(rng, kind, obj):
    """The slots of one story: who, what, where; all of them different where they must be."""
    hero, friend = rng.sample(NAMES, 2)
    if kind == "child":
        kind = "boy" if hero in BOYS else "girl"
    animals = [x for x in ANIMALS if x != kind]
    fkind, other = rng.sample(animals, 2)
    he, him, his = pronouns(hero)
    fhe, _, fhis = pronouns(friend)
    known_as = friend if rng.random() < 0.25 else f"{friend} the {fkind}"
    fx = rng.choice([f"{his} friend {known_as}", f"{friend} the {fkind}"])
    colour, place = rng.choice(COLOURS), rng.choice(OUTDOORS)
    s1, s2, s3 = rng.sample(SPOTS, 3)
    slots = dict(H=hero, F=friend, he=he, him=him, his=his, fhe=fhe, fhis=fhis, h=kind, o=obj, c=colour, p=place,
                 to_p=PLACES[place], s1=s1, s2=s2, s3=s3, s1c=cap(s1), x=other, fx=fx, FX=cap(fx), home=rng.choice(HOMES),
                 a_trait_h=a(rng.choice(TRAITS) + " " + kind), a_c_o=a(colour + " " + obj), a_o=a(obj),
                 w=rng.choice(WEATHER), t=rng.choice(TIMES), t2=rng.choice(["day", "afternoon"]),
                 food=rng.choice(FOODS))
    slots["He"] = cap(he)
    slots["s1p"] = s1.replace("in the", "the").replace("next to the", "the")
    return slots


def make_story(rng, kind=None, obj=None):
    """One story: {kind, object, hero, text, questions: [(question, answer)]}; kind is an animal or 'child'."""
    kind = kind or (rng.choice(ANIMALS) if rng.random() < 0.75 else "child")
    obj = obj or rng.choice(OBJECTS)
    slots = make_cast(rng, kind, obj)
    steps, questions = PLOTS[rng.choice([p for p in PLOTS if not (p in BREAKS and obj in SOFT)])]
    text = " ".join(rng.choice(step).format_map(slots) for step in [OPENINGS] + steps)
    filled = [(q.format_map(slots), ans.format_map(slots)) for q, ans in questions]
    return dict(kind=slots["h"], object=obj, hero=slots["H"], colour=slots["c"], text=text,
                questions=[(q, ans) for q, ans in filled if is_told(text, ans, slots)])


def is_told(text, answer, slots):
    """True where the text tells all places and colours of the answer, so that the question can be answered."""
    return all(slots[k] in text for k in ("s1", "s2", "s3", "c", "food") if slots[k] in answer)
