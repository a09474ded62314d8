"""Writes the module of a folder as a module proxy of Go serves it: `module_zip.py DIR MODULE@VERSION FILE.zip`."""

import os
import sys
import zipfile

folder, prefix, path = sys.argv[1:]
with zipfile.ZipFile(path, "w") as module:
    for below, _, files in os.walk(folder):
        for name in files:
            file = os.path.join(below, name)
            module.write(file, f"{prefix}/{os.path.relpath(file, folder)}")
