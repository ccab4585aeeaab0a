"""Passwords that are guessed first: made of common words, rows of keys, repeats, and names from here.

Rules before lists: a password is taken apart into such pieces, each of which counts as one character, and what is left must be long enough. A single rare
word, a line of a song, or a password that leaked elsewhere passes, unless it is in the list that the operator names.
"""

import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

LEAST = 8  # characters that must be left, a guessable piece counting as one
_LOOKED_AT = 100  # characters; more are not needed to see, and taking apart takes its time
CONTEXT = ("slaplugin", "sla", "plugin", "helpdesk", "ticket", "zendesk", "support", "service", "desk")  # what this product is about
WORDS = (
    *("password", "passwort", "passwd", "passw", "kennwort", "geheim", "secret", "letmein", "welcome", "willkommen", "changeme", "default", "temp", "test"),
    *("admin", "administrator", "root", "user", "login", "master", "superuser", "guest", "internet", "computer", "company", "access", "system", "server"),
    *("iloveyou", "ichliebedich", "trustno", "whatever", "nothing", "hello", "hallo", "sunshine", "princess", "dragon", "monkey", "shadow", "angel", "ninja"),
    *(
        "football",
        "baseball",
        "basketball",
        "soccer",
        "fussball",
        "superman",
        "batman",
        "spiderman",
        "pokemon",
        "starwars",
        "liverpool",
        "manchester",
        "chelsea",
    ),
    *("michael", "jessica", "ashley", "charlie", "jennifer", "daniel", "jordan", "thomas", "michelle", "andrea", "nicole", "robert", "george", "alexander"),
    *("spring", "summer", "autumn", "fall", "winter", "sommer", "herbst", "fruehling", "frühling", "love", "liebe", "lovely", "forever", "family", "freedom"),
    *("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"),
    *("januar", "februar", "märz", "mai", "juni", "juli", "oktober", "dezember"),
    *("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "montag", "freitag", "sonntag", "my", "is", "the", "new", "neu"),
)
_ROWS = (
    *("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./", "qwertzuiopü", "yxcvbnm,.-", "azertyuiop", "qsdfghjklm"),
    *("1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm", "8ik,", "9ol.", "1yaq", "2xsw", "!@#$%^&*()_+", '!"§$%&/()=', "147", "258", "369", "789456123"),
)
_NEXT = frozenset(one + other for row in _ROWS for line in (row, row[::-1]) for one, other in pairwise(line))
_PLAIN = str.maketrans("013457@$!", "oieastasi")  # as letters are written who want to look like a password
_YEAR = re.compile(r"(?:19|20)\d\d|\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d\d)")


def is_guessable(password: str, about: Iterable[str] = ()) -> bool:
    """True for a password that is among the first to be tried; `about` are names and addresses that anybody would put in: tenant, person."""
    text = unicodedata.normalize("NFKC", password[:_LOOKED_AT]).casefold()
    known = sorted({word for word in (*WORDS, *CONTEXT, *_words(about)) if len(word) > 1}, key=len, reverse=True)
    return min(_left(text, known), _left(text[::2], ()) + _left(text[1::2], ())) < LEAST


def is_listed(password: str, file: Path) -> bool:
    """True for a password that is a line of a file, in any case. Raises OSError where the file cannot be read: then nothing is chosen."""
    wanted = password.casefold()
    with file.open(encoding="utf-8", errors="replace") as lines:
        return any(line.rstrip("\r\n").casefold() == wanted for line in lines)


def _words(about: Iterable[str]) -> list[str]:
    return [word for name in about for word in re.split(r"[\W_]+", unicodedata.normalize("NFKC", name).casefold()) if len(word) > 2]


def _left(text: str, known: Iterable[str]) -> int:
    """How many characters are left, pieces counting as one: words, years, rows of keys, repeats."""
    unit = re.fullmatch(r"(.+?)\1+", text)
    if unit:
        text = unit[1]
    text = _YEAR.sub("\x01", text)
    for word in known:
        plain = text.translate(_PLAIN)
        at = plain.find(word)
        while at >= 0:
            text = f"{text[:at]}\x01{text[at + len(word) :]}"
            plain = text.translate(_PLAIN)
            at = plain.find(word)
    left, before = 0, ""
    for letter in text:
        if letter != before and before + letter not in _NEXT:
            left += 1
        before = letter
    return left
