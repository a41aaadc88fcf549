// Sign in, with a second step for accounts that have a second factor.

import { html, useState } from "../core/html.js";
import { instance } from "../core/instance.js";
import { navigate } from "../core/router.js";
import { signIn } from "../core/session.js";
import { useStore } from "../core/store.js";
import { Field, FormError, SubmitButton, useForm } from "../components/form.js";
import { Heading } from "../components/layout.js";

/** `next` is where to go; the own feed by default. */
export function SignIn({ next = "/" }) {
  const site = useStore(instance);
  const [needsCode, setNeedsCode] = useState(false);
  const { error, isSending, submit } = useForm(async ({ username, password, otp }) => {
    try {
      await signIn(username.trim(), password, otp);
    } catch (problem) {
      if (problem.code === "otp_required") return setNeedsCode(true);
      throw problem;
    }
    navigate(next === "/login" ? "/" : next, { replace: true });
  });
  return html`<div class="narrow">
    <${Heading} title="Sign in" />
    <form onSubmit=${submit}>
      <${Field} label="Username or email address" name="username" required autocomplete="username" autocapitalize="none" error=${error} />
      <${Field} label="Password" name="password" type="password" required autocomplete="current-password" error=${error} />
      ${needsCode &&
      html`<${Field}
        label="Code"
        name="otp"
        required
        autofocus
        inputmode="numeric"
        autocomplete="one-time-code"
        hint="From your authenticator app, or a recovery code."
        error=${error}
      />`}
      <${FormError} error=${error} fields=${["username", "password", "otp"]} />
      <${SubmitButton} isSending=${isSending}>Sign in<//>
    </form>
    ${site?.features.includes("mail") && html`<p><a href="/forgot-password">Forgot your password?</a></p>`}
    ${site && site.registration !== "closed" && html`<p>New here? <a href="/register">Create an account</a></p>`}
  </div>`;
}
