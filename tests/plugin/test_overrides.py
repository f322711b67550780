"""Each claim is judged on the model that its own `qkv_model` gives, wherever that is overridden."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.plugin.conftest import WORKERS

pytestmark = pytest.mark.usefixtures("loaded")

TEST = """
import pytest

@pytest.mark.claim(id="{name}", statistic="row_mean", group="Q", above=0.1, controls=())
def test_rows_{name}(claim):
    claim.check()
"""
MODEL = """
import pytest, qkvcheck

@pytest.fixture(scope="{scope}")
def qkv_model():
    return qkvcheck.from_model(*_parts("{spec}"), name="{spec}")

def _parts(spec):
    hooked = qkvcheck.load_model(spec)
    return hooked.model, hooked.encoder.tokenizer
"""
SPECS = {"": "embedded", "a": "embedded#untrained=1", "a/deep": "embedded#untrained=2", "b": "embedded#untrained=3"}


def model(spec: str, *, scope: str = "session") -> str:
    return (
        "import pytest, qkvcheck\n\n"
        f'@pytest.fixture(scope="{scope}")\ndef qkv_model():\n    return qkvcheck.load_model("{spec}")\n'
    )


def put(project: pytest.Pytester, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = project.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def estimates(project: pytest.Pytester, *arguments: str) -> dict[tuple[str, str], float]:
    """Run pytest; return each estimate by the model that the results name, and the claim."""
    for old in project.path.glob("r*.json"):
        old.unlink()
    project.runpytest("--qkv-json=r.json", *arguments)
    found = {}
    for path in project.path.glob("r*.json"):
        data = json.loads(path.read_text())
        for verdict in data["verdicts"]:
            found[data["model"]["spec"], verdict["claim"]] = verdict["estimate"]
    return found


@pytest.fixture
def folders(pytester):
    """Four folders, each with a model of its own, and one claim that is everywhere called the same."""
    pytester.makeini("[pytest]\nqkv_model = embedded\naddopts = --import-mode=importlib")
    for place, spec in SPECS.items():
        put(pytester, {str(Path(place, "conftest.py")): model(spec)})
        put(pytester, {str(Path(place, "test_rows.py")): TEST.format(name="SAME")})
    return pytester


@pytest.fixture
def alone(folders):
    """The same claim, judged in a run of its own for each folder."""
    found = {}
    for place in SPECS:
        found |= estimates(folders, str(Path(place, "test_rows.py")))
    assert set(found) == {(spec, "SAME") for spec in SPECS.values()}
    assert len({round(value, 6) for value in found.values()}) == len(SPECS)
    return found


@WORKERS
def test_each_folder_is_judged_on_its_own_model(folders, alone, workers):
    assert estimates(folders, *workers) == alone


def test_in_any_order(folders, alone):
    assert estimates(folders, "b", "a/deep", "a/test_rows.py", "test_rows.py") == alone


def test_each_model_has_its_table_and_its_record(folders):
    (folders.path / "pytest.ini").write_text("[pytest]\nqkv_baselines = recorded\naddopts = --import-mode=importlib\n")
    result = folders.runpytest("--qkv-update=all", "--qkv-report=page.html")
    assert sorted(path.name for path in (folders.path / "recorded").iterdir()) == [
        "embedded-untrained-1.json", "embedded-untrained-2.json", "embedded-untrained-3.json", "embedded.json",
    ]  # fmt: skip
    titles = [line for line in result.outlines if line.startswith("=") and "claims: " in line]
    assert len(titles) == len(SPECS)
    assert all(spec in (folders.path / "page.html").read_text() for spec in SPECS.values())
    again = folders.runpytest()
    assert again.ret == 0
    assert "Not on record" not in again.stdout.str()


def test_a_class_and_a_module_override_too(pytester):
    pytester.makeini("[pytest]\nqkv_model = embedded")
    body = "\n".join(f"        {line}".rstrip() for line in TEST.format(name="X").strip().splitlines()[2:])
    own = "\n".join(f"        {line}".rstrip() for line in model("embedded#untrained=5").splitlines()[2:])
    own = own.replace("def qkv_model()", "def qkv_model(self)")
    body = body.replace("def test_rows_X(claim)", "def test_rows(self, claim)")
    pytester.makepyfile(
        f"""
import pytest, qkvcheck

class TestOwn:
{own}

{body}

class TestPlain:
{body}
"""
    )
    assert set(estimates(pytester)) == {("embedded", "X"), ("embedded#untrained=5", "X")}
    assert set(estimates(pytester, "-k", "TestOwn")) == {("embedded#untrained=5", "X")}


def test_a_fixture_made_of_ours_is_made_anew(folders):
    put(
        folders,
        {
            "conftest.py": model("embedded")
            + "\n@pytest.fixture(scope='session')\ndef first(samples):\n    return samples.hooked.spec\n"
            + "\n@pytest.fixture(scope='session')\ndef later(request):\n"
            + "    return request.getfixturevalue('samples').hooked.spec\n",
            **{
                str(Path(place, "test_spec.py")): "def test_spec(first, later, qkv_model):\n"
                f"    assert str(first) == str(later) == str(qkv_model.spec) == {spec!r}\n"
                for place, spec in SPECS.items()
            },
        },
    )
    folders.runpytest("-k", "test_spec").assert_outcomes(passed=len(SPECS))


@WORKERS
def test_parameters_of_the_model_are_kept_apart(pytester, workers):
    pytester.makeini("[pytest]")
    pytester.makeconftest(
        "import pytest, qkvcheck\n\n"
        "@pytest.fixture(scope='session', params=['embedded', 'embedded#untrained=1'])\n"
        "def qkv_model(request):\n    return qkvcheck.load_model(request.param)\n"
    )
    pytester.makepyfile(TEST.format(name="X"))
    found = estimates(pytester, *workers)
    assert set(found) == {("embedded", "X"), ("embedded#untrained=1", "X")}
    assert len(set(found.values())) == 2


@pytest.mark.parametrize("scope", ["module", "class", "function", "package"])
def test_a_narrower_scope_is_told_in_one_line(pytester, scope):
    pytester.makeini("[pytest]")
    pytester.makeconftest(model("embedded", scope=scope))
    pytester.makepyfile(TEST.format(name="X"))
    result = pytester.runpytest()
    assert f"fixture 'qkv_model' of the root conftest.py has scope '{scope}'" in result.stdout.str()
    assert "ScopeMismatch" not in result.stdout.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR


@WORKERS
def test_one_cell_judged_twice_is_refused(pytester, workers):
    pytester.makeini("[pytest]\nqkv_model = embedded")
    pytester.makepyfile(test_one=TEST.format(name="X"), test_two=TEST.format(name="X"))
    result = pytester.runpytest(*workers)
    text = result.stdout.str() + result.stderr.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "X-L06-Q is judged twice on one model, by test_one.py::test_rows_X[" in text
    assert "INTERNALERROR" not in text
    pytester.runpytest(*workers, "-k", "test_one").assert_outcomes(passed=1)
