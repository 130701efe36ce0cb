"""House rules: checks that ruff, mypy and import-linter can't express.

A check takes one file and yields complaints. Every check is also seen to fail, on the bad samples
at the end of this file, so that none of them can fall asleep.
"""

import ast
import gc
import io
import re
import subprocess
import tokenize
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parent.parent

MAX_FILE_LINES = 400
MIN_FILE_LINES = 40
MAX_FUNCTION_LINES = 60
MIN_ROOM_LINES = 3

# Longer or shorter with a reason: path, or path:function → why it is one piece.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}
SHORT_FILES: dict[str, str] = {
    "benchmarks/actions.py": "a group of commands, each of which is a file",
    "commands/bench.py": "a command is a file",
    "commands/demo/process.py": "an entry point: `python -m`",
    "commands/doctor/vouching.py": "asked of each tier by the doctor's file on it",
    "commands/state/description.py": "handed to the cluster, which must not import commands",
    "commands/state/packed_order.py": "one order's check, which verify makes of all",
    "commands/wiring/calendars.py": "asked by track and by config check",
    "commands/wiring/groups.py": "a class of click, of every group of commands",
    "commands/wiring/local_folders.py": "config check loads it, and must not load the tiers",
    "commands/wiring/tiers.py": "one list of tiers, of every command on tiers",
    "commands/wiring/wording.py": "what lookup, top, the demo and deliver print alike",
    "dataflows/source.py": "what the state depends on: the number of slots and their keys",
    "dataflows/state/bytewax_recovery_files.py": "all that depends on bytewax's own tables",
    "dataflows/state/local/state_files.py": "names a state file without opening its store",
    "deploy/grafana/generate.py": "an entry point: `python -m`",
    "deploy/kibana/generate.py": "an entry point: `python -m`",
    "deploy/stack/errors.py": "raised by every server; none imports another for it",
    "deploy/stack/java.py": "what the servers in Java share",
    "privacy/keys.py": "the one name of the key stores for who uses them",
    "run.py": "an entry point",
    "schemas/numbers.py": "a normal form, and all that defines it",
    "schemas/versions.py": "a format, and all that defines it",
    "sinks/actions/channels/chat.py": "an entry point that loads its extra only where it is used",
    "sinks/channels/installed.py": "opens a channel; the channels must not import each other",
    "storage_tiering/hot/opening.py": "the entry point of a tier, as the others have one",
    "telemetry/bounded_labels.py": "one class that any metric may use",
    "telemetry/collector.py": "one setting of Python, with its measurement",
}

# A name that gives the place of code and not its purpose collects whatever lies around.
VAGUE_WORDS = {"util", "utils", "helper", "helpers", "misc"}
UNESCAPED = {"print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"}
VAGUE_NAMES = {"base", "common", "manager", "managers"}

MACHINE_PATH = re.compile(r"(?<![\w.~$}/-])/(?:(?:work|root|farm)/|(?:home|Users)/\w)")
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|registry\.npmjs|repo1?\.maven|index[-]url|find[-]links"
)
# A docstring opens with the field's term, not with a question word that paraphrases it.
PARAPHRASE = re.compile(r"(?:What|How|Where|Who|Whose|Whether)\b")
CREATES = ("Bind", "Create", "Derive", "Listen", "Open", "Query", "Read", "Start", "Take", "Wrap")
SUPPRESSION = re.compile(
    r"noqa\b(?::\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)?|type:\s*ignore\b(?:\[[\w\s,-]*\])?"
)


@dataclass(frozen=True)
class Source:
    """One file: its path from the root of the checkout, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes of the tree: a walk takes longer than a check of them."""
        return list(ast.walk(self.tree))

    @property
    def is_python(self) -> bool:
        return self.path.endswith(".py")

    def lies_in(self, *folders: str) -> bool:
        return any(self.path.startswith(f"{folder}/") for folder in folders)

    def at(self, node: ast.AST) -> str:
        return f"{self.path}:{getattr(node, 'lineno', 1)}"


Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef
Check = Callable[[Source], Iterator[str]]


