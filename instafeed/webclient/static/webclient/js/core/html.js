// Preact and htm: components are functions that return html`…`. All other modules import both from here.

import { h } from "../../vendor/preact.js";
import htm from "../../vendor/htm.js";

export { createContext, render } from "../../vendor/preact.js";
export {
  useCallback,
  useContext,
  useEffect,
  useId,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from "../../vendor/hooks.js";

export const html = htm.bind(h);

/** Join the names that are not false: `classes("tab", isOpen && "open")`. */
export function classes(...names) {
  return names.filter(Boolean).join(" ");
}
