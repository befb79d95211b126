"""One small template for each feature of the language, and templates that must fail."""

CONTEXT = {
    "s": "Hello, World", "u": "na\u00efve \u0391\u0392\u0393 stra\u00dfe \U0001f98a", "e": "", "n": 42, "neg": -7, "f": 3.14159, "big": 1e20, "small": 1.5e-7,
    "t": True, "no": None, "l": [3, 1, 2], "words": ["b", "A", "c", "a"], "nested": [[1, 2], [3, [4]]], "empty": [],
    "d": {"b": 1, "a": {"x": [1, "two", None]}, "C": "q'uote\"d"}, "items_key": {"items": 1, "keys": [1]},
    "rows": [{"k": "x", "v": 2, "in": {"z": 1}}, {"k": "y", "v": 1, "in": {"z": 0}}, {"k": "x", "v": 3, "in": {"z": 5}}, {"k": "Y"}],
    "html": "<a href='x'>&</a>", "lines": "one\ntwo\n\n  three\r\nfour", "spaces": " \t a  b c \n",
}

SNIPPETS = r"""
{{ 1 + 2 * 3 - 4 / 2 }} {{ 7 // 2 }} {{ neg // 2 }} {{ neg % 3 }} {{ 7 % -3 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 3 ** 2 }}
{{ -2 ** 2 }} {{ - 2 }} {{ +n }} {{ --n }} {{ 1_000 }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 1e3 }} {{ 1.5E-3 }} {{ 2.0 }} {{ 1e16 }} {{ 123456789012345680.0 }}
{{ 1 / 3 }} {{ 10 / 5 }} {{ 1e300 * 1e10 }} {{ big }} {{ small }} {{ 0.1 + 0.2 }} {{ 100000000000000000000.0 }} {{ -0.0 }} {{ 1e-5 }} {{ 0.0001 }}
{{ true + 1 }} {{ true }} {{ True }} {{ none }} {{ None }} {{ false == 0 }} {{ 1 == 1.0 }} {{ "1" == 1 }} {{ [1] == [1.0] }} {{ (1,) == [1] }}
{{ 'a' ~ 1 ~ none ~ 2.5 ~ [1] ~ missing }} {{ 'a' 'b' "c" }} {{ 'ab' * 3 }} {{ 3 * [0] }} {{ [1] + [2] }} {{ (1,) + (2, 3) }}
{{ "esc \n \t \\ \" \' \x41 \u00e9 \U0001F98A \101 \q" }} {{ 'multi
line' }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 3 > 2 >= 2 != 1 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ (1, 2) < (1, 2, 0) }} {{ 1 < 2.5 }}
{{ not true }} {{ not e }} {{ not not n }} {{ e or 'x' }} {{ n and 'y' }} {{ no or 0 or [] }} {{ 1 and 0 and 2 }} {{ not 1 == 2 }} {{ not 1 in [1] }}
{{ 1 in l }} {{ 9 not in l }} {{ 'ell' in s }} {{ 'b' in d }} {{ 'x' in missing }} {{ 2 in range(3) }} {{ 1 in (1, 2) }} {{ none in [none] }}
{{ 'yes' if t else 'no' }} {{ 'yes' if not t }} {{ 'a' if e else 'b' if t else 'c' }} {{ ('x' if t) ~ 'y' }} {{ 1 if e else 2 + 3 }} {{ [1 if t else 2, 3] }}
{{ l[0] }} {{ l[-1] }} {{ l[9] }} {{ s[1] }} {{ s[-1] }} {{ u[3] }} {{ l[1:] }} {{ l[:-1] }} {{ l[::-1] }} {{ s[::2] }} {{ u[::-1] }} {{ u[2:5] }} {{ l[5:] }} {{ s[-3:] }} {{ l[-9:2] }} {{ s[4:1:-1] }}
{{ d.a.x[1] }} {{ d['a']['x'][0] }} {{ d.b }} {{ d.nope }} {{ d['nope'] }} {{ d.a.nope }} {{ l.0 }} {{ nested[1][1][0] }} {{ nested.1.0 }}
{{ items_key['items'] }} {{ items_key['keys'] }} {{ items_key.items() | list }} {{ d.items() }} {{ d.keys() }} {{ d.values() }} {{ d.keys() | list }}
{{ d }} {{ l }} {{ nested }} {{ (1,) }} {{ () }} {{ [] }} {{ {} }} {{ {'a': 1, 2: [none], 'x': {'y': (1, 2)}} }} {{ ['it\'s', "q\"", 'both\'"', '\u00e9\n\x00', '\\'] }}
{{ range(5) }} {{ range(1, 10, 3) | list }} {{ range(5, 0, -2) | list }} {{ range(3)[1] }} {{ range(0) | list }} {{ range(3) | length }} {{ range(10)[2:4] | list }}
{{ {'a': 1}.a }} {{ {1: 'x'}[1] }} {{ {'a': 1, 'a': 2} }} {{ {true: 'x'}[1] }} {{ {(1, 2): 3}[(1, 2)] }} {{ dict(a=1, b=2) }} {{ dict({'x': 1}, y=2) }} {{ dict([('a', 1)]) }}
{{ missing }} [{{ missing | default('dflt') }}] {{ e | default('x') }} {{ e | default('x', true) }} {{ no | d('x') }} {{ no | d('x', boolean=true) }} {{ missing | default }} {{ missing.x | default('y') if missing is defined }}
{{ missing | length }} {{ missing | list }} {{ missing | join(',') }} {{ missing | upper }} {{ missing == missing }} {{ missing is defined }} {{ missing is undefined }} {{ not missing }} {{ missing ~ 'x' }} {{ missing | string }} {{ missing is iterable }} {{ missing is sequence }} {{ missing is callable }}
{% if missing %}a{% elif not e %}b{% else %}c{% endif %}{% if n == 42 and (t or e) %}d{% endif %}{% if false %}x{% endif %}
{% for x in l %}{{ loop.index }}/{{ loop.length }}:{{ x }}{{ ", " if not loop.last }}{% endfor %}{% for x in empty %}x{% else %}none{% endfor %}
{% for x in l %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('a', 'b') }}{{ loop.depth }}{{ loop.depth0 }};{% endfor %}
{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }}{% endfor %} {% for x in l if x > 1 %}{{ loop.index }}{{ x }}{{ loop.length }}{% else %}none{% endfor %} {% for x in l if x > 9 %}x{% else %}none{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}{% for a, (b, c) in [(1, (2, 3)), (4, (5, 6))] %}{{ a }}{{ b }}{{ c }} {% endfor %}
{% for c in u %}{{ c }}|{% endfor %}{% for x in (1, 2) %}{{ x }}{% endfor %}{% for x in 1, 2, 3 %}{{ x }}{% endfor %}{% for x in missing %}{{ x }}{% endfor %}
{% for x in range(6) %}{% if x == 1 %}{% continue %}{% endif %}{% if x == 4 %}{% break %}{% endif %}{{ x }}{% endfor %} {% for x in [1] %}{% continue %}{% else %}else{% endfor %} {% for x in [1] %}{% break %}{% else %}else{% endfor %}
{% for x in l %}{% for y in l %}{{ loop.index }}{% if y == 1 %}{% break %}{% endif %}{% endfor %}{{ loop.index }};{% endfor %}{% for x in l %}{% set outer = loop %}{% for y in l %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}
{% for item in [{'n': 'a', 'c': [{'n': 'b', 'c': []}, {'n': 'c', 'c': [{'n': 'd', 'c': []}]}]}] recursive %}({{ loop.depth }}{{ item.n }}{{ loop(item.c) }}){% endfor %}
{% set x = 1 %}{% for i in l %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }} {% set ns = namespace(x=1, y='q') %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}{{ ns.y }}{{ ns.zz }} {{ ns }}
{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }} {% set a, b = 1, 2 %}{{ a }}{{ b }} {% set (a, b) = [3, 4] %}{{ a }}{{ b }} {% set p = 1, 2 %}{{ p }}
{% set x %}block {{ n }}{% set inner = 5 %}{% endset %}{{ x }}{{ inner }} {% set y | upper | trim %}  shout {% endset %}{{ y }} {% set z | replace('a', 'b') %}aaa{% endset %}{{ z }}
{% macro m(a, b=2, c=a) %}[{{ a }},{{ b }},{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=5, a=6) }}{{ m() }}{{ m(1, c=9) }}{{ m(*[7, 8]) }}{{ m(**{'a': 1, 'b': 0}) }}{{ m.name }}
{% macro v() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ v(1, 2, x=3) }}{{ v() }} {% macro outer(x) %}{% macro inner(y) %}{{ x }}{{ y }}{% endmacro %}{{ inner(1) }}{% endmacro %}{{ outer(5) }} {% macro f(k) %}{% if k > 0 %}{{ k }}{{ f(k - 1) }}{% endif %}{% endmacro %}{{ f(5) }}
{% macro wrap(t) %}<{{ t }}>{{ caller() }}</{{ t }}>{% endmacro %}{% call wrap('b') %}body {{ n }}{% endcall %} {% macro each(xs) %}{% for x in xs %}{{ caller(x, loop.index) }}{% endfor %}{% endmacro %}{% call(x, i) each(l) %}{{ i }}:{{ x }} {% endcall %} {% macro c() %}{{ caller is defined }}{% endmacro %}{{ c() }}
{% macro late() %}{{ defined_later }}{% endmacro %}{% set defined_later = 'ok' %}{{ late() }} {% macro shout(x) %}{{ x | upper }}{% endmacro %}{{ shout('a') ~ shout('b') | length }}
{% filter upper %}text {{ s }}{% endfilter %} {% filter replace('a', 'b') | trim %} banana {% endfilter %} {% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a }} {% with %}{% set q = 1 %}{% endwith %}{{ q }}
{% raw %}{{ not }} {% if %} {# #}{% endraw %} {%- raw -%}  x  {%- endraw -%}  y {# comment {{ x }} #} {#- strip -#} z
{% generation %}said {{ s }}{% endgeneration %}
{{ s.upper() }} {{ s.lower() }} {{ 'hello world-foo bar\'s'.title() }} {{ 'hELLO wORLD'.capitalize() }} {{ u.upper() }} {{ u.lower() }} {{ u.title() }} {{ '\u00df'.upper() }} {{ '\u00df'.title() }}
{{ 'a,b,,c'.split(',') }} {{ spaces.split() }} {{ 'a b  c d'.split(none, 2) }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ 'a b c '.rsplit(none, 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ 'a,b'.split(sep=',') }} {{ 'a,b,c'.split(',', maxsplit=1) }} {{ '  a  b  '.split(none, 1) }} {{ '  a  b  '.rsplit(none, 1) }} {{ '  a  b  '.split(none, 0) }}
{{ spaces.strip() }}| {{ spaces.lstrip() }}| {{ spaces.rstrip() }}| {{ 'xxaxx'.strip('x') }} {{ 'abcba'.lstrip('ab') }} {{ 'abc\n\n'.rstrip('\n') }}| {{ '\u3000x\u00a0'.strip() }}| {{ '\u00e9a\u00e9'.strip('\u00e9') }}
{{ s.startswith('Hell') }} {{ s.endswith('ld') }} {{ s.startswith(('x', 'H')) }} {{ s.startswith('ell', 1) }} {{ s.endswith('') }} {{ s.startswith('W', -5) }} {{ s.endswith('o', 0, 5) }}
{{ s.replace('l', 'L') }} {{ s.replace('l', 'L', 1) }} {{ 'aaa'.replace('a', 'aa') }} {{ 'abc'.replace('', '-') }} {{ '\u00e9'.replace('', '-') }} {{ 'aaa'.replace('a', '', 2) }}
{{ s.find('o') }} {{ s.rfind('o') }} {{ s.find('zz') }} {{ u.find('stra\u00dfe') }} {{ s.index('W') }} {{ s.count('l') }} {{ s.count('') }} {{ s.find('o', 5) }} {{ 'aXbX'.rindex('X') }} {{ s.find('', 99) }} {{ s.count('l', 4) }}
{{ ', '.join(words) }} {{ '-'.join('abc') }} {{ ''.join([]) }} {{ '{} and {}'.format(1, 'x') }} {{ '{1}{0}{1}'.format('a', 'b') }} {{ '{x:>6}|{y:<6}|{z:^7}|'.format(x='r', y='l', z='c') }} {{ '{:.2f} {:08.3f} {:+d} {:,} {:x} {:#x} {:e} {:%} {:5d}|'.format(f, f, 5, 1234567, 255, 255, 12345.678, 0.25, 42) }} {{ '{0[a]} {1.b}'.format({'a': 1}, {'b': 2}) if false }} {{ '{{}} {!r}'.format('q') }} {{ '{:*^9}'.format('mid') }} {{ '{:g} {:g} {:.3g} {}'.format(1e10, 0.5, 2.0, 1.0) }} {{ '{0[x]}'.format({'x': 7}) }}
{{ '%s %d %5.1f|%-5s|%05d %x %r %%' % ('a', 3, 2.25, 'l', 42, 255, 'q') }} {{ '%s' % 'one' }} {{ '%(a)s-%(b)d' % {'a': 1, 'b': 2} }} {{ '%s' % [1, 2] }} {{ '%s|%s' | format('a', 'b') }} {{ '%(k)s' | format(k='v') }} {{ '%.3s|%8.3f|%+d|% d|%e|%g' % ('abcdef', f, 4, 4, f, 1e-10) }} {{ '%c%c' % ('a', 66) }} {{ '%i %o %X' % (3.99, 8, 255) }}
{{ 'abc'.isalpha() }} {{ '12'.isdigit() }} {{ 'a1'.isalnum() }} {{ ' '.isspace() }} {{ 'AB'.isupper() }} {{ 'ab1'.islower() }} {{ ''.isdigit() }} {{ '1a'.isupper() }}
{{ 'a\nb\r\nc'.splitlines() }} {{ 'a\n'.splitlines(true) }} {{ 'k=v=w'.partition('=') }} {{ 'k=v=w'.rpartition('=') }} {{ 'none'.partition('=') }} {{ 'none'.rpartition('=') }} {{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.py'.removesuffix('.py') }} {{ '7'.zfill(3) }} {{ '-7'.zfill(4) }} {{ 'x'.ljust(3) }}|{{ 'x'.rjust(3, '.') }}|{{ 'x'.center(4) }}|{{ 'xy'.center(5, '*') }}|
{{ l.index(1) }} {{ l.count(3) }} {{ (1, 2, 1).count(1) }} {{ (1, 2).index(2) }} {{ d.get('b') }} {{ d.get('zz') }} {{ d.get('zz', 5) }} {{ l.append is defined }} {{ d.update is defined }} {{ l.nope is defined }} {{ d.pop is defined }} {{ l.copy() }} {{ d.copy().b }}
{{ s | upper }} {{ s | lower }} {{ 'hello world-foo (bar) [x] {y} <z>' | title }} {{ 'hELLO' | capitalize }} {{ spaces | trim }} {{ 'xxaxx' | trim('x') }} {{ 'aaa' | replace('a', 'b', 2) }} {{ n | replace(4, 5) }} {{ s | length }} {{ u | length }} {{ d | length }} {{ l | count }} {{ () | length }}
{{ l | join }} {{ l | join(', ') }} {{ rows | join('|', attribute='k') }} {{ words | join('') }} {{ l | first }} {{ l | last }} {{ empty | first }} {{ s | first }} {{ s | last }} {{ d | first }} {{ empty | last }} {{ l | sort | first }}
{{ words | sort }} {{ words | sort(reverse=true) }} {{ words | sort(case_sensitive=true) }} {{ rows[:3] | sort(attribute='v') }} {{ rows[:3] | sort(attribute='in.z') | map(attribute='v') | list }} {{ l | sort(true) }} {{ d | sort }} {{ [[2, 1], [1, 9]] | sort }}
{{ words | unique | list }} {{ [1, 2, 1, true, 'a', 'A'] | unique | list }} {{ rows[:3] | unique(attribute='k') | list }} {{ l | reverse | list }} {{ s | reverse }} {{ u | reverse }} {{ l | min }} {{ l | max }} {{ words | max }} {{ rows[:3] | max(attribute='v') }} {{ empty | min }} {{ l | sum }} {{ rows[:3] | sum(attribute='v') }} {{ [0.1, 0.2] | sum }} {{ [[1], [2]] | sum(start=[]) }}
{{ l | map('string') | list }} {{ rows | map(attribute='k') | join }} {{ rows | map(attribute='v', default=0) | list }} {{ rows | map(attribute='in.z', default='?') | list if false }} {{ words | map('upper') | list }} {{ ['a b', 'c'] | map('replace', ' ', '_') | list }} {{ [[1, 2], [3]] | map('first') | list }} {{ [[1, 2], [3]] | map('join', '-') | list }} {{ nested | map(attribute=0) | list }}
{{ [0, 1, '', 'x', none] | select | list }} {{ l | select('odd') | list }} {{ l | select('greaterthan', 1) | list }} {{ l | reject('even') | list }} {{ [1, missing, none] | reject('none') | list | length }} {{ l | select('in', [1, 2]) | list }} {{ ['a', 1] | select('string') | list }}
{{ rows | selectattr('k', 'equalto', 'x') | map(attribute='v') | list }} {{ rows | selectattr('v') | list | length }} {{ rows | rejectattr('v', 'defined') | list }} {{ rows | selectattr('k', 'in', ['y', 'Y']) | list | length }} {{ rows | selectattr('v', 'defined') | selectattr('v', 'gt', 1) | list | length }} {{ rows | rejectattr('k', '==', 'x') | map(attribute='k') | list }}
{{ 'yes' if rows | selectattr('k', 'equalto', 'zzz') else 'no' }} {{ l | map('string') is iterable }} {{ l | map('string') is sequence }} {% set g = l | map('string') %}{{ g | list }}{{ g | list }} {{ (l | select) is defined }} {% set it = d | items %}{% for k, v in it %}{{ k }}{% endfor %}{% for k, v in it %}{{ k }}{% endfor %}
{{ d | items | list }} {{ d | dictsort }} {{ d | dictsort(true) }} {{ {'b': 1, 'a': 2} | dictsort(by='value') }} {{ {'b': 1, 'a': 2} | dictsort(reverse=true) }} {{ d | list }} {{ s | list }} {{ missing | items | list }}
{{ '42' | int }} {{ 'x' | int }} {{ 'x' | int(7) }} {{ 3.9 | int }} {{ '3.9' | int }} {{ '0x1F' | int(0, 16) }} {{ '-12' | int }} {{ ' 5 ' | int }} {{ none | int }} {{ true | int }} {{ '1_0' | int }} {{ 'ff' | int(base=16) }} {{ '3.5' | float }} {{ 'x' | float }} {{ 'x' | float(1.5) }} {{ 3 | float }} {{ '1e3' | float }} {{ 'nan' | float }} {{ 'inf' | float }} {{ '-inf' | float }} {{ -3.7 | int }} {{ '+5' | float }}
{{ 2.5 | round }} {{ 3.5 | round }} {{ f | round(2) }} {{ f | round(2, 'ceil') }} {{ f | round(1, 'floor') }} {{ 42 | round }} {{ 1234 | round(-2) }} {{ 2.675 | round(2) }} {{ -2.5 | round }} {{ 1e20 | round }} {{ 7 | round(2, 'ceil') }} {{ 1.005 | round(2) }} {{ 15.0 | round(-1) }} {{ -3 | abs }} {{ -3.5 | abs }} {{ true | abs }}
{{ d | tojson }} {{ l | tojson }} {{ u | tojson }} {{ u | tojson(ensure_ascii=true) }} {{ d | tojson(indent=2) }} {{ {'b': 1, 'a': {'d': [], 'c': {}}} | tojson(sort_keys=true, indent=4) }} {{ [1, 2.0, 1e20, 1e-7, true, none, 'a"\\\n\x01\x7f'] | tojson }} {{ {1: 2, true: 3, none: 4, 1.5: 5} | tojson }} {{ d | tojson(separators=(',', ':')) }} {{ (1, [2]) | tojson }} {{ '\u00e9\x7f' | tojson(true) }} {{ l | tojson(indent=0) }} {{ l | tojson(indent='\t') }} {{ html | tojson }} {{ '\U0001f98a' | tojson(ensure_ascii=true) }} {{ [] | tojson(indent=2) }} {{ d | tojson(false, 1, (';', '=')) }}
{{ lines | indent }} {{ lines | indent(2) }} {{ lines | indent(2, true) }} {{ lines | indent(width=2, blank=true) }} {{ lines | indent('> ') }} {{ 'x\n' | indent(2) }}| {{ '' | indent(2) }}| {{ '\n\nx' | indent(1, first=true) }}
{{ html | escape }} {{ html | e }} {{ html | safe }} {{ html | escape ~ '<b>' }} {{ ('<a>' | safe) + '<b>' }} {{ '<a>' + ('<b>' | safe) }} {{ html | escape | escape }} {{ html | forceescape }} {{ ['<x>', '<y>' | safe] | join('<') }} {{ (html | safe).upper() }} {{ ('<a>' | safe) is escaped }}
{{ 'one two  three-four' | wordcount }} {{ 'x' | center(5) }}| {{ 'xy' | center(5) }}| {{ 42 | string | length }} {{ l | batch(2) | list }} {{ l | batch(2, 'z') | list }} {{ 3.0 | string }} {{ none | string }} {{ l | string }}
{% for k, g in rows[:3] | groupby('k') %}{{ k }}:{{ g | map(attribute='v') | join(',') }};{% endfor %}
{{ n is number }} {{ n is integer }} {{ f is float }} {{ t is number }} {{ t is integer }} {{ t is boolean }} {{ s is string }} {{ d is mapping }} {{ l is sequence }} {{ s is sequence }} {{ d is sequence }} {{ n is sequence }} {{ l is iterable }} {{ n is iterable }} {{ none is none }} {{ no is not none }} {{ range is callable }} {{ s is callable }} {{ l is mapping }} {{ d.items() is sequence }} {{ range(3) is sequence }} {{ d.keys() is iterable }}
{{ 4 is even }} {{ 3 is odd }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ t is true }} {{ no is false }} {{ 1 is true }} {{ none is sameas none }} {{ 1 is sameas true }} {{ 5 is eq 5 }} {{ 5 is equalto 6 }} {{ 5 is ne 6 }} {{ 5 is lt 6 }} {{ 5 is ge 5 }} {{ 'a' is in 'abc' }} {{ 5 is in [5] }} {{ 'ab' is lower }} {{ 'AB' is upper }} {{ '' is lower }} {{ 'upper' is filter }} {{ 'nope' is filter }} {{ 'odd' is test }} {{ n is not defined }} {{ not n is defined }} {{ 2.5 is odd }} {{ 3.0 is odd }}
{{ 'a' if n is defined and n > 1 else 'b' }} {{ n is defined or missing }} {{ s is string and d is mapping }} {{ 5 is divisibleby 5 and true }} {{ [1 is odd, 2 is odd] }} {{ (n is number) ~ 'x' }} {{ (n is number) if t }}
{{ strftime_now('%Y-%m-%d %H:%M:%S') }} {{ strftime_now('%d %b %Y') }} {{ strftime_now('%A %B %-d %j %y %I %p %%') }} {{ strftime_now('%a %e|%U|%W|%w|%u|%F|%T|%D|%R|%Z|%z|') }}
{% set j = joiner(' | ') %}{{ j() }}a{{ j() }}b{{ j() }}c
{% if e %}{{ n is nosuchtest }}{% endif %}ok
{% if false %}{{ n | nosuchfilter }}{% endif %}ok
{{ ((((n)))) }} {{ [[[[1]]]] }} {{ (1, 2)[0] }} {{ [1, 2,] }} {{ {'a': 1,} }} {{ (1,)[0] }} {{ 'abc'[1:][0] }} {{ "a".upper().lower()[0] }} {{ (n | string) + 'x' }} {{ -n | abs }} {{ (-n) | abs }} {{ n - 1 }} {{ n -1 }} {{ n-1 }}
{{ 'a' ~ 'b' | upper }} {{ 'a' + 'b' | upper }} {{ 1 + 2 | string | length }} {{ not l | length > 2 }} {{ l | length - 1 }} {{ l | length == 3 }} {{ 2 * l | length }} {{ 1 if l | length > 2 else 0 }} {{ l | length * 2 ~ 'x' }} {{ 2 ~ 4 * 5 }} {{ 10 - 2 - 3 }} {{ 100 / 10 / 2 }} {{ 7 * 3 ~ 2 }}
{{ '' }}|{{ "" }}|{{ '  ' }}|{{ "{{ x }}" }}|{{ '{% if %}' }}|{{ "}}" }}|{{ '%}' }}|{{ {'a': {'b': 1}} }}|{{ {'a': {'b': {}}}}}|
{{- s -}} {{ s }} {{- s }} {%- if t -%} x {%- endif -%} y {%+ if t +%} z {%+ endif %} w
{{ l is defined and l }} {{ namespace(a=1).a }} {{ namespace({'q': 2}).q }} {% set ns = namespace() %}{% set ns.l = [] %}{% for i in l %}{% set ns.l = ns.l + [i * 2] %}{% endfor %}{{ ns.l }}
{{ rows[0].k ~ rows[0]['in'].z }} {{ rows[0].in.z if false }} {{ rows | length }} {{ (rows | last).k }} {{ (rows | first)['k'] }} {{ rows[1:] | map(attribute='k') | list }} {{ rows[-1].k }}
{% print 'x' %} {% print n, 1 %} {{ 1, 2 }} {{ n, }} {% set q = [1,2,3] %}{{ q[1:] + q[:1] }} {% if l and d and s %}all{% endif %}
{{ "ab" "cd" | upper }} {{ 'x'.join(['a', 'b']) | upper }} {{ s.split(', ')[1].lower()[:3] }} {{ ('a' if t else 'b') | upper }} {{ (l | sort)[0] }} {{ l | sort | join | int + 1 }}
{{ 5 is number and 5 is odd }} {{ 5 in l or 3 in l }} {{ l == [3, 1, 2] }} {{ d == d }} {{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }} {{ no == none }} {{ s != 'x' }} {{ [] == () }} {{ 1 == true }} {{ range(2) == range(2) }} {{ '' == none }} {{ 0 == false }}
""".strip("\n").replace("'multi\nline'", "'multi\x00line'").split("\n")
SNIPPETS = [s.replace("\x00", "\n") for s in SNIPPETS]

