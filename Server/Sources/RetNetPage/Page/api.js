// Requests to the server that this page comes from.

// Relative, so that the page also works below a path of another server.
const base = new URL("../", import.meta.url);
const keyName = "retnet.page.key";

/** An answer that is an error, or no answer at all (status 0). */
export class ServerError extends Error {
    constructor(message, { status = 0, code = null, retryAfter = null } = {}) {
        super(message);
        Object.assign(this, { status, code, retryAfter });
    }
}

/** The API key of this page. */
export const key = {
    get() {
        try {
            return sessionStorage.getItem(keyName) ?? localStorage.getItem(keyName) ?? "";
        } catch {
            return this.value ?? "";
        }
    },
    /** Keeps a key for this window, or for this browser. */
    set(value, stays) {
        this.value = value;
        try {
            sessionStorage.setItem(keyName, value);
            if (stays) localStorage.setItem(keyName, value);
            else localStorage.removeItem(keyName);
        } catch {
            // Without storage it lives as long as the page.
        }
    },
};

async function send(path, { method = "GET", body, signal } = {}) {
    const headers = {};
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
    let answer;
    try {
        answer = await fetch(new URL(path, base), {
            method, headers, signal, cache: "no-store", credentials: "same-origin",
            body: body === undefined ? undefined : JSON.stringify(body),
        });
    } catch (error) {
        if (signal?.aborted) throw error;
        throw new ServerError("The server cannot be reached.");
    }
    if (answer.ok) return answer;
    let details = {};
    try {
        details = (await answer.json()).error ?? {};
    } catch {
        // Another server in between may answer without JSON.
    }
    throw new ServerError(details.message ?? `The server answered ${answer.status}.`, {
        status: answer.status, code: details.code ?? null, retryAfter: Number(answer.headers.get("Retry-After")) || null,
    });
}

/** Returns the JSON of an answer. */
export async function request(path, options) {
    const answer = await send(path, options);
    return answer.status === 204 ? null : answer.json();
}

/** Yields the objects of a stream of server-sent events; throws if it ends before `[DONE]`. */
export async function* stream(path, body, signal) {
    const answer = await send(path, { method: "POST", body, signal });
    for await (const data of events(answer.body)) {
        if (data === "[DONE]") return;
        const object = JSON.parse(data);
        if (object.error) throw new ServerError(object.error.message, { status: 200, code: object.error.code });
        yield object;
    }
    throw new ServerError("The connection ended before the text did.");
}

/** Yields the data of server-sent events. */
export async function* events(source) {
    const reader = source.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    let data = [];
    try {
        while (true) {
            const { value, done } = await reader.read();
            rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
            const lines = rest.split(/\r\n|\n|\r(?!$)/);
            rest = lines.pop();
            for (const line of lines) {
                if (line === "") {
                    if (data.length > 0) yield data.join("\n");
                    data = [];
                } else if (line.startsWith("data:")) {
                    data.push(line.slice(line[5] === " " ? 6 : 5));
                }
                // Other lines are comments and fields that this server does not send.
            }
            if (done) return;
        }
    } finally {
        reader.cancel().catch(() => {});
    }
}
