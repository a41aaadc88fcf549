// The moderators' pages: keys, forms that open ready to type, pictures with zoom, and renewal of the claim of a case.
// Without this script all links and forms work, and sensitive pictures stay blurred.

const RENEWAL_INTERVAL = 120_000; // milliseconds; a claim lasts five minutes
const KEYS_OFF = "moderation-keys-off"; // in localStorage

// --- Forms ----------------------------------------------------------------------------------------

// Move the focus to the first field of an action that has been opened.
function focusFirstField(action) {
  const fields = action.querySelectorAll("select, textarea, input:not([type=hidden], [type=checkbox])");
  const field = [...fields].find((each) => each.name === "policy") ?? fields[0];
  (field ?? action.querySelector("button")).focus();
}

// Send with "… and next" where the page offers it.
function send(form) {
  form.requestSubmit(form.querySelector("button[name=next]") ?? form.querySelector("button[type=submit]"));
}

function closeOpenAction() {
  const action = document.querySelector("details.admin-action[open]");
  if (action) {
    action.open = false;
    action.querySelector("summary").focus();
  }
  return Boolean(action);
}

// Show the policy's text, which the author may get, below the list of policies.
function showPolicyText(select) {
  const text = select.selectedOptions[0]?.dataset.text ?? "";
  const shown = select.closest(".action-field").querySelector(".policy-text");
  if (shown) {
    shown.textContent = text;
    shown.hidden = !text;
  }
}

function setUpForms() {
  for (const action of document.querySelectorAll("details.admin-action")) {
    action.addEventListener("toggle", () => action.open && focusFirstField(action));
  }
  for (const select of document.querySelectorAll("select[name=policy]")) {
    select.addEventListener("change", () => showPolicyText(select));
    showPolicyText(select);
  }
}

// --- Keys -----------------------------------------------------------------------------------------

function isTyping(target) {
  return target.isContentEditable || target.matches("textarea, select, input:not([type=checkbox])");
}

// Only what is on the page has a key: links, actions and the switch of the pictures.
function press(key) {
  if (key === "?") {
    document.getElementById("keys")?.showModal();
    return true;
  }
  if (key === "z") {
    document.querySelector(".zoomable")?.click();
    return true;
  }
  const element = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (!element) {
    return false;
  }
  const action = element.closest("details");
  if (action) {
    action.open = true;
    focusFirstField(action); // at once: what is typed next is for the field
  } else {
    element.click();
  }
  return true;
}

function onKey(event) {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    const form = event.target.closest("form") ?? document.querySelector("details.admin-action[open] form");
    if (form?.closest(".admin-action, .action-form, .detail-side") || form?.matches(".action-form")) {
      event.preventDefault();
      send(form);
    }
    return;
  }
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
    if (closeOpenAction()) {
      event.preventDefault();
    }
    return;
  }
  const dialog = document.querySelector("dialog[open]");
  if (dialog?.id === "zoom" && ["ArrowLeft", "ArrowRight"].includes(event.key)) {
    event.preventDefault();
    stepZoom(event.key === "ArrowLeft" ? -1 : 1);
    return;
  }
  const isOff = localStorage.getItem(KEYS_OFF) !== null;
  if (isOff || event.ctrlKey || event.metaKey || event.altKey || event.repeat || isTyping(event.target)) {
    return;
  }
  if ((!dialog || (dialog.id === "zoom" && event.key === "b")) && press(event.key)) {
    event.preventDefault();
  }
}

function setUpKeys() {
  document.addEventListener("keydown", onKey);
  const dialog = document.getElementById("keys");
  if (!dialog) {
    return;
  }
  for (const button of document.querySelectorAll(".open-keys")) {
    button.hidden = false;
    button.addEventListener("click", () => dialog.showModal());
  }
  const box = document.getElementById("keys-on");
  box.checked = localStorage.getItem(KEYS_OFF) === null;
  document.body.classList.toggle("keys-off", !box.checked);
  box.addEventListener("change", () => {
    if (box.checked) {
      localStorage.removeItem(KEYS_OFF);
    } else {
      localStorage.setItem(KEYS_OFF, "1");
    }
    document.body.classList.toggle("keys-off", !box.checked);
  });
}

// --- Pictures -------------------------------------------------------------------------------------

const zoom = document.getElementById("zoom");
const pictures = [...document.querySelectorAll(".zoomable")];
let zoomed = 0;

function showZoomed(index) {
  zoomed = (index + pictures.length) % pictures.length;
  const [image, small] = [zoom.querySelector("img"), pictures[zoomed].querySelector("img")];
  image.src = pictures[zoomed].href;
  image.alt = small.alt;
  zoom.querySelector(".zoom-position").textContent = `${zoomed + 1} of ${pictures.length}`;
}

function stepZoom(step) {
  showZoomed(zoomed + step);
}

function setUpPictures() {
  if (!zoom) {
    return;
  }
  pictures.forEach((link, index) =>
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) {
        return; // a new tab
      }
      event.preventDefault();
      showZoomed(index);
      zoom.showModal();
    }),
  );
  for (const button of zoom.querySelectorAll("[data-step]")) {
    button.hidden = pictures.length < 2;
    button.addEventListener("click", () => stepZoom(Number(button.dataset.step)));
  }
  zoom.querySelector("[data-close]").addEventListener("click", () => zoom.close());
  zoom.querySelector("[data-reveal]")?.addEventListener("click", () => document.getElementById("show-pictures").click());
}

// --- The claim of the case ------------------------------------------------------------------------

const side = document.querySelector("[data-claim-url]");
let renewedAt = Date.now();

function claimForm(more) {
  const form = new FormData();
  form.set("csrfmiddlewaretoken", document.querySelector("input[name=csrfmiddlewaretoken]").value);
  form.set("pk", side.dataset.case);
  for (const [name, value] of Object.entries(more)) {
    form.set(name, value);
  }
  return form;
}

async function renew() {
  renewedAt = Date.now();
  try {
    const response = await fetch(side.dataset.claimUrl, { method: "POST", body: claimForm({}), redirect: "error" });
    const { until } = await response.json();
    if (until) {
      side.dataset.claimedUntil = until;
    } else {
      delete side.dataset.claimedUntil; // a colleague has it now, or has closed it
    }
  } catch {
    // The server restarts or the session has ended. The claim is only a hint.
  }
}

function renewIfDue() {
  if (document.visibilityState === "visible" && Date.now() - renewedAt >= RENEWAL_INTERVAL) {
    renew();
  }
}

function release() {
  if (side.dataset.claimedUntil) {
    navigator.sendBeacon(side.dataset.claimUrl, claimForm({ release: side.dataset.claimedUntil }));
    delete side.dataset.claimedUntil;
  }
}

function setUpClaim() {
  if (!side?.dataset.claimedUntil) {
    return;
  }
  setInterval(renewIfDue, 10_000);
  document.addEventListener("visibilitychange", renewIfDue);
  addEventListener("pagehide", release);
  addEventListener("pageshow", (event) => event.persisted && renew());
}

setUpForms();
setUpKeys();
setUpPictures();
setUpClaim();
