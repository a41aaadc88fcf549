import { post } from "../core/api.js";
import { html, useId } from "../core/html.js";
import { say } from "../core/messages.js";
import { Dialog } from "./dialog.js";
import { Field, FormError, SubmitButton, useForm } from "./form.js";

const REASONS = {
  spam: "It is spam",
  nudity: "Nudity",
  violence: "Violence",
  harassment: "Harassment",
  hate: "Hate",
  self_harm: "Self-harm",
  child_safety: "A child is in danger",
  misinformation: "It is false",
  copyright: "It violates my copyright",
  other: "Something else",
};

/** Report a post, a comment or an account to the moderators. */
export function ReportDialog({ targetType, targetId, onClose }) {
  const legend = useId();
  const { error, isSending, submit } = useForm(async ({ reason, note }) => {
    await post("/reports", { target_type: targetType, target_id: targetId, reason, note });
    say("Thank you. A moderator will look at it.");
    onClose();
  });
  return html`<${Dialog} title="Report" onClose=${onClose}>
    <form onSubmit=${submit}>
      <fieldset aria-labelledby=${legend}>
        <legend id=${legend}>What is wrong?</legend>
        ${Object.entries(REASONS).map(
          ([value, label]) => html`<label class="choice" key=${value}>
            <input type="radio" name="reason" value=${value} required /> ${label}
          </label>`,
        )}
      </fieldset>
      <${Field} label="Note for the moderators (optional)" name="note" rows="3" maxlength="1000" error=${error} />
      <${FormError} error=${error} fields=${["note"]} />
      <${SubmitButton} isSending=${isSending}>Report<//>
    </form>
  <//>`;
}
