#!/usr/bin/env python3
"""Figures of `llm api` on this machine: what docs/serving.md shows.

usage: serving.py --model DIR [--llm build/bin/llm] [--rounds 3] [--prompt 128] [--new 128] [--streams 1000] [--parts hey,wrk]

Arms of one round, one after another against one server: one stream through HTTP, the in-process
loop (`llm generate --json`), one stream and sixteen through HTTP. Then, once: a 2,000-token
prompt arriving beside four running texts (time between their tokens), a shared 1,000-token beginning
(time to the first token, cold and again), prompt lookup on code-like text; and, where these public
tools are installed, `hey` on the texts as a second opinion, and `wrk` on /health with 200
connections. Prompts are random ids, another one for each request; texts are greedy and go on past
the end token. Only ratios mean anything on a shared machine. --parts runs some of throughput, long,
prefix, lookup, hey, wrk, streams; the last only where it is named: --streams texts of --new tokens,
all open at once, from a server of its own with two threads, beside it /health every 20 ms from another process.
"""
import argparse
import asyncio
import http.client
import json
import multiprocessing
import random
import re
import shutil
import statistics
import subprocess
import tempfile
import threading
import time


def start(args, extra=()):
    command = [args.llm, "api", args.model, "--port", "0", "--response-cache", "0", *extra]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in server.stderr:
        found = re.search(r"at http://127\.0\.0\.1:(\d+)", line)
        if found:
            threading.Thread(target=server.stderr.read, daemon=True).start()
            return server, int(found.group(1))
    raise SystemExit("the server did not start")


