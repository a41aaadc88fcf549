// Lists that load page by page while the user scrolls.

import { get } from "./api.js";
import { useCallback, useEffect, useRef, useState } from "./html.js";
import { useLocation } from "./router.js";

const kept = new Map(); // {key: list}: going back shows the list as it was
const MAX_KEPT = 10;
const idOf = (item) => item.id ?? item;
const EMPTY = { items: [], next: undefined, error: null, isLoading: false };

/** Load all lists again when they are shown next: what belongs in them has changed. */
export const forgetLists = () => kept.clear();

/** What the user has added to the end of a list, such as a comment, comes again with the page that it is in. */
function append(items, loaded) {
  const ids = new Set(loaded.map(idOf));
  return [...items.filter((item) => !ids.has(idOf(item))), ...loaded];
}

/**
 * Load the list at `path` and return {items, isEnd, isLoading, error, loadMore, reload, change}.
 *
 * `onLoad(results)` gets each page's results and returns what the list holds. `change(function)` replaces the items.
 */
export function usePages(path, onLoad = (results) => results) {
  const { key } = useLocation();
  const listKey = `${key} ${path}`;
  const [list, setList] = useState(() => kept.get(listKey) ?? EMPTY);
  const current = useRef({ listKey, list });
  const calls = useRef(0);

  const update = useCallback((change) => {
    const next = { ...current.current.list, ...change };
    current.current.list = next;
    kept.delete(current.current.listKey);
    kept.set(current.current.listKey, next);
    if (kept.size > MAX_KEPT) kept.delete(kept.keys().next().value);
    setList(next);
  }, []);

  const load = useCallback(
    async (fromStart) => {
      const { list: before } = current.current;
      if (!fromStart && (before.isLoading || before.next === null)) return;
      const call = ++calls.current;
      update({ isLoading: true, error: null });
      try {
        const answer = await get(fromStart || before.next === undefined ? path : before.next);
        if (call !== calls.current) return;
        const items = onLoad(answer.results);
        update({ items: fromStart ? items : append(current.current.list.items, items), next: answer.next, isLoading: false });
      } catch (error) {
        if (call === calls.current) update({ error, isLoading: false });
      }
    },
    [path],
  );

  useEffect(() => {
    const stored = kept.get(listKey);
    current.current = { listKey, list: stored ? { ...stored, isLoading: false } : EMPTY };
    setList(current.current.list);
    if (!stored) load(true);
    return () => {
      calls.current++; // an answer that is still on its way belongs to the former list
    };
  }, [listKey]);

  return {
    ...list,
    isEnd: list.next === null,
    loadMore: useCallback(() => load(false), [load]),
    reload: useCallback(() => load(true), [load]),
    change: useCallback((change) => update({ items: change(current.current.list.items) }), [update]),
  };
}
