// A conversation: a tree of texts. Every text stands for a state of the model; two that follow one text are branches of its
// state. Nothing in this file knows the page.

/** Returns an id that no other conversation has. */
export function makeID() {
    const bytes = crypto.getRandomValues(new Uint8Array(9));
    return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Makes a conversation. `mode` is "chat" or "completion"; `state` is the name of a kept state that it continues.
 *
 * `nodes` has objects with id (in the order of creation), parent, role ("user" or "assistant") and text; `head` is the last
 * text shown.
 */
export function makeConversation(mode, state = null) {
    return { id: makeID(), version: 1, mode, state, title: "", system: "", updated: Date.now(), nodes: [], head: null };
}

export const node = (conversation, id) => (id === null ? null : conversation.nodes[id] ?? null);

/** Adds a text after another one and makes it the head. */
export function add(conversation, parent, role, text, more = {}) {
    const created = { id: conversation.nodes.length, parent, role, text, ...more };
    conversation.nodes.push(created);
    conversation.head = created.id;
    conversation.updated = Date.now();
    return created;
}

export const children = (conversation, id) => conversation.nodes.filter((other) => other.parent === id);

/** Returns the texts from the first one to `id`. */
export function path(conversation, id = conversation.head) {
    const result = [];
    for (let at = node(conversation, id); at; at = node(conversation, at.parent)) result.unshift(at);
    return result;
}

export const siblings = (conversation, of) => children(conversation, of.parent);

/** Returns the end of the newest branch after a text. */
export function newestEnd(conversation, id) {
    let at = id;
    for (let next = children(conversation, at); next.length > 0; next = children(conversation, at)) at = next.at(-1).id;
    return at;
}

/** Makes the branch beside a text the shown one; returns false if there is none. */
export function step(conversation, of, direction) {
    const all = siblings(conversation, of);
    const next = all[all.indexOf(of) + direction];
    if (!next) return false;
    conversation.head = newestEnd(conversation, next.id);
    return true;
}

/** Returns what `/v1/chat/completions` takes for the texts up to `id`. */
export function messages(conversation, id = conversation.head) {
    const result = path(conversation, id).map(({ role, text }) => ({ role, content: text }));
    if (conversation.system.trim()) result.unshift({ role: "system", content: conversation.system });
    return result;
}

/** Returns what `/v1/completions` takes for the texts up to `id`. */
export const prompt = (conversation, id = conversation.head) => path(conversation, id).map(({ text }) => text).join("");

/** Returns the number of tokens up to `id`, and whether it is known or only the least that it can be. */
export function tokenCount(conversation, id = conversation.head) {
    for (let at = node(conversation, id), isHead = true; at; at = node(conversation, at.parent), isHead = false) {
        if (at.usage) return { count: at.usage.prompt + at.usage.completion, isExact: isHead && !at.edited };
    }
    return { count: 0, isExact: conversation.nodes.length === 0 };
}

/** Returns a title for lists. */
export function title(conversation) {
    const first = conversation.nodes.find(({ text }) => text.trim());
    const text = conversation.title || first?.text.trim().replace(/\s+/g, " ").slice(0, 80);
    return text || (conversation.state ? `After ${conversation.state}` : "New conversation");
}

/**
 * Returns the rows of the tree from top to bottom, each with its text, its column and the row of its parent.
 *
 * The newest continuation stays in the column of its parent; older ones come before it, a column further right.
 */
export function rows(conversation) {
    const byParent = Map.groupBy
        ? Map.groupBy(conversation.nodes, ({ parent }) => parent)
        : conversation.nodes.reduce((map, next) => map.set(next.parent, [...(map.get(next.parent) ?? []), next]), new Map());
    const result = [];
    // A stack of its own: a conversation may be deeper than calls may be.
    const stack = [];
    const push = (parent, column, row) => {
        const next = byParent.get(parent) ?? [];
        next.toReversed().forEach((child, index) => stack.push({ child, column: index === 0 ? column : column + 1, row }));
    };
    push(null, 0, null);
    while (stack.length > 0) {
        const { child, column, row } = stack.pop();
        result.push({ node: child, column, parentRow: row });
        push(child.id, column, result.length - 1);
    }
    return result;
}

/** Returns a stored conversation if it has the form of one, otherwise null. */
export function validated(value) {
    if (typeof value !== "object" || value === null || value.version !== 1 || !Array.isArray(value.nodes)) return null;
    if (typeof value.id !== "string" || !["chat", "completion"].includes(value.mode)) return null;
    const isNode = (other, index) =>
        other && other.id === index && typeof other.text === "string" && ["user", "assistant"].includes(other.role)
        && (other.parent === null || (Number.isInteger(other.parent) && other.parent >= 0 && other.parent < index));
    if (!value.nodes.every(isNode)) return null;
    const isHead = value.head === null || (Number.isInteger(value.head) && value.nodes[value.head]);
    return {
        ...makeConversation(value.mode), ...value, title: String(value.title ?? ""), system: String(value.system ?? ""),
        head: isHead ? value.head : newestEnd(value, null),
    };
}
