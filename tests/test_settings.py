"""Settings: precedence, layers, and what makes no sense."""

from __future__ import annotations

import argparse
import fnmatch
import os

import pytest

from qkvcheck import cli
from qkvcheck.errors import SettingsError
from qkvcheck.groups import Layers
from qkvcheck.plugin.hooks import ini_text
from qkvcheck.plugin.session import Session
from qkvcheck.settings import OPTIONS, Settings, from_root, load_extensions, parse_layers, resolve_settings


def resolve(command_line=None, environment=None, ini=None):
    command_line, ini = command_line or {}, ini or {}
    return resolve_settings(
        command_line=lambda option: command_line.get(option.name),
        environment=environment or {},
        ini=lambda option: ini.get(option.name),
    )


def test_defaults():
    settings = resolve()
    assert (settings.model, settings.corpus, settings.target, settings.layers) == ("auto", "replication", " her", None)
    assert (settings.device, settings.dtype, settings.seed, settings.explicit) == ("cpu", "float32", 0, frozenset())


def test_command_line_beats_environment_beats_ini():
    everywhere = {"command_line": {"model": "a"}, "environment": {"QKV_MODEL": "b"}, "ini": {"model": "c"}}
    assert resolve(**everywhere).model == "a"
    del everywhere["command_line"]
    assert resolve(**everywhere).model == "b"
    del everywhere["environment"]
    assert resolve(**everywhere).model == "c"
    assert resolve(**everywhere).explicit == {"model"}


def test_names_of_an_option():
    option = next(option for option in OPTIONS if option.name == "batch-size")
    assert (option.flag, option.variable, option.ini) == ("--qkv-batch-size", "QKV_BATCH_SIZE", "qkv_batch_size")


@pytest.mark.parametrize(
    ("text", "layers"), [("6", (6,)), ("5,6", (5, 6)), ("6, 5,5", (5, 6)), ("0-3", (0, 1, 2, 3)), ("1,3-4", (1, 3, 4))]
)
def test_layers(text, layers):
    assert parse_layers(text) == Layers(layers)


@pytest.mark.parametrize(
    ("text", "depth", "layers"),
    [("50%", 12, (6,)), ("50%", 30, (15,)), ("0%,100%", 12, (0, 11)), ("6, 25%", 30, (6, 8)), ("12.5%", 48, (6,))],
)
def test_shares_of_the_depth(text, depth, layers):
    assert parse_layers(text).at(depth) == layers


@pytest.mark.parametrize("text", ["", "six", "3-1", "1;2", "-1", "1.5", "6,", "101%", "-1%", "%"])
def test_layers_that_make_no_sense(text):
    with pytest.raises(
        SettingsError, match=r"give zero-based numbers such as 6, 5,6 or 0-11, or shares .* Check --qkv-layers"
    ):
        parse_layers(text)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": "x"}, "--qkv-seed 'x' is not a whole number from 0"),
        ({"seed": "-1"}, "--qkv-seed '-1'"),
        ({"limit": "1"}, "--qkv-limit '1' is not a whole number from 2"),
        ({"limit": "many"}, "--qkv-limit 'many' is not a whole number from 2"),
        ({"limit": "-5"}, "--qkv-limit '-5' is not a whole number from 2"),
        ({"batch-size": "0"}, "--qkv-batch-size '0' is not a whole number from 1"),
        ({"update": "some"}, "--qkv-update 'some' is not known; allowed: new or all"),
        ({"layers": "six"}, "layers 'six' can't be read; .* Check --qkv-layers"),
        ({"heads": "six"}, "heads 'six' can't be read; .*Check --qkv-heads"),
        (
            {"clusters": "none"},
            "--qkv-clusters 'none' is not known; allowed: auto, first-word, preceding-token, "
            "position, explains-most, prefix, label",
        ),
        ({"strict": "perhaps"}, "qkv_strict 'perhaps' is neither yes nor no; check it"),
        ({"target": "9" * 23}, "--qkv-target '9{23}' is not a whole number from 0 to 2147483647, or a text in double"),
        ({"target": "9" * 5000}, r"--qkv-target '9+\.\.\.9+' is not a whole number from 0"),
        ({"target": ""}, "--qkv-target names no token; give its text"),
        ({"target": '""'}, "--qkv-target names no token; give its text"),
        ({"seed": "9" * 5000}, "is not a whole number from 0 to 9223372036854775807"),
        ({"seed": "１２"}, "--qkv-seed '１２' is not a whole number from 0"),
        ({"untrained-seeds": "1000000000000"}, "is not a whole number from 0 to 10000"),
        ({"batch-size": "1e3"}, "--qkv-batch-size '1e3' is not a whole number from 1"),
        ({"model": "a\x1b[2J"}, r"--qkv-model 'a\\x1b\[2J' holds the control character '\\x1b'; take it out"),
        ({"json": "a\0b"}, r"--qkv-json 'a\\x00b' holds the control character '\\x00'; take it out"),
        ({"corpus": "a\udcff"}, r"--qkv-corpus 'a\\udcff' is not UTF-8; give it, or name the file, in UTF-8"),
        ({"device": "x" * 20_000}, r"--qkv-device 'x+\.\.\.x+' has 20,000 characters; give at most 10,000"),
    ],
)
def test_values_that_make_no_sense(given, message):
    with pytest.raises(SettingsError, match=message) as caught:
        resolve(command_line=given)
    assert len(str(caught.value)) <= 500
    assert "\x1b" not in str(caught.value)


