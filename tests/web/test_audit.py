"""The audit trail tells of every tampering that it can, and the page finds and exports."""

import json
import re
from collections.abc import Callable
from html import unescape

import pytest
from sqlalchemy import insert, text, update

from sla_plugin.reports.audit_trail import verify_audit
from sla_plugin.store.audit import AuditEntry, AuditHead, append_audit, audit_head, chain_digest, content_digest
from sla_plugin.store.db import Transaction
from tests.web.conftest import browser_of
from tests.web.world import NOW, World


def tampered(world: World, *statements: str) -> tuple[int, str | None]:
    """The verdict after somebody who may do everything has been at it."""
    with world.runtime.database.reading(world.tenant) as tx:
        for n in range(9):
            append_audit(tx, world.tenant, NOW + n, "Kim", f"thing {n}", {"n": n, "before": None, "after": {"x": n}})
        if tx.is_postgres:
            tx.execute(text("RESET ROLE"))
        for statement in statements:
            tx.execute(text(statement))
        verdict = verify_audit(tx, world.tenant)
    return verdict.number, verdict.problem


@pytest.mark.parametrize(
    ("statement", "number", "problem"),
    [
        pytest.param("UPDATE audit_entry SET changes = '{}' WHERE number = 3", 3, "content was changed", id="content"),
        pytest.param("UPDATE audit_entry SET actor = 'Ida' WHERE number = 4", 4, "actor, time", id="actor"),
        pytest.param("UPDATE audit_entry SET at = at + 1 WHERE number = 4", 4, "actor, time", id="time"),
        pytest.param("DELETE FROM audit_entry WHERE number = 5", 5, "missing", id="removed"),
        pytest.param("DELETE FROM audit_entry WHERE number = 1", 1, "missing", id="first removed"),
        pytest.param("DELETE FROM audit_entry WHERE number > 7", 8, "cut off", id="tail"),
        pytest.param("UPDATE audit_entry SET number = CASE number WHEN 6 THEN 99 ELSE number END", 6, "missing", id="renumbered"),
        pytest.param("UPDATE audit_entry SET previous = chain WHERE number = 2", 2, "does not follow", id="previous"),
    ],
)
def test_tampering_is_found(small_world: World, statement: str, number: int, problem: str) -> None:
    found = tampered(small_world, statement)
    assert found[0] == number
    assert problem in str(found[1])


def test_two_entries_that_changed_places_are_found(small_world: World) -> None:
    moves = [f"UPDATE audit_entry SET number = {new} WHERE number = {old}" for old, new in ((3, 103), (4, 3), (103, 4))]
    assert tampered(small_world, *moves)[0] == 3


def test_an_entry_put_in_at_the_end_is_found(small_world: World) -> None:
    columns = "at, actor, what, changes, salt, digest, previous, chain, tenant_id"
    copy = f"INSERT INTO audit_entry (number, id, {columns}) SELECT number + 1, id + 1, {columns} FROM audit_entry WHERE number = 9"
    assert tampered(small_world, copy)[0] == 10


def test_a_whole_trail_and_its_anchor(world: World) -> None:
    def verdict(change: Callable[[Transaction], None] = lambda tx: None) -> str | None:
        with world.runtime.database.reading(world.tenant) as tx:
            change(tx)
            return verify_audit(tx, world.tenant, anchor).problem

    with world.runtime.database.reading(world.tenant) as tx:
        number, chain = audit_head(tx, world.tenant)
    assert number > 10
    anchor: str | None = None
    assert verdict() is None
    anchor = f"{number}:{chain}"
    assert verdict() is None

    def cut_and_set_back(tx: Transaction) -> None:
        if tx.is_postgres:
            tx.execute(text("RESET ROLE"))
        tx.execute(text(f"DELETE FROM audit_entry WHERE number > {number - 2}"))
        head = f"(SELECT chain FROM audit_entry WHERE number = {number - 2} AND tenant_id = {world.tenant})"
        tx.execute(text(f"UPDATE audit_head SET number = {number - 2}, chain = {head}"))

    assert "ends before the anchor" in str(verdict(cut_and_set_back)), "what only an anchor kept elsewhere finds"
    anchor = f"{number - 1}:{chain}"
    assert "not the entry" in str(verdict())


