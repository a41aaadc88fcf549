// What the user switches on and off: likes, saves, follows, settings.
//
// A switch shows the user's wish at once. Its calls are sent one at a time, so that none overtakes another. A wish that
// changes meanwhile is sent when the former is answered.

import { get, request } from "./api.js";
import { useLayoutEffect, useRef, useState } from "./html.js";
import { sayError } from "./messages.js";

const wishes = new Map(); // {key: true or false}, until the API has answered
const mounted = new Set(); // the switches on the page; one may be there twice

/**
 * Return [isOn, set]: the wish of the user, or what the API has. `set()` changes it, `set(true)` switches it on.
 *
 * `key` is the path that POST switches on and DELETE off, unless there is `send(isOn)`. `onAnswer(answer)` must make
 * `isOn` what the API has answered. After a failure it gets the answer of GET at `source`, if there is one.
 */
export function useSwitch(key, isOn, { onAnswer, source, send = (wish) => callPath(key, wish) }) {
  const [, renderAgain] = useState(0);
  const own = useRef({}).current;
  Object.assign(own, { key, isOn, onAnswer, source, send, render: () => renderAgain((count) => count + 1) });
  useLayoutEffect(() => {
    mounted.add(own);
    return () => mounted.delete(own);
  }, []);
  const current = () => wishes.get(key) ?? own.isOn;
  const set = (wish = !current()) => {
    if (wish === current()) return;
    const isSending = wishes.has(key);
    wishes.set(key, wish);
    render(key);
    if (!isSending) sendWishes(own);
  };
  return [current(), set];
}

/** A switch of likes, with their number: [liked, count, set]. `item` is the post or comment. */
export function useLike(path, item, options) {
  const [liked, set] = useSwitch(path, item.liked, options);
  return [liked, item.like_count + Number(liked) - Number(item.liked), set];
}

async function sendWishes(sender) {
  const { key, source, send, onAnswer } = sender;
  const tell = (answer) => {
    switchesOf(key).forEach((each) => each.onAnswer(answer));
    if (!mounted.has(sender)) onAnswer(answer); // it has left the page, but lists keep what it changes
  };
  let wish;
  let failure;
  do {
    wish = wishes.get(key);
    failure = null;
    try {
      tell(await send(wish));
    } catch (error) {
      failure = error;
      // The API may have done it all the same.
      if (source && wishes.get(key) === wish) await get(source).then(tell).catch(console.warn);
    }
  } while (wishes.get(key) !== wish);
  wishes.delete(key);
  render(key);
  if (failure) sayError(failure);
}

const callPath = (path, isOn) => request(isOn ? "POST" : "DELETE", path, { repeatable: true });
const switchesOf = (key) => [...mounted].filter((each) => each.key === key);
const render = (key) => switchesOf(key).forEach((each) => each.render());
