"""lm-eval's `local-completions` against `llm api` (reliability T28): its log-likelihoods are those of a direct forward of the model within 1e-3.

The direct forward is `llm generate --return-input-logprobs` in float32, and transformers on the same directory where that package is there. Two clients
ask the server: a stand-in written here that sends the requests lm-eval sends and reads the answers as it reads them (always), and lm-eval itself where
it is installed: ids and text, one row and several, one request at a time and several, rolling windows, generation, and an evaluation of a local task.
"""
import functools
import json
import math
import os
import subprocess

import served
from served import NAME, Server, claim

BOUND = 1e-3
CONTEXTS = ("Line 7: the cat number 49 sat on", "Line 8: the", "birds", "Line 250: the cat number 0 sat on the mat and looked at 3 birds.")
CONTINUATIONS = (" the mat", " cat number", ".", " Grüße 👍", "\nLine 9: the cat")
PAIRS = [(context, continuation) for context in CONTEXTS for continuation in CONTINUATIONS]


def generated(text, *flags):
    answer = subprocess.run([served.program(), "generate", str(served.model_directory()), "--prompt", text, "--json", "--quiet", "--dtype", "float32",
                             "--threads", "1", *flags], check=True, capture_output=True, text=True)
    return json.loads(answer.stdout)


@functools.lru_cache(maxsize=None)
def direct(text):
    """Ids of a text and the log probability of each but the first, by `llm generate`."""
    answer = generated(text, "--max-tokens", "0", "--return-input-logprobs", "true")
    return answer["prompt_token_ids"], answer["prompt_logprobs"]


def wanted_of(pairs):
    """For each pair: the ids of context and continuation, cut as lm-eval cuts them, and the log-likelihood of the continuation."""
    rows = []
    for context, continuation in pairs:
        ids, logprobs = direct(context + continuation)
        cut = len(direct(context)[0])
        rows.append((ids[:cut], ids[cut:], sum(logprobs[cut - 1:])))
    return rows


def check_with_transformers(rows):
    try:
        import torch
        import transformers
    except ImportError as missing:
        print(f"no comparison with transformers: {missing}")
        return
    transformers.utils.logging.disable_progress_bar()
    model = transformers.AutoModelForCausalLM.from_pretrained(served.model_directory(), dtype=torch.float32, attn_implementation="eager").eval()
    worst = 0
    for context, continuation, wanted in rows:
        ids = torch.tensor(context + continuation)
        with torch.no_grad():
            logprobs = torch.log_softmax(model(ids[None], use_cache=False).logits[0].double(), -1)
        theirs = logprobs[:-1].gather(1, ids[1:, None])[len(context) - 1:].sum().item()
        worst = max(worst, abs(theirs - wanted))
    print(f"largest difference between the direct forward and transformers: {worst:.1e}")
    claim("the direct forward is that of transformers", worst < BOUND, worst)


def compare(what, answers, rows):
    differences = [abs(answer[0] - row[2]) for answer, row in zip(answers, rows)]
    claim(f"{what}: one answer for each", len(answers) == len(rows))
    claim(f"{what}: within {BOUND}", all(difference < BOUND for difference in differences), differences)
    print(f"{what}: {len(rows)} rows, largest difference {max(differences):.1e}")


# --- the stand-in ------------------------------------------------------------------------------------------------------------


def read_choice(choice, length, context_length):
    """What lm-eval reads from a choice, after a look at all that it takes for granted."""
    lists = choice["logprobs"]
    logprobs, tops = lists["token_logprobs"], lists["top_logprobs"]
    claim("prompt + 1 entries", len(logprobs) == len(tops) == len(lists["tokens"]) == length + 1, (length, lists))
    claim("the first has no number", logprobs[0] is None)
    claim("a dict with entries in every other place", all(isinstance(top, dict) and top for top in tops[1:]), tops)
    claim("the token's number is the one in its dict, to the last bit", all(top[token] == value for token, value, top
                                                                        in zip(lists["tokens"][1:], logprobs[1:], tops[1:])), lists)
    claim("numbers are finite and below 0", all(math.isfinite(value) and value <= 0 for value in logprobs[1:]))
    claim("text_offset is where the token's text is", all(choice["text"][offset:].startswith(token) for token, offset in zip(lists["tokens"], lists["text_offset"])
                                                         if not token.startswith(("bytes:", "token_id:", "<"))), choice)
    counted = range(context_length, len(logprobs) - 1)
    return sum(logprobs[i] for i in counted), all(logprobs[i] == max(tops[i].values()) for i in counted)


