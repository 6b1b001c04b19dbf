// What must hold of the page as it is drawn: contrast of all words, nothing beside the window.
(() => {
    const parse = (color) => {
        const numbers = color.match(/[\d.]+/g).map(Number);
        const scale = color.startsWith("color(") ? 255 : 1;
        return { rgb: numbers.slice(0, 3).map((value) => value * scale), alpha: numbers[3] ?? 1 };
    };
    const over = (top, below) => ({ rgb: top.rgb.map((value, index) => value * top.alpha + below.rgb[index] * (1 - top.alpha)), alpha: 1 });
    const background = (element) => {
        const layers = [];
        for (let at = element; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
        return layers.reverse().reduce((below, top) => over(top, below), { rgb: [255, 255, 255], alpha: 1 });
    };
    const luminance = ({ rgb }) => rgb.map((value) => value / 255)
        .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
        .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
    const isSeen = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: true })
        && !element.closest(".hidden, .skip, [inert]");
    const faint = [];
    const outside = [];
    let count = 0;
    for (const element of document.body.querySelectorAll("*")) {
        if (!isSeen(element) || element.closest("svg.hidden")) continue;
        const box = element.getBoundingClientRect();
        const scrolls = element.closest("pre, .tree");
        if (box.width > 0 && !scrolls && (box.right > innerWidth + 1 || box.left < -1) && !element.closest(".list:not(.open), .details:not(.open)")) {
            outside.push(`${element.localName}.${element.getAttribute("class")}: ${Math.round(box.left)} to ${Math.round(box.right)}`);
        }
        const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!hasText || element.closest(":disabled") || element.closest("svg")) continue;
        count += 1;
        const below = background(element);
        const ink = over(parse(getComputedStyle(element).color), below);
        const [light, dark] = [luminance(ink), luminance(below)].sort((a, b) => b - a);
        const ratio = (light + 0.05) / (dark + 0.05);
        if (ratio < 4.5) faint.push(`${element.localName}.${element.getAttribute("class")} '${element.textContent.trim().slice(0, 30)}': ${ratio.toFixed(2)}`);
    }
    return { faint, outside, count, width: document.documentElement.scrollWidth };
})()
