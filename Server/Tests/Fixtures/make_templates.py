#!/usr/bin/env python3
"""Renders templates with Jinja2 as Hugging Face Transformers sets it up; the tests compare with what it writes.

Usage: make_templates.py > templates.json; or make_templates.py FOLDER > cases.json for all *.jinja files of a folder, each with the
conversations below. Made with Jinja2 3.1.6.
"""

import glob
import json
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_keep"), [], [], body).set_lineno(line)

    def _keep(self, caller):
        return caller()


def refuse(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
environment.filters["tojson"] = tojson
environment.globals["raise_exception"] = refuse
environment.globals["strftime_now"] = lambda form: "2026-01-02"

WEATHER = {"type": "function", "function": {
    "name": "weather", "description": "Says \"what\" the weather is <here> & there", "parameters": {
        "type": "object", "properties": {"city": {"type": "string", "enum": ["Bern", "Zürich"]}, "days": {"type": "integer"}},
        "required": ["city"]}}}
CONVERSATIONS = [
    {"messages": [{"role": "user", "content": "Hi"}]},
    {"messages": [{"role": "system", "content": " You are brief. "}, {"role": "user", "content": "  Grüezi\n"},
                  {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHello. "}, {"role": "user", "content": "And \"you\"?"}]},
    {"messages": [{"role": "user", "content": "Weather?"},
                  {"role": "assistant", "content": "", "tool_calls": [
                      {"id": "abc123def", "type": "function", "function": {"name": "weather", "arguments": {"city": "Bern", "days": 2}}}]},
                  {"role": "tool", "tool_call_id": "abc123def", "name": "weather", "content": "{\"sun\": true}"}], "tools": [WEATHER]},
    {"messages": [{"role": "assistant", "content": "I begin"}]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "part one"}, {"type": "text", "text": " and two"}]}]},
]
DATA = {"n": 7, "x": 2.5, "name": "née O'Hara", "items": [3, 1, 2], "words": ["b", "A", "c"], "flag": True, "nothing": None,
        "people": [{"name": "Ann", "age": 30, "f": {"k": 1}}, {"name": "bob", "age": 25, "f": {"k": 2}}, {"name": "Cy", "f": {"k": 1}}],
        "map": {"b": 1, "a": [1, "x"], "items": 5}, "text": "  one two\tthree \n"}
