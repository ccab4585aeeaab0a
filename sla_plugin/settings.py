"""Every setting in one table: it drives parsing, `sla-plugin settings` and the README's table (a test compares them)."""

import base64
import difflib
import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sla_plugin.errors import ConfigurationError

UNIX_SOCKET_LIMIT = 100  # bytes; the kernel takes 107, Redis appends a little to temporary names
YES, NO = {"1", "yes", "true", "on"}, {"0", "no", "false", "off"}
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LOG_FORMATS = ("text", "json")
HIDDEN = ("secret_keys", "metrics_token")  # settings whose values are shown nowhere


class Unfit(ValueError):
    """A value that a parser refuses; the message says what is expected."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One row: the environment variable, the attribute of `Settings`, the default as one would type it, the parser, one line of help.

    `shown` replaces the default in the documentation where the default is derived from other settings.
    """

    name: str
    attribute: str
    default: str
    parse: Callable[[str], Any]
    help: str
    shown: str = ""


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not value.isascii() or not value.isdigit() or not low <= int(value) <= high:
            raise Unfit(f"a whole number from {low} to {high}")
        return int(value)

    return parse


def _yes_or_no(value: str) -> bool:
    if value.lower() not in YES | NO:
        raise Unfit("yes or no")
    return value.lower() in YES


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value.upper() not in words:
            raise Unfit(f"one of {', '.join(words)}")
        return value.upper()

    return parse


