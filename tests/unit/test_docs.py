"""The documentation is true: examples run, commands and options exist, links lead somewhere, and every part has its page."""

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import fairlead
from fairlead.cli.main import app
from fairlead.config.loading import load_settings
from fairlead.risk.pretrade import REASONS
from fairlead.sdk.registry import find_strategy, known_strategies
from support_cli import fairlead as type_in

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL)
MARKED = re.compile(r"<!-- (?P<mark>\w+) -->\n```(?P<language>\w+)\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
HOUSE_FOLDERS = ("src/", "tests/", "docs/", "configs/", "benchmarks/", "examples/", ".ci/")


def page_id(value: Any) -> str:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else str(value)


def prose(page: Path) -> str:
    """The text of a page without its code blocks."""
    return FENCE.sub("", page.read_text())


def blocks(page: Path, *languages: str) -> list[str]:
    return [m["code"] for m in FENCE.finditer(page.read_text()) if m["language"] in languages]


def marked(mark: str) -> list[Path]:
    return [page for page in PAGES if any(m["mark"] == mark for m in MARKED.finditer(page.read_text()))]


def quoted(page: Path) -> list[str]:
    """What stands in backticks in the prose."""
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose(page))


def commands() -> list[tuple[Path, str]]:
    """Every `fairlead ...` command line of every page, once."""
    found = set()
    for page in PAGES:
        lines = [line for block in blocks(page, "bash", "console") for line in block.splitlines()]
        for line in [*lines, *quoted(page)]:
            text = line.strip().removeprefix("$ ").removeprefix(".venv/bin/").partition("  #")[0]
            for part in re.split(r" [|&>;]+ ?", text):
                if part.startswith("fairlead "):
                    found.add((page, part.strip()))
    return sorted(found)


def make_targets() -> set[str]:
    found = re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return {name.replace("\\:", ":") for name in found}


def slug(heading: str) -> str:
    """The anchor that a Markdown heading gets."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", re.sub(r"[`*]", "", heading)).strip().lower())


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_python_blocks_compile(page):
    """No example has a syntax error, whether it is run or not."""
    for code in blocks(page, "python"):
        ast.parse(code)


@pytest.mark.parametrize("page", marked("run"), ids=page_id)
def test_marked_examples_run(page, tmp_path, monkeypatch):
    """The blocks of a page that are marked to run do, in order, sharing one namespace."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAIRLEAD_HOME", str(tmp_path / "artifacts"))
    monkeypatch.syspath_prepend(str(tmp_path))
    namespace: dict[str, Any] = {"__name__": "__docs__"}
    for match in MARKED.finditer(page.read_text()):
        if match["mark"] == "run":
            exec(compile(match["code"], page_id(page), "exec"), namespace)


@pytest.mark.parametrize("page", ["getting-started.md", "guides/intraday.md", "guides/write-a-feature.md"])
def test_a_page_can_be_typed_as_it_stands(page, tmp_path, monkeypatch):
    """In an empty folder: what is to be saved is saved, every command is typed, and each ends well."""
    for name in re.findall(r"[Ss]ave this as `(\w+)\.py`", (DOCS / page).read_text()):
        monkeypatch.delitem(sys.modules, name, raising=False)  # of another test's folder
    text, name = (DOCS / page).read_text(), ""
    saved, code = r"[Ss]ave this as `(?P<name>[^`]+)`", r"^```(?P<language>\w+)\n(?P<code>.*?)^```"
    steps = re.finditer(f"{saved}|{code}", text, re.MULTILINE | re.DOTALL)
    typed = 0
    for step in steps:
        if step["name"]:
            name = step["name"]
        elif name and step["language"] in ("python", "yaml"):
            (tmp_path / name).write_text(step["code"])
            name = ""
        elif step["language"] == "bash":
            for line in step["code"].splitlines():
                if line.startswith("fairlead "):
                    done = type_in(*shlex.split(line)[1:], cwd=tmp_path)
                    assert done.code == 0, f"{line}: {done.err}"
                    typed += 1
    assert typed >= 2


def test_examples_are_run_where_a_newcomer_copies_them():
    """The pages that a newcomer copies from carry examples that are run."""
    assert {"README.md", "docs/getting-started.md", "docs/guides/write-a-strategy.md"} <= {page_id(p) for p in marked("run")}


@pytest.mark.parametrize("page", marked("config"), ids=page_id)
def test_marked_configurations_load(page, tmp_path):
    """Every YAML block marked as a configuration is one."""
    for i, match in enumerate(m for m in MARKED.finditer(page.read_text()) if m["mark"] == "config"):
        path = tmp_path / f"{i}.yaml"
        path.write_text(match["code"])
        load_settings(path, environ={})


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_yaml_blocks_are_yaml(page):
    """No YAML block is broken."""
    for text in blocks(page, "yaml"):
        yaml.safe_load(text)


