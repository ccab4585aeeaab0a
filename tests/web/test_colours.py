"""The colours of app.css can be told apart from their ground: ink for text, fill for graphics, in light and in dark."""

import re
from pathlib import Path

import pytest

CSS = Path(__file__).parents[2] / "sla_plugin" / "web" / "admin" / "static" / "app.css"
STATES = ("running", "on_hold", "outside", "warning", "critical", "breached", "met", "pending")
LIGHT, DARK = ":root, [data-bs-theme=light]", "[data-bs-theme=dark]"
TEXT, GRAPHICS = 4.5, 3.0  # WCAG 2.2: 1.4.3 and 1.4.11


def tokens(theme: str) -> dict[str, str]:
    """The colours of a theme by name; the dark one keeps what it does not say anew."""
    css = CSS.read_text()

    def block(selector: str) -> dict[str, str]:
        inside = css.split(f"\n{selector} {{", 1)[1].split("}", 1)[0]
        return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", inside))

    return block(LIGHT) if theme == "light" else {**block(LIGHT), **block(DARK)}


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, as WCAG defines it."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast of two colours, 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_measured_as_wcag_does() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#0b5cad", "#ffffff") == pytest.approx(6.7, abs=0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_a_state_can_be_read_and_seen(theme: str, state: str) -> None:
    colours = tokens(theme)
    ink, fill, soft = (colours[f"sla-{state}-{kind}"] for kind in ("ink", "fill", "soft"))
    for ground in (colours["bs-body-bg"], colours["bs-tertiary-bg"], soft):
        assert contrast(ink, ground) >= TEXT
    for ground in (colours["bs-body-bg"], colours["bs-tertiary-bg"]):
        assert contrast(fill, ground) >= GRAPHICS


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "ground", "least"),
    [
        ("bs-body-color", "bs-body-bg", 7.0),
        ("bs-body-color", "bs-tertiary-bg", 7.0),
        ("bs-secondary-color", "bs-body-bg", TEXT),
        ("bs-secondary-color", "bs-tertiary-bg", TEXT),
        ("bs-link-color", "bs-body-bg", TEXT),
        ("bs-link-hover-color", "bs-body-bg", TEXT),
        ("bs-focus-ring-color", "bs-body-bg", GRAPHICS),
        ("bs-focus-ring-color", "bs-tertiary-bg", GRAPHICS),
        ("sla-on-primary", "sla-primary", TEXT),
        ("sla-on-running", "sla-running-fill", TEXT),
        ("sla-input", "bs-body-bg", GRAPHICS),
    ],
)
def test_text_links_and_borders_can_be_seen(theme: str, ink: str, ground: str, least: float) -> None:
    colours = tokens(theme)
    assert contrast(colours[ink], colours[ground]) >= least


def test_templates_use_our_colours_only() -> None:
    """One file decides about colours: no state colours of Bootstrap's in a template."""
    for template in (CSS.parents[1] / "templates").glob("*.html"):
        assert not re.search(r"\b(?:btn|text|bg|badge|alert)-(?:success|danger|warning|info)\b", template.read_text()), template.name
