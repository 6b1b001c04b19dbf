// The part of Markdown that answers use, as elements: nothing in a text becomes markup of the page.

import { make } from "./dom.js";

/** Returns elements for a text. */
export function markdown(text) {
    const lines = text.replace(/\r\n?/g, "\n").split("\n");
    const result = [];
    let at = 0;
    while (at < lines.length) {
        const line = lines[at];
        const fence = line.match(/^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/);
        if (fence) {
            const code = [];
            for (at += 1; at < lines.length && !isClosing(lines[at], fence[1]); at += 1) code.push(lines[at]);
            at += 1;
            result.push(make("pre", { tabIndex: 0, "aria-label": fence[2] ? `Code, ${fence[2]}` : "Code" }, make("code", null, code.join("\n"))));
            continue;
        }
        const heading = line.match(/^ {0,3}(#{1,6})\s+(.*?)\s*#*$/);
        if (heading) {
            result.push(make(`h${Math.min(5, heading[1].length + 2)}`, null, inline(heading[2])));
            at += 1;
        } else if (/^ {0,3}([-*_])(\s*\1){2,}\s*$/.test(line)) {
            result.push(make("hr"));
            at += 1;
        } else if (/^ {0,3}>/.test(line)) {
            const quoted = [];
            for (; at < lines.length && /^ {0,3}>/.test(lines[at]); at += 1) quoted.push(lines[at].replace(/^ {0,3}> ?/, ""));
            // One level is enough, and bounded.
            result.push(make("blockquote", null, make("p", null, inline(quoted.join("\n")))));
        } else if (item(line)) {
            const { element, next } = list(lines, at);
            result.push(element);
            at = next;
        } else if (line.trim() === "") {
            at += 1;
        } else {
            const words = [];
            for (; at < lines.length && lines[at].trim() !== "" && (words.length === 0 || !beginsBlock(lines[at])); at += 1) words.push(lines[at]);
            result.push(make("p", null, inline(words.join("\n"))));
        }
    }
    return result;
}

const isClosing = (line, fence) => line.trim().length >= fence.length && [...line.trim()].every((character) => character === fence[0]);
const beginsBlock = (line) => /^ {0,3}(`{3}|~{3}|#{1,6}\s|>)/.test(line) || item(line) !== null;

function item(line) {
    const match = line.match(/^( {0,12})([-*+]|\d{1,9}[.)])\s+(.*)$/);
    return match && { depth: match[1].length, isOrdered: /\d/.test(match[2]), number: parseInt(match[2], 10), text: match[3] };
}

function list(lines, start) {
    const first = item(lines[start]);
    const element = make(first.isOrdered ? "ol" : "ul", first.isOrdered ? { start: first.number } : null);
    let at = start;
    while (at < lines.length) {
        const found = item(lines[at]);
        if (found && found.depth >= first.depth + 2 && element.lastChild) {
            const inner = list(lines, at);
            element.lastChild.append(inner.element);
            at = inner.next;
        } else if (found && found.depth >= first.depth && found.isOrdered === first.isOrdered) {
            element.append(make("li", null, inline(found.text)));
            at += 1;
        } else if (!found && lines[at].trim() !== "" && /^ {2,}/.test(lines[at]) && element.lastChild) {
            element.lastChild.append("\n", ...inline(lines[at].trim()));
            at += 1;
        } else {
            break;
        }
    }
    return { element, next: at };
}

/** Code, strong and emphasized words; addresses stay text. */
function inline(text) {
    const pattern = /(`+)(?!`)([^]*?[^`])\1(?!`)|\*\*(?=\S)([^*]*?\S)\*\*|(?<![\w*])\*(?=[^\s*])([^*]*?[^\s*])\*(?![\w*])|(?<!\w)_(?=\S)([^_]*?\S)_(?!\w)/g;
    const result = [];
    let end = 0;
    for (const match of text.matchAll(pattern)) {
        if (match.index > end) result.push(text.slice(end, match.index));
        if (match[2] !== undefined) result.push(make("code", null, match[2].replace(/^ (.*) $/, "$1")));
        else if (match[3] !== undefined) result.push(make("strong", null, match[3]));
        else result.push(make("em", null, match[4] ?? match[5]));
        end = match.index + match[0].length;
    }
    if (end < text.length) result.push(text.slice(end));
    return result;
}
