// The page: one conversation is shown, one text runs at a time.

import { ServerError, key, request } from "./api.js";
import { Branches } from "./branches.js";
import * as tree from "./conversation.js";
import { ask, draw, fitHeight, get, icon, make, say, tool } from "./dom.js";
import { bytes, count, short, tokens } from "./format.js";
import { Generation, keepRequest } from "./generation.js";
import { showMemory } from "./memory.js";
import { closeColumns, setUpKeys, setUpPanels, showColumn } from "./panels.js";
import { Parameters } from "./parameters.js";
import { States } from "./states.js";
import * as storage from "./storage.js";
import { Transcript } from "./transcript.js";

const input = get("input");
let info = null;
let all = storage.conversations();
let shown = null;
let running = null;

const transcript = new Transcript({ regenerate, answer: generate, edit, branch, copy, copyAll, keep, step });
const branches = new Branches((id) => goTo(id));
const parameters = new Parameters();
const states = new States({ go: continueState, confirm, fail });

// MARK: What is shown

function show() {
    const live = running?.conversation === shown ? running.target : null;
    transcript.show(shown, live, welcome);
    branches.show(shown);
    showLength();
    showList();
    parameters.show(info, shown, (system) => {
        shown.system = system;
        save(shown);
    });
    const modes = info?.modes ?? ["chat", "completion"];
    for (const button of get("modes").children) {
        const isOwn = button.dataset.mode === shown.mode;
        button.setAttribute("aria-checked", String(isOwn));
        button.tabIndex = isOwn ? 0 : -1;
        button.hidden = !modes.includes(button.dataset.mode);
    }
    get("modes").hidden = modes.length < 2;
    if (document.activeElement !== get("title")) get("title").value = shown.title;
    get("title").placeholder = tree.title({ ...shown, title: "" });
    document.title = `${tree.title(shown)} – ${info?.model ?? "retnet"}`;
    showComposer();
}

function showComposer() {
    const isChat = shown.mode === "chat";
    const isLive = running !== null;
    get("send").classList.toggle("stop", isLive);
    get("send-icon").setAttribute("href", isLive ? "#icon-stop" : "#icon-up");
    get("send-label").textContent = isLive ? "Stop" : isChat ? "Send" : "Continue";
    get("input-label").textContent = isChat ? "Message" : "What comes next";
    input.placeholder = isChat ? "Message" : shown.nodes.length === 0 ? "Once upon a time" : "Write on, or let the model continue";
    fitHeight(input);
    get("hint").textContent = isChat ? "Enter sends, Shift Enter begins a line" : "Ctrl Enter continues the text";
    // The next text begins a branch if others follow the same place already.
    const others = tree.children(shown, shown.head).length;
    const origin = get("origin");
    origin.hidden = others === 0 || isLive;
    if (others > 0) {
        origin.replaceChildren(icon("fork"), make("span", null, `Forks the state here: ${others === 1 ? "one branch goes" : `${count(others)} branches go`} on from it already`),
            tool("right", "Back to its end", () => goTo(tree.newestEnd(shown, shown.head))));
    }
}

function showLength() {
    const last = tree.path(shown).findLast(({ usage, edited }) => usage && !edited) ?? null;
    showMemory(info, tree.tokenCount(shown), last);
}

function showList() {
    const rows = all.map((conversation) => make("li", null, make("button", {
        type: "button", "aria-current": conversation === shown ? "true" : undefined, data: { conversation: conversation.id },
        onclick: () => {
            open(conversation);
            closeColumns();
        },
    }, make("span", null, tree.title(conversation)))));
    const list = get("conversations");
    const focused = list.contains(document.activeElement) ? document.activeElement.dataset.conversation : null;
    list.replaceChildren(...rows);
    if (focused) list.querySelector(`[data-conversation="${focused}"]`)?.focus();
}

function welcome() {
    const isChat = shown.mode === "chat";
    const text = shown.state
        ? `The text goes on behind the kept state “${shown.state}”.`
        : isChat
            ? info?.chat_template === "plain"
                ? "This model has no template for chats: conversations get a plain form. It may do better with a text that it continues."
                : "Every answer leaves a state behind. Edit or regenerate a message, and the conversation forks there."
            : info?.kind === "encoder_decoder"
                ? "This model is an encoder-decoder: it reads all of the text and answers it. It keeps no states."
            : "The model continues what you write. Every passage leaves a state behind, from which other branches can begin.";
    return make("div", { class: "welcome" }, draw("svg", { class: "mark", "aria-hidden": "true" }, draw("use", { href: "#icon-mark" })),
        make("h1", null, isChat ? "What would you like to talk about?" : info?.kind === "encoder_decoder" ? "What shall the model read?" : "How does the text begin?"), make("p", null, text));
}

function notice(text, action = null) {
    const place = get("notice");
    place.hidden = text === null;
    place.replaceChildren(...(text === null ? [] : [make("span", null, text), action ?? make("button", { type: "button", class: "quiet small", onclick: () => notice(null) }, "Close")]));
}

