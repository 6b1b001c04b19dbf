// The shown branch of a conversation: messages of a chat, or the passages of one text.

import { fitHeight, get, icon, make, tool } from "./dom.js";
import { count, rate, seconds } from "./format.js";
import { markdown } from "./markdown.js";
import { node, path, siblings } from "./conversation.js";

export class Transcript {
    #root = get("transcript");
    #scroll = get("scroll");
    #elements = new Map();
    /** The text that is being edited, and the passage that the tools are for. */
    #edited = null;
    #selected = null;
    #shown = null;

    /** `actions` are the page's: regenerate, answer, edit, branch, copy, keep and step, each with a text. */
    constructor(actions) { this.actions = actions; }

    /** Shows the path to the head; `live` is the text that grows at the moment. */
    show(conversation, live, welcome) {
        if (this.#shown?.id !== conversation.id) this.#edited = this.#selected = null;
        if (live) this.#selected = null;
        this.#shown = conversation;
        this.live = live;
        const isAtEnd = this.isAtEnd;
        const nodes = path(conversation);
        this.#elements.clear();
        this.#root.classList.toggle("text", conversation.mode === "completion");
        const content = nodes.length === 0
            ? [welcome()]
            : conversation.mode === "chat" ? nodes.map((each) => this.#message(each)) : this.#text(nodes);
        this.#root.replaceChildren(...content);
        for (const area of this.#root.querySelectorAll("textarea")) fitHeight(area);
        if (isAtEnd) this.toEnd();
    }

    /** Shows what was added to the live text. */
    grow(target) {
        const element = this.#elements.get(target.id);
        if (!element) return;
        const isAtEnd = this.isAtEnd;
        if (this.#shown.mode === "chat") this.#fillMessage(element, target);
        else element.textContent = target.text;
        if (isAtEnd) this.toEnd();
    }

    get isAtEnd() { return this.#scroll.scrollHeight - this.#scroll.scrollTop - this.#scroll.clientHeight < 80; }

    toEnd() { this.#scroll.scrollTop = this.#scroll.scrollHeight; }

    /** Opens the editor of a text. */
    edit(target) {
        this.#edited = target.id;
        this.show(this.#shown, this.live);
        const area = this.#root.querySelector(".editor textarea");
        area?.focus();
        area?.setSelectionRange(area.value.length, area.value.length);
    }

    /** True while a text is being edited. */
    get isEditing() { return this.#edited !== null; }

    closeEditor() {
        const id = this.#edited;
        this.#edited = null;
        this.show(this.#shown, this.live);
        this.#elements.get(id)?.querySelector("[data-edit]")?.focus();
    }

    // Messages

    #message(target) {
        const isUser = target.role === "user";
        const element = make("article", {
            class: `message ${target.role}`, "aria-label": isUser ? "You" : "Answer", data: { node: String(target.id), role: target.role },
        });
        this.#elements.set(target.id, element);
        this.#fillMessage(element, target);
        return element;
    }

    #fillMessage(element, target) {
        element.classList.toggle("live", target === this.live);
        element.setAttribute("aria-busy", String(target === this.live));
        if (this.#edited === target.id) return element.replaceChildren(this.#editor(target));
        const body = make("div", { class: "body" }, target.role === "user" ? target.text : markdown(target.text.trim()));
        element.replaceChildren(body, ...this.#faults(target), this.#foot(target));
    }

    #faults(target) {
        if (!target.error) return [];
        return [make("div", { class: "fault", role: "alert" }, make("span", null, target.error),
            tool("again", "Try again", () => this.actions.regenerate(target)))];
    }

    #foot(target) {
        if (target === this.live) return make("div", { class: "foot" }, make("span", null, this.#progress(target)));
        const isUser = target.role === "user";
        const actions = make("div", { class: "actions", role: "group", "aria-label": isUser ? "Your message" : "Answer" },
            this.#steps(target),
            isUser
                ? tool("edit", "Edit", () => this.edit(target), { data: { edit: "" } })
                : tool("again", "Regenerate", () => this.actions.regenerate(target)),
            isUser && target.id === this.#shown.head ? tool("right", "Answer", () => this.actions.answer(target)) : null,
            isUser ? null : tool("edit", "Edit", () => this.edit(target), { text: false, data: { edit: "" } }),
            tool("copy", "Copy", () => this.actions.copy(target), { text: false }),
            isUser ? null : tool("fork", "Branch from here", () => this.actions.branch(target), { text: false }),
            isUser ? null : tool("keep", "Keep the state", () => this.actions.keep(target), { text: false }));
        return make("div", { class: "foot" }, actions, isUser ? null : make("span", { class: "meta" }, this.#facts(target)));
    }

    #steps(target) {
        const all = siblings(this.#shown, target);
        if (all.length < 2) return null;
        const at = all.indexOf(target);
        return make("span", { class: "steps", role: "group", "aria-label": `Branch ${at + 1} of ${all.length}` },
            make("button", { type: "button", class: "quiet small", disabled: at === 0, "aria-label": "Previous branch", onclick: () => this.actions.step(target, -1) }, icon("left")),
            make("span", { class: "number", "aria-hidden": "true" }, `${at + 1}/${all.length}`),
            make("button", { type: "button", class: "quiet small", disabled: at === all.length - 1, "aria-label": "Next branch", onclick: () => this.actions.step(target, 1) }, icon("right")));
    }

    #progress(target) {
        const { usage } = target;
        if (!usage?.completion) return usage ? `reading ${count(usage.prompt - usage.cached)} tokens` : "waiting";
        return [`${count(usage.completion)} tokens`, target.rate ? `${rate(target.rate)} tokens/s` : null].filter(Boolean).join(" · ");
    }

    #facts(target) {
        const { usage } = target;
        const ends = { length: "token limit", stopped: "stopped", cancelled: "ended by the server" };
        const parts = [
            target.edited ? "edited" : null,
            usage && !target.edited ? `${count(usage.completion)} tokens` : null,
            target.rate ? `${rate(target.rate)} tokens/s` : null,
            target.wait !== undefined ? `first after ${seconds(target.wait)}` : null,
            usage?.cached > 0 ? `${count(usage.cached)} of ${count(usage.prompt)} from a kept state` : null,
            ends[target.finish] ?? null,
        ];
        return parts.filter(Boolean).join(" · ");
    }

    #editor(target) {
        const area = make("textarea", {
            value: target.text, rows: 2, "aria-label": "New text", oninput: () => fitHeight(area),
            onkeydown: (event) => {
                if (event.key === "Escape") {
                    event.stopPropagation();
                    this.closeEditor();
                } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
                    event.preventDefault();
                    save();
                }
            },
        });
        const save = () => {
            this.#edited = null;
            this.actions.edit(target, area.value);
        };
        return make("div", { class: "editor" }, area, make("div", { class: "buttons" },
            make("button", { type: "button", class: "small", onclick: () => this.closeEditor() }, "Cancel"),
            make("button", { type: "button", class: "small primary", onclick: save }, icon("fork"), "Save as a branch")));
    }

    // Passages

    #text(nodes) {
        const selected = nodes.find(({ id }) => id === this.#selected) ?? nodes.at(-1);
        const edited = nodes.find(({ id }) => id === this.#edited);
        const passages = nodes.map((target) => {
            if (target === edited) return this.#editor(target);
            const element = make("span", {
                class: `passage ${target.role}${target === this.live ? " live" : ""}`, role: "button", tabIndex: 0,
                "aria-pressed": String(target === selected), title: target.role === "user" ? "Yours" : "Generated",
                data: { node: String(target.id), role: target.role },
                onclick: () => this.#select(target),
                onkeydown: (event) => {
                    if (event.key !== "Enter" && event.key !== " ") return;
                    event.preventDefault();
                    this.#select(target);
                },
            }, target.text);
            this.#elements.set(target.id, element);
            return element;
        });
        const tools = make("div", { class: "tools", role: "toolbar", "aria-label": "Passage" }, ...this.#faults(selected), this.#passageFoot(selected, nodes));
        return [make("div", { class: "prose" }, ...passages), tools];
    }

    #select(target) {
        // Who marks words to copy them does not choose a passage.
        if (getSelection()?.toString()) return;
        this.#selected = target.id;
        this.show(this.#shown, this.live);
        this.#elements.get(target.id)?.focus();
    }

    #passageFoot(target, nodes) {
        if (this.live && nodes.includes(this.live)) {
            return make("div", { class: "foot" }, make("span", { id: "progress" }, this.#progress(this.live)));
        }
        const isGenerated = target.role === "assistant";
        return make("div", { class: "foot" },
            make("div", { class: "actions", role: "group", "aria-label": "Passage" },
                this.#steps(target),
                isGenerated ? tool("again", "Regenerate", () => this.actions.regenerate(target)) : null,
                tool("edit", "Edit", () => this.edit(target), { data: { edit: "" } }),
                tool("copy", "Copy all", () => this.actions.copyAll(), { text: false }),
                target.id === this.#shown.head ? null : tool("fork", "Branch from here", () => this.actions.branch(target), { text: false }),
                tool("keep", "Keep the state", () => this.actions.keep(target), { text: false })),
            make("span", { class: "meta" }, isGenerated ? this.#facts(target) : "your words"));
    }

    /** Updates the figures of the live passage. */
    progress(target) {
        const place = get("progress");
        if (place) place.textContent = this.#progress(target);
    }

    /** Returns the last text of a role on the shown path. */
    last(role) { return path(this.#shown).findLast((each) => each.role === role) ?? null; }

    /** The text that tools and shortcuts mean. */
    get current() { return node(this.#shown, this.#selected) ?? node(this.#shown, this.#shown.head); }
}
