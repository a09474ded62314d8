"""Projects a file of commits with Lantern and compares every row with a fold of the file itself.

    real_data.py LANTERN COMMITS.jsonl.gz

LANTERN is the binary. Runs on the embedded broker, in a folder of its own, which it removes.
"""

import gzip
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def fold(lines):
    """What examples/commits must make of the events, by table: key -> values."""
    files = defaultdict(lambda: [0, 0, 0, 0, 0])
    author_months = defaultdict(lambda: [0, 0, 0, 0, 0])
    repo_months = defaultdict(lambda: [0, 0])
    file_authors = Counter()
    for line in lines:
        commit = json.loads(line)
        repo, author, time_ms = commit["repo"], commit["author"], commit["time_ms"]
        month = datetime.fromtimestamp(time_ms / 1000, timezone.utc).strftime("%Y-%m")
        kind = {"CommitLanded": 0, "CommitMerged": 1}[commit["type"]]
        work = author_months[author, month]
        work[kind] += 1
        repo_months[repo, month][kind] += 1
        for change in commit["files"]:
            row = files[repo, change["path"]]
            row[0] += 1
            row[4] = max(row[4], time_ms) if row[0] > 1 else time_ms
            work[2] += 1
            if change["added"] is None or change["deleted"] is None:
                row[3] += 1
            else:
                row[1] += change["added"]
                row[2] += change["deleted"]
                work[3] += change["added"]
                work[4] += change["deleted"]
            file_authors[repo, change["path"], author] += 1
    return {
        "SELECT repo, path, commits, added, deleted, binary_changes, last_change_ms FROM files": files,
        "SELECT author, month, commits, merges, files, added, deleted FROM author_months": author_months,
        "SELECT repo, month, commits, merges FROM repo_months": repo_months,
        "SELECT repo, path, author, commits FROM file_authors": {k: [n] for k, n in file_authors.items()},
    }


def main(lantern, source):
    with tempfile.TemporaryDirectory(prefix="lantern-real-data-") as folder:
        data = Path(folder) / "data"
        # The same folder for all, and no plugin but this one.
        environment = os.environ | {
            "LANTERN_DATA_DIR": str(data),
            "LANTERN_PLUGINS_DIR": str(Path(folder) / "plugins"),
        }

        def run(*arguments):
            subprocess.run([lantern, *map(str, arguments)], check=True, cwd=folder, env=environment)

        run("build", ROOT / "examples/commits", "--out", Path(folder) / "plugins/commits.wasm")
        fields = ("--key-field", "author", "--type-field", "type")
        run("produce", "commits", Path(source).resolve(), *fields, "--partitions", 4)
        run("run", "--once")

        with gzip.open(source) as content:
            lines = content.read().splitlines()
        database = sqlite3.connect(f"file:{data}/read-models/commits.db?mode=ro", uri=True)
        for sql, expected in fold(lines).items():
            width = len(next(iter(expected.values())))
            found = {row[:-width]: list(row[-width:]) for row in database.execute(sql)}
            for key in expected.keys() | found.keys():
                if expected.get(key) != found.get(key):
                    sys.exit(f"{sql}\n{key}: the file gives {expected.get(key)}, Lantern {found.get(key)}")
            print(f"{len(found):7} rows as in the file: {sql}")
        print(f"{len(lines)} commits agree with the read model")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