@pytest.mark.parametrize(("page", "line"), commands(), ids=page_id)
def test_commands_exist(page, line):
    """Each verb and option of a command line in the docs is known to the command line interface."""
    command: Any = typer.main.get_command(app)
    for token in shlex.split(line)[1:]:
        verbs = getattr(command, "commands", {})
        if token.startswith("-"):
            options = {name for p in command.params for name in (*p.opts, *p.secondary_opts)} | {"--help"}
            assert token.partition("=")[0] in options, f"{page_id(page)}: {line!r} uses {token}, known: {sorted(options)}"
        elif verbs:
            assert token in verbs, f"{page_id(page)}: {line!r} uses {token!r}, known: {sorted(verbs)}"
            command = verbs[token]


def test_every_metric_is_explained(tmp_path, monkeypatch):
    """The page on runs names every metric of a result."""
    monkeypatch.setenv("FAIRLEAD_HOME", str(tmp_path))
    result = fairlead.backtest("buy_and_hold", "bundled", params={"symbols": ("IBM",)}, start="2013-01-02")
    text = (DOCS / "concepts" / "runs-and-reports.md").read_text()
    assert [name for name in result.metrics if f"`{name}`" not in text] == []


def test_every_verb_is_documented():
    """The page of the command line names every verb and every option of it."""
    text = (DOCS / "guides" / "command-line.md").read_text()

    def walk(command: Any, path: str) -> list[str]:
        verbs = getattr(command, "commands", {})
        missing = [m for name, verb in verbs.items() if not verb.hidden for m in walk(verb, f"{path} {name}")]
        if not verbs:
            missing += [path] if f"`{path}" not in text else []
            section = text.partition(f"`{path}")[2].partition("\n## ")[0]
            missing += [
                f"{path} {p.opts[-1]}"
                for p in command.params
                if p.param_type_name == "option" and p.opts[-1] != "--help" and not any(f"{o}" in section for o in p.opts)
            ]
        return missing

    assert walk(typer.main.get_command(app), "fairlead") == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_make_targets_exist(page):
    """Every `make x` that a page tells the reader to type is a target."""
    named = set(re.findall(r"`make ([a-z:-]+)", page.read_text()))
    named |= {name for block in blocks(page, "bash") for name in re.findall(r"^make ([a-z:-]+)", block, re.MULTILINE)}
    assert named <= make_targets()


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page):
    """Links within the repository name files and headings that exist."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page_id(page)} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", FENCE.sub("", file.read_text()), re.MULTILINE)
            assert anchor in {slug(h) for h in headings}, f"{page_id(page)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_files_named_exist(page):
    """Paths of this repository that a page names in backticks are there."""
    for text in quoted(page):
        if text.startswith(HOUSE_FOLDERS) and not re.search(r"[<>*{\s]", text):
            assert (ROOT / text).exists(), f"{page_id(page)} names {text}"


@pytest.mark.parametrize("name", known_strategies())
def test_strategies_have_a_page(name):
    """Each strategy that ships has a page that states every parameter, and the index links it."""
    page = DOCS / "strategies" / f"{name}.md"
    assert page.exists()
    text = page.read_text()
    for parameter in find_strategy(name).parameters:
        assert f"`{parameter}`" in text, f"{page_id(page)} does not describe {parameter}"
    assert f"({name}.md)" in (DOCS / "strategies" / "index.md").read_text()


def test_reasons_are_listed():
    """The page on orders names every reason that risk, the venue and the desk write into an order."""
    folders = (ROOT / "src/fairlead/risk", ROOT / "src/fairlead/execution", ROOT / "src/fairlead/engine")
    source = "".join(path.read_text() for folder in folders for path in sorted(folder.glob("*.py")))
    written = set(re.findall(r'Rejection\(\s*"(\w+)"', source))
    written |= set(REASONS.values())
    written |= set(re.findall(r'(?:_end|cancel_all|cancel)\([^()]*(?:\([^()]*\)[^()]*)*"(\w+)"\)', source))
    text = (DOCS / "concepts" / "orders-and-fills.md").read_text()
    assert {"insufficient_buying_power", "day_end", "end_of_run"} <= written
    assert [reason for reason in sorted(written) if f"`{reason}`" not in text] == []


def test_decisions_are_listed():
    """The index of decisions links every decision, and each has a status."""
    index = (DOCS / "adr" / "index.md").read_text()
    for page in sorted((DOCS / "adr").glob("[0-9]*.md")):
        assert f"({page.name})" in index
        assert "*Status: " in page.read_text()


def test_site_builds_strictly(tmp_path):
    """The documentation site builds without a warning."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = [page.read_text() for page in (tmp_path / "site").rglob("*.html")]
    foreign = re.compile(r"<(?:script|link|img)[^>]+(?:src|href)=\"https?://")
    assert pages
    assert not [match[0] for page in pages if (match := foreign.search(page))], "a page fetches from elsewhere"
