#!/usr/bin/env python3
"""Writes fuzz/corpus/chat_template: the templates of the families, the recorded snippets in groups, and hostile ones.

usage: make_chat_corpus.py
"""
import json
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TEMPLATES = ROOT / "tests" / "data" / "chat_templates"
OUT = ROOT / "fuzz" / "corpus" / "chat_template"

HOSTILE = {
    "deep_parentheses": "{{ " + "(" * 2000 + "1" + ")" * 2000 + " }}",
    "deep_lists": "{{ " + "[" * 2000,
    "deep_ifs": "{% if 1 %}" * 300,
    "long_filters": "{{ 1" + "|abs" * 500 + " }}",
    "range": "{% for i in range(10**9) %}{% endfor %}",
    "recursion": "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "caller": "{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{% call f() %}x{% endcall %}",
    "repeat": "{{ 'ab' * 9223372036854775807 }}",
    "doubling": "{% set ns = namespace(s='a') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    "nested_values": "{% set ns = namespace(l=[]) %}{% for i in range(999) %}{% set ns.l = [ns.l] %}{% endfor %}",
    "class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "own_namespace": "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}",
    "format": "{{ '%1000000000d' % 1 }}{{ '{0.a}'.format(1) }}",
    "smallest": "{{ (-9223372036854775807 - 1) // -1 }}{{ -(-9223372036854775807 - 1) }}",
    "slices": "{{ 'äöü'[::-9223372036854775807] }}{{ l[-9223372036854775807:9223372036854775807:2] }}",
    "broken_text": "{{ '\\ud800\\U00110000\\xzz' }}",
    "open_tag": "{{ 'a",
    "open_raw": "{% raw %}{{",
    "refusal": "{{ raise_exception('a\nb') }}",
    "generation": "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}",
    "time": "{{ strftime_now('%Y-%m-%d %H:%M') }}{{ strftime_now('%') }}",
    "loops": "{% for m in messages if m.role != 'tool' %}{{ loop.index }}{{ loop.cycle(1, 2) }}{% if loop.last %}{% break %}{% endif %}{% else %}x{% endfor %}",
}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.iterdir():
        old.unlink()
    for file in sorted(TEMPLATES.glob("*.jinja")):
        (OUT / file.name).write_bytes(file.read_bytes())
    snippets = [case["template"] for case in json.loads((TEMPLATES / "snippets.json").read_text(encoding="utf-8"))["cases"] if "error" not in case]
    for start in range(0, len(snippets), 20):
        (OUT / f"snippets_{start // 20:02}").write_bytes("\n".join(snippets[start : start + 20]).encode())
    for name, source in HOSTILE.items():
        (OUT / name).write_bytes(source.encode())
    (OUT / "not_utf8").write_bytes(b"{{ '\xff\xfe' }}\xc0")
    (OUT / "empty").write_bytes(b"")


main()