def test_controls_are_checked_once_those_of_the_project_are_registered():
    session = Session(resolve(command_line={"controls": "untrained,x"}), None)
    with pytest.raises(SettingsError, match="--qkv-controls: control 'x' is not known; allowed: different-words, "):
        session.check_names([])


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("layers", "0-2", Layers((0, 1, 2))),
        ("seed", "7", 7),
        ("untrained_seeds", "3", 3),
        ("controls", "claim", "claim"),
        ("controls", "untrained, shuffled", ("untrained", "shuffled")),
        ("clusters", "label", "label"),
        ("exact_layout", "Yes", True),
        ("strict", "off", False),
    ],
)
def test_values_are_read(name, text, value):
    settings = resolve(ini={name.replace("_", "-"): text})
    assert getattr(settings, name) == value
    assert settings.explicit == {name.replace("_", "-")}


def test_settings_without_a_word_are_the_defaults():
    assert resolve() == Settings()
    assert [option.attribute for option in OPTIONS] == list(vars(Settings()))[: len(OPTIONS)]


def test_target_by_number_or_text():
    assert resolve(command_line={"target": "607"}).target == 607
    assert resolve(command_line={"target": " him"}).target == " him"
    assert resolve(command_line={"target": "00607"}).target == 607


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ('" her"', " her"), ('"607"', "607"), ('""her""', '"her"'), ('"', '"'), (' "her"', ' "her"'), ("\n", "\n"),
        ('"\t"', "\t"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["command_line", "environment", "ini"])
def test_a_target_in_double_quotes_is_taken_without_them(text, target, place):
    """An ini file strips spaces from the ends of a value, and a text may be all digits."""
    given = {"QKV_TARGET": text} if place == "environment" else {"target": text}
    assert resolve(**{place: given}).target == target


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("json", "out.json", "../out.json"),
        ("baseline", "sub/b.json", "b.json"),
        ("corpus", "mine.txt", "../mine.txt"),
        ("corpus", "replication", "replication"),
        ("model", "kept#untrained=3", "../kept#untrained=3"),
        ("model", "gpt2", "gpt2"),
        ("target", "mine.txt", "mine.txt"),
        ("json", "/out.json", "/out.json"),
    ],
)
def test_paths_of_the_ini_file_count_from_the_root(name, text, expected, tmp_path, monkeypatch):
    for folder in ("sub", "kept"):
        (tmp_path / folder).mkdir()
    (tmp_path / "mine.txt").touch()
    option = next(option for option in OPTIONS if option.name == name)
    monkeypatch.chdir(tmp_path)
    assert from_root(option, text, root=tmp_path) == text
    monkeypatch.chdir(tmp_path / "sub")
    assert from_root(option, text, root=tmp_path) == expected.replace("/", os.sep)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("stats.py", ("stats.py",)),
        ("stats.py ours.figures", ("stats.py", "ours.figures")),
        ("stats.py, ours.figures,\nmore.py", ("stats.py", "ours.figures", "more.py")),
        ('"my own/stats.py" ours', ("my own/stats.py", "ours")),
        (" , ", ()),
    ],
)
def test_names_to_load(text, names):
    assert resolve(ini={"load": text}).load == names


