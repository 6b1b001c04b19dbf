// The appearance, before anything is drawn: as the system has it unless a choice was stored.
"use strict";

(() => {
    const key = "retnet.page.theme";
    const root = document.documentElement;
    let stored = null;
    try {
        stored = localStorage.getItem(key);
    } catch {
        // A browser without storage: as the system has it.
    }
    if (stored === "light" || stored === "dark") root.dataset.theme = stored;
})();
