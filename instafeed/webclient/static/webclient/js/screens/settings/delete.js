import { del } from "../../core/api.js";
import { html } from "../../core/html.js";
import { sayLater } from "../../core/messages.js";
import { leave } from "../../core/session.js";
import { FormError, SubmitButton, useForm } from "../../components/form.js";
import { CurrentPassword } from "../../components/password_fields.js";

export function DeleteSettings() {
  const { error, isSending, submit } = useForm(async (values) => {
    await del("/me", values);
    sayLater("Your account is deleted.");
    await leave();
  });
  return html`<section>
    <p class="note">
      Your profile, posts, pictures, comments, likes and follows disappear at once for everyone. They are then erased, and
      no one can bring them back. You may want to <a href="/settings/data">download your data</a> first.
    </p>
    <form onSubmit=${submit}>
      <${CurrentPassword} label="Password" name="password" error=${error} />
      <${FormError} error=${error} fields=${["password"]} />
      <${SubmitButton} isSending=${isSending} class="danger">Delete my account<//>
    </form>
  </section>`;
}
