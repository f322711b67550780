"""Fuzz: files of activations, npz and safetensors, whole, altered and damaged: a value or one line, each in a child."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from safetensors.numpy import save

from qkvcheck.capture import Activations
from qkvcheck.capture.submission import read_submission
from qkvcheck.capture.submitted import AXES, KNOWN
from qkvcheck.errors import NotCapturedError
from qkvcheck.groups import Capture

from .damage import ODD, altered, damaged, fuzz, reads_or_refuses

ROWS = np.random.default_rng(0).normal(size=(3, 2, 6)).astype(np.float32)
WORDS = ROWS[:, :, None].repeat(2, axis=2)
WHOLE = {
    "target": ROWS,
    "preceding": -ROWS,
    "words": WORDS,
    "untrained": ROWS[None],
    "untrained_words": WORDS[None],
    "layers": np.array([5, 6]),
    "widths": np.array([2, 2, 2]),
}
TEXTS = {"texts": ["We saw her", "I met her", "They"], "word_texts": [" her", " him"]}
LISTS = {"pronouns": (" her", " him"), "others": ()}


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """What the children need is imported once, here."""
    import safetensors.numpy

    assert safetensors.numpy


def read(path: Path) -> None:
    """Read a file, and use all that it holds: what is given out is whole."""
    source = read_submission(path, words=LISTS)
    for one in (source, *source.networks):
        for capture in Capture:
            try:
                captured = one.captured(capture)
            except NotCapturedError:
                continue
            assert np.isfinite(captured.values).all()
            assert len(captured.values) == len(source.target.values)
            for layer in captured.layers:
                captured.projection(layer, "Q")
    assert source.texts is None or len(source.texts) == len(source.target.values)


def check(path: Path, content: bytes) -> bool:
    path.write_bytes(content)
    return reads_or_refuses(read, path, name="activations", isolated=True)


def npz(arrays: dict[str, np.ndarray]) -> bytes:
    raw = io.BytesIO()
    np.savez_compressed(raw, **arrays) if len(arrays) % 2 else np.savez(raw, **arrays)
    return raw.getvalue()


def safetensors(arrays: dict[str, np.ndarray], texts: dict[str, object]) -> bytes:
    held = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return save(held, {name: json.dumps(value) for name, value in texts.items()})


KINDS = st.sampled_from(("<f4", ">f4", "<f8", ">f8", "<f2", "<c8", "<i4", ">i8", "u1", "?", "<U3", "S4", "<M8[s]"))
SHAPES = st.lists(st.integers(0, 4), max_size=5).map(tuple)


@st.composite
def some_arrays(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """Draw a file whose arrays have other types, shapes, orders, numbers and names than they should, some of them."""
    held = dict(WHOLE) if draw(st.booleans()) else {name: WHOLE[name] for name in ("target", "layers", "widths")}
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from((*KNOWN, "Target", "more")))
        how = draw(st.sampled_from(("lose", "type", "shape", "order", "number", "slice", "other")))
        array = held.get(name, ROWS)
        if how == "lose":
            held.pop(name, None)
        elif how == "type":
            kind = draw(KINDS)
            held[name] = (
                array.astype(kind)
                if {array.dtype.kind, np.dtype(kind).kind} <= set("fiu")
                else np.zeros(array.shape, kind)
            )
        elif how == "shape":
            held[name] = np.zeros(draw(SHAPES), array.dtype)
        elif how == "order":
            held[name] = np.asfortranarray(array)
        elif how == "number" and array.size and array.dtype.kind in "fiu":
            changed = array.copy()
            odd = (np.nan, np.inf, 1e30, -1.0) if array.dtype.kind == "f" else (0, -1, 2**40, 7)
            changed.flat[draw(st.integers(0, array.size - 1))] = draw(st.sampled_from(odd))
            held[name] = changed
        elif how == "slice" and array.ndim:
            held[name] = array[: draw(st.integers(0, 3))]
        else:
            held[name] = np.array(draw(st.lists(st.text(max_size=3), max_size=4)) or [""])
    return held


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore:Casting complex")
def test_arrays_that_were_altered(tmp_path, examples):
    def write(arrays) -> None:
        if "word_texts" not in arrays and "words" in arrays:
            arrays = {**arrays, "word_texts": np.array(TEXTS["word_texts"])}
        check(tmp_path / "a.npz", npz(arrays))

    with np.errstate(all="ignore"):
        fuzz(some_arrays(), write, examples=examples)


def split(content: bytes) -> tuple[dict, bytes]:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def joined(header: object, data: bytes) -> bytes:
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + data


def own() -> bytes:
    places = {"Q": slice(0, 2), "K": slice(2, 4), "V": slice(4, 6)}
    captured = Activations(ROWS, ("context", "layer", "width"), (5, 6), places)
    layout = {
        "axes": list(captured.axes),
        "layers": [5, 6],
        "blocks": {n: [p.start, p.stop] for n, p in places.items()},
    }
    provenance = {"texts": json.dumps(TEXTS["texts"]), "model": "m"}
    about = {"schema": "qkvcheck/activations/1", "layout": json.dumps(layout), "provenance": json.dumps(provenance)}
    return save({"values": ROWS}, about)


THEIRS, OWN = safetensors(WHOLE, TEXTS), own()


def test_safetensors_headers_that_were_altered(tmp_path, examples):
    def write(given) -> None:
        header, data = given
        check(tmp_path / "a.safetensors", joined(header, data))

    theirs, ours = split(THEIRS), split(OWN)
    fuzz(
        st.tuples(altered(theirs[0]), st.just(theirs[1])) | st.tuples(altered(ours[0]), st.just(ours[1])),
        write,
        examples=examples,
    )


def test_our_own_documents_that_were_altered(tmp_path, examples):
    """The JSON texts within the metadata: layout, provenance, sentences."""
    header, data = split(OWN)
    name = st.sampled_from(("layout", "provenance"))
    told = name.flatmap(
        lambda n: st.tuples(st.just(n), altered(json.loads(header["__metadata__"][n])) | st.sampled_from(ODD))
    )

    def write(one) -> None:
        changed = {**header["__metadata__"], one[0]: json.dumps(one[1])}
        check(tmp_path / "a.safetensors", joined({**header, "__metadata__": changed}, data))

    fuzz(told, write, examples=examples)


def npy_header(descr: str, shape: str, order: str) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def test_npy_headers(tmp_path, examples):
    """Headers of any type, shape and order, before bytes that are not as many."""
    descr = st.sampled_from(
        ("'<f4'", "'|O'", "'<U0'", "'V8'", "[('a','<f4')]", "'<f4', '>f4'", "3", "None", "'<c16'", "'x'")
    )
    shape = st.sampled_from(
        ("()", "(3, 2, 6)", "(2**40,)", "(1000000000000, 6)", "(-1,)", "(0, 10**18)", "(True,)", "3", "(1.5,)")
    )
    order = st.sampled_from(("False", "True", "3", "[]"))

    def write(one) -> None:
        raw = io.BytesIO()
        with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in ("layers", "widths"):
                with archive.open(f"{name}.npy", "w") as stream:
                    np.save(stream, WHOLE[name])
            name, descr, shape, order, data = one
            archive.writestr(f"{name}.npy", npy_header(descr, shape, order) + data)
        check(tmp_path / "a.npz", raw.getvalue())

    names = st.sampled_from(tuple(AXES))
    fuzz(st.tuples(names, descr, shape, order, st.sampled_from((b"", ROWS.tobytes()))), write, examples=examples)


def test_damaged_files(tmp_path, examples):
    wholes = {"npz": npz(WHOLE), "safetensors": THEIRS}
    files = st.sampled_from(sorted(wholes)).flatmap(
        lambda kind: st.tuples(
            st.just(kind), damaged(wholes[kind]) | (damaged(OWN) if kind == "safetensors" else st.nothing())
        )
    )
    fuzz(files, lambda one: check(tmp_path / f"a.{one[0]}", one[1]), examples=examples)
