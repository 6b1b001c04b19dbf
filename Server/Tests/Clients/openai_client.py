#!/usr/bin/env python3
"""The `openai` package against the server, as an application uses it. Usage: openai_client.py URL [MODEL]; ends with 1 on a failure."""

import sys

import openai


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
    # A stream that is closed early takes its request with it.
    with client.completions.create(model=name, prompt="The", max_tokens=10**8, stream=True) as stream:
        next(iter(stream))
    print(f"openai {openai.__version__}: models, texts, streams, states and errors are as they should be")


if __name__ == "__main__":
    main()
