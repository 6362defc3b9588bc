"""The options of a generated command: what `cs.cli` makes of a workflow's inputs."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from support.commands import Call

import cascade as cs
from cascade.cli import cli


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@cs.task
def give(value: Any) -> Any:
    return value


@cs.task
def show(*values: Any) -> str:
    return " ".join(map(repr, values))


def test_a_workflow_runs_with_the_values_of_its_options(call: Call) -> None:
    """Each Param is an option with dashes for underscores; its text arrives as a value of the declared type."""
    app = cli(lambda: show(cs.Param("top_count", 3), cs.Param("city")))
    outcome = call(app, "--top-count", "7", "--city", "Oslo")
    assert (outcome.code, outcome.out) == (0, "7 'Oslo'\n")


def test_what_is_not_given_has_its_default(call: Call) -> None:
    """An option that is left out leaves the contract's default, falsy ones and `None` too."""
    app = cli(lambda: show(cs.Param("top", 0), cs.Param("text", ""), cs.Param("limit", None, type=int)))
    assert call(app).out == "0 '' None\n"


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (str, "x", "x"),
        (int, "-4", -4),
        (float, "0.5", 0.5),
        (Path, "a/b", Path("a/b")),
        (Literal["fast", "safe"], "safe", "safe"),
        (Literal[1, 2], "2", 2),
        (Color, "blue", Color.BLUE),
        (int | None, "5", 5),
        (int | str, "five", "five"),
        (list[int], "1,2", [1, 2]),
        (list[int] | None, "1,2", [1, 2]),
        (Any, "x", "x"),
    ],
)
def test_text_becomes_a_value_of_the_declared_type(call: Call, kind: Any, text: str, value: object) -> None:
    """Options of every kind of type are converted by their contract."""
    got: list[object] = []

    @cs.task
    def keep(value: object) -> None:
        got.append(value)

    outcome = call(cli(lambda: keep(cs.Param("given", type=kind))), "--given", text)
    assert (outcome.code, got) == (0, [value]), outcome.err


def test_a_truth_value_is_a_pair_of_flags(call: Call) -> None:
    """A bool parameter is `--dry-run` or `--no-dry-run`, whatever its default."""
    app = cli(
        lambda: show(
            cs.Param("dry_run", False), cs.Param("keep", True), cs.Param("maybe", None, type=bool | None)
        )
    )
    assert call(app).out == "False True None\n"
    assert call(app, "--dry-run", "--no-keep", "--no-maybe").out == "True False False\n"


def test_a_list_is_given_at_once_or_piece_by_piece(call: Call) -> None:
    """Commas and repeated options both make a list, also mixed; none given leaves the default."""
    app = cli(lambda: give(cs.Param("day", ["sun"], type=list[str])))
    assert call(app, "--day", "mon,tue", "--day", "wed").out == "['mon', 'tue', 'wed']\n"
    assert call(app, "--day", "").out == "[]\n"
    assert call(app).out == "['sun']\n"
    assert (
        call(cli(lambda: give(cs.Param("day", []))), "--day", "mon", "--day", "tue").out == "['mon', 'tue']\n"
    )


def test_help_shows_each_option_with_its_type_default_and_description(call: Call) -> None:
    """`--help` tells name, type, default and description of each parameter, and which are required; exit code 0."""

    def workflow() -> cs.LazyResult[str]:
        """Count the [boots].

        The second paragraph.
        """
        return show(
            cs.Param("top", 10, description="How many [bold]to[/bold] list."),
            cs.Param("mode", type=Literal["fast", "safe"]),
            cs.Param("color", Color.RED),
            cs.Param("days", ["mon", "tue"], type=list[str]),
            cs.Param("dry_run", False),
        )

    outcome = call(cli(workflow), "--help")
    assert outcome.code == 0
    assert "Count the [boots]." in outcome.helped
    assert "The second paragraph." in outcome.helped
    assert "--top <int> How many [bold]to[/bold] list. [default: 10]" in outcome.helped
    assert "--mode <fast|safe> [required]" in outcome.helped
    assert "--color <red|blue> [default: red]" in outcome.helped
    assert "--days <str,...> [default: mon,tue]" in outcome.helped
    assert "--dry-run --no-dry-run" in outcome.helped
    assert "--log-level" in outcome.helped
    assert "--log-format" in outcome.helped


