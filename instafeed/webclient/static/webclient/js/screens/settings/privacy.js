import { del, patch } from "../../core/api.js";
import { html } from "../../core/html.js";
import { sayError } from "../../core/messages.js";
import { usePages } from "../../core/pages.js";
import { me, useMe } from "../../core/session.js";
import { useSwitch } from "../../core/switches.js";
import { EndlessList } from "../../components/list.js";
import { UserRow } from "../../components/user_row.js";

export function PrivacySettings() {
  return html`<${Visibility} />
    <${Relations} title="Blocked accounts" path="/me/blocks" relation="block" undo="Unblock" empty="You block no one." />
    <${Relations} title="Muted accounts" path="/me/mutes" relation="mute" undo="Unmute" empty="You mute no one." />`;
}

function Visibility() {
  const { is_private: isPrivate } = useMe();
  const [isOn, setIsOn] = useSwitch("is_private", isPrivate, {
    send: (wish) => patch("/me", { is_private: wish }),
    onAnswer: me.set,
    source: "/me",
  });
  return html`<section>
    <label class="choice">
      <input
        type="checkbox"
        checked=${isOn}
        aria-describedby="private-hint"
        onChange=${({ target }) => setIsOn(target.checked)}
      />
      Private account
    </label>
    <p class="quiet" id="private-hint">
      Only followers whom you have accepted see your posts. When you become public again, all who have asked to follow you
      are accepted.
    </p>
  </section>`;
}

/** The accounts that you block or mute. `relation` is the path of the call that ends it. */
function Relations({ title, path, relation, undo, empty }) {
  const list = usePages(`${path}?limit=50`);
  const end = async (user) => {
    try {
      await del(`/users/${user.username}/${relation}`);
      list.change((users) => users.filter(({ id }) => id !== user.id));
    } catch (error) {
      sayError(error);
    }
  };
  return html`<section>
    <h2>${title}</h2>
    <${EndlessList}
      list=${list}
      label=${title}
      render=${(user) => html`<${UserRow} user=${user}>
        <button type="button" aria-label=${`${undo} ${user.username}`} onClick=${() => end(user)}>${undo}</button>
      <//>`}
      empty=${html`<p>${empty}</p>`}
    />
  </section>`;
}