# ---------------------------------------------------------------- checks on Python files
def names_say_what_is_inside(source: Source) -> Iterator[str]:
    path = PurePosixPath(source.path)
    for name in (*path.parts[:-1], path.stem):
        words = set(name.strip("_").split("_"))
        if words & VAGUE_WORDS or name.strip("_") in VAGUE_NAMES:
            yield f"{source.path}: '{name}' says nothing; name it after what it does"


def files_are_short(source: Source) -> Iterator[str]:
    lines = len(source.text.splitlines())
    is_long = lines > MAX_FILE_LINES and not source.lies_in("tests")
    if is_long and source.path not in LONG_FILES:
        yield f"{source.path}: {lines} lines, over {MAX_FILE_LINES}; split it or give the reason"


def files_are_no_slices(source: Source) -> Iterator[str]:
    """A package's door may be short, and so may a suite that has few claims."""
    lines = len(source.text.splitlines())
    is_door = PurePosixPath(source.path).name == "__init__.py"
    is_slice = lines < MIN_FILE_LINES and not is_door and not source.lies_in("tests")
    if is_slice and source.path not in SHORT_FILES:
        yield (
            f"{source.path}: {lines} lines, under {MIN_FILE_LINES}; put it into the file that it "
            "belongs to, or give the reason in SHORT_FILES"
        )


def functions_are_short(source: Source) -> Iterator[str]:
    for function in _functions(source):
        lines = _lines_of_code(function)
        is_listed = f"{source.path}:{function.name}" in LONG_FUNCTIONS
        if lines > MAX_FUNCTION_LINES and not is_listed:
            yield f"{source.at(function)}: {function.name} has {lines} lines without its docstring"


def public_names_are_documented(source: Source) -> Iterator[str]:
    if source.lies_in("tests", "benchmarks"):
        return
    if not ast.get_docstring(source.tree):
        yield f"{source.path}: no module docstring"
    for definition in _public_definitions(source.tree):
        if not ast.get_docstring(definition):
            yield f"{source.at(definition)}: {definition.name} has no docstring"


def docstrings_open_with_the_term(source: Source) -> Iterator[str]:
    """CONTRIBUTING.md, English, rules 1 and 5."""
    for node in source.nodes:
        if not isinstance(node, ast.Module | Definition):
            continue
        docstring = ast.get_docstring(node) or ""
        if PARAPHRASE.match(docstring):
            opening = docstring.splitlines()[0]
            yield f"{source.at(node)}: '{opening}'; open with the term or 'Return True if'"
        is_constructor = isinstance(node, Function) and node.name == "__init__"
        if is_constructor and docstring and docstring.split()[0] not in CREATES:
            yield f"{source.at(node)}: say what the constructor creates: 'Create an empty …'"


def rooms_are_introduced(source: Source) -> Iterator[str]:
    path = PurePosixPath(source.path)
    if path.name != "__init__.py" or source.lies_in("tests", "benchmarks"):
        return
    lines = len((ast.get_docstring(source.tree) or "").splitlines())
    if lines < MIN_ROOM_LINES:
        yield (
            f"{source.path}: say what the room is, its door, what it may import and where to begin "
            f"reading, in {MIN_ROOM_LINES} lines or more"
        )


def no_exception_vanishes(source: Source) -> Iterator[str]:
    for node in source.nodes:
        if not isinstance(node, ast.ExceptHandler) or not _catches_everything(node):
            continue
        if all(
            isinstance(step, ast.Pass | ast.Continue) or _is_ellipsis(step) for step in node.body
        ):
            yield f"{source.at(node)}: an exception of any kind vanishes here"


def the_core_reads_no_clock(source: Source) -> Iterator[str]:
    if not source.lies_in("dataflows/core"):
        return
    for statement, module in _imports(source):
        if module == "time":
            yield f"{source.at(statement)}: the core imports time; take the instant as a value"
    for node in source.nodes:
        if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}:
            owner = ast.unparse(node.value).rpartition(".")[2]
            if owner in {"datetime", "date"}:
                yield f"{source.at(node)}: the core asks {owner}.{node.attr}; take it as a value"


