"""People by API: invited, changed, let in no more; nobody overwrites what another admin did meanwhile."""

from tests.web.conftest import Program, browser_of, program_of
from tests.web.world import World


def path_of(program: Program, email: str) -> str:
    return f"/people/{next(one['id'] for one in program.get('/people')['items'] if one['email'] == email)}"


def test_somebody_is_invited_and_sets_a_password(small_world: World) -> None:
    program = program_of(small_world)
    made = program.open("POST", "/people", {"email": "Bob@Example.com", "name": "Bob", "role": "Agent"})
    assert made.status_code == 201
    assert (made.json["email"], made.json["role"], made.json["disabled"]) == ("bob@example.com", "agent", False)
    assert program.get(made.headers["Location"]) == {name: value for name, value in made.json.items() if name != "link"}
    link = made.json["link"]["link"].removeprefix("http://sla.example.com")
    bob = browser_of(small_world, None)
    bob.get(link)
    assert "<h1>Overview</h1>" in bob.post(link, password="quite a long one", again="quite a long one")
    refused = program.post("/people", {"email": "bob@example.com", "name": "Bob", "role": "agent"}, 422)
    assert refused["errors"] == [{"field": "email", "problem": "'bob@example.com' is known here already"}]
    assert program.post("/people", {"email": "bob", "name": "Bob", "role": "agent"}, 422)["errors"][0]["field"] == "email"


def test_people_are_listed_filtered_and_sorted(small_world: World) -> None:
    program = program_of(small_world)
    assert [one["name"] for one in program.get("/people?sort=-name")["items"]] == ["Ula Audit", "Kim Lee", "Carl Customer", "Ana Agent"]
    assert [one["name"] for one in program.get("/people?role=AUDITOR")["items"]] == ["Ula Audit"]
    first = program.open("GET", "/people?limit=3")
    assert (first.json["total"], first.json["next"]) == (4, "/api/v1/people?limit=3&page=2")
    assert first.headers["Link"] == '</api/v1/people?limit=3&page=2>; rel="next"'
    last = program.open("GET", first.json["next"])
    assert ([one["name"] for one in last.json["items"]], last.json["next"]) == (["Ula Audit"], None)
    assert "Link" not in last.headers
    assert program.get("/people?page=9")["items"] == []


def test_a_role_is_changed_by_whoever_has_read_the_newest(small_world: World) -> None:
    program = program_of(small_world)
    path = path_of(program, "ana@example.com")
    read = program.open("GET", path).headers["ETag"]
    assert program.change("PATCH", path, {"role": "auditor"}, match=read)["role"] == "auditor"
    program.change("PATCH", path, {"role": "admin"}, 412, match=read)
    assert program.change("PATCH", path, program.get(path))["role"] == "auditor", "what was read may be sent back"
    assert [row["what"] for row in small_world.rows("audit_entry")][-1] == "role changed"


def test_somebody_is_let_in_no_more_and_again(small_world: World) -> None:
    program, agent = program_of(small_world), program_of(small_world, "agent")
    path = path_of(program, "ana@example.com")
    browser = browser_of(small_world, "ana@example.com")
    assert program.get(f"{path}/sessions")["total"] == 1
    assert program.post(f"{path}/sign-out", status=200) == {"ended": 1}
    assert "<h1>Sign in</h1>" in browser.get("/sla")
    assert program.change("PATCH", path, {"disabled": True})["disabled"] is True
    agent.get("/me", 401)
    assert program.change("PATCH", path, {"disabled": False})["disabled"] is False
    agent.get("/me")
    assert "/welcome/" in program.post(f"{path}/link")["link"]


def test_nobody_does_it_to_themselves(small_world: World) -> None:
    program = program_of(small_world)
    path = path_of(program, "kim@example.com")
    assert program.change("PATCH", path, {"role": "agent"}, 422)["errors"][0]["field"] == "role"
    assert program.change("PATCH", path, {"disabled": True}, 422)["errors"][0]["field"] == "person"
    assert program.change("PATCH", path, {"email": "x@example.com", "role": "chief"}, 422)["errors"][0]["field"] == "role"
