// The frame of all pages: navigation at the side, on phones at the bottom.

import { html, useEffect, useRef } from "../core/html.js";
import { instance } from "../core/instance.js";
import { unread } from "../core/live.js";
import { useLocation } from "../core/router.js";
import { useMe } from "../core/session.js";
import { useStore } from "../core/store.js";
import { Avatar } from "./avatar.js";
import { Icon } from "./icons.js";

export function Layout({ children }) {
  const me = useMe();
  const { path, key } = useLocation();
  const main = useRef(null);
  const isFirst = useRef(true);
  // A new page: screen readers and the keyboard start at its beginning.
  useEffect(() => {
    if (!isFirst.current) main.current.focus({ preventScroll: true });
    isFirst.current = false;
  }, [path, key]);
  return html`<a class="skip" href="#main">To the content</a>
    <${Navigation} me=${me} path=${path} />
    <main id="main" tabindex="-1" ref=${main}>${children}</main>`;
}

function Navigation({ me, path }) {
  const { notifications } = useStore(unread);
  const site = useStore(instance);
  const link = (url, icon, label, badge = 0) => html`<li>
    <a href=${url} aria-current=${path === url ? "page" : undefined}>
      <${Icon} name=${icon} filled=${path === url && icon !== "plus"} />
      <span>${label}</span>
      ${badge > 0 && html`<b class="badge" aria-label=${`${badge} unread`}>${badge > 99 ? "99+" : badge}</b>`}
    </a>
  </li>`;
  return html`<nav class="navigation" aria-label="Main">
    <a class="brand" href="/">${site?.name ?? "instafeed"}</a>
    <ul>
      ${me && link("/", "home", "Home")} ${me && link("/explore", "explore", "Explore")}
      ${me && link("/search", "search", "Search")} ${me && link("/new", "plus", "New post")}
      ${me && link("/notifications", "bell", "Notifications", notifications)}
      ${me &&
      html`<li>
        <a href=${`/@${me.username}`} aria-current=${path === `/@${me.username}` ? "page" : undefined}>
          <${Avatar} user=${me} size="small" /><span>Profile</span>
        </a>
      </li>`}
      ${me === null && link("/login", "person", "Sign in")}
    </ul>
  </nav>`;
}

/** The heading of a page; it sets the window's title too. */
export function Heading({ title, children }) {
  useTitle(title);
  return html`<header class="heading"><h1>${title}</h1>
    ${children}</header>`;
}

export function useTitle(title) {
  const site = useStore(instance);
  useEffect(() => {
    document.title = [title, site?.name ?? "instafeed"].filter(Boolean).join(" · ");
  }, [title, site]);
}
