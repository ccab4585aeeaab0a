"""A backup restored, into either database, exports the same bytes and goes on; what must not be restored is refused, and nothing is ever half restored."""

import gzip
import io
import json
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import String, insert

from sla_plugin.cli import main
from sla_plugin.reports.exports import EXPORTS
from sla_plugin.services.people import invite
from sla_plugin.services.restore_backup import check_backup
from sla_plugin.services.tenant_settings import change_settings
from sla_plugin.services.write_backup import write_backup
from sla_plugin.settings import Settings
from sla_plugin.store import schema, snapshot
from sla_plugin.store.db import open_database
from sla_plugin.store.deliveries import delivery_row, insert_deliveries
from sla_plugin.store.duties import Duty
from tests.plant import KEY, MINUTE, OFFICE, Plant, iso

Run = Callable[..., Any]
BOTH = pytest.mark.parametrize("to", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])


class Place:
    """An installation that commands are run on."""

    def __init__(self, url: str, folder: Path, key: str = KEY) -> None:
        self.environment = {"DATABASE_URL": url, "SLA_DATA_DIR": str(folder), "SLA_SECRET_KEYS": key, "SLA_ALLOW_PRIVATE_URLS": "yes"}

    def run(self, *words: str, code: int = 0) -> str:
        result = CliRunner(env=self.environment).invoke(main, words)
        assert result.exit_code == code, result.output
        return result.stderr if code else result.stdout

    def exports(self) -> dict[str, str]:
        return {kind: self.run("export", kind, "--ids") for kind in EXPORTS}

    def settings(self) -> Settings:
        return Settings.from_env(self.environment)


@pytest.fixture
def plant(settings: Settings) -> Iterator[Plant]:
    """Something in every export: clocks that run, wait, were met and broken, a correction, a call that failed, a delivery nobody could read."""
    made = Plant(settings)
    made.policy(calendars={"Office": OFFICE}, targets={"first_response": "1h", "resolution": "4h"}, calendar="Office")
    first = made.now
    for number in range(8):
        ticket, values = f"T{number}", {"subject": "Drücker ☃", "tags": ["a"]}
        made.tell({"type": "ticket.created", "id": f"c{number}", "ticket": ticket, "occurred_at": iso(made.now), "values": values})
        made.now += MINUTE
    made.pass_time(made.now + 61 * MINUTE)
    made.tell({"type": "ticket.updated", "id": "u", "ticket": "T1", "occurred_at": iso(made.now), "values": {"status": "solved"}})
    made.deliver(body=b"\x00\xff not JSON")
    made.apply()
    made.pass_time("2026-11-21T12:00")
    made.tell({"type": "message.added", "id": "late", "ticket": "T1", "occurred_at": iso(first + 5 * MINUTE), "values": {"public": True}})
    made.tell({"type": "ticket.created", "id": "open", "ticket": "OPEN", "occurred_at": iso(made.now)})  # breaks on Monday at 10:00
    yield made
    made.close()


@pytest.fixture
def here(plant: Plant, settings: Settings, tmp_path: Path) -> Place:
    return Place(settings.database_url, tmp_path)


@pytest.fixture
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Place]:
    def place(kind: str) -> Place:
        folder = tmp_path / "there"
        return Place(request.getfixturevalue("blank_postgres_url") if kind == "postgres" else f"sqlite:///{folder / 'sla.db'}", folder)

    return place


@BOTH
def test_restored_it_exports_the_same_and_goes_on(plant: Plant, here: Place, there: Callable[[str], Place], to: str, tmp_path: Path) -> None:
    told = json.loads(here.run("backup", str(tmp_path / "b.tar.gz")))
    assert told["rows"]["ticket"] == 9
    assert "secret.key" in told["note"]
    assert (tmp_path / "b.tar.gz").stat().st_mode & 0o077 == 0
    other = there(to)
    answer = json.loads(other.run("restore", str(tmp_path / "b.tar.gz")))
    assert answer["secrets_not_opened"] == []
    assert answer["rows"] == told["rows"]
    exported = here.exports()
    assert other.exports() == exported
    assert all(exported[kind].count("\n") > 2 for kind in ("deliveries", "events", "tickets", "clocks", "records", "alerts", "commands"))
    assert "secret" not in gzip.decompress((tmp_path / "b.tar.gz").read_bytes()).decode(errors="ignore").replace("sealed_secrets", "")

    goes_on = Plant.__new__(Plant)
    goes_on.__dict__.update(plant.__dict__)
    goes_on.database = open_database(other.settings().database_url, tmp_path / "there")
    try:
        goes_on.pass_time("2026-11-23T10:00:01")
        assert [row["external_id"] for row in goes_on.rows("alert") if row["level"] == "breach" and row["due_at"] > plant.now] == ["OPEN"]
    finally:
        goes_on.close()


