"""What is sealed opens whole, or not at all."""

import pytest
from cryptography.fernet import Fernet

from sla_plugin.errors import ConfigurationError
from sla_plugin.store.sealing import Sealer


def test_a_value_that_was_changed_does_not_open() -> None:
    sealer = Sealer([Fernet.generate_key().decode()])
    sealed = sealer.seal("whsec_secret")
    assert sealer.open(sealed) == "whsec_secret"
    for at in (10, len(sealed) // 2, len(sealed) - 10):
        changed = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]
        with pytest.raises(ConfigurationError) as problem:
            sealer.open(changed)
        assert "whsec" not in str(problem.value)


def test_the_same_secret_never_looks_the_same() -> None:
    sealer = Sealer([Fernet.generate_key().decode()])
    assert sealer.seal("x") != sealer.seal("x")
