"""Builds the core for plugins: ``python3 native/build.py --zig ZIG [--out FILE]``.

ZIG is the compiler of this version, of which the same sources are the same bytes anywhere; a test of the repository sees to it that the file in
``lantern`` is what they give. CPython itself comes into a plugin by componentize-py, which links the core with it.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ZIG = "0.17.1"
HERE = Path(__file__).parent
SOURCES = ["native", "events", "json", "reader", "rows", "value"]
# The name is that of CPython in componentize-py: another one would not be found there, and must not be found elsewhere.
OUT = HERE.parent / "lantern" / "_native.cpython-314-wasm32-wasi.so"
COMPILE = ["cc", "-target", "wasm32-wasi", "-c", "-fPIC", "-O3", "-std=c11", "-fvisibility=hidden", "-fno-sanitize=all"]
WARN = ["-Wall", "-Wextra", "-Werror"]
# Zig's `cc -shared` takes no symbols that somebody else has.
LINK = ["wasm-ld", "-shared", "--experimental-pic", "--no-entry", "--unresolved-symbols=import-dynamic"]
SMALL = ["--strip-all", "--gc-sections"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="build.py", description="Builds the SDK's native core.")
    parser.add_argument("--zig", default="zig", help=f"Zig {ZIG}")
    parser.add_argument("--out", type=Path, default=OUT, help="where the core is written")
    arguments = parser.parse_args()
    found = subprocess.run([arguments.zig, "version"], capture_output=True, text=True, check=True).stdout.strip()
    if found != ZIG:
        print(
            f"{arguments.zig} is Zig {found}, and the core is built by {ZIG}: pip install ziglang=={ZIG}",
            file=sys.stderr,
        )
        return 1
    with tempfile.TemporaryDirectory() as folder:
        objects = [f"{folder}/{source}.o" for source in SOURCES]
        for source, compiled in zip(SOURCES, objects, strict=True):
            subprocess.run([arguments.zig, *COMPILE, *WARN, f"{source}.c", "-o", compiled], cwd=HERE, check=True)
        linked = [arguments.zig, *LINK, *SMALL, *objects, "-o", arguments.out.resolve()]
        # It warns that dynamic linking of WebAssembly is not stable yet; what matters is what componentize-py takes.
        ran = subprocess.run(linked, cwd=HERE, capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            print(ran.stderr, file=sys.stderr)
            return 1
        # What is no program to be run is not to look like one.
        arguments.out.chmod(0o644)
        return 0


if __name__ == "__main__":
    sys.exit(main())
