// Reload the part of the page that shows the job every two seconds, until the job has ended.
"use strict";

const INTERVAL = 2000;

function findLog() {
  return document.querySelector(".job-log");
}

function showEndOfLog() {
  findLog().scrollTop = findLog().scrollHeight;
}

async function reload() {
  try {
    const response = await fetch(location.href, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const job = page.getElementById("job");
    if (response.ok && job) {
      replaceJob(job);
    } else if (response.redirected || response.status < 500) {
      location.reload(); // the session has ended, for example
      return;
    }
  } catch {
    // The server restarts: try again.
  }
  schedule();
}

// An operator who has scrolled up in the log stays there.
function replaceJob(job) {
  const { scrollTop, clientHeight, scrollHeight } = findLog();
  document.getElementById("job").replaceWith(job);
  if (scrollTop + clientHeight >= scrollHeight - 2) {
    showEndOfLog();
  } else {
    findLog().scrollTop = scrollTop;
  }
}

function schedule() {
  if ("ended" in document.getElementById("job").dataset) {
    document.getElementById("cancel-job")?.remove();
  } else {
    setTimeout(reload, INTERVAL);
  }
}

showEndOfLog();
schedule();
