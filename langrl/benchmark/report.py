"""The benchmark's report: ``report.html`` and ``results.json``, from the results of a folder."""

from importlib.resources import files
from string import Template

from langrl.benchmark.markup import Html, element
from langrl.benchmark.report_sections import Content, header, sections


def render(content: Content) -> str:
    """Return the report as one page of HTML, which asks for nothing else."""
    parts = sections(content)
    links = [element("li", element("a", title, href=f"#{name}")) for name, title, _ in parts]
    return _template("page.html").substitute(
        title=element("span", content.suite)[6:-7],
        style=_file("style.css"),
        script=_file("script.js"),
        header=header(content),
        contents=element("nav", element("ul", links), aria_label="Contents"),
        sections="\n".join(
            element(
                "section", element("h2", title, id=f"{name}-title"), html, id=name,
                aria_labelledby=f"{name}-title",
            )
            for name, title, html in parts
        ),
    )  # fmt: skip


def _template(name: str) -> Template:
    return Template(_file(name))


def _file(name: str) -> str:
    return files("langrl.benchmark").joinpath("report_page", name).read_text("utf-8")
