"""Files of activations: every array is looked at before it is unpacked, and nothing is taken for another."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from qkvcheck.capture import Activations, load_activations, sample_of
from qkvcheck.capture.submission import read_submission
from qkvcheck.errors import CaptureError, NotCapturedError
from qkvcheck.groups import Stage

ROWS = np.random.default_rng(0).normal(size=(4, 2, 9)).astype(np.float32)
WORDS = ROWS[:, :, None].repeat(3, axis=2)


def arrays(**changes) -> dict[str, np.ndarray]:
    made = {"target": ROWS, "layers": np.array([5, 6]), "widths": np.array([3, 3, 3]), **changes}
    return {name: array for name, array in made.items() if array is not None}


def packed(**members: bytes) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return raw.getvalue()


def npy(array) -> bytes:
    raw = io.BytesIO()
    np.save(raw, array)
    return raw.getvalue()


def header(descr: str, shape: str, order: str = "False") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.fixture
def write(tmp_path):
    def put(name: str, content: bytes):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return put


def refused(path, message: str) -> None:
    with pytest.raises(CaptureError, match=message) as caught:
        read_submission(path)
    text = str(caught.value)
    assert path.name in text
    assert "\n" not in text
    assert len(text) <= 500


# What is read ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", ">f8", "<f2", ">f2"])
def test_any_byte_order_and_no_digit_lost(tmp_path, kind):
    given = np.asfortranarray(ROWS.astype(kind))
    np.savez(tmp_path / "a.npz", **arrays(target=given))
    found = read_submission(tmp_path / "a.npz").target.values
    assert found.dtype == (np.float64 if kind.endswith("8") else np.float32)
    np.testing.assert_array_equal(found, given)


def test_all_arms_in_both_formats(tmp_path):
    arms = arrays(
        preceding=ROWS, words=WORDS, untrained=np.stack([ROWS, -ROWS]), untrained_words=np.stack([WORDS, -WORDS])
    )
    texts, words = ["ä b", "b c", "c d", "d e"], [" her", " him", " it"]
    np.savez(tmp_path / "a.NPZ", **arms, texts=np.array(texts), word_texts=np.char.encode(words, "utf-8"))
    metadata = {"texts": json.dumps(texts), "word_texts": json.dumps(words)}
    save_file({name: np.ascontiguousarray(array) for name, array in arms.items()}, tmp_path / "a.safetensors", metadata)
    for name in ("a.NPZ.npz", "a.safetensors"):
        found = read_submission(tmp_path / name)
        assert (found.texts, found.word_texts) == (tuple(texts), tuple(words))
        assert [network.target.values[0, 0, 0] for network in found.networks] == [ROWS[0, 0, 0], -ROWS[0, 0, 0]]
        assert found.networks[1].captured("words").axes == ("context", "layer", "word", "width")
        np.testing.assert_array_equal(found.at_word(" him").values, ROWS)
        np.testing.assert_allclose(found.captured("generic_removed").values, ROWS - ROWS.mean(axis=0), atol=1e-6)
        assert found.captured("words") is found.captured("words")


def test_one_layer_needs_no_axis(tmp_path):
    one = arrays(target=ROWS[:, 0], layers=np.array([6]), words=WORDS[:, 0], untrained=ROWS[None, :, 0])
    np.savez(tmp_path / "a.npz", **one, word_texts=np.array([" her", " him", " it"]))
    found = read_submission(tmp_path / "a.npz")
    assert found.grid.values.shape == (4, 1, 3, 9)
    assert found.networks[0].target.values.shape == (4, 1, 9)


def test_other_arrays_are_not_read(write):
    """Not even unpacked: one of objects stands beside what is asked for."""
    members = {name: npy(array) for name, array in arrays().items()}
    path = write("a.npz", packed(**members, more=header("'|O'", "(3,)") + pickle.dumps(print), notes=b"no array"))
    np.testing.assert_array_equal(read_submission(path).target.values, ROWS)


# What is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": ROWS.astype(np.complex64)}, "holds .complex64. under .target."),
        ({"target": ROWS.astype(np.longdouble)}, "target is float128|target is longdouble"),
        ({"target": ROWS[:0]}, "which holds nothing"),
        ({"target": ROWS[None]}, "has to be .contexts, 2, 9."),
        ({"widths": np.array([2**62, 2**62, 2**62])}, "add up to 13835058055282163712"),
        ({"layers": np.array([[5, 6]])}, "layers is int64"),
        ({"layers": np.arange(100_000)}, "with 100000 layers"),
        ({"layers": np.zeros(100_000, dtype=int)}, "they are different zero-based numbers"),
        ({"texts": np.array([1, 2, 3, 4])}, "texts of type int64"),
        ({"texts": np.array([["a", "b"]])}, "texts of type <U1 and shape"),
        ({"texts": np.array([b"a", b"\xff", b"", b""])}, "texts that are no Unicode"),
        ({"texts": np.array(["a", "b"])}, "has 2 texts for 4 contexts"),
        ({"Preceding": ROWS}, "names 'Preceding'; .* write 'preceding'"),
        ({"precedings": ROWS}, "write 'preceding'"),
        ({"words": WORDS}, "holds words and no word_texts"),
        ({"word_texts": np.array([" her"])}, "holds word_texts and no words"),
        ({"words": WORDS, "word_texts": np.array([" her", " him"])}, "has to be .4, 2, 2, 9."),
        ({"words": WORDS, "word_texts": np.array([" her", " him", " her"])}, "they are different words"),
        ({"words": -WORDS, "word_texts": np.array([" her", " him", " it"])}, "word 0 of words is not the target"),
        ({"untrained": ROWS}, "has to be .networks, 4, 2, 9."),
        ({"untrained": ROWS[None, :3]}, "has to be .networks, 4, 2, 9."),
        ({"untrained_words": WORDS[None]}, "holds untrained_words and no words"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(tmp_path, changes, message):
    np.savez(tmp_path / "a.npz", **arrays(**changes))
    refused(tmp_path / "a.npz", message)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["target", "preceding"])
def test_no_number_says_where(tmp_path, name, value):
    spoiled = ROWS.copy()
    spoiled[3, 1, 7] = value
    np.savez(tmp_path / "a.npz", **arrays(**{name: spoiled}))
    refused(tmp_path / "a.npz", f"holds {value} in {name} .context 3, layer 1, from 0.")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header("'|O'", "(1,)") + pickle.dumps(print), "Python objects under 'target', a pickle"),
        (header("[('a', '<f4')]", "(1,)") + b"0000", "holds .*under 'target'; numbers and texts are read"),
        (header("'<f4'", "(1000000000000, 9)"), "which takes 36,000,000,000,000 bytes, in 0"),
        (header("'<f4'", "(-1,)"), "shape .-1,"),
        (header("'<f4'", "(10**99,)"), "is not a readable npz file"),
        (header("'<U0'", "(1000000000000000,)"), "which takes 0 bytes, in 0"),
        (header("'<f4'", "(" * 5000), "is not a readable npz file"),
        (header("'<f4'", "__import__('os').abort()"), "is not a readable npz file"),
        (b"\x93NUMPY\x09\x00", "is not a readable npz file"),
        (b"", "is not a readable npz file"),
        (npy(ROWS)[:-4], "in 284"),
        (npy(ROWS) + b"more", "in 292"),
    ],
)
def test_headers_that_lie(write, content, message):
    refused(write("a.npz", packed(target=content)), message)


def test_a_small_file_that_would_unpack_to_much(write):
    """Seen from the sizes that it declares: nothing is unpacked."""
    path = write("bomb.npz", b"")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("target.npy", "w") as stream:
        stream.write(header("'<f4'", "(250, 1, 100000)"))
        for _ in range(100):
            stream.write(bytes(1_000_000))
    refused(path, r"has 97,\d\d\d bytes and would unpack to 100,000,128; a file of that size may unpack to 64,000,000")


def test_sizes_that_the_archive_lies_about(write):
    whole = packed(target=npy(ROWS))
    size = struct.pack("<I", len(npy(ROWS)))
    assert whole.count(size) >= 2
    refused(write("a.npz", whole.replace(size, struct.pack("<I", 4_000_000_000))), "would unpack to 4,000,000,000")
    refused(write("b.npz", whole.replace(size, struct.pack("<I", 200))), "'target' of shape|not a readable npz")


def test_an_array_twice(write):
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr("target.npy", npy(ROWS))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("target.npy", npy(-ROWS))
    refused(write("a.npz", raw.getvalue()), "holds 'target.npy' twice")


def tensors(table: object, data: bytes = b"", *, length: int | None = None) -> bytes:
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(shape, begin: int, end: int, dtype: object = "F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tensors({}, length=2**63), "is cut off or is no safetensors file"),
        (b"", "is cut off"),
        (tensors(b"[" * 100_000), "nested too deep"),
        (tensors([]), "its header is no JSON object"),
        (tensors(b'{"a": {}, "a": {}}'), "'a' stands twice"),
        (tensors({"target": entry([2], 0, 8), "more": entry([2], 4, 12)}, bytes(12)), "'more' overlaps"),
        (tensors({"target": entry([2], 4, 12)}, bytes(12)), "leaves 4 bytes before it unused"),
        (tensors({"target": entry([2], 0, 8)}, bytes(9)), "bytes and should have"),
        (tensors({"target": entry([3], 0, 8)}, bytes(8)), "takes 12 bytes and has 8"),
        (tensors({"target": entry([2**62, 2**62], 0, 8)}, bytes(8)), "'target' of F32"),
        (tensors({"target": entry([-2], 0, 8)}, bytes(8)), "has shape .-2."),
        (tensors({"target": entry([2], 0, "8")}, bytes(8)), "has data_offsets"),
        (tensors({"target": entry([2], 0, 8, 4)}, bytes(8)), "is of type 4; known are"),
        (tensors({"target": 3}), "has no dtype, shape and data_offsets"),
        (tensors({"__metadata__": {"texts": 3}}), "its metadata are not texts"),
        (tensors({"target": entry([4], 0, 8, "BF16")}, bytes(8)), "target of type BF16; needed are floating numbers"),
        (tensors({"__metadata__": {"texts": "{}"}}), "no JSON list of texts"),
        (tensors({"__metadata__": {"texts": "[" * 9999}}), "nested too deep"),
        (tensors({"__metadata__": {"Texts": "[]"}}), "write 'texts'"),
    ],
)
def test_safetensors_headers(write, content, message):
    refused(write("a.safetensors", content), message)


def own(**changes) -> bytes:
    layout = {
        "axes": ["context", "layer", "width"],
        "layers": [5, 6],
        "blocks": {"Q": [0, 3], "K": [3, 6], "V": [6, 9]},
    }
    about = {"schema": "qkvcheck/activations/1", "layout": json.dumps(layout), "provenance": "{}"} | changes
    metadata = {name: value for name, value in about.items() if value is not None}
    return tensors({"__metadata__": metadata, "values": entry([4, 2, 9], 0, 288)}, ROWS.tobytes())


def layout(**changes) -> dict[str, str]:
    told = {"axes": ["context", "layer", "width"], "layers": [5, 6], "blocks": {"Q": [0, 9]}} | changes
    return {"layout": json.dumps({name: value for name, value in told.items() if value is not None})}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layout": None}, "layout"),
        ({"layout": "{"}, "is not JSON"),
        (layout(axes=None), "layout.axes is missing"),
        (layout(axes=["width"]), "axes are"),
        (layout(axes="width"), "axes"),
        (layout(layers=[5, 5]), "layers are .5, 5."),
        (layout(layers=["5", 6]), "layers.0. is '5'; it has to be a whole number"),
        (layout(layers=[5]), "not 1 layers"),
        (layout(blocks={"Q": [0, 10]}), "blocks up to 10"),
        (layout(blocks={"Q": [3, 0]}), "block 'Q' is 3 to 0"),
        (layout(blocks={"X": [0, 3]}), "block 'X'"),
        (layout(blocks={"Q": [0]}), "layout.blocks"),
        (layout(blocks={}), "blocks up to 0"),
        (layout(blocks={"Q": [0, 3], "V": [6, 9]}), "holds no K; needed are Q, K and V"),
        ({"provenance": "[]"}, "provenance that is no object"),
        ({"provenance": '{"texts": "3"}'}, "no JSON list of texts"),
        ({"provenance": '{"texts": "[\\"a\\"]"}'}, "has 1 texts for 4 contexts"),
    ],
)
def test_files_of_our_own_that_were_changed(write, changes, message):
    np.testing.assert_array_equal(read_submission(write("own.safetensors", own())).target.values, ROWS)
    refused(write("a.safetensors", own(**changes)), message)


def test_load_activations_holds_a_mask_to_its_tokens(tmp_path):
    axes, places = ("context", "layer", "token", "width"), {"Q": slice(0, 9)}
    values, mask = WORDS, np.ones((4, 3), dtype=bool)
    Activations(values, axes, (5, 6), places, mask).save(tmp_path / "a.safetensors")
    assert load_activations(tmp_path / "a.safetensors").mask.shape == (4, 3)
    Activations(values, axes, (5, 6), places, mask[:2]).save(tmp_path / "b.safetensors")
    with pytest.raises(CaptureError, match="not one of its tokens"):
        load_activations(tmp_path / "b.safetensors")


class Runs:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_no_pickle_ever_runs(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickled = pickle.dumps(Runs())
    for name in ("a.npz", "a.safetensors", "a.npy", "a.pt"):
        for content in (pickled, packed(target=header("'|O'", "(1,)") + pickled), packed(target=pickled)):
            refused(write(name, content), "a.*")
    assert not (tmp_path / "ran").exists()
    pickle.loads(pickled)
    assert (tmp_path / "ran").exists()


def test_nothing_blocks(tmp_path):
    for name in ("pipe.npz", "pipe.safetensors"):
        os.mkfifo(tmp_path / name)
        refused(tmp_path / name, "it is a pipe")
    (tmp_path / "a.npz").mkdir()
    refused(tmp_path / "a.npz", "it is a folder")


# Heads and stage ------------------------------------------------------------------------------------


def both_formats(tmp_path, *, stage=None, **changes):
    """Write a file of each format, and yield their paths."""
    given = arrays(target=ROWS[..., [0, 1, 2, 3, 4, 5, 6, 7]], widths=np.array([4, 2, 2]), **changes)
    np.savez(tmp_path / "a.npz", **given, **({} if stage is None else {"stage": np.array(stage)}))
    contiguous = {name: np.ascontiguousarray(array) for name, array in given.items()}
    save_file(contiguous, tmp_path / "a.safetensors", metadata=None if stage is None else {"stage": str(stage)})
    yield from (tmp_path / "a.npz", tmp_path / "a.safetensors")


def test_heads_and_stage_in_both_formats(tmp_path):
    for path in both_formats(tmp_path, stage="attention", heads=np.array([4, 2, 2])):
        found = read_submission(path)
        assert dict(found.target.heads) == {"Q": 4, "K": 2, "V": 2}
        assert found.stage == found.target.stage == Stage.ATTENTION
        rows = sample_of(found.target, layer=6, head=3).arrays[0]
        np.testing.assert_array_equal(rows, ROWS[:, 1][:, [3, 5, 7]])


def test_without_them_projections_are_assumed_and_no_heads_known(tmp_path):
    for path in both_formats(tmp_path):
        found = read_submission(path)
        assert (dict(found.target.heads), found.stage, found.target.stage) == ({}, None, Stage.PROJECTION)
        with pytest.raises(NotCapturedError, match="how many heads"):
            sample_of(found.target, layer=6, head=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"heads": np.array([3, 1, 1])},
            r"has heads \[3, 1, 1\] and widths \[4, 2, 2\]: 3 heads do not divide the width 4",
        ),
        ({"heads": np.array([4, 2])}, "they are the three numbers of heads of Q, K and V"),
        ({"heads": np.array([0, 1, 1])}, "Q has 0 heads; they are from 1"),
        ({"heads": np.array([1.0, 1.0, 1.0])}, "heads is float64"),
        ({"stage": "rotated"}, "has stage .*rotated.*; it is one of projection, attention"),
    ],
)
def test_heads_and_stages_that_make_no_sense(tmp_path, changes, message):
    for path in both_formats(tmp_path, **changes):
        refused(path, message)


def test_a_stage_that_is_no_text(tmp_path):
    np.savez(tmp_path / "a.npz", **arrays(stage=np.array([1, 2])))
    refused(tmp_path / "a.npz", "has stage of type int64")


def test_what_our_own_capture_says_is_read(tmp_path):
    places = {"Q": slice(0, 3), "K": slice(3, 6), "V": slice(6, 9)}
    heads = {"Q": 3, "K": 1, "V": 1}
    made = Activations(ROWS, ("context", "layer", "width"), (5, 6), places, heads=heads, stage=Stage.ATTENTION)
    made.save(tmp_path / "own.safetensors")
    found = read_submission(tmp_path / "own.safetensors")
    assert (dict(found.target.heads), found.stage) == (heads, Stage.ATTENTION)
