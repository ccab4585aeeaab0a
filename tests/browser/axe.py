"""What axe finds on a page, and what the browser refused by the content policy. For every test that opens pages."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOKS = ["color-contrast", "target-size", "scrollable-region-focusable", "link-in-text-block"]  # rules whose verdict changes with colours and width
_axe = Axe()


def found_by_axe(page: Page, rules: list[str] | None = None) -> list[str]:
    """Violations as `rule: where`, of all rules or of some; nothing is what one wants."""
    chosen: dict[str, Any] = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": _TAGS}
    answer = _axe.run(page, options={"runOnly": chosen, "resultTypes": ["violations"]}).response
    return [f"{v['id']}: {node['target'][0]} ({v['help']})" for v in answer["violations"] for node in v["nodes"]]


def collect_refusals(page: Page) -> list[str]:
    """A list that fills with whatever the content policy refuses and the console complains about, on every page from now on."""
    refused: list[str] = []
    page.on("console", lambda message: refused.append(f"{page.url}: {message.text}") if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: refused.append(f"{page.url}: {error}"))
    return refused
