// Numbers as people read them.

const counts = new Intl.NumberFormat("en-US");

export const count = (value) => counts.format(value);

/** Returns "1 token" or "2 tokens". */
export const tokens = (value) => `${count(value)} ${value === 1 ? "token" : "tokens"}`;

/** Returns bytes in binary units with three digits. */
export function bytes(value) {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    while (value >= 1024 && unit < units.length - 1) {
        value /= 1024;
        unit += 1;
    }
    const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
    return `${value.toFixed(digits)} ${units[unit]}`;
}

/** Returns a number of things in thousands or millions. */
export function short(value) {
    if (value < 1000) return String(value);
    if (value < 1e6) return `${(value / 1e3).toFixed(value < 1e4 ? 1 : 0)}k`;
    if (value < 1e9) return `${(value / 1e6).toFixed(value < 1e7 ? 1 : 0)}M`;
    return `${(value / 1e9).toFixed(1)}B`;
}

/** Returns a rate with three digits. */
export const rate = (value) => (value >= 100 ? count(Math.round(value)) : value.toFixed(1));

/** Returns seconds, or milliseconds below one second. */
export const seconds = (value) => (value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(value < 10 ? 2 : 1)} s`);