TEMPLATES = [
    # White space.
    "a\n{% if true %}\n  b\n  {% endif %}\nc\n", "a {%- if true -%} b {%- endif -%} c", "{{ 1 }}\n{{ 2 }}\n\n",
    "  {% set x = 1 %}  {{ x }}\n  {# c #}\nd", "x{# c -#}  \n y", "{%+ if true %} a{% endif +%}\nb", "a\n   {%- set x = 1 %}\nb", "{{- 1 -}}  2",
    "x {{ 1 }} {% if 1 %}y{% endif %}\r\nz",
    # Values.
    "{{ none }} {{ true }} {{ 1.0 }} {{ 1e20 }} {{ 0.1 + 0.2 }} {{ [1, 'a', none, {'k': \"it's\"}] }} {{ undefined_thing }}|",
    "{{ n // 2 }} {{ -n // 2 }} {{ n % 4 }} {{ -n % 4 }} {{ n / 2 }} {{ 2 ** 10 }} {{ n * 'ab' }} {{ x % 1 }} {{ -n | abs }} {{ 3 - 1 - 1 }}",
    "{{ 1 < 2 < 3 }} {{ 1 < 2 > 3 }} {{ 'a' in name }} {{ 'a' not in items }} {{ 2 in items }} {{ 'b' in map }} {{ not n == 7 }} {{ 1 == 1.0 }}",
    "{{ n if flag else x }} {{ n if not flag }}| {{ flag and n }} {{ nothing or 'x' }} {{ 'a' ~ 1 ~ none }} {{ 'a' 'b' }}",
    "{{ items[0] }} {{ items[-1] }} {{ items[9] }}| {{ items[1:] }} {{ items[::-1] }} {{ name[:3] }} {{ name[-2:] }} {{ name[0] }} {{ items[:-1] }} {{ items[5:] }} {{ items[-9:2] }} {{ name[::-2] }}",
    "{{ map.b }} {{ map['a'][1] }} {{ map.items() | map('first') | list }} {{ map['items'] }} {{ map.get('z', 4) }} {{ map.get('z') }} {{ map.keys() | list }} {{ map.missing is defined }}",
    "{{ '\\n\\t\\\\\\'\\x41\\u00e9' }}|{{ \"q\\\"\" }}|{{ '\\d' }}",
    # Statements.
    "{% for i in items %}{{ loop.index }}/{{ loop.length }}{{ loop.first }}{{ loop.last }}{{ i }}{{ loop.previtem }}{{ loop.nextitem }} {% else %}none{% endfor %}",
    "{% for i in [] %}x{% else %}none{% endfor %}{% for i in items if i > 1 %}{{ loop.index0 }}{{ i }}{{ loop.revindex }};{% endfor %}",
    "{% for k, v in map.items() %}{{ k }}={{ v }};{% endfor %}{% for a, b in [[1, 2], (3, 4)] %}{{ a + b }} {% endfor %}{% for k in map %}{{ k }}{% endfor %}",
    "{% set x = 1 %}{% for i in items %}{% set x = i %}{% endfor %}{{ x }}{% set ns = namespace(v=0, w='a') %}{% for i in items %}{% set ns.v = ns.v + i %}{% endfor %}{{ ns.v }}{{ ns.w }}",
    "{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i > 4 %}{% break %}{% endif %}{{ i }}{% endfor %}{{ range(1, 10, 3) | list }}{{ range(3, 0, -1) | list }}",
    "{% macro f(a, b=2, c='x') %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ f(1) }}{{ f(1, c='y') }}{{ f(b=3, a=0) }}{{ f() }}",
    "{% macro r(d) %}{{ d }}{% if d > 0 %}{{ r(d - 1) }}{% endif %}{% endmacro %}{{ r(3) }}{% set y = r(1) | trim %}{{ y | length }}",
    "{% set t %}a{{ n }} b{% endset %}{{ t | upper }}{% set u | trim %}  x {% endset %}[{{ u }}]{% set a, b = 1, 'z' %}{{ a }}{{ b }}",
    "{% if n > 9 %}a{% elif n > 5 %}b{% elif true %}c{% else %}d{% endif %}{% filter upper %}q{{ n }}r{% endfilter %}{% generation %}g{% endgeneration %}",
    "{% for i in items %}{% for j in items %}{{ loop.index }}{% endfor %}{{ loop.index }}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% set x = 5 %}{% if true %}{% set x = 6 %}{% endif %}{{ x }}{% set a = dict(b=1, c=[2]) %}{{ a }}{{ {'k': 1, 'l': {'m': none}} }}",
    # Filters and tests.
    "{{ text | trim }}|{{ text.strip() }}|{{ text.split() }}|{{ 'a,b,,c'.split(',') }}|{{ 'a,b,c'.split(',', 1) }}|{{ 'a b c'.rsplit(' ', 1) }}|{{ text.lstrip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'ab'.rstrip('b') }}",
    "{{ name | upper }} {{ 'aBC dEF' | title }} {{ 'aBC' | capitalize }} {{ name.startswith('n') }} {{ name.endswith(('x', 'a')) }} {{ 'a-b'.replace('-', '+') }} {{ 'aaa' | replace('a', 'b', 2) }} {{ 'abcb'.find('b') }} {{ 'abcb'.count('b') }}",
    "{{ items | join(', ') }} {{ people | map(attribute='name') | join('-') }} {{ words | map('upper') | list }} {{ people | selectattr('age', 'defined') | map(attribute='age') | sum }} {{ people | rejectattr('name', 'equalto', 'bob') | list | length }} {{ people | selectattr('f.k', 'eq', 1) | map(attribute='name') | list }}",
    "{{ items | sort }} {{ items | sort(reverse=true) }} {{ words | sort }} {{ people | sort(attribute='name') | map(attribute='name') | list }} {{ [1, 1, 2] | unique | list }} {{ items | min }} {{ items | max }} {{ items | first }} {{ items | last }} {{ items | reverse | list }} {{ 'abc' | reverse }}",
    "{{ missing | default('d') }} {{ '' | default('d') }} {{ '' | default('d', true) }} {{ nothing | d(1) }} {{ name | length }} {{ items | count }} {{ '42' | int + 1 }} {{ 'x' | int }} {{ '1.5' | float }} {{ 2.567 | round(2) }} {{ 7 | string }} {{ items | list }}",
    "{{ map | tojson }} {{ name | tojson }} {{ people | tojson(indent=2) }} {{ map | tojson(separators=(',', ':'), sort_keys=true) }} {{ [] | tojson(indent=4) }} {{ '<&>\\'\"' | tojson }} {{ name | tojson(ensure_ascii=true) }} {{ [1.0, 1e100, true, none] | tojson }}",
    "{{ 'a\\nb\\n\\nc' | indent(2) }}|{{ 'a\\nb' | indent(2, true) }}|{{ '<a href=\"x\">' | e }}|{{ map | items | map('last') | list }}|{{ map | dictsort | map('first') | list }}|{{ items | select('odd') | list }}|{{ items | reject('>', 1) | list }}",
    "{{ n is odd }} {{ n is divisibleby 7 }} {{ n is not even }} {{ x is float }} {{ n is integer }} {{ flag is boolean }} {{ flag is true }} {{ nothing is none }} {{ name is string }} {{ map is mapping }} {{ items is sequence }} {{ items is iterable }} {{ n is number }} {{ n is in [7] }} {{ 1 is sameas true }} {{ missing is undefined and true }} {{ n is defined or false }}",
    "{{ 'a\\nb\\r\\nc'.splitlines() }} {{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }} {{ '12'.isdigit() }} {{ ', '.join(words) }} {{ 'Ab'.lower() }} {{ 'x'.upper() ~ 'ab'.title() }}",
    "{{ people[0].name }} {{ people[0]['f'].k }} {{ (people | last).name }} {{ people[-1].age }}| {{ people[0].name.upper()[0] }} {{ 'abc'[1] | upper }} {{ -items[0] }} {{ (1, 2) | length }} {{ not missing }}",
    # Errors.
    "{{ raise_exception('no') }}", "{{ missing.x }}", "{{ missing() }}", "{{ 1 + 'a' }}", "{% if %}x{% endif %}", "{{ 1", "{% for %}", "{% endif %}", "{{ 1 / 0 }}",
    "{% if true %}", "{{ n | nofilter }}", "{{ n is notest }}", "{% include 'x' %}", "{{ items.append(1) }}", "{{ 'a' < 1 }}", "{{ n() }}", "{{ }}", "{% set n.x = 1 %}", "{{ 1 2 }}",
]


