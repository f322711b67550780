"""Break the code on purpose, one place at a time, and see that the tests notice.

    python tests/mutation_check.py          # all of them
    python tests/mutation_check.py kernels  # those whose file, name or test holds a text

Works on a copy of the project, so that nothing is left broken.  Exit status 1 if a mutant survives.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("qkvcheck", "tests", "experiments", "training", "conftest.py", "pyproject.toml", "README.md")
FILES = (
    "test_contexts.py", "test_forwards.py", "test_capture.py", "test_kernels.py", "test_deletions.py", "test_moments.py",
    "test_bench.py", "test_similarity.py", "test_statistics.py", "test_verdicts.py",
    "test_controls.py", "test_claims.py", "test_baseline.py", "test_jackknife.py", "test_offset.py", "test_bounds.py",
    "test_referee.py", "test_drift.py", "test_baseline_life.py",
)  # fmt: skip


CLOSEST = {
    "kernels/": "test_kernels.py",
    "similarity.py": "test_similarity.py",
    "polarisation.py": "test_deletions.py",
    "moments.py": "test_moments.py",
    "forwards.py": "test_forwards.py",
    "architectures.py": "test_forwards.py",
    "capture.py": "test_capture.py",
    "bench.py": "test_bench.py",
    "statistics.py": "test_statistics.py",
    "measurement.py": "test_deletions.py",
    "judging.py": "test_verdicts.py",
    "jackknife.py": "test_jackknife.py",
    "controls.py": "test_controls.py",
    "drift.py": "test_drift.py",
    "change.py": "test_baseline_life.py",
    "baseline.py": "test_baseline_life.py",
    "documents.py": "test_baseline_life.py",
    "plugin.py": "test_baseline_life.py",
    "noise.py": "test_baseline_life.py",
}
"""Where a fault in a file shows soonest."""


@dataclass(frozen=True)
class Mutant:
    """One fault: in `file`, `old` becomes `new`; `by` names the one test that has to notice, where one has to."""

    name: str
    file: str
    old: str
    new: str
    by: str = ""


MUTANTS = (
    Mutant("diagonal counted (numba kernel)", "kernels/numba_.py", "max(0, i_start + row + 1 - j_start))", "max(0, i_start + row - j_start))"),
    Mutant("diagonal counted (torch kernel)", "kernels/torch_.py", ".tril_(i - j)", ".tril_(i - j - 1)"),
    Mutant("diagonal counted (Gram sums)", "kernels/gram.py", "(total - first.filled) / 2, (square - first.filled) / 2", "total / 2, square / 2"),
    Mutant("wrong row multiplied (micro-kernel)", "kernels/micro_kernel.py", "builder.mul(k, _ADDRESS(ROWS)), row)", "builder.mul(k, _ADDRESS(ROWS)), 0)"),
    Mutant("tile higher than wide", "kernels/numba_.py", "min(width, max(0, i_start + row + 1 - j_start))", "max(0, i_start + row + 1 - j_start)"),
    Mutant("sums added to term by term (torch)", "kernels/torch_.py", "out=values if start == 0 else None)", "out=values if start == 0 else None) if start == 0 else values.addmm_(rows[:, i:i_stop].T, rows[:, j:j_stop]) * 0"),
    Mutant("tiles overlap", "kernels/tiles.py", "range(i if within else b.start", "range(b.start"),
    Mutant("no second look in float64 (numba)", "kernels/numba_.py", "np.float32(error * fine / 2 * (1 + 1e-6))", "np.float32(-1)"),
    Mutant("no second look in float64 (torch)", "kernels/torch_.py", ".abs_() <= nearness", ".abs_() < -1"),
    Mutant("second look off by one column", "kernels/numba_.py", "j_start + low + j,", "j_start + j,"),
    Mutant("rows beyond the first piece forgotten", "kernels/numba_.py", "if k_start == 0:", "if True:"),
    Mutant("rows of a piece packed once for all", "kernels/numba_.py", "or i_stop != packed_to or depth > DEPTH", "or i_stop != packed_to"),
    Mutant("a pole taken for an edge", "kernels/binning.py", "np.clip(values, -1.0, 1.0)", "np.asarray(values)"),
    Mutant("Pearson left uncentred", "similarity.py", "np.subtract(values, values.mean(axis=0), out=out)", "np.array(values)"),
    Mutant("one row of a cluster left out, not all", "measurement.py", "deletions.without(labels == c)", "deletions.without(np.arange(len(labels)) == int(np.flatnonzero(labels == c)[0]))"),
    Mutant("left-out rows kept in the lengths", "polarisation.py", 'kept = squares - np.einsum("ij,ij->j", gone, gone)', "kept = squares"),
    Mutant("left-out rows kept in the mean", "polarisation.py", "kept = kept - gone.sum(axis=0) ** 2 / count", "pass"),
    Mutant("lost digits not measured anew", "polarisation.py", "_CANCELLED = 1e-4", "_CANCELLED = 0.0"),
    Mutant("shards merged as if their means were one", "moments.py", "np.outer(factor * apart[rows], apart)", "0.0"),
    Mutant("padding let in (mask)", "forwards.py", "present[number, : len(row.token_ids)] = True", "present[number] = True"),
    Mutant("padding let in (left of the tokens)", "forwards.py", "token_ids[number, : len(row.token_ids)] = row.token_ids", "token_ids[number, length - len(row.token_ids) :] = row.token_ids"),
    Mutant("padding let in (last position taken)", "capture.py", "output[rows, tokens]", "output[rows, -1]"),
    Mutant("a node sees itself and its parent only", "forwards.py", "visible[node] |= visible[parent]", "visible[node, parent] = True"),
    Mutant("a node sees everything before it", "forwards.py", "visible = np.eye(count, dtype=bool)", "visible = np.tri(count, dtype=bool)"),
    Mutant("position by node, not by depth", "forwards.py", "self._depths.append(depth)", "self._depths.append(len(self.tokens) - 1)"),
    Mutant("one token too much taken for shared", "forwards.py", "del self._path[shared:]", "shared = min(shared + 1, len(self._path)); del self._path[shared:]"),
    Mutant("bidirectional contexts cut", "capture.py", "if hooked.layout.causal:", "if True:"),
    Mutant("a trie for windows", "architectures.py", "if window is not None and depth > window:", "if False:"),
    Mutant("a trie for local layers", "architectures.py", 'if any("local" in kinds', 'if False and any("local" in kinds'),
    Mutant("a trie for ALiBi", "architectures.py", "if biased or self.family in _ALIBI:", "if False:"),
    Mutant("a lost ratio kept silent", "bench.py", "r.ratio < factor * committed[r.name]", "r.ratio < 0"),
    Mutant("layer off by one", "architectures.py", "(model.base_model)[layer])", "(model.base_model)[layer - 1])"),
    Mutant("target index off by one (capture)", "capture.py", "- (positions == PRECEDING)", "- 1 - (positions == PRECEDING)"),
    Mutant("target index off by one (contexts)", "contexts.py", "found[(occurrence or 1) - 1])", "found[(occurrence or 1) - 1] - 1)"),
    Mutant("Q and K swapped", "architectures.py", 'BLOCKS = ("Q", "K", "V")', 'BLOCKS = ("K", "Q", "V")'),
    Mutant("diagonal counted (reference kernel)", "kernels/reference.py", "x[:, i + 1 :]", "x[:, i:]"),
    Mutant("diagonal counted (rows)", "statistics.py", "np.triu_indices(len(similarities), k=1)", "np.triu_indices(len(similarities), k=0)"),
    Mutant("row Pearson left uncentred (stability)", "statistics.py", "values = values - values.mean(axis=2, keepdims=True)", "pass"),
    Mutant("grand mean kept (token minus context)", "statistics.py", "values = values - values.mean(axis=(0, 1))", "values = values"),
    Mutant("repeated contexts counted", "measurement.py", "kept = np.flatnonzero(same == np.arange(len(same)))", "kept = np.arange(len(same))"),
    Mutant("untrained control is the model itself", "untrained.py", "untrained_twin(self._samples.hooked, seed=seed)", "self._samples.hooked"),
    Mutant("non-target control is the target", "controls.py", "Variant(position=PRECEDING, refused=refused)", "Variant(refused=refused)"),
    Mutant("shuffle does nothing", "references.py", "rng.permutation(array.ravel())", "(array.ravel())"),
    Mutant("threshold turned round", "claims.py", "estimate > claim.threshold if", "estimate < claim.threshold if"),
    Mutant("one-sided poles accepted", "judging.py", "if min(low, high) < share:", "if max(low, high) < share:"),
    Mutant("words shifted against contexts", "capture.py", "reshape(len(contexts), len(words),", "reshape(len(words), len(contexts),"),
    Mutant("bias doubled, not removed", "jackknife.py", "count * whole - (count - 1) *", "(2 - count) * whole + (count - 1) *"),
    Mutant("rows of a cluster left in", "measurement.py", "[label != cluster for label in labels]", "[label != cluster or i % 2 for i, label in enumerate(labels)]"),
    Mutant("clusters not joined over equal rows", "measurement.py", "merged = merge_labels(given, [given[row] for row in same])", "merged = given"),
    Mutant("interval of half the width", "jackknife.py", "centre + side * critical * error", "centre + side * critical * error / 2"),
    Mutant("simultaneous factor forgotten", "judging.py", "critical_of(claim, rows, places) if together else None", "None"),
    Mutant("cross term counted once", "offset.py", "cross = float(2 * dot", "cross = float(dot"),
    Mutant("offset null without its noise", "offset.py", "offset + mean_product(b**2, second_b**2) / (len(x) - 1)", "offset"),
    Mutant("inconclusive taken for supported", "verdicts.py", "None: INCONCLUSIVE}", "None: SUPPORTED}"),
    Mutant("at most taken for at least", "claims.py", "return estimate <= claim.threshold", "return estimate >= claim.threshold"),
    Mutant("difference the wrong way round", "comparing.py", "jackknife_estimate(own - other", "jackknife_estimate(other - own"),
    Mutant("one further seed forgotten", "bounds.py", "np.sqrt(1 + 1 / count)", "np.sqrt(1 / count)"),
    Mutant("violations counted the other way", "judging.py", "not meets(claim, float(mean))", "meets(claim, float(mean))"),
    Mutant("one different word for all", "controls.py", "words[place % len(words)][1]", "words[0][1]"),
    Mutant("other token is the target", "controls.py", "len(ids) == 1 and ids[0] != contexts.target_id", "len(ids) == 1 and ids[0] == contexts.target_id"),
    Mutant("numbers on disk taken for another layer's", "untrained.py", "what, self._layer, self._recipe", "what, self._recipe"),
    Mutant("constant dimensions judged", "measurement.py", "            if len(constant):", "            if False:"),
    Mutant("drift overlooked", "drift.py", "np.abs(x - y).max()", "np.abs(x - y).min()"),
    Mutant("signs forgotten in ulps", "drift.py", "np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)", "bits & 0x7FFFFFFF"),
    Mutant("another block named as moved", "drift.py", "if not drift.relative <= tolerance), None)", "if drift.relative > 0 and drift.block == 'V'), None)"),
    Mutant("change of verdict overlooked", "baseline.py", "if recorded != verdict.verdict:", "if not recorded:", "test_baseline.py"),
    Mutant("drift beyond the floor overlooked", "change.py", "not abs(self.change) <= self.allowed", "False"),
    Mutant("noise floor ignored", "change.py", "UNMEASURED if floor is None else", "UNMEASURED if True else"),
    Mutant("drift unpaired", "change.py", "jackknife_estimate(after - before)", "jackknife_estimate(after)"),
    Mutant("missing entry accepted", "baseline.py", "missing = baseline.required and", "missing = False and"),
    Mutant("stale entries told of a part of a run", "plugin.py", "item.config.stash[PART_KEY] = True", "pass"),
    Mutant("written in place", "documents.py", "temporary = path.with_name(", "temporary = path if True else path.with_name("),
    Mutant("last token taken for the target", "capture.py", "np.array(contexts.target_indices) - (positions == PRECEDING)", "np.array([len(c.token_ids) - 1 for c in contexts.contexts]) - (positions == PRECEDING)", "test_metamorphic.py::test_tokens_right_of_the_target_change_nothing"),
    Mutant("padding let in", "forwards.py", "token_ids[number, : len(row.token_ids)] = row.token_ids", "token_ids[number, length - len(row.token_ids) :] = row.token_ids", "test_metamorphic.py::test_batch_and_padding_change_nothing"),
    Mutant("rows in the order of the tree", "forwards.py", "slots=np.array(self._slots, dtype=np.int64)", "slots=np.array(sorted(self._slots), dtype=np.int64)", "test_metamorphic.py::test_order_of_contexts_is_the_order_of_rows"),
    Mutant("a context seen before is left out", "forwards.py", "        tree.add(row, shared)", "        tree.add(row, shared) if row.token_ids != before else None", "test_metamorphic.py::test_a_context_twice_is_a_row_twice"),
    Mutant("position by node in branches", "forwards.py", "self._depths.append(depth)", "self._depths.append(len(self.tokens) - 1)", "test_metamorphic.py::test_the_first_layer_depends_on_token_and_position_alone"),
    Mutant("branches see each other", "forwards.py", "visible = np.eye(count, dtype=bool)", "visible = np.tri(count, dtype=bool)", "test_metamorphic.py::test_shared_prefixes_give_what_a_plain_capture_gives"),
    Mutant("Q taken for K", "architectures.py", 'BLOCKS = ("Q", "K", "V")', 'BLOCKS = ("K", "Q", "V")', "test_metamorphic.py::test_scaling_a_projection_scales_its_block"),
    Mutant("columns not brought to length one", "similarity.py", "np.divide(values, np.where(norms > 0, norms, 1.0), out=out)", "np.divide(values, 1.0 + 0 * norms, out=out)", "test_metamorphic.py::test_similarity_of_dimensions_knows_no_scale_of_columns"),
    Mutant("rows not brought to length one", "similarity.py", "second = first if y is None else", "second = np.asarray(x, dtype=np.float64).T if y is None else", "test_metamorphic.py::test_similarity_of_contexts_knows_no_scale_of_rows"),
    Mutant("second block off by one", "similarity.py", 'blocks["B"] = slice(x.shape[1], x.shape[1] + y.shape[1])', 'blocks["B"] = slice(x.shape[1] - 1, x.shape[1] - 1 + y.shape[1])', "test_metamorphic.py::test_similarity_across_blocks_is_symmetric"),
    Mutant("tokens that decode to another text", "strategies.py", "ids = tuple(encoder.encode(text))", "pass", "test_strategies.py::test_contexts_are_canonical_and_reach_every_position"),
    Mutant("a position never reached", "strategies.py", "range(frame.before[0], frame.before[1] + 1)", "range(frame.before[0], frame.before[1])", "test_strategies.py::test_contexts_are_canonical_and_reach_every_position"),
    Mutant("one specific cell makes a claim learned", "overview.py", "if all(control is not None and control.specificity", "if any(control is not None and control.specificity", "test_wording.py"),
    Mutant("a claim that holds untrained told as learned", "overview.py", "if ALSO_UNTRAINED in notes:", "if False:", "test_wording.py"),
    Mutant("a corrected number beside uncorrected ones", "wording.py", 'verdict.evidence.get("number", verdict.plug_in)', "verdict.estimate", "test_wording.py"),
    Mutant("controls of the first cell alone", "wording.py", "[*_control_sentences(verdict), *_offset_sentence(verdict)])", "[*_control_sentences(deciding[0]), *_offset_sentence(verdict)])", "test_wording.py"),
    Mutant("open told as a difference", "wording.py", '"unresolved": f"open whether {own}', '"unresolved": moved + f" higher {own}', "test_wording.py"),
    Mutant("a claim's own number for its control's", "page.py", '"number": number_text(control.estimate)', '"number": number_text(verdict.estimate)', "test_page.py::test_table_has_each_control_in_its_own_column"),
    Mutant("one untrained network told as most", "overview.py", "(c.seeds or 1) > 1 for", "(c.seeds or 1) > 0 for", "test_wording.py"),
    Mutant("settled the wrong way", "story.py", 'side = "against" if above', 'side = "for" if above', "test_wording.py"),
    Mutant("no untrained network meets it told as all", "wording.py", '{0: "none of them meets", 1:', '{0: "all of them meet", 1:', "test_wording.py"),
    Mutant("some untrained networks taken for all cells", "overview.py", "REFUTED and all(c is not None and c.passes", "REFUTED and any(c is not None and c.passes", "test_wording.py"),
    Mutant("a flat histogram's bound for a single peak's", "wording.py", "if variance > CERTIFIED:", "if variance > SMILE:", "test_wording.py"),
    Mutant("untrained tails of one side", "wording.py", "sum(counts[-quarter:])", "sum(counts[:quarter])", "test_wording.py"),
    Mutant("the other way round told of every refuted claim", "wording.py", "if not difference or verdict.direction", "if verdict.direction", "test_wording.py"),
    Mutant("ini paths from the current folder", "settings.py", "return os.path.relpath(root / text)", "return text", "test_settings.py"),
    Mutant("the adversary forgets the worst", "search.py", "self._sign * value > self._sign * self.worst.value", "self._sign * value < self._sign * self.worst.value", "test_search.py"),
    Mutant("random draws counted the other way", "adversary.py", "sum(not meets(claim, value) for value in values)", "sum(meets(claim, value) for value in values)", "test_adversary.py"),
    Mutant("rate drawn by frame, not evenly", "sampling.py", "phrases = subjects[rng.integers(len(subjects))]", "phrases = [p for s in subjects for p in s]", "test_adversary.py::test_independent_draws_reach_every_position_evenly"),
    Mutant("a search that finds nothing supports", "adversary.py", "REFUTED if refuted else INCONCLUSIVE", 'REFUTED if refuted else "SUPPORTED"', "test_adversary.py"),
    Mutant("diagonal left in the coarse matrix", "pictures.py", "np.fill_diagonal(cells, own / pairs)", "pass", "test_pictures.py"),
    Mutant("bfloat16 taken for noise", "noise.py", 'APART = ("bfloat16",)', "APART = ()"),
)  # fmt: skip


def tests_of(mutant: Mutant) -> list[str]:
    """Return the test that has to notice a mutant, or all numeric tests, those closest to its file first."""
    if mutant.by:
        return [f"tests/{mutant.by}"]
    first = [name for prefix, name in CLOSEST.items() if mutant.file.startswith(prefix)]
    return [f"tests/{name}" for name in dict.fromkeys([*first, *FILES])]


def run_tests(folder: Path, tests: list[str]) -> subprocess.CompletedProcess[str]:
    """Run tests on the copy, up to the first failure."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", *tests]
    with tempfile.TemporaryDirectory() as cache:  # compiled code of another mutant must not be taken for this one's
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)


