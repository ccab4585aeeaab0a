"""Help: what the states mean, and the keys."""

from flask import Blueprint

from sla_plugin.web.access import needs
from sla_plugin.web.admin.frame import page_blueprint, render
from sla_plugin.web.runtime import Runtime


def blueprint(runtime: Runtime) -> Blueprint:
    """`/help`."""
    pages = page_blueprint("help", runtime)

    @pages.get("/help")
    @needs("account.use")
    def show() -> str:
        """The one page of help, in the same place on every page."""
        return render("help.html")

    return pages
