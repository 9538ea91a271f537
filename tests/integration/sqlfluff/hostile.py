"""Hostile SQL and configuration: every key that runs code or reads files, in every disguise.

``configured`` and ``inlined`` carry each key in each way it can be written; ``ESCAPES`` are
templates that reach for the interpreter, for files, for the network.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.integration.sqlfluff.canaries import Canaries

#: SQL that shows whatever a key has brought.
SQL = (
    "SELECT {{ canary }}, {{ leak() }}, {{ package }}, {% include 'leak.sql' %} FROM t\n"
    "{% include 'secret.sql' %}{% import 'leak.sql' as x %}{{ x.leak() }}\n"
)
#: The same without what stops a template before the library is loaded.
PLAIN = "SELECT {{ canary }}, {{ leak() }} FROM t\n"
Key = tuple[str, ...]


@dataclass(frozen=True)
class Hostile:
    """One file to lint among configuration files that may be hostile, too."""

    id: str
    sql: str | bytes = SQL
    files: dict[str, bytes] = field(default_factory=dict)
    overrides: dict[str, object] = field(default_factory=dict)
    extra: tuple[str, bytes] | None = None
    base: tuple[tuple[str, bytes], ...] = ()


def keys(canaries: Canaries) -> list[tuple[Key, str]]:
    """Every key of SQLFluff, of its dbt templater and of its plugins that takes code or a path."""
    library, package, macros = map(str, (canaries.library, canaries.package, canaries.macros))
    folder, secret = str(canaries.folder), str(canaries.secret)
    jinja: Key = ("templater", "jinja")
    return [
        *((("core", "library_path"), place) for place in (library, package)),
        *(((*jinja, "library_path"), place) for place in (library, package)),
        *(
            ((*jinja, "loader_search_path"), place)
            for place in (macros, folder, f"{macros},{folder}")
        ),
        *(((*jinja, "load_macros_from_path"), place) for place in (macros, f"{macros}/leak.sql")),
        ((*jinja, "exclude_macros_from_path"), macros),
        *(((*jinja, key), "canary.x") for key in ("extensions", "filters", "tests", "globals")),
        ((*jinja, "macros", "a_path"), macros),
        (("core", "templater"), "dbt"),
        (("core", "templater"), "canary"),
        *(
            (("templater", "dbt", key), folder)
            for key in "project_dir profiles_dir profile target target_path dbt_target_path".split()
        ),
        (("templater", "dbt", "context", "library_path"), library),
        *(
            (("templater", name, "library_path"), library)
            for name in ("python", "placeholder", "raw")
        ),
        (("templater", "library_path"), library),
        *(
            (("core", key), library)
            for key in ("plugins", "plugin_path", "rules_path", "extra_path")
        ),
        *((("core", key), secret) for key in ("extra_config_path", "config", "log_file", "stdin")),
        (("core", "dialect"), f"../../../../..{library}/canary"),
        (("core", "encoding"), f"{library}/canary"),
        (("core", "fixed_suffix"), f"/../../../../../../../..{canaries.marker}"),
        (("core", "write_output"), str(canaries.marker)),
        (("rules", "capitalisation.keywords", "library_path"), library),
        (("rules", "library_path"), library),
        (("library_path",), library),
    ]


# --- carriers ----------------------------------------------------------------------------------
CONFIG_NAMES = (".sqlfluff", "setup.cfg", "tox.ini", "pep8.ini", "pyproject.toml")
PLACES = ("", "a/", "a/b/")


def _section(path: Key) -> str:
    return ":".join(("sqlfluff", *path[:-1])).replace("sqlfluff:core", "sqlfluff")


def _ini_forms(path: Key, value: str) -> Iterator[tuple[str, str]]:
    section, key = _section(path), path[-1]
    yield "plain", f"[{section}]\n{key} = {value}\n"
    yield "tight", f"[{section}]\n{key}={value}\n"
    yield "upper", f"[{section}]\n{key.upper()} = {value}\n"
    yield "default", f"[DEFAULT]\n{key} = {value}\n[{section}]\ndummy = 1\n"
    yield "dotted", f"[sqlfluff]\n{'.'.join(path)} = {value}\n"
    yield "explicit core", f"[sqlfluff:{':'.join(path[:-1])}]\n{key} = {value}\n"
    yield "continued", f"[{section}]\n{key} =\n    {value}\n"
    yield "crlf", f"[{section}]\r\n{key} = {value}\r\n"
    yield "old mac", f"[{section}]\r{key} = {value}\r"
    yield "bom", f"\ufeff[{section}]\n{key} = {value}\n"
    yield (
        "twice",
        f"[{section}]\nrules = all\n[sqlfluff:indentation]\nx=1\n[{section}:]\n{key} = {value}\n",
    )


def _toml_forms(path: Key, value: str) -> Iterator[tuple[str, str]]:
    told, dotted = json.dumps(value), ".".join(json.dumps(step) for step in path)
    table = ".".join(json.dumps(step) for step in path[:-1])
    yield "plain", f"[tool.sqlfluff.{table or 'core'}]\n{json.dumps(path[-1])} = {told}\n"
    yield "dotted", f"[tool.sqlfluff]\n{dotted} = {told}\n"
    yield "root dotted", f"tool.sqlfluff.{dotted} = {told}\n"
    yield "list", f"[tool.sqlfluff]\n{dotted} = [{told}]\n"
    yield "inline table", f"[tool]\nsqlfluff = {{ {dotted} = {told} }}\n"
    yield (
        "array of tables",
        f"[[tool.sqlfluff.{table or 'core'}]]\n{json.dumps(path[-1])} = {told}\n",
    )
    yield "crlf", f"[tool.sqlfluff]\r\n{dotted} = {told}\r\n"


def configured(path: Key, value: str) -> Iterator[Hostile]:
    """The key in every file that may configure, in every form; nested, above and below."""
    told = ":".join(path)
    for name in CONFIG_NAMES:
        forms = _toml_forms if name == "pyproject.toml" else _ini_forms
        for form, text in forms(path, value):
            for place in PLACES if form == "plain" else PLACES[1:2]:
                yield Hostile(f"{place}{name} {form} {told}", files={place + name: text.encode()})
    for form, text in _ini_forms(path, value):
        yield Hostile(f"--config {form} {told}", extra=("mine.cfg", text.encode()))
        yield Hostile(f"home {form} {told}", base=(("home", text.encode()),))
    yield Hostile(f"command line {told}", overrides={path[-1]: value, ":".join(path): value})


SPELLINGS = (
    *("-- sqlfluff:{}:{}", "--sqlfluff:{}:{}", "-- sqlfluff: {} : {}", "-- sqlfluff:\t{}\t:\t{}\t"),
    *("--  sqlfluff:{}:{}", "--\tsqlfluff:{}:{}", "-- sqlfluff :{}:{}", "-- SQLFLUFF:{}:{}"),
    *("-- SqlFluff:{}:{}", " -- sqlfluff:{}:{}", "--- sqlfluff:{}:{}", "# sqlfluff:{}:{}"),
    *(
        "SELECT 1\r-- sqlfluff:{}:{}\r",
        "SELECT 1\r\n-- sqlfluff:{}:{}\r\n",
        "\ufeff-- sqlfluff:{}:{}",
    ),
    *(f"SELECT 1{end}-- sqlfluff:{{}}:{{}}{end}" for end in "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"),
    *("SELECT '\n-- sqlfluff:{}:{}\n'", "/*\n-- sqlfluff:{}:{}\n*/", "/* -- sqlfluff:{}:{} */"),
    *("{{#\n-- sqlfluff:{}:{}\n#}}", "{{% raw %}}\n-- sqlfluff:{}:{}\n{{% endraw %}}"),
    *("{{{{ '-- sqlfluff:{}:{}' }}}}", "{{{{ '\\n-- sqlfluff:{}:{}\\n' }}}}"),
    *("-- sqlfluff\uff1a{}\uff1a{}", "-- ｓｑｌｆｌｕｆｆ:{}:{}", "\u2212\u2212 sqlfluff:{}:{}"),
    *(
        "-- sqlfluff:core:{}:{}",
        "-- sqlfluff:sqlfluff:{}:{}",
        "-- sqlfluff::{}:{}",
        "-- sqlfluff:{}::{}",
    ),
    *("-- sqlfluff:{} = {}", "-- sqlfluff {}={}", '-- sqlfluff:{}:"{}"', "-- sqlfluff:{}:['{}']"),
    *("-- noqa: disable=all\n-- sqlfluff:{}:{}", "-- sqlfluff:dialect:ansi\n-- sqlfluff:{}:{}"),
    *(
        "-- sqlfluff:{}:{} -- sqlfluff:dialect:ansi",
        "-- sqlfluff:rules:LT01:{}:{}",
        "-- sqlfluff:{}:{}\0",
    ),
)


def inlined(path: Key, value: str) -> Iterator[Hostile]:
    """The key as a line of the SQL itself, in every spelling and some encodings."""
    told = ":".join(path[1:] if path[0] == "core" else path)
    for number, spelling in enumerate(SPELLINGS):
        text = spelling.format(told, value) + "\n"
        yield Hostile(f"inline {number} {told}", sql=text + PLAIN)
    first = f"-- sqlfluff:{told}:{value}\n{PLAIN}"
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp037", "utf-7"):
        yield Hostile(f"inline in {encoding} {told}", sql=first.encode(encoding))
        files = {".sqlfluff": f"[sqlfluff]\nencoding = {encoding}\n".encode()}
        yield Hostile(f"inline as {encoding} {told}", sql=first.encode(encoding), files=files)


# --- templates ---------------------------------------------------------------------------------
ESCAPES = (
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ().__class__.__base__.__subclasses__()[0] }}",
    "{{ ''['__class__']['__mro__'] }}",
    "{{ ''|attr('__class__')|attr('__mro__') }}",
    "{{ ''|attr(['__cla', 'ss__']|join)|attr('mro')() }}",
    "{{ ''|attr('\\x5f\\x5fclass\\x5f\\x5f') }}",
    "{{ [''|attr('__class__')]|map(attribute='__mro__')|list }}",
    "{{ ['']|map(attribute='__class__')|list }} {{ ['']|map('attr', '__class__')|list }}",
    "{{ [{'a': ''}]|map(attribute='a.__class__.__mro__')|list }}",
    "{{ ['']|groupby('__class__')|list }} {{ ['']|sort(attribute='__class__') }}",
    "{{ ['']|sum(attribute='__class__') }} {{ ['']|unique(attribute='__class__')|list }}",
    "{{ ['']|selectattr('__class__')|list }} {{ ['']|max(attribute='__class__') }}",
    "{{ cycler.__init__.__globals__.os.environ }}",
    "{{ joiner.__init__.__globals__['os'].environ }}",
    "{{ namespace.__init__.__globals__ }} {{ dict.__mro__ }}",
    "{{ lipsum.__globals__['os'].popen('touch MARKER').read() }}",
    "{{ lipsum|attr('__globals__') }} {{ lipsum.func_globals }}",
    "{{ range.__class__ }} {{ range.__init__.__self__ }}",
    "{{ url_for.__globals__ }} {{ get_flashed_messages.__globals__ }} {{ request.application }}",
    "{{ self.__init__.__globals__.__builtins__.open('SECRET').read() }}",
    "{{ self._TemplateReference__context }} {{ self|attr('_TemplateReference__context') }}",
    "{{ loop.__init__ }} {{ caller.__globals__ }} {{ varargs.__class__ }}",
    "{{ context.environment }} {{ context.parent }} {{ environment.loader }}",
    "{% macro m() %}{{ caller.__globals__ }}{% endmacro %}{{ m.__globals__ }} {{ m._func }}",
    "{% macro m() %}{% endmacro %}{{ m._environment.loader }} {{ m|attr('_environment') }}",
    "{{ ref.__func__.__globals__ }} {{ var.__globals__ }} {{ this.__init__ }}",
    "{{ ref._callable.__globals__ }} {{ zip._callable }} {{ config.__init__.__globals__ }}",
    "{{ return.__self__ }} {{ source|attr('_callable') }} {{ function|attr('_name') }}",
    "{{ fromjson('{}').__class__ }} {{ tojson.__globals__ }} {{ var('x').__class__.__mro__ }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(ref) }}",
    "{{ '{0.__class__.__mro__}'.format('') }} {{ '%s'|format(''.__class__) }}",
    "{{ '{a.__class__}'.format_map({'a': ''}) }} {{ ('{0.__cla' ~ 'ss__}').format('') }}",
    "{{ ('%s' | attr('format'))(''.__class__) }} {{ ''.join.__self__.__class__ }}",
    "{{ (x for x in [1]).gi_frame.f_builtins }} {{ x.gi_frame }}",
    "{% set f = 'x'.format %}{{ f.__self__ }} {{ f('{0.__class__}') }}",
    "{% include 'SECRET' %}",
    "{% include '../secret.sql' ignore missing %}",
    "{% include ['SECRET', '/etc/passwd'] ignore missing %}",
    "{% import 'SECRET' as x %}{{ x }}",
    "{% from 'MACROS/leak.sql' import leak %}{{ leak() }}",
    "{% extends 'SECRET' %}",
    "{% extends '../../../../../../../../etc/passwd' %}",
    "{% include '/etc/passwd' %}",
    "{% include 'file:///etc/passwd' %}",
    "{% include 'http://127.0.0.1:PORT/' %}",
    "{% do ''.__class__ %} {% do lipsum.__globals__.os.system('touch MARKER') %}",
    "{{ open('SECRET').read() }} {{ __import__('os').system('touch MARKER') }}",
    "{{ config.items() }} {{ env_var('PATH') }} {{ environ }} {{ os.environ }} {{ builtins }}",
    "{{ modules.datetime }} {{ modules.re }} {{ adapter }} {{ run_query('x') }}",
    "{{ load_file('SECRET') }} {{ read('SECRET') }} {{ file('SECRET') }}",
    "{{ get_url('http://127.0.0.1:PORT/') }} {{ requests.get('http://127.0.0.1:PORT/') }}",
    "{% debug %} {% trans %}x{% endtrans %} {% python %}import os{% endpython %}",
    "{test_value.__class__} {0.__class__.__init__.__globals__} {test_value.__init__.__globals__}",
    "{test_value!r:>{test_value.__len__}} {sqlfluff[__class__]} {x[0].__globals__}",
    "{test_value.__class__.__mro__[1].__subclasses__} {test_value.format.__self__}",
    "${__class__} :__class__ %(__class__)s $__init__ &__globals__ ?",
)
TEMPLATERS: tuple[dict[str, object], ...] = (
    {"templater": "jinja"},
    {"templater": "jinja", "ignore": "templating"},
    {"templater": "python"},
    {"templater": "python", "ignore": "templating"},
)
_DBT = b"[sqlfluff:templater:jinja]\napply_dbt_builtins = True\n"
_PYTHON = (
    b"[sqlfluff]\ntemplater = python\n[sqlfluff:templater:python:context]\n"
    b"test_value = __import__('os').system('touch MARKER')\nx = [open, 'a']\n"
    b"__class__ = {'a': (1, 2)}\n0 = lambda: 1\n"
)
_MACROS = (
    b"[sqlfluff:templater:jinja:macros]\n"
    b"a = {% macro a() %}{{ ''.__class__.__mro__ }}{% include 'SECRET' %}{% endmacro %}\n"
    b"b = {% import 'SECRET' as y %}{% macro b() %}{{ y }}{% endmacro %}\n"
    b"c = {% set x = lipsum.__globals__ %}{% macro c() %}{{ x }}{% endmacro %}\n"
)
_DELIMITERS = (
    b"[sqlfluff:templater:jinja]\nvariable_start_string = <<\nvariable_end_string = >>\n"
    b"block_start_string = <%\nblock_end_string = %>\n"
)
_PLACEHOLDER = (
    b"[sqlfluff]\ntemplater = placeholder\n[sqlfluff:templater:placeholder]\n"
    b"param_style = dollar\n__class__ = __import__('os')\n"
)


def escapes(canaries: Canaries) -> Iterator[Hostile]:
    """Every template under every templater, with dbt's builtins and with macros of its own."""
    for number, template in enumerate(ESCAPES):
        sql = f"SELECT 1 AS  a -- {_aimed(template, canaries)}\n"
        for told in TEMPLATERS:
            name = " ".join(map(str, told.values()))
            yield Hostile(f"template {number} {name}", sql=sql, overrides=told)
        yield Hostile(f"template {number} dbt", sql=sql, files={".sqlfluff": _DBT})
        configured_python = _aimed(_PYTHON.decode(), canaries).encode()
        yield Hostile(f"template {number} context", sql=sql, files={".sqlfluff": configured_python})
        yield Hostile(f"template {number} placeholder", sql=sql, files={".sqlfluff": _PLACEHOLDER})
        other = sql.replace("{{", "<<").replace("}}", ">>").replace("{%", "<%").replace("%}", "%>")
        yield Hostile(f"template {number} delimiters", sql=other, files={".sqlfluff": _DELIMITERS})
    macros = _aimed(_MACROS.decode(), canaries).encode()
    for call in (
        "{{ a() }}",
        "{{ b() }}",
        "{{ c() }}",
        "{{ a.__globals__ }}",
        "{{ a.macro._func }}",
    ):
        yield Hostile(f"macro {call}", sql=f"SELECT {call}\n", files={".sqlfluff": macros})


def _aimed(template: str, canaries: Canaries) -> str:
    aims = {"SECRET": canaries.secret, "MACROS": canaries.macros, "MARKER": canaries.marker}
    for word, aim in (*aims.items(), ("PORT", canaries.port)):
        template = template.replace(word, str(aim))
    return template


def everything(canaries: Canaries) -> Iterator[Hostile]:
    """All of it."""
    for path, value in keys(canaries):
        yield from configured(path, value)
        yield from inlined(path, value)
    yield from escapes(canaries)