/** Shows an error; a wrong key is asked for again. */
function fail(error) {
    if (error.status === 401) return void askKey(true);
    notice(error.message);
}

// MARK: Conversations

function save(conversation) {
    if (conversation.nodes.length === 0 && !conversation.system && !conversation.state) return;
    if (!all.includes(conversation)) all.unshift(conversation);
    storage.save(conversation);
    if (conversation === shown) storage.setValue("shown", conversation.id);
    if (storage.isFull) notice("The browser's storage is full: what is new now is lost when the page is closed. Delete conversations to make room.");
}

function open(conversation) {
    shown = conversation;
    storage.setValue("shown", conversation.id);
    storage.setValue("mode", conversation.mode);
    show();
    transcript.toEnd();
}

function create(mode = shown?.mode ?? "chat", state = null) {
    const empty = all.find((each) => each.nodes.length === 0 && each.mode === mode && each.state === state && !each.system);
    open(empty ?? tree.makeConversation(mode, state));
    closeColumns();
    input.focus();
}

function continueState(name) {
    create("completion", name);
    save(shown);
    showList();
}

async function confirm(title, text) {
    get("confirm-title").textContent = title;
    get("confirm-text").textContent = text;
    return (await ask(get("confirm-dialog"))) === true;
}

async function removeShown() {
    if (!(await confirm("Delete this conversation?", "All of its branches go from this browser."))) return;
    if (running?.conversation === shown) running.stop();
    storage.remove(shown);
    all = all.filter((each) => each !== shown);
    open(all[0] ?? tree.makeConversation(shown.mode));
}

