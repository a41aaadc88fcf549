// Create an account: the site's mode says who may, and what must be shown.

import { post } from "../core/api.js";
import { solveCaptcha } from "../core/captcha.js";
import { html, useRef, useState } from "../core/html.js";
import { instance, loadInstance } from "../core/instance.js";
import { useLoading } from "../core/loading.js";
import { navigate, useHashValue } from "../core/router.js";
import { keep } from "../core/session.js";
import { useStore } from "../core/store.js";
import { Field, FormError, SubmitButton, useFocusOnChange, useForm } from "../components/form.js";
import { Heading } from "../components/layout.js";
import { LoadError } from "../components/load_error.js";
import { NewPassword } from "../components/password_fields.js";
import { UsernameField } from "../components/username_field.js";

export function Register() {
  const site = useStore(instance);
  const [pendingName, setPendingName] = useState(null);
  const { error, retry } = useLoading(async () => site || loadInstance());
  let content = html`<p class="loading" role="status">Loading …</p>`;
  const outcome = useFocusOnChange(pendingName);
  if (pendingName) content = html`<div tabindex="-1" ref=${outcome}><${Pending} username=${pendingName} site=${site} /></div>`;
  else if (site?.registration === "closed") content = html`<p>This site accepts no new accounts.</p>`;
  else if (site) content = html`<${RegistrationForm} site=${site} onPending=${setPendingName} />`;
  else if (error) content = html`<${LoadError} error=${error} retry=${retry} />`;
  return html`<div class="narrow">
    <${Heading} title="Create an account" />
    ${content}
    ${!pendingName && html`<p>You have one already? <a href="/login">Sign in</a></p>`}
  </div>`;
}

function RegistrationForm({ site, onPending }) {
  const linkedInvite = useHashValue("invite");
  const solution = useRef(null);
  const startSolving = () => {
    if (site.captcha === "off" || solution.current) return;
    solution.current = solveCaptcha();
    solution.current.catch(() => (solution.current = null)); // the next attempt asks for a new challenge
  };
  const register = async (values) => {
    startSolving();
    const captcha = await solution.current;
    return post("/auth/register", { ...values, ...(captcha && { captcha }) });
  };
  const { error, isSending, submit } = useForm(async (values) => {
    let answer;
    try {
      answer = await register(values);
    } catch (problem) {
      if (problem.code !== "captcha_invalid") throw problem;
      solution.current = null; // it has expired while the form was open
      answer = await register(values);
    }
    if (answer.pending) return onPending(answer.user.username);
    await keep(answer);
    navigate("/", { replace: true });
  });
  const asksForInvite = site.registration === "invite" || site.registration === "approval" || linkedInvite;
  const fields = ["username", "email", "password", "birth_date", ...(asksForInvite ? ["invite"] : [])];
  return html`<form onSubmit=${submit} onInput=${startSolving}>
    ${site.registration === "approval" && html`<p class="note">A moderator approves new accounts, unless you have an invite.</p>`}
    ${site.registration === "invite" && html`<p class="note">You need an invite to create an account on this site.</p>`}
    <${UsernameField} showsRule hint="You can change it later." error=${error} />
    <${Field} label="Email address" name="email" type="email" required maxlength="254" autocomplete="email" error=${error} />
    <${NewPassword} label="Password" name="password" error=${error} />
    ${site.minimum_age > 0 &&
    html`<${Field}
      label="Date of birth"
      name="birth_date"
      type="date"
      required
      autocomplete="bday"
      hint=${`You must be ${site.minimum_age} or older. The date is checked and not stored.`}
      error=${error}
    />`}
    ${asksForInvite &&
    html`<${Field}
      label=${site.registration === "invite" ? "Invite" : "Invite (optional)"}
      name="invite"
      required=${site.registration === "invite"}
      maxlength="64"
      defaultValue=${linkedInvite}
      autocomplete="off"
      autocapitalize="none"
      spellcheck="false"
      error=${error}
    />`}
    <${FormError} error=${error} fields=${fields} />
    <${SubmitButton} isSending=${isSending}>Create the account<//>
  </form>`;
}

const Pending = ({ username, site }) => html`
  <p class="note">Thank you, ${username}. A moderator must approve your account before you can sign in.</p>
  ${site.features.includes("mail") && html`<p class="note">Open the link in the mail that you get now: it verifies your address.</p>`}
  <p><a href="/login">Sign in</a></p>
`;
