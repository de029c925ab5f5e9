// Copying: a command beside its button, a row's command, the address of a row. Where that is refused, text is selected.
"use strict";
{
  const said = document.body.appendChild(document.createElement("p"));
  said.className = "hidden";
  said.setAttribute("role", "status");

  function say(button, words) {
    button.dataset.idle ??= button.textContent;
    button.textContent = words;
    said.textContent = words;
    setTimeout(() => {
      button.textContent = button.dataset.idle;
      said.textContent = "";
    }, 2500);
  }

  // A browser may refuse the clipboard: then the text is shown, selected, to be copied by hand.
  function offer(button, text) {
    const box = document.createElement("textarea");
    box.className = "offer";
    box.readOnly = true;
    box.value = text;
    box.rows = text.split("\n").length;
    box.setAttribute("aria-label", "Copy this");
    button.after(box);
    box.focus();
    box.select();
    box.addEventListener("blur", () => box.remove(), { once: true });
  }

  async function copy(button, text) {
    try {
      await navigator.clipboard.writeText(text);
      say(button, "Copied");
    } catch {
      offer(button, text);
      say(button, "Press Ctrl+C");
    }
  }

  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", () => copy(button, button.parentElement.querySelector("code").textContent));
  }
  for (const button of document.querySelectorAll("button[data-command]")) {
    button.addEventListener("click", () => copy(button, button.dataset.command));
  }
  for (const link of document.querySelectorAll("a.anchor")) {
    link.addEventListener("click", () => copy(link, link.href));
  }
}
