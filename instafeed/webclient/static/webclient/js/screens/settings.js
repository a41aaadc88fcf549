// The settings: a list of sections, each with a page of its own that is loaded when it is opened.

import { html } from "../core/html.js";
import { lazy } from "../core/lazy.js";
import { say } from "../core/messages.js";
import { signOut } from "../core/session.js";
import { Icon } from "../components/icons.js";
import { Heading } from "../components/layout.js";
import { NotFound } from "./not_found.js";

const { ProfileSettings } = lazy(() => import("./settings/profile.js"));
const { PrivacySettings } = lazy(() => import("./settings/privacy.js"));
const { AccountSettings } = lazy(() => import("./settings/account.js"));
const { SecondFactorSettings } = lazy(() => import("./settings/second_factor.js"));
const { NotificationSettings } = lazy(() => import("./settings/notifications.js"));
const { SessionSettings } = lazy(() => import("./settings/sessions.js"));
const { DataSettings } = lazy(() => import("./settings/data.js"));
const { DeleteSettings } = lazy(() => import("./settings/delete.js"));

const SECTIONS = {
  profile: { title: "Profile", about: "Picture, name, biography, username", screen: ProfileSettings },
  privacy: { title: "Privacy", about: "Private account, blocked and muted accounts", screen: PrivacySettings },
  account: {
    title: "Address and password",
    about: "The mail address and password that you sign in with",
    screen: AccountSettings,
  },
  "second-factor": { title: "Second factor", about: "A code of an app at each sign-in", screen: SecondFactorSettings },
  notifications: {
    title: "Notifications",
    about: "What you are notified of, and on which devices",
    screen: NotificationSettings,
  },
  sessions: { title: "Sessions", about: "Where you are signed in", screen: SessionSettings },
  data: { title: "Your data", about: "Download all that the site holds about you", screen: DataSettings },
  delete: { title: "Delete the account", about: "And all that you have posted", screen: DeleteSettings },
};

/** `section` is a key of SECTIONS; without it, the list of all. */
export function Settings({ section }) {
  if (!section) return html`<${SectionList} />`;
  if (!Object.hasOwn(SECTIONS, section)) return html`<${NotFound} />`;
  const { title, screen: Section } = SECTIONS[section];
  return html`<div class="column settings">
    <${Heading} title=${title}><a href="/settings">All settings</a><//>
    <${Section} />
  </div>`;
}

function SectionList() {
  return html`<div class="column settings">
    <${Heading} title="Settings" />
    <ul class="sections">
      ${Object.entries(SECTIONS).map(
        ([slug, { title, about }]) => html`<li key=${slug}>
          <a href=${`/settings/${slug}`}>
            <span class="names"><b>${title}</b><span class="quiet">${about}</span></span>
            <${Icon} name="next" />
          </a>
        </li>`,
      )}
    </ul>
    <p>
      <button
        type="button"
        onClick=${() => signOut().catch((error) => say(`You are still signed in. ${error.message}`))}
      >
        Sign out
      </button>
    </p>
  </div>`;
}
