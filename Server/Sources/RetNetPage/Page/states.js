// States that the server keeps under names.

import { ask, get, make, tool } from "./dom.js";
import { bytes, tokens } from "./format.js";
import { request } from "./api.js";

export class States {
    /** `go` begins a text behind a state, `confirm` asks before something is deleted, `fail` shows an error. */
    constructor({ go, confirm, fail }) {
        Object.assign(this, { go, confirm, fail });
        get("states-section").addEventListener("toggle", () => this.show());
    }

    /** Shows the list if it is open. */
    async show() {
        if (!get("states-section").open) return;
        const root = get("states");
        try {
            const answer = await request("v1/states");
            const rows = answer.data.map((state) => this.#row(state));
            const sum = `All states, those for the beginnings of prompts included: ${bytes(answer.bytes)} of ${bytes(answer.byte_limit)}.`;
            root.replaceChildren(
                ...(rows.length > 0 ? rows : [make("p", { class: "note" }, "None has a name yet. “Keep the state” below a text gives it one.")]),
                make("p", { class: "memory-note" }, sum));
        } catch (error) {
            root.replaceChildren(make("p", { class: "wrong" }, error.message));
        }
    }

    #row(state) {
        const facts = [
            state.tokens === null ? null : tokens(state.tokens), state.bytes === null ? null : bytes(state.bytes),
            state.parent ? `from ${state.parent}` : null, state.saved ? "on disk" : null,
        ];
        return make("div", { class: "state" }, make("b", null, state.id), make("span", { class: "note" }, facts.filter(Boolean).join(" · ")),
            make("div", { class: "buttons" },
                tool("right", "Continue", () => this.go(state.id)),
                tool("fork", "Fork", () => this.#fork(state.id)),
                tool("close", "Delete", () => this.#delete(state.id))));
    }

    async #fork(id) {
        await this.#askName("Fork the state", `${id}-fork`, (name, persists) =>
            request("v1/states", { method: "POST", body: { id: name, from: id, persist: persists } }));
    }

    /** Asks for a name and keeps a state under it; resolves with its name if it was kept. */
    async keep(proposal, send) {
        return this.#askName("Keep the state", proposal, send);
    }

    async #askName(title, proposal, send) {
        const [input, persist, wrong] = [get("keep-name"), get("keep-persist"), get("keep-wrong")];
        get("keep-title").textContent = title;
        get("keep-persist-row").hidden = !this.canPersist;
        [input.value, persist.checked, wrong.textContent] = [proposal, false, ""];
        const name = await ask(get("keep-dialog"), async () => {
            try {
                await send(input.value, persist.checked && this.canPersist);
                return input.value;
            } catch (error) {
                wrong.textContent = error.message;
                return false;
            }
        });
        if (name) await this.show();
        return name;
    }

    async #delete(id) {
        if (!(await this.confirm(`Delete the state “${id}”?`, "The server forgets it, on its disk too."))) return;
        try {
            await request(`v1/states/${encodeURIComponent(id)}`, { method: "DELETE" });
        } catch (error) {
            this.fail(error);
        }
        await this.show();
    }
}