def stand_in(server, rows):
    for batch in (1, 4):
        answers = []
        for start in range(0, len(rows), batch):
            part = rows[start:start + batch]
            prompts = [context + continuation for context, continuation, _ in part]
            answer = server.post("/v1/completions", {"model": NAME, "prompt": prompts, "temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234, "echo": True})
            for choice in sorted(answer["choices"], key=lambda choice: choice["index"]):
                context, continuation, _ = part[choice["index"]]
                answers.append(read_choice(choice, len(context) + len(continuation), len(context)))
        compare(f"stand-in, {batch} rows a request", answers, rows)
    context, continuation, wanted = rows[0]
    answer = server.post("/v1/completions", {"prompt": context + continuation, "max_tokens": 0, "logprobs": 1, "echo": True})
    lists = answer["choices"][0]["logprobs"]
    claim("max_tokens 0 gives the prompt's entries alone", len(lists["token_logprobs"]) == len(context + continuation)
          and abs(sum(lists["token_logprobs"][len(context):]) - wanted) < BOUND, lists)


def greedy_rows(server):
    """What the model itself would write passes lm-eval's greedy test; with another last token it does not."""
    for text in CONTEXTS:
        written = generated(text, "--max-tokens", "5", "--temperature", "0", "--ignore-eos", "true")
        ids, tail = written["prompt_token_ids"], written["token_ids"]
        for last, due in ((tail[4], True), ((tail[4] + 7) % 250 + 5, False)):
            row = ids + tail[:4] + [last]
            answer = server.post("/v1/completions", {"model": NAME, "prompt": [row], "temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234, "echo": True})
            greedy = read_choice(answer["choices"][0], len(row), len(ids))[1]
            claim("greedy is what the model would write", greedy == due, (text, tail, last))


# --- lm-eval itself -----------------------------------------------------------------------------------------------------------


def requests_of(kind, arguments):
    from lm_eval.api.instance import Instance
    return [Instance(request_type=kind, doc={}, arguments=pair, idx=i) for i, pair in enumerate(arguments)]


def lm_eval_itself(server, rows):
    from lm_eval.models.openai_completions import LocalCompletionsAPI
    options = dict(base_url=server.url + "/v1/completions", model=NAME, tokenizer_backend="remote", max_length=2048, max_retries=1)
    for tokenized in (True, False):
        for batch, concurrent in ((1, 1), (4, 1), (1, 4), (8, 2)):
            model = LocalCompletionsAPI(**options, tokenized_requests=tokenized, batch_size=batch, num_concurrent=concurrent)
            answers = model.loglikelihood(requests_of("loglikelihood", PAIRS), disable_tqdm=True)
            compare(f"lm-eval, {'ids' if tokenized else 'text'}, {batch} rows a request, {concurrent} at a time", answers, rows)
    model = LocalCompletionsAPI(**options, batch_size=4)
    text = " ".join(CONTEXTS)
    info = server.get("/tokenizer_info")
    start = model.prefix_token_id
    spelled = server.post("/tokenize", {"prompt": info["bos_token"] or info["eos_token"], "add_special_tokens": False})["tokens"]
    claim("the token before a text is one token", spelled == [start], (spelled, start))
    rolled = model.loglikelihood_rolling(requests_of("loglikelihood_rolling", [(text,)]), disable_tqdm=True)[0]
    ids = server.post("/tokenize", {"prompt": text, "add_special_tokens": False})["tokens"]
    answer = server.post("/v1/completions", {"prompt": [start] + ids, "max_tokens": 0, "logprobs": 0, "echo": True})
    mine = sum(answer["choices"][0]["logprobs"]["token_logprobs"][1:])
    claim("a rolling log-likelihood is the sum over the text", abs(rolled - mine) < BOUND, (rolled, mine))
    written = model.generate_until(requests_of("generate_until", [(context, {"until": ["\n", " sat"], "max_gen_toks": 24}) for context in CONTEXTS]), disable_tqdm=True)
    for context, text in zip(CONTEXTS, written):
        own = server.post("/v1/completions", {"prompt": context, "max_tokens": 24, "temperature": 0, "stop": ["\n", " sat"]})
        claim("generated text is the server's", text == own["choices"][0]["text"], (text, own))


def local_task(server, rows):
    """An evaluation by lm-eval of a multiple-choice task: its accuracy is that of the log-likelihoods of a direct forward."""
    try:
        import datasets
        from lm_eval import simple_evaluate
        from lm_eval.api.task import ConfigurableTask
    except ImportError as missing:
        print(f"no local task: {missing}")
        return
    documents = [{"question": context, "choices": list(CONTINUATIONS[:3]), "answer": i % 3} for i, context in enumerate(CONTEXTS)]
    task = ConfigurableTask(config={
        "task": "local_lines", "custom_dataset": lambda **_: datasets.DatasetDict({"test": datasets.Dataset.from_list(documents)}), "test_split": "test",
        "output_type": "multiple_choice", "doc_to_text": "{{question}}", "doc_to_choice": "{{choices}}", "doc_to_target": "{{answer}}", "target_delimiter": "",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}]})
    result = simple_evaluate(model="local-completions", tasks=[task], bootstrap_iters=0, log_samples=True, batch_size=3, model_args={
        "base_url": server.url + "/v1/completions", "model": NAME, "tokenizer_backend": "remote", "max_retries": 1, "num_concurrent": 1})
    right = 0
    for document in documents:
        ours = [row[2] for row, (context, continuation) in zip(rows, PAIRS) if context == document["question"] and continuation in document["choices"]]
        right += max(range(3), key=lambda i: ours[i]) == document["answer"]
    claim("the task's accuracy is that of the direct forward", result["results"]["local_lines"]["acc,none"] == right / len(documents), result["results"])
    print(f"local task: accuracy {right / len(documents)}")


def main():
    rows = wanted_of(PAIRS)
    check_with_transformers(rows)
    with Server("--dtype", "float32") as server:
        stand_in(server, rows)
        greedy_rows(server)
        try:
            import lm_eval
            import aiohttp, tenacity  # noqa: E401, F401
        except ImportError as missing:
            print(f"only the stand-in has asked: {missing}")
        else:
            print(f"lm_eval {lm_eval.__version__}")
            lm_eval_itself(server, rows)
            local_task(server, rows)
    served.finish()


os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
main()
