#!/usr/bin/env python3
"""The page at `/` in a real browser, as people use it.

Usage: page_test.py URL [--screenshots FOLDER]; URL is that of a server with a small model. Needs Chromium
(CHROMIUM names it) and nothing else; ends with 0 and says so where there is none, and with 1 when something is wrong.
"""

import argparse
import json
import os
import sys
import time
import traceback
import urllib.request

import browser as driver
from browser import ALT, CONTROL

HERE = os.path.dirname(os.path.abspath(__file__))


def messages(page, role=None):
    selector = ".message" + (f".{role}" if role else "")
    return page.evaluate(f"[...document.querySelectorAll('{selector} .body')].map(e => e.textContent)")


def idle(page):
    page.wait("document.querySelector('#send-label').textContent !== 'Stop'")


def set_parameter(page, name, value):
    page.evaluate(
        f"(() => {{ const e = document.querySelector('#parameter-{name}'); e.value = {json.dumps(str(value))};"
        " e.dispatchEvent(new Event('input')); return true; })()")


def throttle(page, bytes_per_second):
    """Slows the answers down: the small model is faster than screens are drawn. -1 ends that."""
    page.call("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=bytes_per_second, uploadThroughput=-1)


def check_drawing(page, what):
    # Transitions end first.
    time.sleep(0.3)
    with open(os.path.join(HERE, "checks.js")) as file:
        found = page.evaluate(file.read().strip())
    assert found["count"] > 10, found
    assert not found["faint"], f"{what}: words that are hard to read: {found['faint']}"
    assert not found["outside"], f"{what}: parts beside the window: {found['outside']}"


def check_names(page, what):
    controls = {"button", "textbox", "radio", "checkbox", "spinbutton", "slider", "treeitem", "link", "dialog"}
    nameless = [role for role, name in page.nodes() if role in controls and not name.strip()]
    assert not nameless, f"{what}: controls without a name: {nameless}"


class PageTests:
    def __init__(self, page, url, options):
        self.page, self.url, self.options = page, url, options

    def shot(self, name):
        if self.options.screenshots:
            # Transitions end first.
            time.sleep(0.35)
            self.page.screenshot(os.path.join(self.options.screenshots, name + ".png"))

    def server(self, path):
        with urllib.request.urlopen(self.url + path) as answer:
            return json.load(answer)

    def run(self):
        steps = [name for name in dir(self) if name.startswith("step_")]
        for name in steps:
            start = time.monotonic()
            getattr(self, name)()
            print(f"{name[8:].replace('_', ' ')}: {time.monotonic() - start:.1f} s", flush=True)
        faults = [fault["exceptionDetails"]["text"] for fault in self.page.of("Runtime.exceptionThrown")]
        faults += [entry["entry"]["text"] for entry in self.page.of("Log.entryAdded") if entry["entry"]["level"] == "error"]
        assert not faults, f"errors of the page: {faults}"
        strange = {request["request"]["url"] for request in self.page.of("Network.requestWillBeSent")}
        strange = {url for url in strange if not url.startswith((self.url, "blob:", "about:", "data:"))}
        assert not strange, f"requests to elsewhere: {strange}"

    def step_01_open(self):
        page = self.page
        page.window(1360, 860)
        page.appearance("light")
        page.open(self.url + "/")
        page.wait("document.querySelector('#facts').textContent.includes('parameters')")
        assert page.focused() == "input", page.focused()
        check_names(page, "the empty page")
        check_drawing(page, "the empty page")
        self.shot("empty")

    def step_02_units(self):
        """The parts without a page, in the browser that runs them."""
        page = self.page
        found = page.evaluate("""(async () => {
            const { events } = await import('/page/api.js');
            const bytes = new TextEncoder().encode('data: {"é": 1}\\n\\n: ping\\n\\ndata: a\\r\\ndata: b\\r\\n\\r\\ndata:c\\n\\ndata: [DONE]\\n\\n');
            const results = [];
            for (let size = 1; size <= bytes.length; size += 1) {
                const parts = [];
                for (let at = 0; at < bytes.length; at += size) parts.push(bytes.slice(at, at + size));
                const source = new ReadableStream({ pull(controller) { parts.length > 0 ? controller.enqueue(parts.shift()) : controller.close(); } });
                const data = [];
                for await (const each of events(source)) data.push(each);
                results.push(JSON.stringify(data));
            }
            return [...new Set(results)];
        })()""")
        assert found == [json.dumps(['{"é": 1}', "a\nb", "c", "[DONE]"], ensure_ascii=False, separators=(",", ":"))], found
        tree = page.evaluate("""(async () => {
            const tree = await import('/page/conversation.js');
            const c = tree.makeConversation('chat');
            const first = tree.add(c, null, 'user', 'a');
            const second = tree.add(c, first.id, 'assistant', 'b');
            const third = tree.add(c, second.id, 'user', 'c');
            tree.add(c, first.id, 'assistant', 'd');
            const rows = tree.rows(c).map(({ node, column, parentRow }) => [node.text, column, parentRow]);
            const shown = tree.path(c).map(({ text }) => text).join('');
            tree.step(c, c.nodes[3], -1);
            const broken = [null, 3, {}, { ...c, nodes: [{ id: 0, parent: 0, role: 'user', text: '' }] }, { ...c, mode: 'x' }].map(tree.validated);
            return { rows, shown, after: tree.path(c).map(({ text }) => text).join(''), head: c.head === third.id, broken, same: tree.validated(c).head === c.head };
        })()""")
        assert tree == {"rows": [["a", 0, None], ["b", 1, 0], ["c", 1, 1], ["d", 0, 0]], "shown": "ad", "after": "abc", "head": True,
                        "broken": [None] * 5, "same": True}, tree
        shown = page.evaluate("""(async () => {
            const { markdown } = await import('/page/markdown.js');
            const place = document.createElement('div');
            place.append(...markdown('# A\\n\\none *two* **three** `4 < 5` <b>x</b> [a](javascript:1)\\n\\n- p\\n  - q\\n- r\\n\\n```js\\n<i>\\n```\\n> s\\n\\n1. t\\n2. u'));
            return place.innerHTML;
        })()""")
        assert shown == ('<h3>A</h3><p>one <em>two</em> <strong>three</strong> <code>4 &lt; 5</code> &lt;b&gt;x&lt;/b&gt; [a](javascript:1)</p>'
                         '<ul><li>p<ul><li>q</li></ul></li><li>r</li></ul><pre tabindex="0" aria-label="Code, js"><code>&lt;i&gt;</code></pre>'
                         '<blockquote><p>s</p></blockquote><ol start="1"><li>t</li><li>u</li></ol>'), shown

    def step_03_type_and_stream(self):
        page = self.page
        page.click("[data-mode=chat]")
        for name, value in (("max_tokens", 60), ("temperature", 0.8), ("seed", 11)):
            set_parameter(page, name, value)
        page.click("#input")
        page.evaluate(
            "(() => { window.lengths = []; new MutationObserver(() => { const e = document.querySelector('.message.assistant .body');"
            " if (e) lengths.push(e.textContent.length); }).observe(document.querySelector('#transcript'), { childList: true, subtree: true, characterData: true }); return true; })()")
        throttle(page, 40_000)
        page.type("The fox sees the hen by the river")
        page.press("Enter")
        page.wait("document.querySelector('.message.assistant .meta')?.textContent.includes('tokens/s')")
        idle(page)
        throttle(page, -1)
        assert messages(page, "user") == ["The fox sees the hen by the river"]
        assert len(set(page.evaluate("lengths"))) > 3, "the text did not come piece by piece"
        meta = page.evaluate("document.querySelector('.message.assistant .meta').textContent")
        assert "60 tokens" in meta and "limit" in meta, meta
        info = self.server("/page/info")
        state = page.evaluate("document.querySelector('.figure.own').textContent")
        assert "state of" in state, state
        assert page.evaluate("document.querySelectorAll('.chart path').length") == 2
        assert info["cache_bytes_per_token"] == 4 * info["layers"] * info["hidden_size"]

    def step_04_the_next_turn_begins_at_the_kept_state(self):
        page = self.page
        page.type("And then?")
        page.press("Enter")
        page.wait("document.querySelectorAll('.message.assistant .meta').length === 2")
        idle(page)
        meta = page.evaluate("[...document.querySelectorAll('.message.assistant .meta')].at(-1).textContent")
        assert "from a kept state" in meta, meta
        self.shot("chat")

    def step_05_stop(self):
        page = self.page
        set_parameter(page, "max_tokens", self.options.long_tokens)
        page.evaluate("(document.querySelector('#parameters [type=checkbox]').click(), true)")
        throttle(page, 40_000)
        page.type("A long one")
        page.press("Enter")
        page.wait("(document.querySelector('.message.live .foot')?.textContent ?? '').includes('tokens/s')")
        self.shot("streaming")
        page.press("Escape")
        idle(page)
        throttle(page, -1)
        end = time.monotonic() + 10
        while self.server("/health")["generating"] + self.server("/health")["reading"] > 0:
            assert time.monotonic() < end, "the server goes on after the stop"
            time.sleep(0.02)
        meta = page.evaluate("[...document.querySelectorAll('.message.assistant .meta')].at(-1).textContent")
        assert "stopped" in meta and "tokens" in meta, meta
        page.evaluate("(document.querySelector('#parameters [type=checkbox]').click(), true)")
        set_parameter(page, "max_tokens", 40)

    def step_06_regenerate(self):
        page = self.page
        before = messages(page, "assistant")
        page.click(".message:last-child .actions button:nth-of-type(1)")
        page.wait("document.querySelector('.message:last-child .steps')?.textContent.includes('2/2')")
        idle(page)
        after = messages(page, "assistant")
        assert len(after) == len(before) and after[:-1] == before[:-1]

    def step_07_edit_makes_a_branch(self):
        page = self.page
        count = len(messages(page))
        page.click(".message.user [data-edit]")
        assert page.evaluate("document.activeElement.closest('.editor') !== null")
        page.press("a", CONTROL)
        page.evaluate("(document.activeElement.select(), true)")
        page.type("The hen hears")
        page.press("Enter", CONTROL)
        page.wait("document.querySelectorAll('.message').length === 2 && document.querySelector('.message.user .body').textContent === 'The hen hears'")
        idle(page)
        page.wait("document.querySelector('.message.assistant .meta')")
        assert page.evaluate("document.querySelector('.message.user .steps').textContent") == "2/2"
        assert page.evaluate("document.querySelectorAll('.treeitem').length") > count
        self.shot("branches")

    def step_08_switch_branches(self):
        page = self.page
        page.click(".message.user [aria-label='Previous branch']")
        page.wait("document.querySelector('.message.user .body').textContent === 'The fox sees the hen by the river'")
        assert len(messages(page)) == 6
        page.press("ArrowDown", ALT)
        page.press("ArrowUp", ALT)
        # By the tree, into the middle of the older branch: what follows is another branch.
        page.click(".treeitem:nth-of-type(2)")
        page.wait("document.querySelectorAll('.message').length === 2")
        assert page.evaluate("!document.querySelector('#origin').hidden")
        page.click("#input")
        page.type("Now otherwise")
        page.press("Enter")
        page.wait("document.querySelectorAll('.message').length === 4 && document.querySelectorAll('.message.assistant .meta').length === 2")
        idle(page)
        meta = page.evaluate("[...document.querySelectorAll('.message.assistant .meta')].at(-1).textContent")
        assert "from a kept state" in meta, f"the fork was read from its beginning: {meta}"
        check_names(page, "branches")
        check_drawing(page, "branches")

    def step_09_keep_a_state(self):
        page = self.page
        page.click(".message:last-child [aria-label='Keep the state']")
        page.wait("document.querySelector('#keep-dialog').open")
        name = page.evaluate("document.querySelector('#keep-name').value")
        check_drawing(page, "the dialog")
        page.press("Enter")
        page.wait("!document.querySelector('#keep-dialog').open")
        page.wait(f"document.querySelector('#states').textContent.includes({json.dumps(name)})")
        assert name in [state["id"] for state in self.server("/v1/states")["data"]]

    def step_10_reload_keeps_everything(self):
        page = self.page
        before = messages(page)
        rows = page.evaluate("document.querySelectorAll('.treeitem').length")
        page.call("Page.reload")
        page.wait("document.querySelectorAll('.message').length === 4 && document.querySelector('#facts').textContent !== ''")
        assert messages(page) == before
        assert page.evaluate("document.querySelectorAll('.treeitem').length") == rows
        assert page.evaluate("document.querySelector('#parameter-max_tokens').value") == "40"

    def step_11_completion(self):
        page = self.page
        page.click("[data-mode=completion]")
        page.wait("document.querySelector('.welcome')")
        page.click("#input")
        page.type("The owl likes the bee that sits near the")
        page.press("Enter", CONTROL)
        page.wait("document.querySelectorAll('.passage.assistant').length === 1 && !document.querySelector('.passage.live')")
        idle(page)
        assert page.evaluate("document.querySelector('.passage.user').textContent") == "The owl likes the bee that sits near the"
        # Nothing written: the model goes on, from the state it left.
        page.press("Enter", CONTROL)
        page.wait("document.querySelectorAll('.passage.assistant').length === 2 && !document.querySelector('.passage.live')")
        idle(page)
        assert "from a kept state" in page.evaluate("document.querySelector('.tools .meta').textContent")
        page.type(" Then the bee")
        page.press("Enter", CONTROL)
        page.wait("document.querySelectorAll('.passage').length === 5 && !document.querySelector('.passage.live')")
        idle(page)
        page.press("r", ALT)
        page.wait("document.querySelector('.tools .steps')?.textContent.includes('2/2')")
        idle(page)
        # An edit of an earlier passage.
        page.click(".passage.user")
        page.click(".tools [data-edit]")
        page.evaluate("(document.activeElement.select(), true)")
        page.type("The dog finds the")
        page.click(".editor .primary")
        page.wait("document.querySelectorAll('.passage').length === 1")
        page.click("#send")
        page.wait("document.querySelectorAll('.passage').length === 2 && !document.querySelector('.passage.live')")
        idle(page)
        check_names(page, "a text")
        check_drawing(page, "a text")
        self.shot("text")

    def step_12_errors_are_shown(self):
        page = self.page
        set_parameter(page, "temperature", -1)
        page.click("#send")
        page.wait("!document.querySelector('#notice').hidden && document.querySelector('#notice').textContent.includes('Temperature')")
        assert page.evaluate("document.querySelector('#parameter-temperature').getAttribute('aria-invalid')") == "true"
        set_parameter(page, "temperature", 0.8)
        page.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)
        page.click("#send")
        page.wait("document.querySelector('.fault')?.textContent.includes('cannot be reached')")
        self.shot("unreachable")
        throttle(page, -1)
        page.click(".fault button")
        page.wait("!document.querySelector('.fault') && !document.querySelector('.passage.live')")
        idle(page)
        # The browser logs what it could not reach; that was meant.
        page.events = [event for event in page.events if not (event["method"] == "Log.entryAdded" and "ERR_INTERNET_DISCONNECTED" in event["params"]["entry"]["text"])]

    def step_13_keyboard_only(self):
        page = self.page
        page.press("n", ALT)
        page.evaluate("(document.querySelector('[data-mode=completion]').focus(), true)")
        page.press("ArrowLeft")
        assert page.evaluate("document.activeElement.dataset.mode") == "chat"
        assert page.evaluate("document.activeElement.getAttribute('aria-checked')") == "true"
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", "the focus cannot be seen"
        # From the beginning of the page to the input with the tabulator.
        page.evaluate("(document.querySelector('.skip').focus(), true)")
        order = [page.focused()]
        for _ in range(60):
            page.press("Tab")
            order.append(page.focused())
            if order[-1] == "input":
                break
        assert order[:2] == ["a:Skip to the input", "radio:Chat"] and order[-1] == "input", order
        page.type("By keyboard")
        page.press("Enter")
        page.wait("document.querySelectorAll('.message.assistant .meta').length === 1")
        idle(page)
        page.press("r", ALT)
        page.wait("document.querySelector('.message:last-child .steps')?.textContent.includes('2/2')")
        idle(page)
        page.press("ArrowUp", ALT)
        page.wait("document.querySelector('.message:last-child .steps').textContent.includes('1/2')")
        page.press("e", ALT)
        page.wait("document.activeElement.closest('.editor')")
        page.press("Escape")
        page.wait("!document.querySelector('.editor')")
        page.press("b", ALT)
        assert page.evaluate("document.activeElement.getAttribute('role')") == "treeitem"
        page.press("Home")
        page.press("ArrowDown")
        page.press("Enter")
        page.press("End")
        page.press("Enter")
        page.wait("document.activeElement.getAttribute('aria-selected') === 'true'")
        page.press("?")
        page.wait("document.querySelector('#help-dialog').open")
        self.shot("help")
        page.press("Escape")
        page.wait("!document.querySelector('#help-dialog').open")
        page.press("/")
        assert page.focused() == "input"

    def step_14_dark(self):
        page = self.page
        page.evaluate("(document.querySelectorAll('#conversations button')[1].click(), true)")
        page.appearance("dark")
        check_drawing(page, "dark")
        self.shot("dark")
        page.appearance("light")
        # The switch is stronger than the system, and stays.
        page.click("#theme")
        page.click("#theme")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        page.call("Page.reload")
        page.wait("document.querySelector('#facts')?.textContent")
        assert page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"
        page.click("#theme")
        assert page.evaluate("document.documentElement.dataset.theme") is None

    def step_15_phone(self):
        page = self.page
        page.window(360, 740, is_phone=True, scale=2)
        page.call("Page.reload")
        page.wait("document.querySelector('#facts')?.textContent")
        page.evaluate("(document.querySelectorAll('#conversations button')[2]?.click(), true)")
        check_drawing(page, "360 pixels")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        self.shot("phone")
        page.click("#open-details")
        page.wait("document.querySelector('#details').classList.contains('open') && document.querySelector('#main').inert")
        check_drawing(page, "360 pixels, details")
        self.shot("phone-details")
        page.press("Escape")
        page.wait("!document.querySelector('#details').classList.contains('open')")
        assert page.focused() == "open-details"
        page.click("#open-list")
        page.wait("document.querySelector('#list').classList.contains('open')")
        self.shot("phone-list")
        page.click("#new")
        page.wait("document.querySelector('.welcome')")
        small = page.evaluate(
            "[...document.querySelectorAll('button')].filter(e => e.checkVisibility({ visibilityProperty: true }) && !e.closest('.list, .details'))"
            ".map(e => [e.id || e.textContent, e.getBoundingClientRect()]).filter(([, r]) => r.width > 0 && r.height < 30).map(([name]) => name)")
        assert not small, f"buttons too small for fingers: {small}"
        self.shot("phone-empty")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--screenshots", help="folder for pictures")
    parser.add_argument("--long-tokens", type=int, default=10_000_000, help="tokens of the text that is stopped")
    options = parser.parse_args()
    path = driver.find()
    if path is None:
        print("skipped: no Chromium was found (apt-get install chromium, or CHROMIUM=path)")
        return
    if options.screenshots:
        os.makedirs(options.screenshots, exist_ok=True)
    page = driver.Browser(path)
    try:
        PageTests(page, options.url.rstrip("/"), options).run()
    except (AssertionError, RuntimeError, TimeoutError) as error:
        if options.screenshots:
            page.screenshot(os.path.join(options.screenshots, "failed.png"))
        traceback.print_exc()
        print(f"failed: {error}", file=sys.stderr)
        sys.exit(1)
    finally:
        page.close()
    print("the page does what it should")


if __name__ == "__main__":
    main()
