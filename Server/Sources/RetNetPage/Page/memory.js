// What the shown branch costs: its state beside the cache of a Transformer of the same length and shape.

import { draw, get, make } from "./dom.js";
import { bytes, count, rate, seconds, short, tokens } from "./format.js";

const width = 296;
const height = 96;

/** Shows the figures; `length` has the number of tokens, `last` is the generated text with the latest speed. */
export function showMemory(info, length, last) {
    const root = get("memory-body");
    if (!info) return root.replaceChildren(make("p", { class: "note" }, "No model yet."));
    const state = (tokens) => info.state_bytes + tokens * info.state_bytes_per_token;
    const cache = (tokens) => tokens * info.cache_bytes_per_token;
    const n = length.count;
    root.replaceChildren(
        make("div", { class: "figures" },
            figure("own", bytes(state(n)), `state of ${length.isExact || n === 0 ? "" : "at least "}${tokens(n)}`),
            figure("peer", bytes(cache(n)), "a Transformer's cache")),
        chart(state, cache, n),
        make("p", { class: "memory-note" }, note(info, n, state(n), cache(n))),
        ...speeds(last));
}

const figure = (kind, value, label) => make("div", { class: `figure ${kind}` }, make("b", null, value), make("span", null, label));

function note(info, n, own, peer) {
    const each = `${info.layers} layers of width ${count(info.hidden_size)} keep ${bytes(info.cache_bytes_per_token)} of keys and values per token in 16 bits`;
    if (info.state_bytes_per_token > 0) return `This model's attention layers add ${bytes(info.state_bytes_per_token)} per token to its state; ${each}.`;
    const equal = Math.ceil(info.state_bytes / info.cache_bytes_per_token);
    if (n <= equal) return `The state never grows. A Transformer of this shape passes it at ${tokens(equal)}: its ${each}.`;
    return `The state never grows. In a Transformer of this shape, ${each}: ${rate(peer / own)} times as much here.`;
}

function chart(state, cache, n) {
    // Room ahead, so that both lines show where they go.
    const ahead = Math.max(256, n * 1.6, 1.6 * state(0) / cache(1));
    const unit = 10 ** (Math.floor(Math.log10(ahead)) - 1);
    const end = Math.ceil(ahead / unit) * unit;
    const top = Math.max(cache(end), state(end)) * 1.05;
    const bottom = height - 16;
    const x = (tokens) => (tokens / end) * width;
    const y = (value) => bottom - (value / top) * (bottom - 6);
    const line = (kind, f) => draw("path", { class: kind, d: `M0 ${y(f(0))}L${x(end)} ${y(f(end))}` });
    return draw("svg", {
        class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img",
        "aria-label": `At ${tokens(n)}: state ${bytes(state(n))}, a Transformer's cache ${bytes(cache(n))}`,
    },
    draw("line", { class: "axis", x1: 0, y1: bottom, x2: width, y2: bottom }),
    draw("line", { class: "now", x1: x(n), y1: 4, x2: x(n), y2: bottom }),
    line("peer", cache), line("own", state),
    draw("circle", { class: "peer", cx: x(n), cy: y(cache(n)), r: 4.5 }),
    draw("circle", { class: "own", cx: x(n), cy: y(state(n)), r: 4.5 }),
    draw("text", { x: 0, y: height - 2 }, "0"),
    draw("text", { x: width, y: height - 2, "text-anchor": "end" }, `${short(Math.round(end))} tokens`));
}

function speeds(last) {
    if (!last?.usage) return [];
    const part = (value, label) => make("span", null, make("b", null, value), ` ${label}`);
    return [make("div", { class: "speeds" },
        last.rate ? part(rate(last.rate), "tokens/s") : null,
        last.wait !== undefined ? part(seconds(last.wait), "to the first") : null,
        last.usage.cached > 0 ? part(`${count(last.usage.cached)}/${count(last.usage.prompt)}`, "tokens from a kept state") : null)];
}
