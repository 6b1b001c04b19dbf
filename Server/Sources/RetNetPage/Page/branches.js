// The tree of a conversation: a row for each text, rails between them.

import { draw, get, make } from "./dom.js";
import { path, rows } from "./conversation.js";
import { count } from "./format.js";

const rowHeight = 30;
const left = 15;
const indent = 16;
// Deeper branches are drawn in the last column, so that the words keep their room.
const columnLimit = 7;

export class Branches {
    #root = get("tree");
    #rows = [];
    #focused = null;

    /** `choose` gets the id of the text that is chosen. */
    constructor(choose) {
        this.choose = choose;
        this.#root.addEventListener("keydown", (event) => this.#key(event));
    }

    show(conversation) {
        this.conversation = conversation;
        this.#rows = rows(conversation);
        const shown = new Set(path(conversation).map(({ id }) => id));
        const hadFocus = this.#root.contains(document.activeElement);
        if (!this.#rows.some(({ node }) => node.id === this.#focused) || !hadFocus) this.#focused = conversation.head;
        const items = this.#rows.map((row, index) => this.#item(row, index, shown));
        const hasTree = items.length > 0;
        this.#root.replaceChildren(...(hasTree ? [this.#rails(shown), ...items] : []));
        this.#root.setAttribute("role", hasTree ? "tree" : "note");
        if (hadFocus) this.#itemOf(this.#focused)?.focus({ preventScroll: true });
        if (hasTree) this.#reveal(this.#itemOf(conversation.head));
    }

    focus() { this.#itemOf(this.#focused)?.focus(); }

    // The tree alone scrolls, never the panel.
    #reveal(item) {
        if (!item) return;
        const top = item.offsetTop;
        if (top < this.#root.scrollTop) this.#root.scrollTop = top;
        else if (top + rowHeight > this.#root.scrollTop + this.#root.clientHeight) this.#root.scrollTop = top + rowHeight - this.#root.clientHeight;
    }

    #itemOf(id) { return this.#root.querySelector(`[data-id="${id}"]`); }

    #x(column) { return left + indent * Math.min(column, columnLimit); }

    #item({ node, column }, index, shown) {
        const isHead = node.id === this.conversation.head;
        const words = node.text.trim().replace(/\s+/g, " ").slice(0, 90) || (node.error ? "no answer" : "…");
        const { usage } = node;
        const total = usage ? usage.prompt + usage.completion : null;
        const item = make("div", {
            class: `treeitem${shown.has(node.id) ? " on" : ""}`, role: "treeitem", tabIndex: node.id === this.#focused ? 0 : -1,
            "aria-level": String(column + 1), "aria-selected": String(isHead), data: { id: String(node.id) },
            title: usage
                ? `A state behind ${count(total)} tokens` + (usage.cached > 0 ? `, forked from one behind ${count(usage.cached)}` : "")
                : undefined,
            onclick: () => {
                this.#focused = node.id;
                this.choose(node.id);
            },
        },
        make("span", null, make("span", { class: "hidden" }, node.role === "user" ? "You: " : "Generated: "), words),
        total === null ? null : make("small", null, make("span", { class: "hidden" }, "tokens: "), count(total)));
        item.style.paddingLeft = `${this.#x(column) + 13}px`;
        return item;
    }

    #rails(shown) {
        const y = (row) => row * rowHeight + rowHeight / 2;
        const paths = [];
        const dots = [];
        this.#rows.forEach(({ node, column, parentRow }, row) => {
            const isOn = shown.has(node.id) ? " on" : "";
            if (parentRow !== null) {
                const [x0, x1] = [this.#x(this.#rows[parentRow].column), this.#x(column)];
                const line = x0 === x1
                    ? `M${x0} ${y(parentRow)}V${y(row)}`
                    : `M${x0} ${y(parentRow)}V${y(row) - 8}Q${x0} ${y(row)} ${x0 + 8} ${y(row)}H${x1}`;
                paths.push(draw("path", { class: isOn.trim(), d: line }));
            }
            dots.push(draw("circle", { class: node.role + isOn, cx: this.#x(column), cy: y(row), r: 4 }));
        });
        // The shown branch lies above the others.
        paths.sort((a, b) => a.classList.contains("on") - b.classList.contains("on"));
        return draw("svg", { width: this.#x(columnLimit) + 12, height: this.#rows.length * rowHeight, "aria-hidden": "true" }, ...paths, ...dots);
    }

    #key(event) {
        const at = this.#rows.findIndex(({ node }) => String(node.id) === event.target.dataset?.id);
        if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
        const row = this.#rows[at];
        const child = this.#rows.findIndex(({ parentRow }) => parentRow === at);
        const next = {
            ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.#rows.length - 1, ArrowLeft: row.parentRow ?? at, ArrowRight: child < 0 ? at : child,
        }[event.key];
        if (event.key === "Enter" || event.key === " ") {
            event.preventDefault();
            this.choose(row.node.id);
            return;
        }
        if (next === undefined || !this.#rows[next]) return;
        event.preventDefault();
        this.#itemOf(this.#focused)?.setAttribute("tabindex", "-1");
        this.#focused = this.#rows[next].node.id;
        const item = this.#itemOf(this.#focused);
        item?.setAttribute("tabindex", "0");
        item?.focus();
    }
}