def test_files_to_load_count_from_the_root(tmp_path, monkeypatch):
    root = tmp_path / "my project"
    for folder in (root, root / "ours", tmp_path / "elsewhere"):
        folder.mkdir()
    option = next(option for option in OPTIONS if option.name == "load")
    monkeypatch.chdir(tmp_path / "elsewhere")
    text = from_root(option, "stats.py, ours /more.py", root=root)
    assert resolve(ini={"load": text}).load == (os.path.join("..", "my project", "stats.py"), "ours", "/more.py")  # noqa: PTH118
    monkeypatch.chdir(root)
    assert from_root(option, "stats.py, ours", root=root) == "stats.py, ours"


def test_extensions_are_imported_once(tmp_path, monkeypatch):
    times = tmp_path / "times"
    times.touch()
    source = f"from pathlib import Path\ntimes = Path({str(times)!r})\ntimes.write_text(times.read_text() + 'NAME ')\n"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "stats.py").write_text(source.replace("NAME", name))
    (tmp_path / "dotted_extension.py").write_text(source.replace("NAME", "dotted"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        load_extensions(["one/stats.py", "two/stats.py", str(tmp_path / "one" / "stats.py"), "dotted_extension"])
    assert times.read_text() == "one two dotted "


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.py", "can't load 'none.py': there is no such file; name Python files or modules."),
        ("no_such_module", "can't load 'no_such_module': ModuleNotFoundError: No module named 'no_such_module'; "),
        ("a/b", "can't load 'a/b': ModuleNotFoundError"),
        ("broken.py", "can't load 'broken.py': ZeroDivisionError: division by zero (*broken.py, line 2); correct it"),
        ("syntax.py", "can't load 'syntax.py': SyntaxError: *(syntax.py, line 1); correct it"),
        ("ours.py", "can't load 'ours.py': SettingsError: it is there already (*"),
    ],
)
def test_extensions_that_cannot_be_loaded(name, message, tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text("x = 1\nx / 0\n")
    (tmp_path / "syntax.py").write_text("x = = 1\n")
    (tmp_path / "ours.py").write_text(
        "from qkvcheck.errors import SettingsError\nraise SettingsError('it is there already')\n"
    )
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # what broke once is not taken for loaded
        with pytest.raises(SettingsError) as caught:
            load_extensions([name])
        assert fnmatch.fnmatchcase(str(caught.value), f"{message}*")
        assert "\n" not in str(caught.value)


def test_pytest_loads_extensions_before_claims(pytester):
    pytester.makepyfile(
        mine="import sys; sys.loaded_first = True",
        test_it="import sys\ndef test_it():\n    assert sys.loaded_first",
    )
    pytester.makeini("[pytest]\nqkv_load = mine.py\n")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    pytester.makeini("[pytest]\nqkv_load = mine.py, other.py\nqkv_claims = none.toml\n")
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: can't load 'other.py': there is no such file*"])


@pytest.mark.parametrize("command", ["explain", "report", "search", "doctor"])
def test_commands_load_extensions_first(command, tmp_path, monkeypatch, capsys):
    from qkvcheck.cli import main

    arguments = [command, *(["results.json"] if command in ("explain", "report") else [])]
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--load", "a.py"]) == 2
    assert capsys.readouterr().err.startswith("qkvcheck: can't load 'a.py'")
    monkeypatch.setenv("QKV_LOAD", "b.py")
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("qkvcheck: can't load 'b.py'")
    assert main([*arguments, "--load", "c.py"]) == 2
    assert capsys.readouterr().err.startswith("qkvcheck: can't load 'c.py'")


def test_a_name_too_long_for_a_file_is_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    option = next(option for option in OPTIONS if option.name == "corpus")
    assert from_root(option, "x" * 5000, root=tmp_path / "root") == "x" * 5000
    with pytest.raises(SettingsError, match="there is no such file"):
        load_extensions([f"{'x' * 5000}.py"])


INI_FILES = {
    "pyproject.toml": "[tool.pytest.ini_options]\n{name} = {value}\n",
    "pytest.toml": "[pytest]\n{name} = {value}\n",
}
"""TOML in which values are texts or lists, and TOML in which they keep their types (pytest 9)."""
INI_NAMES = [*(option.ini for option in OPTIONS), "qkv_claims", "qkv_baselines"]


class FakeConfig:
    """A configuration whose ini values are what TOML gives."""

    def __init__(self, value):
        self.value = value

    def getini(self, _):
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


@pytest.mark.parametrize("name", INI_NAMES)
@pytest.mark.parametrize(
    "value", [["a", "b"], [], 3, True, {}, ["x" * 10_000] * 9, TypeError("expects"), pytest.UsageError("expects")],
    ids=range(8),
)  # fmt: skip
def test_an_ini_value_that_is_no_text_is_one_line(name, value):
    with pytest.raises(SettingsError, match=f"^{name} in the ini file is .*text") as caught:
        ini_text(FakeConfig(value), name)
    assert len(str(caught.value)) <= 500


@pytest.mark.parametrize("file", INI_FILES)
def test_pytest_tells_of_an_ini_value_that_is_no_text(pytester, file):
    if file == "pytest.toml" and pytest.version_tuple < (9,):
        pytest.skip("pytest 9 reads it")
    pytester.makepyfile("def test_it():\n    pass")
    for name, value in (("qkv_model", '["a", "b"]'), ("qkv_claims", "3" if file == "pytest.toml" else '["a"]')):
        (pytester.path / file).write_text(INI_FILES[file].format(name=name, value=value))
        result = pytester.runpytest_subprocess("-W", "error")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"ERROR: {name} in the ini file *text*"])
        assert "Traceback" not in result.stderr.str() + result.stdout.str()


