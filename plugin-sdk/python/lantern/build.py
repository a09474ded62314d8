"""Builds a plugin: ``python -m lantern.build --wit .lantern/wit --out plugin.wasm``.

The folder of the project has a pyproject.toml; the module that ``[tool.lantern] module`` names, or else the only one there is,
has one Projection, Aggregate or Upcaster at its top. ``lantern build`` calls this; it needs componentize-py, and nothing else.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import tomllib
import traceback
from pathlib import Path
from typing import Any

from .aggregate import Aggregate
from .projection import Projection
from .upcaster import Upcaster

COMPONENTIZE_PY = "0.25.1"
"""The version of componentize-py that this SDK is made for."""

_ENTRY = "lantern_plugin_entry"
# By kind: the world, and the name of what it exports beside `meta`.
_WORLDS = {
    "projection": ("projection-plugin", "Projection"),
    "aggregate": ("command-handler", "Commands"),
    "upcaster": ("upcaster", "Upcast"),
}


class _Refused(Exception):
    """What is wrong with a project, and what to do."""


def main() -> int:
    """The command. Answers its exit code."""
    parser = argparse.ArgumentParser(prog="python -m lantern.build", description="Builds a Lantern plugin.")
    parser.add_argument("--wit", type=Path, required=True, help="the folder with lantern.wit")
    parser.add_argument("--out", type=Path, required=True, help="where the plugin is written")
    parser.add_argument("--project", type=Path, default=Path(), help="the folder of the plugin's source")
    arguments = parser.parse_args()
    try:
        build(arguments.project, arguments.wit, arguments.out)
    except _Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    return 0


def build(project: Path, wit: Path, out: Path) -> None:
    """Builds the plugin of a folder."""
    name = _module_name(project)
    source = project / "src" if _is_module(project / "src", name) else project
    attribute, plugin = _plugin(source, name)
    world, exported = _WORLDS[plugin.kind]
    folder = project / ".lantern" / "build" / "python"
    folder.mkdir(parents=True, exist_ok=True)
    entry = folder / f"{_ENTRY}.py"
    entry.write_text(
        f"# Written by `lantern build`.\n"
        f"import lantern.guest\n"
        f"import {name}\n\n"
        f"Meta, {exported} = lantern.guest.{plugin.kind}({name}.{attribute})\n"
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    sdk = Path(__file__).parent.parent
    command = [sys.executable, "-c", "import sys; from componentize_py import script; sys.exit(script())"]
    command += ["-q", "-d", str(wit), "-w", world, "componentize", "--stub-wasi", _ENTRY, "-o", str(out)]
    paths = [str(folder), str(source), str(sdk), *_dependencies(project)]
    for path in paths:
        command += ["-p", path]
    # Without a fixed seed the order of a set would be another one after every build.
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        said = (ran.stderr + ran.stdout).strip()
        if "No module named 'componentize_py'" in said:
            said = f"componentize-py is missing: pip install componentize-py=={COMPONENTIZE_PY}"
        raise _Refused(f"the plugin in {project.resolve()} could not be built:\n{said}")


def _module_name(project: Path) -> str:
    settings = project / "pyproject.toml"
    if not settings.exists():
        raise _Refused(f"{project.resolve()} has no pyproject.toml: a Python plugin needs one")
    try:
        named = tomllib.loads(settings.read_text()).get("tool", {}).get("lantern", {}).get("module")
    except tomllib.TOMLDecodeError as error:
        raise _Refused(f"{settings}: {error}") from None
    if named is not None:
        if not any(_is_module(folder, named) for folder in (project, project / "src")):
            raise _Refused(f"{settings} names the module {named!r}, and there is no {named}.py beside it or in src/")
        return str(named)
    found = sorted(
        path.stem
        for folder in (project, project / "src")
        for path in folder.glob("*.py")
        if path.stem not in ("conftest", "setup") and not path.stem.startswith("test_")
    )
    if len(found) != 1:
        raise _Refused(
            f"{project.resolve()} has {'no module' if not found else 'several modules: ' + ', '.join(found)}; "
            'say in pyproject.toml which is the plugin: [tool.lantern] module = "app"'
        )
    return found[0]


def _is_module(folder: Path, name: str) -> bool:
    place = folder.joinpath(*name.split("."))
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


def _plugin(source: Path, name: str) -> tuple[str, Any]:
    """The one plugin of a module, and what it is called there."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(source.resolve()))
    try:
        module = importlib.import_module(name)
    except Exception:
        raise _Refused(f"the module {name} cannot be imported:\n{traceback.format_exc(limit=-3)}") from None
    found = {
        attribute: value
        for attribute, value in vars(module).items()
        if isinstance(value, (Projection, Aggregate, Upcaster))
    }
    if len(found) != 1:
        names = ", ".join(found) or "none"
        raise _Refused(f"the module {name} must have one Projection, Aggregate or Upcaster at its top; it has {names}")
    return next(iter(found.items()))


def _dependencies(project: Path) -> list[str]:
    """The packages of the project's own virtual environment: those without native code work in a plugin."""
    return [str(path) for path in sorted(project.glob(".venv/lib/python3*/site-packages"))]


if __name__ == "__main__":
    sys.exit(main())