def the_core_opens_nothing(source: Source) -> Iterator[str]:
    if not source.lies_in("dataflows/core"):
        return
    for node in source.nodes:
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Name) and called.id in {"open", "input", "print"}:
            yield f"{source.at(node)}: the core calls {called.id}(); take text or bytes"


def nothing_is_mocked(source: Source) -> Iterator[str]:
    for node, module in _imports(source):
        if module in {"mock", "pytest_mock"} or module.startswith("unittest.mock"):
            yield f"{source.at(node)}: imports {module}; use a small real thing instead"


def output_is_escaped(source: Source) -> Iterator[str]:
    """Output from outside reaches a terminal through telemetry.screen only."""
    if not source.lies_in("commands"):
        return
    for node in source.nodes:
        if isinstance(node, ast.Call) and ast.unparse(node.func) in UNESCAPED:
            yield f"{source.at(node)}: {ast.unparse(node.func)}; print with telemetry.screen.show"


def suppressions_are_explained(source: Source) -> Iterator[str]:
    if not SUPPRESSION.search(source.text):
        return
    tokens = tokenize.generate_tokens(io.StringIO(source.text).readline)
    for token in tokens:
        if token.type != tokenize.COMMENT:
            continue
        rest, count = SUPPRESSION.subn("", token.string)
        if count and not re.search(r"\w", rest):
            yield f"{source.path}:{token.start[0]}: '{token.string}' lacks its reason beside it"


def kafka_clients_are_opened_in_one_place(source: Source) -> Iterator[str]:
    """deploy/ may not import broker/, and the example stands alone; tests may administer."""
    if "confluent_kafka" not in source.text:
        return
    if source.path in {"broker/clients.py", "deploy/stack/kafka.py", "examples/produce.py"}:
        return
    for node in source.nodes:
        names: set[str] = set()
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("confluent_kafka."):
            names = {ast.unparse(node.func).rpartition(".")[2]}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("confluent_kafka"):
            names = {each.name for each in node.names if not each.asname}
        if found := names & {"Consumer", "Producer"}:
            yield f"{source.at(node)}: {', '.join(found)} of confluent_kafka; use broker.clients"


def kafka_errors_are_worded(source: Source) -> Iterator[str]:
    if "KafkaException" not in source.text:
        return
    for node in source.nodes:
        if not isinstance(node, ast.ExceptHandler) or not node.name or node.type is None:
            continue
        for step in ast.walk(node) if "KafkaException" in ast.unparse(node.type) else ():
            shown = step.value if isinstance(step, ast.FormattedValue) else None
            if isinstance(step, ast.Call) and ast.unparse(step.func) == "str":
                shown = step.args[0]
            if isinstance(shown, ast.Name) and shown.id == node.name:
                yield f"{source.path}: {node.name} shows a KafkaException; use broker.errors.worded"


# ---------------------------------------------------------------- checks on every text file
def nothing_names_a_machine(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.text.splitlines(), 1):
        if found := MACHINE_PATH.search(line):
            yield f"{source.path}:{number}: '{found[0]}' is a path of one machine"


def nothing_names_a_registry(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.text.splitlines(), 1):
        if found := REGISTRY.search(line):
            yield f"{source.path}:{number}: '{found[0]}' is a package registry's address or option"


def ignored_rules_are_explained(source: Source) -> Iterator[str]:
    if source.path != "pyproject.toml":
        return
    ruff = source.text.partition("[tool.ruff.lint]")[2].partition("[tool.ruff.lint.flake8")[0]
    for line in ruff.splitlines():
        if re.match(r'    "[A-Z]+\d*",', line) and not re.search(r"# \w", line):
            yield f"{source.path}: {line.strip()} is ignored without a reason beside it"


