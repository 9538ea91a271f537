"""The bombs: files that would take all time or memory, by what they are made of.

Some are linted in time on a fast machine; then they are no bombs there.
"""

from typing import TypeAlias

#: SQL and what stands in its ``[sqlfluff]`` configuration.
Bomb: TypeAlias = tuple[str | bytes, str]


def _twice(body: str) -> str:
    """A loop of ten thousand million turns."""
    loop = "{% for i in range(99999) %}"
    return f"{loop}{loop}{body}{{% endfor %}}{{% endfor %}}"


def _grown(first: str, step: str) -> str:
    """What doubles sixty times."""
    begin = f"{{% set ns = namespace(a={first}) %}}{{% for i in range(60) %}}"
    return f"{begin}{{% set ns.a = {step} %}}{{% endfor %}}"


_MACRO_TREE = (
    "{% macro a(n) %}{% if n %}{{ a(n-1) }}{{ a(n-1) }}{% endif %}{% endmacro %}{{ a(60) }}"
)

TEMPLATES: dict[str, str] = {
    "nested loop": _twice(""),
    "loop of loops": _twice("{{ i }}"),
    "cycler": "{% set c = cycler(1) %}" + _twice("{{ c.next() }}"),
    "undefined loop": _twice(
        "{% for a in undefined_name %}{% for b in a %}{% endfor %}{% endfor %}"
    ),
    "power": "SELECT {{ 9 ** 9 ** 9 }}",
    "long power": "SELECT {{ (10 ** 5000000) ** 9 }}",
    "number as text": "SELECT {{ 7 ** 4000000 }}",
    "macro recursion": "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    "macro tree": _MACRO_TREE,
    "recursive loop": "{% for x in [1] recursive %}{{ loop([1, 2]) }}{% endfor %}",
    "lipsum": "{{ lipsum(n=1000000) }}",
    "sort": "{{ (range(99999)|list * 200)|sort|length }}",
    "unique": "{{ (range(99999)|list * 900)|unique|list|length }}",
    "wordwrap": "{{ ('a ' * 9999999)|wordwrap(1)|length }}",
    "urlize": "{{ ('http://a.b ' * 999999)|urlize|length }}",
    "striptags": "{{ ('<' * 999999)|striptags|length }}",
    "replace": "{{ ('a' * 9999999)|replace('a', 'bb' * 20)|length }}",
    "blocks": "{% if a %}SELECT 1{% endif %}\n" * 3000,
    "tags left open": "{% if a %}" * 3000,
    "brackets in a tag": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "attributes": "{{ a" + ".b" * 20_000 + " }}",
    "sums": "{{ 1" + "+1" * 50_000 + " }}",
    "variants": "{% if a %}{% elif b %}{% else %}{% endif %}" * 400 + "SELECT 1",
    "5e8 characters": "{{ 'a' * 500000000 }}",
    "2e9 characters": "{{ 'a' * 2000000000 }}",
    "2e10 characters": "{{ 'a' * 20000000000 }}",
    "doubling": _grown("'x'", "ns.a ~ ns.a"),
    "doubling lists": _grown("[1]", "ns.a + ns.a"),
    "kept lists": "{% set a = [] %}" + _twice("{% do a.append('x' * 99999) %}"),
    "range list": "{{ range(99999)|list * 99999 }}",
    "wide format": "{{ '%1000000000d' % 1 }}",
    "filtered format": "{{ '%1000000000d'|format(1) }}",
    "centred": "{{ 'a'|center(2000000000) }}",
    "indented": "{{ ('\\n' * 99999)|indent(width=99999, blank=true) }}",
    "joined": "{{ (range(99999)|list * 99)|join('x' * 9999) }}",
    "batched": "{{ [1]|batch(999999999, 0)|list }}",
    "sliced": "{{ [1]|slice(999999999)|list }}",
    "spaces": "{{ 'x'.ljust(2000000000) }}",
    "tabs": "{{ ('\\t' * 99999).expandtabs(99999) }}",
    "zfill": "{{ 'x'.zfill(2000000000) }}",
    "translate": "{{ ('a' * 99999).translate({97: 'b' * 99999}) }}",
    "encoded": "{{ ('a' * 99999).encode('utf-32').hex() * 99999 }}",
    "bytes": "{{ (1).to_bytes(2000000000, 'big')|length }}",
}

