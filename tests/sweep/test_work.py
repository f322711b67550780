"""Work and tasks: however a corpus is cut and whoever does what again, the same bits, each shard once."""

from __future__ import annotations

import json

import numpy as np
import pytest

from qkvcheck.errors import ContextError, SettingsError
from qkvcheck.sweep import tasks
from qkvcheck.sweep.progress import Progress
from qkvcheck.sweep.running import Here, run_sweep, scan_all
from qkvcheck.sweep.store import BLOCK, Store, manifest_of
from tests.sweep.made_up import WORDS, bench_of, plan_of, sentences, whole, written


def sums_of(state):
    """Contexts and sums of all groups."""
    groups = state.groups.values()
    return state.n, sum(g.units for g in groups), {label: g.n for label, g in state.groups.items()}


def by_hand(path, target="her", window=5):
    """Every place of the target, counted without any of the sweep's own code."""
    found = []
    for line in path.read_text("utf-8").splitlines():
        words = line.split()
        found += [tuple(words[max(0, at - window) : at + 1]) for at, word in enumerate(words) if word == target and at]
    return found


def test_a_corpus_is_counted_as_by_hand(tmp_path):
    path = written(tmp_path, 60)
    node = whole(bench_of([path], plan_of()))
    expected = by_hand(path)
    assert [state.n for state in node.states] == [len(expected)] * 3
    assert node.states[0].distinct == len(set(expected))
    assert node.counts.records == len([line for line in sentences(60) if line.strip()])
    words = {f"word {WORDS.index(context[0]) if context[0] in WORDS else 99:06d}" for context in expected}
    assert set(node.states[0].groups) == words
    assert [len(state.groups) for state in node.states] == [len(words), len(words), 1]
    drawn = node.states[0].drawn
    assert set(drawn.texts) <= {" ".join(context) for context in expected}
    assert len(drawn.texts) == 6


@pytest.mark.parametrize("records", [1, 4, 100])
def test_shards_of_any_size_hold_the_same(records, tmp_path):
    path = written(tmp_path, 60)
    one, other = (whole(bench_of([path], plan_of(records=size))) for size in (records, 7))
    for first, second in zip(one.states, other.states, strict=True):
        assert first.n == second.n
        np.testing.assert_allclose(sums_of(first)[1], sums_of(second)[1], rtol=0, atol=1e-12)
        assert sums_of(first)[2] == sums_of(second)[2]
        assert (first.drawn.keys == second.drawn.keys).all()
        assert (first.drawn.rows == second.drawn.rows).all()


def test_several_targets_in_one_pass_are_each_as_alone(tmp_path):
    path = written(tmp_path, 60)
    both = whole(bench_of([path], plan_of(targets=("him", "her"))))
    alone = whole(bench_of([path], plan_of()))
    for first, second in zip(both.states[3:], alone.states, strict=True):
        assert sums_of(first)[0] == sums_of(second)[0]
        np.testing.assert_allclose(sums_of(first)[1], sums_of(second)[1], rtol=0, atol=1e-12)
    assert both.states[0].n == len(by_hand(path, "him"))


# A sweep in a folder --------------------------------------------------------------------------------


class Quiet(Progress):
    """Says nothing, and keeps what it would have said."""

    def __init__(self):
        super().__init__()
        self.said = []

    def _show(self, text):
        self.said.append(text)

    def say(self, text):
        self.said.append(text)


@pytest.fixture(autouse=True)
def benches(monkeypatch):
    """Benches of the made-up network, for tasks in any folder."""
    kept = {}

    def bench_in(folder):
        if folder not in kept:
            store = Store(tasks.Path(folder))
            plan, files = store.read()
            kept[folder] = store, bench_of([tasks.Path(file.path) for file in files], plan)
        return kept[folder]

    bench_in.cache_clear = kept.clear
    monkeypatch.setattr(tasks, "bench_in", bench_in)
    return kept


def swept(paths, folder, plan, *, runner=None, resume=False, strict=False):
    folder.mkdir(exist_ok=True)
    progress = Quiet()
    files = scan_all(paths, plan, progress, strict=strict)
    found = run_sweep(
        plan,
        files,
        folder,
        fingerprint="f" * 64,
        progress=progress,
        runner=runner or Here(),
        resume=resume,
        strict=strict,
    )
    return found, progress.said


