// Conversations and parameters in the browser's storage.

import { validated } from "./conversation.js";

const prefix = "retnet.page.conversation.";

/** True if the last write failed: the storage is full or the browser has none. */
export let isFull = false;

function write(name, value) {
    try {
        localStorage.setItem(name, JSON.stringify(value));
        isFull = false;
    } catch {
        isFull = true;
    }
}

function read(name) {
    try {
        return JSON.parse(localStorage.getItem(name));
    } catch {
        return null;
    }
}

/** Returns all conversations, the newest first. */
export function conversations() {
    let names = [];
    try {
        names = Object.keys(localStorage).filter((name) => name.startsWith(prefix));
    } catch {
        return [];
    }
    return names.map((name) => validated(read(name))).filter(Boolean).sort((a, b) => b.updated - a.updated);
}

export const save = (conversation) => write(prefix + conversation.id, conversation);

export function remove(conversation) {
    try {
        localStorage.removeItem(prefix + conversation.id);
    } catch {
        // Nothing was stored.
    }
}

/** Values that the page keeps: the parameters, the mode, the conversation shown last. */
export const value = (name) => read(`retnet.page.${name}`);
export const setValue = (name, value) => write(`retnet.page.${name}`, value);

/** Calls `change` when another window of this browser has changed a conversation. */
export function onChange(change) {
    window.addEventListener("storage", ({ key }) => {
        if (key === null || key.startsWith(prefix)) change(key?.slice(prefix.length) ?? null);
    });
}