def post(port, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    if answer.status != 200:
        raise SystemExit(answer.read().decode())
    return answer


def ask(port, body):
    return json.loads(post(port, body).read())


def stream_times(port, body):
    """Seconds from the request to each token."""
    started, times = time.perf_counter(), []
    answer = post(port, {**body, "stream": True, "logprobs": 0})
    for line in answer:
        if line.startswith(b"data: {") and b'"token_logprobs"' in line:
            times.append(time.perf_counter() - started)
    return times


def body(args, prompt_tokens, new_tokens, vocab):
    ids = [random.randrange(300, vocab) for _ in range(prompt_tokens)]
    return {"prompt": ids, "max_tokens": new_tokens, "temperature": 0, "ignore_eos": True}


def crowd(port, bodies):
    started = time.perf_counter()
    threads = [threading.Thread(target=ask, args=(port, one)) for one in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def in_process(args):
    """The second of two texts, one after the other: the first one's passes pack the weights, which the server did long before."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as prompts:
        prompts.write(2 * ("one two three " * (args.prompt // 4) + "\n"))
        prompts.flush()
        result = subprocess.run([args.llm, "generate", args.model, "--prompt-file", prompts.name, "--batch-size", "1", "--json",
                                 "--max-tokens", str(args.new), "--temperature", "0", "--ignore-eos"],
                                capture_output=True, text=True, check=True)
    return json.loads(result.stdout)[1]["timing"]["tokens_per_second"]


def decode_rate(times):
    return (len(times) - 1) / (times[-1] - times[0])


def throughput(args, port, vocab):
    ratios, overheads, single, many = [], [], [], []
    for _ in range(args.rounds):
        before = decode_rate(stream_times(port, body(args, args.prompt, args.new, vocab)))  # memory drifts within seconds: on both sides of the loop
        loop = in_process(args)
        started = time.perf_counter()
        times = stream_times(port, body(args, args.prompt, args.new, vocab))
        one = args.new / (time.perf_counter() - started)
        sixteen = 16 * args.new / crowd(port, [body(args, args.prompt, args.new, vocab) for _ in range(16)])
        single.append(one)
        many.append(sixteen)
        ratios.append(sixteen / one)
        overheads.append((before + decode_rate(times)) / 2 / loop)
        print(f"  one {one:.1f} tok/s | sixteen {sixteen:.1f} tok/s | ratio {sixteen / one:.2f} | HTTP / loop {overheads[-1]:.3f}", flush=True)
    print(f"concurrency 16 / one stream: median {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
    print(f"HTTP single stream / in-process loop: median {statistics.median(overheads):.3f} ({min(overheads):.3f}-{max(overheads):.3f})")


def long_prompt(args, port, vocab, tokens):
    gaps, lock = [], threading.Lock()

    def run():
        times = stream_times(port, body(args, 32, 160, vocab))
        with lock:
            gaps.extend(later - earlier for earlier, later in zip(times, times[1:]))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    first = stream_times(port, body(args, tokens, 2, vocab))[0]
    for thread in threads:
        thread.join()
    gaps.sort()
    median, p99 = statistics.median(gaps), gaps[int(0.99 * len(gaps))]
    print(f"between tokens of four texts while {tokens} tokens of a prompt arrive: median {1e3 * median:.1f} ms, P99 {1e3 * p99:.1f} ms, "
          f"ratio {p99 / median:.2f}; the prompt's first token after {first:.2f} s")


def shared_prefix(args, port, vocab):
    ratios = []
    for _ in range(args.rounds):
        prefix = body(args, 1000, 2, vocab)
        cold = stream_times(port, prefix)[0]
        warm = stream_times(port, {**prefix, "prompt": prefix["prompt"] + [301, 302, 303]})[0]
        ratios.append(warm / cold)
    print(f"first token with a shared beginning of 1,000 tokens / cold: median {statistics.median(ratios):.3f}")


def speculation(args, port):
    text = "".join(f"def value_{i}(self):\n    return self._value_{i}\n\n" for i in range(12))
    base = {"prompt": text, "max_tokens": 128, "temperature": 0, "ignore_eos": True}
    ratios = []
    for _ in range(args.rounds):
        rates, texts = [], []
        for guesses in (0, 7):
            answer = ask(port, {**base, "num_speculative_tokens": guesses})
            rates.append(answer["timings"]["predicted_per_second"])
            texts.append(answer["choices"][0]["text"])
        if texts[0] != texts[1]:
            raise SystemExit("speculation changed the text")
        ratios.append(rates[1] / rates[0])
    print(f"prompt lookup / plain on code-like text, same text: median {statistics.median(ratios):.2f}")


def with_hey(args, port, vocab):
    if not shutil.which("hey"):
        return print("hey is not installed: no second opinion")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(body(args, args.prompt, args.new, vocab), file)
        file.flush()
        for clients in (1, 16):
            result = subprocess.run(["hey", "-n", str(2 * clients), "-c", str(clients), "-t", "0", "-m", "POST", "-T", "application/json",
                                     "-D", file.name, f"http://127.0.0.1:{port}/v1/completions"], capture_output=True, text=True, check=True)
            rate = float(re.search(r"Requests/sec:\s+([\d.]+)", result.stdout).group(1))
            print(f"hey -c {clients}: {rate * args.new:.1f} tok/s (one prompt for all: its prefix is shared)")


def with_wrk(port):
    """What the sockets and routes can do without a model, and that nothing is lost at 200 connections."""
    if not shutil.which("wrk"):
        return print("wrk is not installed: nothing about /health")
    url = f"http://127.0.0.1:{port}/health"
    told = subprocess.run(["wrk", "-t", "1", "-c", "200", "-d", "5s", "--latency", url], capture_output=True, text=True, check=True).stdout
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", told).group(1))
    median, p99 = (re.search(rf"{share}%\s+([\d.]+[a-z]+)", told).group(1) for share in (50, 99))
    lost = re.search(r"Socket errors:.*|Non-2xx.*", told)
    print(f"wrk -c 200 on /health: {rate:.0f} requests/s, median {median}, P99 {p99}, {lost.group(0) if lost else 'no errors'}")


def resident_mib(pid):
    with open(f"/proc/{pid}/status") as facts:
        return int(re.search(r"VmRSS:\s+(\d+) kB", facts.read()).group(1)) / 1024


async def exchange(port, method, path, content=b""):
    """Status and body of one request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
                 f"Content-Length: {len(content)}\r\n\r\n".encode() + content)
    answer = await reader.read(-1)
    writer.close()
    head, _, rest = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), rest