@BOTH
def test_every_table_and_every_kind_of_value(sqlite_url: str, there: Callable[[str], Place], to: str, tmp_path: Path) -> None:
    """A row in each table, with every column filled: there and back again, the same."""

    def value(column: Any) -> Any:
        kind = next(kind for kind, known in snapshot.KINDS.items() if isinstance(column.type, type(known)))
        text = ("ä☃'\"\\\n\u2028" * 40)[: column.type.length] if isinstance(column.type, String) and column.type.length else "x\r\n\ty"
        number = 2**62 if column.name != "id" else 7
        return {"integer": number, "boolean": True, "json": {"b": [1, None, 1.5, text], "a": {}}, "bytes": bytes(range(256))}.get(kind, text)

    folder = tmp_path / "from"
    folder.mkdir()
    database = open_database(sqlite_url, folder)
    with database.transaction(Duty.BACKUP) as tx:
        for table in schema.METADATA.sorted_tables:
            row = {column.name: value(column) for column in table.columns}
            row |= {"tenant_id": 1} if "tenant_id" in row else {}
            row |= {"connection_state": {"connection_id": 7}, "calendar_feed": {"calendar_id": 7}}.get(table.name, {})
            tx.execute(insert(table).values(row))
    with database.snapshot(Duty.BACKUP) as tx:
        write_backup(tx, tmp_path / "one", 1)
        assert {table: len(rows) for table in snapshot.described() for rows in snapshot.read_chunks(tx, table)} == dict.fromkeys(snapshot.described(), 1)
    database.engine.dispose()

    place = there(to)
    place.run("restore", str(tmp_path / "one"))
    there_now = open_database(place.settings().database_url, tmp_path / "there")
    with there_now.snapshot(Duty.BACKUP) as tx:
        write_backup(tx, tmp_path / "two", 1)
    there_now.engine.dispose()
    assert read(tmp_path / "two") == read(tmp_path / "one")


def read(path: Path) -> dict[str, Any]:
    with tarfile.open(path) as archive:
        files = {member.name: archive.extractfile(member) for member in archive}
        return {name: [json.loads(line) for line in file] if "rows/" in name else None for name, file in files.items() if file is not None}


def test_a_copy_writes_nothing(plant: Plant, here: Place, there: Callable[[str], Place], tmp_path: Path) -> None:
    with plant.database.transaction(plant.tenant) as tx:
        typed = {"mail_host": "smtp.example.com", "mail_sender": "help@example.com"}
        change_settings(tx, plant.tenant, typed, plant.now, "test", plant.outside.sealer)
        invite(tx, plant.tenant, "ivy@example.com", "Ivy", "agent", plant.now, "test", plant.outside)
    here.run("backup", str(tmp_path / "b"))
    place = there("sqlite")
    place.run("restore", "--as-copy", str(tmp_path / "b"))
    assert {one["mode"] for one in json.loads(place.run("connections", "list"))} == {"dry_run"}
    assert [(one["to"], one["state"]) for one in json.loads(place.run("mail", "list"))] == [("ivy@example.com", "cancelled")]
    assert "sealed" not in place.run("mail", "list")


def test_another_key_is_said(here: Place, there: Callable[[str], Place], tmp_path: Path) -> None:
    here.run("backup", str(tmp_path / "b"))
    place = there("sqlite")
    place.environment["SLA_SECRET_KEYS"] = "YW5vdGhlciBrZXk6IHRlc3RzIG9ubHkgMDEyMzQ1Njc="
    answer = json.loads(place.run("restore", str(tmp_path / "b")))
    assert answer["secrets_not_opened"] == ["crm"]
    assert "SLA_SECRET_KEYS" in answer["note"]


