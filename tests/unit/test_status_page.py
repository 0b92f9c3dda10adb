"""The status page has words in two languages for all that it may have to show."""

from importlib.resources import files

import pytest

from anxin.domain.connector_status import State
from anxin.domain.message import Kind

PAGE = (files("anxin.faces") / "pages" / "status.html").read_text("utf-8")


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_message_has_its_words(kind: Kind) -> None:
    assert f'"{kind.value}": ["' in PAGE


@pytest.mark.parametrize("state", State)
def test_every_state_of_a_connector_has_its_words(state: State) -> None:
    assert f'{state.value}: ["' in PAGE
