// One text that the server generates, piece by piece.

import { messages, node, path, prompt, siblings } from "./conversation.js";
import { stream } from "./api.js";

/** A running text; its node grows while it runs. */
export class Generation {
    #abort = new AbortController();
    #firstAt = null;
    #lastAt = null;
    #firstCount = 0;

    /** Prepares the generation of `target`, a text of the conversation with nothing in it. */
    constructor(conversation, target, parameters) {
        Object.assign(this, { conversation, target, parameters });
        this.isStopped = false;
    }

    /** Runs to the end; `grown` is called whenever there is more text. Errors end in the node. */
    async run(grown) {
        const { target } = this;
        const start = performance.now();
        try {
            for await (const object of stream(this.#path, this.#body(), this.#abort.signal)) {
                this.#take(object, start);
                grown();
            }
        } catch (error) {
            if (this.isStopped) target.finish = "stopped";
            else target.error = error.message ?? String(error);
            this.error = this.isStopped ? undefined : error;
        }
        return this.error;
    }

    /** Ends it; the server notices that nobody listens. */
    stop() {
        this.isStopped = true;
        this.#abort.abort();
    }

    get #isChat() { return this.conversation.mode === "chat"; }

    get #path() { return this.#isChat ? "v1/chat/completions" : "v1/completions"; }

    #body() {
        const { conversation, target, parameters } = this;
        const body = { ...parameters, stream: true, stream_options: { include_usage: true, continuous_usage_stats: true } };
        // With a fixed seed, another try must be another text.
        if (body.seed !== undefined) body.seed += siblings(conversation, target).indexOf(target);
        if (this.#isChat) return { ...body, messages: messages(conversation, target.parent) };
        body.prompt = prompt(conversation, target.parent);
        if (conversation.state) body.state = conversation.state;
        return body;
    }

    #take(object, start) {
        const { target } = this;
        const now = performance.now();
        const choice = object.choices?.[0];
        if (object.usage) {
            target.usage = {
                prompt: object.usage.prompt_tokens, completion: object.usage.completion_tokens,
                cached: object.usage.prompt_tokens_details?.cached_tokens ?? 0,
            };
        }
        const text = (this.#isChat ? choice?.delta?.content : choice?.text) ?? "";
        target.text += text;
        if (choice?.finish_reason) target.finish = choice.finish_reason;
        const count = target.usage?.completion ?? 0;
        if (this.#firstAt === null && (text !== "" || count > 0)) {
            this.#firstAt = now;
            this.#firstCount = count;
            target.wait = (now - start) / 1000;
        }
        if (choice && this.#firstAt !== null) this.#lastAt = now;
        const time = (this.#lastAt - this.#firstAt) / 1000;
        if (time > 0.002 && count > this.#firstCount) target.rate = (count - this.#firstCount) / time;
    }
}

/** Returns a request that reads the texts up to `id` and keeps the state behind them under a name. */
export function keepRequest(conversation, id, name, persists) {
    const body = { max_tokens: 0, save_state: name, persist_state: persists };
    if (conversation.mode === "chat") {
        const isAnswered = node(conversation, id)?.role === "assistant";
        return { path: "v1/chat/completions", body: { ...body, messages: messages(conversation, id), add_generation_prompt: !isAnswered } };
    }
    if (conversation.state) body.state = conversation.state;
    return { path: "v1/completions", body: { ...body, prompt: path(conversation, id).map(({ text }) => text).join("") } };
}
