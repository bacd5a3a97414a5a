"""openai-python against `llm api`, unmodified: models, completions, chat, streams, structured answers, calls of functions, error classes, retries, leaving early.

Needs the package `openai`; exit 77 without it.
"""
import asyncio
import json
import threading
import time
from typing import Literal

import served
from served import NAME, Server, claim

try:
    import openai
    import pydantic
except ImportError as missing:
    served.skip(missing)

PROMPT = "Line 7: the cat"
ON = {"ignore_eos": True}  # the model does not end its text
MESSAGES = [{"role": "user", "content": "Line 7: the cat"}]


def client_of(server, **more):
    return openai.OpenAI(base_url=server.url + "/v1", api_key=more.pop("api_key", "unused"), max_retries=more.pop("max_retries", 0), timeout=60, **more)


def raises(kind, call):
    """The error of that very class that the call raises, or None."""
    try:
        call()
    except openai.OpenAIError as error:
        return error if type(error) is kind else claim(f"{kind.__name__} is due", False, repr(error)) or None
    claim(f"{kind.__name__} is due", False, "no error")
    return None


def models(client):
    listed = [model.id for model in client.models.list()]
    claim("the model is listed by its directory's name", listed == [NAME], listed)
    claim("one model is found by its name", client.models.retrieve(NAME).id == NAME)


def completions(client):
    answer = client.completions.create(model=NAME, prompt=PROMPT, max_tokens=16, temperature=0, extra_body=ON)
    claim("16 tokens end by their number", answer.choices[0].finish_reason == "length" and answer.usage.completion_tokens == 16, answer)
    claim("usage adds up", answer.usage.total_tokens == answer.usage.prompt_tokens + 16, answer.usage)
    text = answer.choices[0].text
    pieces = list(client.completions.create(model=NAME, prompt=PROMPT, max_tokens=16, temperature=0, extra_body=ON, stream=True,
                                            stream_options={"include_usage": True}))
    claim("the stream is the same text", "".join(c.text for p in pieces for c in p.choices) == text, pieces)
    claim("usage comes in a last chunk without choices", pieces[-1].choices == [] and pieces[-1].usage == answer.usage, pieces[-1])
    claim("no chunk before has usage", all(piece.usage is None for piece in pieces[:-1]))
    claim("all chunks have one id", len({(piece.id, piece.created) for piece in pieces}) == 1)
    several = client.completions.create(model=NAME, prompt=[PROMPT, "birds"], n=2, max_tokens=4, seed=5, temperature=1, logprobs=3, extra_body=ON)
    claim("two prompts with n=2 are four choices in order", [c.index for c in several.choices] == [0, 1, 2, 3], several)
    claim("choices of one prompt differ", several.choices[0].text != several.choices[1].text)
    for choice in several.choices:
        lists = choice.logprobs
        claim("four entries of each logprobs list", len(lists.tokens) == len(lists.token_logprobs) == len(lists.top_logprobs) == len(lists.text_offset) == 4, lists)
        claim("each token is in its dict with the same number",
              all(top[token] == value for token, value, top in zip(lists.tokens, lists.token_logprobs, lists.top_logprobs)), lists)
    stopped = client.completions.create(model=NAME, prompt=PROMPT, max_tokens=16, temperature=0, extra_body=ON, stop=[text[5:7]])
    claim("a stop string ends the text before it", stopped.choices[0].text == text[:text.index(text[5:7])] and stopped.choices[0].finish_reason == "stop", (text, stopped))
    echoed = client.completions.create(model=NAME, prompt=PROMPT, max_tokens=16, temperature=0, extra_body=ON, echo=True)
    claim("echo gives the prompt first", echoed.choices[0].text == PROMPT + text, echoed)


