// A new post: choose pictures, which are sent while the caption is written. The draft survives a reload.

import { post } from "../core/api.js";
import { html, useEffect, useRef, useState } from "../core/html.js";
import { randomId } from "../core/ids.js";
import { instance } from "../core/instance.js";
import { say } from "../core/messages.js";
import { setPost } from "../core/posts.js";
import { navigate } from "../core/router.js";
import { me } from "../core/session.js";
import { read, write } from "../core/storage.js";
import { useStore } from "../core/store.js";
import { processed, removeUpload, setAltText, upload } from "../core/uploads.js";
import { Field, FormError, SubmitButton, useForm } from "../components/form.js";
import { IconButton } from "../components/icons.js";
import { Heading } from "../components/layout.js";

const DRAFT = "draft";
const DEFAULT_LIMITS = { caption: 2_200, media: 10, media_bytes: 20 * 2 ** 20, alt_text: 1_000 };

/**
 * A chosen picture: {key, id, preview, name, altText, isDescribed, state: "sending" | "processing" | "ready" | "failed",
 * share, error}. `isDescribed`: a text was sent to the site.
 */
export function NewPost() {
  const site = useStore(instance);
  const limits = site?.limits ?? DEFAULT_LIMITS;
  const [draft] = useState(readDraft);
  const [caption, setCaption] = useState(draft.caption);
  const [pictures, setPictures] = useState(() => draft.media.map(fromDraft));
  const [problem, setProblem] = useState("");
  const controllers = useRef(new Map());
  const attempt = useRef(null);

  const forget = (key) => setPictures((all) => all.filter((each) => each.key !== key));
  const change = (key, changes) =>
    setPictures((all) => all.map((each) => (each.key === key ? { ...each, ...changes } : each)));

  useEffect(() => {
    for (const { key, id } of pictures) waitUntilProcessed(key, id);
    return () => controllers.current.forEach((controller) => controller.abort());
  }, []);

  useEffect(() => {
    const kept = pictures.filter(({ id, state }) => id && state !== "failed");
    const media = kept.map(({ id, altText, isDescribed }) => ({ id, altText, isDescribed }));
    writeDraft({ caption, media });
  }, [caption, pictures]);

  const waitUntilProcessed = async (key, id) => {
    const { signal } = controllerOf(key);
    try {
      const media = await processed(id, signal);
      change(key, { state: "ready", preview: media.variants["320"]?.url ?? media.url, share: 1 });
    } catch (error) {
      if (error.status === 404) forget(key); // the picture of an old draft
      else if (error.name !== "AbortError") change(key, { state: "failed", error: error.message });
    }
  };

  const controllerOf = (key) => {
    if (!controllers.current.has(key)) controllers.current.set(key, new AbortController());
    return controllers.current.get(key);
  };

  const send = async (file) => {
    const key = randomId();
    const picture = { key, preview: URL.createObjectURL(file), name: file.name, altText: "", state: "sending", share: 0 };
    setPictures((all) => [...all, picture]);
    try {
      const id = await upload(file, { signal: controllerOf(key).signal, onProgress: (share) => change(key, { share }) });
      change(key, { id, state: "processing", share: 1 });
      await waitUntilProcessed(key, id);
    } catch (error) {
      if (error.name !== "AbortError") change(key, { state: "failed", error: error.message });
    }
  };

  const choose = (files) => {
    const room = limits.media - pictures.length;
    const tooLarge = files.filter(({ size }) => size > limits.media_bytes);
    const chosen = files.filter((file) => !tooLarge.includes(file)).slice(0, room);
    const problems = [
      tooLarge.length && `${tooLarge.map(({ name }) => name).join(", ")}: larger than ${Math.floor(limits.media_bytes / 2 ** 20)} MB.`,
      files.length - tooLarge.length > room && `A post has at most ${limits.media} pictures.`,
    ];
    setProblem(problems.filter(Boolean).join(" "));
    chosen.forEach(send);
  };

  const remove = ({ key, id }) => {
    controllerOf(key).abort();
    forget(key);
    if (id) removeUpload(id);
  };

  const move = (index, step) =>
    setPictures((all) => {
      const moved = [...all];
      moved.splice(index + step, 0, ...moved.splice(index, 1));
      return moved;
    });

  const isUploading = pictures.some(({ state }) => state === "sending");
  const usable = pictures.filter(({ state }) => state !== "failed");
  const { error, isSending, submit } = useForm(async () => {
    if (isUploading) return;
    const body = { caption, media: usable.map(({ id }) => id) };
    const content = JSON.stringify(body);
    // The same key when the same post is sent again, so that it is created once.
    if (attempt.current?.content !== content) attempt.current = { content, key: randomId() };
    const described = usable.filter(({ altText, isDescribed }) => altText || isDescribed);
    described.forEach(({ key }) => change(key, { isDescribed: true }));
    await Promise.all(described.map(({ id, altText }) => setAltText(id, altText)));
    const created = await post("/posts", body, { idempotencyKey: attempt.current.key });
    setPost(created);
    me.set((profile) => ({ ...profile, post_count: profile.post_count + 1 }));
    write(DRAFT, null);
    navigate(`/p/${created.id}`, { replace: true });
    say("Your post is published.");
  });

  return html`<div class="column">
    <${Heading} title="New post" />
    <form onSubmit=${submit}>
      ${pictures.length < limits.media && html`<${Chooser} onChoose=${choose} />`}
      ${problem && html`<p class="field-error" role="alert">${problem}</p>`}
      <ul class="chosen" aria-label="Chosen pictures">
        ${pictures.map(
          (picture, index) => html`<li key=${picture.key}>
            <${Chosen}
              picture=${picture}
              number=${index + 1}
              maxAltText=${limits.alt_text}
              onAltText=${(altText) => change(picture.key, { altText })}
              onRemove=${() => remove(picture)}
              onUp=${index > 0 && (() => move(index, -1))}
              onDown=${index < pictures.length - 1 && (() => move(index, 1))}
            />
          </li>`,
        )}
      </ul>
      <${Field}
        label="Caption"
        name="caption"
        rows="5"
        maxlength=${limits.caption}
        value=${caption}
        onInput=${({ target }) => setCaption(target.value)}
        hint="Hashtags and @names become links."
        error=${error}
      />
      <${FormError} error=${error} fields=${["caption"]} />
      <${SubmitButton} isSending=${isSending} disabled=${isUploading || (!usable.length && !caption.trim())}>
        ${isUploading ? "Sending the pictures …" : "Publish"}
      <//>
    </form>
  </div>`;
}

