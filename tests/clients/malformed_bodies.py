"""Bodies that no client should send, to every route that takes one (reliability T16, T24).

usage: malformed_bodies.py COUNT [SEED]
First a table of bodies with the status and code that are due; then COUNT mutations of good bodies: each must be answered, with 200 or 4xx and an error in
OpenAI's shape, never with 5xx; the process keeps its size, its threads and its descriptors.
"""
import http.client
import json
import random
import sys

import served
from served import NAME, Server, claim

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Line 7"}]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
TOOL = {"type": "function", "function": {"name": "add", "description": "adds", "parameters": SCHEMA}}
GOOD = [
    ("/v1/completions", {"model": NAME, "prompt": "ab", "max_tokens": 1, "temperature": 0.5, "top_p": 0.9, "n": 1, "logprobs": 1, "echo": True, "stop": ["x"],
                        "seed": 1, "logit_bias": {"7": 1}, "stream_options": {"include_usage": True}, "user": "u"}),
    ("/v1/completions", {"prompt": ["ab", "c"], "max_tokens": 3, "num_beams": 3, "n": 2, "length_penalty": 0.5, "early_stopping": True, "best_of": 2,
                         "guided_json": SCHEMA}),
    (CHAT, {"model": NAME, "messages": MESSAGES, "max_completion_tokens": 1, "temperature": 1, "logprobs": True, "top_logprobs": 2, "presence_penalty": 0.1,
           "response_format": {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": SCHEMA}}}),
    (CHAT, {"messages": MESSAGES, "max_tokens": 2, "tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "add"}},
            "parallel_tool_calls": False}),
    (CHAT, {"messages": [*MESSAGES, {"role": "assistant", "content": None, "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{}"}}]}, {"role": "tool", "tool_call_id": "call_1", "content": "7"}],
            "max_tokens": 2, "tools": [TOOL], "tool_choice": "required", "stream": True}),
    ("/generate", {"prompt": "ab", "max_length": 1, "temperature": 0.7, "top_k": 3, "num_beams": 1, "do_sample": True}),
    ("/generate", {"inputs": "ab", "max_new_tokens": 2, "guided_json": SCHEMA, "num_speculative_tokens": 2, "adapter": NAME}),
    ("/predict", {"text": "ab", "top_k": 3}),
    ("/v1/embeddings", {"model": NAME, "input": ["ab", "c"], "encoding_format": "base64", "user": "u"}),
    ("/v1/embeddings", {"input": [[5, 6], [7]], "encoding_format": "float"}),
    ("/embed", {"input": "ab", "normalize": True}),
    ("/tokenize", {"prompt": "ab", "add_special_tokens": False}),
    ("/detokenize", {"tokens": [5, 6, 7]}),
    ("/apply-template", {"messages": MESSAGES, "add_generation_prompt": True}),
    ("/v1/load_lora_adapter", {"lora_name": "b", "lora_path": "no/such", "load_inplace": False}),
    ("/v1/unload_lora_adapter", {"lora_name": "b", "lora_int_id": 1}),
]
TABLE = [  # name, body, status, code, a part of the message
    ("empty", b"", 400, "invalid_json", "request body is empty"),
    ("cut", b'{"messages":', 400, "invalid_json", "invalid JSON at byte 12: unexpected end"),
    ("an array", b"[]", 400, "invalid_type", "body must be a JSON object"),
    ("deep arrays", b'{"a":' + b"[" * 10 ** 6, 400, "invalid_json", "nesting deeper than 64"),
    ("deep objects", b'{"a":' * 10 ** 6, 400, "invalid_json", "nesting deeper than 64"),
    ("many keys", json.dumps({f"k{i}": 0 for i in range(10 ** 5)}).encode(), 400, "invalid_json", "members"),
    ("a key twice", b'{"n":1,"messages":[],"n":2}', 400, "duplicate_field", "'n' appears twice"),
    ("NaN", b'{"messages":[],"temperature":NaN}', 400, "invalid_json", "at byte 29"),
    ("Infinity", b'{"messages":[],"temperature":Infinity}', 400, "invalid_json", "at byte 29"),
    ("a number beyond doubles", b'{"messages":[{"role":"user","content":"a"}],"temperature":1e400}', 400, None, ""),
    ("a lone surrogate", b'{"messages":[{"role":"user","content":"\\ud800"}]}', 400, "invalid_json", "at byte"),
    ("broken UTF-8", b'{"messages":[{"role":"user","content":"\xff"}]}', 400, "invalid_json", "invalid UTF-8 at byte 39"),
    ("a byte order mark", b'\xef\xbb\xbf{"messages":[]}', 400, "invalid_json", "byte order mark"),
    ("words after the end", b'{"messages":[]} x', 400, "invalid_json", "at byte 16"),
    ("no messages", b"{}", 400, "missing_field", "'messages' is required"),
    ("no message", b'{"messages":[]}', 400, "invalid_value", "at least one message"),
    ("a message that is none", b'{"messages":[7]}', 400, "invalid_value", "messages[0] must be an object"),
    ("a role that is none", b'{"messages":[{"role":"robot","content":"a"}]}', 400, "invalid_value", "messages[0].role 'robot' is unknown"),
    ("a role that is a number", b'{"messages":[{"role":7,"content":"a"}]}', 400, None, "messages[0].role"),
    ("a part whose type is a number", b'{"messages":[{"role":"user","content":[{"type":7,"text":"a"}]}]}', 400, "invalid_value", "messages[0].content"),
    ("a schema that goes in circles", json.dumps({"messages": MESSAGES, "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {
        "$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}}}}).encode(), 400, "unsupported_schema", ""),
    ("a schema that is a list", json.dumps({"messages": MESSAGES, "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": []}}}).encode(),
     400, "unsupported_schema", "schema"),
    ("a format that is a text", json.dumps({"messages": MESSAGES, "response_format": "json_object"}).encode(), 400, "unsupported_schema", "must be an object"),
    ("tools that are none", json.dumps({"messages": MESSAGES, "tools": [7]}).encode(), 400, "invalid_value", "tools[0] must be an object"),
    ("a call of a function that is not there", json.dumps({"messages": MESSAGES, "tools": [TOOL], "tool_choice": {"function": {"name": "sub"}}}).encode(),
     400, "invalid_value", "'sub'"),
    ("too long for the model", json.dumps({"messages": [{"role": "user", "content": "ab " * 9000}]}).encode(), 400, "context_length_exceeded", "this model allows 2048"),
    ("11 MB", b" " * (11 << 20), 413, "body_too_large", "limit is 10485760 bytes"),
    ("NUL in a text", b'{"messages":[{"role":"user","content":"a\\u0000b"}],"max_tokens":1}', 200, None, ""),
    ("a bare NUL in a text", b'{"messages":[{"role":"user","content":"a\x00b"}],"max_tokens":1}', 400, "invalid_json", "at byte 40"),
]
ODD = [None, True, False, 0, -1, 1, 2 ** 31, 2 ** 53, 2 ** 63, 2 ** 64, 10 ** 30, -10 ** 30, 1.5, 1e308, 5e-324, "", "a", "\u0000", "\U0001f600", "a" * 3000, [], {}, [[]],
       [None], [1, "a"], [[1], "a"], {"a": {"a": {}}}, [-1], [10 ** 10], {"type": "json_schema"}, {"type": 7}, [{"role": []}], [{"type": 7}], "<s>", ["", ""]]
RAW = [b"\xff", b"\x00", b"\\", b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\ud800", b"1e999", b"NaN", b"-", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r\n", b"null", b"\\u0000", b"0x1"]


def change_value(draw, value):
    """The value with one place of it changed."""
    if isinstance(value, dict) and value and draw.random() < 0.9:
        key = draw.choice(list(value))
        kind = draw.random()
        if kind < 0.1:
            return {name: inner for name, inner in value.items() if name != key}
        if kind < 0.15:
            return {**value, draw.choice(["", "n", "best_of", "grammar", "guided_json", "num_beams", "tools", "tool_choice", "tokens", "content", "text"]): draw.choice(ODD)}
        return {**value, key: change_value(draw, value[key])}
    if isinstance(value, list) and value and draw.random() < 0.8:
        place = draw.randrange(len(value))
        return [*value[:place], change_value(draw, value[place]), *value[place + 1:]]
    return draw.choice(ODD)


def mutated(draw, good):
    body = good
    for _ in range(draw.randint(1, 3)):
        body = change_value(draw, body)
    text = json.dumps(body, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")
    if draw.random() < 0.4:
        return text
    for _ in range(draw.randint(1, 4)):
        place, kind = draw.randrange(len(text) + 1), draw.randrange(4)
        if kind == 0:
            text = text[:place]
        elif kind == 1:
            text = text[:place] + draw.choice(RAW) + text[place:]
        elif kind == 2:
            text = text[:place] + text[place + draw.randint(1, 8):]
        elif place < len(text):
            text = text[:place] + bytes([draw.randrange(256)]) + text[place + 1:]
    return text


def fault_of(status, data):
    """What is wrong with an answer, or None."""
    if status == 200:
        return None
    if not 400 <= status < 500:
        return f"status {status}"
    try:
        error = json.loads(data)["error"]
    except (ValueError, KeyError, TypeError):
        return "no error object"
    if set(error) != {"message", "type", "param", "code"} or not error["message"] or not isinstance(error["code"], (str, type(None))):
        return "an error of another shape"
    return None


def table(server):
    for name, body, status, code, part in TABLE:
        got, _, data = server.ask("POST", CHAT, body)
        claim(f"{name}: status {status}", got == status, (got, data[:300]))
        if status != 200 and got == status:
            error = json.loads(data)["error"]
            claim(f"{name}: code {code}", code is None or error["code"] == code, error)
            claim(f"{name}: says '{part}'", part in error["message"], error)
    got, _, data = server.ask("POST", CHAT, b"{}", {"Content-Type": "text/plain"})
    claim("text/plain: 415", got == 415 and json.loads(data)["error"]["code"] == "unsupported_media_type", data)


def every_route(server):
    """Each good body is answered as such, so that its mutations reach what lies behind the first look; no route that takes a body is left out."""
    for path, body in GOOD:
        status, _, data = server.ask("POST", path, body)
        adapters = path.endswith("_lora_adapter")
        claim(f"{path}: the good body's status", status in ((400, 404) if adapters else (200,)), (status, data[:300]))
    described = {path for path, methods in server.get("/openapi.json")["paths"].items() if "post" in methods}
    claim("bodies for every route that takes one", described == {path for path, _ in GOOD}, described ^ {path for path, _ in GOOD})


class Line:
    """One connection, opened again where the server has closed it."""

    def __init__(self, port):
        self.port = port
        self.connection = None

    def post(self, path, body):
        for attempt in (1, 2):
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                self.connection.request("POST", path, body, {"Content-Type": "application/json"})
                answer = self.connection.getresponse()
                data = answer.read()
                if answer.will_close:
                    self.connection = None
                return answer.status, data
            except (http.client.HTTPException, ConnectionError) as error:
                self.connection = None
                if attempt == 2:
                    return 0, repr(error).encode()


def mutations(server, count, seed):
    draw, line, counts, shown = random.Random(seed), Line(server.port), {}, 0
    warm_up = min(count // 5, 10_000)
    before = None
    for number in range(count):
        if number == warm_up:
            before = server.resident_kib(), server.threads(), server.descriptors()
        path, good = draw.choice(GOOD)
        body = mutated(draw, good)
        status, data = line.post(path, body)
        counts[status] = counts.get(status, 0) + 1
        fault = fault_of(status, data)
        if fault and shown < 10:
            shown += 1
            claim(f"{path}: {fault}", False, f"{body[:600]!r}\n    {data[:600]!r}")
    after = server.resident_kib(), server.threads(), server.descriptors()
    print(f"{count} bodies, seed {seed}: {dict(sorted(counts.items()))}; resident {before[0]} -> {after[0]} KiB")
    claim("every body is answered, none with 5xx", set(counts) <= {200, 400, 404, 413, 415, 429}, counts)
    claim("most bodies are refused", counts.get(400, 0) > count / 2, counts)
    claim("the process does not grow", server.grew_kib(before[0]) < 16 << 10, (before, after))
    claim("no thread and no descriptor more", after[1:] == before[1:], (before, after))
    claim("it still answers", server.ask("GET", "/health")[0] == 200)


def main():
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with served.model_with_tools() as model, Server("--max-model-len", "2048", "--adapter-folder", str(model.parent), model=model) as server:
        table(server)
        every_route(server)
        mutations(server, count, seed)
    served.finish()


main()
