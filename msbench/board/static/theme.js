// Light or dark: as the system says until the reader chooses, which is remembered. Runs before the first paint.
// It also says when the page is ready, and when it is whole: rows far down a long board are laid out after the first paint.
"use strict";
{
  const KEY = "msbench-theme";
  const sheet = document.getElementById("dark");
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try {
    chosen = localStorage.getItem(KEY);
  } catch {
    chosen = null;
  }

  function apply() {
    const theme = ["light", "dark"].includes(chosen) ? chosen : system.matches ? "dark" : "light";
    sheet.media = theme === "dark" ? "screen" : "not all";
    document.documentElement.dataset.theme = theme;
    document.getElementById("theme")?.setAttribute("aria-pressed", String(theme === "dark"));
    document.dispatchEvent(new Event("themechange"));
  }

  function turn() {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem(KEY, chosen);
    } catch (error) {
      console.info("The theme is not remembered: " + error.message);
    }
    apply();
  }

  function complete() {
    document.documentElement.dataset.whole = "true";
  }

  apply();
  system.addEventListener("change", apply);
  addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", turn);
    apply();
    document.documentElement.dataset.ready = "true";
    if (location.hash) complete();
    else requestAnimationFrame(() => setTimeout(complete));
  });
  addEventListener("beforeprint", complete);
}