def chats(client):
    plain = dict(model=NAME, messages=MESSAGES, max_completion_tokens=16, temperature=0, extra_body=ON)
    answer = client.chat.completions.create(**plain)
    message = answer.choices[0].message
    claim("an assistant's message", message.role == "assistant" and len(message.content) > 0 and answer.object == "chat.completion", answer)
    pieces = list(client.chat.completions.create(**plain, stream=True, stream_options={"include_usage": True}))
    claim("the chat's stream is the same text", "".join(c.delta.content or "" for p in pieces for c in p.choices) == message.content, pieces)
    claim("the first delta has the role", pieces[0].choices[0].delta.role == "assistant")
    claim("the last choice says why it ended", pieces[-2].choices[0].finish_reason == "length", pieces[-2])
    claim("the last chunk has the usage", pieces[-1].choices == [] and pieces[-1].usage == answer.usage, pieces[-1])
    parts = [{"role": "user", "content": [{"type": "text", "text": "Line 7: "}, {"type": "text", "text": "the cat"}]}]
    claim("text parts are one text", client.chat.completions.create(**{**plain, "messages": parts}).choices[0].message.content == message.content)
    two = client.chat.completions.create(**{**plain, "temperature": 1}, n=2, seed=11, logprobs=True, top_logprobs=2)
    again = client.chat.completions.create(**{**plain, "temperature": 1}, n=2, seed=11)
    claim("n=2 gives two choices", [c.index for c in two.choices] == [0, 1])
    claim("a seed gives the same choices again", [c.message.content for c in two.choices] == [c.message.content for c in again.choices])
    for choice in two.choices:
        entries = choice.logprobs.content
        claim("an entry for each token, two alternatives in it", len(entries) == 16 and all(len(e.top_logprobs) == 2 and e.bytes is not None for e in entries), entries)
        claim("their bytes are the text", bytes(b for e in entries for b in e.bytes).decode("utf-8", "replace").strip() == choice.message.content.strip(), choice)
    streamed = list(client.chat.completions.create(**{**plain, "temperature": 1}, n=2, seed=11, logprobs=True, top_logprobs=2, stream=True))
    for index in (0, 1):
        own = [c for p in streamed for c in p.choices if c.index == index]
        claim("streamed choices are those of the whole answer", "".join(c.delta.content or "" for c in own) == two.choices[index].message.content)
        claim("streamed logprobs are those of the whole answer", [e for c in own if c.logprobs for e in c.logprobs.content] == two.choices[index].logprobs.content)
    ended = {**plain, "max_completion_tokens": 1000, "extra_body": None}
    with client.chat.completions.stream(**ended) as stream:
        final = stream.until_done().get_final_completion().choices[0]
    claim("the helper of streams ends with the whole message", final.finish_reason == "stop"
          and final.message.content == client.chat.completions.create(**ended).choices[0].message.content, final)


class Bird(pydantic.BaseModel):
    seen: bool
    count: int = pydantic.Field(ge=0, le=99)
    colour: Literal["black", "white"]