def first_failure(done: subprocess.CompletedProcess[str]) -> str:
    """Return the line that names the test that failed."""
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return lines[0].split(" - ")[0] if lines else "no failing test named"


def main() -> int:
    """Apply each mutant, run the tests, revert."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for entry in COPIED:
            source = ROOT / entry
            (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / entry)
        where = subprocess.run(
            [sys.executable, "-c", "import qkvcheck; print(qkvcheck.__file__)"],
            cwd=folder, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        if not where.startswith(str(folder)):
            print(f"the copy is not what would be tested: {where}")
            return 2
        chosen = [m for m in MUTANTS if all(text in f"{m.file} {m.name} {m.by}" for text in sys.argv[1:])]
        # Of a part of the mutants, what is nearest to them; a survivor there runs the rest.
        whole = run_tests(
            folder, sorted({tests_of(m)[0] for m in chosen} if sys.argv[1:] else {f"tests/{n}" for n in FILES})
        )
        if whole.returncode != 0:
            print(f"the tests fail before any mutant: {first_failure(whole)}")
            return 2
        print(f"unbroken: {whole.stdout.splitlines()[-1]}", flush=True)
        survivors = 0
        for mutant in chosen:
            path = folder / "qkvcheck" / mutant.file
            text = path.read_text("utf-8")
            if text.count(mutant.old) < 1:
                print(f"STALE     {mutant.name}: {mutant.old!r} is not in {mutant.file}")
                survivors += 1
                continue
            path.write_text(text.replace(mutant.old, mutant.new), "utf-8")
            done = run_tests(folder, tests_of(mutant))
            path.write_text(text, "utf-8")
            caught = done.returncode == 1
            survivors += not caught
            print(f"{'caught  ' if caught else 'SURVIVED'}  {mutant.name}: {first_failure(done)}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
