"""What became of a mail or of a proof of mail settings, in words for people: what was found, and what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sla_plugin.language import gettext, marked
from sla_plugin.ports import MailTry

# step -> what it proved; `detail` comes from the try
STEPS: Mapping[str, str] = {
    "reached": marked("The server was reached at %(detail)s, and greets."),
    "tls": marked("The line is safe (%(detail)s), and the certificate is the server's."),
    "signed_in": marked("Signed in as %(detail)s."),
    "accepted": marked("The server took the mail: %(detail)s"),
}
# why -> (what was found, what to do)
PROBLEMS: Mapping[str, tuple[str, str]] = {
    "off": (marked("No mail server is set up."), marked("Enter one on the Settings page, under Mail.")),
    "key": (marked("The stored password does not open."), marked("Restore the key it was sealed with (SLA_SECRET_KEYS), or type the password again.")),
    "port": (
        marked("This port is not one of mail servers (25, 465, 587, 2525)."),
        marked("Use one of these; others are open only where SLA_ALLOW_PRIVATE_URLS is set."),
    ),
    "unknown_host": (marked("The mail server's name has no address."), marked("Check how it is written.")),
    "no_dns": (marked("The mail server's name could not be looked up now."), marked("Check the DNS of the machine this runs on.")),
    "private": (
        marked("The mail server has a private or local address."),
        marked("Whoever runs the installation may open those with SLA_ALLOW_PRIVATE_URLS=yes."),
    ),
    "clear": (marked("Mail would leave for the internet without TLS."), marked("Choose STARTTLS or TLS.")),
    "clear_password": (
        marked("The password would leave this machine without TLS."),
        marked("Choose STARTTLS or TLS, or empty the user where the server asks for none."),
    ),
    "refused": (marked("Nobody takes connections at this name and port."), marked("Check both, and that no firewall is between.")),
    "silent": (
        marked("The server did not answer in time."),
        marked("Check name and port (465 speaks TLS from the start, 587 STARTTLS), and that no firewall is between."),
    ),
    "no_greeting": (marked("The server hung up without a greeting."), marked("Check the port: 465 speaks TLS from the start, 587 STARTTLS.")),
    "no_mail_server": (marked("What answers there is no mail server."), marked("Check name and port.")),
    "turned_away": (marked("The server does not want to talk to us."), marked("Ask who runs it whether this machine may send mail through it.")),
    "broken": (marked("The server hung up in the middle."), marked("Try again; if it stays so, ask who runs it.")),
    "no_starttls": (marked("The server does not offer STARTTLS."), marked("Use TLS from the start (port 465), or ask who runs the server.")),
    "no_tls": (marked("No safe line came about."), marked("Check the port: 465 speaks TLS from the start, 587 STARTTLS.")),
    "certificate": (
        marked("The server's certificate is not valid for this name."),
        marked("Write the name that stands in the certificate, or have it renewed. An authority of your own is named with SSL_CERT_FILE."),
    ),
    "no_sign_in": (marked("The server offers no way to sign in."), marked("Empty user and password, or use the port meant for signing in (587 or 465).")),
    "sign_in": (
        marked("The server refused user or password."),
        marked("Type both again; many services want a password made for this use (app password)."),
    ),
    "sender": (marked("The server does not take mail from this sender."), marked("Use an address that belongs to the user you sign in with.")),
    "recipient": (marked("The server does not take mail to this address."), marked("Check the address.")),
    "content": (marked("The server refused the mail."), marked("Its words say why; ask who runs it.")),
    "unanswered": (
        marked("The server hung up after it had the mail; whether it took it is not known."),
        marked("It is sent again, with the same number, so that it may arrive twice."),
    ),
    "address": (marked("Sender or receiver is no mail address."), marked("Correct it.")),
    "wide": (marked("The server takes no addresses beyond ASCII."), marked("Use an address without such letters, or another server.")),
    "expired": (marked("Its link was too old before it could leave."), marked("Send a new one.")),
    "nobody": (marked("The person may not sign in any more."), marked("Nothing.")),
    "interrupted": (marked("The process that sent it ended three times."), marked("Look at the log of the outbox worker, then send it again.")),
    "kind": (marked("This version does not know this kind of mail."), marked("Start the newer version.")),
}


@dataclass(frozen=True)
class Line:
    """One line about a try: whether it is good, and a sentence."""

    good: bool
    text: str


def explained(why: str, status: int | None = None, said: str | None = None, *, advise: bool = True) -> str:
    """What was found and (`advise`) what to do, with the server's own answer where it gave one."""
    found, advice = PROBLEMS.get(why, (why, ""))
    advice = advice if advise else ""
    answer = " ".join(str(one) for one in (status, said) if one)
    quoted = [gettext("It says: %(answer)s.", answer=answer.rstrip("."))] if answer else []
    return " ".join([gettext(found), *quoted, *([gettext(advice)] if advice else [])])


def lines_of(tried: MailTry) -> Sequence[Line]:
    """A try line by line: what was proved, and what stopped it."""
    lines = [Line(True, gettext(STEPS[step], detail=detail)) for step, detail in tried.proved]
    if tried.problem is not None:
        lines.append(Line(False, explained(tried.problem.why, tried.problem.status, tried.problem.said)))
    return lines
