"""schemathesis against /openapi.json: the server does what its description says, for bodies within it and beyond it.

One of its checks is left out, positive_data_acceptance: that a prompt fits the context, an id the vocabulary and a grammar its own syntax is more than a
description can say.

usage: schemathesis_client.py CASES [SEED]      CASES per operation
Needs the package `schemathesis`; exit 77 without it. Its report is shown where it finds something.
"""
import importlib.util
import json
import os
import subprocess
import sys
import tempfile

import served
from served import Server, claim


def main():
    cases, seed = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "1"
    if importlib.util.find_spec("schemathesis") is None:
        served.skip("no module named schemathesis")
    # Bodies may ask for as many tokens as the description allows: a short context keeps each answer short.
    with Server("--max-model-len", "64") as server, tempfile.TemporaryDirectory() as folder:
        document = server.get("/openapi.json")
        claim("every operation has a summary and an answer", all(operation["summary"] and "200" in operation["responses"]
                                                              for path in document["paths"].values() for operation in path.values()), json.dumps(document)[:500])
        report = subprocess.run([sys.executable, "-m", "schemathesis.cli", "--no-color", "run", server.url + "/openapi.json", "--checks", "all", "--exclude-checks", "positive_data_acceptance",
                                 "--max-examples", cases, "--seed", seed, "--suppress-health-check", "all", "--warnings", "off", "--workers", "1",
                                 "--request-timeout", "60", "--continue-on-failure"],
                                cwd=folder, capture_output=True, text=True, env={**os.environ, "HOME": folder, "PYTHONDONTWRITEBYTECODE": "1"})
        print("\n".join(report.stdout.splitlines()[-25:]))
        claim("schemathesis finds nothing", report.returncode == 0, "")
        if report.returncode != 0:
            print(report.stdout, report.stderr)
        claim("the server still answers", server.ask("GET", "/health")[0] == 200)
    served.finish()


main()
