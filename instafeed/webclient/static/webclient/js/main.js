// Start the client.

import { html, render, useEffect } from "./core/html.js";
import { instance, loadInstance } from "./core/instance.js";
import { startLive } from "./core/live.js";
import { Messages, sayKept } from "./core/messages.js";
import { keepSubscription } from "./core/push.js";
import { navigate, startRouter, useLocation } from "./core/router.js";
import { me, resume, useMe } from "./core/session.js";
import { Layout } from "./components/layout.js";
import { findScreen, isClientPath } from "./routes.js";
import { SignIn } from "./screens/sign_in.js";
import { Welcome } from "./screens/welcome.js";

function App() {
  const me = useMe();
  const { path, query } = useLocation();
  const { screen: Screen, params, isPublic } = findScreen(path);
  useEffect(() => {
    if (me && ["/login", "/register"].includes(path)) navigate("/", { replace: true }); // to become another, sign out
  }, [me, path]);
  let content = null; // until it is known who is signed in
  if (me === null && path === "/") content = html`<${Welcome} />`;
  else if (me === null && !isPublic) content = html`<${SignIn} next=${path} />`;
  else if (me !== undefined) content = html`<${Screen} key=${path} query=${query} ...${params} />`;
  return html`<${Layout}>${content}<//><${Messages} />`;
}

startRouter(isClientPath);
render(html`<${App} />`, document.getElementById("app"));
await Promise.all([resume(), loadInstance().catch(() => instance.set(null))]);
startLive();
sayKept();
if ("serviceWorker" in navigator) {
  navigator.serviceWorker.register("/service-worker.js").catch(console.warn);
  navigator.serviceWorker.addEventListener("message", ({ data }) => data.open && navigate(data.open));
}
const keep = (profile) => profile && keepSubscription(profile.id);
keep(me.get());
me.subscribe(keep);
