"""What is said to a sign-in service, and whether its answers may be believed: OpenID Connect, authorization code with PKCE. No database in it."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core.claims import CodeIDToken
from joserfc.errors import ExpiredTokenError, JoseError

from sla_plugin.errors import ConnectorError, InvalidDefinition, SignInRefused, SlaPluginError
from sla_plugin.language import marked
from sla_plugin.ports import Http
from sla_plugin.services.connect_helpdesk import check_base_url
from sla_plugin.services.kept_documents import KeptDocuments, Unanswered
from sla_plugin.services.read_tokens import ALGORITHMS, read_token
from sla_plugin.services.sign_in_settings import Provider
from sla_plugin.store.sealing import Sealer

SCOPE = "openid email profile"
LEEWAY = 30  # seconds that the clocks of the service and ours may be apart
VALID = 600_000_000  # microseconds for which somebody may be away at the service
SILENT = marked("The sign-in service %(name)s did not answer; try again, or use your password.")
SILENT_ALONE = marked("The sign-in service %(name)s did not answer. Try again in a minute; meanwhile an admin can let you in by a one-time link.")
STRANGE = marked("The sign-in service %(name)s answered with something that we do not understand; an admin sees what it was.")
AGAIN = marked("This sign-in is over: it was begun elsewhere, too long ago, or used already. Begin again.")
UNTRUSTED = marked("The answer of %(name)s could not be trusted, so nobody was signed in. Begin again; if that does not help, tell an admin.")


@dataclass(frozen=True, slots=True)
class Offer:
    """What a service says of itself (its discovery document), as far as we need it."""

    issuer: str
    authorize: str
    token: str
    keys: str
    userinfo: str | None
    basic: bool  # how the client secret is sent: as a header, else in the form
    says_issuer: bool  # its answers name the issuer (RFC 9207)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in that was begun, sealed into a cookie of the browser that began it. `next` is where the person wanted to go."""

    tenant: int
    issuer: str
    state: str
    nonce: str
    verifier: str
    next: str
    begun_at: int

    def sealed(self, sealer: Sealer) -> str:
        """As the cookie holds it."""
        return sealer.seal(json.dumps(asdict(self)))


@dataclass(frozen=True, slots=True)
class Claimed:
    """Whom the service vouches for. `email` is None unless it says that it has verified it."""

    issuer: str
    subject: str
    email: str | None
    told_email: bool
    name: str


def unsealed(sealer: Sealer, cookie: str | None, now: int) -> Attempt | None:
    """The attempt of a cookie; None for none, one that is not ours, or one that is over."""
    try:
        attempt = Attempt(**json.loads(sealer.open(cookie)))
    except (SlaPluginError, ValueError, TypeError):
        return None
    return attempt if 0 <= now - attempt.begun_at < VALID else None


# --- what it offers --------------------------------------------------------------------------------------------------
def offer_address(issuer: str) -> str:
    """Where the discovery document of an issuer is."""
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def read_offer(document: Mapping[str, Any], issuer: str) -> Offer:
    """The offer of an issuer. Raises InvalidDefinition (field: the name in the document): what we could not work with, or should not."""
    told = document.get("issuer")
    if told != issuer:
        raise InvalidDefinition("issuer", f"the service calls itself {str(told)[:200]!r}; write the issuer exactly so")
    places = {}
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"):
        value = document.get(name)
        if name == "userinfo_endpoint" and value is None:
            continue
        try:
            if not isinstance(value, str) or not value:
                raise InvalidDefinition(name, "missing")
            check_base_url(value, allow_private=True)
        except InvalidDefinition as problem:
            raise InvalidDefinition(name, f"the service's {name} cannot be used: {problem.problem}") from None
        places[name] = value
    for name, ours in (("response_types_supported", {"code"}), ("id_token_signing_alg_values_supported", set(ALGORITHMS))):
        if not ours & set(_words(document, name, sorted(ours))):
            raise InvalidDefinition(name, f"of {name} we need one of {', '.join(sorted(ours))}")
    if "S256" not in _words(document, "code_challenge_methods_supported", ["S256"]):
        raise InvalidDefinition("code_challenge_methods_supported", "the service does not offer PKCE with S256, which we need")
    methods = _words(document, "token_endpoint_auth_methods_supported", ["client_secret_basic"])
    if not {"client_secret_basic", "client_secret_post"} & set(methods):
        raise InvalidDefinition(
            "token_endpoint_auth_methods_supported", "the service takes no client secret, neither by client_secret_basic nor client_secret_post"
        )
    return Offer(
        issuer=issuer,
        authorize=places["authorization_endpoint"],
        token=places["token_endpoint"],
        keys=places["jwks_uri"],
        userinfo=places.get("userinfo_endpoint"),
        basic="client_secret_basic" in methods,
        says_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _words(document: Mapping[str, Any], name: str, otherwise: list[str]) -> list[str]:
    told = document.get(name)
    return [word for word in told if isinstance(word, str)] if isinstance(told, list) else otherwise


def offer_of(provider: Provider, kept: KeptDocuments, http: Http, now: int) -> Offer:
    """What the tenant's service offers. Raises SignInRefused (later)."""
    try:
        return read_offer(kept.read(http, offer_address(provider.issuer), now), provider.issuer)
    except Unanswered as problem:
        raise silent(provider, str(problem)) from None
    except InvalidDefinition as problem:
        raise SignInRefused(STRANGE, reason="provider_strange", operator=problem.problem, later=True, name=provider.name) from None


# --- there -----------------------------------------------------------------------------------------------------------
def begin(provider: Provider, offer: Offer, tenant: int, redirect_uri: str, next_path: str, now: int) -> tuple[str, Attempt]:
    """Where to send the browser, and what to remember until it comes back."""
    attempt = Attempt(tenant, offer.issuer, secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48), next_path, now)
    url = prepare_grant_uri(
        offer.authorize,
        provider.client,
        "code",
        redirect_uri,
        SCOPE,
        attempt.state,
        nonce=attempt.nonce,
        code_challenge=create_s256_code_challenge(attempt.verifier),
        code_challenge_method="S256",
    )
    return str(url), attempt


