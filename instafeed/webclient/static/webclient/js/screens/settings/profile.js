import { patch } from "../../core/api.js";
import { html, useRef, useState } from "../../core/html.js";
import { instance } from "../../core/instance.js";
import { say, sayError } from "../../core/messages.js";
import { me, useMe } from "../../core/session.js";
import { useStore } from "../../core/store.js";
import { processed, upload } from "../../core/uploads.js";
import { Avatar } from "../../components/avatar.js";
import { Field, FormError, SubmitButton, useForm } from "../../components/form.js";
import { UsernameField } from "../../components/username_field.js";

const FIELDS = ["display_name", "bio", "website", "username"];

export function ProfileSettings() {
  return html`<${Picture} /><${Details} />`;
}

function Picture() {
  const profile = useMe();
  const input = useRef(null);
  const [state, setState] = useState(null);
  const change = async (describe) => {
    if (state) return;
    setState("One moment …");
    try {
      me.set(await patch("/me", { avatar: await describe() }));
    } catch (error) {
      sayError(error);
    } finally {
      setState(null);
    }
  };
  const choose = ({ target }) => {
    const [file] = target.files;
    target.value = ""; // choosing the same file again is a change too
    if (!file) return;
    change(async () => {
      const onProgress = (share) => setState(`Sending: ${Math.round(share * 100)} %`);
      const id = await upload(file, { onProgress });
      setState("Being processed");
      await processed(id);
      return id;
    });
  };
  return html`<section aria-labelledby="picture-heading">
    <h2 id="picture-heading">Picture</h2>
    <div class="person">
      <${Avatar} user=${profile} size="large" />
      <div class="buttons">
        <input
          ref=${input}
          class="hidden"
          type="file"
          accept="image/*,.heic,.heif,.avif"
          tabindex="-1"
          aria-label="Picture file"
          onChange=${choose}
        />
        <button type="button" aria-disabled=${Boolean(state)} onClick=${() => !state && input.current.click()}>
          ${profile.avatar_url ? "Change the picture" : "Choose a picture"}
        </button>
        ${profile.avatar_url &&
        html`<button type="button" aria-disabled=${Boolean(state)} onClick=${() => change(() => null)}>Remove it</button>`}
        <span class="quiet" role="status">${state}</span>
      </div>
    </div>
  </section>`;
}

function Details() {
  const profile = useMe();
  const limits = useStore(instance)?.limits;
  const { error, isSending, submit } = useForm(async (values) => {
    const changed = FIELDS.filter((name) => values[name] !== profile[name]);
    me.set(await patch("/me", Object.fromEntries(changed.map((name) => [name, values[name]]))));
    say("Your profile is saved.");
  });
  return html`<section aria-labelledby="about-heading">
    <h2 id="about-heading">About you</h2>
    <form onSubmit=${submit}>
      <${Field}
        label="Name"
        name="display_name"
        defaultValue=${profile.display_name}
        maxlength=${limits?.display_name}
        autocomplete="name"
        error=${error}
      />
      <${Field} label="Biography" name="bio" rows="4" defaultValue=${profile.bio} maxlength=${limits?.bio} error=${error} />
      <${Field}
        label="Website"
        name="website"
        type="url"
        defaultValue=${profile.website}
        maxlength="200"
        autocomplete="url"
        placeholder="https://"
        error=${error}
      />
      <${UsernameField}
        defaultValue=${profile.username}
        hint="At most two changes in 14 days. Your former name stays yours for 30 days, and links to it lead to you."
        error=${error}
      />
      <${FormError} error=${error} fields=${FIELDS} />
      <${SubmitButton} isSending=${isSending}>Save<//>
    </form>
  </section>`;
}
