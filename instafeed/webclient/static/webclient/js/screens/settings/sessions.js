import { del } from "../../core/api.js";
import { html, useState } from "../../core/html.js";
import { say, sayError } from "../../core/messages.js";
import { usePages } from "../../core/pages.js";
import { Time } from "../../core/text.js";
import { Confirmation } from "../../components/dialog.js";
import { EndlessList } from "../../components/list.js";

export function SessionSettings() {
  const list = usePages("/me/sessions?limit=50");
  const [isAsking, setIsAsking] = useState(false);
  const end = async (path, isLeft, message) => {
    try {
      await del(path);
      list.change((sessions) => sessions.filter(isLeft));
      say(message);
    } catch (error) {
      sayError(error);
    }
  };
  const endOne = ({ id }) => end(`/me/sessions/${id}`, (each) => each.id !== id, "The session has ended.");
  const endOthers = () => end("/me/sessions", ({ current }) => current, "All other sessions have ended.");
  return html`<section>
    <${EndlessList} list=${list} label="Sessions" render=${(session) => html`<${Session} session=${session} onEnd=${endOne} />`} />
    ${(list.items.length > 1 || !list.isEnd) &&
    html`<button type="button" class="danger" onClick=${() => setIsAsking(true)}>Sign out everywhere else</button>`}
    ${isAsking &&
    html`<${Confirmation}
      title="Sign out everywhere else?"
      text="All sessions except this one end at once."
      label="Sign out"
      onConfirm=${endOthers}
      onClose=${() => setIsAsking(false)}
    />`}
  </section>`;
}

function Session({ session, onEnd }) {
  const { client, address, created_at: start, last_used_at: lastUse, current } = session;
  const name = client || "Unknown client";
  return html`<div class="row">
    <div class="names">
      <b>${name}</b>
      <span class="quiet">
        ${address && `${address} · `}signed in <${Time} at=${start} />${!current && html`, last used <${Time} at=${lastUse} />`}
      </span>
    </div>
    ${current
      ? html`<span class="quiet">This session</span>`
      : html`<button type="button" aria-label=${`End the session of ${name}`} onClick=${() => onEnd(session)}>End</button>`}
  </div>`;
}