# --- and back --------------------------------------------------------------------------------------------------------
def begun_here(provider: Provider, tenant: int, attempt: Attempt | None, state: str) -> Attempt:
    """The attempt, if it was this browser that began it, with this very service. Raises SignInRefused."""
    if attempt is None or (attempt.tenant, attempt.issuer) != (tenant, provider.issuer) or not secrets.compare_digest(state.encode(), attempt.state.encode()):
        raise SignInRefused(AGAIN, reason="state")
    return attempt


def read_answer(provider: Provider, offer: Offer, answer: Mapping[str, str]) -> str:
    """The code in what the browser brought back (the query string). Raises SignInRefused."""
    told = answer.get("iss")
    if (told is not None and told != offer.issuer) or (told is None and offer.says_issuer):
        raise SignInRefused(UNTRUSTED, reason="mix_up", operator="the answer names another issuer, or none", name=provider.name)
    error = answer.get("error")
    if error == "access_denied":
        raise SignInRefused(
            marked("%(name)s let nobody in: it was cancelled there, or your account may not use this product."), reason="denied", name=provider.name
        )
    if error in ("server_error", "temporarily_unavailable"):
        raise silent(provider, f"it answered with the error {error}", later=False)  # the browser says so, which is no proof
    if error is not None:
        raise SignInRefused(STRANGE, reason="provider_error", operator=f"it answered with the error {_word(error)}", name=provider.name)
    if not answer.get("code"):
        raise SignInRefused(STRANGE, reason="no_code", operator="it sent the browser back without a code", name=provider.name)
    return answer["code"]


def claimed(
    provider: Provider, offer: Offer, attempt: Attempt, code: str, secret: str, redirect_uri: str, kept: KeptDocuments, http: Http, now: int
) -> Claimed:
    """Whom the service vouches for: the code exchanged, the id token proved. Raises SignInRefused."""
    tokens = _exchange(provider, offer, attempt, code, secret, redirect_uri, http)
    id_token, access = tokens.get("id_token"), tokens.get("access_token")
    if not isinstance(id_token, str) or not isinstance(access, str):
        raise SignInRefused(STRANGE, reason="no_id_token", operator="its token answer lacks id_token or access_token", name=provider.name)
    claims = _proved(provider, offer, attempt, id_token, access, kept, http, now)
    told = (
        claims
        if offer.userinfo is None or {"email", "email_verified"} <= claims.keys()
        else {**claims, **_userinfo(provider, offer.userinfo, access, claims["sub"], http)}
    )
    email, verified = told.get("email"), told.get("email_verified")
    name = told.get("name")
    return Claimed(
        issuer=offer.issuer,
        subject=claims["sub"],
        # some services write the truth as text
        email=email.strip().lower() if isinstance(email, str) and verified in (True, "true") else None,
        told_email=isinstance(email, str) and bool(email),
        name=name.strip()[:200] if isinstance(name, str) else "",
    )


