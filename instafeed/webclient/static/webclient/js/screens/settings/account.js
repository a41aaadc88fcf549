import { post } from "../../core/api.js";
import { html, useState } from "../../core/html.js";
import { instance } from "../../core/instance.js";
import { say, sayError } from "../../core/messages.js";
import { useMe } from "../../core/session.js";
import { useStore } from "../../core/store.js";
import { Field, FormError, SubmitButton, useForm } from "../../components/form.js";
import { CurrentPassword, NewPassword } from "../../components/password_fields.js";

export function AccountSettings() {
  return html`<${Address} /><${Password} />`;
}

function Address() {
  const sendsMail = useStore(instance)?.features.includes("mail") ?? true;
  const { email, email_verified: isVerified } = useMe();
  const { error, isSending, submit } = useForm(async (values, form) => {
    await post("/me/email", values);
    form.reset();
    say(`Open the link in the mail to ${values.email}. Until then your address stays as it is.`);
  });
  return html`<section>
    <h2>Mail address</h2>
    <p class="note">
      ${email ? html`<b>${email}</b> · ${isVerified ? "verified" : "not verified"}` : "Your account has no address."}
    </p>
    ${!sendsMail && html`<p>This site sends no mails, so the address cannot be changed here.</p>`}
    ${sendsMail && email && !isVerified && html`<${ResendButton} />`}
    ${sendsMail &&
    html`<form onSubmit=${submit}>
      <${Field} label="New address" name="email" type="email" required maxlength="254" autocomplete="email" error=${error} />
      <${CurrentPassword} error=${error} />
      <${FormError} error=${error} fields=${["email", "current_password"]} />
      <${SubmitButton} isSending=${isSending}>Change the address<//>
    </form>`}
  </section>`;
}

function ResendButton() {
  const [isSent, setIsSent] = useState(false);
  const resend = async () => {
    try {
      await post("/auth/email/resend");
      setIsSent(true);
    } catch (error) {
      sayError(error);
    }
  };
  return html`<p class="note" role="status">
    ${isSent
      ? "The mail is on its way. Open the link in it."
      : html`<button type="button" onClick=${resend}>Send the mail with the link again</button>`}
  </p>`;
}

function Password() {
  const { error, isSending, submit } = useForm(async (values, form) => {
    await post("/auth/password", values);
    form.reset();
    say("Your password is changed. All other sessions have ended.");
  });
  return html`<section>
    <h2>Password</h2>
    <form onSubmit=${submit}>
      <${CurrentPassword} error=${error} />
      <${NewPassword} error=${error} />
      <${FormError} error=${error} fields=${["current_password", "new_password"]} />
      <${SubmitButton} isSending=${isSending}>Change the password<//>
    </form>
  </section>`;
}