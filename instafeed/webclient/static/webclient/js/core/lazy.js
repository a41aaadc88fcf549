// Components of modules that are loaded when the first of them is rendered.

import { html, useEffect, useState } from "./html.js";

/** Return an object with a component for each name: `const { Settings } = lazy(load)`, where `load` imports the module. */
export function lazy(load) {
  let loaded = null;
  const componentFor = (name) =>
    function Lazy(props) {
      const [module, setModule] = useState(loaded);
      const [error, setError] = useState(null);
      useEffect(() => {
        if (!module) load().then((found) => setModule((loaded = found)), setError);
      }, []);
      // The site may have a new version, without the modules of this one.
      if (error)
        return html`<p class="list-error" role="alert">
          This page could not be loaded. Check your connection.${" "}
          <button type="button" class="link" onClick=${() => location.reload()}>Reload</button>
        </p>`;
      if (!module) return html`<p class="loading" role="status">Loading …</p>`;
      return html`<${module[name]} ...${props} />`;
    };
  const components = new Map();
  return new Proxy({}, { get: (_, name) => components.get(name) ?? components.set(name, componentFor(name)).get(name) });
}
