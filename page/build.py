"""Build the page into one folder that any static host takes: ``python page/build.py``, or ``make page``.

MuJoCo's WebAssembly build comes from npm (version and hash are in package-lock.json), the robots' models from the
installed gymnasium package. The folder needs nothing from the network.
"""

import argparse
import importlib.metadata
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = ["index.html", "style.css", "main.js", "policy.js", "robot.js", "draw.js", "worker.js"]
MODELS = ["half_cheetah.xml", "hopper.xml", "walker2d.xml", "walker2d_v5.xml"]
MUJOCO = ["mujoco.js", "mujoco.wasm"]
NPM_OPTIONS = ["--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
LICENSED = ["mujoco", "gymnasium"]  # Python packages whose license files go with the page


def build(out: Path, synsets: Path = HERE / "synsets") -> None:
    """Write the page.

    Parameters
    ----------
    out : Path
        Folder to write; what is in it is deleted.
    synsets : Path
        Folder with ``index.json`` and the synsets that it names (add_synset.py).
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name in SOURCES:
        shutil.copy(HERE / name, out)
    _copy_mujoco(out / "mujoco")
    (out / "models").mkdir()
    for name in MODELS:
        path = importlib.metadata.distribution("gymnasium").locate_file(f"gymnasium/envs/mujoco/assets/{name}")
        shutil.copy(str(path), out / "models")
    (out / "licenses.txt").write_text("\n\n".join(_licenses()), "utf-8")
    shutil.copytree(synsets, out / "synsets")
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    (out / "files.json").write_text(json.dumps(["./", *files]))  # for worker.js


def _copy_mujoco(to: Path) -> None:
    """Install the locked npm package into a temporary folder, and copy what the page needs of it."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("error: npm is not installed; it brings MuJoCo's WebAssembly build (Debian: apt-get install npm)")
    to.mkdir()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder)
        done = subprocess.run([npm, "ci", *NPM_OPTIONS], cwd=folder, stdout=subprocess.DEVNULL)
        if done.returncode:
            sys.exit("error: npm could not install @mujoco/mujoco (above)")
        for name in MUJOCO:
            shutil.copyfile(Path(folder, "node_modules/@mujoco/mujoco", name), to / name)


def _licenses() -> Iterator[str]:
    """Give the license texts of the packages that the page contains parts of."""
    for package in LICENSED:
        for file in importlib.metadata.files(package) or []:
            if "license" in file.name.lower():
                yield f"==== {package}: {file.name} ====\n\n{file.read_text('utf-8')}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "build", help="folder to write (default: page/build)")
    parser.add_argument("--synsets", type=Path, default=HERE / "synsets", help="what to show (default: page/synsets)")
    given = parser.parse_args()
    build(given.out, given.synsets)
    print(f"{given.out}: serve it with any static host, e.g. python -m http.server --directory {given.out}")