def render(template, names):
    try:
        return environment.from_string(template).render(**names)
    except Exception as error:  # Whatever the template does wrong.
        return {"error": type(error).__name__}


cases = []
if len(sys.argv) > 1:
    for path in sorted(glob.glob(sys.argv[1] + "/*.jinja")):
        template = open(path, encoding="utf-8").read()
        for conversation in CONVERSATIONS:
            for prompt in (True, False):
                names = {**conversation, "add_generation_prompt": prompt, "bos_token": "<s>", "eos_token": "</s>", "name": path}
                cases.append({"template": template, "names": names, "text": render(template, names)})
else:
    cases = [{"template": t, "names": DATA, "text": render(t, DATA)} for t in TEMPLATES]
    chat = ("{{ bos_token }}{% for message in messages %}{% if message['role'] not in ['user', 'assistant', 'system'] %}"
            "{{ raise_exception('unknown role ' + message['role']) }}{% endif %}<|{{ message.role }}|>\n{{ message.content | trim }}</s>\n"
            "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}")
    for conversation in CONVERSATIONS[:4]:
        names = {**conversation, "add_generation_prompt": True, "bos_token": "<s>"}
        cases.append({"template": chat, "names": names, "text": render(chat, names)})
json.dump(cases, sys.stdout, ensure_ascii=False, indent=1)
