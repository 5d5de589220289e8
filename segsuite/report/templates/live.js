"use strict";
(() => {
  // The server tells its page's version; another one than at first means that trials have gone on.
  const note = document.createElement("p");
  note.className = "name";
  note.textContent = "live";
  document.querySelector("header .name").after(note);
  const shown = document.body.dataset.version;
  const ask = async () => {
    try {
      const answer = await fetch("/version", { cache: "no-store" });
      if (!answer.ok) {
        note.textContent = `not live: ${await answer.text()}`;
        return;
      }
      const version = await answer.text();
      note.textContent = "live";
      // Not while somebody looks at an enlarged picture: the next question comes soon.
      if (version !== shown && !document.querySelector("dialog[open]")) location.reload();
    } catch {
      note.textContent = "the server has ended; this page stays as it is";
    }
  };
  ask();
  setInterval(ask, 3000);
})();