def test_pytest_ini_takes_a_target_with_its_space(pytester):
    pytester.makepyfile("def test_it():\n    pass")
    pytester.makeini('[pytest]\nqkv_target = " him"\n')
    result = pytester.runpytest_subprocess()
    result.stdout.fnmatch_lines(["qkvcheck: model auto, corpus replication, target ' him', layers as tests name them*"])


@pytest.mark.parametrize(("text", "heads"), [("3", (3,)), ("0-2,5", (0, 1, 2, 5)), ("0,\n5", (0, 5)), ("all", "all")])
def test_heads(text, heads):
    option = next(option for option in OPTIONS if option.name == "heads")
    assert option.read(option.flag, text) == heads
    assert option.usual is None


def test_help_can_be_shown(pytestconfig):
    """To argparse a percent sign is the start of a name: one in an option's text would end ``pytest --help``."""
    told = " ".join(getattr(pytestconfig, "_parser").optparser.format_help().split())  # noqa: B009
    assert "such as 25%,50%" in told
    for command in cli.COMMANDS:
        commands = argparse.ArgumentParser().add_subparsers()
        command.add(commands)
        (parser,) = commands.choices.values()
        assert "example: " in parser.format_help()


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ('" her" " him"', (" her", " him")), ('" her", " him",607', (" her", " him", 607)), ("268 299", (268, 299)),
        ('"607" 607', ("607", 607)), ('" her" " her"', (" her",)), ("her him", ("her him",)), ('"","",""', ('","","',)),
        ('"her" him', ('"her" him',)), (' " her"\n\t" him" ', (" her", " him")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["command_line", "environment", "ini"])
def test_several_targets_stand_in_quotes_or_are_ids(text, targets, place):
    given = {"QKV_TARGET": text} if place == "environment" else {"target": text}
    assert resolve(**{place: given}).targets == targets


def test_several_targets_of_the_command_line_take_the_place_of_others():
    everywhere = {"environment": {"QKV_TARGET": '" a" " b"'}, "ini": {"target": '" c" " d"'}}
    assert resolve(command_line={"target": [" her", '" him" 7', " her"]}, **everywhere).targets == (" her", " him", 7)
    assert resolve(command_line={"target": [" her"]}, **everywhere) == resolve(command_line={"target": " her"})
    with pytest.raises(SettingsError, match="--qkv-target names no token"):
        resolve(command_line={"target": [" her", ""]})
