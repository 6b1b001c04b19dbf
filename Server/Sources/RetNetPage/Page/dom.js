// Elements without any text that is read as HTML.

const svgNames = "http://www.w3.org/2000/svg";

/** Returns the element with an id. */
export const get = (id) => document.getElementById(id);

function fill(element, properties, children) {
    for (const [name, value] of Object.entries(properties ?? {})) {
        if (value === undefined || value === null || value === false) continue;
        if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
        else if (name === "class") element.setAttribute("class", value);
        else if (name === "data") Object.assign(element.dataset, value);
        else if (name in element && !name.includes("-") && element.namespaceURI !== svgNames) element[name] = value;
        else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
    return element;
}

/** Makes an element: `make("p", { class: "note" }, "text", otherElement)`. */
export function make(name, properties, ...children) {
    return fill(document.createElement(name), properties, children);
}

/** Makes an element of a drawing. */
export function draw(name, properties, ...children) {
    return fill(document.createElementNS(svgNames, name), properties, children);
}

/** Makes one of the page's icons. */
export function icon(name) {
    return draw("svg", { class: "icon", "aria-hidden": "true" }, draw("use", { href: `#icon-${name}` }));
}

/** Makes a small button with an icon and a label. */
export function tool(name, label, action, { text = true, ...more } = {}) {
    return make(
        "button",
        { type: "button", class: "quiet small", onclick: action, title: text ? undefined : label, "aria-label": text ? undefined : label, ...more },
        icon(name), text ? label : null);
}

/** Makes a field as high as its text, up to the limit of its style. */
export function fitHeight(area) {
    area.style.height = "auto";
    const border = area.offsetHeight - area.clientHeight;
    area.style.height = `${area.scrollHeight + border}px`;
}

let speaker = 0;
/** Has screen readers say a text. */
export function say(text) {
    clearTimeout(speaker);
    get("status").textContent = "";
    speaker = setTimeout(() => { get("status").textContent = text; }, 60);
}

/** Opens a dialog; resolves with what `accept` returns when it was accepted, with undefined when it was left. */
export function ask(dialog, accept) {
    return new Promise((resolve) => {
        const form = dialog.querySelector("form");
        const listeners = new AbortController();
        const { signal } = listeners;
        let result;
        form.addEventListener("submit", async (event) => {
            event.preventDefault();
            const value = await accept?.();
            // `accept` shows what is wrong and returns false.
            if (value === false) return;
            result = value ?? true;
            dialog.close();
        }, { signal });
        for (const button of form.querySelectorAll("[data-close]")) {
            button.addEventListener("click", () => dialog.close(), { signal });
        }
        dialog.addEventListener("close", () => {
            listeners.abort();
            resolve(result);
        }, { signal });
        dialog.showModal();
    });
}
