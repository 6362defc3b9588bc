"""The documentation is true: its code runs, its links lead somewhere, and its reference is whole.

In a page, `python` blocks run in order and share a namespace. What a block prints is in the `text` block right after
it, or else in the comments behind its calls of `print`; what it raises is the last line there, as `Class: message`.
A block that begins with `# name.py` is written to that file as well. In a `console` block each line after `$ ` is run
by a shell, among those files, and followed by its output. Three dots in an output stand for anything.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import contextlib
import importlib
import importlib.util
import inspect
import io
import json
import linecache
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from navigation import MAPS, parts_of
from shown_modules import shown_modules
from support.redis_server import RedisProcess

import cascade
from cascade import graph, runtime, spec
from cascade.runtime import Event, SkipReason
from cascade.runtime.settings import ENGINE_SETTINGS, RUN_SETTINGS
from cascade.spec import CascadeError

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
REFERENCE = DOCS / "reference"
PAGES = [
    ROOT / "README.md",
    *sorted(DOCS.rglob("*.md")),
    *sorted(ROOT.glob("packages/*/README.md")),
]
TEXTS = [*PAGES, *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"))]


def is_there(package: str) -> bool:
    found = importlib.util.find_spec(package)
    return found is not None and found.origin is not None


# The page that describes each package.
DESCRIBED = {
    "cascade": "cascade.md",
    "cascade.spec": "spec.md",
    "cascade.graph": "graph.md",
    "cascade.runtime": "runtime.md",
    "cascade.adapters": "adapters.md",
    "cascade.testing": "testing.md",
    "cascade.cli": "cli.md",
}
PACKAGES = {package: page for package, page in DESCRIBED.items() if is_there(package)}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# Pages as blocks


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the number of the text's first line."""

    language: str
    text: str
    line: int


@dataclass(frozen=True)
class Example:
    """A block to be run, and what it is to print; `None` where the comments behind `print` say it."""

    block: Block
    output: str | None


FENCE = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"# (?P<name>\w+\.py)\n")
PRINTED = re.compile(r"^ *(?:\w+ = )?print\(.*\)  # (?P<output>.*)$", re.MULTILINE)


def blocks(page: str) -> list[tuple[Block, int, int]]:
    """Give the fenced blocks of a page, each with where it begins and ends."""
    return [
        (Block(found["language"], found["text"], page.count("\n", 0, found.start()) + 2), *found.span())
        for found in FENCE.finditer(page)
    ]


def examples(page: str) -> Iterator[Example]:
    """Give what is to be run in a page, each with its output."""
    found = blocks(page)
    for index, (block, _, end) in enumerate(found):
        output = None
        if index + 1 < len(found):
            following, begin, _ = found[index + 1]
            if following.language == "text" and not page[end:begin].strip():
                output = following.text
        if block.language in ("python", "console"):
            yield Example(block, output)


def agrees(told: str, expected: str) -> bool:
    """Compare an output with what the page shows, where `...` stands for anything; spaces count as one."""
    pattern = ".*".join(map(re.escape, squeezed(expected).split("...")))
    return re.fullmatch(pattern, squeezed(told), re.DOTALL) is not None


def squeezed(text: str) -> str:
    return "\n".join(re.sub(" +", " ", line).rstrip() for line in text.strip("\n").splitlines())


def code_of(path: Path) -> str:
    """Return the name of a page's code, under which its text is found, as that of a notebook is."""
    name = f"<code of {name_of(path)}>"
    if name not in linecache.cache:
        page = path.read_text(encoding="utf-8")
        lines = ["\n"] * (len(page.splitlines()) + 1)
        for block, _, _ in blocks(page):
            if block.language == "python":
                for number, line in enumerate(block.text.splitlines(keepends=True), block.line - 1):
                    lines[number] = line
        linecache.cache[name] = (len(page), None, lines, name)
    return name