def structured(client):
    for seed in range(4):
        choice = client.chat.completions.parse(model=NAME, messages=MESSAGES, response_format=Bird, max_completion_tokens=400, temperature=1, seed=seed).choices[0]
        claim("parse() gives an object of the class", isinstance(choice.message.parsed, Bird), choice)
    schema = {"type": "object", "properties": {"kind": {"enum": ["cat", "bird"]}, "tame": {"type": "boolean"}}, "required": ["kind", "tame"],
              "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "animal", "strict": True, "schema": schema}}
    for seed in range(8):
        answer = client.chat.completions.create(model=NAME, messages=MESSAGES, response_format=form, max_completion_tokens=200, temperature=1, seed=seed)
        choice = answer.choices[0]
        if claim("a schema without loops ends by itself", choice.finish_reason == "stop", choice):
            animal = json.loads(choice.message.content)
            claim("the object is of the schema", set(animal) == {"kind", "tame"} and animal["kind"] in ("cat", "bird") and isinstance(animal["tame"], bool), animal)
    error = raises(openai.LengthFinishReasonError, lambda: client.chat.completions.parse(
        model=NAME, messages=MESSAGES, response_format=Bird, max_completion_tokens=2, temperature=0))
    claim("a cut object is told as such", error is not None)


FUNCTIONS = {
    "weather": {"type": "object", "properties": {"city": {"enum": ["Oslo", "Rome"]}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
                "required": ["city", "days"], "additionalProperties": False},
    "clock": {"type": "object", "properties": {"utc": {"type": "boolean"}}, "required": ["utc"], "additionalProperties": False},
}
TOOLS = [{"type": "function", "function": {"name": name, "description": f"Tells the {name}", "parameters": schema}} for name, schema in FUNCTIONS.items()]


def is_call(name, text):
    given = json.loads(text)
    if name == "clock":
        return set(given) == {"utc"} and isinstance(given["utc"], bool)
    return name == "weather" and set(given) == {"city", "days"} and given["city"] in ("Oslo", "Rome") and given["days"] in range(1, 10)


def check_message(message, reason, choice, parallel):
    calls = message.tool_calls or []
    claim("the answer ends with calls and is nothing else", reason == "tool_calls" and message.content is None and len(calls) > 0, message)
    claim("each call is a function with an id of its own", all(c.type == "function" and c.id for c in calls) and len({c.id for c in calls}) == len(calls), calls)
    claim("each calls a function that was given, with arguments of its schema", all(is_call(c.function.name, c.function.arguments) for c in calls), calls)
    if choice != "required":
        claim("the named function is called", {c.function.name for c in calls} == {choice["function"]["name"]}, calls)
    if not parallel:
        claim("one call where they may not be parallel", len(calls) == 1, calls)
    return [(c.function.name, c.function.arguments) for c in calls]


def gathered(pieces):
    """The calls of a stream, put together as OpenAI's documentation says."""
    calls = {}
    for delta in (choice.delta for piece in pieces for choice in piece.choices):
        for part in delta.tool_calls or []:
            if part.index not in calls:
                claim("a call begins with its id, type and name", part.id and part.type == "function" and part.function.name, part)
                calls[part.index] = [part.function.name, ""]
            calls[part.index][1] += part.function.arguments or ""
    claim("calls are numbered from 0", sorted(calls) == list(range(len(calls))), calls)
    return [tuple(calls[index]) for index in sorted(calls)]


def tools(client):
    several = 0
    for choice in ("required", {"type": "function", "function": {"name": "clock"}}):
        for parallel in (True, False):
            for seed in range(3):
                longer = {"min_tokens": 150} if choice == "required" and parallel else {}  # more than one call has
                asked = dict(model=NAME, messages=MESSAGES, tools=TOOLS, tool_choice=choice, parallel_tool_calls=parallel, max_completion_tokens=3000,
                             temperature=1, seed=seed, extra_body=longer)
                answer = client.chat.completions.create(**asked).choices[0]
                calls = check_message(answer.message, answer.finish_reason, choice, parallel)
                several += len(calls) > 1
                pieces = list(client.chat.completions.create(**asked, stream=True))
                claim("the stream has the same calls", gathered(pieces) == calls, pieces)
                claim("and no text beside them", not any(c.delta.content for p in pieces for c in p.choices), pieces)
                claim("and ends with them", pieces[-1].choices[0].finish_reason == "tool_calls", pieces[-1])
    claim("answers that must be longer than a call have several", several == 3, several)
    with client.chat.completions.stream(model=NAME, messages=MESSAGES, tools=TOOLS, tool_choice="required", parallel_tool_calls=False, max_completion_tokens=3000) as stream:
        final = stream.until_done().get_final_completion().choices[0]
    check_message(final.message, final.finish_reason, "required", False)
    parsed = client.chat.completions.parse(model=NAME, messages=MESSAGES, tools=[openai.pydantic_function_tool(Bird)], tool_choice="required",
                                           parallel_tool_calls=False, max_completion_tokens=3000).choices[0].message.tool_calls
    claim("parse() gives the arguments as an object of the class", isinstance(parsed[0].function.parsed_arguments, Bird), parsed)
    call = {"id": "call_1", "type": "function", "function": {"name": "clock", "arguments": '{"utc": true}'}}
    told = [*MESSAGES, {"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "tool_call_id": "call_1", "content": "noon"}]
    for choice in ("none", "auto"):
        answer = client.chat.completions.create(model=NAME, messages=told, tools=TOOLS, tool_choice=choice, max_completion_tokens=8, temperature=0)
        claim("a result can be told, and a text be written", bool(answer.choices[0].message.content) and not answer.choices[0].message.tool_calls, answer)
    raises(openai.BadRequestError, lambda: client.chat.completions.create(model=NAME, messages=MESSAGES, tools=TOOLS,
                                                                          tool_choice={"type": "function", "function": {"name": "nothing"}}))


def errors(client, server):
    error = raises(openai.NotFoundError, lambda: client.completions.create(model="gpt-9", prompt="a"))
    claim("the error names both models", error is not None and error.code == "model_not_found" and error.param == "model" and NAME in str(error), error)
    raises(openai.NotFoundError, lambda: client.models.retrieve("gpt-9"))
    raises(openai.NotFoundError, lambda: client.get("/no/such/route", cast_to=object))
    error = raises(openai.BadRequestError, lambda: client.completions.create(model=NAME, prompt="a", n=1000))
    claim("the error names the field", error is not None and error.param == "n" and error.type == "invalid_request_error" and error.code == "out_of_range", error)
    error = raises(openai.BadRequestError, lambda: client.completions.create(model=NAME, prompt="a " * 50000))
    claim("a prompt that is too long is told by its code", error is not None and error.code == "context_length_exceeded", error)
    raises(openai.BadRequestError, lambda: client.completions.create(model=NAME, prompt="a", stream=True, temperature=9))
    error = raises(openai.BadRequestError, lambda: client.chat.completions.create(model=NAME, messages=[{"role": "robot", "content": "a"}]))
    claim("the message that is wrong is named", error is not None and error.param == "messages[0]", error)
    raises(openai.APITimeoutError, lambda: client.with_options(timeout=0.05).completions.create(model=NAME, prompt="a", max_tokens=16000, extra_body=ON))
    claim("what nobody waits for is given up", server.wait_until(lambda stats: stats["active_requests"] == 0))
    raw = client.completions.with_raw_response.create(model=NAME, prompt="a", max_tokens=1)
    claim("every answer has a request id", bool(raw.headers.get("x-request-id")), raw.headers)


def keys():
    with Server("--api-key", "first-key", "--api-key", "second-key:generate") as server:
        for wrong_key in ("nothing", "first-ke", "first-keyy", "second-key:generate"):
            error = raises(openai.AuthenticationError, lambda: client_of(server, api_key=wrong_key).models.list())
            claim("a wrong key has its code", error is not None and error.code == "invalid_api_key", error)
        for right_key in ("first-key", "second-key"):
            client_of(server, api_key=right_key).completions.create(model=NAME, prompt="a", max_tokens=1)
        claim("the log holds no key", "first-key" not in server.log() and "second-key" not in server.log())


def early_leave(client, server):
    """A stream that is closed early: the server stops computing."""
    before = server.generated_tokens()
    with client.completions.with_streaming_response.create(model=NAME, prompt="a", max_tokens=16000, stream=True, extra_body=ON) as raw:
        for number, _ in enumerate(raw.iter_lines()):
            if number == 6:
                break
    claim("nothing runs soon after", server.wait_until(lambda stats: stats["active_requests"] == 0))
    made = server.generated_tokens() - before
    time.sleep(0.3)
    claim("no token is made for a client that left", made < 16000 and server.generated_tokens() - before == made, made)
    stream = client.chat.completions.create(model=NAME, messages=MESSAGES, max_completion_tokens=16000, stream=True, extra_body=ON)
    next(iter(stream))
    stream.close()
    claim("nor for one that closed its stream", server.wait_until(lambda stats: stats["active_requests"] == 0))


def busy(server, client):
    """Fills the one place in the batch and the one in the queue; gives the streams."""
    streams = []
    for _ in range(2):
        streams.append(client.completions.create(model=NAME, prompt="a", max_tokens=16000, stream=True, extra_body=ON))
    return streams


def full_queue():
    with Server("--max-batch-size", "1", "--queue-size", "1") as server:
        client = client_of(server)
        streams = busy(server, client)
        for stream in (False, True):
            error = raises(openai.RateLimitError, lambda: client.completions.create(model=NAME, prompt="b", max_tokens=1, stream=stream))
            claim("a full queue has its code and says when to come again",
                  error is not None and error.code == "rate_limit_exceeded" and int(error.response.headers["retry-after"]) >= 1, error)
        threading.Timer(0.5, lambda: [stream.close() for stream in streams]).start()
        start = time.monotonic()
        answer = client_of(server, max_retries=3).completions.create(model=NAME, prompt="b", max_tokens=1)
        waited = time.monotonic() - start
        claim("a retry after the time that was said gets its answer", answer.usage.completion_tokens == 1)
        claim("the client waited as long as it was told", 1.9 < waited < 10, waited)


def rate_limit():
    with Server("--rate-limit", "2") as server:
        client, refused = client_of(server), None
        for _ in range(20):
            try:
                client.completions.create(model=NAME, prompt="a", max_tokens=1)
            except openai.RateLimitError as error:
                refused = error
                break
        claim("more requests a second than allowed are refused", refused is not None and refused.code == "rate_limit_exceeded")
        claim("with the time to wait", refused is not None and int(refused.response.headers["retry-after"]) >= 1)


async def together(server):
    """16 at once through the asynchronous client."""
    async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0) as client:
        alone = [(await client.completions.create(model=NAME, prompt=f"Line {i}:", max_tokens=12, temperature=0)).choices[0].text for i in range(16)]
        crowd = await asyncio.gather(*(client.completions.create(model=NAME, prompt=f"Line {i}:", max_tokens=12, temperature=0, user="crowd") for i in range(16)))
        claim("16 at once get what each gets alone", [answer.choices[0].text for answer in crowd] == alone)


def main():
    with Server() as server:
        client = client_of(server)
        models(client)
        completions(client)
        chats(client)
        structured(client)
        errors(client, server)
        early_leave(client, server)
        asyncio.run(together(server))
        client.close()
    with served.model_with_tools() as model, Server(model=model) as server:
        tools(client_of(server))
    keys()
    full_queue()
    rate_limit()
    served.finish()


main()
