"""Plugin: qkvcheck in pytest: options, the claim marker, the claims table and the files of a run.

Only pytest and the standard library are imported here at the top; torch and the rest are imported once an
experiment needs them, so that pytest starts as fast in a project that merely has qkvcheck installed.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qkvcheck.plugin.cases import check_cases, check_targets, claims_of, give_targets
from qkvcheck.plugin.fixtures import heads_of_cases, layers_of
from qkvcheck.plugin.origins import TRUST, check_trust
from qkvcheck.plugin.outcomes import broken, findings_on, gather
from qkvcheck.plugin.overrides import DERIVED, MODEL, from_settings
from qkvcheck.plugin.stash import LAST_KEY, NOTES_KEY, PART_KEY, SESSION_KEY

if TYPE_CHECKING:
    from qkvcheck.claims import Cell
    from qkvcheck.plugin.session import Session
    from qkvcheck.report import Line
    from qkvcheck.settings import Option

MARKER = (
    "claim(id, layer, head, group, measure, statistic, above, at_least, statement): what a test judges. With an id "
    "alone, a claim of the claims file in all its cells; with a statistic and a bound, a claim made here."
)


# Configuration ------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and their ini twins."""
    from qkvcheck.settings import OPTIONS

    group = parser.getgroup("qkvcheck", "claims about queries, keys and values (qkvcheck)")
    for option in OPTIONS:
        default = f" Default: {option.default}." if option.default is not None else ""
        kind: dict[str, Any] = (
            {"action": "store_const", "const": "yes"} if option.switch else {"metavar": option.name.upper()}
        )
        kind |= {"action": "append"} if option.several else {}
        text = f"{option.argparse_help}{default} Also {option.variable}, ini {option.ini}."
        group.addoption(option.flag, default=None, help=text, **kind)
        parser.addini(option.ini, f"default of {option.flag}", default=None)
    group.addoption(TRUST, action="store_true", help="let code that comes with a model run. Default: no.")
    parser.addini("qkv_claims", "the project's claims files, from the root directory", default="")
    parser.addini("qkv_baselines", "folder of recorded verdicts, from the root directory", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and read and check every setting once."""
    config.addinivalue_line("markers", MARKER)
    from qkvcheck.errors import QkvcheckError

    try:
        config.stash[SESSION_KEY] = _make_session(config)
    except QkvcheckError as error:
        raise pytest.UsageError(str(error)) from None


def _make_session(config: pytest.Config) -> Session:
    from qkvcheck.claims import load_claims
    from qkvcheck.plugin.session import Session
    from qkvcheck.settings import from_root, load_extensions, resolve_settings

    def command_line(option: Option) -> str | Sequence[str] | None:
        value: str | Sequence[str] | None = config.getoption(option.flag)
        return value

    def ini(option: Option) -> str | None:
        value = ini_text(config, option.ini)
        return from_root(option, value, root=config.rootpath) if value else value

    settings = resolve_settings(
        command_line=command_line, environment=os.environ, ini=ini, trust_remote_code=check_trust(config)
    )
    check_targets(settings)
    load_extensions(settings.load or ())  # claims may name what they register
    claims, baselines = (ini_text(config, name) or "" for name in ("qkv_claims", "qkv_baselines"))
    files = [config.rootpath / name for name in claims.split()]
    session = Session(
        settings,
        load_claims(*files) if files else None,
        baselines=config.rootpath / baselines if baselines else None,
        files=[*files, *([config.inipath] if config.inipath else [])],
    )
    _ = session.file  # its layers decide what is collected, so a broken file has to show now
    return session


def ini_text(config: pytest.Config, name: str) -> str | None:
    """Return an ini value, which has to be a text: TOML has lists, numbers and truth values too.

    Raises
    ------
    SettingsError
        If it is none.
    """
    from qkvcheck.errors import SettingsError, shown
    from qkvcheck.settings import check_text

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pytest's own word on it, where it has one
            value = config.getini(name)
    except (TypeError, ValueError, pytest.UsageError):
        raise SettingsError(f'{name} in the ini file is no text; write it in quotes, as in {name} = "...".') from None
    if value is not None and not isinstance(value, str):
        raise SettingsError(f'{name} in the ini file is {shown(value)}; it has to be a text, as in {name} = "...".')
    if value:
        check_text(name, value, allowed="\t\r\n", control=name == "qkv_target")
    return value


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what was asked for, where there is anything to say."""
    session = config.stash[SESSION_KEY]
    if session.claims is None and not session.settings.explicit:
        return None
    from qkvcheck.errors import QkvcheckError, visible
    from qkvcheck.report import asked_line

    s = session.settings
    if s.activations is not None:
        return visible(f"qkvcheck: activations {s.activations}")
    try:
        told = session.claims is not None or s.layers is not None
        layers, why = session.layers if told else None, session.depth_text
    except QkvcheckError as error:
        raise pytest.UsageError(str(error)) from None
    asked = asked_line(model=s.model, corpus=s.corpus, targets=s.targets, layers=layers, heads=s.heads, why=why)
    return visible(asked)


# Collection and preflight -------------------------------------------------------------------------


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test with a claim marker one case a cell, under a stable id; and that once for each of several targets."""
    marker = metafunc.definition.get_closest_marker("claim")
    if marker is None or "qkv_cell" not in metafunc.fixturenames or _give_cells(metafunc, marker):
        give_targets(metafunc, metafunc.config.stash[SESSION_KEY].settings.targets)


def _give_cells(metafunc: pytest.Metafunc, marker: pytest.Mark) -> bool:
    """Give a test with a claim marker its cells; return whether the marker makes sense."""
    from qkvcheck.errors import QkvcheckError
    from qkvcheck.plugin.markers import cells_of_marker, claim_of_marker

    session = metafunc.config.stash[SESSION_KEY]
    try:
        if marker.args:
            raise QkvcheckError('the claim marker takes keywords only, such as id="P3a".')
        claim = claim_of_marker(marker.kwargs, session.claims)
    except QkvcheckError as error:  # that test fails with this line, and the others run
        metafunc.parametrize("qkv_cell", [pytest.param(error, id="marker")])
        return False
    layers, deciding, heads = session.layers, session.deciding_layer, session.settings.heads
    found = cells_of_marker(claim, marker.kwargs, layers=layers, deciding=deciding, heads=heads)
    metafunc.parametrize("qkv_cell", [pytest.param((claim, cell), id=cell.key, marks=_mark(cell)) for cell in found])
    return True


def _mark(cell: Cell) -> pytest.MarkDecorator:
    """Mark a case with its coordinates, so that ``-m "claim(layer=6, head=3)"`` finds it."""
    head = {} if cell.head is None else {"head": cell.head}
    return pytest.mark.claim(id=cell.claim, layer=cell.layer, group=cell.group, measure=cell.measure, **head)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Find a user's mistake before the first test, on the controller: one line, exit code 4."""
    config = session.config
    if config.option.collectonly or hasattr(config, "workerinput"):
        return
    from qkvcheck.errors import QkvcheckError
    from qkvcheck.plugin.progress import announcing, show_work, tell, told_before

    ours = config.stash[SESSION_KEY]
    try:
        asked = (ours.settings.json, ours.settings.report, ours.settings.report_short, ours.settings.update)
        if any(asked):
            from qkvcheck.plugin.run_files import check_outputs

            check_outputs(ours, tests={item.path for item in session.items})
        if ours.settings.compare is not None:
            from qkvcheck.plugin.run_files import check_comparison

            check_comparison(ours, claims_of(session.items))
        check_cases(session.items, claims=ours.claims)
        if not _needs_model(session):
            return
        ours.check_names(claims_of(session.items))
        with announcing(config) as announce:
            needing = list(filter(_needs_ours, session.items))
            every = any(claim.kind == "every_layer" for claim in claims_of(needing))
            ours.prepare(layers_of(needing), heads=heads_of_cases(needing), every_layer=every, announce=announce)
        if show_work(config) is not None:
            told = told_before(ours, claims_of(needing), layers=layers_of(needing))
            if told is not None:
                tell(config, told)
    except QkvcheckError as error:
        raise pytest.UsageError(str(error)) from None


def _needs_model(session: pytest.Session) -> bool:
    """Whether a test here asks for the model that the settings name.

    Under xdist the controller collects nothing; there the model is loaded for a look if anybody chose one.
    """
    if session.config.pluginmanager.hasplugin("dsession"):
        return bool(session.config.stash[SESSION_KEY].settings.explicit)
    return any(map(_needs_ours, session.items))


def _needs_ours(item: pytest.Item) -> bool:
    return bool({"claim", MODEL, *DERIVED} & set(getattr(item, "fixturenames", ()))) and from_settings(item)


# Summary and files --------------------------------------------------------------------------------


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the claims table, and tell of the files that were written."""
    gathered = gather(terminalreporter)
    if not gathered:
        return
    from qkvcheck.plugin.run_files import comparison_lines
    from qkvcheck.report import quiet_lines, screen_lines, summary_lines

    session, verbosity = config.stash[SESSION_KEY], config.get_verbosity()
    width = config.get_terminal_writer().fullwidth

    def write(lines: Sequence[Line]) -> None:
        for line in lines:
            terminalreporter.write_line(line.text, **({line.colour: True} if line.colour else {}))

    for entry in gathered:
        run, findings = entry.run, entry.findings
        asked = session.settings.update or session.settings.compare or config.stash.get(LAST_KEY, [])  # or said last
        _, gate_off = session.baseline_for(run) if not asked else (None, None)
        if verbosity < 0:
            write(quiet_lines(run, findings, gate_off=gate_off, width=width))
            write(comparison_lines(session, entry, every=False, width=width))
            continue
        terminalreporter.section("claims" if len(gathered) == 1 else f"claims: {run.named}, {run.corpus.name}")
        if verbosity:
            heads = verbosity > 1
            write(summary_lines(run, findings, every_cell=True, every_head=heads, gate_off=gate_off, width=width))
        else:
            write(screen_lines(run, findings, gate_off=gate_off, width=width))
        write(comparison_lines(session, entry, every=True, width=width))
    write(config.stash.get(NOTES_KEY, []))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the files that were asked for, on the controller; a file that can't be written is no success."""
    reporter: Any = session.config.pluginmanager.getplugin("terminalreporter")
    if reporter is None or hasattr(session.config, "workerinput"):
        return
    if broken(reporter):  # its one line stands at the test
        session.exitstatus = pytest.ExitCode.USAGE_ERROR
    gathered = gather(reporter)
    if not gathered:
        return
    from qkvcheck.plugin.run_files import gate_lines, record_notes, write_files

    ours = session.config.stash[SESSION_KEY]
    notes = write_files(ours, gathered)
    if any(note.colour == "red" for note in notes):
        session.exitstatus = pytest.ExitCode.USAGE_ERROR
    whole = _is_whole(session, reporter)
    for entry in gathered:
        told, fails = record_notes(ours, entry, whole=whole)
        notes += told
        if fails and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
    last, fails = gate_lines(ours, gathered)
    if fails and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    session.config.stash[NOTES_KEY] = notes
    session.config.stash[LAST_KEY] = last


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say last, after pytest's own last line, that no record applies."""
    reporter: Any = config.pluginmanager.getplugin("terminalreporter")
    for line in config.stash.get(LAST_KEY, []):
        reporter.write_line(line.text, **{line.colour: True})


def _is_whole(session: pytest.Session, reporter: pytest.TerminalReporter) -> bool:
    """Tell whether a run met every claim of the project: nothing left out, stopped early, or broken.

    Under xdist the workers select; their reports carry what they left out.
    """
    config = session.config
    ours = config.stash[SESSION_KEY]
    left_out = any(config.getoption(name, False) for name in ("lf", "stepwise", "ignore", "ignore_glob"))
    asked = {"layers", "heads"} & ours.settings.explicit - ours.settings.of_ini  # an ini file says what is always run
    if left_out or session.shouldstop or session.shouldfail or asked or not _holds_every_claim(config, ours):
        return False
    reports = [report for found in reporter.stats.values() for report in found if hasattr(report, "when")]
    broken = any(
        (report.failed or (report.skipped and "claim" in report.keywords)) and not findings_on(report)
        for report in reports
    )
    return not broken and not any(getattr(report, "qkvcheck_part", False) for report in reports)


def _holds_every_claim(config: pytest.Config, ours: Session) -> bool:
    """Tell whether the folders that a run was given hold the whole project: its test paths, or its claims files."""
    parts = [argument.partition("::") for argument in config.args]
    folders = [Path(config.invocation_params.dir, path).resolve() for path, _, _ in parts]
    if any(node for _, _, node in parts) or not all(folder.is_dir() for folder in folders):
        return False
    if config.args_source != pytest.Config.ArgsSource.ARGS:  # nobody named a folder
        return True
    usual = [Path(config.rootpath, path).resolve() for path in config.getini("testpaths")]
    held = [Path(path).resolve() for path in ours.files]
    return not held or any(
        every and all(folder == path or folder in path.parents for path in every)
        for folder in folders
        for every in (usual, held)
    )


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Remember that claims were left out of this run."""
    for item in items:
        if item.get_closest_marker("claim") is not None:
            item.config.stash[PART_KEY] = True