def _exchange(provider: Provider, offer: Offer, attempt: Attempt, code: str, secret: str, redirect_uri: str, http: Http) -> Mapping[str, Any]:
    """The answer of the token endpoint."""
    more: dict[str, str] = {"code": code, "code_verifier": attempt.verifier}
    if not offer.basic:
        more |= {"client_id": provider.client, "client_secret": secret}
    body = str(prepare_token_request("authorization_code", "", redirect_uri, **more))
    try:
        answer = http.request(
            "POST",
            offer.token,
            operation="sign-in",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            auth=(quote(provider.client, safe=""), quote(secret, safe="")) if offer.basic else None,
            data=body.encode(),
        )
        tokens = json.loads(answer.body)
    except ConnectorError as problem:
        if problem.status is None or problem.status >= 500 or problem.status == 429:
            raise silent(provider, f"the token endpoint: {_plain(problem)}") from None
        word = _error_word(problem.body)
        if word == "invalid_grant":
            raise SignInRefused(AGAIN, reason="code", operator="the token endpoint refused the code (invalid_grant)") from None
        said = f"the token endpoint refused us ({problem.status}{', ' + word if word else ''}): check client id, client secret and the address to come back to"
        raise SignInRefused(STRANGE, reason="client_refused", operator=said, later=True, name=provider.name) from None
    except SlaPluginError as problem:
        raise silent(provider, f"the token endpoint: {problem}") from None
    except ValueError:
        tokens = None
    if not isinstance(tokens, dict):
        raise SignInRefused(STRANGE, reason="garbage", operator="the token endpoint's answer is no JSON object", later=True, name=provider.name)
    return tokens


def _proved(provider: Provider, offer: Offer, attempt: Attempt, id_token: str, access: str, kept: KeptDocuments, http: Http, now: int) -> dict[str, Any]:
    """The claims of an id token that is signed by the service, meant for us, fresh, and the answer to this very attempt."""
    try:
        header, claims = read_token(id_token, kept, http, offer.keys, ALGORITHMS, now)
    except SignInRefused as problem:
        if problem.later:
            raise silent(provider, problem.operator) from None
        raise SignInRefused(UNTRUSTED, reason=problem.reason, operator=problem.operator, name=provider.name) from None
    asked = {"nonce": attempt.nonce, "client_id": provider.client, "access_token": access}
    token = CodeIDToken(claims, header, {"iss": {"essential": True, "value": offer.issuer}, "aud": {"essential": True, "value": provider.client}}, asked)
    try:
        token.validate(now=now // 1_000_000, leeway=LEEWAY)
    except ExpiredTokenError:
        raise SignInRefused(AGAIN, reason="expired", operator="the id token is expired; is the clock of one of the two wrong?") from None
    except (JoseError, ValueError, TypeError, AttributeError) as problem:
        said = f"the id token does not fit: {getattr(problem, 'description', '') or type(problem).__name__}"
        raise SignInRefused(UNTRUSTED, reason="claims", operator=said, name=provider.name) from None
    if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255:
        raise SignInRefused(UNTRUSTED, reason="claims", operator="the id token's sub is no text of at most 255 characters", name=provider.name)
    return claims


def _userinfo(provider: Provider, url: str, access: str, subject: str, http: Http) -> Mapping[str, Any]:
    """What the service tells of the person where the id token does not; only of the same one."""
    try:
        told = json.loads(http.request("GET", url, operation="sign-in", headers={"Authorization": f"Bearer {access}"}).body)
    except SlaPluginError as problem:
        raise silent(provider, f"userinfo: {_plain(problem)}") from None
    except ValueError:
        told = None
    if not isinstance(told, dict) or told.get("sub") != subject:
        raise SignInRefused(UNTRUSTED, reason="userinfo", operator="userinfo is of somebody else, or no JSON object", name=provider.name)
    return told


def silent(provider: Provider, operator: str, *, later: bool = True) -> SignInRefused:
    """The refusal where a service does not answer."""
    said = SILENT if provider.passwords else SILENT_ALONE
    return SignInRefused(said, reason="provider_down", operator=operator, later=later, name=provider.name)


def _plain(problem: SlaPluginError) -> str:
    """The words of our way out, which speaks of helpdesks, without advice that does not fit here."""
    status = problem.status if isinstance(problem, ConnectorError) else None
    return f"HTTP {status}" if status else str(problem)


def _error_word(body: str) -> str:
    try:
        told = json.loads(body)
    except ValueError:
        return ""
    return _word(told.get("error")) if isinstance(told, dict) else ""


def _word(told: object) -> str:
    """A word of the protocol; anything else could quote a person or a secret."""
    return told if isinstance(told, str) and told.isascii() and told.replace("_", "").isalnum() and len(told) <= 40 else "(unreadable)"