def test_an_older_backup_is_brought_up_to_date(
    plant: Plant, here: Place, there: Callable[[str], Place], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are loaded into the tables of its time, then the migrations that came since run over them."""
    here.run("backup", str(tmp_path / "b"))
    place = there("sqlite")
    ran: list[str | None] = []
    upgrade = schema.upgrade

    def note(engine: Any, to: str | None = None, *rest: Any) -> bool:
        ran.append(to)
        return upgrade(engine, to, *rest)

    monkeypatch.setattr(schema, "upgrade", note)
    place.run("restore", str(tmp_path / "b"))
    assert ran == [schema.REVISION, None]


# --- what is refused ---------------------------------------------------------------------------------------------------
def rewritten(path: Path, change: Callable[[str, bytes], bytes | None]) -> None:
    """The same archive with members changed or left out."""
    with tarfile.open(path) as archive:
        members = [(member.name, archive.extractfile(member)) for member in archive]
        contents = [(name, change(name, file.read())) for name, file in members if file is not None]
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents:
            if content is not None:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))


def head_with(**members: Any) -> Callable[[str, bytes], bytes]:
    return lambda name, content: json.dumps({**json.loads(content), **members}).encode() if name == "head.json" else content


def in_rows(old: bytes, new: bytes) -> Callable[[str, bytes], bytes]:
    return lambda name, content: content.replace(old, new) if name.startswith("rows/ticket/") else content


def without(start: str) -> Callable[[str, bytes], bytes | None]:
    return lambda name, content: None if name.startswith(start) else content


REFUSED: Mapping[str, tuple[Callable[[Path], None], str]] = {
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-100]), "is damaged"),
    "cut at half": (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), "is damaged"),
    "a byte changed": (lambda path: path.write_bytes(flipped(path.read_bytes())), "is damaged"),
    "no backup": (lambda path: path.write_bytes(b"hello"), "no backup of ours"),
    "empty": (lambda path: path.write_bytes(b""), "no backup of ours"),
    "a value changed": (lambda path: rewritten(path, in_rows(b"T1", b"T9")), "rows are missing or changed"),
    "a chunk left out": (
        lambda path: rewritten(path, without("rows/ticket/")),
        "rows are missing or changed",
    ),
    "no end": (lambda path: rewritten(path, without("manifest.json")), "its end is missing"),
    "a newer version": (lambda path: rewritten(path, head_with(revision="9999")), "made by a newer version (revision 9999"),
    "another format": (lambda path: rewritten(path, head_with(format="of-tomorrow")), "format 'of-tomorrow' is not known"),
    "not there": (lambda path: path.unlink(), "cannot be read (No such file or directory)"),
}


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", REFUSED)
def test_refused(here: Place, there: Callable[[str], Place], tmp_path: Path, name: str) -> None:
    here.run("backup", str(tmp_path / "b"))
    spoil, said = REFUSED[name]
    spoil(tmp_path / "b")
    place = there("sqlite")
    assert said in place.run("restore", str(tmp_path / "b"), code=1)
    assert not (tmp_path / "there").exists(), "nothing is begun before the file is known to be whole"


def test_a_database_with_rows_is_refused(here: Place, plant: Plant, tmp_path: Path) -> None:
    here.run("backup", str(tmp_path / "b"))
    before = here.exports()
    assert "the database is not empty (table alert has rows)" in here.run("restore", str(tmp_path / "b"), code=1)
    assert here.exports() == before


def test_nothing_is_overwritten(here: Place, tmp_path: Path) -> None:
    (tmp_path / "b").write_text("mine")
    assert "exists already" in here.run("backup", str(tmp_path / "b"), code=1)
    assert (tmp_path / "b").read_text() == "mine"
    assert "cannot be written (No such file or directory)" in here.run("backup", str(tmp_path / "no" / "b"), code=1)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".b.")] == []


@BOTH
def test_never_half(here: Place, there: Callable[[str], Place], to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It breaks off after some tables: nothing is there, and the next try works."""
    here.run("backup", str(tmp_path / "b"))
    place = there(to)
    write, done = snapshot.insert_rows, []

    def break_off(tx: Any, table: Any, rows: Any, **words: Any) -> Any:
        done.append(table.name)
        if len(done) == 5:
            raise MemoryError
        return write(tx, table, rows, **words)

    with monkeypatch.context() as broken:
        broken.setattr(snapshot, "insert_rows", break_off)
        assert isinstance(CliRunner(env=place.environment).invoke(main, ["restore", str(tmp_path / "b")]).exception, MemoryError)
    assert len(done) == 5
    place.run("restore", str(tmp_path / "b"))
    assert place.exports() == here.exports()


def test_memory_does_not_grow_with_the_data(plant: Plant, tmp_path: Path) -> None:
    """40 MB of bodies go through a few."""
    with plant.database.transaction(plant.tenant) as tx:
        insert_deliveries(tx, [delivery_row(plant.tenant, plant.crm, f"big-{n}", plant.now, {}, bytes(200_000)) for n in range(200)])
    tracemalloc.start()
    try:
        with plant.database.snapshot(Duty.BACKUP) as tx:
            assert write_backup(tx, tmp_path / "big", plant.now)["delivery"] >= 200
        check_backup(tmp_path / "big")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 25_000_000
