"""The API against its own document: schemathesis makes requests up from it, and every answer must be as the document says."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from tests.web.conftest import app_of, page_settings, program_of
from tests.web.routes import TABLE_OF, WORDS, first_id
from tests.web.world import full_world

EXAMPLES = 4  # of an operation and mode; enough for each kind of answer, few enough for every commit
# checks that are left out -> why
LEFT_OUT = {
    "positive_data_acceptance": "definitions of policies and calendars are read by the engine, whose rules no JSON Schema can say",
    "ignored_auth": "it sends a wrong token with every request, and is told to wait after thirty; test_gate.py does it for each kind of token",
    "missing_required_header": "it wants another status than 428, which RFC 6585 has for a missing If-Match",
    "unsupported_method": "it takes 401 without a token for a refusal that lost Allow; test_problems.py asks with a token",
}


@dataclass(frozen=True)
class Api:
    """The document, and what is sent with every request made of it."""

    schema: Any
    headers: Mapping[str, str]
    ids: Mapping[str, str]


@pytest.fixture(scope="module")
def api(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A company in the middle of its day, whose requests are not counted."""
    folder = tmp_path_factory.mktemp("contract")
    shutil.copyfile(sqlite_template, folder / "sla.db")
    world = full_world(page_settings(f"sqlite:///{folder / 'sla.db'}", folder))
    world.runtime.settings = replace(world.runtime.settings, api_token_rate=1_000_000, api_address_rate=1_000_000)
    app = app_of(world)
    app.testing = False  # what fails is answered, as in production
    program = program_of(world, app=app)
    ids = {**WORDS, **{argument: str(first_id(world, table)) for argument, table in TABLE_OF.items()}}
    yield Api(schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app), {"Authorization": f"Bearer {program.token}"}, ids)
    world.runtime.database.engine.dispose()


@pytest.mark.parametrize("mode", GenerationMode)
def test_every_answer_is_as_the_document_says(api: Api, mode: GenerationMode) -> None:
    left_out = [getattr(checks, name) for name in LEFT_OUT]
    asked = 0
    for result in api.schema.get_all_operations():
        operation = result.ok()

        @settings(max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Case) -> None:
            nonlocal asked
            asked += 1
            if mode == GenerationMode.POSITIVE:  # of what there is, and not only of what there is not
                case.path_parameters = {name: api.ids.get(name, value) for name, value in (case.path_parameters or {}).items()}
            case.call_and_validate(headers=dict(api.headers), excluded_checks=left_out)

        ask()
    assert asked > 50
