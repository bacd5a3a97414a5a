"""A running `llm api` for the tests of its clients, and plain HTTP to it with nothing but Python's own library.

The environment names PROGRAM (the binary) and SERVED (a folder that make_served.sh filled). A Server takes a free port, waits until it listens, and must
end with status 0 at SIGTERM. Claims are counted by `claim`; a script ends with `finish()`. Exit 77 means: skipped, a package is missing.
"""
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
NAME = "small"  # what the model is called in requests
claims = 0
wrong = []


def program():
    return os.environ["PROGRAM"]


def model_directory():
    return pathlib.Path(os.environ["SERVED"]) / NAME


@contextlib.contextmanager
def model_with_tools():
    """A copy of the model whose chat template takes tools (in the shape of Hermes), under the same name."""
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / NAME
        shutil.copytree(model_directory(), copy)
        (copy / "chat_template.jinja").write_text(
            "{% for t in tools or [] %}<tool_call> may call {{ t.function.name }}\n{% endfor %}"
            "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}")
        yield copy


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def claim(text, holds, seen=""):
    """Counts a claim; `seen` is shown where it does not hold."""
    global claims
    claims += 1
    if not holds:
        wrong.append(text)
        print(f"WRONG: {text}" + (f"\n    {str(seen)[:1500]}" if seen != "" else ""), flush=True)
    return holds


def finish():
    print(f"{claims} claims, {len(wrong)} wrong")
    sys.exit(1 if wrong or not claims else 0)


class Server:
    """`with Server("--queue-size", "1") as server:`; leaving the block sends SIGTERM and asks for exit status 0."""

    def __init__(self, *flags, keys=None, model=None):
        self.log_path = pathlib.Path(tempfile.mkstemp(prefix="llm_api_", suffix=".log")[1])
        environment = {key: value for key, value in os.environ.items() if key != "LLM_API_KEY"}
        environment["OMP_NUM_THREADS"] = "1"
        if keys:
            environment["LLM_API_KEY"] = keys
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([program(), "api", str(model or model_directory()), "--port", "0", "--threads", "1", *flags],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        self.port = self._wait_for_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def _wait_for_port(self):
        end = time.monotonic() + 120
        while time.monotonic() < end:
            found = re.search(r"serving '.*' at http://[^ ]*:(\d+)", self.log())
            if found:
                return int(found.group(1))
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.process.kill()
        raise RuntimeError("the server did not start:\n" + self.log())

    def log(self):
        return self.log_path.read_text(errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        status = self.stop()
        if kind is None:
            claim("the server ends with status 0 at SIGTERM", status == 0, f"{status}\n{self.log()[-1500:]}")
        elif status != 0:
            print(f"the server ended with {status}:\n{self.log()[-1500:]}")
        self.log_path.unlink()

    def stop(self, limit=60):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return f"still there {limit} s after SIGTERM"

    # --- plain HTTP ------------------------------------------------------------------------------------------------------

    def ask(self, method, path, body=None, headers=None, timeout=60):
        """Status, headers with lower-case names, and the body as bytes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            given = {"Content-Type": "application/json", **(headers or {})}
            connection.request(method, path, data, given)
            answer = connection.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def post(self, path, body, **more):
        status, _, data = self.ask("POST", path, body, **more)
        if status != 200:
            raise RuntimeError(f"{path}: {status} {data[:500]!r}")
        return json.loads(data)

    def get(self, path):
        status, _, data = self.ask("GET", path)
        if status != 200:
            raise RuntimeError(f"{path}: {status} {data[:500]!r}")
        return json.loads(data)

    def events(self, path, body):
        """The JSON of every event of a stream that must end with [DONE]; each line must be strict UTF-8."""
        status, headers, data = self.ask("POST", path, {**body, "stream": True})
        if status != 200 or not headers["content-type"].startswith("text/event-stream"):
            raise RuntimeError(f"{path}: {status} {headers} {data[:500]!r}")
        lines = [line[6:] for line in data.decode("utf-8", "strict").split("\n") if line.startswith("data: ")]
        if lines[-1] != "[DONE]":
            raise RuntimeError(f"{path}: no [DONE]: {lines[-1]}")
        return [json.loads(line) for line in lines[:-1]]

    def generated_tokens(self):
        return self.get("/stats")["generated_tokens"]

    def wait_until(self, condition, seconds=20):
        """True once condition(stats) holds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition(self.get("/stats")):
                return True
            time.sleep(0.05)
        return False

    # --- what the process takes ------------------------------------------------------------------------------------------

    def status_field(self, name):
        return int(re.search(rf"^{name}:\s+(\d+)", pathlib.Path(f"/proc/{self.process.pid}/status").read_text(), re.M).group(1))

    def grew_kib(self, before):
        """Since resident_kib() was `before`, less what AddressSanitizer may keep of freed memory (256 MiB)."""
        return self.resident_kib() - before - ((256 << 10) if "ASAN_OPTIONS" in os.environ else 0)

    def resident_kib(self):
        return self.status_field("VmRSS")

    def threads(self):
        return self.status_field("Threads")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def joined(events, index=0):
    """The text of one choice of a completion's events."""
    return "".join(choice["text"] for event in events for choice in event["choices"] if choice["index"] == index)


def joined_chat(events, index=0):
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"] if choice["index"] == index)