def test_erased_content_leaves_the_chain_whole(small_world: World) -> None:
    assert tampered(small_world, "UPDATE audit_entry SET changes = '{}', salt = '' WHERE number = 3") == (9, None)


def test_entries_from_before_there_were_digests_still_verify_and_can_lose_their_actor(small_world: World) -> None:
    def verdict(*statements: str) -> tuple[int, str | None, int]:
        with small_world.runtime.database.reading(small_world.tenant) as tx:
            previous = ""
            for number in (1, 2, 3):  # as revision 0008 wrote them
                digest = content_digest("aa", {"n": number})
                chain = chain_digest(previous, number, NOW, "Kim <kim@x>", "thing", digest)
                row = {"number": number, "at": NOW, "actor": "Kim <kim@x>", "what": "thing", "changes": {"n": number}, "salt": "aa", "digest": digest}
                tx.execute(insert(AuditEntry).values(tenant_id=small_world.tenant, id=number, previous=previous, chain=chain, **row))
                previous = chain
            tx.execute(update(AuditHead).where(AuditHead.tenant_id == small_world.tenant).values(number=3, chain=previous))
            for number in (4, 5):
                append_audit(tx, small_world.tenant, NOW, "Kim", "thing", {"n": number})
            for statement in statements:
                tx.execute(text(statement))
            found = verify_audit(tx, small_world.tenant)
            return found.number, found.problem, found.erased

    gone = "UPDATE audit_entry SET actor = 'erased person 1', actor_salt = '', actor_digest = %s WHERE number = %d"
    assert verdict() == (5, None, 0)
    assert verdict(gone % ("''", 2)) == (5, None, 1)
    assert verdict(gone % ("actor_digest", 5)) == (5, None, 1)
    assert verdict("UPDATE audit_entry SET actor = 'Ida' WHERE number = 2")[:1] == (2,)
    assert "digest is gone" in str(verdict(gone % ("''", 5))[1]), "what only old entries may lack"


def test_the_page_finds_exports_and_verifies(world: World) -> None:
    browser = browser_of(world, "ula@example.com")
    assert "The chain is whole" in browser.get("/audit?verify=1")
    found = browser.get("/audit?actor=kim&what=signed")
    assert "signed in" not in found.partition("<tbody>")[2]
    assert "signed in" in browser.get("/audit?actor=ula&since=2026-11-04&until=2026-11-04").partition("<tbody>")[2]
    assert "Nothing fits." in browser.get("/audit?actor=100%25")
    assert "is no day" in browser.get("/audit?since=yesterday")
    rows = [json.loads(line) for line in browser.get("/audit/export.jsonl?what=deliver").splitlines()]
    assert rows
    assert {row["what"] for row in rows} == {"deliveries applied"}
    assert browser.get("/audit/export.csv").splitlines()[0] == "number,at,actor,what,changes,digest,previous,chain"
    browser.get("/audit/export.pdf", 404)


def test_a_long_trail_is_read_page_by_page(small_world: World) -> None:
    with small_world.runtime.database.transaction(small_world.tenant) as tx:
        for n in range(60):
            append_audit(tx, small_world.tenant, NOW + n, "Kim", f"thing {n}", {"n": n})
    browser = browser_of(small_world, "ula@example.com")
    first = browser.get("/audit?actor=Kim")
    assert "thing 59" in first
    assert ">thing 9<" not in first
    following = re.search(r'href="(/audit[^"]*)" rel="next"', first)
    assert following is not None
    second = browser.get(unescape(following[1]))
    assert "thing 9" in second
    assert 'rel="next"' not in second
    assert '<a class="btn btn-outline" href="/audit?actor=Kim">First page</a>' in second