SQL: dict[str, str] = {
    "additions": "SELECT 1" + " + 1" * 3000,
    "in list": f"SELECT a FROM t WHERE a IN ({', '.join(map(str, range(4000)))})",
    "joins": "SELECT 1 FROM t" + "".join(f" JOIN t{i} ON t.a = t{i}.a" for i in range(1600)),
    "ctes": "WITH " + ", ".join(f"c{i} AS (SELECT 1)" for i in range(800)) + " SELECT 1",
    "noqa": "SELECT 1  AS a -- noqa: LT01\n" * 2000,
    "noqa ranges": "-- noqa: disable=LT01\n-- noqa: enable=LT01\n" * 1500 + "SELECT 1",
    "cases": "SELECT " + "CASE WHEN a THEN " * 300 + "1" + " END" * 300,
    "brackets": "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "open brackets": "SELECT " + "(" * 9000,
    "quotes": "SELECT " + "'" * 9999,
    "comment openings": "/*" * 20000,
    "unions": " UNION ALL ".join(["SELECT a FROM b"] * 1500),
    "ands": "SELECT 1 WHERE " + " AND ".join(["a = 1"] * 8000),
    "subqueries": "SELECT * FROM (" * 120 + "SELECT 1" + ") AS x" * 120,
    "statements": "SELECT 1;\n" * 60_000,
    "blanks": "SELECT" + " " * 3_000_000 + "1",
    "one word": "a" * 8_000_000,
    "line ends": "\n" * 2_000_000,
    "operators": "SELECT 1" + " || " * 9000 + "1",
    "dots": "SELECT a" + ".a" * 6000,
    "many violations": "select a,b,c from t where a=1 AND b  =2\n;\n" * 4000,
    "long noqa": "SELECT 1 -- noqa: " + "X" * 5_000_000,
    "long message": "{{ undefined_" + "a" * 4_000_000 + " }}",
    "long error": "{{ 'a'.b" + "c" * 4_000_000 + ".d }}{% " + "x" * 999_999 + " %}",
    "chinese": "查询 " * 400_000,
    "combining": "a" + "\u0301" * 900_000,
}

BYTES: dict[str, bytes] = {
    "binary": bytes(range(256)) * 20_000,
    "zeros": bytes(8_000_000),
    "utf-16": ("SELECT 1;\n" * 50_000).encode("utf-16"),
    "latin bytes": bytes(range(128, 256)) * 40_000,
}

_PYTHON = "templater = python\n[sqlfluff:templater:python:context]\na = "
_COLON = "templater = placeholder\n[sqlfluff:templater:placeholder]\nparam_style = colon\na = "
_MACRO = "[sqlfluff:templater:jinja:macros]\nm = "

CONFIGURED: dict[str, Bomb] = {
    "casts": ("SELECT 1" + "::int" * 4000, "dialect = postgres"),
    "indexes": ("SELECT a" + "[1]" * 4000, "dialect = postgres"),
    "python width": ("SELECT {test_value:>2000000000}", "templater = python"),
    "python inner width": ("SELECT {a:{a:>2000000000}}", f"{_PYTHON}1"),
    "python precision": ("SELECT {a:.2000000000f}", f"{_PYTHON}1.5"),
    "python context": ("SELECT {a}", _PYTHON + "[" * 90_000),
    "python context sums": ("SELECT {a}", _PYTHON + "-" * 90_000 + "1"),
    "placeholder": ("SELECT " + ":a " * 30_000, f"{_COLON}1"),
    "placeholder that grows": ("SELECT " + ":a " * 9000, _COLON + "x" * 90_000),
    "macro": ("{{ m() }}", f"{_MACRO}{{% macro m() %}}{{{{ 'a' * 2000000000 }}}}{{% endmacro %}}"),
    "macro's file": ("SELECT 1", f"{_MACRO}{{% set a = 'a' * 2000000000 %}}"),
    "utf-7": (b"+" * 3_000_000, "encoding = utf-7"),
}

BOMBS: dict[str, Bomb] = {
    **{name: (sql, "") for name, sql in (TEMPLATES | SQL).items()},
    **{name: (data, "") for name, data in BYTES.items()},
    **CONFIGURED,
}
