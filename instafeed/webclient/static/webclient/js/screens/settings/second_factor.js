// Turn the second factor on (password → QR code → code → recovery codes) and off.

import { del, post } from "../../core/api.js";
import { html, useEffect, useState } from "../../core/html.js";
import { say, sayError } from "../../core/messages.js";
import { me, useMe } from "../../core/session.js";
import { Field, FormError, SubmitButton, useFocusOnChange, useForm } from "../../components/form.js";
import { CurrentPassword } from "../../components/password_fields.js";

const QUIET_ZONE = 4; // modules around a QR code, as its standard demands

export function SecondFactorSettings() {
  const { totp_enabled: isOn } = useMe();
  const [secret, setSecret] = useState(null); // {secret, otpauth_url}
  const [codes, setCodes] = useState(null);
  const confirm = (recoveryCodes) => {
    setSecret(null);
    setCodes(recoveryCodes);
    me.set((profile) => ({ ...profile, totp_enabled: true }));
  };
  let step = html`<${Begin} onBegun=${setSecret} />`;
  if (codes) step = html`<${RecoveryCodes} codes=${codes} onDone=${() => setCodes(null)} />`;
  else if (isOn) step = html`<${TurnOff} />`;
  else if (secret) step = html`<${Confirm} secret=${secret} onConfirmed=${confirm} />`;
  const section = useFocusOnChange(step.type);
  return html`<section tabindex="-1" ref=${section}>${step}</section>`;
}

function Begin({ onBegun }) {
  const { error, isSending, submit } = useForm(async (values) => onBegun(await post("/me/totp", values)));
  return html`<p class="note">
      With a second factor, signing in needs a code of an authenticator app in addition to the password. A stolen password
      alone is of no use then.
    </p>
    <form onSubmit=${submit}>
      <${CurrentPassword} error=${error} />
      <${FormError} error=${error} fields=${["current_password"]} />
      <${SubmitButton} isSending=${isSending}>Turn it on<//>
    </form>`;
}

function Confirm({ secret: { secret, otpauth_url: url }, onConfirmed }) {
  const { error, isSending, submit } = useForm(async ({ code }) => {
    const { recovery_codes: codes } = await post("/me/totp/confirm", { code: code.replace(/\s/g, "") });
    onConfirmed(codes);
  });
  return html`<p class="note">Scan this code with an authenticator app.</p>
    <${QrCode} text=${url} label="QR code for the authenticator app" />
    <p class="note">
      Or <a href=${url}>open it in an app on this device</a>, or enter this key:
      <code class="secret">${secret.replace(/(.{4})(?=.)/g, "$1 ")}</code>
    </p>
    <form onSubmit=${submit}>
      <${Code} hint="The six digits that the app shows now." inputmode="numeric" error=${error} />
      <${FormError} error=${error} fields=${["code"]} />
      <${SubmitButton} isSending=${isSending}>Confirm<//>
    </form>`;
}

function RecoveryCodes({ codes, onDone }) {
  const copy = async () => {
    await navigator.clipboard.writeText(codes.join("\n")).then(() => say("The codes are copied."), sayError);
  };
  return html`<h2>Your recovery codes</h2>
    <p class="note">
      The second factor is on. Keep these codes in a safe place: each replaces a code of the app once, for example when you
      have lost your phone. <strong>They are shown only now.</strong>
    </p>
    <ul class="codes">
      ${codes.map((code) => html`<li key=${code}>${code}</li>`)}
    </ul>
    <div class="buttons">
      ${navigator.clipboard && html`<button type="button" onClick=${copy}>Copy the codes</button>`}
      <button type="button" class="primary" onClick=${onDone}>I have kept them</button>
    </div>`;
}

function TurnOff() {
  const { error, isSending, submit } = useForm(async (values) => {
    await del("/me/totp", values);
    me.set((profile) => ({ ...profile, totp_enabled: false }));
    say("The second factor is off.");
  });
  return html`<p class="note">The second factor is on: signing in needs a code.</p>
    <form onSubmit=${submit}>
      <${CurrentPassword} error=${error} />
      <${Code} hint="From your authenticator app, or a recovery code." error=${error} />
      <${FormError} error=${error} fields=${["current_password", "code"]} />
      <${SubmitButton} isSending=${isSending} class="danger">Turn it off<//>
    </form>`;
}

const Code = (attributes) =>
  html`<${Field} label="Code" name="code" required maxlength="64" autocomplete="one-time-code" ...${attributes} />`;

/** A QR code as SVG. The module that computes it is loaded for this only. */
function QrCode({ text, label }) {
  const [code, setCode] = useState(null);
  useEffect(() => {
    import("../../../vendor/qrcode.js")
      .then(({ default: qrcode }) => {
        const computed = qrcode(0, "M"); // 0: the smallest that the text fits in
        computed.addData(text);
        computed.make();
        setCode(computed);
      })
      .catch(sayError);
  }, [text]);
  if (!code) return html`<p class="qr loading" role="status">Loading …</p>`;
  const size = code.getModuleCount();
  const positions = Array.from({ length: size }, (_, index) => index);
  const path = positions.flatMap((row) => positions.filter((column) => code.isDark(row, column)).map((column) => `M${column} ${row}h1v1h-1z`));
  const box = [-QUIET_ZONE, -QUIET_ZONE, size + 2 * QUIET_ZONE, size + 2 * QUIET_ZONE].join(" ");
  return html`<svg class="qr" viewBox=${box} role="img" aria-label=${label}><path d=${path.join("")} /></svg>`;
}
