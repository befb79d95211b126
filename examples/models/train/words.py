"""The small world of the demo model: its names, things, places and facts, and the English forms that they need."""

BOYS = "Tom Ben Sam Max Leo Jack Finn Oscar Hugo Noah".split()
GIRLS = "Mia Lily Anna Ruby Zoe Ella Rose Nora Lucy Ivy".split()
NAMES = BOYS + GIRLS

ANIMALS = ("fox bear rabbit mouse cat dog owl duck frog squirrel hedgehog turtle goat pony lamb badger hen "
           "wolf deer otter").split()

OBJECTS = ("ball kite lantern hat drum boat book bell key scarf cup basket ring box map flute umbrella doll coat "
           "shell clock spoon").split()

COLOURS = "red blue green yellow white black brown purple orange pink grey golden".split()

# Where one can be, and how one gets there.
PLACES = {
    "in the forest": "to the forest", "in the garden": "to the garden", "in the park": "to the park",
    "by the river": "to the river", "on the hill": "to the hill", "at the market": "to the market",
    "by the lake": "to the lake", "on the beach": "to the beach", "in the meadow": "to the meadow",
    "at the farm": "to the farm", "in the village": "to the village", "in the kitchen": "to the kitchen",
    "at school": "to school", "in the barn": "to the barn",
}
OUTDOORS = [p for p in PLACES if p not in ("in the kitchen", "at school", "in the barn")]

HOMES = ["near a quiet forest", "by a small river", "on a green hill", "in a small village", "at the edge of the woods",
         "in a cosy little house", "near the sea", "on an old farm"]

SPOTS = ["under a bush", "behind a big tree", "under the bridge", "in the tall grass", "behind the gate",
         "next to the well", "under an old bench", "between two rocks", "under some leaves", "behind the fence"]

TRAITS = "little kind brave clever shy cheerful curious gentle young playful".split()
WEATHER = "sunny windy cold warm quiet bright cloudy fine".split()
TIMES = "morning afternoon day".split()
FOODS = "bread soup cake honey cheese berries apples pie".split()
COUNTED = {"apple": "apples", "pear": "pears", "nut": "nuts", "egg": "eggs", "cake": "cakes", "shell": "shells",
           "stone": "stones", "flower": "flowers", "book": "books", "coin": "coins", "berry": "berries",
           "button": "buttons"}

OPPOSITES = {
    "hot": "cold", "big": "small", "tall": "short", "happy": "sad", "fast": "slow", "day": "night", "up": "down",
    "open": "closed", "wet": "dry", "light": "dark", "old": "young", "hard": "soft", "full": "empty", "left": "right",
    "loud": "quiet", "clean": "dirty", "early": "late", "near": "far", "good": "bad", "strong": "weak",
    "rich": "poor", "thick": "thin", "high": "low", "inside": "outside", "first": "last", "yes": "no",
}

THING_COLOURS = {
    "the sky": "blue", "grass": "green", "snow": "white", "the sun": "yellow", "coal": "black", "a strawberry": "red",
    "a banana": "yellow", "a carrot": "orange", "milk": "white", "a leaf": "green", "chocolate": "brown",
    "a lemon": "yellow", "a tomato": "red", "the night": "black", "a frog": "green", "a flamingo": "pink",
}

SOUNDS = {"cow": "moo", "dog": "woof", "cat": "meow", "duck": "quack", "sheep": "baa", "pig": "oink", "owl": "hoot",
          "lion": "roar", "bee": "buzz", "snake": "hiss", "frog": "croak", "mouse": "squeak"}

LEGS = {"dog": 4, "cat": 4, "spider": 8, "bird": 2, "cow": 4, "ant": 6, "bee": 6, "horse": 4, "hen": 2, "fish": 0,
        "snake": 0, "duck": 2, "fox": 4, "owl": 2}

LIVES = {"a fish": "in the water", "a bird": "in a nest", "a bee": "in a hive", "a cow": "on a farm",
         "a bear": "in the forest", "a whale": "in the sea", "a rabbit": "in a burrow", "a spider": "in a web",
         "a frog": "near a pond", "a horse": "in a stable", "a dog": "in a kennel", "a king": "in a castle"}

BABIES = {"dog": "puppy", "cat": "kitten", "cow": "calf", "sheep": "lamb", "horse": "foal", "duck": "duckling",
          "bear": "cub", "hen": "chick", "goat": "kid", "frog": "tadpole"}

# From small to big.
SIZES = "ant bee mouse frog duck cat fox sheep pony cow elephant whale".split()

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()


def a(noun):
    """The noun phrase with its indefinite article."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def cap(text):
    """The text with a capital first letter."""
    return text[0].upper() + text[1:]


def listed(parts):
    """'x', 'x and y', 'x, y and z'."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def pronouns(name):
    """(he, him, his) or (she, her, her)."""
    return ("he", "him", "his") if name in BOYS else ("she", "her", "her")
