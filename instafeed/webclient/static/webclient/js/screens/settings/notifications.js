import { get, patch } from "../../core/api.js";
import { html, useEffect, useState } from "../../core/html.js";
import { instance } from "../../core/instance.js";
import { useLoading } from "../../core/loading.js";
import { say, sayError } from "../../core/messages.js";
import { canPush, isSubscribed, subscribe, unsubscribe } from "../../core/push.js";
import { useMe } from "../../core/session.js";
import { useStore } from "../../core/store.js";
import { useSwitch } from "../../core/switches.js";
import { LoadError } from "../../components/load_error.js";

const KINDS = {
  like: "Likes",
  comment: "Comments",
  reply: "Replies",
  mention: "Mentions",
  follow: "New followers",
  follow_request: "Follow requests",
  follow_accepted: "Accepted requests",
  media_failed: "Pictures that failed",
  warning: "Warnings by moderators",
  content_hidden: "Hidden posts and comments",
  decision: "Decisions of moderators",
};
const ALWAYS_IN_APP = ["warning", "content_hidden", "decision"];

export function NotificationSettings() {
  const sendsPush = useStore(instance)?.features.includes("push") ?? false;
  return html`${canPush() && html`<${ThisDevice} />`}<${Kinds} sendsPush=${sendsPush} />`;
}

function ThisDevice() {
  const { id } = useMe();
  const [isOn, setIsOn] = useState(null); // until it is known
  const [isBusy, setIsBusy] = useState(false);
  useEffect(() => {
    isSubscribed(id).then(setIsOn);
  }, [id]);
  const change = async () => {
    if (isBusy || isOn === null) return;
    setIsBusy(true);
    try {
      if (isOn) await unsubscribe();
      else if (!(await subscribe(id))) say("Your browser does not allow notifications of this site.");
    } catch (error) {
      sayError(error);
    } finally {
      setIsOn(await isSubscribed(id));
      setIsBusy(false);
    }
  };
  return html`<section>
    <h2>This device</h2>
    <p class="quiet">Notifications also while the site is not open. They have no names and no texts. They end when you sign out.</p>
    <button type="button" class=${isOn ? "" : "primary"} aria-disabled=${isBusy || isOn === null} onClick=${change}>
      ${isOn ? "Stop notifying me on this device" : "Notify me on this device"}
    </button>
  </section>`;
}

function Kinds({ sendsPush }) {
  const [chosen, setChosen] = useState(null); // {kind: {in_app, push}}
  const { error, retry } = useLoading(async (signal) => {
    const { notifications } = await get("/me/preferences", { signal });
    setChosen(notifications);
  });
  // Only that channel: answers about different ones may overtake each other.
  const change = (kind, channel, isOn) =>
    setChosen((before) => ({ ...before, [kind]: { ...before[kind], [channel]: isOn } }));
  if (error) return html`<${LoadError} error=${error} retry=${retry} />`;
  if (!chosen) return html`<p class="loading" role="status">Loading …</p>`;
  return html`<section>
    <h2 id="kinds">What you are notified of</h2>
    <table class="kinds" aria-labelledby="kinds">
      <thead>
        <tr>
          <th scope="col">Kind</th>
          <th scope="col">In the app</th>
          ${sendsPush && html`<th scope="col">On devices</th>`}
        </tr>
      </thead>
      <tbody>
        ${Object.entries(chosen).map(
          ([kind, channels]) => html`<tr key=${kind}>
            <${Choices} kind=${kind} channels=${channels} sendsPush=${sendsPush} onChange=${change} />
          </tr>`,
        )}
      </tbody>
    </table>
  </section>`;
}

/** The cells of a kind. A message to a device needs the entry in the app. */
function Choices({ kind, channels: { in_app: inApp, push }, sendsPush, onChange }) {
  const name = KINDS[kind] ?? kind.replaceAll("_", " "); // a kind that is newer than this client
  const choice = (channel, label, isOn, isDisabled) => {
    const properties = { kind, channel, label: `${name} ${label}`, isOn, isDisabled, onChange };
    return html`<td><${Choice} ...${properties} /></td>`;
  };
  return html`<th scope="row">${name}</th>
    ${choice("in_app", "in the app", inApp, ALWAYS_IN_APP.includes(kind))}
    ${sendsPush && choice("push", "on devices", push && inApp, !inApp)}`;
}

function Choice({ kind, channel, label, isOn, isDisabled, onChange }) {
  const [isChecked, setIsChecked] = useSwitch(`${kind} ${channel}`, isOn, {
    send: (wish) => patch("/me/preferences", { notifications: { [kind]: { [channel]: wish } } }),
    onAnswer: ({ notifications }) => onChange(kind, channel, notifications[kind][channel]),
    source: "/me/preferences",
  });
  return html`<label>
    <input
      type="checkbox"
      aria-label=${label}
      checked=${isChecked}
      disabled=${isDisabled}
      onChange=${({ target }) => setIsChecked(target.checked)}
    />
  </label>`;
}
