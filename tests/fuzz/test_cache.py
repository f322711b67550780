"""Kept numbers of untrained networks: damage decides nothing; it is as if the file were not there."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from qkvcheck.claims.untrained import _read as read_kept
from qkvcheck.claims.untrained import kept
from qkvcheck.files import write_document
from tests.fuzz.damage import altered, damaged, fuzz, plain_data, reads_or_refuses

VALUE = [[0.5, True], [None, "too few"], [[0.1, 0.2]]]


def test_kept_numbers(examples, tmp_path):
    path = tmp_path / "untrained-1.json"
    write_document(path, kept(VALUE))
    written = path.read_bytes()
    assert read_kept(path) == VALUE
    documents = altered(json.loads(written)) | plain_data()

    def check(content):
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())

        def read(path):
            assert read_kept(path) in (None, VALUE)

        assert reads_or_refuses(read, path, name="kept numbers")

    fuzz(damaged(written) | documents | st.binary(max_size=9), check, examples=examples)
