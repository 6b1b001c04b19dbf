#!/usr/bin/env python3
"""The `openai` package against the server, as an application uses it. Usage: openai_client.py URL [MODEL [URL-WITH-KEYS KEY]]; ends with 1 on a failure."""

import asyncio
import sys

import openai


def chats(client, name):
    """Chats: whole and in pieces, several turns, log-probabilities, errors."""
    greedy = dict(model=name, max_completion_tokens=24, temperature=0)
    talk = [{"role": "system", "content": "The fox sees the hen."}, {"role": "user", "content": "The owl hears the bee on the hill."}]
    whole = client.chat.completions.create(messages=talk, logprobs=True, top_logprobs=2, n=2, **greedy)
    first, second = whole.choices
    assert whole.object == "chat.completion" and first.message.role == "assistant"
    assert first.message.content == second.message.content and first.finish_reason in ("length", "stop")
    assert all(len(token.top_logprobs) == 2 and token.bytes is not None for token in first.logprobs.content[:-1])

    text, roles, reasons, usage = "", [], [], None
    for chunk in client.chat.completions.create(messages=talk, stream=True, stream_options={"include_usage": True}, **greedy):
        assert chunk.object == "chat.completion.chunk"
        for choice in chunk.choices:
            text += choice.delta.content or ""
            roles += [choice.delta.role] if choice.delta.role else []
            reasons += [choice.finish_reason] if choice.finish_reason else []
        usage = chunk.usage or usage
    assert text == first.message.content and roles == ["assistant"] and reasons == [first.finish_reason]
    assert usage.completion_tokens * 2 == whole.usage.completion_tokens

    talk += [{"role": "assistant", "content": text}, {"role": "user", "content": [{"type": "text", "text": "And the cat?"}]}]
    again = client.chat.completions.create(messages=talk, **greedy)
    assert again.usage.prompt_tokens_details.cached_tokens >= usage.prompt_tokens - 8, again.usage

    with client.chat.completions.with_streaming_response.create(messages=talk, **greedy) as answer:
        assert answer.status_code == 200 and answer.headers["x-request-id"]
    for arguments in [dict(messages=[]), dict(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "a"}}]}]),
                      dict(messages=talk, tools=[{"type": "function", "function": {"name": "f"}}]), dict(messages=talk, top_logprobs=3)]:
        try:
            client.chat.completions.create(model=name, **arguments)
        except openai.BadRequestError as error:
            assert error.body["message"], error.body
        else:
            raise AssertionError(f"no error for {arguments}")


def keys(url, name, key):
    """A server that asks for a key."""
    try:
        openai.OpenAI(base_url=url + "/v1", api_key="wrong", max_retries=0).models.list()
    except openai.AuthenticationError as error:
        assert error.body["code"] == "invalid_api_key", error.body
    else:
        raise AssertionError("a wrong key was taken")
    assert openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0).models.retrieve(name).id == name


async def many(url, name):
    """Forty requests at once through the asynchronous client."""
    async with openai.AsyncOpenAI(base_url=url + "/v1", api_key="none", max_retries=5) as client:
        calls = [client.completions.create(model=name, prompt=f"The fox {i}", max_tokens=8, seed=i, temperature=1) for i in range(40)]
        answers = await asyncio.gather(*calls)
        again = await client.completions.create(model=name, prompt="The fox 7", max_tokens=8, seed=7, temperature=1)
    assert answers[7].choices[0].text == again.choices[0].text


def main():
    url, name = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "story"
    client = openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0)
    assert [m.id for m in client.models.list()] == [name]
    assert client.models.retrieve(name).owned_by == "retnet"
    greedy = dict(model=name, max_tokens=12, temperature=0)

    whole = client.completions.create(prompt="The fox", logprobs=2, n=2, echo=True, **greedy)
    first, second = whole.choices
    assert first.text == second.text and first.text.startswith("The fox") and first.finish_reason == "length"
    assert len(first.logprobs.tokens) == len(first.logprobs.token_logprobs) == len(first.logprobs.text_offset)
    assert whole.usage.completion_tokens == 24

    texts, usage = {}, None
    stream = client.completions.create(
        prompt=["The fox", "The hen"], stream=True, stream_options={"include_usage": True}, **greedy)
    for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + choice.text
        usage = chunk.usage or usage
    assert "The fox" + texts[0] == first.text and usage.completion_tokens == 24

    state = client.completions.create(
        prompt="The fox", extra_body={"save_state": "client", "replace_state": True, "top_k": 5}, **greedy)
    assert state.model_extra["state"]["id"] == "client"
    more = client.completions.create(prompt=" and", extra_body={"state": "client"}, **greedy)
    assert more.usage.prompt_tokens_details.cached_tokens > 0

    errors = [
        (openai.NotFoundError, dict(model="other", prompt="a")),
        (openai.BadRequestError, dict(model=name, prompt="a", max_tokens=-1)),
        (openai.BadRequestError, dict(model=name, prompt="a", extra_body={"unknown": 1})),
    ]
    for kind, arguments in errors:
        try:
            client.completions.create(**arguments)
        except kind as error:
            assert error.body["message"] and error.body["type"] == "invalid_request_error", error.body
        else:
            raise AssertionError(f"no {kind.__name__} for {arguments}")
    chats(client, name)
    # A stream that is closed early takes its request with it.
    with client.completions.create(model=name, prompt="The", max_tokens=10**8, stream=True) as stream:
        next(iter(stream))
    asyncio.run(many(url, name))
    if len(sys.argv) > 4:
        keys(sys.argv[3], name, sys.argv[4])
    print(f"openai {openai.__version__}: models, texts, chats, streams, states, keys and errors are as they should be")


if __name__ == "__main__":
    main()
