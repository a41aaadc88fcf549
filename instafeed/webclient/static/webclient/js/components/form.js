// Forms that send to the API and show its errors beside the fields.

import { html, useEffect, useId, useRef, useState } from "../core/html.js";

/**
 * Return {error, isSending, submit}. `submit` is the form's onSubmit; `send(values)` gets the fields by name and may
 * reject with ApiError. The first field with an error gets the focus.
 */
export function useForm(send) {
  const [error, setError] = useState(null);
  const [isSending, setIsSending] = useState(false);
  const busy = useRef(false);
  const submit = async (event) => {
    event.preventDefault();
    if (busy.current) return;
    busy.current = true;
    const form = event.currentTarget;
    setIsSending(true);
    setError(null);
    try {
      await send(Object.fromEntries(new FormData(form)), form);
    } catch (problem) {
      if (!problem.errors) throw problem;
      setError(problem);
      const names = problem.errors.map(({ attr }) => attr);
      const field = [...form.elements].find(({ name }) => name && names.includes(name));
      setTimeout(() => (field ?? form.querySelector(".form-error"))?.focus());
    } finally {
      busy.current = false;
      setIsSending(false);
    }
  };
  return { error, isSending, submit };
}

/** A labelled input, or a textarea with `rows`. */
export function Field({ label, name, error, hint, rows, ...attributes }) {
  const id = useId();
  const problem = error?.of(name);
  const described = classesOf(problem && `${id}-error`, hint && `${id}-hint`);
  const shared = { id, name, "aria-invalid": problem ? "true" : undefined, "aria-describedby": described, ...attributes };
  return html`<div class="field">
    <label for=${id}>${label}</label>
    ${rows ? html`<textarea rows=${rows} ...${shared}></textarea>` : html`<input ...${shared} />`}
    ${hint && html`<small id=${`${id}-hint`}>${hint}</small>`}
    ${problem && html`<p class="field-error" id=${`${id}-error`}>${problem}</p>`}
  </div>`;
}

/** The errors that belong to none of the fields. */
export function FormError({ error, fields = [] }) {
  if (!error || error.errors.some(({ attr }) => fields.includes(attr))) return null;
  return html`<p class="form-error" role="alert" tabindex="-1">${error.message}</p>`;
}

export function SubmitButton({ isSending, children, ...attributes }) {
  return html`<button class="primary" type="submit" aria-disabled=${isSending} ...${attributes}>
    ${isSending ? "One moment …" : children}
  </button>`;
}

/** Return a ref for an element with tabindex -1. It gets the focus when `value` changes: what replaces a sent form. */
export function useFocusOnChange(value) {
  const element = useRef(null);
  const previous = useRef(value);
  useEffect(() => {
    if (previous.current !== value) element.current.focus();
    previous.current = value;
  }, [value]);
  return element;
}

const classesOf = (...names) => names.filter(Boolean).join(" ") || undefined;
