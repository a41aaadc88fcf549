// What a page loads when it is opened, apart from lists.

import { useEffect, useState } from "./html.js";

/**
 * Call `load(signal)` at once and when `key` changes. Return {error, isLoading, retry}. `signal` aborts the calls when
 * the page is left.
 */
export function useLoading(load, key) {
  const [attempt, setAttempt] = useState(0);
  const [state, setState] = useState({ error: null, isLoading: true });
  useEffect(() => {
    const controller = new AbortController();
    const show = (error, isLoading) => controller.signal.aborted || setState({ error, isLoading });
    show(null, true);
    load(controller.signal).then(
      () => show(null, false),
      (error) => show(error, false),
    );
    return () => controller.abort();
  }, [key, attempt]);
  return { ...state, retry: () => setAttempt((count) => count + 1) };
}