def _one_of_small(*words: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value.lower() not in words:
            raise Unfit(f"one of {', '.join(words)}")
        return value.lower()

    return parse


def _token(value: str) -> str:
    if value and (len(value) < 16 or not value.isascii() or not value.isprintable() or " " in value):
        raise Unfit("at least 16 printable characters without blanks")
    return value


def _networks(value: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(word.strip()) for word in value.split(",") if word.strip())
    except ValueError:
        raise Unfit("networks such as 127.0.0.1/32 or 10.1.0.0/16, separated by commas") from None


def _host(value: str) -> str:
    if not value or any(character in value for character in "/ "):
        raise Unfit("an address to listen on, such as 127.0.0.1 or 0.0.0.0")
    return value


def _folder(value: str) -> Path:
    return Path(value).expanduser().absolute()


def _readable_file(value: str) -> Path | None:
    path = Path(value).expanduser().absolute() if value else None
    if path is not None and not (path.is_file() and os.access(path, os.R_OK)):
        raise Unfit("a file that this process can read")
    return path


def _database_url(value: str) -> str:
    scheme, separator, rest = value.partition("://")
    if scheme in ("postgres", "postgresql"):
        return f"postgresql+psycopg://{rest}"
    if value and (not separator or scheme not in ("postgresql+psycopg", "sqlite")):
        raise Unfit("postgresql://user:password@host/database or sqlite:////path/to/file.db")
    return value


def _redis_url(value: str) -> str:
    if value and urlsplit(value).scheme not in ("redis", "rediss", "unix"):
        raise Unfit("redis://host:port/0, rediss://host:port/0 or unix:///path/to/socket")
    return value


def _public_url(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.netloc):
        raise Unfit("an address such as https://sla.example.com")
    return value.rstrip("/")


def fernet_keys(value: str) -> tuple[str, ...]:
    """Keys written down with commas between them. Raises Unfit for one that is none."""
    keys = tuple(key.strip() for key in value.split(",") if key.strip())
    for key in keys:
        try:
            length = len(base64.urlsafe_b64decode(key))
        except ValueError:
            length = 0
        if length != 32:
            raise Unfit("Fernet keys (32 bytes in URL-safe base64), separated by commas")
    return keys


SETTINGS = (
    Setting(
        "DATABASE_URL",
        "database_url",
        "",
        _database_url,
        "Where all is kept: SQLite, or `postgresql://user:password@host/database`.",
        "SQLite in the data folder",
    ),
    Setting("REDIS_URL", "redis_url", "", _redis_url, "Redis that wakes the workers. It holds no truth: losing it loses nothing.", "an embedded server"),
    Setting("SLA_DATA_DIR", "data_dir", "data", _folder, "Folder of the SQLite database, the embedded Redis, the key file and the state of the parts."),
    Setting("SLA_HOST", "host", "127.0.0.1", _host, "Address the web server listens on."),
    Setting("SLA_PORT", "port", "8080", _whole(0, 65535), "Port the web server listens on; 0 takes a free one."),
    Setting("SLA_PUBLIC_URL", "public_url", "", _public_url, "Address under which helpdesks and people reach the plugin.", "`http://SLA_HOST:SLA_PORT`"),
    Setting("SLA_ALLOW_PRIVATE_URLS", "allow_private_urls", "no", _yes_or_no, "Opens loopback and private addresses as base URLs of connections."),
    Setting(
        "SLA_SECRET_KEYS",
        "secret_keys",
        "",
        fernet_keys,
        "Fernet keys for stored credentials, separated by commas; the first encrypts.",
        "`secret.key` in the data folder",
    ),
    Setting("SLA_TENANT", "tenant", "", str, "Name of the tenant that commands work on; `sla-plugin --tenant NAME` says it for one.", "the only one"),
    Setting("SLA_LOG_LEVEL", "log_level", "INFO", _one_of(*LOG_LEVELS), f"How much the parts say: {', '.join(LOG_LEVELS)}."),
    Setting("SLA_LOG_FORMAT", "log_format", "text", _one_of_small(*LOG_FORMATS), "How lines look: `text` for people, `json` for machines."),
    Setting(
        "SLA_TRUSTED_PROXIES",
        "trusted_proxies",
        "",
        _networks,
        "Networks of your own proxies, such as `10.0.0.2/32`: who asks is then taken from their X-Forwarded-For. Nobody else is believed.",
        "none",
    ),
    Setting(
        "SLA_METRICS_TOKEN",
        "metrics_token",
        "",
        _token,
        "Who sends it as a bearer token may read `/metrics`; at least 16 characters.",
        "nobody",
    ),
    Setting(
        "SLA_METRICS_NETWORKS",
        "metrics_networks",
        "",
        _networks,
        "Networks that may read `/metrics` without a token, such as `127.0.0.1/32, 10.1.0.0/16`; behind a proxy that is not trusted everybody is the proxy.",
        "none",
    ),
    Setting(
        "SLA_COMMON_PASSWORDS",
        "common_passwords",
        "",
        _readable_file,
        "A file of passwords that nobody may choose, one a line, in any case; read when somebody sets one.",
        "none",
    ),
    Setting("SLA_WEB_THREADS", "web_threads", "8", _whole(1, 64), "Threads of each process of the web server."),
    Setting("SLA_WEB_PROCESSES", "web_processes", "2", _whole(1, 64), "Processes of the web server under gunicorn; `up` and SQLite have one."),
    Setting("SLA_API_TOKEN_RATE", "api_token_rate", "600", _whole(1, 1_000_000), "Requests a minute that one token may make of the API."),
    Setting(
        "SLA_API_ADDRESS_RATE",
        "api_address_rate",
        "1200",
        _whole(1, 1_000_000),
        "Requests a minute that the API takes from one network address, any token or none.",
    ),
    Setting("SLA_OUTBOX_THREADS", "outbox_threads", "4", _whole(1, 32), "Calls to helpdesks under way at the same time."),
    Setting("SLA_BATCH_SIZE", "batch_size", "200", _whole(1, 500), "Deliveries applied in one transaction, at most."),
    Setting("SLA_SETTLE_DAYS", "settle_days", "4", _whole(0, 60), "Days after which a resolved ticket that nobody reopened is final."),
    Setting("SLA_RAW_DAYS", "raw_days", "30", _whole(1, 3650), "Days for which raw webhook bodies are kept, at most; a tenant may say less."),
)
NAMES = {row.name for row in SETTINGS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the operator decided; the attributes are explained in SETTINGS. Derived values are filled in.

    Empty may be `secret_keys`, `tenant` and `common_passwords` alone.

    embedded_redis   True where `redis_url` is the socket of the server that `up` runs itself
    """

    database_url: str
    redis_url: str
    embedded_redis: bool
    data_dir: Path
    host: str
    port: int
    public_url: str
    allow_private_urls: bool
    secret_keys: tuple[str, ...]
    tenant: str
    log_level: str
    log_format: str
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    metrics_token: str
    metrics_networks: tuple[IPv4Network | IPv6Network, ...]
    common_passwords: Path | None
    web_threads: int
    web_processes: int
    api_token_rate: int
    api_address_rate: int
    outbox_threads: int
    batch_size: int
    settle_days: int
    raw_days: int

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> "Settings":
        """Settings from environment variables. Raises ConfigurationError that names variable, value and what is expected."""
        for name in environment:
            # a slip of the pen must not pass silently; a variable that is like none of ours belongs to somebody else
            if name.startswith("SLA_") and name not in NAMES and (nearest := difflib.get_close_matches(name, NAMES, n=1, cutoff=0.8)):
                raise ConfigurationError(f"{name} is not a setting; did you mean {nearest[0]}? `sla-plugin settings` lists all")
        values = {row.attribute: _parsed(row, environment.get(row.name) or row.default) for row in SETTINGS}
        values["embedded_redis"] = not values["redis_url"]
        values["redis_url"] = values["redis_url"] or f"unix://{redis_socket(values['data_dir'])}"
        values["database_url"] = values["database_url"] or f"sqlite:///{values['data_dir'] / 'sla.db'}"
        values["public_url"] = values["public_url"] or local_url(values["host"], values["port"])
        return cls(**values)


def _parsed(row: Setting, value: str) -> Any:
    try:
        return row.parse(value.strip())
    except Unfit as problem:
        shown = "(hidden)" if row.attribute in HIDDEN else repr(value)
        raise ConfigurationError(f"{row.name} is {shown}: expected {problem}") from None


def local_url(host: str, port: int) -> str:
    """The address of the web server as seen from this machine."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - translated here, never bound
    reachable = everywhere.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{reachable}:{port}"


def redis_socket(data_dir: Path) -> Path:
    """The embedded Redis' socket: in the data folder, or in a short private folder where that path is too long for a socket."""
    inside = data_dir / "redis.sock"
    if len(os.fsencode(inside)) <= UNIX_SOCKET_LIMIT:
        return inside
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"sla-plugin-{os.getuid()}-{digest}" / "redis.sock"


def settings_table_markdown() -> str:
    """The README's configuration table."""
    lines = ["| variable | default | what |", "|---|---|---|"]
    for row in SETTINGS:
        lines.append(f"| `{row.name}` | {row.shown or f'`{row.default}`'} | {row.help} |")
    return "\n".join(lines) + "\n"