PYTHON_CHECKS: tuple[Check, ...] = (
    names_say_what_is_inside,
    files_are_short,
    files_are_no_slices,
    functions_are_short,
    public_names_are_documented,
    docstrings_open_with_the_term,
    rooms_are_introduced,
    no_exception_vanishes,
    the_core_reads_no_clock,
    the_core_opens_nothing,
    nothing_is_mocked,
    output_is_escaped,
    suppressions_are_explained,
    kafka_clients_are_opened_in_one_place,
    kafka_errors_are_worded,
)
TEXT_CHECKS: tuple[Check, ...] = (
    nothing_names_a_machine,
    nothing_names_a_registry,
    ignored_rules_are_explained,
)


# ---------------------------------------------------------------- what the checks ask of a tree
def _functions(source: Source) -> Iterator[Function]:
    return (node for node in source.nodes if isinstance(node, Function))


def _lines_of_code(function: Function) -> int:
    """From `def` to the end, less the docstring: explaining much is no fault."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function):
        docstring = function.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


def _public_definitions(tree: ast.Module) -> Iterator[Definition]:
    return (n for n in tree.body if isinstance(n, Definition) and not n.name.startswith("_"))


def _catches_everything(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or ast.unparse(handler.type) in {"Exception", "BaseException"}


def _is_ellipsis(step: ast.stmt) -> bool:
    return isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant)


def _imports(source: Source) -> Iterator[tuple[ast.stmt, str]]:
    """Each import with the full names that it may load: `from a import b` gives a and a.b."""
    for node in source.nodes:
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node, node.module
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


# ---------------------------------------------------------------- the files of the house
def _paths() -> list[str]:
    """Files of the repository: tracked, or new and not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode()
    return sorted(path for path in listed.split("\0") if path and (ROOT / path).is_file())


@cache
def _sources() -> tuple[Source, ...]:
    return tuple(source for path in _paths() if (source := _read(path)) is not None)


