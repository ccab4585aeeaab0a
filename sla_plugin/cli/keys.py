"""`sla-plugin keys`: the keys that seal stored secrets, and changing them while everything runs."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import click

from sla_plugin.app import Runtime
from sla_plugin.cli.installation import actor, answer, answering, runtime_of
from sla_plugin.errors import ConfigurationError
from sla_plugin.key_ring import KeyRing, new_key
from sla_plugin.services.rotate_keys import UNKNOWN, count_sealed, seal_anew
from sla_plugin.settings import Settings
from sla_plugin.store import schema
from sla_plugin.store.duties import Duty
from sla_plugin.store.sealing import Sealer, fingerprint, sealed_columns
from sla_plugin.store.tenants import tenant_ids


@click.group("keys")
def keys_group() -> None:
    """The keys that seal stored credentials and secrets."""


@keys_group.command("status")
@click.pass_obj
def status_command(settings: Settings) -> None:
    """Say as JSON how many stored values are under which key; the first one seals what is new. `unknown`: values that no key opens."""
    runtime, ring, sealer = _opened(settings)
    counts = _counts(runtime, sealer)
    keys = [{"key": name, "seals": number == 0, "values": counts[name]} for number, name in enumerate(sealer.fingerprints)]
    answer({"from": str(ring.path or "SLA_SECRET_KEYS"), "keys": keys, "unknown": counts[UNKNOWN]})


@keys_group.command("rotate")
@click.pass_obj
def rotate_command(settings: Settings) -> None:
    """Make a new key the first one and seal every stored value with it; ended half-way, the next call goes on where it was.

    With the key file nothing is to be restarted: running parts read it again. With SLA_SECRET_KEYS the answer says what to do.
    """
    runtime, ring, sealer = _opened(settings)
    counts = _counts(runtime, sealer)
    behind = sum(n for name, n in counts.items() if name not in (sealer.fingerprints[0], UNKNOWN))
    if not behind and ring.path is None:
        click.echo(
            f"every value is under the first key. A new key: {new_key()}\n"
            "1. Put it at the END of SLA_SECRET_KEYS everywhere and restart every part: all can open then what it seals.\n"
            "2. Put it FIRST and restart every part. 3. Run `sla-plugin keys rotate` again, then `sla-plugin keys retire`."
        )
        return
    if not behind:
        ring.write([new_key(), *ring.keys()])
    done = _seal_all(runtime, sealer)
    answer({"key": sealer.fingerprints[0], "made": not behind, "sealed": done, "unknown": counts[UNKNOWN]})


@keys_group.command("retire")
@click.pass_obj
def retire_command(settings: Settings) -> None:
    """Drop the keys that no stored value needs any more; the first one stays. Sessions signed under a dropped key end."""
    runtime, ring, sealer = _opened(settings)
    counts = _counts(runtime, sealer)
    if counts[UNKNOWN]:
        raise ConfigurationError(f"{counts[UNKNOWN]} stored values open with none of the keys: bring the missing key back first, nothing is dropped")
    needed = [name for name in sealer.fingerprints[1:] if counts[name]]
    if needed:
        raise ConfigurationError(f"{', '.join(needed)} still seal {sum(counts[n] for n in needed)} values: run `sla-plugin keys rotate` first")
    gone = sealer.fingerprints[1:]
    if gone and ring.path is None:
        raise ConfigurationError(f"nothing needs {', '.join(gone)} any more: take all but the first key out of SLA_SECRET_KEYS and restart every part")
    if gone:
        ring.write(ring.keys()[:1])
    answer({"key": fingerprint(ring.keys()[0]), "dropped": gone})


def _opened(settings: Settings) -> tuple[Runtime, KeyRing, Sealer]:
    runtime = runtime_of(settings)
    with answering():
        schema.demand(runtime.database.engine)
    ring = KeyRing(settings)
    return runtime, ring, Sealer(ring.keys)


def _tenants(runtime: Runtime) -> list[int]:
    with answering(), runtime.database.reading(Duty.TENANTS) as tx:
        return tenant_ids(tx)


def _counts(runtime: Runtime, sealer: Sealer) -> Counter[str]:
    counts: Counter[str] = Counter()
    for tenant in _tenants(runtime):
        with answering(), runtime.database.reading(tenant) as tx:
            counts += count_sealed(tx, tenant, sealer)
    return counts


def _seal_all(runtime: Runtime, sealer: Sealer) -> int:
    """Every table of every tenant; how many values came under the first key."""
    before = _counts(runtime, sealer)
    for tenant in _tenants(runtime):
        for name in sealed_columns():
            after: Sequence[Any] | None = None
            while True:
                with answering(), runtime.database.transaction(tenant) as tx:
                    after = seal_anew(tx, tenant, name, after, sealer, runtime.clock(), actor())
                if after is None:
                    break
    first = sealer.fingerprints[0]
    return _counts(runtime, sealer)[first] - before[first]


COMMANDS = (keys_group,)
