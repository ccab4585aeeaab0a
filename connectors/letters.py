"""A letter as the bytes of a mail: names that cannot become headers, domains as the DNS knows them."""

import re
import unicodedata
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import formatdate

from sla_plugin.ports import Letter


def written(letter: Letter) -> tuple[bytes, bool]:
    """The mail as bytes; True if its addresses need SMTPUTF8. Raises ValueError for an address that is none."""
    sender, to = address_parts(letter.sender), address_parts(letter.to)
    wide = not (sender[0] + to[0]).isascii()
    message = EmailMessage(policy=SMTPUTF8 if wide else SMTP.clone(cte_type="7bit"))
    message["From"] = Address(one_line(letter.sender_name), *sender)
    message["To"] = Address(one_line(letter.to_name), *to)
    message["Subject"] = one_line(letter.subject)
    message["Date"] = formatdate(letter.at / 1e6)
    message["Message-ID"] = letter.message_id
    message["Auto-Submitted"] = "auto-generated"  # nobody's holiday note answers it (RFC 3834)
    message["X-Auto-Response-Suppress"] = "All"  # the same in Exchange's words
    message.set_content(letter.text)
    message.add_alternative(letter.html, subtype="html")
    return message.as_bytes(), wide


def one_line(text: str) -> str:
    """A text that a header can hold: no line break of any kind, no control character."""
    return " ".join("".join(" " if unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") else one for one in text).split())


def address_parts(address: str) -> tuple[str, str]:
    """What stands before and after the @, the domain as the DNS knows it. Raises ValueError for what is no address."""
    local, _, domain = address.rpartition("@")
    if not re.fullmatch(r"[^\s@<>\"(),:;\\\[\]]+", local) or not local.isprintable() or not domain:
        raise ValueError("no mail address")
    return local, domain.encode("idna").decode()