# White space: what tags do to the lines they stand on.
SNIPPETS += [
    "a\n  {% if t %}\n  b\n  {% endif %}\nc\n", "a\n  {%+ if t %}\n  b\n  {%- endif %}\nc\n\n", "  {{ n }}  \n  {# c #}  \n x", "{% if t %}\n\n a {% endif %}\n\n",
    "\n\n{% if t -%}\n\n a\n{%- endif %}\n b", "x {%- if t %} y {% endif -%} z", "\t{% set x = 1 %}\t\n{{ x }}", "a {# c #} b {#- d -#} c\n   {#+ e +#}\nd",
    "{% for x in l %}\n  {{ x }}\n{% endfor %}\n", "{% for x in l -%}\n  {{ x }}\n{%- endfor %}\n", "{{ n }}\n", "{{ n }}\n\n", "a\r\nb\rc{% if t %}\r\nd{% endif %}\r\n",
    "{% raw %}\n  {{ x }}\n{% endraw %}\nz", "  {% raw -%}\n  x  \n  {%- endraw %}  y", "{%- if t %}\n   {%- if n %} q {%- endif %}\n{%- endif %}", "{{'a'}}{{-'b'-}} {{ 'c' }}",
    "{% if t %}  {% if n %} x{% endif %}{% endif %}", "x\n\n  {%- set a = 1 -%}  \n\n y", "\u3000{%- if t -%}\u00a0x\u2003{%- endif %}", "{{ n -}}\n\n {{- n }}", "", "\n", "na\u00efve {{ 'caf\u00e9 \U0001f98a' }} \u65e5{# \u00e9 #}", "plain { text } %} }} #}",
    "{ { n } }", "{{ n }}}", "a{{ '\n' }}b", "{%if t%}x{%endif%}", "{{n}}{{s|upper}}", "{% set x=1%}{{x}}", "{%- for x in l -%}{{x}}{%- endfor -%}", "  {%- generation %}  a  {% endgeneration %}\n b",
    "{#\n multi\n#}\nx", "{# a #}{# b #}\nx", "  {# a #}\n  {# b #}\n", "{{ 'a' }} {#- x #} b", "{% if t %}{# c #}\n{% endif %}x",
]

