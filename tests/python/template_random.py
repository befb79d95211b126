"""Random small templates: expressions of every kind over the values of template_snippets.CONTEXT."""
import random
import re

NAMES = ["s", "u", "e", "n", "neg", "f", "t", "no", "l", "words", "nested", "empty", "d", "rows", "html", "lines", "spaces", "missing"]
LITERALS = ["0", "1", "2", "-3", "1.5", "2.0", "''", "'a'", "'aB c'", "\"q'\"", "true", "false", "none", "[]", "{}", "()", "(1,)", "[1, 2, 3]",
            "['b', 'a']", "{'a': 1, 'b': 'x'}", "10", "'12'", "'-1.5'", "' x '", "'a,b,c'", "'caf\\u00e9'"]
BINARY = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "and", "or", "in", "not in"]
FILTERS = ["upper", "lower", "title", "capitalize", "trim", "length", "count", "first", "last", "list", "sort", "unique", "reverse", "join", "string", "int",
           "float", "abs", "round", "tojson", "items", "dictsort", "min", "max", "sum", "safe", "escape", "wordcount", "indent", "default", "d", "select", "reject"]
FILTERS_WITH = ["join({})", "default({})", "default({}, true)", "replace({}, {})", "trim({})", "int({})", "float({})", "round({})", "indent({})", "map({})",
                "map('upper')", "map('string')", "map('length')", "map(attribute='k')", "map(attribute={})", "select('string')", "select('number')", "select({})",
                "reject('none')", "selectattr('k')", "selectattr('v', 'defined')", "selectattr('k', 'equalto', {})", "rejectattr('v', 'gt', {})", "sort(reverse=true)",
                "sort(attribute='k')", "tojson(indent=2)", "batch(2)", "dictsort(false, 'value')", "sum(start={})", "format({}, {})", "center(9)", "max(attribute='v')",
                "unique(attribute='k')", "tojson(ensure_ascii=true)", "groupby('k')", "replace({}, {}, 1)"]
TESTS = ["defined", "undefined", "none", "boolean", "true", "false", "integer", "float", "number", "string", "mapping", "iterable", "sequence", "callable", "odd", "even",
         "lower", "upper", "escaped", "divisibleby(3)", "in({})", "eq({})", "lt({})", "ge({})", "ne({})", "sameas(none)", "divisibleby 2", "equalto 1"]
METHODS = ["upper()", "lower()", "title()", "capitalize()", "strip()", "lstrip()", "rstrip()", "split()", "rsplit()", "split({})", "split(',', 1)", "rsplit({}, {})",
           "strip({})", "startswith({})", "endswith({})", "replace({}, {})", "find({})", "rfind({})", "index({})", "count({})", "join({})", "splitlines()", "items()",
           "keys()", "values()", "get({})", "get({}, {})", "append({})", "format({}, {})", "isdigit()", "isalpha()", "islower()", "partition({})", "zfill({})",
           "rjust({})", "removeprefix({})", "isspace()", "update({})", "center({})", "casefold()", "isupper()", "rpartition({})", "istitle_not_there()"]
