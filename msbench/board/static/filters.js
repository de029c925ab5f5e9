// Which rows of the main table are shown. The dense control stays: everything is compared with it.
"use strict";
{
  const form = document.getElementById("filters");
  const table = document.getElementById("main");
  const rows = [...table.querySelectorAll("tr.row")];
  const compared = rows.filter((row) => !row.classList.contains("dense"));
  const search = form.querySelector("input[type=search]");
  const selects = [...form.querySelectorAll("select")];
  let typing = false;

  function fits(row, words) {
    const name = row.cells[0].dataset.sort.toLowerCase();
    return (
      words.every((word) => name.includes(word)) &&
      selects.every(({ name, value }) => !value || (row.dataset[name] ?? "").split(" ").includes(value))
    );
  }

  function apply() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of compared) row.hidden = !fits(row, words);
    for (const body of table.tBodies) {
      const head = body.querySelector("tr.section");
      if (head) head.hidden = !body.querySelector("tr.row:not([hidden])");
    }
    const shown = compared.filter((row) => !row.hidden).length;
    document.getElementById("shown").textContent = `${shown} of ${compared.length} rows`;
    document.getElementById("nothing").hidden = shown > 0;
    form.querySelector("[type=reset]").disabled = !words.length && selects.every((select) => !select.value);
  }

  function read() {
    search.value = view.get("q") ?? "";
    for (const select of selects) {
      const saved = view.get(select.name) ?? "";
      select.value = [...select.options].some((option) => option.value === saved) ? saved : "";
    }
    apply();
  }

  for (const select of selects) {
    select.addEventListener("change", () => {
      remember(select.name, select.value);
      apply();
    });
  }
  search.addEventListener("input", () => {
    remember("q", search.value.trim(), typing);
    typing = true;
    apply();
  });
  search.addEventListener("blur", () => (typing = false));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    for (const name of ["q", ...selects.map((select) => select.name)]) view.delete(name);
    remember("q", "");
    read();
    search.focus();
  });
  document.addEventListener("viewchange", read);
  read();
}