def bits(folder):
    (path,) = (folder / "checkpoints").glob("total-*.npz")
    with np.load(path) as file:
        return {name: file[name].tobytes() for name in file.files}


class Killed(BaseException):
    """Ends a sweep as a signal would: nothing after it runs."""


def test_a_sweep_leaves_one_total(tmp_path):
    paths = [written(tmp_path, 100), written(tmp_path, 33, seed=1, name="b.txt")]
    found, _ = swept(paths, tmp_path / "out", plan_of())
    expected = [*by_hand(paths[0]), *by_hand(paths[1])]
    assert found.node.states[0].n == len(expected)
    assert found.node.shards == found.shards == 15 + 5
    assert [path.name for path in (tmp_path / "out" / "checkpoints").iterdir()] == ["total-0000002.npz"]


@pytest.mark.parametrize("seed", range(12))
def test_killed_anywhere_and_resumed_it_is_the_same_bit_by_bit(seed, tmp_path, monkeypatch, benches):
    """Killed at a random write of a checkpoint, before or after it lands or a deletion, up to five times."""
    paths, plan = [written(tmp_path, 190)], plan_of()
    expected, _ = swept(paths, tmp_path / "once", plan)
    rng = np.random.default_rng(seed)
    left = [0]
    replace, unlink = tasks.Path.replace, tasks.Path.unlink

    def killing(real):
        def act(self, *given, **how):
            if self.suffix != ".tmp" and real is replace:
                return real(self, *given, **how)
            left[0] -= 1
            if left[0] == 0 and rng.random() < 0.5:
                raise Killed
            found = real(self, *given, **how)
            if left[0] == 0:
                raise Killed
            return found

        return act

    folder, kills = tmp_path / "killed", 0
    with monkeypatch.context() as patch:
        patch.setattr(tasks.Path, "replace", killing(replace))
        patch.setattr(tasks.Path, "unlink", killing(unlink))
        for _ in range(5):
            left[0] = int(rng.integers(3, 40))
            try:
                swept(paths, folder, plan, resume=(folder / "manifest.json").exists())
                break
            except Killed:
                kills += 1
                benches.clear()
    left[0] = 10**9
    found, _ = swept(paths, folder, plan, resume=(folder / "manifest.json").exists())
    assert kills
    assert bits(folder) == bits(tmp_path / "once")
    assert found.node.shards == expected.shards == 28
    assert found.node.states[0].n == len(by_hand(paths[0]))
    assert not list((folder / "checkpoints").glob("*.tmp"))


def test_tasks_in_any_order_and_twice_give_the_same_bits(tmp_path):
    class Shuffled(Here):
        def shards(self, folder, numbers, count):
            rng = np.random.default_rng(0)
            for number in [*rng.permutation(list(numbers)), *numbers][: 2 * len(numbers)]:
                yield tasks.do_shard(folder, int(number))
            for block in rng.permutation(tasks.blocks_of(count)):
                tasks.do_block(folder, int(block))
                tasks.do_block(folder, int(block))
            for block in range(tasks.blocks_of(count)):
                tasks.do_total(folder, block)
                tasks.do_total(folder, block)
                tasks.do_block(folder, block)
                tasks.do_shard(folder, block * BLOCK)

    paths, plan = [written(tmp_path, 190)], plan_of()
    swept(paths, tmp_path / "once", plan)
    folder = tmp_path / "shuffled"
    folder.mkdir()
    files = scan_all(paths, plan, Quiet(), strict=False)
    store = Store(folder)
    store.begin(manifest_of(plan, files, fingerprint="f" * 64), resume=False)
    for _ in Shuffled().shards(str(folder), range(28), 28):
        pass
    assert bits(folder) == bits(tmp_path / "once")


def test_damaged_checkpoints_are_made_anew(tmp_path):
    paths, plan = [written(tmp_path, 50)], plan_of()
    swept(paths, tmp_path / "once", plan)
    folder = tmp_path / "damaged"
    folder.mkdir()
    store = Store(folder)
    store.begin(manifest_of(plan, scan_all(paths, plan, Quiet(), strict=False), fingerprint="f" * 64), resume=False)
    for number in range(3):
        tasks.do_shard(str(folder), number)
    path = store.path(tasks.SHARD, 1)
    path.write_bytes(path.read_bytes()[:-100])
    swept(paths, folder, plan, resume=True)
    assert bits(folder) == bits(tmp_path / "once")


