// Forgotten passwords, and the pages that the links in mails open.

import { get, post } from "../core/api.js";
import { html, useEffect, useState } from "../core/html.js";
import { say } from "../core/messages.js";
import { navigate, useHashValue } from "../core/router.js";
import { me, useMe } from "../core/session.js";
import { Field, FormError, SubmitButton, useFocusOnChange, useForm } from "../components/form.js";
import { Heading } from "../components/layout.js";
import { NewPassword } from "../components/password_fields.js";

export function ForgotPassword() {
  const [address, setAddress] = useState(null);
  const { error, isSending, submit } = useForm(async ({ email }) => {
    await post("/auth/password/reset", { email });
    setAddress(email);
  });
  const outcome = useFocusOnChange(address);
  return html`<div class="narrow">
    <${Heading} title="Forgot your password?" />
    ${address
      ? html`<p class="note" tabindex="-1" ref=${outcome}>
          If the address belongs to an account that has verified it, we have sent a mail to ${address}. The link in it
          works for an hour.
        </p>`
      : html`<form onSubmit=${submit}>
          <p class="note">Enter the address of your account. You get a mail with a link to set a new password.</p>
          <${Field} label="Email address" name="email" type="email" required autocomplete="email" error=${error} />
          <${FormError} error=${error} fields=${["email"]} />
          <${SubmitButton} isSending=${isSending}>Send the mail<//>
        </form>`}
    <p><a href="/login">Sign in</a></p>
  </div>`;
}

export function ResetPassword() {
  const token = useToken();
  const { error, isSending, submit } = useForm(async ({ new_password }) => {
    await post("/auth/password/reset/confirm", { token, new_password });
    say("Your new password is set. Sign in with it.");
    navigate("/login", { replace: true });
  });
  return html`<div class="narrow">
    <${Heading} title="Set a new password" />
    ${token
      ? html`<form onSubmit=${submit}>
          <p class="note">When it is set, all your sessions end.</p>
          <${NewPassword} error=${error} />
          <${FormError} error=${error} fields=${["new_password"]} />
          <${SubmitButton} isSending=${isSending}>Set the password<//>
        </form>`
      : html`<p>This page opens with the link in the mail.</p>`}
    ${(!token || error) && html`<p><a href="/forgot-password">Ask for a new mail</a></p>`}
  </div>`;
}

export function VerifyEmail() {
  const token = useToken();
  const profile = useMe();
  const [state, setState] = useState("One moment …");
  useEffect(() => {
    if (!token) return setState("This page opens with the link in the mail.");
    post("/auth/email/verify", { token })
      .then(async () => {
        setState("Your address is verified. Thank you.");
        if (me.get()) me.set(await get("/me"));
      })
      .catch((error) => setState(error.message));
  }, [token]);
  return html`<div class="narrow">
    <${Heading} title="Verify your address" />
    <p role="status">${state}</p>
    <p>${profile ? html`<a href="/">Home</a>` : html`<a href="/login">Sign in</a>`}</p>
  </div>`;
}

/** Return the token of the link, and remove it from the address bar and the history. */
function useToken() {
  const token = useHashValue("token");
  useEffect(() => {
    if (token) history.replaceState(history.state, "", location.pathname);
  }, [token]);
  return token;
}
