"""Settings: every value is checked where it enters, and every refusal says what is expected."""

import os
import stat
from pathlib import Path

import pytest

from sla_plugin.errors import ConfigurationError
from sla_plugin.key_ring import secret_keys
from sla_plugin.settings import SETTINGS, UNIX_SOCKET_LIMIT, Settings, redis_socket, settings_table_markdown

KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def test_defaults_are_filled_in(tmp_path: Path) -> None:
    settings = Settings.from_env({"SLA_DATA_DIR": str(tmp_path)})
    assert settings.database_url == f"sqlite:///{tmp_path}/sla.db"
    assert settings.embedded_redis
    assert settings.redis_url == f"unix://{redis_socket(tmp_path)}"
    assert settings.public_url == "http://127.0.0.1:8080"
    assert not settings.allow_private_urls


@pytest.mark.parametrize(
    ("variable", "given", "attribute", "expected"),
    [
        ("DATABASE_URL", "postgres://u:p@h/d", "database_url", "postgresql+psycopg://u:p@h/d"),
        ("DATABASE_URL", "postgresql://u:p@h/d", "database_url", "postgresql+psycopg://u:p@h/d"),
        ("DATABASE_URL", "postgresql+psycopg://h/d", "database_url", "postgresql+psycopg://h/d"),
        ("DATABASE_URL", "sqlite:////x/y.db", "database_url", "sqlite:////x/y.db"),
        ("REDIS_URL", "redis://h:6379/1", "redis_url", "redis://h:6379/1"),
        ("SLA_PORT", "0", "port", 0),
        ("SLA_PORT", " 9000 ", "port", 9000),
        ("SLA_HOST", "0.0.0.0", "public_url", "http://127.0.0.1:8080"),
        ("SLA_HOST", "::1", "public_url", "http://[::1]:8080"),
        ("SLA_PUBLIC_URL", "https://sla.example.com/", "public_url", "https://sla.example.com"),
        ("SLA_ALLOW_PRIVATE_URLS", "Yes", "allow_private_urls", True),
        ("SLA_ALLOW_PRIVATE_URLS", "0", "allow_private_urls", False),
        ("SLA_LOG_LEVEL", "debug", "log_level", "DEBUG"),
        ("SLA_SECRET_KEYS", f"{KEY}, {KEY}", "secret_keys", (KEY, KEY)),
        ("SLA_COMMON_PASSWORDS", "", "common_passwords", None),
        ("SLA_COMMON_PASSWORDS", __file__, "common_passwords", Path(__file__).absolute()),
        ("SLA_BATCH_SIZE", "", "batch_size", 200),
    ],
    ids=lambda value: str(value)[:30],
)
def test_values(variable: str, given: str, attribute: str, expected: object) -> None:
    assert getattr(Settings.from_env({variable: given}), attribute) == expected


@pytest.mark.parametrize(
    ("variable", "value", "part"),
    [
        ("SLA_PORT", "abc", "SLA_PORT is 'abc': expected a whole number from 0 to 65535"),
        ("SLA_PORT", "65536", "from 0 to 65535"),
        ("SLA_PORT", "-1", "from 0 to 65535"),
        ("SLA_PORT", "٣", "from 0 to 65535"),
        ("SLA_BATCH_SIZE", "501", "from 1 to 500"),
        ("SLA_ALLOW_PRIVATE_URLS", "maybe", "yes or no"),
        ("SLA_LOG_LEVEL", "loud", "one of DEBUG"),
        ("SLA_HOST", "http://x", "an address to listen on"),
        ("SLA_PUBLIC_URL", "sla.example.com", "https://"),
        ("DATABASE_URL", "mysql://h/d", "postgresql://"),
        ("DATABASE_URL", "sla.db", "postgresql://"),
        ("REDIS_URL", "localhost:6379", "redis://"),
        ("SLA_SECRET_KEYS", "short", "Fernet keys"),
        ("SLA_COMMON_PASSWORDS", "/nowhere/list.txt", "a file that this process can read"),
        ("SLA_PROT", "8080", "did you mean SLA_PORT?"),
    ],
)
def test_refusals_name_variable_and_expectation(variable: str, value: str, part: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        Settings.from_env({variable: value})
    assert variable in str(refusal.value)
    assert part in str(refusal.value)


def test_a_refused_key_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        Settings.from_env({"SLA_SECRET_KEYS": "hunter2"})
    assert "hunter2" not in str(refusal.value)


def test_variables_of_others_are_ignored() -> None:
    assert Settings.from_env({"PATH": "/bin", "REDIS_HOST": "x"}) == Settings.from_env({})


def test_key_file_is_made_once_and_private(tmp_path: Path) -> None:
    settings = Settings.from_env({"SLA_DATA_DIR": str(tmp_path / "new")})
    keys = secret_keys(settings)
    assert secret_keys(settings) == keys
    file = tmp_path / "new" / "secret.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == ["secret.key"]


def test_given_keys_need_no_file(tmp_path: Path) -> None:
    settings = Settings.from_env({"SLA_DATA_DIR": str(tmp_path), "SLA_SECRET_KEYS": KEY})
    assert secret_keys(settings) == (KEY,)
    assert not list(tmp_path.iterdir())


def test_damaged_key_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_text("rubbish")
    with pytest.raises(ConfigurationError, match="is damaged"):
        secret_keys(Settings.from_env({"SLA_DATA_DIR": str(tmp_path)}))


@pytest.mark.parametrize("folder", ["/d", "/" + "long/" * 40], ids=["short", "long"])
def test_redis_socket_fits(folder: str) -> None:
    path = redis_socket(Path(folder))
    assert len(os.fsencode(path)) <= UNIX_SOCKET_LIMIT
    assert path == redis_socket(Path(folder))
    assert path != redis_socket(Path(folder) / "other")


def test_every_setting_reaches_an_attribute_and_the_table() -> None:
    table = settings_table_markdown()
    for row in SETTINGS:
        assert row.attribute in Settings.__slots__
        assert f"| `{row.name}` |" in table
        assert row.help.endswith(".")


def test_a_slip_of_the_pen_is_refused_and_a_strangers_variable_is_not() -> None:
    with pytest.raises(ConfigurationError, match="did you mean SLA_PORT"):
        Settings.from_env({"SLA_PROT": "8080"})
    assert Settings.from_env({"SLA_SOMETHING_OF_SOMEBODY_ELSE": "x"}) == Settings.from_env({})
