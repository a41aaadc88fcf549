import { get, post } from "../../core/api.js";
import { html, useEffect, useState } from "../../core/html.js";
import { useLoading } from "../../core/loading.js";
import { sayError } from "../../core/messages.js";
import { me } from "../../core/session.js";
import { formatBytes, Time } from "../../core/text.js";
import { LoadError } from "../../components/load_error.js";

const POLL_INTERVAL = 2_000; // milliseconds

export function DataSettings() {
  return html`<${Exports} /><${JsonDownload} />`;
}

function Exports() {
  const [exports, setExports] = useState(null);
  const isRunning = exports?.some(({ status }) => !["ready", "failed"].includes(status));
  const load = async (signal) => {
    const { results } = await get("/me/exports", { signal });
    setExports(results);
  };
  const { error, retry } = useLoading(load);
  const request = async () => {
    if (!exports || isRunning) return;
    try {
      await post("/me/exports");
      await load();
    } catch (error) {
      sayError(error);
    }
  };
  useEffect(() => {
    if (!isRunning) return undefined;
    const timer = setInterval(() => load().catch(sayError), POLL_INTERVAL);
    return () => clearInterval(timer);
  }, [isRunning]);
  return html`<section>
    <h2>Everything, with your pictures</h2>
    <p class="note">A ZIP file. It is made in the background, which can take some minutes; you may leave this page.</p>
    <button type="button" class="primary" aria-disabled=${!exports || isRunning} onClick=${request}>Make a ZIP file</button>
    ${error && html`<${LoadError} error=${error} retry=${retry} />`}
    <ul class="exports" aria-label="ZIP files">
      ${exports?.map((each) => html`<li key=${each.id}><${Export} content=${each} /></li>`)}
    </ul>
  </section>`;
}

function Export({ content: { status, progress, url, size, error, created_at: start, expires_at: end } }) {
  if (status === "ready")
    return html`<div class="row">
      <span>Made <${Time} at=${start} />, ${formatBytes(size)}<br /><span class="quiet">until ${new Date(end).toLocaleDateString()}</span></span>
      <a class="button" href=${url} download>Download</a>
    </div>`;
  if (status === "failed") return html`<p class="field-error">Requested <${Time} at=${start} />: ${error ?? "It failed."}</p>`;
  return html`<p role="status">Being made: ${progress} %</p>
    <progress value=${progress} max="100" aria-label="Progress"></progress>`;
}

function JsonDownload() {
  const [isBusy, setIsBusy] = useState(false);
  const download = async () => {
    if (isBusy) return;
    setIsBusy(true);
    try {
      save(await get("/me/export", { isLong: true }), `${me.get().username}.json`);
    } catch (error) {
      sayError(error);
    } finally {
      setIsBusy(false);
    }
  };
  return html`<section>
    <h2>Your data without the pictures</h2>
    <p class="note">A JSON file: profile, posts, comments, likes, follows, sessions and all else.</p>
    <button type="button" aria-disabled=${isBusy} onClick=${download}>Download as JSON</button>
  </section>`;
}

/** Let the browser save a value as a file. A link to the API could not send the access token. */
function save(value, name) {
  const url = URL.createObjectURL(new Blob([JSON.stringify(value, null, 2)], { type: "application/json" }));
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
