"""Clients that leave (reliability T21, T22): in the queue, while the prompt is read, while text is written, with and without a stream.

Each time the work ends soon, what it held in memory is free again, and the ones that stay get their answers. A full queue is counted by the metrics.
"""
import json
import re
import socket

import served
from served import Server, claim

LONG = {"prompt": "Line", "max_tokens": 16000, "ignore_eos": True}


def begin(server, body, stream, wait=True):
    """An open connection on which a request is under way; for a stream, behind its first event."""
    data = json.dumps({**body, "stream": stream}).encode()
    line = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    line.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
    if stream and wait:
        seen = b""
        while b"data: " not in seen:
            piece = line.recv(4096)
            if not piece:
                raise RuntimeError(f"the stream ended: {seen!r}")
            seen += piece
    return line


def idle(stats):
    return stats["active_requests"] == 0 and stats["waiting_requests"] == 0


def phases(server):
    for stream in (True, False):
        for reset in (True, False):
            before = server.generated_tokens()
            line = begin(server, LONG, stream)
            claim("it runs", server.wait_until(lambda stats: stats["active_requests"] == 1))
            leave(line, reset)
            claim(f"written text, stream {stream}, reset {reset}: it ends", server.wait_until(idle, 5))
            claim("before it is whole", server.generated_tokens() - before < 16000)
    prompt = {"prompt": [5 + i % 250 for i in range(16000)], "max_tokens": 300}
    for stream in (True, False):
        line = begin(server, prompt, stream, wait=False)
        claim("it arrives", server.wait_until(lambda stats: not idle(stats)))
        leave(line, True)
        claim(f"read prompt, stream {stream}: it ends", server.wait_until(idle, 5))


def leave(line, reset):
    if reset:  # without a farewell
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    line.close()


def queue(server):
    """One place in the batch, three in the queue."""
    running = begin(server, LONG, True)
    waiting = [begin(server, {**LONG, "prompt": f"Line {i}"}, i % 2 == 0, wait=False) for i in range(3)]
    claim("three wait", server.wait_until(lambda stats: stats["waiting_requests"] == 3), server.get("/stats"))
    status, headers, _ = server.ask("POST", "/v1/completions", {"prompt": "a", "max_tokens": 1})
    claim("a fifth is refused", status == 429 and int(headers["retry-after"]) >= 1, (status, headers))
    for line in waiting[1:]:
        leave(line, True)
    claim("who leaves the queue makes room in it", server.wait_until(lambda stats: stats["waiting_requests"] == 1, 5), server.get("/stats"))
    leave(running, True)
    claim("the one that stayed begins", b"data: " in waiting[0].recv(4096) + waiting[0].recv(4096))
    leave(waiting[0], True)
    claim("nothing is left", server.wait_until(idle, 5))
    counted = re.search(r'llm:http_requests_total\{status="429"\} (\d+)', server.ask("GET", "/metrics")[2].decode())
    claim("the refusal is counted", counted is not None and int(counted.group(1)) == 1, counted)


def memory(server):
    """200 that leave, then as many blocks are in use as the prefix cache keeps of one text."""
    for i in range(200):
        leave(begin(server, {**LONG, "prompt": f"Line {i}", "max_tokens": 3000}, i % 2 == 0, wait=False), i % 3 == 0)
    claim("all of 200 end", server.wait_until(idle, 20), server.get("/stats"))
    answer = server.post("/v1/completions", {"prompt": "Line 7: the cat", "max_tokens": 8, "temperature": 0})
    claim("and the next is answered", answer["usage"]["completion_tokens"] == 8)


def main():
    with Server() as server:
        phases(server)
        memory(server)
    with Server("--max-batch-size", "1", "--queue-size", "3", "--prefix-caching", "false") as server:
        queue(server)
        used = server.get("/stats")["kv_blocks_used"]
        claim("no block is held for nobody", used == 0, used)
    served.finish()


main()