def watch(pid, port, done, told):
    """A process of its own: what a client of 1,000 streams has to do is not the server's delay."""
    health, memory = [], []
    while not done.wait(0.02):
        started = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/health", headers={"Connection": "close"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            break
        health.append(time.perf_counter() - started)
        memory.append(resident_mib(pid))
    told.send((answer.status, health, memory))


async def many_streams(args, port, bodies):
    """Status and body of each, and the seconds of all."""
    started = time.perf_counter()
    told = await asyncio.gather(*(exchange(port, "POST", "/v1/completions", json.dumps({**bodies[i % 8], "stream": True}).encode())
                                  for i in range(args.streams)))
    return told, time.perf_counter() - started


def report_streams(args, server, port, vocab):
    """Every stream's text must be the one that its prompt gets alone."""
    bodies = [body(args, 16, args.new, vocab) for _ in range(8)]
    expected = [ask(port, one)["choices"][0]["text"] for one in bodies]
    done, (heard, telling) = multiprocessing.Event(), multiprocessing.Pipe(duplex=False)
    watcher = multiprocessing.Process(target=watch, args=(server.pid, port, done, telling))
    watcher.start()
    told, seconds = asyncio.run(many_streams(args, port, bodies))
    done.set()
    status, health, memory = heard.recv()
    watcher.join()
    if status != 200:
        raise SystemExit(f"/health said {status} beside the streams")
    right = 0
    for i, (status, answer) in enumerate(told):
        pieces = re.findall(rb"^data: (\{.*\})\r?$", answer, re.MULTILINE)
        text = "".join(choice["text"] for piece in pieces for choice in json.loads(piece)["choices"])
        right += status == 200 and text == expected[i % 8] and b"data: [DONE]" in answer
    opened = memory[len(memory) // 4]
    print(f"{args.streams} open streams of {args.new} tokens: {right} whole, in order and as alone; {seconds:.1f} s; /health median "
          f"{1e3 * statistics.median(health):.1f} ms, slowest {1e3 * max(health):.1f} ms of {len(health)}; resident memory "
          f"{opened:.0f} MiB after a quarter of the time, {max(memory[len(memory) // 4:]):.0f} MiB at most after it")
    if right != args.streams:
        raise SystemExit("streams were lost")


def streams(args, vocab):
    room = str(args.streams + 100)
    server, port = start(args, ["--threads", "2", "--queue-size", room, "--max-connections", room])
    try:
        report_streams(args, server, port, vocab)
    finally:
        server.terminate()
        server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--llm", default="build/bin/llm")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompt", type=int, default=128)
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--parts", default="throughput,long,prefix,lookup,hey,wrk")
    args = parser.parse_args()
    parts = args.parts.split(",")
    server, port = start(args)
    try:
        told = http.client.HTTPConnection("127.0.0.1", port)
        told.request("GET", "/model-info")
        info = json.loads(told.getresponse().read())
        ask(port, body(args, 16, 4, info["vocab_size"]))  # packs the weights
        vocab = info["vocab_size"]
        arms = {"throughput": lambda: throughput(args, port, vocab),
                "long": lambda: long_prompt(args, port, vocab, min(2000, info["max_model_len"] - 8)),
                "prefix": lambda: shared_prefix(args, port, vocab), "lookup": lambda: speculation(args, port),
                "hey": lambda: with_hey(args, port, vocab), "wrk": lambda: with_wrk(port), "streams": lambda: streams(args, vocab)}
        for part in parts:
            arms[part]()
    finally:
        server.terminate()
        status = server.wait()
    if status != 0:
        raise SystemExit(f"the server ended with {status}")


main()