def test_help_tells_of_the_environment(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Environment variables that a workflow reads stand in the help and are no options; they are read in the run."""
    app = cli(lambda: show(cs.Env("PORT", 8080, description="Where to [listen]."), cs.Env("API_HOST")))
    helped = call(app, "--help").helped
    assert "Environment:" in helped
    assert "PORT <int> Where to [listen]. [default: 8080]" in helped
    assert "API_HOST <str> [required]" in helped
    assert "--port" not in helped
    monkeypatch.setenv("API_HOST", "example.org")
    monkeypatch.setenv("PORT", "81")
    assert call(app).out == "81 'example.org'\n"


def test_a_secret_never_shows(call: Call) -> None:
    """Neither default nor value of a Secret is in help, result, log or errors."""
    app = cli(lambda: give(cs.Secret("pin", 4711, description="Your PIN.")))
    helped = call(app, "--help").helped
    assert "--pin <int> Your PIN. [default: ***]" in helped
    outcome = call(app, "--pin", "1234", "--log-level", "debug")
    assert (outcome.code, outcome.out) == (0, "***\n")
    wrong = call(app, "--pin", "hush")
    assert wrong.code == 2
    for text in (helped, outcome.err, wrong.err, wrong.out):
        assert not any(secret in text for secret in ("4711", "1234", "hush"))


def test_wrong_text_is_a_usage_error(call: Call) -> None:
    """Text of another type ends with exit code 2 and names the option, the text and the type, without a traceback."""
    outcome = call(cli(lambda: give(cs.Param("top", 10))), "--top", "ten")
    assert (outcome.code, outcome.out) == (2, "")
    assert "Invalid value for '--top': 'ten' can't be read as int" in outcome.told
    assert "Traceback" not in outcome.err


def test_a_wrong_choice_lists_the_choices(call: Call) -> None:
    """A value outside a Literal or Enum is a usage error that lists what there is."""
    app = cli(
        lambda: show(cs.Param("mode", "safe", type=Literal["fast", "safe"]), cs.Param("color", Color.RED))
    )
    assert "fast, safe" in call(app, "--mode", "slow").told
    assert "red, blue" in call(app, "--color", "pink").told
    assert call(app, "--color", "pink").code == 2


@pytest.mark.parametrize(
    ("wrong", "meant"), [("--sate", "--state"), ("--tpo", "--top"), ("--dryrun", "--dry-run")]
)
def test_an_unknown_option_tells_the_nearest(call: Call, wrong: str, meant: str) -> None:
    """Of all options only the near ones are told, so that the one that was meant stands out."""
    outcome = call(cli(lambda: show(cs.Param("top", 1), cs.Param("dry_run", False))), wrong, "3")
    assert outcome.code == 2
    assert meant in outcome.told
    assert "--keep-rounds" not in outcome.told


def test_an_unknown_option_lists_the_known_ones(call: Call) -> None:
    """An option that is like none of the declared ones is a usage error with all options in it."""
    outcome = call(cli(lambda: show(cs.Param("top", 1), cs.Param("dry_run", False))), "--zzzzz", "3")
    assert outcome.code == 2
    assert "No such option" in outcome.told
    assert "--zzzzz" in outcome.told
    for known in ("--top", "--dry-run", "--no-dry-run", "--log-level", "--log-format"):
        assert known in outcome.told


def test_a_missing_parameter_is_a_usage_error(call: Call) -> None:
    """A Param without a default that is not given ends with exit code 2 and its option's name; nothing runs."""
    outcome = call(cli(lambda: give(cs.Param("city"))))
    assert outcome.code == 2
    assert "Missing option '--city'" in outcome.told


def test_an_argument_is_a_usage_error(call: Call) -> None:
    """A word that belongs to no option is refused."""
    assert call(cli(lambda: give(1)), "word").code == 2


def test_presets_stand_in_for_options(call: Call) -> None:
    """`params=` gives values beforehand: shown as defaults, no longer required, and options win over them."""
    app = cli(lambda: show(cs.Param("city"), cs.Param("top", 1)), params={"city": "Oslo"})
    assert call(app).out == "'Oslo' 1\n"
    assert call(app, "--city", "Rome").out == "'Rome' 1\n"
    assert "--city <str> [default: Oslo]" in call(app, "--help").helped


def test_a_ready_lazy_result_has_the_options_of_its_tree(call: Call) -> None:
    """`cs.cli` takes a lazy result, or a list or dict of some, and finds the contracts at any depth of its tree."""
    assert call(cli(show(give([{"a": cs.Param("deep", 1)}]))), "--deep", "5").out == "[{'a': 5}]\n"
    assert call(cli({"x": give(cs.Param("deep", 1))}), "--deep", "5").out == "{'x': 5}\n"


def test_making_a_command_of_a_function_builds_no_graph() -> None:
    """The options of a workflow function come from its declarations alone: no graph is built for them."""
    script = """if True:
        from cascade.graph import Graph
        def refuse(tree): raise AssertionError("a graph was built")
        Graph.of = refuse
        import cascade as cs
        from cascade.cli import cli
        @cs.task
        def f(x): return x
        app = cli(lambda: f(cs.Param("top", 1)))
        try:
            app(["--help"])
        except SystemExit as ended:
            assert not ended.code
        try:
            cli(f(1))
        except AssertionError:
            pass
        else:
            raise SystemExit("the trap is never sprung")
    """
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_a_task_without_arguments_is_a_workflow(call: Call) -> None:
    """A task is a function that gives a lazy result, so it can be the workflow."""

    @cs.task
    def greet() -> str:
        return "hello"

    assert call(cli(greet)).out == "hello\n"


def test_what_gives_no_lazy_result_is_refused_at_once() -> None:
    """A function that gives a plain value or needs arguments, and a plain value, are errors of `cs.cli` itself."""

    def needs(city: str) -> cs.LazyResult[Any]:
        return give(city)

    with pytest.raises(cs.CascadeError, match="the target is int"):
        cli(lambda: 3)
    with pytest.raises(cs.CascadeError, match="workflow 'needs' can't be called without argument"):
        cli(needs)
    with pytest.raises(cs.CascadeError, match="the target is int"):
        cli(3)


@pytest.mark.parametrize("names", [["log_level"], ["help"], ["no_color", "color"]])
def test_two_options_of_one_name_are_refused(names: list[str]) -> None:
    """A parameter whose option would be another's, or the command's own, is an error that says which to rename."""
    with pytest.raises(cs.CascadeError, match="rename the parameter"):
        cli(lambda: show(*(cs.Param(name, False) for name in names)))


@pytest.mark.parametrize(
    "first",
    ["import cascade.cli", "from cascade.cli import main", "cs.cli", "import cascade.cli as c; c.main"],
)
def test_cs_cli_makes_a_command_whatever_was_imported_before(first: str) -> None:
    """`cs.cli(...)` works also where `cascade.cli` was imported as a module, which binds the module to that name."""
    script = f"import cascade as cs; {first}; task = cs.task(lambda: 'made'); cs.cli(task())()"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "made\n"


def test_containers_are_given_at_once_or_piece_by_piece(call: Call) -> None:
    """Sets and tuples are given as lists are; a tuple of a fixed length in one text."""
    app = cli(
        lambda: show(
            cs.Param("days", type=tuple[int, ...]),
            cs.Param("tags", {"x"}, type=set[str]),
            cs.Param("pair", ("a", 1), type=tuple[str, int]),
            cs.Param("dates", [date(2026, 1, 2)]),
        )
    )
    words = ("--days", "1,2", "--days", "3", "--tags", "b", "--pair", "c,2", "--dates", "2026-03-04")
    assert call(app, *words).out == "(1, 2, 3) {'b'} ('c', 2) [datetime.date(2026, 3, 4)]\n"
    assert call(app, "--days", "1").out == "(1,) {'x'} ('a', 1) [datetime.date(2026, 1, 2)]\n"
    for wrong, told in ((("--days", "1,x"), "'--days'"), (("--pair", "c"), "give 2 values")):
        outcome = call(app, "--days", "1", *wrong)
        assert outcome.code == 2
        assert told in outcome.told
    helped = call(app, "-h").helped
    for label in (
        "<int,...>",
        "<str,...>",
        "<str,int>",
        "<date,...>",
        "[default: a,1]",
        "[default: 2026-01-02]",
    ):
        assert label in helped


def test_help_has_a_short_flag_and_names_types_for_people(call: Call) -> None:
    """`-h` is `--help`; a default of a path makes a path, whatever its class is called."""
    app = cli(lambda: show(cs.Param("file", Path("x")), cs.Param("options", {}, type=dict)))
    short, long = call(app, "-h"), call(app, "--help")
    assert short == long
    assert "<path>" in short.helped
    assert "<json>" in short.helped
    assert "Posix" not in short.helped
    assert call(app, "--options", '{"a": 1}').out == f"{Path('x')!r} {{'a': 1}}\n"


def test_help_shows_words_as_they_are(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words between colons are no pictures, and brackets no styles, in descriptions, defaults and docstrings."""

    def workflow() -> cs.LazyResult[str]:
        """Ship :rocket: the [bold]thing[/bold]."""
        return show(
            cs.Param("a", "x:key:y", description="The :key: of [it]."),
            cs.Env("PORT", "1", description="A :door: :key:"),
        )

    helped = call(cli(workflow), "--help").helped
    for words in (":rocket:", "[bold]thing[/bold]", "The :key: of [it].", "x:key:y", "A :door: :key:"):
        assert words in helped


def test_stores_may_be_named_in_the_environment(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`CASCADE_STATE` and `CASCADE_CACHE` stand for options that are not given, and are in the help."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CASCADE_STATE", "sqlite:///s.db")
    monkeypatch.setenv("CASCADE_CACHE", "sqlite:///c.db")
    app = cli(give(1))
    assert call(app, "--run-id", "one").out == "1\n"
    assert sorted(path.name for path in tmp_path.glob("*.db")) == ["c.db", "s.db"]
    assert call(app, "--run-id", "one", "--state", "sqlite:///t.db", "--cache", "sqlite:///d.db").out == "1\n"
    assert sorted(path.name for path in tmp_path.glob("*.db")) == ["c.db", "d.db", "s.db", "t.db"]
    helped = call(app, "-h").helped
    assert "CASCADE_STATE" in helped
    assert "CASCADE_CACHE" in helped
    monkeypatch.setenv("CASCADE_STATE", "nonsense")
    assert call(app).code == 2
