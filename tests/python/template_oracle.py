"""Renders templates as transformers does (the oracle), and with ours through hearth_render_template."""
import copy
import datetime
import functools
import json
import os
import subprocess
import tempfile

import jinja2
import jinja2.ext
import jinja2.sandbox
from jinja2 import nodes

NOW = datetime.datetime(2026, 8, 5, 14, 3, 9)
NOW_SECONDS = int((NOW - datetime.datetime(1970, 1, 1)).total_seconds())


class Generation(jinja2.ext.Extension):
    """{% generation %} marks what the model said; only its text matters."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


ENVIRONMENT = environment()


@functools.lru_cache(maxsize=None)
def compiled(template):
    return ENVIRONMENT.from_string(template)


def render(template, context):
    """The text, or None where rendering fails, and then the exception. (A copy of the context: `indent` changes lists.)"""
    try:
        return compiled(template).render(**copy.deepcopy(context)), None
    except Exception as error:  # every failure of the template counts alike
        return None, error


def program():
    given = os.environ.get("HEARTH_RENDER_TEMPLATE")
    here = os.path.dirname(os.path.abspath(__file__))
    path = given or os.path.join(here, "..", "..", "build", "bin", "hearth_render_template")
    return path if os.path.exists(path) else None


def render_ours(cases):
    """cases: [(template, context)] -> [{"text"} or {"error", "line", "column"}]"""
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump([{"template": t, "context": c, "now": NOW_SECONDS} for t, c in cases], file)
        file.flush()
        done = subprocess.run([program(), file.name], capture_output=True, check=False)
    lines = done.stdout.decode("utf-8").split("\n")
    results = [json.loads(line) for line in lines if line]
    if done.returncode != 0 or len(results) != len(cases):
        raise RuntimeError(f"hearth_render_template ended with {done.returncode} after {len(results)} of {len(cases)} cases: "
                           f"{done.stderr.decode('utf-8', 'replace')[-2000:]}")
    return results


def differences(cases):
    """One readable text for each case where the two disagree."""
    found = []
    for (template, context), ours in zip(cases, render_ours(cases)):
        text, error = render(template, context)
        if text is None and "text" not in ours:
            if ours["line"] < 1 or ours["column"] < 1:
                found.append(f"{template!r}: our error has no place: {ours}")
        elif ours.get("text") != text:
            found.append(f"{template!r}\n  with {json.dumps(context)[:200]}\n  jinja2: {text!r} {error!r}\n  ours:   {ours.get('text')!r} "
                         f"{ours.get('error')!r}")
    return found