FAILING = r"""
{{ raise_exception('no') }}
{{ missing.x }}
{{ missing['x'] }}
{{ missing() }}
{{ missing + 1 }}
{{ 1 + missing }}
{{ 'a' + 1 }}
{{ 'a' + none }}
{{ 1 / 0 }}
{{ 1 // 0 }}
{{ 1 % 0 }}
{{ 1.0 / 0 }}
{{ [1] + (1,) }}
{{ 'a' < 1 }}
{{ none < 1 }}
{{ [1] < (1,) }}
{{ 1 in 5 }}
{{ 1 in 'abc' }}
{{ none | length }}
{{ 5 | length }}
{{ l | map('string') | length }}
{{ missing | tojson }}
{{ range(3) | tojson }}
{{ d.items() | tojson }}
{{ l.append(4) }}
{{ d.update({'x': 1}) }}
{{ d.pop('b') }}
{{ n() }}
{{ s.nope() }}
{{ d.nope.x }}
{{ 'x' | nosuchfilter }}
{{ 1 is nosuchtest }}
{{ range(1000000) | list }}
{{ range(1, 2, 0) }}
{{ l[::0] }}
{{ {[]: 1} }}
{{ {}[[]].x }}
{{ -'a' }}
{{ +none }}
{{ none | int + 'x' }}
{{ missing | int }}
{{ 'a' | abs }}
{{ 'a' | round }}
{{ [1, 'a'] | sort }}
{{ [1, none] | max }}
{{ ['a'] | sum }}
{{ 5 | list }}
{{ none | join }}
{{ none | first }}
{{ 5 | reverse | list }}
{{ l | dictsort }}
{{ l | items | list }}
{{ 'abc'.index('z') }}
{{ l.index(99) }}
{{ 'a'.split('') }}
{{ 'a'.join([1]) }}
{{ '{} {}'.format(1) }}
{{ '{x}'.format(1) }}
{{ '%d' % 'x' }}
{{ '%s %s' % ('a',) }}
{{ '%s' % ('a', 'b') }}
{{ s.upper(1) }}
{{ s.replace('a') }}
{{ s | replace('a') }}
{{ s.startswith(1) }}
{% for x in 5 %}{% endfor %}
{% for a, b in [1, 2] %}{% endfor %}
{% for a, b in [(1, 2, 3)] %}{% endfor %}
{% set a, b = 1, 2, 3 %}
{% set ns = {} %}{% set ns.x = 1 %}
{% set nope.x = 1 %}
{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{% endmacro %}{{ m(b=1) }}
{% macro m(a) %}{% endmacro %}{% call m(1) %}x{% endcall %}
{% for x in l %}{{ loop(x) }}{% endfor %}
{{ strftime_now() }}
{% if e %}{% set x.y.z = 1 %}{% endif %}
{% for x in l %}{% if e %}{% for y in l %}{{ y | nosuch }}{% endfor %}{% endif %}{% endfor %}
{{ namespace(1) }}
{{ 1 if }}
{{ }}
{{ n
{% if %}x{% endif %}
{% if t %}
{% if t %}{% endfor %}
{% for x l %}{% endfor %}
{% for in l %}{% endfor %}
{% endif %}
{% else %}
{% nosuchtag %}
{% set %}
{% set 5 = 1 %}
{% set true = 1 %}
{% set x.y.z = 1 %}
{% break %}
{% for x in l %}{% endfor %}{% continue %}
{% macro %}{% endmacro %}
{% macro m(a=1, b) %}{% endmacro %}
{% call s %}{% endcall %}
{% raw %} no end
{# no end
{{ 'no end }}
{{ (1 }}
{{ [1, }}
{{ {'a' 1} }}
{{ {1, 2} }}
{{ a b }}
{{ 1 2 }}
{{ n. }}
{{ n | }}
{{ n is }}
{{ n | 5 }}
{{ * }}
{{ 1 + }}
{{ not }}
{{ $ }}
{{ a ? b : c }}
{{ n is number is string }}
{{ m(a=1, 2) }}
{{ ) }}
{{ ( ] }}
{{ 'a' 5 }}
{{ "\x4" }}
{% if t %}x{% else %}y{% else %}z{% endif %}
{% for x in l if x %}{{ x
{% set x = 1
{% if t = 1 %}x{% endif %}
{{ x = 1 }}
{% filter nosuch %}x{% endfilter %}
""".strip("\n").split("\n")
