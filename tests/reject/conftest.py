"""Fixtures of the refusal tests: the engine's verifier, and what it must say."""

import pytest

from kjax import errors


@pytest.fixture(scope="session")
def verify():
    """The verifier of the engine that kjax is built with: bytes -> facts, raises VerifyError or LimitError."""
    from kjax import _engine

    return _engine.verify


@pytest.fixture
def refuses(verify):
    """``refuses(data, status, instruction=None)``: the verifier refuses ``data`` so, in a whole sentence."""

    def check(data, status, instruction=None):
        with pytest.raises(errors.KjaxError) as caught:
            verify(data)
        error = caught.value
        sentence = str(error).splitlines()[0]
        assert error.status is not None and error.status.name == status, sentence
        assert "%" not in sentence and len(sentence) > len(status) + 10
        if instruction is not None:
            assert sentence.startswith(f"instruction {instruction} (")
            assert isinstance(error, errors.LimitError) or error.instruction == instruction
        return sentence

    return check