FORMATS = ["'%s'", "'%d'", "'%5.2f|'", "'%r'", "'%-6s|'", "'%x'", "'%s-%s'", "'%e'", "'%g'", "'%+d'", "'%05d'", "'%.2s'", "'%%'"]
BRACES = ["{}", "{:>8}", "{:.3f}", "{!r}", "{:d}", "{:x}", "{:^7}|", "{:,}", "{:.2%}", "{:08.2f}", "{:+}", "{:g}", "{:e}", "{:_<9}", "{:s}", "{:.3}", "{:05}", "{:#x}"]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def fill(self, pattern, depth):
        while "{}" in pattern:
            pattern = pattern.replace("{}", self.expression(depth - 1), 1)
        return pattern

    def expression(self, depth):
        r = self.random
        if depth <= 0 or r.random() < 0.15:
            return r.choice(NAMES) if r.random() < 0.6 else r.choice(LITERALS)
        a = self.expression(depth - 1)
        kind = r.randrange(16)
        if kind < 3:
            return f"{a} {r.choice(BINARY)} {self.expression(depth - 1)}"
        if kind < 4:
            return f"({a} {r.choice(BINARY)} {self.expression(depth - 1)})"
        if kind < 6:
            return f"{a} | {r.choice(FILTERS)}"
        if kind < 8:
            return f"{a} | {self.fill(r.choice(FILTERS_WITH), 1)}"
        if kind == 8:
            return f"{a} is {r.choice(['', 'not '])}{self.fill(r.choice(TESTS), 1)}"
        if kind == 9:
            return f"({a}).{self.fill(r.choice(METHODS), 1)}"
        if kind == 10:
            if a in LITERALS or not a.isalpha():
                a = r.choice(NAMES)  # jinja2 folds slices of constants with another meaning
            bounds = [r.choice(["", "", "0", "1", "-1", "2", "-2", "5"]) for _ in range(3)]
            return f"({a})[{bounds[0]}:{bounds[1]}:{bounds[2]}]"
        if kind == 11:
            return f"({a})[{r.choice(['0', '1', '-1', repr('a'), repr('k'), self.expression(0)])}]"
        if kind == 12:
            return f"({a} if {self.expression(depth - 1)} else {self.expression(depth - 1)})"
        if kind == 13:
            return r.choice([f"[{a}, {self.expression(0)}]", f"({a}, {self.expression(0)})", f"{{'k': {a}, {self.expression(0)}: 2}}", f"not {a}", f"-{a}", f"- ({a})"])
        if kind == 14:
            return f"{r.choice(FORMATS)} % ({a})" if r.random() < 0.5 else f"{r.choice(FORMATS)} % ({a}, {self.expression(0)})"
        return f"'{r.choice(BRACES)}'.format({a})"

    def template(self):
        r = self.random
        e = self.expression(r.randrange(1, 4))
        kind = r.randrange(10)
        if kind == 0:
            return f"{{% for x in {e} %}}{{{{ loop.index }}}}{{{{ x }}}}{{% if not loop.last %}},{{% endif %}}{{% else %}}-{{% endfor %}}"
        if kind == 1:
            return f"{{% if {e} %}}yes{{% elif {self.expression(1)} %}}maybe{{% else %}}no{{% endif %}}"
        if kind == 2:
            return f"{{% set n = {e} %}}{{{{ n }}}}{{% for n in l if n {r.choice(['>', '==', 'in'])} {self.expression(0)} %}}{{{{ n }}}}{{% endfor %}}"
        return f"{{{{ {e} }}}}"


WALKERS = re.compile("map|select|reject|unique|batch|items|reverse|format")


def comparable(template, text, ours):
    """Whether two results say something: not where jinja2 prints an address, or never walks a generator that would fail."""
    if text is None or not WALKERS.search(template):
        return True
    if "<generator object" in text.lower() or "<gener" in str(ours.get("text")).lower():
        return False
    return "text" in ours


def mutated(rng, template):
    """The template with its white space control changed, or a piece lost, doubled or moved."""
    pieces = re.split(r"(\{[{%#][-+]?|[-+]?[}%#]\}|\s+|\w+|[^\w\s])", template)
    pieces = [p for p in pieces if p]
    for _ in range(rng.randrange(1, 4)):
        i = rng.randrange(len(pieces))
        kind = rng.randrange(8)
        if kind < 4:
            tags = [k for k, p in enumerate(pieces) if re.fullmatch(r"\{[{%#][-+]?|[-+]?[}%#]\}", p)]
            i = rng.choice(tags)
            bare = pieces[i].strip("-+")
            sign = rng.choice(["", "-", "+"])
            pieces[i] = bare + sign if bare.startswith("{") else sign + bare
        elif kind == 4:
            del pieces[i]
        elif kind == 5:
            pieces.insert(i, pieces[rng.randrange(len(pieces))])
        elif kind == 6:
            pieces.insert(i, rng.choice(["\n", "  \n  ", " ", "\n\n", "{# c #}", "\t", "{{ 1 }}", "|", "(", ")", "not "]))
        else:
            k = rng.randrange(len(pieces))
            pieces[i], pieces[k] = pieces[k], pieces[i]
    return "".join(pieces)
