// What lies around a conversation: the outer columns of narrow windows, the appearance, the keyboard.

import { ask, get, icon, make, say } from "./dom.js";

const columns = [
    { panel: get("list"), button: get("open-list") },
    { panel: get("details"), button: get("open-details") },
];
const rest = [get("bar"), get("main")];

/** Slides an outer column of a narrow window in or out. */
export function showColumn(panel, isOpen) {
    const column = columns.find((each) => each.panel === panel);
    const wasOpen = panel.classList.contains("open");
    for (const each of columns) {
        const shows = each === column && isOpen;
        each.panel.classList.toggle("open", shows);
        each.button.setAttribute("aria-expanded", String(shows));
        each.panel.inert = isOpen && !shows;
    }
    for (const element of rest) element.inert = isOpen;
    get("veil").hidden = !isOpen;
    if (isOpen) panel.querySelector("button, input, textarea, [tabindex='0'], summary")?.focus();
    else if (wasOpen) column.button.focus();
}

/** Closes an open column; returns false if none was open. */
export function closeColumns() {
    const open = columns.find(({ panel }) => panel.classList.contains("open"));
    if (open) showColumn(open.panel, false);
    return open !== undefined;
}

export function setUpPanels() {
    for (const { panel, button } of columns) button.addEventListener("click", () => showColumn(panel, true));
    for (const element of [get("veil"), ...document.querySelectorAll("[data-close-column]")]) element.addEventListener("click", closeColumns);
    matchMedia("(max-width: 1080px)").addEventListener("change", closeColumns);
    setUpAppearance();
}

// Appearance

const themes = [
    { name: null, label: "as the system", icon: "auto" },
    { name: "light", label: "light", icon: "sun" },
    { name: "dark", label: "dark", icon: "moon" },
];

function setUpAppearance() {
    const button = get("theme");
    const root = document.documentElement;
    const show = (theme) => {
        if (theme.name) root.dataset.theme = theme.name;
        else delete root.dataset.theme;
        button.replaceChildren(icon(theme.icon));
        button.setAttribute("aria-label", `Appearance: ${theme.label}`);
        button.title = `Appearance: ${theme.label}`;
    };
    const current = () => themes.find(({ name }) => name === (root.dataset.theme ?? null)) ?? themes[0];
    show(current());
    button.addEventListener("click", () => {
        const next = themes[(themes.indexOf(current()) + 1) % themes.length];
        show(next);
        say(`Appearance: ${next.label}`);
        try {
            if (next.name) localStorage.setItem("retnet.page.theme", next.name);
            else localStorage.removeItem("retnet.page.theme");
        } catch {
            // It lasts as long as the page.
        }
    });
}

// Keyboard

const isApple = /Mac|iP(hone|ad)/.test(navigator.platform);
const alt = isApple ? "⌥" : "Alt";

/** Calls the actions of keys: `stop`, `create`, `regenerate`, `edit`, `step(±1)`, `tree`, `parameters`. */
export function setUpKeys(actions) {
    const table = [
        ["Enter", "send (in a text: Ctrl Enter)"], ["Shift Enter", "new line"], ["Esc", "stop, or close what is open"], ["/", "to the input"],
        [`${alt} N`, "new conversation"], [`${alt} R`, "regenerate"], [`${alt} E`, "edit your last message"],
        [`${alt} ↑  ${alt} ↓`, "previous and next branch"], [`${alt} B`, "tree of branches"], [`${alt} P`, "parameters"], ["?", "this list"],
    ];
    get("keys").replaceChildren(...table.flatMap(([keys, text]) =>
        [make("dt", null, ...keys.split(" ").map((each) => (each ? make("kbd", null, each) : " "))), make("dd", null, text)]));
    const help = () => ask(get("help-dialog"));
    get("open-help").addEventListener("click", help);
    const byCode = {
        KeyN: actions.create, KeyR: actions.regenerate, KeyE: actions.edit, KeyB: actions.tree, KeyP: actions.parameters,
        ArrowUp: () => actions.step(-1), ArrowDown: () => actions.step(1),
    };
    document.addEventListener("keydown", (event) => {
        if (event.isComposing || document.querySelector("dialog[open]")) return;
        const isField = event.target.matches?.("input, textarea");
        if (event.key === "Escape") {
            if (actions.stop() || closeColumns()) event.preventDefault();
        } else if (event.altKey && !event.ctrlKey && !event.metaKey && byCode[event.code]) {
            // There these keys move through the words of a field.
            if (isApple && isField && event.code.startsWith("Arrow")) return;
            event.preventDefault();
            byCode[event.code]();
        } else if (!isField && !event.altKey && !event.ctrlKey && !event.metaKey && event.key === "/") {
            event.preventDefault();
            get("input").focus();
        } else if (!isField && event.key === "?") {
            event.preventDefault();
            help();
        }
    });
}
