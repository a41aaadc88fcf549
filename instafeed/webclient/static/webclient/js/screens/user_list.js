// The followers of an account, or those whom it follows.

import { html } from "../core/html.js";
import { usePages } from "../core/pages.js";
import { Heading } from "../components/layout.js";
import { EndlessList } from "../components/list.js";
import { UserRow } from "../components/user_row.js";

const TITLES = { followers: "Followers", following: "Following" };

export function UserList({ username, list: name }) {
  const list = usePages(`/users/${encodeURIComponent(username)}/${name}?limit=50`);
  return html`<div class="column">
    <${Heading} title=${TITLES[name]}><a href=${`/@${username}`}>@${username}</a><//>
    <${EndlessList}
      list=${list}
      label=${TITLES[name]}
      render=${(user) => html`<${UserRow} user=${user} />`}
      empty=${html`<p>There is no account in this list.</p>`}
    />
  </div>`;
}