# As in a notebook, a block may await at its top.
AWAITING = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def run_python(block: Block, namespace: dict[str, Any], path: Path) -> str:
    """Run a block; return what it prints and, in a last line, what it raises."""
    file = FILE_NAME.match(block.text)
    if file is not None:
        Path(file["name"]).write_text(block.text, encoding="utf-8")
    printed = io.StringIO()
    # The empty lines let a traceback name the line in the page.
    code = compile("\n" * (block.line - 1) + block.text, code_of(path), "exec", AWAITING, dont_inherit=True)
    with contextlib.redirect_stdout(printed):
        try:
            waiting = eval(code, namespace)
            if code.co_flags & inspect.CO_COROUTINE:
                asyncio.run(waiting)
        except Exception as error:  # noqa: BLE001 - what it raises is compared as well
            print(f"{type(error).__name__}: {error}")  # noqa: T201 - into the output that is compared
    return printed.getvalue()


def run_console(block: Block) -> Iterator[tuple[str, str, str]]:
    """Run the commands of a block; give each with what it printed and what it was to print."""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "NO_COLOR": "1",
        "TERM": "dumb",
        "COLUMNS": "100",
        "PYTHONWARNINGS": "error",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    code = 0
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        # `$?` is that of the command before.
        done = subprocess.run(
            ["bash", "-c", f"(exit {code}); {command}"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        code = done.returncode if done.returncode >= 0 else 128 - done.returncode  # as a shell tells a signal
        yield command, done.stdout, expected


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder whose modules can be imported, and are forgotten afterwards."""
    (tmp_path / "docs").symlink_to(DOCS)  # pages show commands as they are given at the top of the repository
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def redis_url(request: pytest.FixtureRequest) -> str:
    """Return the address of a database that no other test uses."""
    server: RedisProcess = request.getfixturevalue("redis_server")
    return server.url.removesuffix("0") + "9"


def postgres_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("postgres_url"))


def dask_address(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("dask_address"))


def dask_word(request: pytest.FixtureRequest) -> str:
    """Return the word for the cluster of the tests."""
    return str(request.getfixturevalue("dask_address")).replace("tcp://", "dask://")


def ray_address(request: pytest.FixtureRequest) -> str:
    """Return the address of a Ray that is connected to already: so any would do."""
    return str(request.getfixturevalue("ray_cluster"))


RAY = "ray://localhost:10001"

SERVERS: dict[str, Callable[[pytest.FixtureRequest], str]] = {
    "redis://localhost:6379/0": redis_url,
    "postgresql://me@localhost:5432/work": postgres_url,
    "tcp://scheduler:8786": dask_address,
    "dask://localhost:8786": dask_word,
    RAY: ray_address,
}
"""The servers that pages use, and what starts the tests' own in their place."""


def servers_of(path: Path) -> list[str]:
    code = "".join(example.block.text for example in examples(path.read_text(encoding="utf-8")))
    return [address for address in SERVERS if address in code]


@pytest.mark.one_python
@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("path", [path for path in PAGES if not servers_of(path)], ids=name_of)
def test_the_code_of_a_page_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every example of a page runs and prints what the page says."""
    run_page(path, path.read_text(encoding="utf-8"), monkeypatch)


@pytest.fixture(scope="session")
def ray_before(request: pytest.FixtureRequest) -> None:
    """Start Ray before a page that uses it: what is there then is not left by the page."""
    if RAY in servers_of(request.param):
        request.getfixturevalue("ray_cluster")


@pytest.mark.server
@pytest.mark.usefixtures("folder", "ray_before")
@pytest.mark.parametrize(
    ("path", "ray_before"),
    [(path, path) for path in PAGES if servers_of(path)],
    indirect=["ray_before"],
    ids=name_of,
)
def test_the_code_of_a_page_with_a_server_runs(
    path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """So do the examples that need a server."""
    page = path.read_text(encoding="utf-8")
    for address in servers_of(path):
        page = page.replace(address, SERVERS[address](request))
    run_page(path, page, monkeypatch)


def run_page(path: Path, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the examples of a page, and compare what they print."""
    # Tasks and dataclasses are found by module and name.
    module = ModuleType(f"docs_{path.stem.replace('-', '_')}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for example in examples(page):
        place = f"{name_of(path)}:{example.block.line}"
        if example.block.language == "console":
            for command, told, expected in run_console(example.block):
                assert agrees(told, expected), f"{place}: {command}\n{told}"
        else:
            told = run_python(example.block, vars(module), path)
            commented = "\n".join(found["output"] for found in PRINTED.finditer(example.block.text))
            expected = commented if example.output is None else example.output
            assert agrees(told, expected), f"{place} printed\n{told}"
    check_pictures(path, page)


def check_pictures(path: Path, page: str) -> None:
    """A picture that the code of a page saves, and that the page shows, is kept as the code makes it."""
    for found in IMAGE.finditer(prose(page)):
        kept, made = path.parent / found["target"], Path(Path(found["target"]).name)
        if made.exists():
            assert kept.exists(), f"cp {made.resolve()} {kept}"
            assert made.read_bytes() == kept.read_bytes(), f"cp {made.resolve()} {kept}"


DATA: dict[str, Callable[[str], object]] = {"toml": tomllib.loads, "yaml": yaml.safe_load, "json": json.loads}
"""What reads each language of data that pages show."""

INSTRUCTIONS = ("FROM", "RUN", "WORKDIR", "COPY", "VOLUME", "ENV", "STOPSIGNAL", "ENTRYPOINT", "CMD")


def check_dockerfile(text: str) -> None:
    """Docker is not at hand: each line begins with an instruction, and a command is a list of words."""
    for line in text.replace("\\\n", " ").splitlines():
        instruction, _, rest = line.partition(" ")
        assert instruction in INSTRUCTIONS, line
        if instruction in ("CMD", "ENTRYPOINT"):
            assert all(isinstance(word, str) for word in json.loads(rest)), line


@pytest.mark.one_python
@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_no_block_slips_through(path: Path) -> None:
    """Each block is run, or an output, an installation or a command of the README that CI runs, or data to be read."""
    page = path.read_text(encoding="utf-8")
    found = blocks(page)
    assert 2 * len(found) == len(re.findall(r"^ *(?:```|~~~)", page, re.MULTILINE)), "a fence of another form"
    for block, begin, _ in found:
        directive = re.match(r"```\{[\w-]+\}", page[begin:])
        if block.language in DATA:
            DATA[block.language](block.text)
        elif block.language == "dockerfile":
            check_dockerfile(block.text)
        elif block.language in ("sh", "shell"):
            installs = all(line.startswith("pip install ") for line in block.text.splitlines())
            assert installs or path == ROOT / "README.md", f"{name_of(path)}:{block.line}: not run"
        elif directive is None:
            assert block.language in ("python", "console", "text"), f"{name_of(path)}:{block.line}"


@pytest.mark.one_python
@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_have_no_examples_that_nobody_runs(package: str) -> None:
    """Examples stand in the pages, where they are run: no docstring of a module has one."""
    for module in modules_below(package):
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = ast.get_docstring(node) or ""
                assert not re.search(r"^\s*(?:>>>|```)|::$", docstring, re.MULTILINE), module.__name__


# Links

IMAGE = re.compile(r"!\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(?P<text>.+?) *$", re.MULTILINE)


def prose(page: str) -> str:
    return FENCE.sub("", page)


def anchors(page: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    return {
        re.sub(r"[^\w\- ]", "", found["text"].lower()).replace(" ", "-")
        for found in HEADING.finditer(prose(page))
    }


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_images_are_there_and_say_what_they_show(path: Path) -> None:
    """Each picture of a page is a file of the repository, and has a text for those who do not see it."""
    for found in IMAGE.finditer(prose(path.read_text(encoding="utf-8"))):
        assert (path.parent / found["target"]).is_file(), f"{name_of(path)} shows {found['target']}"
        assert found["text"], f"{name_of(path)} shows {found['target']} without a text"


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    """Each link to a file of the repository names one that is there, and a heading that it has."""
    for found in LINK.finditer(prose(path.read_text(encoding="utf-8"))):
        target, _, anchor = found["target"].partition("#")
        if "://" in target:
            assert re.fullmatch(r"https://[\w.-]+\.\w+(/[^\s]*)?", found["target"]), found["target"]
            continue
        linked = (path.parent / target).resolve() if target else path
        assert linked.exists(), f"{name_of(path)} links to {target}"
        if anchor:
            assert anchor in anchors(linked.read_text(encoding="utf-8")), (
                f"{name_of(path)} links to #{anchor} of {target}"
            )


def test_every_page_is_on_the_map() -> None:
    """Each page below `docs` is on a map: `docs/index.md`, or one that it leads to."""
    listed = {
        (DOCS / name).parent / f"{page}.md"
        for name in MAPS
        for _, pages in parts_of((DOCS / f"{name}.md").read_text(encoding="utf-8"))
        for page in pages
    }
    assert listed == set(DOCS.rglob("*.md")) - {DOCS / "index.md"}


# The reference


def reference(page: str) -> str:
    return (REFERENCE / page).read_text(encoding="utf-8")


def modules_below(package: str) -> Iterator[ModuleType]:
    module = importlib.import_module(package)
    yield module
    for found in pkgutil.walk_packages(module.__path__, f"{package}."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def public_names(package: str) -> set[str]:
    """Return the names of `__all__`; without one, the public classes and functions of the module and those below it."""
    module = importlib.import_module(package)
    if hasattr(module, "__all__"):
        return set(module.__all__)
    own = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == package
    }
    below = [each.name for each in pkgutil.iter_modules(getattr(module, "__path__", ()), f"{package}.")]
    return own.union(*(public_names(each) for each in below if not each.endswith("__main__")))


CODE = re.compile(r"`([^`\n]+)`")


@pytest.mark.parametrize("package", PACKAGES)
def test_the_reference_has_every_public_name(package: str) -> None:
    """Each public name of a package stands, as code, in the package's page of the reference."""
    words = {
        word
        for code in CODE.findall(prose(reference(PACKAGES[package])))
        for word in re.findall(r"\w+", code)
    }
    assert public_names(package) - words == set()


def test_the_site_shows_the_docstrings_of_every_module_of_the_reference() -> None:
    """Each package, and each module that a heading of the reference names, is on a page made from docstrings, once."""
    shown = shown_modules()
    named = [
        heading["text"].strip("`")
        for package in PACKAGES
        for heading in HEADING.finditer(prose(reference(PACKAGES[package])))
        if re.fullmatch(r"`cascade\.[\w.]+`", heading["text"])
    ]
    assert set(named) <= set(shown)
    assert len(shown) == len(set(shown))
    assert all(is_there(module) for module in shown)


SIGNATURE = re.compile(r"`(?P<name>[\w.]+)\((?P<parameters>.*)\)`")


def parameters_of(call: Any) -> list[tuple[str, Any, object]]:
    return [
        (each.name, each.kind, each.default)
        for each in inspect.signature(call).parameters.values()
        if each.name != "self" and each.annotation != "Never"  # which is there to refuse what is unknown
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_signatures_of_the_reference_are_those_of_the_code(package: str) -> None:
    """A signature in a heading has the parameters of the code, of the same kinds and with the same defaults.

    `...` as a default stands for one that can't be written there, `**settings` for all in the table of settings.
    """
    module, *_ = modules_below(package)
    for heading in HEADING.finditer(prose(reference(PACKAGES[package]))):
        found = SIGNATURE.fullmatch(heading["text"])
        if found is None:
            continue
        value: Any = module
        for part in found["name"].split("."):
            value = getattr(value, part)
        of_graph = {name: getattr(graph, name) for name in graph.__all__}  # imported at first use
        namespace: dict[str, Any] = {**vars(spec), **of_graph, **vars(runtime)}
        exec(f"written = lambda {found['parameters']}: ...", namespace)
        written, real = parameters_of(namespace["written"]), parameters_of(value)
        if "**settings" in found["parameters"]:
            written = [each for each in written if each[0] != "settings"]
            real = [each for each in real if each[0] not in RUN_SETTINGS]
        assert [each[:2] for each in written] == [each[:2] for each in real], heading["text"]
        for (parameter, _, shown), (_, _, default) in zip(written, real, strict=True):
            if shown is ...:
                assert default is not inspect.Parameter.empty, f"{parameter} in {heading['text']}"
            else:
                assert shown == default, f"{parameter} in {heading['text']}"


def rows(page: str, after: str) -> list[list[str]]:
    """Return the cells of the table below a heading."""
    text = reference(page)
    text = text[text.index(f"{after}\n") + len(after) :]
    table = re.search(r"\n\|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", text)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[1].splitlines()]


def test_the_tables_of_settings_are_those_of_the_code() -> None:
    """The tables of the reference have every setting of a run and of an engine, and nothing else."""
    of_runs = {
        name for row in rows("runtime.md", "### `arun(target, **settings)`") for name in CODE.findall(row[0])
    }
    of_engines = {
        name for row in rows("runtime.md", "### `Engine(**settings)`") for name in CODE.findall(row[0])
    }
    assert of_engines == set(ENGINE_SETTINGS)
    assert of_runs - {"Engine"} == set(RUN_SETTINGS) - of_engines


def below(cls: type[Any]) -> Iterator[type[Any]]:
    for each in cls.__subclasses__():
        yield each
        yield from below(each)


def test_the_table_of_events_is_that_of_the_code() -> None:
    """The table has each class of events with its own fields."""
    told = {row[0].strip("`"): CODE.findall(row[1]) for row in rows("events.md", "## All events")}
    real = {"Event": ["run_id"]}
    for cls in below(Event):
        if cls.__module__ == Event.__module__:
            inherited = {each.name for each in fields(cls.__mro__[1])}
            real[cls.__name__] = [each.name for each in fields(cls) if each.name not in inherited]
    assert told == real


def test_the_table_of_skip_reasons_is_that_of_the_code() -> None:
    """The table has each reason, by its text and by its name."""
    told = {row[0].strip("`"): row[1].strip("`") for row in rows("skip-reasons.md", "## All reasons")}
    assert told == {each.value: each.name for each in SkipReason}


def test_the_table_of_errors_is_that_of_the_code() -> None:
    """The table has each error of Cascade's own: what else it is, its attributes, and a remedy."""
    for package in PACKAGES:
        list(modules_below(package))
    real = {cls.__name__: cls for cls in below(CascadeError) if cls.__module__.startswith("cascade.")}
    told = rows("errors.md", "## All errors")
    assert [row[0].strip("`") for row in told] == sorted(real)
    for name, also, attributes, _, remedy in told:
        cls = real[name.strip("`")]
        assert issubclass(cls, getattr(builtins, also.strip("`"))), name
        facts = [each.name for each in fields(cls)] if is_dataclass(cls) else []
        assert facts == CODE.findall(attributes), name
        assert remedy, name


# Examples


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=name_of)
def test_every_example_can_be_imported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An example does nothing but define things until it is run."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    module = ModuleType(f"example_{path.stem}")
    module.__file__ = str(path)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = compile(path.read_text(encoding="utf-8"), str(path), "exec", dont_inherit=True)
        exec(code, vars(module))
    assert printed.getvalue() == ""
    assert module.__doc__


def test_every_example_is_mentioned() -> None:
    """`docs/index.md` says what each example is for."""
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if path.name not in index] == []


def test_the_facade_and_its_reference_agree() -> None:
    """The table of `import cascade as cs` has the facade's names and no others."""
    told = {row[0].strip("`").removeprefix("cs.") for row in rows("cascade.md", "## All names")}
    assert told == set(cascade.__all__)
