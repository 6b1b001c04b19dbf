// The parameters of requests: a field that is empty leaves the choice to the server.

import { get, make } from "./dom.js";
import { setValue, value } from "./storage.js";

// Name, label, least and largest value, step; with a slider where one helps.
const fields = [
    { name: "temperature", label: "Temperature", min: 0, max: 100, step: "any", slider: { max: 2, step: 0.05 } },
    { name: "top_p", label: "Top-p", min: 0, max: 1, step: "any", isAbove: true, slider: { max: 1, step: 0.01 } },
    { name: "top_k", label: "Top-k", min: 0, isWhole: true, fallback: "all" },
    { name: "min_p", label: "Min-p", min: 0, max: 1, step: "any" },
    { name: "repetition_penalty", label: "Repetition penalty", min: 0.01, max: 100, step: "any" },
    { name: "repetition_window", label: "Penalty window", min: 1, isWhole: true },
    { name: "frequency_penalty", label: "Frequency penalty", min: -2, max: 2, step: "any", fallback: "0" },
    { name: "presence_penalty", label: "Presence penalty", min: -2, max: 2, step: "any", fallback: "0" },
    { name: "max_tokens", label: "Tokens at most", min: 1, isWhole: true },
    { name: "seed", label: "Seed", isWhole: true, min: -9007199254740991, max: 9007199254740991, fallback: "random" },
];

// OpenAI's default for texts, 16 tokens, is for programs; people read on.
const textLength = 128;

export class Parameters {
    #form = get("parameters");
    #stored = value("parameters") ?? {};
    #inputs = new Map();

    constructor() {
        if (typeof this.#stored !== "object" || Array.isArray(this.#stored)) this.#stored = {};
        this.#form.addEventListener("submit", (event) => event.preventDefault());
    }

    /** Makes the fields; `conversation` gets the system text. */
    show(info, conversation, changed) {
        this.info = info;
        if (this.#inputs.size === 0) this.#build(changed);
        const defaults = info?.defaults ?? {};
        for (const field of fields) {
            const { number } = this.#inputs.get(field.name);
            const own = field.name === "max_tokens" ? this.#length(conversation) : defaults[field.name];
            number.placeholder = own === undefined || own === null ? field.fallback ?? "" : field.name === "top_k" && own === 0 ? "all" : String(own);
            this.#mirror(field);
        }
        const system = get("system");
        if (document.activeElement !== system) system.value = conversation.system;
        get("system-row").hidden = conversation.mode !== "chat";
    }

    #length(conversation) {
        const { chat_max_tokens: chat, completion_max_tokens: text } = this.info?.defaults ?? {};
        return conversation.mode === "chat" ? chat : Math.max(textLength, text ?? 0);
    }

    /** Returns the values for a request of a conversation, or the name of the first wrong one. */
    read(conversation) {
        const body = conversation.mode === "chat" ? {} : { max_tokens: this.#length(conversation) };
        for (const field of fields) {
            const text = String(this.#stored[field.name] ?? "").trim();
            if (text === "") continue;
            const number = Number(text);
            if (this.#wrong(field, text)) return { wrong: field.label };
            body[field.name] = number;
        }
        const stops = this.#stops();
        if (stops.length > 0) body.stop = stops;
        if (this.#stored.ignore_eos === true) body.ignore_eos = true;
        return { body };
    }

    #stops() {
        // \n stands for the end of a line, which a field cannot hold.
        return String(this.#stored.stop ?? "").split("|").map((text) => text.replaceAll("\\n", "\n")).filter((text) => text !== "").slice(0, 16);
    }

    #wrong(field, text) {
        if (text === "") return null;
        const number = Number(text);
        const isIn = number >= (field.min ?? -Infinity) && number <= (field.max ?? Number.MAX_SAFE_INTEGER);
        if (Number.isFinite(number) && isIn && (!field.isWhole || Number.isInteger(number)) && !(field.isAbove && number === field.min)) return null;
        const kind = field.isWhole ? "a whole number" : "a number";
        return field.max === undefined || field.name === "seed" ? `${kind}${field.min >= 0 ? ` from ${field.min}` : ""}` : `${kind} ${field.isAbove ? "above" : "from"} ${field.min} to ${field.max}`;
    }

    #build(changed) {
        const store = (name, value) => {
            if (value === "" || value === false) delete this.#stored[name];
            else this.#stored[name] = value;
            setValue("parameters", this.#stored);
        };
        const system = make("textarea", { id: "system", rows: 2, placeholder: "Whom the model answers as, and how", oninput: () => changed(system.value) });
        const rows = [make("label", { class: "row full", id: "system-row" }, "System message", system)];
        for (const field of fields) {
            const number = make("input", {
                type: "number", min: field.min, max: field.max, step: field.isWhole ? 1 : "any", inputMode: field.isWhole ? "numeric" : "decimal",
                autocomplete: "off", id: `parameter-${field.name}`, value: this.#stored[field.name] ?? "",
                "aria-describedby": `wrong-${field.name}`,
                oninput: () => {
                    // What is no number reads as empty, but counts as wrong.
                    store(field.name, number.validity.badInput ? "?" : number.value);
                    this.#mirror(field);
                },
            });
            const slider = field.slider && make("input", {
                type: "range", min: 0, max: field.slider.max, step: field.slider.step, "aria-label": `${field.label}, slider`,
                oninput: () => {
                    number.value = field.isAbove ? Math.max(slider.value, field.slider.step) : slider.value;
                    store(field.name, number.value);
                    this.#mirror(field);
                },
            });
            const message = make("span", { class: "wrong", id: `wrong-${field.name}` });
            this.#inputs.set(field.name, { number, slider, message });
            rows.push(make("div", { class: "row" }, make("label", { htmlFor: number.id }, field.label), number, slider ?? null, message));
        }
        const stop = make("input", { type: "text", id: "parameter-stop", value: this.#stored.stop ?? "", placeholder: "several with | between, \\n for a new line", autocomplete: "off", oninput: () => store("stop", stop.value) });
        const ignore = make("input", { type: "checkbox", checked: this.#stored.ignore_eos === true, onchange: () => store("ignore_eos", ignore.checked) });
        rows.push(
            make("div", { class: "row full" }, make("label", { htmlFor: stop.id }, "Stop at"), stop),
            make("label", { class: "check" }, ignore, "Go on after end tokens"),
            make("div", { class: "buttons" }, make("button", { type: "button", class: "small", onclick: () => this.#reset() }, "Back to the model's values")));
        this.#form.replaceChildren(...rows);
    }

    #mirror(field) {
        const { number, slider, message } = this.#inputs.get(field.name);
        const wrong = this.#wrong(field, String(this.#stored[field.name] ?? "").trim());
        number.setAttribute("aria-invalid", String(wrong !== null));
        message.textContent = wrong ?? "";
        if (slider) slider.value = number.value === "" ? number.placeholder || 1 : number.value;
    }

    #reset() {
        this.#stored = {};
        setValue("parameters", this.#stored);
        for (const field of fields) {
            this.#inputs.get(field.name).number.value = "";
            this.#mirror(field);
        }
        get("parameter-stop").value = "";
        this.#form.querySelector("[type=checkbox]").checked = false;
    }
}
