// Texts, numbers and times for people.

import { html } from "./html.js";

const TOKEN = /(https?:\/\/[^\s<>"]+[^\s<>".,;:!?)\]}'’])|([#＃][\p{L}\p{M}\p{N}_·]+)|([@＠][a-zA-Z0-9._]*[a-zA-Z0-9_])/gu;
const number = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "narrow" });
const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const dateAndTime = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "short" });
const UNITS = [
  ["second", 60],
  ["minute", 60],
  ["hour", 24],
  ["day", 7],
];
const BYTES = ["bytes", "kB", "MB", "GB", "TB"];

export const formatNumber = (value) => number.format(value);

/** "1 like", "2 likes". */
export const count = (value, one, many = `${one}s`) => `${formatNumber(value)} ${value === 1 ? one : many}`;

/** "3.4 MB". */
export function formatBytes(value) {
  const exponent = Math.max(0, Math.min(BYTES.length - 1, Math.floor(Math.log10(value) / 3)));
  return `${number.format(value / 1000 ** exponent)} ${BYTES[exponent]}`;
}

/** "5 min. ago", after a week the date. */
export function formatTime(text) {
  let value = (Date.parse(text) - Date.now()) / 1000;
  for (const [unit, size] of UNITS) {
    if (Math.abs(value) < size) return relative.format(Math.min(0, Math.round(value)), unit);
    value /= size;
  }
  return date.format(new Date(text));
}

export const Time = ({ at }) =>
  html`<time datetime=${at} title=${dateAndTime.format(new Date(at))}>${formatTime(at)}</time>`;

/**
 * Return a text with links: addresses, and the hashtags and mentions that the API found in it. Without the lists of a
 * post (in comments and biographies) everything that looks like one is a link.
 */
export function linked(text, { hashtags, mentions } = {}) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(TOKEN)) {
    const [token, url, hashtag, mention] = found;
    const name = token.slice(1);
    let link = null;
    if (url) link = html`<a href=${url} rel="nofollow noopener ugc" target="_blank">${url.replace(/^https?:\/\//, "")}</a>`;
    else if (/[\p{L}\p{N}_]$/u.test(text.slice(0, found.index))) continue; // in the middle of a word, as in an address
    else if (hashtag && (!hashtags || hashtags.includes(name.toLowerCase())))
      link = html`<a href=${`/tags/${encodeURIComponent(name.toLowerCase())}`}>${token}</a>`;
    else if (mention && (!mentions || mentions.includes(name.toLowerCase())))
      link = html`<a href=${`/@${name.toLowerCase()}`}>${token}</a>`;
    if (!link) continue;
    parts.push(text.slice(end, found.index), link);
    end = found.index + token.length;
  }
  return [...parts, text.slice(end)];
}
