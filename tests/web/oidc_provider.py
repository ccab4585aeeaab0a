"""A sign-in service of the tests' own: a real HTTP server that speaks OpenID Connect, is strict about what it is sent, and lies when it is told to."""

import base64
import hashlib
import hmac
import json
import re
import secrets
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from html import escape
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import requests
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from werkzeug import Request, Response
from werkzeug.serving import make_server

CODE_LIVES = 60  # seconds


@cache
def rsa_key(kid: str, bits: int = 2048) -> RSAKey:
    """A key with this name; made once, it takes long."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a short one is what a test wants
        return RSAKey.generate_key(bits, {"kid": kid, "use": "sig"})


@cache
def small_key(kind: str, kid: str) -> ECKey | OKPKey:
    """A key on a curve."""
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig"}) if kind == "EC" else OKPKey.generate_key("Ed25519", {"kid": kid, "use": "sig"})


def signed(claims: Any, key: Key, algorithm: str = "RS256", **header: Any) -> str:
    """A token as a service would sign it, or as nobody should: any header, any claims."""
    named = {"alg": algorithm, "kid": key.kid, **header}
    start = f"{_part({name: value for name, value in named.items() if value is not None})}.{_part(claims)}"
    return f"{start}.{_letters(JWSRegistry.algorithms[algorithm].sign(start.encode(), key))}"


def unsigned(claims: Any) -> str:
    """A token with the algorithm none."""
    return f"{_part({'alg': 'none'})}.{_part(claims)}."


def with_public_key_as_secret(claims: Any, key: RSAKey) -> str:
    """A token signed by HS256 with what everybody can read: the old trick."""
    start = f"{_part({'alg': 'HS256', 'kid': key.kid})}.{_part(claims)}"
    return f"{start}.{_letters(hmac.digest(key.as_pem(private=False), start.encode(), 'sha256'))}"


def _part(told: Any) -> str:
    return _letters(json.dumps(told).encode())


def _letters(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Grant:
    """What a code stands for."""

    login: str
    redirect_uri: str
    nonce: str
    challenge: str
    at: float
    used: bool = False


@dataclass
class Provider:
    """The service. What tests turn:

    people     login -> claims (sub, email, email_verified, name)
    keys       what the JWKS shows; the first signs
    bend       (claims, key) -> id token, instead of the true one
    spoil      path -> what it answers instead: a status, or bytes
    offer      entries of the discovery document that are different (None: left out)
    """

    clock: Callable[[], float] = time.time
    client: str = "sla plugin:1"
    secret: str = "s3cret & söme+chars%"
    redirects: set[str] = field(default_factory=set)
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: list[Key] = field(default_factory=lambda: [rsa_key("one")])
    bend: Callable[[dict[str, Any], Any], str] | None = None
    spoil: dict[str, int | bytes] = field(default_factory=dict)
    offer: dict[str, Any] = field(default_factory=dict)
    names_issuer: bool = True
    claims_in_userinfo: bool = False
    token_more: dict[str, Any] = field(default_factory=dict)
    issuer: str = ""
    grants: dict[str, Grant] = field(default_factory=dict)
    access: dict[str, str] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)

    # --- what a browser does -----------------------------------------------------------------------------------------
    def visit(self, url: str, login: str, say: str = "allow") -> str:
        """Play the person in the browser: open the page, answer its form; where it sends the browser to."""
        page = requests.get(url, timeout=5, allow_redirects=False)
        assert page.status_code == 200, page.text
        form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text))
        answer = requests.post(f"{self.issuer}/authorize", data={**form, "login": login, "say": say}, timeout=5, allow_redirects=False)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    # --- what it answers ---------------------------------------------------------------------------------------------
    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        self.asked[request.path] += 1
        spoiled = self.spoil.get(request.path)
        if isinstance(spoiled, int):
            answer = Response("no", status=spoiled)
        elif spoiled is not None:
            answer = Response(spoiled, mimetype="application/json")
        else:
            answer = {
                "/.well-known/openid-configuration": self.discovery,
                "/authorize": self.authorize,
                "/token": self.token,
                "/jwks": self.jwks,
                "/userinfo": self.userinfo,
            }.get(request.path, lambda _request: Response("nothing here", status=404))(request)
        return answer(environ, start_response)

    def discovery(self, request: Request) -> Response:
        """What it offers."""
        told = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "authorization_response_iss_parameter_supported": self.names_issuer,
            **self.offer,
        }
        return _json({name: value for name, value in told.items() if value is not None})

    def authorize(self, request: Request) -> Response:
        """The page where a person says yes; strict about every parameter."""
        sent = request.values
        wanted = {"response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method"}
        if request.method == "GET":
            checks = {
                "parameters": set(sent) == wanted,
                "client": sent.get("client_id") == self.client,
                "redirect": sent.get("redirect_uri") in self.redirects,
                "type": sent.get("response_type") == "code",
                "scope": "openid" in sent.get("scope", "").split(),
                "state": len(sent.get("state", "")) >= 32,
                "nonce": len(sent.get("nonce", "")) >= 32 and sent.get("nonce") != sent.get("state"),
                "pkce": sent.get("code_challenge_method") == "S256" and len(sent.get("code_challenge", "")) == 43,
            }
            if not all(checks.values()):
                return self._complain(f"authorize: {[name for name, fine in checks.items() if not fine]}")
            hidden = "".join(f'<input type="hidden" name="{name}" value="{escape(sent[name])}">' for name in sorted(wanted))
            page = (
                f'<!doctype html><html lang="en"><title>Sign in at the service</title><h1>The service</h1><form method="post">{hidden}'
                '<label>Login <input name="login"></label><button name="say" value="allow">Allow</button>'
                '<button name="say" value="deny">Deny</button></form></html>'
            )
            return Response(page, mimetype="text/html")
        back = {"state": sent["state"]} | ({"iss": self.issuer} if self.names_issuer else {})
        if sent.get("say") != "allow" or sent.get("login") not in self.people:
            back["error"] = "access_denied"
        else:
            back["code"] = code = secrets.token_urlsafe(16)
            self.grants[code] = Grant(sent["login"], sent["redirect_uri"], sent["nonce"], sent["code_challenge"], self.clock())
        return Response(status=302, headers={"Location": f"{sent['redirect_uri']}?{urlencode(back)}"})

    def token(self, request: Request) -> Response:
        """The code for tokens: client, secret, redirect address and PKCE must fit, and a code works once."""
        form = request.form
        auth = request.authorization
        if self.offer.get("token_endpoint_auth_methods_supported") == ["client_secret_post"]:
            client, secret = form.get("client_id"), form.get("client_secret")
        else:
            client, secret = (unquote(auth.username or ""), unquote(auth.password or "")) if auth is not None and auth.type == "basic" else (None, None)
        if (client, secret) != (self.client, self.secret):
            return _json({"error": "invalid_client"}, 401)
        grant = self.grants.get(form.get("code", ""))
        digest = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=").decode()
        if request.method != "POST" or form.get("grant_type") != "authorization_code":
            return self._complain("token: grant type")
        if grant is None or grant.used or self.clock() - grant.at > CODE_LIVES:
            return _json({"error": "invalid_grant"}, 400)
        grant.used = True
        if form.get("redirect_uri") != grant.redirect_uri or digest != grant.challenge:
            self.complaints.append("token: redirect_uri or verifier")
            return _json({"error": "invalid_grant"}, 400)
        access = secrets.token_urlsafe(16)
        self.access[access] = grant.login
        person = self.people[grant.login]
        now = int(self.clock())
        half = hashlib.sha256(access.encode()).digest()[:16]
        claims = {
            "iss": self.issuer,
            "aud": self.client,
            "exp": now + 300,
            "iat": now,
            "nonce": grant.nonce,
            "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
            **({"sub": person["sub"]} if self.claims_in_userinfo else person),
        }
        key = self.keys[0]
        id_token = self.bend(claims, key) if self.bend is not None else signed(claims, key, "RS256" if isinstance(key, RSAKey) else "ES256")
        return _json({"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": id_token, **self.token_more})

    def jwks(self, request: Request) -> Response:
        """The public keys, among entries that nobody understands."""
        return _json({"keys": [{"kty": "PQC", "kid": "later"}, *(key.as_dict(private=False) for key in self.keys)]})

    def userinfo(self, request: Request) -> Response:
        """What it knows of the person of an access token."""
        login = self.access.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        return _json({"error": "invalid_token"}, 401) if login is None else _json(self.people[login])

    def _complain(self, what: str) -> Response:
        self.complaints.append(what)
        return Response(f"refused: {what}", status=400)


def _json(data: Any, status: int = 200) -> Response:
    return Response(json.dumps(data), status=status, mimetype="application/json", headers={"Cache-Control": "no-store"})


def query(url: str) -> dict[str, str]:
    """The parameters of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@contextmanager
def serving(provider: Provider) -> Iterator[Provider]:
    """The service at an address of this machine."""
    server = make_server("127.0.0.1", 0, provider, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