function exportShown() {
    const address = URL.createObjectURL(new Blob([JSON.stringify(shown, null, 1)], { type: "application/json" }));
    make("a", { href: address, download: `${tree.title(shown).replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 60) || "conversation"}.json` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

// MARK: Texts

async function submit() {
    if (running) return running.stop();
    const text = input.value;
    const isChat = shown.mode === "chat";
    if (isChat ? !text.trim() : text === "" && shown.nodes.length === 0 && !shown.state) return input.focus();
    if (text !== "") tree.add(shown, shown.head, "user", text);
    input.value = "";
    fitHeight(input);
    await generate(tree.node(shown, shown.head));
}

/** Generates what follows a text; null for what follows nothing. */
async function generate(after) {
    if (running) return;
    const { body, wrong } = parameters.read(shown);
    if (wrong) {
        notice(`The parameter “${wrong}” is wrong.`);
        save(shown);
        return show();
    }
    notice(null);
    const conversation = shown;
    const target = tree.add(conversation, after?.id ?? null, "assistant", "");
    const generation = new Generation(conversation, target, body);
    running = generation;
    save(conversation);
    show();
    transcript.toEnd();
    let isDrawn = true;
    let savedAt = performance.now();
    const error = await generation.run(() => {
        if (performance.now() - savedAt > 1000) {
            savedAt = performance.now();
            storage.save(conversation);
        }
        if (!isDrawn) return;
        isDrawn = false;
        // No more often than the screen shows it.
        requestAnimationFrame(() => {
            isDrawn = true;
            if (shown !== conversation || running !== generation) return;
            transcript.grow(target);
            transcript.progress(target);
            showLength();
        });
    });
    running = null;
    conversation.updated = Date.now();
    if (all.includes(conversation)) storage.save(conversation);
    show();
    say(error ? "The text ended with an error" : target.finish === "stopped" ? "Stopped" : `Done, ${tokens(target.usage?.completion ?? 0)}`);
    if (error?.status === 401) askKey(true);
    states.show();
}

async function regenerate(target) {
    if (running) return;
    if (!target) return;
    // What ended in an error before its first word is replaced, not kept beside the new one.
    const isEmpty = target.text === "" && target.error && target.id === shown.nodes.length - 1;
    if (isEmpty) shown.nodes.pop();
    await generate(tree.node(shown, target.parent));
}

async function edit(target, text) {
    if (running || text === target.text || (shown.mode === "chat" && !text.trim())) return show();
    const changed = tree.add(shown, target.parent, target.role, text, target.role === "assistant" ? { edited: true } : {});
    save(shown);
    if (shown.mode === "chat" && target.role === "user") await generate(changed);
    else show();
    input.focus();
}

function goTo(id) {
    shown.head = id;
    save(shown);
    show();
}

function branch(target) {
    goTo(target.id);
    input.focus();
}

function step(target, direction) {
    if (!target || !tree.step(shown, target, direction)) return;
    save(shown);
    show();
    const all = tree.siblings(shown, target);
    say(`Branch ${all.indexOf(target) + 1 + direction} of ${all.length}`);
}

async function copyText(text) {
    try {
        await navigator.clipboard.writeText(text);
        say("Copied");
    } catch {
        notice("The browser does not let this page copy: mark the text and copy it.");
    }
}

function copy(target) { return copyText(target.text.trim()); }

function copyAll() { return copyText(tree.prompt(shown)); }

async function keep(target) {
    const conversation = shown;
    const name = await states.keep(`page-${conversation.id.slice(0, 4)}-${target.id}`, async (name, persists) => {
        const { path, body } = keepRequest(conversation, target.id, name, persists);
        const { state } = await request(path, { method: "POST", body });
        say(`Kept ${tokens(state.tokens)} as ${name}: ${bytes(state.bytes)}`);
    });
    if (!name) return;
    get("states-section").open = true;
    await states.show();
}

// MARK: The server

async function askKey(isWrong = false) {
    if (get("key-dialog").open) return;
    get("key-text").textContent = isWrong && key.get() ? "The server does not take this key. Enter another one." : "Enter the API key that its operator gave you.";
    const given = await ask(get("key-dialog"), () => {
        key.set(get("key").value.trim(), get("key-stays").checked);
        return true;
    });
    if (given) await connect();
}

/** Asks the server for its model until it has one. */
async function connect() {
    while (true) {
        try {
            info = await request("page/info");
            break;
        } catch (error) {
            if (error.status === 401) return askKey(true);
            const isLoading = error instanceof ServerError && (error.status === 503 || error.status === 0);
            notice(error.status === 503 ? "The server is loading its model …" : error.message, isLoading ? make("span", { class: "note" }, "trying again") : null);
            if (!isLoading) return;
            await new Promise((resolve) => setTimeout(resolve, (error.retryAfter ?? 1) * 1000));
        }
    }
    notice(null);
    get("model").textContent = info.model;
    get("model").title = info.model;
    get("facts").textContent = `${info.model}: ${short(info.parameters)} parameters, ${info.layers} layers`
        + `${info.context_limit ? `, up to ${tokens(info.context_limit)}` : ""}. State in ${info.state_type}.`;
    states.canPersist = info.keeps_states_on_disk;
    if (shown.nodes.length === 0 && (storage.value("mode") === null || !info.modes.includes(shown.mode))) {
        shown.mode = info.chat_template === "plain" ? info.modes.at(-1) : info.modes[0];
    }
    show();
}

// MARK: Set-up

function setUp() {
    get("composer").addEventListener("submit", (event) => {
        event.preventDefault();
        submit();
    });
    input.addEventListener("input", () => fitHeight(input));
    input.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" || event.isComposing) return;
        const sends = shown.mode === "chat" ? !event.shiftKey && !event.altKey : event.ctrlKey || event.metaKey;
        if (!sends || running) return;
        event.preventDefault();
        submit();
    });
    get("new").addEventListener("click", () => create());
    get("modes").addEventListener("click", ({ target }) => {
        const { mode } = target.closest("button")?.dataset ?? {};
        if (mode && mode !== shown.mode) changeMode(mode);
    });
    get("modes").addEventListener("keydown", (event) => {
        if (!event.key.startsWith("Arrow")) return;
        event.preventDefault();
        changeMode(shown.mode === "chat" ? "completion" : "chat");
        get("modes").querySelector("[aria-checked=true]").focus();
    });
    get("title").addEventListener("input", ({ target }) => {
        shown.title = target.value;
        save(shown);
        showList();
    });
    get("export").addEventListener("click", exportShown);
    get("delete").addEventListener("click", removeShown);
    setUpPanels();
    setUpKeys({
        create: () => create(), regenerate: () => regenerate(transcript.last("assistant")), step: (direction) => step(branchPoint(), direction),
        stop: () => {
            running?.stop();
            return running !== null;
        },
        edit: () => {
            const target = transcript.last("user");
            if (target && !running) transcript.edit(target);
        },
        tree: () => reach(get("details"), () => branches.focus()),
        parameters: () => reach(get("details"), () => get("parameter-temperature").focus()),
    });
    storage.onChange(() => {
        if (running) return;
        const { id } = shown;
        all = storage.conversations();
        shown = all.find((each) => each.id === id) ?? shown;
        show();
    });
}

function changeMode(mode) {
    // An empty conversation changes its kind; one with texts stays what it is.
    if (shown.nodes.length > 0 || all.includes(shown)) return create(mode);
    shown.mode = mode;
    open(shown);
}

/** The last text of the shown branch that has others beside it. */
const branchPoint = () => tree.path(shown).findLast((each) => tree.siblings(shown, each).length > 1) ?? null;

function reach(panel, focus) {
    if (matchMedia("(max-width: 1080px)").matches) showColumn(panel, true);
    focus();
}

function start() {
    // A text that ran when the page was closed has ended with it.
    for (const conversation of all) {
        for (const each of conversation.nodes) if (each.role === "assistant" && !each.finish && !each.error && !each.edited) each.finish = "stopped";
    }
    const id = storage.value("shown");
    shown = all.find((each) => each.id === id) ?? tree.makeConversation(storage.value("mode") === "completion" ? "completion" : "chat");
    setUp();
    show();
    transcript.toEnd();
    fitHeight(input);
    // On a phone the keyboard would cover the conversation.
    if (!matchMedia("(pointer: coarse)").matches) input.focus();
    connect();
}

start();
