// Accounts and hashtags that begin with what was typed. The text is in the address, so going back finds it again.

import { html, useEffect, useRef, useState } from "../core/html.js";
import { usePages } from "../core/pages.js";
import { count } from "../core/text.js";
import { Heading } from "../components/layout.js";
import { EndlessList } from "../components/list.js";
import { UserRow } from "../components/user_row.js";

const DELAY = 250; // milliseconds after the last key

export function Search({ query }) {
  const input = useRef(null);
  const [text, setText] = useState(query.get("q") ?? "");
  const timer = useRef(null);
  useEffect(() => input.current.focus({ preventScroll: true }), []);
  const onInput = ({ target }) => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      const url = target.value ? `/search?q=${encodeURIComponent(target.value)}` : "/search";
      history.replaceState(history.state, "", url);
      setText(target.value);
    }, DELAY);
  };
  const term = text.trim();
  return html`<div class="column">
    <${Heading} title="Search" />
    <form role="search" onSubmit=${(event) => event.preventDefault()}>
      <label class="hidden" for="search">Accounts and #hashtags</label>
      <input
        id="search"
        type="search"
        ref=${input}
        placeholder="Accounts and #hashtags"
        autocomplete="off"
        defaultValue=${text}
        onInput=${onInput}
      />
    </form>
    ${term.startsWith("#")
      ? term.length > 1 && html`<${Hashtags} key=${term} text=${term.slice(1)} />`
      : term && html`<${Accounts} key=${term} text=${term.replace(/^@/, "")} />`}
  </div>`;
}

function Accounts({ text }) {
  const list = usePages(`/users?search=${encodeURIComponent(text)}`);
  return html`<${EndlessList}
    list=${list}
    label="Accounts"
    render=${(user) => html`<${UserRow} user=${user} />`}
    empty=${html`<p>No account begins with “${text}”.</p>`}
  />`;
}

function Hashtags({ text }) {
  const list = usePages(`/hashtags?search=${encodeURIComponent(text)}`, (results) =>
    results.map((each) => ({ ...each, id: each.name })),
  );
  return html`<${EndlessList}
    list=${list}
    label="Hashtags"
    render=${({ name, post_count: posts }) =>
      html`<a class="person" href=${`/tags/${encodeURIComponent(name)}`}>
        <span class="names"><span class="user-link">#${name}</span><span class="quiet">${count(posts, "post")}</span></span>
      </a>`}
    empty=${html`<p>No hashtag begins with “${text}”.</p>`}
  />`;
}