function Chooser({ onChoose }) {
  return html`<label
    class="drop"
    onDragOver=${(event) => event.preventDefault()}
    onDrop=${(event) => {
      event.preventDefault();
      onChoose([...event.dataTransfer.files]);
    }}
  >
    <span>Choose pictures, or drop them here</span>
    <input
      class="hidden"
      type="file"
      accept="image/*,.heic,.heif,.avif"
      multiple
      onChange=${({ target }) => {
        onChoose([...target.files]);
        target.value = "";
      }}
    />
  </label>`;
}

function Chosen({ picture, number, maxAltText, onAltText, onRemove, onUp, onDown }) {
  const { state, share, error } = picture;
  return html`<img src=${picture.preview} alt="" />
    <div>
      <div class="row">
        <span role="status">
          ${{ sending: "Sending", processing: "Being processed", ready: "Ready", failed: error }[state]}
        </span>
        <span>
          ${onUp && html`<${IconButton} name="up" label=${`Move picture ${number} up`} onClick=${onUp} />`}
          ${onDown && html`<${IconButton} name="down" label=${`Move picture ${number} down`} onClick=${onDown} />`}
          <${IconButton} name="close" label=${`Remove picture ${number}`} onClick=${onRemove} />
        </span>
      </div>
      ${state === "sending" && html`<progress value=${share} max="1" aria-label=${`Picture ${number}`}></progress>`}
      ${state !== "failed" &&
      html`<${Field}
        label=${`What does picture ${number} show?`}
        name=${`alt_text_${number}`}
        maxlength=${maxAltText}
        hint="For people who cannot see it."
        value=${picture.altText}
        onInput=${({ target }) => onAltText(target.value)}
      />`}
    </div>`;
}

const fromDraft = (kept) => ({ ...kept, key: kept.id, name: "", state: "processing", share: 1 });

function readDraft() {
  const { caption = "", media = [] } = read(DRAFT) ?? {};
  return { caption, media };
}

const writeDraft = (draft) => write(DRAFT, draft.caption || draft.media.length ? draft : null);