def _read(path: str) -> Source | None:
    """None where the file isn't text."""
    try:
        return Source(path, (ROOT / path).read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        return None


@pytest.fixture(scope="module", autouse=True)
def _trees_are_dropped() -> Iterator[None]:
    """Garbage collection would look through a million nodes: now, and in all later tests."""
    gc.disable()
    yield
    _sources.cache_clear()
    gc.enable()


@pytest.mark.parametrize("check", PYTHON_CHECKS)
def test_every_python_file_passes(check: Check) -> None:
    complaints = [c for source in _sources() if source.is_python for c in check(source)]
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize("check", TEXT_CHECKS)
def test_every_text_file_passes(check: Check) -> None:
    complaints = [c for source in _sources() for c in check(source)]
    assert not complaints, "\n".join(complaints)


def test_the_walk_sees_the_house() -> None:
    paths = {source.path for source in _sources()}
    assert {"pyproject.toml", "tests/test_house.py", "schemas/__init__.py"} <= paths


def test_an_exception_to_a_length_is_still_needed() -> None:
    files = {s.path for s in _sources() if len(s.text.splitlines()) > MAX_FILE_LINES}
    functions = {
        f"{s.path}:{function.name}"
        for s in _sources()
        if s.is_python
        for function in _functions(s)
        if _lines_of_code(function) > MAX_FUNCTION_LINES
    }
    short = {s.path for s in _sources() if len(s.text.splitlines()) < MIN_FILE_LINES}
    assert set(LONG_FILES) <= files
    assert set(SHORT_FILES) <= short
    assert set(LONG_FUNCTIONS) <= functions
    assert all({**LONG_FILES, **LONG_FUNCTIONS, **SHORT_FILES}.values()), (
        "an exception needs its reason"
    )


def test_every_package_is_installed_and_held_to_the_layers() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    installed = set(settings["tool"]["maturin"]["python-packages"])
    layered = set(settings["tool"]["importlinter"]["root_packages"])
    packages = {PurePosixPath(s.path).parent for s in _sources() if s.path.endswith("__init__.py")}
    roots = {package.parts[0] for package in packages} - {"tests", "benchmarks"}
    assert roots <= layered
    assert roots <= installed


# ---------------------------------------------------------------- samples: each check, seen to fail
DOC = '"""A docstring."""\n'
LONG_DOC = "a line\n" * 90
LONG_BODY = "    x = 1\n" * (MAX_FUNCTION_LINES + 1)
SLASH = "/"
DOT = "."

CAUGHT = "try:\n    f()\nexcept KafkaException as error:\n    "

BAD: list[tuple[Check, str, str]] = [
    (rooms_are_introduced, "sinks/__init__.py", DOC),
    (rooms_are_introduced, "sinks/x/__init__.py", ""),
    (kafka_clients_are_opened_in_one_place, "sinks/x.py", "from confluent_kafka import Consumer\n"),
    (kafka_clients_are_opened_in_one_place, "tests/x.py", "x = confluent_kafka.Producer({})\n"),
    (kafka_errors_are_worded, "sinks/x.py", CAUGHT + "raise X(f'no answer: {error}')\n"),
    (kafka_errors_are_worded, "sinks/x.py", CAUGHT + "log(str(error))\n"),
    (names_say_what_is_inside, "dataflows/utils.py", DOC),
    (names_say_what_is_inside, "dataflows/_helpers/track.py", DOC),
    (names_say_what_is_inside, "sinks/kafka_utils.py", DOC),
    (names_say_what_is_inside, "sinks/base.py", DOC),
    (names_say_what_is_inside, "tests/common/orders.py", DOC),
    (files_are_short, "sinks/x.py", "x = 1\n" * (MAX_FILE_LINES + 1)),
    (files_are_no_slices, "sinks/x.py", "x = 1\n" * (MIN_FILE_LINES - 1)),
    (functions_are_short, "sinks/x.py", f"def f():\n{LONG_BODY}"),
    (functions_are_short, "tests/x.py", f"class C:\n  async def f():\n{LONG_BODY}"),
    (public_names_are_documented, "sinks/x.py", "x = 1\n"),
    (public_names_are_documented, "sinks/x.py", f"{DOC}def f(): ...\n"),
    (public_names_are_documented, "sinks/x.py", f"{DOC}async def f(): ...\n"),
    (public_names_are_documented, "sinks/x.py", f"{DOC}class C: ...\n"),
    (docstrings_open_with_the_term, "sinks/x.py", '"""What a sink holds."""\n'),
    (docstrings_open_with_the_term, "sinks/x.py", 'class C:\n    """How it is sent."""\n'),
    (docstrings_open_with_the_term, "tests/x.py", 'def f():\n    """Whether it is so."""\n'),
    (docstrings_open_with_the_term, "x.py", 'async def f():\n    """Where it lies."""\n'),
    (docstrings_open_with_the_term, "x.py", 'def f():\n    def g():\n        """Who is it."""\n'),
    (docstrings_open_with_the_term, "x.py", 'class C:\n def __init__(s):\n  """Nobody waits."""\n'),
    (
        docstrings_open_with_the_term,
        "x.py",
        'class C:\n def __init__(s):\n  """`a` is the key."""\n',
    ),
    (no_exception_vanishes, "sinks/x.py", "try:\n    f()\nexcept Exception:\n    pass\n"),
    (no_exception_vanishes, "tests/x.py", "try:\n    f()\nexcept:\n    ...\n"),
    (
        no_exception_vanishes,
        "x.py",
        "for i in y:\n try:\n  f()\n except BaseException:\n  continue\n",
    ),
    (the_core_reads_no_clock, "dataflows/core/x.py", "import time\n"),
    (the_core_reads_no_clock, "dataflows/core/a/x.py", "from time import time\n"),
    (the_core_reads_no_clock, "dataflows/core/x.py", "x = datetime.now(UTC)\n"),
    (the_core_reads_no_clock, "dataflows/core/x.py", "x = datetime.datetime.utcnow()\n"),
    (the_core_reads_no_clock, "dataflows/core/x.py", "x = date.today()\n"),
    (the_core_opens_nothing, "dataflows/core/x.py", "x = open('rules.toml')\n"),
    (the_core_opens_nothing, "dataflows/core/x.py", "print('here')\n"),
    (nothing_is_mocked, "tests/x.py", "import unittest.mock\n"),
    (nothing_is_mocked, "tests/x.py", "from unittest import mock\n"),
    (nothing_is_mocked, "tests/x.py", "from unittest.mock import patch\n"),
    (nothing_is_mocked, "tests/x.py", "def f():\n    import mock\n"),
    (output_is_escaped, "commands/x.py", "click.echo(order_id)\n"),
    (output_is_escaped, "commands/a/x.py", "def f():\n    print(order_id)\n"),
    (suppressions_are_explained, "sinks/x.py", "x = 1  # noqa\n"),
    (suppressions_are_explained, "sinks/x.py", "x = 1  # noqa: S301\n"),
    (suppressions_are_explained, "sinks/x.py", "x = 1  # noqa: S301, PLR0913\n"),
    (suppressions_are_explained, "sinks/x.py", "x = 1  # type: ignore[attr-defined]\n"),
    (
        suppressions_are_explained,
        "sinks/x.py",
        "x = 1  # type: ignore[call-arg, misc]  # noqa: S1\n",
    ),
    (nothing_names_a_machine, "README.md", f"run {SLASH}work/main/run.py\n"),
    (nothing_names_a_machine, "Makefile", f"X={SLASH}root/.venv\n"),
    (nothing_names_a_machine, "docs/x.json", f'"{SLASH}home/ada/x"\n'),
    (nothing_names_a_registry, "constraints.txt", f"--index{'-'}url x\n"),
    (nothing_names_a_registry, "docs/x.md", f"https://pypi{DOT}org/simple\n"),
    (
        ignored_rules_are_explained,
        "pyproject.toml",
        '[tool.ruff.lint]\nignore = [\n    "S101",\n]\n',
    ),
]

GOOD: list[tuple[Check, str, str]] = [
    (rooms_are_introduced, "sinks/__init__.py", '"""Sinks.\n\nDoor: `x.py`.\n"""\n'),
    (rooms_are_introduced, "tests/__init__.py", DOC),
    (kafka_clients_are_opened_in_one_place, "sinks/x.py", "from broker.clients import Consumer\n"),
    (kafka_clients_are_opened_in_one_place, "broker/clients.py", "x = confluent_kafka.Consumer\n"),
    (kafka_errors_are_worded, "sinks/x.py", CAUGHT + "raise X(f'no answer: {worded(error)}')\n"),
    (names_say_what_is_inside, "storage_tiering/baseline.py", DOC),
    (names_say_what_is_inside, "dataflows/core/base_blob.py", DOC),
    (files_are_short, "sinks/x.py", "x = 1\n" * MAX_FILE_LINES),
    (files_are_short, "tests/x.py", "x = 1\n" * (MAX_FILE_LINES + 1)),
    (files_are_no_slices, "sinks/x.py", "x = 1\n" * MIN_FILE_LINES),
    (files_are_no_slices, "sinks/a/__init__.py", DOC),
    (files_are_no_slices, "tests/sinks/test_x.py", DOC),
    (files_are_no_slices, "run.py", DOC),
    (functions_are_short, "sinks/x.py", f'def f():\n    """{LONG_DOC}"""\n    x = 1\n'),
    (public_names_are_documented, "sinks/x.py", f"{DOC}def _f(): ...\nclass _C: ...\n"),
    (public_names_are_documented, "sinks/x.py", f"{DOC}class C:\n    {DOC}    def f(s): ...\n"),
    (public_names_are_documented, "tests/test_x.py", "def test_x(): ...\n"),
    (docstrings_open_with_the_term, "sinks/x.py", '"""Whatever a sink holds. What for?"""\n'),
    (docstrings_open_with_the_term, "x.py", 'def f():\n    """Return True if it is so."""\n'),
    (docstrings_open_with_the_term, "x.py", 'class C:\n def __init__(s):\n  """Create it."""\n'),
    (docstrings_open_with_the_term, "x.py", "class C:\n def __init__(s): ...\n"),
    (no_exception_vanishes, "sinks/x.py", "try:\n    f()\nexcept KeyError:\n    pass\n"),
    (no_exception_vanishes, "sinks/x.py", "try:\n    f()\nexcept Exception:\n    raise X\n"),
    (the_core_reads_no_clock, "dataflows/track.py", "import time\nx = datetime.now(UTC)\n"),
    (the_core_reads_no_clock, "dataflows/core/x.py", "x = datetime.fromtimestamp(at, UTC)\n"),
    (the_core_opens_nothing, "dataflows/core/x.py", "x = self.open()\n"),
    (nothing_is_mocked, "tests/x.py", "import unittest\nx = 'unittest.mock'\n"),
    (output_is_escaped, "commands/x.py", "show(order_id)\nself.console.print(text)\n"),
    (output_is_escaped, "tests/x.py", "print(1)\n"),
    (suppressions_are_explained, "sinks/x.py", "x = 1  # noqa: S301 - our own bytes\n"),
    (suppressions_are_explained, "sinks/x.py", "x = 1  # noqa: S301, S608  # our own bytes\n"),
    (suppressions_are_explained, "sinks/x.py", "x = 1  # type: ignore[misc]  # untyped\n"),
    (suppressions_are_explained, "sinks/x.py", "x = '# noqa'\n"),
    (nothing_names_a_machine, "README.md", f"https://example.org{SLASH}work/x, src{SLASH}root/x\n"),
    (nothing_names_a_registry, "README.md", "pip install ordertide\n"),
    (
        ignored_rules_are_explained,
        "pyproject.toml",
        '[tool.ruff.lint]\nignore = [\n    "S101", # assertions state invariants\n]\n',
    ),
]


def _label(part: object) -> str | None:
    return getattr(part, "__name__", None) or str(part).strip().replace("\n", "⏎")[:60]


@pytest.mark.parametrize(("check", "path", "text"), BAD, ids=_label)
def test_a_bad_sample_is_seen(check: Check, path: str, text: str) -> None:
    assert list(check(Source(path, text)))


@pytest.mark.parametrize(("check", "path", "text"), GOOD, ids=_label)
def test_a_good_sample_is_left_alone(check: Check, path: str, text: str) -> None:
    assert not list(check(Source(path, text)))


def test_every_check_has_a_bad_and_a_good_sample() -> None:
    checks = {*PYTHON_CHECKS, *TEXT_CHECKS}
    assert {check for check, _, _ in BAD} == checks
    assert {check for check, _, _ in GOOD} == checks


BUILT = {"engine/target"}  # there once the core was compiled here
DATAFLOWS = ROOT / "dataflows"


def test_the_architecture_page_names_files_that_exist() -> None:
    page = (ROOT / "docs/architecture.md").read_text("utf-8")
    roots = {path.split("/")[0] for path in _paths()} | {"core", "state"}
    named = {
        name for name in re.findall(r"`([\w.-]+/[\w./-]*)`", page) if name.split("/")[0] in roots
    }
    missing = sorted(
        name
        for name in named
        if name not in BUILT and not any((root / name).exists() for root in (ROOT, DATAFLOWS))
    )
    assert len(named) > 40
    assert not missing, f"docs/architecture.md names what isn't there: {', '.join(missing)}"


def test_the_rooms_name_files_that_exist() -> None:
    """A room's `__init__` is where a newcomer begins to read."""
    paths = set(_paths())
    missing = []
    for source in _sources():
        if PurePosixPath(source.path).name != "__init__.py" or source.lies_in("tests"):
            continue
        room = PurePosixPath(source.path).parent
        for name in re.findall(r"`([\w./]+\.py)`", ast.get_docstring(source.tree) or ""):
            beside = str(room / name)
            above = str(room.parent / name.removeprefix("../"))
            if not {beside, above, name} & paths:
                missing.append(f"{source.path}: {name}")
    assert not missing, "\n".join(missing)
