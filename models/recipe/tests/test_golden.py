"""The Rust tests hold falld's road to files that this recipe wrote: they are what it would write today."""

import json

import pytest

import golden


@pytest.mark.parametrize("name", golden.PARTS)
def test_rust_is_held_to_todays_road(name):
    assert json.loads((golden.FOLDER / f"{name}.json").read_text()) == golden.cases(name)
