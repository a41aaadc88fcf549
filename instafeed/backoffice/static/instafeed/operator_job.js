// Reload the part of the page that shows the job every two seconds, until the job has ended.
"use strict";

const INTERVAL = 2000;

async function reload() {
  try {
    const response = await fetch(location.href, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const job = page.getElementById("job");
    if (response.ok && job) {
      document.getElementById("job").replaceWith(job);
      const log = job.querySelector(".job-log");
      log.scrollTop = log.scrollHeight;
    } else if (response.redirected || response.status < 500) {
      location.reload(); // the session has ended, for example
      return;
    }
  } catch {
    // The server restarts: try again.
  }
  schedule();
}

function schedule() {
  if ("ended" in document.getElementById("job").dataset) {
    document.getElementById("cancel-job")?.remove();
  } else {
    setTimeout(reload, INTERVAL);
  }
}

schedule();