def test_repeated_contexts_count_once_in_the_whole_corpus(tmp_path):
    paths = [written(tmp_path, 80), written(tmp_path, 80, name="again.txt")]
    found, _ = swept(paths, tmp_path / "out", plan_of(dedupe=True, window=2))
    every = [*by_hand(paths[0], window=2), *by_hand(paths[1], window=2)]
    assert found.node.states[0].n == len(set(every))
    assert found.node.counts.repeated == len(every) - len(set(every))
    once, _ = swept(paths[:1], tmp_path / "alone", plan_of(dedupe=True, window=2))
    assert sums_of(once.node.states[0])[2] == sums_of(found.node.states[0])[2]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"window": 4}, "--window was 5 when the sweep began and is 4 now"),
        ({"groups": 30}, "--groups was 20"),
        ({"targets": ("him",)}, "--target was"),
        ({"dedupe": True}, "--dedupe was False"),
        ({"records": 8}, "--shard-records was 7"),
        ({"untrained_seeds": 1}, "--untrained-seeds was 2"),
    ],
)
def test_other_settings_are_refused_by_name(change, named, tmp_path):
    paths = [written(tmp_path, 20)]
    swept(paths, tmp_path / "out", plan_of())
    with pytest.raises(SettingsError) as caught:
        swept(paths, tmp_path / "out", plan_of(**change), resume=True)
    assert named in str(caught.value)


def test_other_inputs_are_refused_by_name(tmp_path):
    paths = [written(tmp_path, 20)]
    swept(paths, tmp_path / "out", plan_of())
    with pytest.raises(SettingsError, match="is new since the sweep began"):
        swept([*paths, written(tmp_path, 5, name="more.txt")], tmp_path / "out", plan_of(), resume=True)
    told = paths[0].read_text("utf-8")
    paths[0].write_text(told.replace("saw", "met", 1), encoding="utf-8")  # as many bytes
    with pytest.raises(SettingsError, match=r"a.txt' has changed since the sweep began \(sha256"):
        swept(paths, tmp_path / "out", plan_of(), resume=True)
    with pytest.raises(SettingsError, match="was part of the corpus"):
        swept([written(tmp_path, 20, name="c.txt")], tmp_path / "out", plan_of(), resume=True)


def test_other_weights_and_versions_are_refused_by_name(tmp_path):
    paths, plan = [written(tmp_path, 20)], plan_of()
    swept(paths, tmp_path / "out", plan)
    store, files = Store(tmp_path / "out"), scan_all(paths, plan, Quiet(), strict=False)
    with pytest.raises(SettingsError, match="fingerprint was ffffffffffff .* and is eeeeeeeeeeee"):
        store.begin(manifest_of(plan, files, fingerprint="e" * 64), resume=True)
    manifest = manifest_of(plan, files, fingerprint="f" * 64)
    manifest["versions"]["torch"] = "9.9"
    with pytest.raises(SettingsError, match="and 9.9 is installed"):
        store.begin(manifest, resume=True)
    with pytest.raises(SettingsError, match="holds a sweep; go on with it"):
        store.begin(manifest, resume=False)
    (tmp_path / "out" / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(SettingsError, match="can't be read"):
        store.begin(manifest, resume=True)


def test_faults_are_counted_told_and_under_strict_end_it(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [json.dumps({"text": text}) for text in sentences(30)]
    lines[3] = "{"
    lines[17] = '{"txt": ""}'
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    empty = tmp_path / "empty.txt"
    empty.write_bytes(b"")
    found, said = swept([path, empty], tmp_path / "out", plan_of())
    assert found.node.faults == 2
    assert [("record 4" in line, "record 18" in line) for line in found.node.told] == [(True, False), (False, True)]
    assert any("empty.txt: holds no record" in line for line in said)
    good = tmp_path / "good.txt"
    good.write_text("\n".join(t for n, t in enumerate(sentences(30)) if n not in (3, 17)) + "\n", encoding="utf-8")
    assert found.node.states[0].n == len(by_hand(good))
    with pytest.raises(ContextError, match=r"--strict: .*holds no record"):
        swept([path, empty], tmp_path / "strict", plan_of(), strict=True)
    with pytest.raises(ContextError, match=r"--strict: 1 record"):
        swept([path], tmp_path / "strict", plan_of(), strict=True)
    with pytest.raises(ContextError, match="there is no record to read"):
        swept([empty], tmp_path / "nothing", plan_of())
