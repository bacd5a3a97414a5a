"""Streams say what whole answers say (reliability T26), and a seed gives the same text alone and in a crowd (T27).

Texts whose characters fall over several tokens (emoji, broken bytes of a model that has learned little), stop strings that begin in one token and end in
another, several choices at once: each stream is strict UTF-8 line by line, and its pieces together are the text of the answer that is not streamed.
"""
import threading

import served
from served import Server, claim, joined, joined_chat

EMOJI = 'root ::= ("\U0001f600" | "é" | "日本" | "\U0001f468\u200d\U0001f469" | "a"){12,40}'
MESSAGES = [{"role": "user", "content": "Line 7"}]


def both(server, body):
    """The choices of an answer and of the same answer as a stream: texts and reasons."""
    whole = server.post("/v1/completions", body)["choices"]
    events = server.events("/v1/completions", body)
    reasons = {choice["index"]: choice["finish_reason"] for event in events for choice in event["choices"] if choice["finish_reason"]}
    return ([(choice["text"], choice["finish_reason"]) for choice in whole],
            [(joined(events, index), reasons.get(index)) for index in range(len(whole))], events)


def characters(server):
    split = 0
    for seed in range(12):
        body = {"prompt": "Line", "grammar": EMOJI, "max_tokens": 300, "temperature": 1, "seed": seed, "n": 2}
        whole, streamed, events = both(server, body)
        claim(f"emoji, seed {seed}: the stream is the text", whole == streamed, (whole, streamed))
        claim(f"emoji, seed {seed}: no replaced character", "\ufffd" not in whole[0][0], whole)
        split += any(len(text.encode()) > len(text) and server.post("/tokenize", {"prompt": text})["count"] > len(text) for text, _ in whole)
        text = "".join(joined_chat(server.events("/v1/chat/completions", {"messages": MESSAGES, "grammar": EMOJI, "max_tokens": 300, "seed": seed})))
        message = server.post("/v1/chat/completions", {"messages": MESSAGES, "grammar": EMOJI, "max_tokens": 300, "seed": seed})["choices"][0]["message"]
        claim(f"emoji in a chat, seed {seed}", text == message["content"] and any(ord(c) > 127 for c in text), (text, message))
    claim("characters did fall over several tokens", split >= 6, split)
    for seed in range(12):
        whole, streamed, _ = both(server, {"prompt": "é", "max_tokens": 60, "temperature": 2, "seed": seed, "ignore_eos": True, "n": 3})
        claim(f"broken bytes, seed {seed}: the stream is the text", whole == streamed, (whole, streamed))
    cut = server.post("/tokenize", {"prompt": "\U0001f600", "add_special_tokens": False})["tokens"]
    for length in range(1, len(cut) + 1):
        whole, streamed, _ = both(server, {"prompt": cut[:length], "max_tokens": 4, "temperature": 0, "echo": True, "ignore_eos": True})
        claim(f"a prompt of {length} tokens of a character", whole == streamed, (whole, streamed))


def stops(server):
    crossing = 0
    for seed in range(6):
        base = {"prompt": "Line 7: the cat", "max_tokens": 40, "temperature": 1.5, "seed": seed, "ignore_eos": True}
        pieces = [choice["text"] for event in server.events("/v1/completions", base) for choice in event["choices"]]
        text = "".join(pieces)
        edges = {sum(map(len, pieces[:i])) for i in range(len(pieces))}
        for start in range(2, min(len(text), 30) - 4, 3):
            stop = text[start:start + 4]
            if "\ufffd" in stop:
                continue
            crossing += any(start < edge < start + 4 for edge in edges)
            whole, streamed, _ = both(server, {**base, "stop": [stop, "never said"]})
            claim(f"seed {seed}, stop {stop!r}: the stream is the text", whole == streamed, (whole, streamed))
            claim(f"seed {seed}, stop {stop!r}: it ends before it", whole == [(text[:text.index(stop)], "stop")], (whole, text))
    claim("stop strings did cross the edges of pieces", crossing > 20, crossing)
    whole, streamed, _ = both(server, {"prompt": "Line", "grammar": EMOJI, "max_tokens": 300, "seed": 3, "temperature": 1, "stop": ["\U0001f600"]})
    claim("a stop string of one character over four tokens", whole == streamed and "\U0001f600" not in whole[0][0], (whole, streamed))


def crowd(server):
    """Seeds alone, then 16 at once, some streamed, among others of other lengths."""
    bodies = [{"prompt": f"Line {i}: the", "max_tokens": 20 + i, "temperature": (0, 0.7, 1, 1.4)[i % 4], "top_p": (1, 0.9)[i % 2], "seed": 100 + i, "ignore_eos": True}
              for i in range(16)]
    alone = [server.post("/v1/completions", body)["choices"][0]["text"] for body in bodies]
    together = [None] * 16

    def ask(i):
        body = {**bodies[i], "user": "crowd"}
        together[i] = joined(server.events("/v1/completions", body)) if i % 3 == 0 else server.post("/v1/completions", body)["choices"][0]["text"]

    for _ in range(3):
        threads = [threading.Thread(target=ask, args=(i,)) for i in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        claim("each of 16 at once is what it is alone", together == alone, [pair for pair in zip(alone, together) if pair[0] != pair[1]])
    claim("seeds differ", len(set(alone)) == 16)


def main():
    with Server() as server:
        characters(server)
        stops(server)
        crowd(server)
    served.finish()


main()
