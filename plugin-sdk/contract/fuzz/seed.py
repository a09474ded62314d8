"""Makes the corpora of the fuzz targets from the test vectors."""

import json
import pathlib

here = pathlib.Path(__file__).parent
for target, kind in {"events": "events", "ops": "ops", "rows": "rows", "answers": "rows"}.items():
    corpus = here / "corpus" / target
    corpus.mkdir(parents=True, exist_ok=True)
    vectors = json.loads((here / "../../wit/vectors" / f"{kind}.json").read_text())
    for number, vector in enumerate(vectors):
        (corpus / f"vector-{number:02}").write_bytes(bytes.fromhex(vector["frame"]))
