"""Many requests of every kind (reliability T30): the process keeps its size, its threads and its descriptors.

usage: soak.py COUNT
Eight clients at once: completions, chats, streams read to the end, streams left early, log-likelihoods, structured answers, refusals, looks at the metrics.
"""
import random
import socket
import sys
import threading

import served
from served import NAME, Server, claim

CLIENTS = 8
SCHEMA = {"type": "object", "properties": {"kind": {"enum": ["cat", "bird"]}, "tame": {"type": "boolean"}}, "required": ["kind", "tame"], "additionalProperties": False}


def leave_early(server, draw):
    """Asks for a long stream and is gone after its first bytes, or before them."""
    body = b'{"prompt":"Line","max_tokens":9000,"ignore_eos":true,"stream":true}'
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as line:
        line.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        if draw.random() < 0.7:
            line.recv(300)
    return True


def ask(server, draw):
    """One request; true if its answer was the right one."""
    number, seed = draw.randrange(300), draw.randrange(10 ** 6)
    kind = draw.randrange(9)
    prompt = f"Line {number}: the cat"
    if kind == 0:
        return server.post("/v1/completions", {"prompt": prompt, "max_tokens": draw.randrange(1, 24), "seed": seed})["object"] == "text_completion"
    if kind == 1:
        answer = server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": prompt}], "max_tokens": 12, "seed": seed, "n": 2, "logprobs": True})
        return len(answer["choices"]) == 2
    if kind == 2:
        return len(server.events("/v1/completions", {"prompt": prompt, "max_tokens": 12, "seed": seed, "ignore_eos": True})) >= 2
    if kind == 3:
        return leave_early(server, draw)
    if kind == 4:
        answer = server.post("/v1/completions", {"prompt": [[5 + i % 250 for i in range(number + 2)], [7, 8]], "max_tokens": 1, "logprobs": 1, "echo": True, "temperature": 0})
        return len(answer["choices"][0]["logprobs"]["tokens"]) == number + 3
    if kind == 5:
        answer = server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": prompt}], "max_tokens": 200, "seed": seed, "response_format":
                                                      {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}})
        return answer["choices"][0]["finish_reason"] == "stop"
    if kind == 6:
        return server.ask("POST", "/v1/completions", {"prompt": prompt, "temperature": 9})[0] == 400 and server.ask("GET", f"/none/{number}")[0] == 404
    if kind == 7:
        return server.post("/v1/completions", {"model": NAME, "prompt": prompt, "max_tokens": 8, "num_beams": 2, "temperature": 0})["usage"]["prompt_tokens"] > 0
    return server.ask("GET", draw.choice(["/metrics", "/health", "/v1/models", "/stats", "/openapi.json"]))[0] == 200


def run(server, count, seed):
    """Asks `count` times from CLIENTS threads; the number of wrong answers."""
    wrong, left, lock = [], [count], threading.Lock()

    def client(number):
        draw = random.Random(seed * 1000 + number)
        while True:
            with lock:
                if left[0] == 0:
                    return
                left[0] -= 1
            try:
                if not ask(server, draw):
                    wrong.append("another answer")
            except Exception as error:  # noqa: BLE001 - whatever went wrong is the finding
                wrong.append(repr(error))

    threads = [threading.Thread(target=client, args=(i,)) for i in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    claim("nothing runs when all are answered", server.wait_until(lambda stats: stats["active_requests"] == 0 and stats["waiting_requests"] == 0))
    return wrong


def main():
    count = int(sys.argv[1])
    # The caches are small, so that they are full before the first look.
    with Server("--response-cache", "32", "--kv-cache-memory", str(8 << 20)) as server:
        wrong = run(server, count // 4, 1)
        before = server.resident_kib(), server.threads(), server.descriptors()
        blocks = server.get("/stats")["kv_blocks_used"]
        wrong += run(server, count - count // 4, 2)
        after = server.resident_kib(), server.threads(), server.descriptors()
        stats = server.get("/stats")
        print(f"{count} requests: resident {before[0]} -> {after[0]} KiB, threads {after[1]}, descriptors {before[2]} -> {after[2]}, {stats}")
        claim("every answer is the right one", not wrong, wrong[:5])
        claim("the process does not grow", server.grew_kib(before[0]) < 16 << 10, (before, after))
        claim("no thread more", after[1] == before[1], (before, after))
        claim("no descriptor more", after[2] <= before[2] + 1, (before, after))
        claim("no more blocks are held than the prefix cache may hold", stats["kv_blocks_used"] <= stats["kv_blocks"], (blocks, stats))
    served.finish()


main()
